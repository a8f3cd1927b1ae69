//! Draws a person's years at Withings. Every record is a function of the person's seed and its turn.
//!
//! Owns who draws, the devices in the house and the whereabouts on a day. Must not know lists, edits
//! or HTTP.

mod activity;
mod body;
mod measures;
mod sleep;
mod workouts;

use chrono::{DateTime, Datelike, Days, NaiveDate, TimeZone};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::record::WithingsKind;
use crate::calendar;
use crate::dice::{Dice, mix};
use crate::person::Person;
use crate::places::{CITIES, PLACES};

const JOURNEYS: u64 = 0x77_6a;
const DEVICES: u64 = 0x77_65;

/// Whose years, and which.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) person: Person,
    /// The first identifier of the person's records; each list has a million of them.
    pub(super) first_id: u64,
    pub(super) years: u32,
    /// The years end before this local date.
    pub(super) until: NaiveDate,
}

/// How many of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amounts {
    pub(super) measures: u32,
    pub(super) days: u32,
    pub(super) workouts: u32,
    pub(super) nights: u32,
}

/// A thing that measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) kind: &'static str,
    pub(super) model: &'static str,
    pub(super) model_id: u16,
    pub(super) battery: &'static str,
}

const fn device(
    kind: &'static str,
    model: &'static str,
    model_id: u16,
    battery: &'static str,
) -> Device {
    Device { kind, model, model_id, battery }
}

pub(super) const SCALE: Device = device("Scale", "Body+", 5, "high");
pub(super) const SEGMENTAL: Device = device("Scale", "Body Scan", 10, "medium");
pub(super) const CUFF: Device = device("Blood Pressure Monitor", "BPM Connect", 45, "high");
pub(super) const THERMOMETER: Device = device("Smart Connected Thermometer", "Thermo", 70, "low");
pub(super) const WATCH: Device = device("Activity Tracker", "ScanWatch", 93, "medium");
pub(super) const MAT: Device = device("Sleep Monitor", "Aura Sensor V2", 63, "high");
/// A telephone, which Withings calls a tracker of another brand and gives no device id.
pub(super) const TELEPHONE: Device = device("HealthKit Google", "GoogleFit tracker", 1055, "high");

/// What stands in the house.
pub(super) const HOUSEHOLD: [Device; 6] = [SCALE, SEGMENTAL, CUFF, THERMOMETER, WATCH, MAT];

impl Subject {
    pub(super) fn dice(&self, stream: u64, turn: u64) -> Dice {
        Dice::new(self.person.seed, stream, turn)
    }

    pub(super) fn home(&self) -> Tz {
        PLACES[usize::from(self.person.home)].zone
    }

    /// The zone the person is in on a day: every so often a fortnight away.
    pub(super) fn zone_on(&self, day: NaiveDate) -> Tz {
        let fortnight = u64::try_from(day.num_days_from_ce() / 14).unwrap_or(0);
        let mut dice = self.dice(JOURNEYS, fortnight);
        if !dice.chance(0.06) {
            return self.home();
        }
        let place = usize::try_from(dice.below(u64::from(CITIES))).unwrap_or(0);
        PLACES[place].zone
    }

    pub(super) fn id(&self, kind: WithingsKind, turn: u64) -> u64 {
        let list = u64::try_from(kind.index()).unwrap_or(0);
        self.first_id + list * 1_000_000 + turn
    }

    /// The opaque id of a device: the same one for its whole life.
    pub(super) fn device_id(&self, device: Device) -> String {
        let mut dice = self.dice(DEVICES, u64::from(device.model_id));
        format!("{:016x}{:016x}{:08x}", dice.draw(), dice.draw(), dice.draw() >> 32)
    }

    /// The end of the years: nothing was made or changed later.
    fn end(&self) -> i64 {
        calendar::instant(self.home(), self.until, 0)
    }

    /// Instants all over the years, with a rhythm of their own for each list.
    fn instants(&self, stream: u64, amount: u32) -> Vec<i64> {
        let amount = usize::try_from(amount).unwrap_or(usize::MAX);
        // Drawn as if lived elsewhere in the same place: other days, the same home.
        let seed = mix(self.person.seed ^ stream);
        let rhythm = Person { seed, home: self.person.home, ..Person::new(seed) };
        let starts = calendar::starts(&rhythm, amount, self.years, self.until);
        starts.into_iter().map(|start| start.at.min(self.end() - 3600)).collect()
    }

    /// The last `amount` days before the end, oldest first.
    fn days(&self, amount: u32) -> impl Iterator<Item = (u64, NaiveDate)> {
        let first = self.until.checked_sub_days(Days::new(u64::from(amount)));
        (0..).zip(first.unwrap_or(self.until).iter_days().take_while(|day| *day < self.until))
    }

    /// When a record of `at` was stored, some seconds or, now and then, days later.
    fn stored(&self, at: i64, dice: &mut Dice) -> i64 {
        let later = if dice.chance(0.05) { dice.below(5 * 86_400) } else { 5 + dice.below(300) };
        (at + i64::try_from(later).unwrap_or(0)).clamp(at, self.end().max(at))
    }
}

/// The local date of an instant.
pub(super) fn local_date(zone: Tz, at: i64) -> NaiveDate {
    let utc = DateTime::from_timestamp(at, 0).unwrap_or_default().naive_utc();
    zone.from_utc_datetime(&utc).date_naive()
}

/// All of a list, oldest first.
pub(super) fn list(subject: &Subject, kind: WithingsKind, amounts: Amounts) -> Vec<Value> {
    match kind {
        WithingsKind::Measures => measures::list(subject, amounts.measures),
        WithingsKind::Activity => activity::list(subject, amounts.days),
        WithingsKind::Workouts => workouts::list(subject, amounts.workouts),
        WithingsKind::Sleep => sleep::list(subject, amounts.nights),
    }
}

/// One more record, taken or begun at `at` and stored at `now`, with the identifier of its turn.
pub(super) fn one(subject: &Subject, kind: WithingsKind, turn: u64, at: i64, now: i64) -> Value {
    let mut record = match kind {
        WithingsKind::Measures => measures::weighing(subject, turn, at),
        WithingsKind::Activity => activity::day(subject, turn, local_date(subject.home(), at)),
        WithingsKind::Workouts => workouts::workout(subject, turn, at),
        WithingsKind::Sleep => sleep::night(subject, turn, at),
    };
    for field in ["created", "modified"] {
        if let Some(value) = record.get_mut(field) {
            *value = json!(now);
        }
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        let until = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        Subject { person: Person::new(4), first_id: 5_000_000_000, years: 6, until }
    }

    #[test]
    fn the_same_seed_draws_the_same_years_in_the_past() {
        let amounts = Amounts { measures: 300, days: 90, workouts: 60, nights: 90 };
        for kind in WithingsKind::ALL {
            let records = list(&subject(), kind, amounts);
            assert_eq!(records, list(&subject(), kind, amounts));
            for record in &records {
                let modified = record["modified"].as_i64().unwrap();
                assert!(modified <= subject().end(), "{record}");
                assert!(record["created"].as_i64().is_none_or(|created| created <= modified));
            }
        }
    }

    #[test]
    fn a_person_is_at_home_most_days_and_away_for_some() {
        let subject = subject();
        let away = subject.days(1460).filter(|(_, day)| subject.zone_on(*day) != subject.home());
        assert!((28..400).contains(&away.count()));
    }
}
