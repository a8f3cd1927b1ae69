//! A plausible climate: season and day from the sun, weather from smooth noise.
//!
//! Must not know variables' names, units or rounding.

use std::f64::consts::TAU;

use super::Cell;
use crate::dice::mix;
use crate::numbers::{float, unit};

/// The state of the air over one cell in one hour, in metric units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hour {
    pub(super) temperature_c: f64,
    pub(super) humidity_percent: f64,
    pub(super) dew_point_c: f64,
    pub(super) apparent_c: f64,
    pub(super) precipitation_mm: f64,
    pub(super) snows: bool,
    pub(super) code: u8,
    pub(super) sea_pressure_hpa: f64,
    pub(super) surface_pressure_hpa: f64,
    pub(super) wind_kmh: f64,
    pub(super) gusts_kmh: f64,
    pub(super) wind_from_deg: f64,
    pub(super) cloud_percent: f64,
    pub(super) visibility_m: f64,
    pub(super) uv_index: f64,
    pub(super) is_day: bool,
}

/// What does not change from hour to hour.
#[derive(Clone, Copy, Debug)]
struct Ground {
    seed: u64,
    latitude: f64,
    longitude: f64,
    elevation_m: f64,
}

impl Cell {
    /// Height of the cell's ground, metres.
    pub(crate) fn elevation_m(self, seed: u64) -> f64 {
        let height = unit(mix(seed ^ mix(self.key() ^ 0xe1)));
        2.0 + 450.0 * height * height
    }

    /// How far the model's own grid point lies from the cell's centre, degrees.
    pub(crate) fn grid_offset(self, seed: u64) -> (f64, f64) {
        let offset = |salt| (unit(mix(seed ^ mix(self.key() ^ salt))) - 0.5) * 0.08;
        (offset(0x1a), offset(0x10))
    }

    /// The weather in the hour that begins `hour` hours after the Unix epoch.
    pub(crate) fn weather(self, seed: u64, hour: i64) -> Hour {
        let ground = Ground {
            seed: mix(seed ^ mix(self.key())),
            latitude: self.latitude(),
            longitude: self.longitude(),
            elevation_m: self.elevation_m(seed),
        };
        ground.hour(hour)
    }
}

impl Ground {
    /// Smooth noise in -1 to 1 that turns over about every `period` hours.
    fn noise(&self, channel: u64, hour: i64, period: i64) -> f64 {
        let knot = hour.div_euclid(period);
        let at = |knot: i64| unit(mix(self.seed ^ mix(channel ^ knot.cast_unsigned()))) * 2.0 - 1.0;
        let part = float(hour.rem_euclid(period)) / float(period);
        let eased = part * part * (3.0 - 2.0 * part);
        let from = at(knot);
        from + (at(knot + 1) - from) * eased
    }

    fn hour(&self, hour: i64) -> Hour {
        let sun = self.sun(hour);
        let noise = |channel, period| self.noise(channel, hour, period);

        let cloud = (48.0 + 52.0 * noise(0xc1, 31) + 16.0 * noise(0xc2, 5)).clamp(0.0, 100.0);
        let wet = ((cloud - 70.0) / 30.0).max(0.0) * (0.6 + 0.6 * noise(0xc3, 3)).max(0.0);
        let precipitation = if wet < 0.02 { 0.0 } else { 4.5 * wet * wet };

        let swing = 6.0 * (1.0 - cloud / 160.0) * (TAU * (sun.solar_hour - 15.0) / 24.0).cos();
        let temperature = self.mean_temperature(sun.year_part)
            + swing
            + 5.0 * noise(0xa1, 97)
            + 1.2 * noise(0xa2, 11)
            - 1.5 * wet;
        let humidity =
            (70.0 - 2.2 * swing + 14.0 * noise(0xb1, 23) + 22.0 * wet).clamp(12.0, 100.0);
        let dew_point = dew_point(temperature, humidity);
        let gale = 13.0 + 10.0 * noise(0xd1, 29) + 4.0 * noise(0xd2, 4);
        let wind = gale.abs() + 0.3;
        let sea_pressure = 1014.0 + 15.0 * noise(0xe1, 113) + 2.5 * noise(0xe2, 17);
        let snows = temperature < 0.6;
        let fog = humidity > 96.0 && wind < 9.0 && precipitation < 0.05;
        let haze = (humidity / 100.0).powi(4);

        Hour {
            temperature_c: temperature,
            humidity_percent: humidity,
            dew_point_c: dew_point,
            apparent_c: apparent(temperature, humidity, wind),
            precipitation_mm: precipitation,
            snows,
            code: code(cloud, precipitation, temperature, fog),
            sea_pressure_hpa: sea_pressure,
            surface_pressure_hpa: sea_pressure * (-self.elevation_m / 8434.0).exp(),
            wind_kmh: wind,
            gusts_kmh: wind * (1.5 + 0.3 * noise(0xd3, 2)),
            wind_from_deg: (205.0 + 170.0 * noise(0xd4, 67) + 25.0 * noise(0xd5, 6))
                .rem_euclid(360.0),
            cloud_percent: cloud,
            visibility_m: if fog {
                320.0 + 300.0 * noise(0xf1, 3)
            } else {
                (46_000.0 * (1.0 - 0.6 * haze) / (1.0 + 1.7 * precipitation)).max(500.0)
            },
            uv_index: 11.8 * sun.height.max(0.0).powf(1.35) * (1.0 - 0.0065 * cloud),
            is_day: sun.height > -0.014,
        }
    }

    /// Temperature of the day of the year, by latitude and height, °C.
    fn mean_temperature(&self, year_part: f64) -> f64 {
        let season = (TAU * (year_part - 200.0 / 365.0)).cos();
        let northern = if self.latitude < 0.0 { -1.0 } else { 1.0 };
        let mean = 27.0 - 0.0068 * self.latitude * self.latitude;
        mean + 0.22 * self.latitude.abs() * season * northern - 0.0065 * self.elevation_m
    }

    fn sun(&self, hour: i64) -> Sun {
        // Noon of the hour; years counted in their mean length, which drifts by hours only.
        let days = (float(hour) + 0.5) / 24.0;
        let year_part = (days / 365.2425).rem_euclid(1.0);
        let solar_hour =
            (float(hour.rem_euclid(24)) + 0.5 + self.longitude / 15.0).rem_euclid(24.0);
        let declination = -23.44_f64.to_radians() * (TAU * (year_part + 10.0 / 365.0)).cos();
        let latitude = self.latitude.to_radians();
        let angle = TAU * (solar_hour - 12.0) / 24.0;
        let height =
            latitude.sin() * declination.sin() + latitude.cos() * declination.cos() * angle.cos();
        Sun { year_part, solar_hour, height }
    }
}

struct Sun {
    year_part: f64,
    solar_hour: f64,
    /// Sine of its elevation.
    height: f64,
}

fn dew_point(temperature: f64, humidity: f64) -> f64 {
    let gamma = (humidity / 100.0).ln() + 17.62 * temperature / (243.12 + temperature);
    243.12 * gamma / (17.62 - gamma)
}

/// Steadman's apparent temperature in the shade, °C; wind in km/h.
fn apparent(temperature: f64, humidity: f64, wind: f64) -> f64 {
    let vapour_hpa = humidity / 100.0 * 6.105 * (17.27 * temperature / (237.7 + temperature)).exp();
    temperature + 0.33 * vapour_hpa - 0.70 * wind / 3.6 - 4.0
}

/// WMO weather interpretation code.
fn code(cloud: f64, precipitation: f64, temperature: f64, fog: bool) -> u8 {
    let falls = precipitation >= 0.05;
    match (falls, temperature < 0.6) {
        (true, true) if precipitation < 0.4 => 71,
        (true, true) if precipitation < 1.5 => 73,
        (true, true) => 75,
        (true, false) if precipitation > 3.0 && temperature > 22.0 => 95,
        (true, false) if precipitation < 0.3 => 51,
        (true, false) if precipitation < 1.3 => 61,
        (true, false) if precipitation < 3.5 => 63,
        (true, false) => 65,
        (false, _) if fog => 45,
        (false, _) if cloud < 12.0 => 0,
        (false, _) if cloud < 40.0 => 1,
        (false, _) if cloud < 78.0 => 2,
        (false, _) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(latitude: f64, longitude: f64, date: &str) -> Vec<Hour> {
        let date: chrono::NaiveDate = date.parse().unwrap();
        let first = date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp() / 3600;
        (0..24).map(|hour| Cell::at(latitude, longitude).weather(1, first + hour)).collect()
    }

    fn mean(hours: &[Hour], of: impl Fn(&Hour) -> f64) -> f64 {
        hours.iter().map(of).sum::<f64>() / crate::numbers::count(hours.len())
    }

    #[test]
    fn summer_is_warmer_than_winter_on_both_halves_of_the_globe() {
        let berlin = |date| mean(&day(52.5, 13.4, date), |hour| hour.temperature_c);
        assert!(berlin("2024-07-15") > berlin("2024-01-15") + 8.0);
        let sydney = |date| mean(&day(-33.9, 151.2, date), |hour| hour.temperature_c);
        assert!(sydney("2024-01-15") > sydney("2024-07-15") + 4.0);
    }

    #[test]
    fn the_sun_burns_at_noon_and_not_at_night() {
        let berlin = day(52.5, 13.4, "2024-06-21");
        assert!(berlin[11].uv_index > 1.5 && berlin[11].is_day);
        assert!(berlin[23].uv_index < 0.01 && !berlin[23].is_day);
        let tokyo = day(35.7, 139.7, "2024-06-21");
        assert!(tokyo[3].is_day && !tokyo[15].is_day);
    }

    #[test]
    fn every_value_is_one_that_could_be_measured() {
        for (latitude, longitude) in [(52.5, 13.4), (-33.9, 151.2), (0.0, 0.0), (72.6, -38.5)] {
            for date in ["2017-01-01", "2019-06-30", "2024-02-29", "2026-10-25"] {
                for hour in day(latitude, longitude, date) {
                    assert!((-60.0..50.0).contains(&hour.temperature_c), "{hour:?}");
                    assert!((12.0..=100.0).contains(&hour.humidity_percent), "{hour:?}");
                    assert!(hour.dew_point_c <= hour.temperature_c + 1e-9, "{hour:?}");
                    assert!((0.0..120.0).contains(&hour.wind_kmh), "{hour:?}");
                    assert!((0.0..360.0).contains(&hour.wind_from_deg), "{hour:?}");
                    assert!((940.0..1060.0).contains(&hour.sea_pressure_hpa), "{hour:?}");
                    assert!(hour.visibility_m > 0.0 && hour.uv_index >= 0.0, "{hour:?}");
                    assert!(hour.precipitation_mm >= 0.0 && hour.gusts_kmh > hour.wind_kmh);
                }
            }
        }
    }

    #[test]
    fn neighbours_hours_and_seeds_differ() {
        let at =
            |seed, lat: f64, hour| Cell::at(lat, 13.4).weather(seed, hour).temperature_c.to_bits();
        assert_eq!(at(1, 52.5, 400_000), at(1, 52.54, 400_000));
        assert_ne!(at(1, 52.5, 400_000), at(1, 52.6, 400_000));
        assert_ne!(at(1, 52.5, 400_000), at(1, 52.5, 400_001));
        assert_ne!(at(1, 52.5, 400_000), at(2, 52.5, 400_000));
    }
}
