//! `paceline worker`: claims syncs and does them, as a process.

use crate::{
    exit::Exit,
    metrics,
    options::{ChildOptions, DatabaseOptions, check, misconfigured},
    parse,
    provider_options::{FitbitOptions, GarminOptions, StravaOptions, WithingsOptions, base},
    retention::RetentionOptions,
    shutdown::{Again, Shutdown},
};
use clap::Args;
use paceline_shared::{db::breakers::Rules, sealing::Keyring};
use paceline_worker::{
    Config, Worker, providers::http::HttpOptions, queue, weather::WeatherConfig,
};
use secrecy::{ExposeSecret as _, SecretString};
use std::{net::SocketAddr, num::NonZeroU32, time::Duration};
use url::Url;

/// Run a worker: claim syncs, read the providers, add weather and place, store
///
/// Any number of workers may run, and any of them may be killed. SIGTERM hands running syncs back to
/// the others; a second one ends the process at once.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    database: DatabaseOptions,
    /// Syncs at a time
    #[arg(long, value_name = "SYNCS", env = "PACELINE_WORKER_SLOTS", default_value_t = 8,
          value_parser = clap::value_parser!(u16).range(1..))]
    slots: u16,
    /// What people call this worker; several may share a name [default: the host's name]
    #[arg(long, value_name = "NAME", env = "PACELINE_WORKER_LABEL")]
    label: Option<String>,
    /// Where health and metrics are served, for nobody outside; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", env = "PACELINE_WORKER_LISTEN", default_value = "127.0.0.1:9465",
          value_parser = private_address)]
    listen: SocketAddr,
    /// Keys that open the accounts' tokens: id:base64 of 32 bytes, several separated by commas; the first one seals
    #[arg(long, value_name = "KEYS", env = "PACELINE_SEALING_KEYS", hide_env_values = true)]
    sealing_keys: SecretString,
    // Before those with a heading, which is for all that follow.
    #[command(flatten)]
    child: ChildOptions,
    #[command(flatten)]
    strava: StravaOptions,
    #[command(flatten)]
    withings: WithingsOptions,
    #[command(flatten)]
    fitbit: FitbitOptions,
    #[command(flatten)]
    garmin: GarminOptions,
    #[command(flatten)]
    weather: WeatherOptions,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    retention: RetentionOptions,
}

/// The weather service.
#[derive(Args, Debug)]
#[command(next_help_heading = "Open-Meteo")]
struct WeatherOptions {
    /// Where the weather archive is [default: Open-Meteo's own address]
    #[arg(long = "weather-archive-url", value_name = "URL", env = "PACELINE_WEATHER_ARCHIVE_URL")]
    archive_url: Option<Url>,
    /// Where the weather forecast is, which also has the last weeks [default: Open-Meteo's own address]
    #[arg(
        long = "weather-forecast-url",
        value_name = "URL",
        env = "PACELINE_WEATHER_FORECAST_URL"
    )]
    forecast_url: Option<Url>,
    /// Weighted calls a minute of this worker; 0 sets no limit. The free service allows an address 600,
    /// so workers behind one address share that
    #[arg(
        long = "weather-per-minute",
        value_name = "CALLS",
        env = "PACELINE_WEATHER_PER_MINUTE",
        default_value_t = 600
    )]
    per_minute: u32,
}

/// Time limits and pauses. Those that hang together are hidden: tests need them shorter.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
struct Limits {
    /// Pause after a first failed attempt; it doubles from attempt to attempt
    #[arg(long, value_name = "DURATION", env = "PACELINE_RETRY_BASE", default_value = "5s",
          value_parser = parse::duration)]
    retry_base: Duration,
    /// How long an attempt may take, of a sync that says nothing else; it goes on from there in the next
    #[arg(long, value_name = "DURATION", env = "PACELINE_JOB_TIMEOUT", default_value = "1h",
          value_parser = parse::duration)]
    job_timeout: Duration,
    /// Memory that the worker may occupy; over it, syncs are ended and tried again later; 0 sets no limit
    /// [default: nine tenths of what its control group allows]
    #[arg(long, value_name = "MIB", env = "PACELINE_MEMORY_LIMIT")]
    memory_limit: Option<u32>,
    #[arg(long, hide = true, value_parser = parse::duration)]
    poll_every: Option<Duration>,
    #[arg(long, hide = true, value_parser = parse::duration)]
    beat_every: Option<Duration>,
    #[arg(long, hide = true, value_parser = parse::duration)]
    lease: Option<Duration>,
    #[arg(long, hide = true, value_parser = parse::duration)]
    sweep_every: Option<Duration>,
    #[arg(long, hide = true, value_parser = parse::duration)]
    grace: Option<Duration>,
    #[arg(long, hide = true, value_parser = clap::value_parser!(u32).range(1..))]
    http_tries: Option<u32>,
    #[arg(long, hide = true, value_parser = parse::duration)]
    http_first_pause: Option<Duration>,
    #[arg(long, hide = true, value_parser = parse::duration)]
    http_idle_timeout: Option<Duration>,
    #[arg(long, hide = true, value_parser = parse::duration)]
    http_timeout: Option<Duration>,
    #[arg(long, hide = true)]
    http_body_limit: Option<usize>,
    #[arg(long, hide = true)]
    breaker_calls: Option<u32>,
    #[arg(long, hide = true, value_parser = parse::duration)]
    breaker_window: Option<Duration>,
    #[arg(long, hide = true, value_parser = parse::duration)]
    breaker_pause: Option<Duration>,
    #[arg(long, hide = true, value_parser = parse::duration)]
    breaker_probe: Option<Duration>,
}

/// `9465` alone means loopback.
fn private_address(text: &str) -> Result<SocketAddr, String> {
    let port = text.parse().map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port)));
    port.or_else(|_no_port| text.parse()).map_err(|_neither| {
        format!("{text:?} is neither an address, as 127.0.0.1:9465, nor a port")
    })
}

impl WeatherOptions {
    fn config(self) -> WeatherConfig {
        let usual = WeatherConfig::default();
        WeatherConfig {
            archive_base: base(self.archive_url.as_ref(), usual.archive_base),
            forecast_base: base(self.forecast_url.as_ref(), usual.forecast_base),
            weight_per_minute: NonZeroU32::new(self.per_minute),
            ..usual
        }
    }
}

impl Limits {
    fn queue(&self, slots: u16, label: Option<String>) -> queue::Config {
        let usual = queue::Config::new(usize::from(slots));
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        queue::Config {
            label: label.unwrap_or_else(|| host.clone()),
            host,
            retry_base: self.retry_base,
            job_timeout: self.job_timeout,
            memory_limit: match self.memory_limit {
                None => queue::detected_limit(),
                Some(0) => None,
                Some(mebibytes) => Some(u64::from(mebibytes) << 20),
            },
            poll_every: self.poll_every.unwrap_or(usual.poll_every),
            beat_every: self.beat_every.unwrap_or(usual.beat_every),
            lease: self.lease.unwrap_or(usual.lease),
            sweep_every: self.sweep_every.unwrap_or(usual.sweep_every),
            grace: self.grace.unwrap_or(usual.grace),
            ..usual
        }
    }

    fn breaker(&self) -> Rules {
        let usual = Rules::default();
        Rules {
            calls: self.breaker_calls.unwrap_or(usual.calls),
            window: self.breaker_window.unwrap_or(usual.window),
            pause: self.breaker_pause.unwrap_or(usual.pause),
            probe: self.breaker_probe.unwrap_or(usual.probe),
            ..usual
        }
    }

    fn http(&self) -> HttpOptions {
        let usual = HttpOptions::default();
        HttpOptions {
            tries: self.http_tries.unwrap_or(usual.tries),
            first_pause: self.http_first_pause.unwrap_or(usual.first_pause),
            idle_timeout: self.http_idle_timeout.unwrap_or(usual.idle_timeout),
            timeout: self.http_timeout.unwrap_or(usual.timeout),
            body_limit: self.http_body_limit.unwrap_or(usual.body_limit),
            ..usual
        }
    }
}

pub(crate) async fn run(options: Options) -> anyhow::Result<Exit> {
    let shutdown = Shutdown::on_signals(Again::Exit)?;
    options.child.watch_parent(&shutdown);
    let keys = options.sealing_keys.expose_secret().parse::<Keyring>();
    let config = Config {
        database: options.database.address()?,
        queue: queue::Config {
            retention: options.retention.retention(),
            ..options.limits.queue(options.slots, options.label)
        },
        keys: check("--sealing-keys (PACELINE_SEALING_KEYS)", keys)?,
        strava: options.strava.config()?,
        withings: options.withings.config()?,
        fitbit: options.fitbit.config()?,
        garmin: options.garmin.config()?,
        breaker: options.limits.breaker(),
        weather: options.weather.config(),
        http: options.limits.http(),
        listen: options.listen,
        render_metrics: metrics::install()?,
    };
    let worker = Worker::bind(config).await?;
    options.child.announce(worker.local_addr())?;
    worker.run(shutdown.asked).await.map_err(|error| match error {
        paceline_worker::Error::Database(_)
        | paceline_worker::Error::Queue(queue::Error::Misfit(_)) => misconfigured(error),
        other => other.into(),
    })?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_private() {
        assert_eq!(private_address("9465").unwrap().to_string(), "127.0.0.1:9465");
        assert_eq!(private_address("0").unwrap().to_string(), "127.0.0.1:0");
        assert_eq!(private_address("[::1]:80").unwrap().to_string(), "[::1]:80");
        assert!(private_address("localhost").is_err());
    }
}
