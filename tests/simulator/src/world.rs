//! Everything the simulator remembers, shared by its routes and its handle.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::faults::Faults;
use crate::fitbit::Fitbit;
use crate::garmin::Garmin;
use crate::log::Log;
use crate::open_meteo::OpenMeteo;
use crate::strava::Strava;
use crate::withings::Withings;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) log: Log,
    pub(crate) faults: Mutex<Faults>,
    pub(crate) strava: Strava,
    pub(crate) withings: Withings,
    pub(crate) fitbit: Fitbit,
    pub(crate) garmin: Garmin,
    pub(crate) open_meteo: OpenMeteo,
    /// Cancelled when the simulator ends: what waits on purpose stops waiting.
    pub(crate) end: CancellationToken,
    latency_us: AtomicU64,
}

impl World {
    pub(crate) fn new(config: Config, end: CancellationToken) -> Self {
        let world = Self {
            clock: Clock::new(config.clock),
            log: Log::new(config.log_capacity),
            faults: Mutex::new(Faults::new(config.seed)),
            strava: Strava::new(&config),
            withings: Withings::new(&config),
            fitbit: Fitbit::new(&config),
            garmin: Garmin::new(&config),
            open_meteo: OpenMeteo::new(config.weather_quota, config.archive_lag_days),
            end,
            latency_us: AtomicU64::new(0),
            config,
        };
        world.set_latency(world.config.latency);
        world
    }

    pub(crate) fn latency(&self) -> Duration {
        Duration::from_micros(self.latency_us.load(Ordering::Relaxed))
    }

    pub(crate) fn set_latency(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency_us.store(micros, Ordering::Relaxed);
    }

    /// Waits, but not beyond the simulator's end.
    pub(crate) async fn wait(&self, span: Duration) {
        if !span.is_zero() {
            let _ended = tokio::time::timeout(span, self.end.cancelled()).await;
        }
    }
}
