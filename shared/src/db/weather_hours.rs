//! `weather_hours`: the weather of a day in a cell of 0.1 degrees, kept for whoever was there.

use super::{Db, Error};
use crate::activity::{Position, Weather};
use chrono::{DateTime, NaiveDate, Timelike, Utc};

/// Variables in an hour, in the order in which they lie.
pub const VARIABLES: usize = 9;
const HOURS: usize = 24;

/// A cell of 0.1 by 0.1 degrees, named by its centre in tenths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// -900 to 900.
    pub lat: i16,
    /// -1800 to 1800.
    pub lon: i16,
}

impl Cell {
    /// The cell around a position.
    #[must_use]
    pub fn around(at: Position) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a position on Earth is at most 1800 tenths"
        )]
        let tenths = |degrees: f64| (degrees * 10.0).round() as i16;
        // The date line has one name.
        let lon = if tenths(at.lon) == -1800 { 1800 } else { tenths(at.lon) };
        Self { lat: tenths(at.lat), lon }
    }

    /// Its centre.
    #[must_use]
    pub fn centre(self) -> Position {
        Position { lat: f64::from(self.lat) / 10.0, lon: f64::from(self.lon) / 10.0 }
    }
}

/// A day of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CellDay {
    /// Where.
    pub cell: Cell,
    /// When, in UTC.
    pub day: NaiveDate,
}

impl CellDay {
    /// The day and cell in which something began.
    #[must_use]
    pub fn of(at: Position, start: DateTime<Utc>) -> Self {
        Self { cell: Cell::around(at), day: start.date_naive() }
    }
}

/// Which of the weather service's two halves a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Source {
    /// What was measured and computed afterwards.
    Archive,
    /// The forecast model's own recent past.
    Forecast,
}

impl Source {
    /// The name in every table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Forecast => "forecast",
        }
    }
}

/// The 24 hours of a day in a cell.
#[derive(Clone, Debug)]
pub struct Day {
    /// Where and when.
    pub at: CellDay,
    /// From which half.
    pub source: Source,
    /// When it was asked for.
    pub fetched_at: DateTime<Utc>,
    /// Hour by hour: temperature, felt, humidity, pressure, wind speed, wind direction, code,
    /// visibility, UV index. NaN: absent.
    pub hours: Box<[[f32; VARIABLES]; HOURS]>,
}

impl Day {
    /// The weather in the hour of `start`. `None` when that hour had not ended as the day was asked
    /// for (it would be a forecast), or when the source has no temperature for it.
    #[must_use]
    pub fn in_hour_of(&self, start: DateTime<Utc>) -> Option<Weather> {
        if start.date_naive() != self.at.day {
            return None;
        }
        let hour = start.hour();
        let ended = self.at.day.and_hms_opt(hour, 0, 0)?.and_utc() + chrono::Duration::hours(1);
        if ended > self.fetched_at {
            return None;
        }
        let known = |value: f32| (!value.is_nan()).then_some(value);
        let [temperature, felt, humidity, pressure, wind, direction, code, visibility, uv] =
            self.hours[hour as usize];
        known(temperature)?;
        #[expect(clippy::cast_possible_truncation, reason = "WMO codes are 0 to 99")]
        let weather_code = known(code).map(|code| code as i16);
        Some(Weather {
            temperature_c: known(temperature),
            feels_like_c: known(felt),
            humidity_pct: known(humidity),
            pressure_hpa: known(pressure),
            wind_speed_mps: known(wind),
            wind_direction_deg: known(direction),
            weather_code,
            visibility_m: known(visibility),
            uv_index: known(uv),
        })
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.hours.iter().flatten().flat_map(|value| value.to_le_bytes()).collect()
    }
}

fn from_bytes(bytes: &[u8]) -> Box<[[f32; VARIABLES]; HOURS]> {
    let mut hours = Box::new([[f32::NAN; VARIABLES]; HOURS]);
    for (value, bytes) in hours.iter_mut().flatten().zip(bytes.chunks_exact(4)) {
        *value = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    hours
}

fn columns(days: impl Iterator<Item = CellDay>) -> (Vec<i16>, Vec<i16>, Vec<NaiveDate>) {
    let (mut lats, mut lons, mut dates) = (vec![], vec![], vec![]);
    for at in days {
        lats.push(at.cell.lat);
        lons.push(at.cell.lon);
        dates.push(at.day);
    }
    (lats, lons, dates)
}

/// Those of the wanted days that are there.
pub async fn load(db: &Db, wanted: &[CellDay]) -> Result<Vec<Day>, Error> {
    let (lats, lons, days) = columns(wanted.iter().copied());
    let rows = sqlx::query!(
        r#"select w.lat_cell, w.lon_cell, w.day, w.source as "source: Source", w.fetched_at, w.hours
             from unnest($1::smallint[], $2::smallint[], $3::date[]) as k(lat, lon, day)
             cross join lateral (
               select * from paceline.weather_hours h
                where h.lat_cell = k.lat and h.lon_cell = k.lon and h.day = k.day) w"#,
        &lats,
        &lons,
        &days
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Day {
            at: CellDay { cell: Cell { lat: row.lat_cell, lon: row.lon_cell }, day: row.day },
            source: row.source,
            fetched_at: row.fetched_at,
            hours: from_bytes(&row.hours),
        })
        .collect())
}

/// Keeps days; a later reading replaces an earlier one.
pub async fn put(db: &Db, days: &[Day]) -> Result<(), Error> {
    // Sorted, so that two workers with the same days do not lock them crosswise.
    let mut sorted: Vec<&Day> = days.iter().collect();
    sorted.sort_unstable_by_key(|day| day.at);
    let (lats, lons, dates) = columns(sorted.iter().map(|day| day.at));
    let sources: Vec<&str> = sorted.iter().map(|day| day.source.as_str()).collect();
    let fetched: Vec<DateTime<Utc>> = sorted.iter().map(|day| day.fetched_at).collect();
    let hours: Vec<Vec<u8>> = sorted.iter().map(|day| day.to_bytes()).collect();
    sqlx::query!(
        "insert into paceline.weather_hours as w (lat_cell, lon_cell, day, source, fetched_at, hours)
         select * from unnest($1::smallint[], $2::smallint[], $3::date[], $4::text[], $5::timestamptz[], $6::bytea[])
         on conflict (lat_cell, lon_cell, day) do update
           set source = excluded.source, fetched_at = excluded.fetched_at, hours = excluded.hours
         where w.fetched_at < excluded.fetched_at",
        &lats,
        &lons,
        &dates,
        &sources as &[&str],
        &fetched,
        &hours as &[Vec<u8>]
    )
    .execute(db)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(fetched_at: &str) -> Day {
        let mut hours = Box::new([[1.5; VARIABLES]; HOURS]);
        hours[9][0] = f32::NAN;
        hours[8][7] = f32::NAN;
        Day {
            at: CellDay { cell: Cell { lat: 525, lon: 134 }, day: "2026-11-20".parse().unwrap() },
            source: Source::Forecast,
            fetched_at: fetched_at.parse().unwrap(),
            hours,
        }
    }

    #[test]
    fn an_hour_that_had_not_ended_is_a_forecast_and_not_used() {
        let day = day("2026-11-20T10:30:00Z");
        let at = |time: &str| day.in_hour_of(format!("2026-11-20T{time}Z").parse().unwrap());
        assert!(at("08:59:59").is_some());
        assert!(at("10:05:00").is_none(), "this hour is still running");
        assert!(at("18:00:00").is_none());
    }

    #[test]
    fn another_days_weather_is_never_used() {
        assert!(
            day("2026-11-22T00:00:00Z")
                .in_hour_of("2026-11-21T08:00:00Z".parse().unwrap())
                .is_none()
        );
    }

    #[test]
    fn what_the_source_lacks_is_absent() {
        let day = day("2026-11-22T00:00:00Z");
        let eight = day.in_hour_of("2026-11-20T08:10:00Z".parse().unwrap()).unwrap();
        assert_eq!((eight.temperature_c, eight.visibility_m), (Some(1.5), None));
        assert!(
            day.in_hour_of("2026-11-20T09:10:00Z".parse().unwrap()).is_none(),
            "no temperature, no weather"
        );
    }

    #[test]
    fn hours_survive_their_bytes() {
        let day = day("2026-11-22T00:00:00Z");
        let back = from_bytes(&day.to_bytes());
        assert!(
            back.iter()
                .flatten()
                .zip(day.hours.iter().flatten())
                .all(|(a, b)| a.to_bits() == b.to_bits())
        );
    }

    #[test]
    fn the_date_line_has_one_cell() {
        assert_eq!(
            Cell::around(Position { lat: 0.0, lon: -179.99 }),
            Cell::around(Position { lat: 0.0, lon: 179.99 })
        );
    }
}
