//! What a simulator is started with.
//!
//! Owns the settings and their defaults; must not know how they are carried out.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::clock::ClockSetting;
use crate::fitbit::FitbitSettings;
use crate::garmin::GarminSettings;
use crate::open_meteo::WeatherQuota;
use crate::strava::{StravaQuota, StravaWindows};
use crate::withings::WithingsQuota;

/// How a simulated world behaves. The default is a friendly one: no quota, no latency, no faults.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes any free one. Default `127.0.0.1:0`.
    pub listen: SocketAddr,
    /// Everything that looks like chance follows from it. Default 1.
    pub seed: u64,
    /// Default: the machine's clock.
    pub clock: ClockSetting,
    /// Waited before each provider's answer (not before the control API's). Default 0.
    pub latency: Duration,
    /// How many requests the log keeps, oldest dropped first; 0 switches it off. Default 100,000.
    pub log_capacity: usize,
    /// What Strava allows the application. Default unlimited.
    pub strava_quota: StravaQuota,
    /// How long its windows are. Default quarter hours and UTC days.
    pub strava_windows: StravaWindows,
    /// The only client id and secret Strava knows; `None` lets any non-empty pair in. Default `None`.
    pub strava_application: Option<Application>,
    /// One page in this many is shorter than asked for though more follow; 0 for never. Default 4.
    pub short_page_every: u32,
    /// What Open-Meteo allows an address. Default unlimited.
    pub weather_quota: WeatherQuota,
    /// Days that the weather archive lies behind: their hours are null there. Default 5.
    pub archive_lag_days: u32,
    /// What Fitbit allows each user, and whether it is gone. Default [`FitbitSettings::default`].
    pub fitbit: FitbitSettings,
    /// The only client id and secret Fitbit knows; `None` lets any non-empty pair in. Default `None`.
    pub fitbit_application: Option<Application>,
    /// What Garmin's programme allows. Default [`GarminSettings::default`].
    pub garmin: GarminSettings,
    /// The only client id and secret Garmin knows; `None` lets any non-empty pair in. Default `None`.
    pub garmin_application: Option<Application>,
    /// What Withings allows the application. Default unlimited.
    pub withings_quota: WithingsQuota,
    /// The only client id and secret Withings knows; `None` lets any non-empty pair in. Default `None`.
    pub withings_application: Option<Application>,
    /// Records on a page of any of Withings' lists. Default 200.
    pub withings_page_size: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 1,
            clock: ClockSetting::Real,
            latency: Duration::ZERO,
            log_capacity: 100_000,
            strava_quota: StravaQuota::UNLIMITED,
            strava_windows: StravaWindows::REAL,
            strava_application: None,
            short_page_every: 4,
            weather_quota: WeatherQuota::UNLIMITED,
            archive_lag_days: 5,
            fitbit: FitbitSettings::default(),
            fitbit_application: None,
            garmin: GarminSettings::default(),
            garmin_application: None,
            withings_quota: WithingsQuota::UNLIMITED,
            withings_application: None,
            withings_page_size: 200,
        }
    }
}

/// An application registered with a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its public id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
}
