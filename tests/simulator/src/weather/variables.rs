//! The hourly variables that Open-Meteo documents and this world has, with units and decimals.
//!
//! Must not know hosts' addresses or requests.

use super::Hour;
use super::table::VARIABLES;

/// Which kinds of host have a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    Everywhere,
    /// The archive knows the name, has no data, and answers nulls of unit `undefined`.
    ForecastOnly,
}

/// A column of an hourly answer.
#[derive(Debug)]
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    pub(crate) availability: Availability,
    quantity: Quantity,
    digits: u8,
    read: fn(&Hour) -> f64,
}

/// What is measured: it decides which units can be chosen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Quantity {
    Temperature,
    Speed,
    Rain,
    Snow,
    Plain(&'static str),
    Length,
}

/// The units that a request may choose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Units {
    pub(crate) fahrenheit: bool,
    pub(crate) speed: SpeedUnit,
    pub(crate) inches: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SpeedUnit {
    #[default]
    KilometresPerHour,
    MetresPerSecond,
    MilesPerHour,
    Knots,
}

impl Units {
    /// Reads the three unit parameters; `None` names nothing Open-Meteo knows.
    pub(crate) fn temperature(&mut self, name: &str) -> Option<()> {
        self.fahrenheit = match name {
            "celsius" => false,
            "fahrenheit" => true,
            _ => return None,
        };
        Some(())
    }

    pub(crate) fn wind_speed(&mut self, name: &str) -> Option<()> {
        self.speed = match name {
            "kmh" => SpeedUnit::KilometresPerHour,
            "ms" => SpeedUnit::MetresPerSecond,
            "mph" => SpeedUnit::MilesPerHour,
            "kn" => SpeedUnit::Knots,
            _ => return None,
        };
        Some(())
    }

    pub(crate) fn precipitation(&mut self, name: &str) -> Option<()> {
        self.inches = match name {
            "mm" => false,
            "inch" => true,
            _ => return None,
        };
        Some(())
    }
}

impl Variable {
    pub(super) const fn new(
        name: &'static str,
        availability: Availability,
        quantity: Quantity,
        digits: u8,
        read: fn(&Hour) -> f64,
    ) -> Self {
        Self { name, availability, quantity, digits, read }
    }

    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        VARIABLES.iter().find(|variable| variable.name == name)
    }

    /// Whether the archive has data for it.
    pub(crate) fn in_archive(&self) -> bool {
        self.availability == Availability::Everywhere
    }

    /// The unit as answers name it.
    pub(crate) fn unit(&self, units: Units) -> &'static str {
        match self.quantity {
            Quantity::Temperature if units.fahrenheit => "°F",
            Quantity::Temperature => "°C",
            Quantity::Speed => match units.speed {
                SpeedUnit::KilometresPerHour => "km/h",
                SpeedUnit::MetresPerSecond => "m/s",
                SpeedUnit::MilesPerHour => "mp/h",
                SpeedUnit::Knots => "kn",
            },
            Quantity::Rain | Quantity::Snow if units.inches => "inch",
            Quantity::Rain => "mm",
            Quantity::Snow => "cm",
            Quantity::Length if units.inches => "ft",
            Quantity::Length => "m",
            Quantity::Plain(unit) => unit,
        }
    }

    /// Decimals that answers carry.
    pub(crate) fn digits(&self, units: Units) -> u8 {
        match self.quantity {
            Quantity::Rain | Quantity::Snow if units.inches => 3,
            Quantity::Speed if units.speed == SpeedUnit::MetresPerSecond => 2,
            _ => self.digits,
        }
    }

    /// The value in the chosen units, before rounding.
    pub(crate) fn value(&self, hour: &Hour, units: Units) -> f64 {
        let value = (self.read)(hour);
        match self.quantity {
            Quantity::Temperature if units.fahrenheit => value * 1.8 + 32.0,
            Quantity::Speed => match units.speed {
                SpeedUnit::KilometresPerHour => value,
                SpeedUnit::MetresPerSecond => value / 3.6,
                SpeedUnit::MilesPerHour => value / 1.609_344,
                SpeedUnit::Knots => value / 1.852,
            },
            Quantity::Rain if units.inches => value / 25.4,
            Quantity::Snow if units.inches => value / 2.54,
            Quantity::Length if units.inches => value * 3.280_84,
            _ => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::round_to;
    use crate::weather::Cell;

    #[test]
    fn a_unit_changes_the_value_and_its_name() {
        let hour = Cell::at(52.5, 13.4).weather(1, 450_000);
        let metric = Units::default();
        let mut other = Units::default();
        other.wind_speed("ms").unwrap();
        other.temperature("fahrenheit").unwrap();
        other.precipitation("inch").unwrap();
        assert!(other.wind_speed("furlongs").is_none());
        let of = |name, units| {
            let variable = Variable::named(name).unwrap();
            (variable.value(&hour, units), variable.unit(units))
        };
        let (kmh, unit) = of("wind_speed_10m", metric);
        assert_eq!(unit, "km/h");
        assert_eq!(of("wind_speed_10m", other), (kmh / 3.6, "m/s"));
        let (celsius, unit) = of("temperature_2m", metric);
        assert_eq!(unit, "°C");
        assert_eq!(of("temperature_2m", other), (celsius * 1.8 + 32.0, "°F"));
        assert_eq!(of("precipitation", other).1, "inch");
    }

    #[test]
    fn a_direction_never_rounds_to_a_full_circle() {
        let variable = Variable::named("wind_direction_10m").unwrap();
        for hour in 400_000..410_000 {
            let value = variable.value(&Cell::at(1.0, 1.0).weather(1, hour), Units::default());
            assert!(round_to(value, 0) < 360.0);
        }
    }
}
