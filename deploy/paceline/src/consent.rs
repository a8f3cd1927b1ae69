//! What the API is told about connecting accounts: where users find it and may go back to, and our applications at
//! the providers. Each provider's own file in the worker says what its consent page is asked for; secrets stay there.

use crate::{
    options::check,
    provider_options::{
        FitbitPageOptions, GarminPageOptions, StravaPageOptions, WithingsPageOptions,
    },
};
use clap::Args;
use paceline_api::{Config, ReturnUrl};
use paceline_shared::sealing::Keyring;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// Accounts at providers.
#[derive(Args, Debug)]
#[command(next_help_heading = "Accounts")]
pub(crate) struct ConsentOptions {
    /// Where browsers and providers find this server, as registered with the providers [default: where it listens]
    #[arg(long, value_name = "URL", env = "PACELINE_PUBLIC_URL")]
    public_url: Option<Url>,
    /// Where users who connected an account may go back to: this address and all below it, an app's own scheme too;
    /// several separated by commas, or given one by one
    #[arg(
        long = "return-url",
        value_name = "URL",
        env = "PACELINE_RETURN_URLS",
        value_delimiter = ','
    )]
    return_urls: Vec<ReturnUrl>,
    /// The workers' keys, to seal what users come back with: id:base64 of 32 bytes, several separated by commas;
    /// needed with any client id
    #[arg(long, value_name = "KEYS", env = "PACELINE_SEALING_KEYS", hide_env_values = true)]
    sealing_keys: Option<SecretString>,
    #[command(flatten)]
    strava: StravaPageOptions,
    #[command(flatten)]
    withings: WithingsPageOptions,
    #[command(flatten)]
    fitbit: FitbitPageOptions,
    #[command(flatten)]
    garmin: GarminPageOptions,
}

impl ConsentOptions {
    /// Tells the API.
    pub(crate) fn configure(self, config: Config) -> anyhow::Result<Config> {
        let keys = self.sealing_keys.as_ref().filter(|keys| !keys.expose_secret().is_empty());
        let keys = keys.map(|keys| keys.expose_secret().parse::<Keyring>()).transpose();
        Ok(Config {
            keys: check("--sealing-keys (PACELINE_SEALING_KEYS)", keys)?,
            consent: [
                self.strava.page(),
                self.withings.page(),
                self.fitbit.page(),
                self.garmin.page(),
            ]
            .into_iter()
            .flatten()
            .collect(),
            public_url: self.public_url,
            return_urls: self.return_urls,
            ..config
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use paceline_shared::{Provider, db::Address};

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        consent: ConsentOptions,
    }

    fn configured(arguments: &[&str]) -> anyhow::Result<Config> {
        let command = Command::try_parse_from(["api"].iter().chain(arguments))?;
        let database = Address::direct("postgres://nobody@127.0.0.1:1/none");
        command.consent.configure(Config::new(([127, 0, 0, 1], 0).into(), database))
    }

    #[test]
    fn a_provider_is_offered_when_its_application_is_named() {
        assert!(configured(&[]).unwrap().consent.is_empty());
        let config = configured(&[
            "--strava-client-id=12",
            "--strava-oauth-url=http://127.0.0.1:1/strava/oauth/",
            "--return-url=https://app.example.org/a,my-app://connected",
            "--return-url=https://other.example.org",
        ])
        .unwrap();
        let pages: Vec<_> =
            config.consent.iter().map(|page| (page.provider, page.url.as_str())).collect();
        assert_eq!(pages, [(Provider::Strava, "http://127.0.0.1:1/strava/oauth/authorize")]);
        assert_eq!(config.return_urls.len(), 3);
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        assert!(configured(&["--return-url=javascript:alert(1)"]).is_err());
        assert!(configured(&["--public-url=nonsense"]).is_err());
        let error = configured(&["--sealing-keys=a:secret"]).unwrap_err();
        assert!(!format!("{error:#}").contains("secret:"), "{error:#}");
    }
}
