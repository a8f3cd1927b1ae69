//! Reading a weather request, and refusing it in Open-Meteo's words.
//!
//! Every documented parameter of the hourly face is read; `daily`, `current` and `minutely_15`,
//! which this simulator does not have, are refused rather than passed over in silence.

use std::str::FromStr;

use chrono::{Days, NaiveDate};
use url::form_urlencoded;

use super::hosts::Host;
use crate::numbers::{count, float};
use crate::weather::{Units, Variable};

const MOST_LOCATIONS: usize = 1000;

/// A request that can be answered.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) locations: Vec<Location>,
    pub(super) variables: Vec<&'static Variable>,
    pub(super) units: Units,
    pub(super) unix_time: bool,
    pub(super) zone: ZoneChoice,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Location {
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    pub(super) from: NaiveDate,
    /// Included.
    pub(super) to: NaiveDate,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum ZoneChoice {
    Gmt,
    /// The zone of each location.
    Auto,
    Named(chrono_tz::Tz),
}

/// Lists may be written with commas, by repeating the parameter, or both.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn list(&self, name: &str) -> Vec<&str> {
        let values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        values.flat_map(|value| value.split(',')).filter(|item| !item.is_empty()).collect()
    }

    fn one(&self, name: &str) -> Option<&str> {
        self.list(name).first().copied()
    }

    fn parsed<T: FromStr>(&self, name: &str) -> Result<Vec<T>, String> {
        let parse = |item: &str| {
            item.parse()
                .ok()
                .ok_or_else(|| format!("Invalid value '{item}' for parameter '{name}'"))
        };
        self.list(name).into_iter().map(parse).collect()
    }
}

impl Ask {
    /// The reason is meant for the answer.
    pub(super) fn parse(query: &str, host: Host, today: NaiveDate) -> Result<Self, String> {
        let parameters =
            Parameters(form_urlencoded::parse(query.as_bytes()).into_owned().collect());
        for missing in ["daily", "current", "current_weather", "minutely_15", "models", "elevation"]
        {
            if parameters.one(missing).is_some() {
                return Err(format!("Parameter '{missing}' is not simulated"));
            }
        }
        let zone = zone(parameters.one("timezone"))?;
        let locations = locations(&parameters, host, today)?;
        let mut units = Units::default();
        let mut set = |name, set: fn(&mut Units, &str) -> Option<()>| match parameters.one(name) {
            Some(value) => set(&mut units, value).ok_or_else(|| unknown(name, value)),
            None => Ok(()),
        };
        set("temperature_unit", Units::temperature)?;
        set("wind_speed_unit", Units::wind_speed)?;
        set("precipitation_unit", Units::precipitation)?;
        let unix_time = match parameters.one("timeformat") {
            None | Some("iso8601") => false,
            Some("unixtime") => true,
            Some(other) => return Err(unknown("timeformat", other)),
        };
        let variables = parameters.list("hourly").into_iter().map(|name| {
            Variable::named(name).ok_or_else(|| {
                format!("Cannot initialize WeatherVariable from invalid String value {name} for key hourly")
            })
        });
        Ok(Self {
            locations,
            variables: variables.collect::<Result<_, _>>()?,
            units,
            unix_time,
            zone,
        })
    }

    /// What the request costs: for each location the greatest of 1, a tenth of the variables, and
    /// that tenth by fortnights.
    pub(super) fn weight(&self) -> f64 {
        let tenth = count(self.variables.len()) / 10.0;
        let cost = |location: &Location| {
            let days = float((location.to - location.from).num_days() + 1);
            tenth.max(tenth * days / 14.0).max(1.0)
        };
        self.locations.iter().map(cost).sum()
    }
}

fn unknown(name: &str, value: &str) -> String {
    format!("Cannot initialize value from invalid String value {value} for key {name}")
}

fn zone(name: Option<&str>) -> Result<ZoneChoice, String> {
    match name {
        None | Some("GMT" | "UTC") => Ok(ZoneChoice::Gmt),
        Some("auto") => Ok(ZoneChoice::Auto),
        Some(name) => match name.parse() {
            Ok(zone) => Ok(ZoneChoice::Named(zone)),
            Err(_) => Err("Invalid timezone".to_owned()),
        },
    }
}

fn locations(
    parameters: &Parameters,
    host: Host,
    today: NaiveDate,
) -> Result<Vec<Location>, String> {
    let latitudes: Vec<f64> = parameters.parsed("latitude")?;
    let longitudes: Vec<f64> = parameters.parsed("longitude")?;
    if latitudes.is_empty() && longitudes.is_empty() {
        return Err("Parameter 'latitude' and 'longitude' must not be empty".to_owned());
    }
    if latitudes.len() != longitudes.len() {
        return Err(
            "Parameter 'latitude' and 'longitude' must have the same number of elements".to_owned()
        );
    }
    if latitudes.len() > MOST_LOCATIONS {
        return Err(format!(
            "Parameter 'latitude' and 'longitude' must not exceed {MOST_LOCATIONS} coordinates."
        ));
    }
    for (name, values, most) in [("Latitude", &latitudes, 90.0), ("Longitude", &longitudes, 180.0)]
    {
        if let Some(given) = values.iter().find(|value| value.is_nan() || value.abs() > most) {
            return Err(format!(
                "{name} must be in range of -{most} to {most}°. Given: {given:?}."
            ));
        }
    }
    let spans = spans(parameters, host, today)?;
    if spans.len() != 1 && spans.len() != latitudes.len() {
        return Err(
            "Parameter 'start_date' and 'end_date' must have the same number of elements as coordinates"
                .to_owned(),
        );
    }
    let coordinates = latitudes.into_iter().zip(longitudes);
    let locations = coordinates.zip(spans.into_iter().cycle());
    Ok(locations
        .map(|((latitude, longitude), (from, to))| Location { latitude, longitude, from, to })
        .collect())
}

fn spans(
    parameters: &Parameters,
    host: Host,
    today: NaiveDate,
) -> Result<Vec<(NaiveDate, NaiveDate)>, String> {
    let starts = dates(parameters, "start_date")?;
    let ends = dates(parameters, "end_date")?;
    let relative: Vec<&str> = ["past_days", "forecast_days"]
        .into_iter()
        .filter(|name| parameters.one(name).is_some())
        .collect();
    if starts.is_empty() && ends.is_empty() {
        return match host {
            Host::Forecast => Ok(vec![around(parameters, today)?]),
            Host::Archive | Host::HistoricalForecast => {
                Err("Both 'start_date' and 'end_date' must be set in the url".to_owned())
            }
        };
    }
    if let Some(name) = relative.first() {
        return Err(format!(
            "Parameter '{name}' is mutually exclusive with 'start_date' and 'end_date'"
        ));
    }
    if starts.is_empty() || ends.is_empty() {
        return Err("Both 'start_date' and 'end_date' must be set in the url".to_owned());
    }
    if starts.len() != ends.len() {
        return Err("Parameter 'start_date' and 'end_date' must have the same number of elements"
            .to_owned());
    }
    let (first, last) = host.allowed(today);
    for (name, dates) in [("start_date", &starts), ("end_date", &ends)] {
        if dates.iter().any(|date| !(first..=last).contains(date)) {
            return Err(format!(
                "Parameter '{name}' is out of allowed range from {first} to {last}"
            ));
        }
    }
    let spans: Vec<_> = starts.into_iter().zip(ends).collect();
    if spans.iter().any(|(start, end)| end < start) {
        return Err("End-date must be larger or equals than start-date".to_owned());
    }
    Ok(spans)
}

fn dates(parameters: &Parameters, name: &str) -> Result<Vec<NaiveDate>, String> {
    let wrong = || "Invalid date format. Make sure to use 'YYYY-MM-DD'".to_owned();
    let parse = |item: &str| NaiveDate::parse_from_str(item, "%Y-%m-%d").ok().ok_or_else(wrong);
    parameters.list(name).into_iter().map(parse).collect()
}

/// The days that the forecast host answers when no dates are named: seven, from today.
fn around(parameters: &Parameters, today: NaiveDate) -> Result<(NaiveDate, NaiveDate), String> {
    let days = |name: &str, default: u64, least: u64, most: u64, title: &str| {
        let given: Vec<u64> = parameters.parsed(name)?;
        let given = given.first().copied().unwrap_or(default);
        if (least..=most).contains(&given) {
            return Ok(given);
        }
        Err(format!("{title} is invalid. Allowed range {least} to {most}. Given {given}."))
    };
    let past = days("past_days", 0, 0, 92, "Past days")?;
    let ahead = days("forecast_days", 7, 0, 16, "Forecast days")?;
    let from = today - Days::new(past);
    Ok((from, (today + Days::new(ahead)).pred_opt().unwrap_or(today).max(from)))
}
