//! Our application at Garmin. Without its id, Paceline has none there.

use super::{base, known_limit};
use crate::{options::misconfigured, parse};
use clap::Args;
use paceline_shared::oauth::AuthorizePage;
use paceline_worker::{
    budget::Limit,
    providers::garmin::{self, GarminConfig},
};
use secrecy::SecretString;
use std::{num::NonZeroU32, time::Duration};
use url::Url;

/// Where users consent.
#[derive(Args, Debug)]
#[command(next_help_heading = "Garmin")]
pub(crate) struct GarminPageOptions {
    /// The application's id at Garmin; without one, no account can be connected there
    #[arg(long = "garmin-client-id", value_name = "ID", env = "PACELINE_GARMIN_CLIENT_ID")]
    client_id: Option<String>,
    /// Where Garmin's consent page is [default: Garmin's own address]
    #[arg(long = "garmin-connect-url", value_name = "URL", env = "PACELINE_GARMIN_CONNECT_URL")]
    connect_url: Option<Url>,
}

impl GarminPageOptions {
    /// The consent page; `None`: there is no application.
    pub(crate) fn page(&self) -> Option<AuthorizePage> {
        self.with_secret(SecretString::default()).map(|config| config.authorize_page())
    }

    fn with_secret(&self, secret: SecretString) -> Option<GarminConfig> {
        let usual = GarminConfig::new(self.client_id.as_ref()?, secret);
        let connect_base = base(self.connect_url.as_ref(), usual.connect_base);
        Some(GarminConfig { connect_base, ..usual })
    }
}

/// Our application at Garmin.
#[derive(Args, Debug)]
#[command(next_help_heading = "Garmin")]
pub(crate) struct GarminOptions {
    #[command(flatten)]
    page: GarminPageOptions,
    /// The application's secret
    #[arg(
        long = "garmin-client-secret",
        value_name = "SECRET",
        env = "PACELINE_GARMIN_CLIENT_SECRET",
        hide_env_values = true
    )]
    client_secret: Option<SecretString>,
    /// Where Garmin's API is [default: Garmin's own address]
    #[arg(long = "garmin-api-url", value_name = "URL", env = "PACELINE_GARMIN_API_URL")]
    api_url: Option<Url>,
    /// Where Garmin gives tokens [default: Garmin's own address]
    #[arg(long = "garmin-auth-url", value_name = "URL", env = "PACELINE_GARMIN_AUTH_URL")]
    auth_url: Option<Url>,
    /// Calls that Garmin allows the application: all, and of these as backfill the requests for up to 90 days of
    /// history each, backfill:1/1m for an application under evaluation
    #[arg(long = "garmin-limits", value_name = "LIMITS", env = "PACELINE_GARMIN_LIMITS",
          value_delimiter = ',', default_value = garmin::LIMITS)]
    limits: Vec<Limit>,
    #[arg(long = "garmin-calls-per-second", hide = true)]
    calls_per_second: Option<NonZeroU32>,
    /// How long after the last request for history Paceline looks for it first; what comes later is found by the
    /// next sync [default: 60s]
    #[arg(
        long = "garmin-history-pause",
        value_name = "DURATION",
        env = "PACELINE_GARMIN_HISTORY_PAUSE",
        value_parser = parse::duration
    )]
    history_pause: Option<Duration>,
}

impl GarminOptions {
    /// What a worker is told of it; `None`: there is no application.
    pub(crate) fn config(self) -> anyhow::Result<Option<GarminConfig>> {
        let secret = self.client_secret;
        let has_secret = secret.is_some();
        let Some(usual) = self.page.with_secret(secret.unwrap_or_default()) else {
            return Ok(None);
        };
        if !has_secret {
            return Err(misconfigured(anyhow::anyhow!(
                "--garmin-client-id (PACELINE_GARMIN_CLIENT_ID) names an application whose secret is missing; \
                 give it in PACELINE_GARMIN_CLIENT_SECRET"
            )));
        }
        let config = GarminConfig {
            api_base: base(self.api_url.as_ref(), usual.api_base),
            auth_base: base(self.auth_url.as_ref(), usual.auth_base),
            limits: self.limits,
            calls_per_second: self.calls_per_second.unwrap_or(usual.calls_per_second),
            history_pause: self.history_pause.unwrap_or(usual.history_pause),
            ..usual
        };
        known_limit(
            "--garmin-limits (PACELINE_GARMIN_LIMITS)",
            "Garmin",
            config.unknown_limit(),
            "those that it has are all and backfill",
        )?;
        Ok(Some(config))
    }
}
