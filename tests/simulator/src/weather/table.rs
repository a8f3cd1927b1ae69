//! The hourly variables, a row each: where they are had, what they measure, how many decimals.

use super::Hour;
use super::variables::Availability::{self, Everywhere, ForecastOnly};
use super::variables::Quantity::{self, Length, Plain, Rain, Snow, Speed, Temperature};
use super::variables::Variable;
use crate::numbers::float;

/// All of them.
pub(crate) const VARIABLES: [Variable; 22] = [
    row("temperature_2m", Everywhere, Temperature, 1, |hour| hour.temperature_c),
    row("relative_humidity_2m", Everywhere, Plain("%"), 0, |hour| hour.humidity_percent),
    row("dew_point_2m", Everywhere, Temperature, 1, |hour| hour.dew_point_c),
    row("apparent_temperature", Everywhere, Temperature, 1, |hour| hour.apparent_c),
    row("precipitation", Everywhere, Rain, 2, |hour| hour.precipitation_mm),
    row("rain", Everywhere, Rain, 2, |hour| if hour.snows { 0.0 } else { hour.precipitation_mm }),
    // Ten millimetres of water lie as seven centimetres of snow.
    row("snowfall", Everywhere, Snow, 2, |hour| {
        if hour.snows { hour.precipitation_mm * 0.7 } else { 0.0 }
    }),
    row("weather_code", Everywhere, Plain("wmo code"), 0, |hour| f64::from(hour.code)),
    row("pressure_msl", Everywhere, Plain("hPa"), 1, |hour| hour.sea_pressure_hpa),
    row("surface_pressure", Everywhere, Plain("hPa"), 1, |hour| hour.surface_pressure_hpa),
    row("cloud_cover", Everywhere, Plain("%"), 0, |hour| hour.cloud_percent),
    row("cloud_cover_low", Everywhere, Plain("%"), 0, |hour| hour.cloud_percent * 0.7),
    row("cloud_cover_mid", Everywhere, Plain("%"), 0, |hour| hour.cloud_percent * 0.5),
    row("cloud_cover_high", Everywhere, Plain("%"), 0, |hour| hour.cloud_percent * 0.3),
    row("wind_speed_10m", Everywhere, Speed, 1, |hour| hour.wind_kmh),
    row("wind_direction_10m", Everywhere, Plain("°"), 0, |hour| hour.wind_from_deg.min(359.4)),
    row("wind_gusts_10m", Everywhere, Speed, 1, |hour| hour.gusts_kmh),
    row("is_day", Everywhere, Plain(""), 0, |hour| float(i64::from(hour.is_day))),
    row("visibility", ForecastOnly, Length, 2, |hour| hour.visibility_m),
    row("uv_index", ForecastOnly, Plain(""), 2, |hour| hour.uv_index),
    row("precipitation_probability", ForecastOnly, Plain("%"), 0, |hour| {
        (hour.precipitation_mm * 40.0).min(100.0)
    }),
    row("showers", ForecastOnly, Rain, 2, |_| 0.0),
];

const fn row(
    name: &'static str,
    availability: Availability,
    quantity: Quantity,
    digits: u8,
    read: fn(&Hour) -> f64,
) -> Variable {
    Variable::new(name, availability, quantity, digits, read)
}
