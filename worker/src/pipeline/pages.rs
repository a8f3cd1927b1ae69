//! Staged pages: compressed, read again, and cut down to the items that the sync wants. Every phase sees
//! the same items, because what is left out depends on the pages alone.

use super::failed;
use crate::{
    attempt::Error,
    job::{App, Job},
    providers::{Item, strava},
};
use paceline_shared::{
    db::{self, staged_pages},
    failure::Code,
    progress::Phase,
    sync_spec::SyncOptions,
};
use serde_json::Map;
use std::collections::HashSet;

/// Fast rather than small: pages live for minutes.
const ZSTD_LEVEL: i32 = 1;
/// No page of any provider is larger than this when unpacked.
const UNPACKED_LIMIT: usize = 64 << 20;

/// The ids on a page, to notice the items that the next page repeats.
pub(super) type Ids = HashSet<String>;

/// Compresses a body for the table.
pub(super) fn pack(body: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::bulk::compress(body, ZSTD_LEVEL)
}

/// An item that the sync wants, with its place on the page.
#[derive(Debug)]
pub(super) struct Kept<'a> {
    pub(super) position: i32,
    pub(super) item: Item<'a>,
}

/// A page cut down.
#[derive(Debug, Default)]
pub(super) struct Cut<'a> {
    pub(super) kept: Vec<Kept<'a>>,
    pub(super) filtered: i32,
    pub(super) duplicates: i32,
}

/// Cuts a page down: no unwanted sport types, and nothing that stood on this page or the one before.
///
/// A provider's list may shift by some items while it is read, so that the end of one page comes again
/// at the start of the next. What shifts further is still no harm: it is stored once, by its id.
pub(super) fn cut<'a>(items: Vec<Item<'a>>, options: &SyncOptions, before: &Ids) -> (Cut<'a>, Ids) {
    let mut cut = Cut::default();
    let mut ids = Ids::with_capacity(items.len());
    for (position, item) in (0..).zip(items) {
        let repeated = item.glance.record_id.as_ref().is_some_and(|id| {
            // All ids of the page count for the next one, those that came again as well.
            let fresh = ids.insert(id.clone());
            !fresh || before.contains(id)
        });
        if repeated {
            cut.duplicates += 1;
        } else if wanted(&item, options) {
            cut.kept.push(Kept { position, item });
        } else {
            cut.filtered += 1;
        }
    }
    (cut, ids)
}

/// An item whose type cannot be read is kept: it fails alone, with its reason.
fn wanted(item: &Item<'_>, options: &SyncOptions) -> bool {
    let types = &options.activity_types;
    types.is_empty() || item.glance.sport_type.as_ref().is_none_or(|sport| types.contains(sport))
}

/// The staged pages of a job, to be read in a phase, from any task.
#[derive(Clone)]
pub(super) struct Pages {
    pub(super) app: App,
    pub(super) job: Job,
    phase: Phase,
}

impl Pages {
    pub(super) const fn new(app: App, job: Job, phase: Phase) -> Self {
        Self { app, job, phase }
    }

    /// The unpacked body of a staged page.
    pub(super) async fn body(&self, page: i32) -> Result<Vec<u8>, Error> {
        let packed =
            staged_pages::body(&self.app.db, self.job.id, page).await.map_err(|e| self.db(e))?;
        let gone = || {
            let message = format!("staged page {page} is missing or broken");
            failed(self.phase, Code::UnknownError, message, Map::new())
        };
        zstd::bulk::decompress(&packed.ok_or_else(gone)?, UNPACKED_LIMIT).map_err(|_e| gone())
    }

    /// The ids on the page before `page`, for a phase that begins there.
    pub(super) async fn ids_before(&self, page: i32) -> Result<Ids, Error> {
        if page <= 1 {
            return Ok(Ids::new());
        }
        let body = self.body(page - 1).await?;
        Ok(self.items(&body)?.into_iter().filter_map(|item| item.glance.record_id).collect())
    }

    /// The items of a body.
    pub(super) fn items<'a>(&self, body: &'a [u8]) -> Result<Vec<Item<'a>>, Error> {
        strava::items(body)
            .map_err(|error| failed(self.phase, Code::InvalidData, error.to_string(), Map::new()))
    }

    pub(super) fn db(&self, error: db::Error) -> Error {
        Error::Db { error, phase: self.phase }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::Glance;

    fn item(id: &str, sport: &str) -> Item<'static> {
        let glance = Glance {
            record_id: (!id.is_empty()).then(|| id.to_owned()),
            sport_type: (!sport.is_empty()).then(|| sport.to_owned()),
            start_at: None,
            start: None,
        };
        Item { raw: "{}", glance }
    }

    #[test]
    fn an_item_that_the_page_before_had_is_a_duplicate() {
        let (first, ids) =
            cut(vec![item("1", "Run"), item("2", "Run")], &SyncOptions::default(), &Ids::new());
        assert_eq!((first.kept.len(), first.duplicates), (2, 0));
        let (second, _) = cut(
            vec![item("2", "Run"), item("3", "Run"), item("3", "Run")],
            &SyncOptions::default(),
            &ids,
        );
        assert_eq!((second.kept.len(), second.duplicates), (1, 2));
        assert_eq!(second.kept[0].position, 1, "positions are those of the whole page");
    }

    #[test]
    fn the_ids_of_a_page_are_all_of_its_ids_however_it_was_come_to() {
        let before = Ids::from(["1".to_owned()]);
        let (_, ids) =
            cut(vec![item("1", "Run"), item("2", "Run")], &SyncOptions::default(), &before);
        assert_eq!(ids, Ids::from(["1".to_owned(), "2".to_owned()]));
    }

    #[test]
    fn unwanted_sports_are_counted_and_unreadable_ones_kept() {
        let options =
            SyncOptions { activity_types: vec!["Run".to_owned()], ..SyncOptions::default() };
        let (cut, _) =
            cut(vec![item("1", "Run"), item("2", "Ride"), item("", "")], &options, &Ids::new());
        assert_eq!((cut.kept.len(), cut.filtered), (2, 1));
    }

    #[test]
    fn a_page_survives_packing() {
        let body = vec![b'x'; 100_000];
        let packed = pack(&body).unwrap();
        assert!(packed.len() < 1000);
        assert_eq!(zstd::bulk::decompress(&packed, UNPACKED_LIMIT).unwrap(), body);
    }
}
