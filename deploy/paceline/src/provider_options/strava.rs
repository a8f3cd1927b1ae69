//! Our application at Strava.

use super::{base, known_limit};
use clap::Args;
use paceline_shared::oauth::AuthorizePage;
use paceline_worker::{
    budget::Limit,
    providers::strava::{self, StravaConfig},
};
use secrecy::SecretString;
use std::num::NonZeroU32;
use url::Url;

/// Where users consent.
#[derive(Args, Debug)]
#[command(next_help_heading = "Strava")]
pub(crate) struct StravaPageOptions {
    /// The application's id at Strava; without one, no account can be connected there
    #[arg(
        id = "strava-client-id",
        long = "strava-client-id",
        value_name = "ID",
        env = "PACELINE_STRAVA_CLIENT_ID"
    )]
    client_id: Option<String>,
    /// Where Strava's authorization server is [default: Strava's own address]
    #[arg(
        id = "strava-oauth-url",
        long = "strava-oauth-url",
        value_name = "URL",
        env = "PACELINE_STRAVA_OAUTH_URL"
    )]
    oauth_url: Option<Url>,
}

impl StravaPageOptions {
    /// The consent page; `None`: there is no application.
    pub(crate) fn page(&self) -> Option<AuthorizePage> {
        let usual = StravaConfig::new(self.client_id.as_ref()?, SecretString::default());
        let oauth_base = base(self.oauth_url.as_ref(), usual.oauth_base.clone());
        Some(StravaConfig { oauth_base, ..usual }.authorize_page())
    }
}

/// Our application at Strava.
#[derive(Args, Debug)]
#[command(next_help_heading = "Strava")]
pub(crate) struct StravaOptions {
    /// The application's id at Strava
    #[arg(
        id = "strava-client-id",
        long = "strava-client-id",
        value_name = "ID",
        env = "PACELINE_STRAVA_CLIENT_ID"
    )]
    client_id: String,
    /// The application's secret
    #[arg(
        id = "strava-client-secret",
        long = "strava-client-secret",
        value_name = "SECRET",
        env = "PACELINE_STRAVA_CLIENT_SECRET",
        hide_env_values = true
    )]
    client_secret: SecretString,
    /// Where Strava's API is [default: Strava's own address]
    #[arg(
        id = "strava-api-url",
        long = "strava-api-url",
        value_name = "URL",
        env = "PACELINE_STRAVA_API_URL"
    )]
    api_url: Option<Url>,
    /// Where Strava's authorization server is [default: Strava's own address]
    #[arg(
        id = "strava-oauth-url",
        long = "strava-oauth-url",
        value_name = "URL",
        env = "PACELINE_STRAVA_OAUTH_URL"
    )]
    oauth_url: Option<Url>,
    /// Calls that Strava allows the application, in all and reading ones, until its answers tell what it is
    #[arg(id = "strava-limits", long = "strava-limits", value_name = "LIMITS", env = "PACELINE_STRAVA_LIMITS",
          value_delimiter = ',', default_value = strava::LIMITS)]
    limits: Vec<Limit>,
    #[arg(id = "strava-calls-per-second", long = "strava-calls-per-second", hide = true)]
    calls_per_second: Option<NonZeroU32>,
}

impl StravaOptions {
    /// What a worker is told of it.
    pub(crate) fn config(self) -> anyhow::Result<StravaConfig> {
        let usual = StravaConfig::new(self.client_id, self.client_secret);
        let config = StravaConfig {
            api_base: base(self.api_url.as_ref(), usual.api_base),
            oauth_base: base(self.oauth_url.as_ref(), usual.oauth_base),
            limits: self.limits,
            calls_per_second: self.calls_per_second.unwrap_or(usual.calls_per_second),
            ..usual
        };
        known_limit(
            "--strava-limits (PACELINE_STRAVA_LIMITS)",
            "Strava",
            config.unknown_limit(),
            "those that it has are all and read",
        )?;
        Ok(config)
    }
}
