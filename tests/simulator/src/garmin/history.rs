//! What a user did before the simulation began, and when their devices told Garmin.
//!
//! Owns which days have which summaries, and how late uploads are. Must not know what a summary says.

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::store::{SETTLED, Slot, Store, TENTATIVE, Upload};
use super::summary_type::GarminType;
use crate::calendar::{self, instant};
use crate::dice::Dice;
use crate::numbers::{float, rounded};
use crate::person::Person;
use crate::places::PLACES;

const PRESENCE: u64 = 0x67_68;
const UPLOADS: u64 = 0x67_75;
const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 86_400;
/// One activity in so many was typed in.
const TYPED_IN: f64 = 0.06;

/// How much to make up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) activities: u32,
    pub(super) years: u32,
    /// The history ends before it.
    pub(super) until: NaiveDate,
}

/// The whole history, in a store for each type in the order of [`GarminType::HELD`].
pub(super) fn stores(person: &Person, extent: Extent) -> Vec<Store> {
    GarminType::HELD.into_iter().map(|of| store(person, of, extent)).collect()
}

fn store(person: &Person, of: GarminType, extent: Extent) -> Store {
    let mut store = Store::default();
    let mut uploads = Vec::new();
    // Nothing of the history is uploaded later than this, so that the simulation begins after it.
    let end = instant(Tz::UTC, extent.until, 12 * HOUR_S);
    let mut place = |at: i64, key: i64, place: u8, number: u32| {
        let slot = Slot { at, drawn: at, key, place, number, added: false, deleted: false };
        let slot = store.add(slot);
        uploads.extend(told(person, of, slot, at, number, end));
    };
    match of {
        GarminType::Activities | GarminType::ManuallyUpdatedActivities => {
            let activities = usize::try_from(extent.activities).unwrap_or(usize::MAX);
            let starts = calendar::starts(person, activities, extent.years, extent.until);
            for (start, number) in starts.into_iter().zip(0..) {
                let typed_in = Dice::new(person.seed, PRESENCE, u64::from(number)).chance(TYPED_IN);
                if typed_in == (of == GarminType::ManuallyUpdatedActivities) {
                    place(start.at, start.at, start.place, number);
                }
            }
        }
        _ => {
            let days = calendar::whereabouts(person, extent.years, extent.until);
            for ((date, whereabouts), number) in days.into_iter().zip(0..) {
                let zone = PLACES[usize::from(whereabouts)].zone;
                if let Some(at) = on_day(person, of, zone, date, number) {
                    let dated = matches!(of, GarminType::Dailies | GarminType::UserMetrics);
                    let key = if dated { instant(Tz::UTC, date, 0) } else { at };
                    place(at, key, whereabouts, number);
                }
            }
        }
    }
    store.upload_all(uploads.into_iter());
    store
}

/// When on this day the type's summary begins, if there is one.
fn on_day(person: &Person, of: GarminType, zone: Tz, date: NaiveDate, number: u32) -> Option<i64> {
    let mut dice = Dice::new(person.seed, PRESENCE ^ of as u64, u64::from(number));
    // How often there is one, and between which hours of the day it begins.
    let (chance, from, to) = match of {
        GarminType::Dailies => (0.97, 0.0, 0.0),
        GarminType::UserMetrics => (0.5, 0.0, 0.0),
        GarminType::Sleeps => (0.92, 21.5, 24.6),
        GarminType::BodyComps => (0.3, 6.0, 9.0),
        GarminType::BloodPressures => (0.12, 7.0, 22.0),
        GarminType::MoveIQActivities => (0.35, 8.0, 20.0),
        _ => (0.0, 0.0, 0.0),
    };
    let seconds = dice.between(from, to) * float(HOUR_S);
    dice.chance(chance).then(|| instant(zone, date, rounded(seconds)))
}

/// Its uploads: the settled one, and before it perhaps a tentative one.
fn told(
    person: &Person,
    of: GarminType,
    slot: usize,
    at: i64,
    number: u32,
    end: i64,
) -> impl Iterator<Item = Upload> {
    let mut dice = Dice::new(person.seed, UPLOADS ^ of as u64, u64::from(number));
    // How long until it is over for certain, and how likely a device tells before that.
    let (settles_s, early) = match of {
        GarminType::Dailies => (DAY_S + HOUR_S, 0.25),
        GarminType::Sleeps => (10 * HOUR_S, 0.15),
        GarminType::UserMetrics => (DAY_S, 0.0),
        GarminType::BodyComps | GarminType::BloodPressures => (60, 0.0),
        GarminType::MoveIQActivities => (2 * HOUR_S, 0.0),
        _ => (8 * HOUR_S, 0.0),
    };
    // Most watches tell within hours, some lie in a drawer for days.
    let late_s = match dice.below(100) {
        0..80 => dice.between(30.0, 3.0 * 3600.0),
        80..95 => dice.between(3.0, 48.0) * 3600.0,
        _ => dice.between(2.0, 10.0) * 86_400.0,
    };
    let settled = (at + settles_s + rounded(late_s)).min(end);
    let tentative = dice.chance(early).then_some((at + settles_s * 7 / 10).min(settled - 1));
    let tentative = tentative.map(|at| Upload { at, slot, version: TENTATIVE });
    tentative.into_iter().chain([Upload { at: settled, slot, version: SETTLED }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent() -> Extent {
        Extent { activities: 500, years: 2, until: "2026-11-20".parse().unwrap() }
    }

    fn total(of: GarminType) -> (usize, usize) {
        let store = store(&Person::new(3), of, extent());
        (store.present().count(), store.uploads())
    }

    #[test]
    fn activities_are_recorded_or_typed_in_and_together_as_many_as_asked_for() {
        let (recorded, typed_in) =
            (total(GarminType::Activities).0, total(GarminType::ManuallyUpdatedActivities).0);
        assert_eq!(recorded + typed_in, 500);
        assert!((15..50).contains(&typed_in), "{typed_in}");
    }

    #[test]
    fn some_days_and_nights_are_uploaded_twice_and_nothing_else_is() {
        for of in GarminType::HELD {
            let (summaries, uploads) = total(of);
            let twice = uploads - summaries;
            let tentative = matches!(of, GarminType::Dailies | GarminType::Sleeps);
            assert_eq!(twice > summaries / 10, tentative, "{of:?}: {twice} of {summaries}");
        }
    }

    #[test]
    fn no_upload_is_earlier_than_its_summary_or_later_than_the_history() {
        let end = instant(Tz::UTC, extent().until, 12 * HOUR_S);
        for of in GarminType::HELD {
            let store = store(&Person::new(3), of, extent());
            for upload in store.uploaded(i64::MIN, i64::MAX) {
                assert!(upload.at <= end);
                assert!(upload.at >= store.slot(upload.slot).at.min(end - 1), "{of:?}");
            }
        }
    }
}
