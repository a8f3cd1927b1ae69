//! `paceline sim`: the outside world, simulated.

use crate::{
    exit::Exit,
    options::ChildOptions,
    parse,
    shutdown::{Again, Shutdown},
};
use clap::{Args, ValueEnum};
use paceline_simulator::{
    Config, FitbitQuota, FitbitSettings, GarminSettings, Simulator, StravaQuota, WeatherQuota,
};
use std::{net::SocketAddr, time::Duration};

/// Run simulated providers and weather, with a control API under /_sim/
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Athletes, activities, weather and faults follow from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Wait so long before each answer
    #[arg(long, value_name = "DURATION", default_value = "0ms", value_parser = parse::duration)]
    latency: Duration,
    /// How many requests the providers allow
    #[arg(long, value_enum, default_value_t)]
    quota: Quota,
    /// How many requests the log keeps; they are counted all the same
    #[arg(long, value_name = "REQUESTS", default_value_t = 100_000)]
    log_capacity: usize,
    #[command(flatten)]
    child: ChildOptions,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Quota {
    /// As many as anybody likes
    #[default]
    Unlimited,
    /// What Strava allows a new application, Fitbit each user, Garmin one in production, and Open-Meteo anybody
    Standard,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<Exit> {
    let shutdown = Shutdown::on_signals(Again::Exit)?;
    options.child.watch_parent(&shutdown);
    let (strava_quota, fitbit_quota, weather_quota) = match options.quota {
        Quota::Unlimited => {
            (StravaQuota::UNLIMITED, FitbitQuota::UNLIMITED, WeatherQuota::UNLIMITED)
        }
        Quota::Standard => (StravaQuota::STANDARD, FitbitQuota::STANDARD, WeatherQuota::FREE),
    };
    let backfill_days_per_minute = match options.quota {
        Quota::Unlimited => u32::MAX,
        Quota::Standard => GarminSettings::PRODUCTION_DAYS,
    };
    let running = Simulator::start(Config {
        listen: options.listen,
        seed: options.seed,
        latency: options.latency,
        log_capacity: options.log_capacity,
        strava_quota,
        garmin: GarminSettings { backfill_days_per_minute, ..GarminSettings::default() },
        fitbit: FitbitSettings { quota: fitbit_quota, ..FitbitSettings::default() },
        weather_quota,
        ..Config::default()
    })
    .await?;
    options.child.announce(running.addr())?;
    shutdown.asked.cancelled().await;
    running.shutdown().await;
    Ok(Exit::Done)
}
