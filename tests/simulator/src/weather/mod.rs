//! The weather of the simulated world: a pure function of seed, grid cell, hour and variable.
//!
//! Owns what the weather is; must not know which host tells it, nor how far back or ahead.

mod model;
mod table;
mod variables;

pub(crate) use model::Hour;
pub(crate) use table::VARIABLES;
pub(crate) use variables::{Units, Variable};

use crate::numbers::{float, rounded};

/// A cell of the 0.1° grid that all hosts share. Coordinates belong to the nearest cell centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Tenths of a degree.
    latitude: i64,
    longitude: i64,
}

impl Cell {
    pub(crate) fn at(latitude: f64, longitude: f64) -> Self {
        let longitude = rounded(longitude * 10.0);
        // ±180° is one meridian.
        let longitude = if longitude == 1800 { -1800 } else { longitude };
        Self { latitude: rounded(latitude * 10.0), longitude }
    }

    pub(crate) fn latitude(self) -> f64 {
        float(self.latitude) / 10.0
    }

    pub(crate) fn longitude(self) -> f64 {
        float(self.longitude) / 10.0
    }

    fn key(self) -> u64 {
        ((self.latitude + 900) * 3600 + self.longitude + 1800).unsigned_abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_belong_to_the_nearest_cell() {
        assert_eq!(Cell::at(52.52, 13.41), Cell { latitude: 525, longitude: 134 });
        assert_eq!(Cell::at(-33.88, 151.18), Cell { latitude: -339, longitude: 1512 });
        assert_eq!(Cell::at(0.0, 180.0), Cell::at(0.0, -180.0));
    }
}
