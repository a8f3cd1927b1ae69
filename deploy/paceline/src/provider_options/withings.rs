//! Our application at Withings. Without its id, Paceline has none there.

use super::{base, known_limit};
use crate::{options::misconfigured, parse};
use clap::Args;
use paceline_shared::oauth::AuthorizePage;
use paceline_worker::{
    budget::Limit,
    providers::withings::{self, WithingsConfig},
};
use secrecy::SecretString;
use std::{num::NonZeroU32, time::Duration};
use url::Url;

/// Where users consent.
#[derive(Args, Debug)]
#[command(next_help_heading = "Withings")]
pub(crate) struct WithingsPageOptions {
    /// The application's id at Withings; without one, no account can be connected there
    #[arg(
        id = "withings-client-id",
        long = "withings-client-id",
        value_name = "ID",
        env = "PACELINE_WITHINGS_CLIENT_ID"
    )]
    client_id: Option<String>,
    /// Where Withings' consent page is [default: Withings' own address]
    #[arg(
        id = "withings-account-url",
        long = "withings-account-url",
        value_name = "URL",
        env = "PACELINE_WITHINGS_ACCOUNT_URL"
    )]
    account_url: Option<Url>,
}

impl WithingsPageOptions {
    /// The consent page; `None`: there is no application.
    pub(crate) fn page(&self) -> Option<AuthorizePage> {
        self.with_secret(SecretString::default()).map(|config| config.authorize_page())
    }

    fn with_secret(&self, secret: SecretString) -> Option<WithingsConfig> {
        let usual = WithingsConfig::new(self.client_id.as_ref()?, secret);
        let account_base = base(self.account_url.as_ref(), usual.account_base);
        Some(WithingsConfig { account_base, ..usual })
    }
}

/// Our application at Withings.
#[derive(Args, Debug)]
#[command(next_help_heading = "Withings")]
pub(crate) struct WithingsOptions {
    #[command(flatten)]
    page: WithingsPageOptions,
    /// The application's secret
    #[arg(
        id = "withings-client-secret",
        long = "withings-client-secret",
        value_name = "SECRET",
        env = "PACELINE_WITHINGS_CLIENT_SECRET",
        hide_env_values = true
    )]
    client_secret: Option<SecretString>,
    /// Where Withings' API is [default: Withings' own address]
    #[arg(
        id = "withings-api-url",
        long = "withings-api-url",
        value_name = "URL",
        env = "PACELINE_WITHINGS_API_URL"
    )]
    api_url: Option<Url>,
    /// Calls that Withings allows the application. Its minute slides: of windows of 20 s it touches four, so a
    /// quarter of the minute's calls belongs in each
    #[arg(id = "withings-limits", long = "withings-limits", value_name = "LIMITS", env = "PACELINE_WITHINGS_LIMITS",
          value_delimiter = ',', default_value = withings::LIMITS)]
    limits: Vec<Limit>,
    #[arg(id = "withings-calls-per-second", long = "withings-calls-per-second", hide = true)]
    calls_per_second: Option<NonZeroU32>,
    #[arg(id = "withings-repeat-after", long = "withings-repeat-after", hide = true, value_parser = parse::duration)]
    repeat_after: Option<Duration>,
}

impl WithingsOptions {
    /// What a worker is told of it; `None`: there is no application.
    pub(crate) fn config(self) -> anyhow::Result<Option<WithingsConfig>> {
        let secret = self.client_secret;
        let has_secret = secret.is_some();
        let Some(usual) = self.page.with_secret(secret.unwrap_or_default()) else {
            return Ok(None);
        };
        if !has_secret {
            return Err(misconfigured(anyhow::anyhow!(
                "--withings-client-id (PACELINE_WITHINGS_CLIENT_ID) names an application whose secret is missing; \
                 give it in PACELINE_WITHINGS_CLIENT_SECRET"
            )));
        }
        let config = WithingsConfig {
            api_base: base(self.api_url.as_ref(), usual.api_base),
            limits: self.limits,
            calls_per_second: self.calls_per_second.unwrap_or(usual.calls_per_second),
            repeat_after: self.repeat_after.unwrap_or(usual.repeat_after),
            ..usual
        };
        known_limit(
            "--withings-limits (PACELINE_WITHINGS_LIMITS)",
            "Withings",
            config.unknown_limit(),
            "the only one is all",
        )?;
        Ok(Some(config))
    }
}
