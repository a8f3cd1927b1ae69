//! What the weather service's JSON says.

use super::plan::{Call, Span};
use chrono::{DateTime, NaiveTime, Utc};
use paceline_shared::{
    activity::Position,
    db::weather_hours::{CellDay, Day, Source, VARIABLES},
};
use serde::{Deserialize, Deserializer};

/// Hours in a day, each of which must be there.
const HOURS: usize = 24;

/// A place's answer. The position is that of the service's own grid.
#[derive(Deserialize)]
pub(super) struct Location {
    latitude: f64,
    longitude: f64,
    hourly: Hourly,
}

#[derive(Deserialize)]
struct Hourly {
    time: Vec<i64>,
    temperature_2m: Column,
    #[serde(default)]
    apparent_temperature: Column,
    #[serde(default)]
    relative_humidity_2m: Column,
    #[serde(default)]
    surface_pressure: Column,
    #[serde(default)]
    wind_speed_10m: Column,
    #[serde(default)]
    wind_direction_10m: Column,
    #[serde(default)]
    weather_code: Column,
    #[serde(default)]
    visibility: Column,
    #[serde(default)]
    uv_index: Column,
}

/// A variable hour by hour, NaN where the service has none.
#[derive(Default)]
struct Column(Vec<f32>);

impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let values: Vec<Option<f32>> = Deserialize::deserialize(from)?;
        let finite = |value: Option<f32>| value.filter(|value| value.is_finite());
        Ok(Self(values.into_iter().map(|value| finite(value).unwrap_or(f32::NAN)).collect()))
    }
}

impl Hourly {
    /// In the order in which a [`Day`] has them.
    fn columns(&self) -> [&Column; VARIABLES] {
        [
            &self.temperature_2m,
            &self.apparent_temperature,
            &self.relative_humidity_2m,
            &self.surface_pressure,
            &self.wind_speed_10m,
            &self.wind_direction_10m,
            &self.weather_code,
            &self.visibility,
            &self.uv_index,
        ]
    }
}

impl Location {
    pub(super) fn position(&self) -> Position {
        Position { lat: self.latitude, lon: self.longitude }
    }

    /// The wanted days of a span that the service has: all 24 hours, a temperature in at least one.
    fn days(&self, span: &Span, source: Source, fetched_at: DateTime<Utc>) -> Vec<Day> {
        let columns = self.hourly.columns();
        let midnight = |day: chrono::NaiveDate| day.and_time(NaiveTime::MIN).and_utc().timestamp();
        let mut days = Vec::with_capacity(span.wanted.len());
        for day in &span.wanted {
            let begin = midnight(*day);
            // Hours come in order; `partition_point` needs no more than that.
            let from = self.hourly.time.partition_point(|time| *time < begin);
            let mut hours = Box::new([[f32::NAN; VARIABLES]; HOURS]);
            let whole = (begin..)
                .step_by(3600)
                .take(HOURS)
                .zip(from..)
                .all(|(time, at)| self.hourly.time.get(at) == Some(&time));
            for (hour, at) in hours.iter_mut().zip(from..) {
                for (value, column) in hour.iter_mut().zip(columns) {
                    *value = column.0.get(at).copied().unwrap_or(f32::NAN);
                }
            }
            if whole && hours.iter().any(|[temperature, ..]| !temperature.is_nan()) {
                days.push(Day {
                    at: CellDay { cell: span.cell, day: *day },
                    source,
                    fetched_at,
                    hours,
                });
            }
        }
        days
    }
}

/// Reads a body: an object for one location, an array for several.
pub(super) fn read(body: &[u8]) -> Option<Vec<Location>> {
    match body.trim_ascii_start().first()? {
        b'[' => serde_json::from_slice(body).ok(),
        _ => Some(vec![serde_json::from_slice(body).ok()?]),
    }
}

/// The days that the answer to a call holds; locations come in the order in which they were asked.
pub(super) fn days(call: &Call, locations: &[Location], fetched_at: DateTime<Utc>) -> Vec<Day> {
    call.spans
        .iter()
        .zip(locations)
        .flat_map(|(span, location)| location.days(span, call.source, fetched_at))
        .collect()
}
