//! One athlete and the activities Strava holds for them.
//!
//! Generated activities are numbers in a list, drawn when read; only edits keep their text. So an
//! athlete with 100,000 activities costs a few megabytes. Must not know tokens, pages or HTTP.

use std::collections::HashMap;

use chrono::NaiveDate;

use super::edit::{self, Edit};
use super::generate::{self, Subject};
use super::marks::{Mark, Marks};
use super::sports::SPORTS;
use crate::calendar::{self, Start};
use crate::patch::EditError;
use crate::person::Person;

/// Identifiers an athlete's activities may use; the next athlete's begin after them.
pub(super) const IDS_PER_ATHLETE: u64 = 10_000_000;

#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) start: Start,
    pub(super) sport: u8,
    pub(super) marks: Marks,
}

#[derive(Debug)]
pub(crate) struct Athlete {
    pub(super) id: u64,
    pub(super) person: Person,
    first_activity: u64,
    /// By number; a number is never used twice.
    slots: Vec<Slot>,
    /// Numbers of what is there, by start and then number.
    timeline: Vec<u32>,
    edits: HashMap<u32, Edit>,
    pub(super) edited: u64,
}

/// What to draw an athlete from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub(super) id: u64,
    pub(super) first_activity: u64,
    pub(super) seed: u64,
    pub(super) activities: u32,
    pub(super) years: u32,
    pub(super) until: NaiveDate,
}

impl Athlete {
    pub(super) fn new(spec: Spec) -> Self {
        let person = Person::new(spec.seed);
        let activities = usize::try_from(spec.activities).unwrap_or(usize::MAX);
        let starts = calendar::starts(&person, activities, spec.years, spec.until);
        let slots: Vec<Slot> = starts
            .into_iter()
            .zip(0..)
            .map(|(start, index)| {
                let (sport, marks) = generate::facts(&person, index, start.place);
                Slot { start, sport, marks }
            })
            .collect();
        let timeline = (0..spec.activities).collect();
        Self {
            id: spec.id,
            person,
            first_activity: spec.first_activity,
            slots,
            timeline,
            edits: HashMap::new(),
            edited: 0,
        }
    }

    /// What starts after `after` and before `before` (Unix seconds, both excluded), oldest first.
    pub(super) fn range(&self, after: Option<i64>, before: Option<i64>) -> &[u32] {
        let from = after.map_or(0, |after| self.position(|start| start <= after));
        let to = before.map_or(self.timeline.len(), |before| self.position(|start| start < before));
        self.timeline.get(from..to).unwrap_or_default()
    }

    fn position(&self, goes_before: impl Fn(i64) -> bool) -> usize {
        self.timeline.partition_point(|&number| goes_before(self.slot(number).start.at))
    }

    pub(super) fn slot(&self, number: u32) -> &Slot {
        &self.slots[number as usize]
    }

    /// Every activity there ever was, deleted ones included.
    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(super) fn sport_name(&self, number: u32) -> &str {
        let edited = self.edits.get(&number).and_then(|edit| edit.sport_type.as_deref());
        edited.unwrap_or(SPORTS[usize::from(self.slot(number).sport)].name)
    }

    /// The number of an activity that is there, by Strava's id.
    pub(super) fn number(&self, activity: u64) -> Option<u32> {
        let number = u32::try_from(activity.checked_sub(self.first_activity)?).ok()?;
        let slot = self.slots.get(number as usize)?;
        (!slot.marks.has(Mark::Deleted)).then_some(number)
    }

    pub(super) fn activity_id(&self, number: u32) -> u64 {
        self.first_activity + u64::from(number)
    }

    /// Appends the activity's JSON, as it stands in a list.
    pub(super) fn write(&self, number: u32, into: &mut Vec<u8>) {
        if let Some(edit) = self.edits.get(&number) {
            into.extend_from_slice(edit.json.as_bytes());
            return;
        }
        // Writing plain values to memory cannot fail; a bug here would show as broken JSON.
        let _written = serde_json::to_writer(into, &self.subject(number).summary());
    }

    pub(super) fn json(&self, number: u32) -> String {
        let mut text = Vec::with_capacity(2048);
        self.write(number, &mut text);
        String::from_utf8(text).unwrap_or_default()
    }

    fn subject(&self, number: u32) -> Subject<'_> {
        let slot = self.slot(number);
        Subject {
            person: &self.person,
            athlete: self.id,
            id: self.activity_id(number),
            index: u64::from(number),
            start: slot.start,
            sport: slot.sport,
            marks: slot.marks,
        }
    }

    /// Replaces the fields of `patch` (a JSON object), whatever their types; moves the activity
    /// in the timeline when its `start_date` changes.
    pub(super) fn edit(&mut self, number: u32, patch: &str) -> Result<(), EditError> {
        let edit = edit::apply(&self.json(number), patch)?;
        let slot = &mut self.slots[number as usize];
        edit.mark(&mut slot.marks);
        let before = slot.start;
        if let Some(at) = edit.start {
            slot.start.at = at;
        }
        let moved = slot.start != before;
        self.edits.insert(number, edit);
        self.edited += 1;
        if moved {
            self.timeline.retain(|&other| other != number);
            self.insert(number);
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, number: u32) {
        self.slots[number as usize].marks.set(Mark::Deleted, true);
        self.edits.remove(&number);
        self.timeline.retain(|&other| other != number);
    }

    /// A new activity, whenever it began: its id is higher than those of all before.
    pub(super) fn add(&mut self, at: i64) -> Option<u32> {
        let number = u32::try_from(self.slots.len()).ok()?;
        if u64::from(number) >= IDS_PER_ATHLETE {
            return None;
        }
        let start = Start { at, place: self.person.home };
        let (sport, mut marks) = generate::facts(&self.person, u64::from(number), start.place);
        marks.set(Mark::Late, true);
        self.slots.push(Slot { start, sport, marks });
        self.insert(number);
        Some(number)
    }

    fn insert(&mut self, number: u32) {
        let key = |number: u32| (self.slots[number as usize].start.at, number);
        let at = self.timeline.partition_point(|&other| key(other) < key(number));
        self.timeline.insert(at, number);
    }
}
