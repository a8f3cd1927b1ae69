//! The world outside Paceline, simulated: providers and the weather over HTTP on loopback.
//!
//! Written from the vendors' documentation and sharing no type or line with the clients it tests,
//! so that a misreading on one side shows. Seeded and repeatable: users, records, weather
//! and faults are functions of [`Config::seed`], and nothing else.
//!
//! ```no_run
//! use paceline_simulator::{Config, FULL_SCOPE, Population, Simulator};
//!
//! # async fn example() -> Result<(), paceline_simulator::Error> {
//! let running = Simulator::start(Config::default()).await?;
//! let athlete = running.simulator().add_athlete(&Population::default())?;
//! let code = running.simulator().authorization_code(athlete, FULL_SCOPE)?;
//! // POST {base}/strava/oauth/token with the code, GET {base}/strava/api/v3/athlete/activities …
//! # let _ = (code, running.base_url());
//! running.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! | below the base URL | is |
//! |---|---|
//! | `/strava/oauth/…`, `/strava/api/v3/…` | Strava |
//! | `/open-meteo/archive/v1/archive` | the weather archive |
//! | `/open-meteo/forecast/v1/forecast` | the forecast |
//! | `/open-meteo/historical-forecast/v1/forecast` | past forecasts |
//! | `/fitbit/oauth2/…`, `/fitbit/1/…`, `/fitbit/1.2/…` | Fitbit |
//! | `/garmin/…` | Garmin |
//! | `/withings/…` | Withings |
//! | `/_sim/…` | the controls: what [`Simulator`] does, over HTTP |

mod calendar;
mod clock;
mod config;
mod consent_page;
mod control;
mod credentials;
mod dice;
mod error;
mod fault_rule;
mod faults;
mod fitbit;
mod fronts;
mod garmin;
mod gate;
mod http;
mod locks;
mod log;
mod numbers;
mod open_meteo;
mod patch;
mod person;
mod places;
mod server;
mod simulator;
mod strava;
mod tally;
mod trouble;
mod weather;
mod window;
mod wire;
mod withings;
mod world;

pub use clock::ClockSetting;
pub use config::{Application, Config};
pub use error::{EditError, Error};
pub use fault_rule::{Fault, FaultRule, Provider};
pub use faults::ActiveFault;
pub use fitbit::{
    FITBIT_FULL_SCOPE, FitbitCalls, FitbitFigures, FitbitLog, FitbitPage, FitbitPopulation,
    FitbitQuota, FitbitRange, FitbitRecord, FitbitSettings, FitbitStanding, FitbitTokens,
    FitbitUser, FitbitWindow,
};
pub use garmin::{
    GARMIN_PERMISSIONS, GarminCalls, GarminPage, GarminPopulation, GarminSettings, GarminTokens,
    GarminType, GarminUserSummary,
};
pub use log::{Counts, LogEntry, PathCounts};
pub use open_meteo::WeatherQuota;
pub use server::{Running, serve};
pub use simulator::{Simulator, WeatherValue};
pub use strava::{
    Allowance, AthleteSummary, FULL_SCOPE, Population, Standing, StartRange, StravaCalls,
    StravaQuota, StravaWindows, TokenPair, TruePage,
};
pub use tally::Tally;
pub use withings::{
    WITHINGS_SCOPE, WithingsCalls, WithingsKind, WithingsList, WithingsPage, WithingsPair,
    WithingsPopulation, WithingsQuota, WithingsRecord, WithingsSummary, WithingsUsage,
    WithingsValue,
};
