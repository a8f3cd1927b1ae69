//! The world outside Paceline, simulated: Strava and Open-Meteo over HTTP on loopback.
//!
//! Written from the vendors' documentation and sharing no type or line with the clients it tests,
//! so that a misreading on one side shows. Seeded and repeatable: athletes, activities, weather
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
//! | `/_sim/…` | the controls: what [`Simulator`] does, over HTTP |

mod clock;
mod config;
mod control;
mod dice;
mod error;
mod fault_rule;
mod faults;
mod gate;
mod http;
mod locks;
mod log;
mod numbers;
mod open_meteo;
mod places;
mod server;
mod simulator;
mod strava;
mod trouble;
mod weather;
mod wire;
mod world;

pub use clock::ClockSetting;
pub use config::{Config, StravaApplication};
pub use error::{EditError, Error};
pub use fault_rule::{Fault, FaultRule, Provider};
pub use faults::ActiveFault;
pub use log::{Counts, LogEntry, PathCounts};
pub use open_meteo::WeatherQuota;
pub use server::{Running, serve};
pub use simulator::{Simulator, WeatherValue};
pub use strava::{
    Allowance, AthleteSummary, FULL_SCOPE, Population, Standing, StartRange, StravaCalls,
    StravaQuota, StravaWindows, Tally, TokenPair, TruePage,
};
