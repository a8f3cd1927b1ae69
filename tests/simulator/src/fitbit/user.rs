//! One user and the four logs that Fitbit holds for them.
//!
//! Entries are drawn when they are read; only edits keep their text. Must not know tokens or HTTP.

use chrono::{NaiveDate, NaiveDateTime};
use chrono_tz::Tz;

use super::days::days;
use super::logbook::Logbook;
use super::record::{FitbitLog, Record};
use super::{body, exercise, night, walltime};
use crate::calendar;
use crate::dice::{Dice, mix};
use crate::numbers::rounded;
use crate::patch::{EditError, Fields, patched, read, text};
use crate::person::Person;
use crate::places::{PLACES, Place};

const TIMES: u64 = 0x66_74;
const HOUR_S: f64 = 3600.0;
/// One weighing in this many shares the `logId` of the one before it, and its day.
const SHARED_EVERY: u64 = 40;
/// Logs since 2024 have ids of 19 digits, which no double holds.
const LONG_IDS_SINCE: i64 = 1_704_067_200;

/// What to draw a user from.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) id: String,
    pub(super) seed: u64,
    pub(super) weights: u32,
    pub(super) activities: u32,
    pub(super) sleeps: u32,
    pub(super) years: u32,
    pub(super) until: NaiveDate,
}

#[derive(Debug)]
pub(crate) struct User {
    pub(super) id: String,
    pub(super) person: Person,
    logs: [Logbook; 4],
}

impl User {
    pub(super) fn new(spec: &Spec) -> Self {
        let person = Person::new(spec.seed);
        let weights = weights(&person, spec);
        let fats = weights.iter().filter(|record| body::has_fat(&person, record)).cloned();
        let fats = Logbook::new(fats.collect());
        let logs = [
            Logbook::new(weights),
            fats,
            Logbook::new(activities(&person, spec)),
            Logbook::new(sleeps(&person, spec)),
        ];
        Self { id: spec.id.clone(), person, logs }
    }

    pub(super) fn home(&self) -> &'static Place {
        &PLACES[usize::from(self.person.home)]
    }

    pub(super) fn zone(&self) -> Tz {
        self.home().zone
    }

    pub(super) fn log(&self, log: FitbitLog) -> &Logbook {
        &self.logs[log.number()]
    }

    /// An entry's JSON, metric.
    pub(super) fn json(&self, log: FitbitLog, number: u32) -> Option<String> {
        let record = self.log(log).get(number)?;
        let draw = || {
            let value = match log {
                FitbitLog::Weight => body::weight(&self.person, record),
                FitbitLog::Fat => body::fat(&self.person, record),
                FitbitLog::Activities => exercise::activity(&self.person, record),
                FitbitLog::Sleep => night::sleep(&self.person, record),
            };
            value.to_string()
        };
        Some(record.edit.clone().unwrap_or_else(draw))
    }

    /// Replaces the fields of `patch`, whatever their types; an activity's `lastModified` becomes
    /// `now`, when the patch does not say otherwise. False when there is no such entry.
    pub(super) fn edit(
        &mut self,
        log: FitbitLog,
        number: u32,
        patch: &str,
        now: i64,
    ) -> Result<bool, EditError> {
        let Some(mut json) = self.json(log, number) else { return Ok(false) };
        if log == FitbitLog::Activities {
            let modified = serde_json::json!({ "lastModified": walltime::utc(now) }).to_string();
            json = text(&patched(&json, &modified, &[])?)?;
        }
        let fields = patched(&json, patch, &["logId"])?;
        let wall = wall_of(log, &fields);
        self.logs[log.number()].edit(number, text(&fields)?, wall);
        Ok(true)
    }

    pub(super) fn delete(&mut self, log: FitbitLog, number: u32) -> bool {
        let known = self.log(log).get(number).is_some();
        self.logs[log.number()].delete(number);
        known
    }

    /// A late upload: an entry that began at this local time; answers its number.
    pub(super) fn add(&mut self, log: FitbitLog, began: NaiveDateTime) -> u32 {
        let book = self.log(log);
        // Beyond every origin that a history begins with.
        let origin = (1 << 32) + u64::from(book.next());
        let seconds = began.and_utc().timestamp() - walltime::midnight(began.date());
        let at = calendar::instant(self.zone(), began.date(), seconds);
        let log_id = match log {
            FitbitLog::Weight | FitbitLog::Fat => millis(at),
            FitbitLog::Activities | FitbitLog::Sleep => long_id(self.person.seed, log, origin, at),
        };
        let mut record = Record {
            at,
            wall: walltime::of(self.zone(), at),
            place: self.person.home,
            log_id,
            origin,
            edit: None,
            late: true,
        };
        if log == FitbitLog::Sleep {
            let end = at + night::length_s(&self.person, origin);
            record.wall = walltime::of(self.zone(), end);
        }
        self.logs[log.number()].add(record)
    }
}

/// Where an edited entry belongs in its log, when its fields still say so.
fn wall_of(log: FitbitLog, fields: &Fields) -> Option<i64> {
    let field = |name| read::<String>(fields, name);
    match log {
        FitbitLog::Weight | FitbitLog::Fat => {
            walltime::read(&format!("{}T{}", field("date")?, field("time")?))
        }
        FitbitLog::Activities => walltime::read(&field("startTime")?),
        FitbitLog::Sleep => walltime::read(&field("endTime")?),
    }
}

fn weights(person: &Person, spec: &Spec) -> Vec<Record> {
    let zone = PLACES[usize::from(person.home)].zone;
    let mut records: Vec<Record> = Vec::new();
    let days = days(spec.seed, TIMES, spec.weights, spec.years, spec.until);
    for (origin, (date, nth)) in (0..).zip(days) {
        let mut dice = Dice::new(spec.seed, TIMES, origin);
        let hour = if nth == 0 { dice.between(5.5, 8.7) } else { dice.between(9.0, 23.5) };
        let at = calendar::instant(zone, date, rounded(hour * HOUR_S));
        let before = records.last().map(|record| record.log_id);
        let shares = nth > 0 && dice.chance(0.5);
        records.push(Record {
            at,
            wall: walltime::of(zone, at),
            place: person.home,
            log_id: before.filter(|_| shares).unwrap_or(millis(at)),
            origin,
            edit: None,
            late: false,
        });
    }
    share_some(&mut records);
    records
}

/// Moves the later of two neighbours to the evening of the earlier one's day, under its `logId`, as in
/// the documentation's own example.
fn share_some(records: &mut [Record]) {
    for pair in 1..records.len() {
        let (earlier, later) = (records[pair - 1].clone(), &mut records[pair]);
        let morning = earlier.wall.rem_euclid(86_400) < 32_000;
        if later.origin % SHARED_EVERY == SHARED_EVERY - 1 && morning {
            later.log_id = earlier.log_id;
            later.at = earlier.at + 50_000;
            later.wall = earlier.wall + 50_000;
        }
    }
}

fn activities(person: &Person, spec: &Spec) -> Vec<Record> {
    let starts = usize::try_from(spec.activities).unwrap_or(usize::MAX);
    let starts = calendar::starts(person, starts, spec.years, spec.until);
    let record = |(start, origin): (calendar::Start, u64)| Record {
        at: start.at,
        wall: walltime::of(PLACES[usize::from(start.place)].zone, start.at),
        place: start.place,
        log_id: long_id(spec.seed, FitbitLog::Activities, origin, start.at),
        origin,
        edit: None,
        late: false,
    };
    starts.into_iter().zip(0..).map(record).collect()
}

fn sleeps(person: &Person, spec: &Spec) -> Vec<Record> {
    let zone = PLACES[usize::from(person.home)].zone;
    let mut records = Vec::new();
    for (number, (date, nth)) in
        (0..).zip(days(spec.seed, TIMES + 1, spec.sleeps, spec.years, spec.until))
    {
        let mut dice = Dice::new(spec.seed, TIMES + 1, number);
        // Into bed between half past nine the evening before and half past one; naps after noon.
        let hours = if nth == 0 { dice.between(-2.5, 1.5) } else { dice.between(12.5, 21.0) };
        let origin = if nth == 0 { number } else { number | night::NAP };
        let at = calendar::instant(zone, date, rounded(hours * HOUR_S));
        records.push(Record {
            at,
            wall: walltime::of(zone, at + night::length_s(person, origin)),
            place: person.home,
            log_id: long_id(spec.seed, FitbitLog::Sleep, number, at),
            origin,
            edit: None,
            late: false,
        });
    }
    records
}

fn millis(at: i64) -> u64 {
    u64::try_from(at).unwrap_or(0) * 1000
}

/// Rising numbers at first, later such that look random.
fn long_id(seed: u64, log: FitbitLog, origin: u64, at: i64) -> u64 {
    let first = if log == FitbitLog::Sleep { 26_013_218_219 } else { 19_018_673_358 };
    if at < LONG_IDS_SINCE {
        return first + origin * 17;
    }
    1_000_000_000_000_000_000 + mix(mix(seed ^ first) ^ origin) % 8_000_000_000_000_000_000
}
