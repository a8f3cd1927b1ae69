//! How the commands for operators and admins reach the HTTP API, and as whom.

use crate::{
    admin::Page,
    client::{self, Client, Credentials},
    options::HomeOptions,
    output::{self, Format},
};
use clap::{Args, builder::NonEmptyStringValueParser};
use paceline_api::auth::Role;
use secrecy::SecretString;
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;
use url::Url;

/// For anything that is not said per request.
const LIMIT: Duration = Duration::from_mins(1);
/// Items of a page that is one of several.
const PAGE: u32 = 200;

/// Where the API is, as whom, and how to print.
#[derive(Args, Debug)]
pub(crate) struct AdminOptions {
    /// How to print
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) output: Format,
    /// Where the API is
    #[arg(
        long,
        value_name = "URL",
        env = "PACELINE_API_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    api_url: Url,
    /// Bearer token whose role allows it; without one, a token of the local issuer is made
    #[arg(long, env = "PACELINE_TOKEN", hide_env_values = true)]
    token: Option<SecretString>,
    /// Who acts, for the local issuer and the audit
    #[arg(long = "as", value_name = "SUBJECT", env = "PACELINE_ADMIN", default_value = "admin",
          value_parser = NonEmptyStringValueParser::new())]
    acting_as: String,
    #[command(flatten)]
    home: HomeOptions,
}

impl AdminOptions {
    /// A client with these credentials.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let credentials = match &self.token {
            Some(token) => Credentials::Token(token.clone()),
            None => Credentials::Local {
                secret: self.home.home()?.issuer_secret()?,
                user: self.acting_as.clone(),
                role: Some(Role::Admin),
            },
        };
        Ok(Client::new(client::loopback(LIMIT)?, self.api_url.clone(), credentials))
    }

    /// Prints one thing: for people as `table` says it, else as JSON.
    pub(crate) fn print<T: Serialize>(
        &self,
        value: &T,
        table: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        if self.output == Format::Table { output::text(&table(value)) } else { output::json(value) }
    }

    /// Prints a list: a table, an array, or an object a line.
    pub(crate) fn print_list<T: Serialize, const COLUMNS: usize>(
        &self,
        items: &[T],
        header: [&str; COLUMNS],
        row: impl Fn(&T) -> [String; COLUMNS],
    ) -> anyhow::Result<()> {
        match self.output {
            Format::Table => output::text(&output::table(header, items.iter().map(row))),
            Format::Json => output::json(&items),
            Format::Jsonl => items.iter().try_for_each(output::json),
        }
    }
}

/// Reads a list page by page, `limit` items or all of them.
pub(crate) async fn list<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    query: &[(&str, String)],
    limit: Option<u32>,
) -> Result<Vec<T>, client::Error> {
    let mut items: Vec<T> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let had = u32::try_from(items.len()).unwrap_or(u32::MAX);
        let wanted = limit.map_or(PAGE, |limit| limit.saturating_sub(had).min(PAGE));
        if wanted == 0 {
            return Ok(items);
        }
        let mut query = query.to_vec();
        query.push(("limit", wanted.to_string()));
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let page: Page<T> = client.get(path, &query).await?;
        items.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok(items),
        }
    }
}

/// How many items to list.
#[derive(Args, Debug)]
pub(crate) struct Length {
    /// How many to list
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// List all of them
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl Length {
    /// `None`: all.
    pub(crate) fn get(&self) -> Option<u32> {
        (!self.all).then_some(self.limit)
    }
}
