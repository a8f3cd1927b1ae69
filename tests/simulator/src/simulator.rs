//! The handle on a simulated world: what the control API does, without HTTP.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::clock::ClockSetting;
use crate::error::Error;
use crate::fault_rule::FaultRule;
use crate::faults::ActiveFault;
use crate::locks::locked;
use crate::log::{Counts, LogEntry};
use crate::numbers::round_to;
use crate::open_meteo::WeatherQuota;
use crate::weather::{Cell, Units, VARIABLES, Variable};
use crate::world::World;

/// A handle on a running simulator: users, faults, time, truth. Clones act on the same world.
#[derive(Clone, Debug)]
pub struct Simulator(pub(crate) Arc<World>);

/// A weather value as the simulated world has it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct WeatherValue {
    /// As in `temperature_2m`.
    pub variable: &'static str,
    /// Rounded as answers round it.
    pub value: f64,
    /// As in `°C`.
    pub unit: &'static str,
    /// False where the weather archive has only nulls for this variable.
    pub in_archive: bool,
}

impl Simulator {
    /// What time it is in the simulated world.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    /// Changes where time comes from.
    pub fn set_clock(&self, setting: ClockSetting) {
        self.0.clock.set(setting);
    }

    /// Moves time on (back, when negative).
    pub fn advance_clock(&self, seconds: i64) {
        self.0.clock.advance(seconds);
    }

    /// The seed that all follows from.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.0.config.seed
    }

    /// Waits so long before each provider's answer, from the next request on.
    pub fn set_latency(&self, latency: Duration) {
        self.0.set_latency(latency);
    }

    /// Adds a rule; its number is for removing it.
    ///
    /// Fails with [`Error::Fault`] on a rule that cannot be meant.
    pub fn add_fault(&self, rule: FaultRule) -> Result<u64, Error> {
        rule.check()?;
        Ok(locked(&self.0.faults).add(rule))
    }

    /// The rules of [`FaultRule::flaky`], added.
    pub fn make_flaky(&self, probability: f64) -> Result<Vec<u64>, Error> {
        FaultRule::flaky(probability).into_iter().map(|rule| self.add_fault(rule)).collect()
    }

    /// Whether there was such a rule.
    #[must_use]
    pub fn remove_fault(&self, id: u64) -> bool {
        locked(&self.0.faults).remove(id)
    }

    /// Removes all rules.
    pub fn clear_faults(&self) {
        locked(&self.0.faults).clear();
    }

    /// All rules, with how often each struck.
    #[must_use]
    pub fn faults(&self) -> Vec<ActiveFault> {
        locked(&self.0.faults).list()
    }

    /// At most `limit` requests after number `since`, oldest first.
    #[must_use]
    pub fn log(&self, since: u64, limit: usize) -> Vec<LogEntry> {
        self.0.log.since(since, limit)
    }

    /// Requests counted since the start or the last clearing; kept even when the log is off.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.log.counts()
    }

    /// Forgets logged requests and counts.
    pub fn clear_log(&self) {
        self.0.log.clear();
    }

    /// The weather at a place in the hour of `time`, in the units that answers default to (°C,
    /// km/h, mm): the same for every coordinate of a cell (nearest tenth of a degree).
    ///
    /// Fails with [`Error::UnknownVariable`].
    pub fn weather(
        &self,
        latitude: f64,
        longitude: f64,
        time: DateTime<Utc>,
        variable: &str,
    ) -> Result<f64, Error> {
        let variable =
            Variable::named(variable).ok_or_else(|| Error::UnknownVariable(variable.to_owned()))?;
        let hour =
            Cell::at(latitude, longitude).weather(self.seed(), time.timestamp().div_euclid(3600));
        let units = Units::default();
        Ok(round_to(variable.value(&hour, units), variable.digits(units)))
    }

    /// Every variable of [`Simulator::weather`].
    #[must_use]
    pub fn all_weather(
        &self,
        latitude: f64,
        longitude: f64,
        time: DateTime<Utc>,
    ) -> Vec<WeatherValue> {
        let hour =
            Cell::at(latitude, longitude).weather(self.seed(), time.timestamp().div_euclid(3600));
        let units = Units::default();
        let value = |variable: &'static Variable| WeatherValue {
            variable: variable.name,
            value: round_to(variable.value(&hour, units), variable.digits(units)),
            unit: variable.unit(units),
            in_archive: variable.in_archive(),
        };
        VARIABLES.iter().map(value).collect()
    }

    /// Changes what Open-Meteo allows; what was spent is forgotten.
    pub fn set_weather_quota(&self, quota: WeatherQuota) {
        self.0.open_meteo.set_quota(quota);
    }

    /// What Open-Meteo allows.
    #[must_use]
    pub fn weather_quota(&self) -> WeatherQuota {
        self.0.open_meteo.quota()
    }

    /// Changes how many days the weather archive lies behind.
    pub fn set_archive_lag_days(&self, days: u32) {
        self.0.open_meteo.set_archive_lag_days(days);
    }
}
