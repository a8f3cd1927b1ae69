//! The canonical activity: what every provider's record becomes. SI units, UTC with local time
//! beside it. It knows no provider's field names.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

/// A point on Earth, degrees, WGS 84.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// -90 to 90.
    pub lat: f64,
    /// -180 to 180.
    pub lon: f64,
}

impl Position {
    /// The point, or `None` when it is not on Earth.
    #[must_use]
    pub fn on_earth(lat: f64, lon: f64) -> Option<Self> {
        ((-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon))
            .then_some(Self { lat, lon })
    }
}

/// An activity as a provider gave it, before anything is derived.
#[derive(Clone, Debug, PartialEq)]
pub struct Activity {
    /// The provider's id, as text: some are larger than 64 bits.
    pub record_id: String,
    /// Its title; may be empty.
    pub name: String,
    /// The provider's word for the sport, unknown ones included.
    pub sport_type: String,
    /// Metres.
    pub distance_m: Option<f64>,
    /// Seconds in motion.
    pub moving_time_s: Option<i32>,
    /// Seconds from start to end.
    pub elapsed_time_s: Option<i32>,
    /// Metres climbed.
    pub elevation_gain_m: Option<f32>,
    /// Metres per second.
    pub average_speed_mps: Option<f32>,
    /// Metres per second.
    pub max_speed_mps: Option<f32>,
    /// Beats per minute.
    pub average_heart_rate_bpm: Option<f32>,
    /// Beats per minute.
    pub max_heart_rate_bpm: Option<f32>,
    /// The instant it began.
    pub start_at: DateTime<Utc>,
    /// What the clock on the wall said.
    pub start_local: NaiveDateTime,
    /// IANA zone, when the provider names one that exists.
    pub zone: Option<String>,
    /// Seconds east of UTC at the start, daylight saving included.
    pub utc_offset_s: Option<i32>,
    /// Where it began.
    pub start: Option<Position>,
    /// Where it ended.
    pub end: Option<Position>,
    /// Joules used.
    pub energy_j: Option<f64>,
    /// Steps made.
    pub steps: Option<i32>,
    /// Where the provider itself got it from, if it says so.
    pub upstream: Option<Upstream>,
    /// The provider's own order of edits: a lower one never replaces a higher one.
    pub revision: Option<i64>,
}

/// The provider from which another provider got a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its name, as [`crate::Provider`] spells it where it is one.
    pub provider: String,
    /// The record's id there, where it is told.
    pub record_id: Option<String>,
}

/// What became of a derived value.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum EnrichmentStatus {
    /// It is there.
    Enriched,
    /// Not yet; a later sync fills it.
    Pending,
    /// It cannot be had.
    Unavailable,
    /// No coordinates.
    NotLocatable,
    /// Not asked for.
    Skipped,
}

impl EnrichmentStatus {
    /// The name in every table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enriched => "enriched",
            Self::Pending => "pending",
            Self::Unavailable => "unavailable",
            Self::NotLocatable => "not_locatable",
            Self::Skipped => "skipped",
        }
    }
}

/// The weather in the hour in which an activity began. A value that the source lacks is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weather {
    /// °C at 2 m.
    pub temperature_c: Option<f32>,
    /// °C, as felt.
    pub feels_like_c: Option<f32>,
    /// Relative, 0 to 100.
    pub humidity_pct: Option<f32>,
    /// hPa at the surface.
    pub pressure_hpa: Option<f32>,
    /// Metres per second at 10 m.
    pub wind_speed_mps: Option<f32>,
    /// Degrees, where it blows from.
    pub wind_direction_deg: Option<f32>,
    /// WMO code table 4677, as the source sends it.
    pub weather_code: Option<i16>,
    /// Metres.
    pub visibility_m: Option<f32>,
    /// 0 and up.
    pub uv_index: Option<f32>,
}

impl Weather {
    /// A word for the WMO weather code.
    ///
    /// Source: the code table that Open-Meteo documents for `weather_code`.
    #[must_use]
    pub const fn condition(&self) -> Option<&'static str> {
        let Some(code) = self.weather_code else { return None };
        Some(match code {
            0 => "clear",
            1 => "mainly_clear",
            2 => "partly_cloudy",
            3 => "overcast",
            45 | 48 => "fog",
            51 | 53 | 55 => "drizzle",
            56 | 57 => "freezing_drizzle",
            61 | 63 | 65 => "rain",
            66 | 67 => "freezing_rain",
            71 | 73 | 75 => "snow",
            77 => "snow_grains",
            80..=82 => "rain_showers",
            85 | 86 => "snow_showers",
            95 => "thunderstorm",
            96 | 99 => "thunderstorm_with_hail",
            _ => return None,
        })
    }
}

/// The named place nearest to a start.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Town or city.
    pub city: String,
    /// First administrative level; may be empty in the source.
    pub state: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: String,
    /// Metres from the start to the place's centre.
    pub distance_m: f32,
}
