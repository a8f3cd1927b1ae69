//! Writing a weather answer: an object for one location, an array for several.
//!
//! Times and values are written straight into the body: an answer may hold a million numbers.

use std::io::Write;
use std::time::Instant;

use chrono::{DateTime, NaiveDate, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::{OffsetName, Tz};

use super::hosts::{self, Host};
use super::request::{Ask, Location, ZoneChoice};
use crate::numbers::{float, round_to, scaled};
use crate::places::nearest_city;
use crate::weather::{Cell, Hour};

/// A zone as an answer names it. The offset is today's, for all hours: so does the original.
struct Zone {
    name: &'static str,
    abbreviation: String,
    offset_s: i64,
}

impl Ask {
    pub(super) fn answer(
        &self,
        host: Host,
        seed: u64,
        now: DateTime<Utc>,
        lag_days: u32,
    ) -> Vec<u8> {
        let known = host.known(now, lag_days);
        let mut body = Vec::with_capacity(4096);
        let several = self.locations.len() > 1;
        if several {
            body.push(b'[');
        }
        for (number, location) in self.locations.iter().enumerate() {
            if number > 0 {
                body.push(b',');
            }
            let place = Place { ask: self, host, seed, known, location, number };
            // Writing to memory does not fail.
            let _written = place.write(&self.zone.of(location, now), &mut body);
        }
        if several {
            body.push(b']');
        }
        body
    }
}

struct Place<'a> {
    ask: &'a Ask,
    host: Host,
    seed: u64,
    known: (i64, i64),
    location: &'a Location,
    number: usize,
}

impl Place<'_> {
    fn write(&self, zone: &Zone, body: &mut Vec<u8>) -> std::io::Result<()> {
        let began = Instant::now();
        let cell = Cell::at(self.location.latitude, self.location.longitude);
        let (north, east) = cell.grid_offset(self.seed);
        let (latitude, longitude) = (cell.latitude() + north, cell.longitude() + east);
        // Where a zone is half an hour off, its hours are told as the full ones before them.
        let first = hosts::hour(self.location.from) - zone.offset_s.div_euclid(3600);
        let hours = ((self.location.to - self.location.from).num_days() + 1) * 24;
        let weather: Vec<Option<Hour>> = (first..first + hours)
            .map(|hour| {
                let told = (self.known.0..self.known.1).contains(&hour);
                told.then(|| cell.weather(self.seed, hour))
            })
            .collect();

        write!(
            body,
            r#"{{"latitude":{},"longitude":{},"generationtime_ms":{:.6},"utc_offset_seconds":{},"timezone":"{}","timezone_abbreviation":"{}","elevation":{:?}"#,
            round_to(latitude.clamp(-90.0, 90.0), 6),
            round_to(longitude.clamp(-180.0, 180.0), 6),
            began.elapsed().as_secs_f64() * 1000.0,
            zone.offset_s,
            zone.name,
            zone.abbreviation,
            cell.elevation_m(self.seed).round(),
        )?;
        if self.number > 0 {
            write!(body, r#","location_id":{}"#, self.number)?;
        }
        if !self.ask.variables.is_empty() {
            self.units(body)?;
            self.times(first, hours, body)?;
            self.columns(&weather, body)?;
            body.push(b'}');
        }
        body.push(b'}');
        Ok(())
    }

    fn units(&self, body: &mut Vec<u8>) -> std::io::Result<()> {
        let time = if self.ask.unix_time { "unixtime" } else { "iso8601" };
        write!(body, r#","hourly_units":{{"time":"{time}""#)?;
        for variable in &self.ask.variables {
            let known = self.host.has(variable);
            let unit = if known { variable.unit(self.ask.units) } else { "undefined" };
            write!(body, r#","{}":"{unit}""#, variable.name)?;
        }
        body.push(b'}');
        Ok(())
    }

    fn times(&self, first: i64, hours: i64, body: &mut Vec<u8>) -> std::io::Result<()> {
        write!(body, r#","hourly":{{"time":["#)?;
        let local = |hour: i64| {
            self.location.from.and_time(chrono::NaiveTime::MIN) + TimeDelta::hours(hour)
        };
        for hour in 0..hours {
            if hour > 0 {
                body.push(b',');
            }
            if self.ask.unix_time {
                write!(body, "{}", (first + hour) * 3600)?;
            } else {
                let date: NaiveDate = local(hour).date();
                write!(body, r#""{date}T{:02}:00""#, hour % 24)?;
            }
        }
        body.push(b']');
        Ok(())
    }

    fn columns(&self, weather: &[Option<Hour>], body: &mut Vec<u8>) -> std::io::Result<()> {
        for variable in &self.ask.variables {
            write!(body, r#","{}":["#, variable.name)?;
            let known = self.host.has(variable);
            let digits = variable.digits(self.ask.units);
            for (number, hour) in weather.iter().enumerate() {
                if number > 0 {
                    body.push(b',');
                }
                match hour.as_ref().filter(|_| known) {
                    Some(hour) => decimal(variable.value(hour, self.ask.units), digits, body)?,
                    None => body.extend_from_slice(b"null"),
                }
            }
            body.push(b']');
        }
        Ok(())
    }
}

/// `value` with exactly `digits` decimals, never as "-0.0".
fn decimal(value: f64, digits: u8, body: &mut Vec<u8>) -> std::io::Result<()> {
    let scaled = scaled(value, digits);
    let one = 10_i64.pow(u32::from(digits));
    let (whole, part) = (scaled.abs() / one, scaled.abs() % one);
    if scaled < 0 {
        body.push(b'-');
    }
    if digits == 0 {
        write!(body, "{whole}")
    } else {
        write!(body, "{whole}.{part:0width$}", width = usize::from(digits))
    }
}

impl ZoneChoice {
    fn of(self, location: &Location, now: DateTime<Utc>) -> Zone {
        let zone = match self {
            Self::Gmt => {
                return Zone { name: "GMT", abbreviation: "GMT".to_owned(), offset_s: 0 };
            }
            Self::Named(zone) => zone,
            Self::Auto => {
                let (city, distance_km) = nearest_city(location.latitude, location.longitude);
                if distance_km < 400.0 { city.zone } else { Tz::GMT }
            }
        };
        let offset = zone.offset_from_utc_datetime(&now.naive_utc());
        let offset_s = i64::from(offset.fix().local_minus_utc());
        let abbreviation = match offset.abbreviation() {
            Some(name) if name.bytes().all(|byte| byte.is_ascii_alphabetic()) => name.to_owned(),
            _ => format!("GMT{:+}", float(offset_s) / 3600.0),
        };
        Zone { name: zone.name(), abbreviation, offset_s }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_carry_their_decimals_and_no_minus_before_zero() {
        let text = |value, digits| {
            let mut body = Vec::new();
            decimal(value, digits, &mut body).unwrap();
            String::from_utf8(body).unwrap()
        };
        assert_eq!(text(16.94, 1), "16.9");
        assert_eq!(text(-3.06, 1), "-3.1");
        assert_eq!(text(-0.04, 1), "0.0");
        assert_eq!(text(91.5, 0), "92");
        assert_eq!(text(0.307, 2), "0.31");
    }
}
