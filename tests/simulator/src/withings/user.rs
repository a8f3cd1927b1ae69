//! One user and everything Withings holds of theirs.
//!
//! Owns the lists and what an edit, a deletion or a late upload does to them. Must not know tokens or
//! HTTP.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::generate::{self, Amounts, Subject};
use super::record::{Record, WithingsKind};
use super::shelf::Shelf;
use crate::dice::mix;
use crate::error::Error;
use crate::patch::EditError;

#[derive(Debug)]
pub(crate) struct User {
    pub(super) id: u64,
    pub(super) subject: Subject,
    shelves: [Shelf; 4],
}

impl User {
    pub(super) fn new(id: u64, subject: Subject, amounts: Amounts) -> Result<Self, EditError> {
        let mut shelves = WithingsKind::ALL.map(|_| Shelf::default());
        for kind in WithingsKind::ALL {
            let records = generate::list(&subject, kind, amounts);
            let records = records.iter().map(|record| Record::new(kind, record));
            shelves[kind.index()] = Shelf::new(records.collect::<Result<_, _>>()?);
        }
        Ok(Self { id, subject, shelves })
    }

    pub(super) fn name(&self) -> String {
        let person = &self.subject.person;
        format!("{} {}", person.first_name, person.last_name)
    }

    /// The zone of the profile.
    pub(super) fn home(&self) -> Tz {
        self.subject.home()
    }

    /// Withings writes a user's id as a number in one answer and as a string in another: here, always
    /// one way for one user.
    pub(super) fn userid(&self) -> serde_json::Value {
        if mix(self.subject.person.seed).is_multiple_of(2) {
            self.id.into()
        } else {
            self.id.to_string().into()
        }
    }

    pub(super) fn shelf(&self, kind: WithingsKind) -> &Shelf {
        &self.shelves[kind.index()]
    }

    fn shelf_mut(&mut self, kind: WithingsKind) -> &mut Shelf {
        &mut self.shelves[kind.index()]
    }

    pub(super) fn record(&self, kind: WithingsKind, number: usize) -> Result<&Record, Error> {
        self.shelf(kind).get(number).ok_or_else(|| missing(number))
    }

    /// A record that arrives now, of whenever; answers its number.
    pub(super) fn add(
        &mut self,
        kind: WithingsKind,
        at: DateTime<Utc>,
        patch: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<usize, Error> {
        let number = self.shelf(kind).next_number();
        // Above the turns of what was drawn at first: a group of measures has one turn, but may be
        // several records, and a day's turn is not the record's number.
        let turn = 500_000 + u64::try_from(number).unwrap_or(0);
        let record = generate::one(&self.subject, kind, turn, at.timestamp(), now.timestamp());
        let mut record = Record::new(kind, &record)?;
        if let Some(patch) = patch {
            record = record.patched(kind, patch, now.timestamp())?;
        }
        let taken = |other: &Record| kind == WithingsKind::Activity && other.day == record.day;
        if self.shelf(kind).all().any(|(_, other)| taken(other)) {
            let day = record.day.map_or_else(String::new, |day| day.to_string());
            return Err(Error::RecordExists(day));
        }
        self.shelf_mut(kind).add(record);
        Ok(number)
    }

    pub(super) fn edit(
        &mut self,
        kind: WithingsKind,
        number: usize,
        patch: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let record = self.record(kind, number)?.patched(kind, patch, now.timestamp())?;
        self.shelf_mut(kind).replace(number, record);
        Ok(())
    }

    pub(super) fn delete(&mut self, kind: WithingsKind, number: usize) -> Result<(), Error> {
        if self.shelf_mut(kind).delete(number) { Ok(()) } else { Err(missing(number)) }
    }
}

fn missing(number: usize) -> Error {
    Error::UnknownRecord(number.to_string())
}
