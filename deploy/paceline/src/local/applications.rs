//! Our applications at the simulated providers: what the processes are told of each. One row a provider; the names of
//! the options are those of `provider_options`.

use paceline_shared::Provider;

/// Our application at one provider.
pub(super) struct Application {
    /// Where.
    pub(super) provider: Provider,
    /// Our id there; the simulated providers let any in.
    pub(super) client_id: (&'static str, &'static str),
    /// The environment variable with our secret, and the secret.
    pub(super) client_secret: (&'static str, &'static str),
    /// Addresses that an API and a worker need, as paths in the simulated world.
    pub(super) consent: &'static [(&'static str, &'static str)],
    /// Addresses that only a worker needs.
    pub(super) calls: &'static [(&'static str, &'static str)],
    /// What else a worker is told: that the simulated providers count, but refuse nobody.
    pub(super) rules: &'static [(&'static str, &'static str)],
}

/// All that can be synced.
pub(super) const APPLICATIONS: [Application; 4] = [
    Application {
        provider: Provider::Strava,
        client_id: ("--strava-client-id", "1"),
        client_secret: ("PACELINE_STRAVA_CLIENT_SECRET", "simulated-strava"),
        consent: &[("--strava-oauth-url", "/strava/oauth")],
        calls: &[("--strava-api-url", "/strava/api/v3")],
        rules: &[],
    },
    Application {
        provider: Provider::Withings,
        client_id: ("--withings-client-id", "2"),
        client_secret: ("PACELINE_WITHINGS_CLIENT_SECRET", "simulated-withings"),
        consent: &[("--withings-account-url", "/withings")],
        calls: &[("--withings-api-url", "/withings")],
        rules: &[("--withings-limits", "all:1000000/20s"), ("--withings-repeat-after", "10ms")],
    },
    Application {
        provider: Provider::Fitbit,
        client_id: ("--fitbit-client-id", "3"),
        client_secret: ("PACELINE_FITBIT_CLIENT_SECRET", "simulated-fitbit"),
        consent: &[("--fitbit-web-url", "/fitbit")],
        calls: &[("--fitbit-api-url", "/fitbit")],
        rules: &[("--fitbit-limits", "user:1000000/1h")],
    },
    Application {
        provider: Provider::Garmin,
        client_id: ("--garmin-client-id", "4"),
        client_secret: ("PACELINE_GARMIN_CLIENT_SECRET", "simulated-garmin"),
        consent: &[("--garmin-connect-url", "/garmin")],
        calls: &[
            ("--garmin-api-url", "/garmin/wellness-api/rest"),
            ("--garmin-auth-url", "/garmin"),
        ],
        rules: &[("--garmin-limits", "all:1000000/1m"), ("--garmin-history-pause", "3s")],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_an_application_wherever_something_can_be_synced() {
        let can_be = Provider::ALL.into_iter().filter(|p| !p.job_types().is_empty());
        let mut have: Vec<_> =
            APPLICATIONS.iter().map(|application| application.provider).collect();
        have.sort_unstable();
        assert_eq!(have, can_be.collect::<Vec<_>>());
    }
}
