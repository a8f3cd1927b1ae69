//! One Garmin user: a person, what they granted, and their summaries.
//!
//! Must not know tokens or HTTP.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::draw::Subject;
use super::history::{self, Extent};
use super::store::{SETTLED, Slot, Store, TENTATIVE, Upload};
use super::summary_type::GarminType;
use crate::error::Error;
use crate::patch;
use crate::person::Person;

/// Identifiers a user's activities may use; the next user's begin after them.
pub(super) const IDS_PER_USER: u64 = 1_000_000;
/// Numbers of summaries that were added begin here, above those of any history.
const ADDED: u32 = 2_000_000;

#[derive(Debug)]
pub(crate) struct User {
    pub(super) id: String,
    pub(super) person: Person,
    pub(super) permissions: BTreeSet<String>,
    /// Part of most summary ids; every two users share one.
    prefix: u32,
    first_activity: u64,
    /// In the order of [`GarminType::HELD`].
    stores: Vec<Store>,
    next_added: u32,
    pub(super) edited: u64,
    /// Requests for backfill that were accepted, and those that had been before.
    pub(super) backfills: (u64, u64),
}

/// What to draw a user from.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) id: String,
    pub(super) seed: u64,
    pub(super) prefix: u32,
    pub(super) first_activity: u64,
    pub(super) extent: Extent,
}

impl User {
    pub(super) fn new(spec: Spec) -> Self {
        let person = Person::new(spec.seed);
        let stores = history::stores(&person, spec.extent);
        Self {
            id: spec.id,
            person,
            permissions: BTreeSet::new(),
            prefix: spec.prefix,
            first_activity: spec.first_activity,
            stores,
            next_added: ADDED,
            edited: 0,
            backfills: (0, 0),
        }
    }

    /// `None` for types that hold nothing.
    pub(super) fn store(&self, of: GarminType) -> Option<&Store> {
        self.stores.get(GarminType::HELD.iter().position(|&held| held == of)?)
    }

    fn store_mut(&mut self, of: GarminType) -> Option<&mut Store> {
        self.stores.get_mut(GarminType::HELD.iter().position(|&held| held == of)?)
    }

    pub(super) fn stores(&self) -> impl Iterator<Item = (GarminType, &Store)> {
        GarminType::HELD.into_iter().zip(&self.stores)
    }

    /// A pull: the texts of what was uploaded from `from` to `to`, both included.
    pub(super) fn uploaded(&self, of: GarminType, from: i64, to: i64) -> Vec<String> {
        let uploads = self.store(of).map(|store| store.uploaded(from, to)).unwrap_or_default();
        uploads.iter().map(|upload| self.json(of, upload.slot, upload.version)).collect()
    }

    /// The newest text of a slot.
    pub(super) fn latest(&self, of: GarminType, slot: usize) -> String {
        let version = self.store(of).map_or(SETTLED, |store| store.latest(slot));
        self.json(of, slot, version)
    }

    fn json(&self, of: GarminType, slot: usize, version: u32) -> String {
        let Some(store) = self.store(of) else { return String::new() };
        if let Some(text) = store.edited(slot, version) {
            return text.to_owned();
        }
        let drawn = store.slot(slot);
        let subject = Subject {
            person: &self.person,
            user: &self.id,
            of,
            summary_id: self.summary_id(of, &drawn),
            activity_id: self.first_activity + u64::from(drawn.number),
            number: drawn.number,
            at: drawn.drawn,
            place: drawn.place,
            tentative: version == TENTATIVE,
        };
        subject.json()
    }

    /// Activities are told by their number, days by their date, the rest by its start: so a date's
    /// day and metrics share an id, and so do two users' of one prefix.
    fn summary_id(&self, of: GarminType, slot: &Slot) -> String {
        let (prefix, key, number) = (self.prefix, slot.key, slot.number);
        match of {
            GarminType::Activities | GarminType::ManuallyUpdatedActivities => {
                (self.first_activity + u64::from(number)).to_string()
            }
            _ if slot.added => format!("x{prefix:07x}-{key:08x}-{number:x}"),
            _ => format!("x{prefix:07x}-{key:08x}"),
        }
    }

    /// The slot of a summary that is there.
    pub(super) fn find(&self, of: GarminType, summary_id: &str) -> Result<usize, Error> {
        let store = self.store(of);
        let found = store.and_then(|store| {
            let is = |&slot: &usize| self.summary_id(of, &store.slot(slot)) == summary_id;
            store.present().find(is)
        });
        found.ok_or_else(|| Error::UnknownRecord(format!("{}/{summary_id}", of.name())))
    }

    /// Replaces the fields of `patch`, whatever their types, and uploads the summary again.
    pub(super) fn edit(
        &mut self,
        of: GarminType,
        slot: usize,
        patch: &str,
        now: i64,
    ) -> Result<(), Error> {
        let (text, at) = self.patched(of, slot, patch)?;
        if let Some(store) = self.store_mut(of) {
            store.edit(slot, text, at);
            let version = store.latest(slot);
            store.upload(Upload { at: now, slot, version });
            self.edited += 1;
        }
        Ok(())
    }

    /// The newest text with other fields, and when it began by them.
    fn patched(
        &self,
        of: GarminType,
        slot: usize,
        patch: &str,
    ) -> Result<(String, Option<i64>), Error> {
        let fields = patch::patched(&self.latest(of, slot), patch, &["userId", "summaryId"])?;
        let at = of.time_field().and_then(|name| patch::read::<i64>(&fields, name));
        Ok((patch::text(&fields)?, at))
    }

    pub(super) fn delete(&mut self, of: GarminType, slot: usize) {
        if let Some(store) = self.store_mut(of) {
            store.delete(slot);
        }
    }

    /// A summary that began at `at`, uploaded now, with the fields of `patch` in place.
    pub(super) fn add(
        &mut self,
        of: GarminType,
        at: i64,
        patch: Option<&str>,
        now: i64,
    ) -> Result<usize, Error> {
        let (place, number) = (self.person.home, self.next_added);
        let none = || Error::UnknownRecord(format!("{}, which hold nothing here", of.name()));
        let store = self.store_mut(of).ok_or_else(none)?;
        let slot = Slot { at, drawn: at, key: at, place, number, added: true, deleted: false };
        let slot = store.add(slot);
        self.next_added += 1;
        let mut text = None;
        if let Some(patch) = patch {
            match self.patched(of, slot, patch) {
                Ok(patched) => text = Some(patched),
                Err(error) => {
                    self.delete(of, slot);
                    return Err(error);
                }
            }
        }
        if let Some(store) = self.store_mut(of) {
            if let Some((text, at)) = text {
                store.edit(slot, text, at);
            }
            let version = store.latest(slot);
            store.upload(Upload { at: now, slot, version });
        }
        Ok(slot)
    }

    /// Uploads again, at `at`, what began in `from` (included) to `to` (excluded); false when all of
    /// it was asked for before.
    pub(super) fn backfill(&mut self, of: GarminType, from: i64, to: i64, at: i64) -> bool {
        // A type that holds nothing has no memory of what was asked for either.
        let Some(store) = self.store_mut(of) else { return true };
        let new = store.ask(from, to);
        if new {
            let found = store.began(from, to);
            let uploads: Vec<Upload> = found
                .into_iter()
                .map(|slot| Upload { at, slot, version: store.latest(slot) })
                .collect();
            store.upload_all(uploads.into_iter());
            self.backfills.0 += 1;
        } else {
            self.backfills.1 += 1;
        }
        new
    }

    /// The user left the application: a later consent may ask for the same ranges again.
    pub(super) fn forget_backfills(&mut self) {
        self.stores.iter_mut().for_each(Store::forget_asked);
    }

    /// Some of the newest texts that began after `after` and before `before`, oldest first, and where
    /// to go on.
    pub(super) fn truth(
        &self,
        of: GarminType,
        (after, before): (Option<i64>, Option<i64>),
        cursor: usize,
        limit: usize,
    ) -> (Vec<Box<RawValue>>, Option<usize>) {
        let from = after.map_or(i64::MIN, |after| after.saturating_add(1));
        let list = self.store(of).map(|store| store.began(from, before.unwrap_or(i64::MAX)));
        let list = list.unwrap_or_default();
        let texts = list.iter().skip(cursor).take(limit);
        let texts =
            texts.filter_map(|&slot| RawValue::from_string(self.latest(of, slot)).ok()).collect();
        let end = cursor.saturating_add(limit);
        (texts, (end < list.len()).then_some(end))
    }
}
