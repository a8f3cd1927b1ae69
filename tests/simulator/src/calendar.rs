//! When and where a person was active over the years, at whichever provider.
//!
//! Owns the shape of their training: weekly rhythm, seasons, injuries, holidays, journeys to
//! other time zones, and starts a few minutes either side of every daylight-saving change.
//! Must not know what was done.

use chrono::{
    DateTime, Datelike, Days, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc,
};
use chrono_tz::Tz;

use crate::dice::Dice;
use crate::numbers::{count, float};
use crate::person::Person;
use crate::places::{CITIES, PLACES};

/// The start of one activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Start {
    /// Seconds since the Unix epoch.
    pub(crate) at: i64,
    /// Number in the table of places.
    pub(crate) place: u8,
}

struct Day {
    date: NaiveDate,
    weight: f64,
    place: u8,
}

const RHYTHM: u64 = 0x72_68;
const JOURNEYS: u64 = 0x6a_6f;
const INJURIES: u64 = 0x69_6e;
const SPREAD: u64 = 0x73_70;
const HOURS: u64 = 0x68_6f;

/// `activities` starts in the `years` before `until` (excluded), in order of time.
pub(crate) fn starts(
    person: &Person,
    activities: usize,
    years: u32,
    until: NaiveDate,
) -> Vec<Start> {
    let days = days(person, years, until);
    let total: f64 = days.iter().map(|day| day.weight).sum();
    let per_activity = total / count(activities.max(1));
    let mut starts = Vec::with_capacity(activities);
    let mut spread = Dice::new(person.seed, SPREAD, 0);
    let mut due = |nth| (count(nth) + spread.unit()) * per_activity;
    let (mut passed, mut next) = (0.0, due(0));
    for (number, day) in (0..).zip(&days) {
        passed += day.weight;
        let mut today = 0;
        while starts.len() + today < activities && next < passed {
            today += 1;
            next = due(starts.len() + today);
        }
        on_day(person, day, number, today, &mut starts);
    }
    // Rounding may leave the very last ones over: they belong to the last active day.
    if let Some((number, day)) = (0..).zip(&days).filter(|(_, day)| day.weight > 0.0).last() {
        let left = activities - starts.len();
        on_day(person, day, number, left, &mut starts);
    }
    starts.sort_unstable();
    starts
}

/// Every day of the same years with the place they were at, by its number in the table of places.
pub(crate) fn whereabouts(person: &Person, years: u32, until: NaiveDate) -> Vec<(NaiveDate, u8)> {
    days(person, years, until).into_iter().map(|day| (day.date, day.place)).collect()
}

fn days(person: &Person, years: u32, until: NaiveDate) -> Vec<Day> {
    let length = u64::from(years) * 1461 / 4;
    let first = until.checked_sub_days(Days::new(length)).unwrap_or(until);
    let mut days: Vec<Day> = first
        .iter_days()
        .take(usize::try_from(length).unwrap_or(0))
        .zip(0..)
        .map(|(date, number)| Day { date, weight: usual(person, date, number), place: person.home })
        .collect();
    for (journey, year) in (0..u64::from(years) * 3).zip((0..).flat_map(|year| [year; 3])) {
        travel(&mut days, &mut Dice::new(person.seed, JOURNEYS, journey), year);
    }
    for injury in 0..u64::from(years).div_ceil(3) {
        rest(&mut days, &mut Dice::new(person.seed, INJURIES, injury));
    }
    days
}

/// A week's rhythm and a year's, with days that differ, and never quite zero.
fn usual(person: &Person, date: NaiveDate, number: u64) -> f64 {
    let mut dice = Dice::new(person.seed, RHYTHM, number);
    let weekday =
        [0.3, 1.0, 0.8, 1.1, 0.5, 1.7, 1.5][date.weekday().num_days_from_monday() as usize];
    let season =
        1.0 + 0.35 * (std::f64::consts::TAU * float(i64::from(date.ordinal()) - 190) / 365.0).cos();
    let home = &PLACES[usize::from(person.home)];
    // Enough weight to be active on the day the clocks change.
    let border = if change_of(home.zone, date).is_some() { 4.0 } else { 0.0 };
    (weekday * season * dice.between(0.2, 1.8)).max(border)
}

/// Some days elsewhere; one journey in three is a holiday without sport.
fn travel(days: &mut [Day], dice: &mut Dice, year: u64) {
    let from = year * 365 + dice.below(350);
    let length = 4 + dice.below(11);
    let place = u8::try_from(dice.below(u64::from(CITIES))).unwrap_or(0);
    let idle = dice.chance(0.33);
    for day in span(days, from, length) {
        day.place = place;
        if idle {
            day.weight = 0.0;
        }
    }
}

fn rest(days: &mut [Day], dice: &mut Dice) {
    let length = 20 + dice.below(60);
    let from = dice.below(u64::try_from(days.len()).unwrap_or(0));
    for day in span(days, from, length) {
        day.weight = 0.0;
    }
}

fn span(days: &mut [Day], from: u64, length: u64) -> impl Iterator<Item = &mut Day> {
    let skip = usize::try_from(from).unwrap_or(usize::MAX);
    days.iter_mut().skip(skip).take(usize::try_from(length).unwrap_or(0))
}

fn on_day(person: &Person, day: &Day, number: u64, activities: usize, starts: &mut Vec<Start>) {
    let mut dice = Dice::new(person.seed, HOURS, number);
    let slot = 15.5 * 3600.0 / count(activities.max(1));
    for nth in 0..activities {
        let mut place = day.place;
        if dice.chance(0.015) {
            let spots = u64::try_from(PLACES.len()).unwrap_or(0) - u64::from(CITIES);
            place = CITIES + u8::try_from(dice.below(spots)).unwrap_or(0);
        }
        let zone = PLACES[usize::from(place)].zone;
        let seconds = 5.5 * 3600.0 + (count(nth) + dice.unit()) * slot;
        let at = match change_of(zone, day.date) {
            Some(change) if nth == 0 => change.timestamp() + dice.pick(&[-600, -1, 0, 900]),
            // An athlete who hides start times shows one second past local midnight.
            _ if dice.chance(0.003) => instant(zone, day.date, 1),
            _ => instant(zone, day.date, crate::numbers::rounded(seconds)),
        };
        starts.push(Start { at, place });
    }
}

/// The instant of a local time; of two the earlier, of none the one an hour on.
pub(crate) fn instant(zone: Tz, date: NaiveDate, seconds: i64) -> i64 {
    let local = date.and_time(chrono::NaiveTime::MIN) + TimeDelta::seconds(seconds);
    let found = zone.from_local_datetime(&local).earliest();
    let found =
        found.or_else(|| zone.from_local_datetime(&(local + TimeDelta::hours(1))).earliest());
    found.map_or_else(|| local.and_utc().timestamp(), |time| time.timestamp())
}

/// The first second of the new offset, when the clocks change on this local day.
fn change_of(zone: Tz, date: NaiveDate) -> Option<DateTime<Utc>> {
    let offset = |utc: NaiveDateTime| zone.offset_from_utc_datetime(&utc).fix().local_minus_utc();
    let start = DateTime::from_timestamp(instant(zone, date, 0), 0)?.naive_utc();
    let after = DateTime::from_timestamp(instant(zone, date.succ_opt()?, 0), 0)?.naive_utc();
    let before = offset(start - TimeDelta::hours(1));
    if before == offset(after) {
        return None;
    }
    let quarters = (0..=104).map(|quarter| start + TimeDelta::minutes(15 * quarter - 60));
    quarters.into_iter().find(|&utc| offset(utc) != before).map(|utc| utc.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_history_has_as_many_starts_as_asked_for_in_order_and_in_the_past() {
        let person = Person::new(11);
        for activities in [0, 1, 2, 999, 5000] {
            let starts = starts(&person, activities, 10, day("2026-11-21"));
            assert_eq!(starts.len(), activities);
            assert!(starts.is_sorted());
            // A day's border in the westernmost zone lies half a day later than in UTC.
            let end = instant(Tz::UTC, day("2026-11-21"), 14 * 3600);
            assert!(starts.iter().all(|start| start.at < end));
        }
    }

    #[test]
    fn the_clocks_change_where_and_when_they_did() {
        let at = |zone, date| change_of(zone, day(date)).map(|utc| utc.to_rfc3339());
        let zone = Tz::Europe__Berlin;
        assert_eq!(at(zone, "2024-03-31").as_deref(), Some("2024-03-31T01:00:00+00:00"));
        assert_eq!(at(zone, "2024-10-27").as_deref(), Some("2024-10-27T01:00:00+00:00"));
        assert_eq!(at(zone, "2024-03-30"), None);
        assert_eq!(at(zone, "2024-04-01"), None);
        let zone = Tz::America__Los_Angeles;
        assert_eq!(at(zone, "2023-03-12").as_deref(), Some("2023-03-12T10:00:00+00:00"));
        assert_eq!(at(zone, "2023-11-05").as_deref(), Some("2023-11-05T09:00:00+00:00"));
        assert_eq!(at(Tz::America__Phoenix, "2023-03-12"), None);
        // Santiago changes at midnight: the day begins at one o'clock.
        let zone = Tz::America__Santiago;
        assert_eq!(at(zone, "2023-09-03").as_deref(), Some("2023-09-03T04:00:00+00:00"));
    }

    #[test]
    fn a_person_has_long_gaps_and_travels() {
        let starts = starts(&Person::new(5), 3000, 10, day("2026-11-21"));
        let longest = starts.windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap();
        assert!(longest > 14 * 86_400, "{longest} s");
        let mut places: Vec<u8> = starts.iter().map(|start| start.place).collect();
        places.sort_unstable();
        places.dedup();
        assert!(places.len() > 5, "{places:?}");
    }
}
