//! Which processes there are, and what each is told. Secrets go by the environment.

use super::{APPLICATIONS, simulator::Simulator};
use secrecy::SecretString;
use std::{ffi::OsString, fmt, net::SocketAddr, path::Path};

/// What a process is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Simulator,
    Api,
    Worker(u8),
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simulator => f.write_str("sim"),
            Self::Api => f.write_str("api"),
            Self::Worker(number) => write!(f, "worker-{number}"),
        }
    }
}

/// How to start a process.
#[derive(Clone)]
pub(super) struct Spec {
    pub(super) role: Role,
    pub(super) listen: SocketAddr,
    pub(super) arguments: Vec<OsString>,
    /// What must not show in a list of processes.
    pub(super) secrets: Vec<(&'static str, SecretString)>,
    /// What answers once the process can do its work.
    pub(super) ready_path: &'static str,
}

impl Spec {
    fn new(role: Role, command: &str, ready_path: &'static str) -> Self {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            role,
            listen: anywhere,
            arguments: vec![command.into()],
            secrets: Vec::new(),
            ready_path,
        }
    }

    fn with(mut self, option: &str, value: impl Into<OsString>) -> Self {
        self.arguments.extend([option.into(), value.into()]);
        self
    }

    fn with_secret(mut self, variable: &'static str, value: &SecretString) -> Self {
        self.secrets.push((variable, value.clone()));
        self
    }

    pub(super) fn simulator(seed: u64) -> Self {
        Self::new(Role::Simulator, "sim", "/_sim/health").with("--seed", seed.to_string())
    }

    fn with_paths(self, paths: &[(&str, &str)], world: &Simulator) -> Self {
        paths.iter().fold(self, |spec, (option, path)| spec.with(option, world.at(path)))
    }

    /// `return_urls`: where users may go back to.
    pub(super) fn api(
        listen: SocketAddr,
        home: &Path,
        database: &SecretString,
        keys: &SecretString,
        world: &Simulator,
        return_urls: &[String],
    ) -> Self {
        let mut spec = Self::new(Role::Api, "api", "/readyz").with("--home", home);
        for application in &APPLICATIONS {
            let (option, id) = application.client_id;
            spec = spec.with(option, id).with_paths(application.consent, world);
        }
        for url in return_urls {
            spec = spec.with("--return-url", url);
        }
        spec.arguments.push("--allow-local-issuer".into());
        Self { listen, ..spec }
            .with_secret("DATABASE_URL", database)
            .with_secret("PACELINE_SEALING_KEYS", keys)
    }

    pub(super) fn worker(
        number: u8,
        database: &SecretString,
        keys: &SecretString,
        world: &Simulator,
    ) -> Self {
        let role = Role::Worker(number);
        let mut spec = Self::new(role, "worker", "/readyz")
            .with("--label", role.to_string())
            .with("--weather-archive-url", world.weather_archive())
            .with("--weather-forecast-url", world.weather_forecast())
            // The simulated service counts, but refuses nobody.
            .with("--weather-per-minute", "0");
        for application in &APPLICATIONS {
            let ((option, id), (variable, secret)) =
                (application.client_id, application.client_secret);
            spec = spec
                .with(option, id)
                .with_paths(application.consent, world)
                .with_paths(application.calls, world)
                .with_secret(variable, &SecretString::from(secret));
            spec =
                application.rules.iter().fold(spec, |spec, (option, rule)| spec.with(option, rule));
        }
        spec.with_secret("DATABASE_URL", database).with_secret("PACELINE_SEALING_KEYS", keys)
    }
}
