//! How far back and ahead each host answers, and where it has only nulls.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::weather::Variable;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// Reanalysis since 1940, some days behind.
    Archive,
    /// The 92 days past and 16 to come.
    Forecast,
    /// Past forecasts: asked for since 2016, with data since 23 March 2021.
    HistoricalForecast,
}

impl Host {
    /// First and last date that may be asked for.
    pub(super) fn allowed(self, today: NaiveDate) -> (NaiveDate, NaiveDate) {
        let ahead = today + Days::new(16);
        match self {
            Self::Archive => (date(1940, 1, 1), today),
            Self::Forecast => (today - Days::new(92), ahead),
            Self::HistoricalForecast => (date(2016, 1, 1), ahead),
        }
    }

    /// Hours with data: from (included) and to (excluded), in hours since the Unix epoch.
    pub(super) fn known(self, now: DateTime<Utc>, archive_lag_days: u32) -> (i64, i64) {
        match self {
            // With a lag of five days: today and the four days before it are null.
            Self::Archive => {
                let lag = TimeDelta::days(i64::from(archive_lag_days) - 1);
                (i64::MIN, hour(now.date_naive() - lag))
            }
            Self::Forecast => (i64::MIN, i64::MAX),
            Self::HistoricalForecast => (hour(date(2021, 3, 23)), i64::MAX),
        }
    }

    pub(super) fn has(self, variable: &Variable) -> bool {
        self != Self::Archive || variable.in_archive()
    }
}

/// The first hour of a date in UTC, in hours since the Unix epoch.
pub(super) fn hour(date: NaiveDate) -> i64 {
    date.and_time(NaiveTime::MIN).and_utc().timestamp() / 3600
}

fn date(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default()
}
