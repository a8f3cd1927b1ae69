//! Our application at Fitbit, or at a proxy that speaks as Fitbit did. Without its id, Paceline has none there.

use super::{base, known_limit};
use crate::options::misconfigured;
use clap::Args;
use paceline_shared::oauth::AuthorizePage;
use paceline_worker::{
    budget::Limit,
    providers::fitbit::{self, FitbitConfig},
};
use secrecy::SecretString;
use std::num::NonZeroU32;
use url::Url;

/// Where users consent.
#[derive(Args, Debug)]
#[command(next_help_heading = "Fitbit")]
pub(crate) struct FitbitPageOptions {
    /// The application's id at Fitbit; without one, no account can be connected there
    #[arg(
        id = "fitbit-client-id",
        long = "fitbit-client-id",
        value_name = "ID",
        env = "PACELINE_FITBIT_CLIENT_ID"
    )]
    client_id: Option<String>,
    /// Where Fitbit's consent page is [default: Fitbit's own address]
    #[arg(
        id = "fitbit-web-url",
        long = "fitbit-web-url",
        value_name = "URL",
        env = "PACELINE_FITBIT_WEB_URL"
    )]
    web_url: Option<Url>,
}

impl FitbitPageOptions {
    /// The consent page; `None`: there is no application.
    pub(crate) fn page(&self) -> Option<AuthorizePage> {
        self.with_secret(SecretString::default()).map(|config| config.authorize_page())
    }

    fn with_secret(&self, secret: SecretString) -> Option<FitbitConfig> {
        let usual = FitbitConfig::new(self.client_id.as_ref()?, secret);
        let web_base = base(self.web_url.as_ref(), usual.web_base);
        Some(FitbitConfig { web_base, ..usual })
    }
}

/// Our application at Fitbit.
#[derive(Args, Debug)]
#[command(next_help_heading = "Fitbit")]
pub(crate) struct FitbitOptions {
    #[command(flatten)]
    page: FitbitPageOptions,
    /// The application's secret
    #[arg(
        id = "fitbit-client-secret",
        long = "fitbit-client-secret",
        value_name = "SECRET",
        env = "PACELINE_FITBIT_CLIENT_SECRET",
        hide_env_values = true
    )]
    client_secret: Option<SecretString>,
    /// Where Fitbit's API is [default: Fitbit's own address, which ended in November 2026]
    #[arg(
        id = "fitbit-api-url",
        long = "fitbit-api-url",
        value_name = "URL",
        env = "PACELINE_FITBIT_API_URL"
    )]
    api_url: Option<Url>,
    /// Calls that Fitbit allows for each user
    #[arg(id = "fitbit-limits", long = "fitbit-limits", value_name = "LIMITS", env = "PACELINE_FITBIT_LIMITS",
          value_delimiter = ',', default_value = fitbit::LIMITS)]
    limits: Vec<Limit>,
    #[arg(id = "fitbit-calls-per-second", long = "fitbit-calls-per-second", hide = true)]
    calls_per_second: Option<NonZeroU32>,
}

impl FitbitOptions {
    /// What a worker is told of it; `None`: there is no application.
    pub(crate) fn config(self) -> anyhow::Result<Option<FitbitConfig>> {
        let secret = self.client_secret;
        let has_secret = secret.is_some();
        let Some(usual) = self.page.with_secret(secret.unwrap_or_default()) else {
            return Ok(None);
        };
        if !has_secret {
            return Err(misconfigured(anyhow::anyhow!(
                "--fitbit-client-id (PACELINE_FITBIT_CLIENT_ID) names an application whose secret is missing; \
                 give it in PACELINE_FITBIT_CLIENT_SECRET"
            )));
        }
        let config = FitbitConfig {
            api_base: base(self.api_url.as_ref(), usual.api_base),
            limits: self.limits,
            calls_per_second: self.calls_per_second.unwrap_or(usual.calls_per_second),
            ..usual
        };
        known_limit(
            "--fitbit-limits (PACELINE_FITBIT_LIMITS)",
            "Fitbit",
            config.unknown_limit(),
            "the only one is user",
        )?;
        Ok(Some(config))
    }
}
