//! Staged pages: compressed, read again, and cut down to the items that the sync wants. Every phase sees
//! the same items, because what is left out depends on the pages alone.

use super::failed;
use crate::{
    attempt::Error,
    job::{App, Job},
    providers::{Item, Plan, Source, Staged},
};
use chrono::{DateTime, Utc};
use paceline_shared::{
    db::{self, staged_pages},
    failure::Code,
    progress::Phase,
    sync_spec::SyncOptions,
};
use serde::Deserialize as _;
use serde_json::{Map, Value};
use std::{collections::HashSet, sync::Arc};

/// Fast rather than small: pages live for minutes.
const ZSTD_LEVEL: i32 = 1;
/// No page of any provider is larger than this when unpacked.
const UNPACKED_LIMIT: usize = 64 << 20;

/// The page that holds the plan.
pub(super) const PLAN: i32 = 0;

/// The ids on a page, to notice the items that the next page of the same list repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ids {
    stream: String,
    /// Each with what tells it from others of the same id.
    ids: HashSet<(String, Option<String>)>,
}

impl Ids {
    /// The records' ids.
    pub(super) fn records(&self) -> Vec<String> {
        let ids: HashSet<&str> = self.ids.iter().map(|(id, _)| id.as_str()).collect();
        ids.into_iter().map(str::to_owned).collect()
    }
}

/// Compresses a body for the table.
pub(super) fn pack(body: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::bulk::compress(body, ZSTD_LEVEL)
}

/// What [`pack`] packed; an empty body stays empty.
fn unpack(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    if packed.is_empty() { Ok(vec![]) } else { zstd::bulk::decompress(packed, UNPACKED_LIMIT) }
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
pub(super) fn cut<'a>(
    stream: &str,
    items: Vec<Item<'a>>,
    options: &SyncOptions,
    before: &Ids,
) -> (Cut<'a>, Ids) {
    let mut cut = Cut::default();
    let mut ids = Ids { stream: stream.to_owned(), ids: HashSet::with_capacity(items.len()) };
    let before = (before.stream == stream).then_some(before);
    for (position, item) in (0..).zip(items) {
        let repeated = item.glance.record_id.as_ref().is_some_and(|id| {
            // All ids of the page count for the next one, those that came again as well.
            let id = (id.clone(), item.glance.distinct.clone());
            let known = before.is_some_and(|before| before.ids.contains(&id));
            !ids.ids.insert(id) || known
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

/// A staged page, unpacked.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) stream: String,
    pub(super) body: Vec<u8>,
    pub(super) context: Option<Value>,
    pub(super) staged_at: DateTime<Utc>,
}

/// The staged pages of a job, to be read in a phase, from any task.
#[derive(Clone)]
pub(super) struct Pages {
    pub(super) app: App,
    pub(super) job: Job,
    pub(super) source: Arc<dyn Source>,
    phase: Phase,
}

impl Pages {
    pub(super) const fn new(app: App, job: Job, source: Arc<dyn Source>, phase: Phase) -> Self {
        Self { app, job, source, phase }
    }

    /// A staged page; `None` past the last.
    async fn staged(&self, page: i32) -> Result<Option<staged_pages::Page>, Error> {
        staged_pages::page(&self.app.db, self.job.id, page).await.map_err(|error| self.db(error))
    }

    fn gone(&self, page: i32) -> Error {
        let message = format!("staged page {page} is missing or broken");
        failed(self.phase, Code::UnknownError, message, Map::new())
    }

    /// A staged page.
    pub(super) async fn open(&self, page: i32) -> Result<Opened, Error> {
        let packed = self.staged(page).await?.ok_or_else(|| self.gone(page))?;
        let body = unpack(&packed.body).map_err(|_e| self.gone(page))?;
        let (context, staged_at) = (packed.context, packed.staged_at);
        Ok(Opened { stream: packed.stream, body, context, staged_at })
    }

    /// The plan that the sync goes by; `None`: it has none yet.
    pub(super) async fn plan(&self) -> Result<Option<Plan>, Error> {
        let Some(staged) = self.staged(PLAN).await? else { return Ok(None) };
        let plan = Plan::deserialize(staged.context.unwrap_or_default());
        plan.map(Some).map_err(|error| {
            let message = format!("the plan of this sync cannot be read: {error}");
            failed(self.phase, Code::UnknownError, message, Map::new())
        })
    }

    /// The step after a page; `None`: there is none.
    pub(super) async fn step_after(&self, page: i32) -> Result<Option<Value>, Error> {
        let step = staged_pages::next_step(&self.app.db, self.job.id, page).await;
        step.map_err(|error| self.db(error))?.ok_or_else(|| self.gone(page))
    }

    /// The ids on the page before `page`, for a phase that begins there.
    pub(super) async fn ids_before(&self, page: i32) -> Result<Ids, Error> {
        if page <= 1 {
            return Ok(Ids::default());
        }
        let opened = self.open(page - 1).await?;
        let (_, ids) = self.cut(&opened, &Ids::default())?;
        Ok(ids)
    }

    /// The items of a page that the sync wants.
    pub(super) fn cut<'a>(
        &self,
        opened: &'a Opened,
        before: &Ids,
    ) -> Result<(Cut<'a>, Ids), Error> {
        let staged = self.view(opened);
        let items = if opened.body.is_empty() {
            vec![]
        } else {
            self.source.items(&staged).map_err(|error| {
                failed(self.phase, Code::InvalidData, error.to_string(), Map::new())
            })?
        };
        Ok(cut(&opened.stream, items, &self.job.options, before))
    }

    /// A page as its provider's file reads it.
    pub(super) fn view<'a>(&self, opened: &'a Opened) -> Staged<'a> {
        Staged {
            provider: self.job.provider,
            stream: &opened.stream,
            body: &opened.body,
            context: opened.context.as_ref(),
        }
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
            ..Glance::default()
        };
        Item { raw: "{}", glance }
    }

    fn of(stream: &str, items: Vec<Item<'static>>, before: &Ids) -> (Cut<'static>, Ids) {
        cut(stream, items, &SyncOptions::default(), before)
    }

    #[test]
    fn an_item_that_the_page_before_had_is_a_duplicate() {
        let (first, ids) = of("a", vec![item("1", "Run"), item("2", "Run")], &Ids::default());
        assert_eq!((first.kept.len(), first.duplicates), (2, 0));
        let again = || vec![item("2", "Run"), item("3", "Run"), item("3", "Run")];
        let (second, _) = of("a", again(), &ids);
        assert_eq!((second.kept.len(), second.duplicates), (1, 2));
        assert_eq!(second.kept[0].position, 1, "positions are those of the whole page");
        assert_eq!(of("b", again(), &ids).0.duplicates, 1, "another list has its own ids");
    }

    #[test]
    fn what_an_item_is_told_apart_by_makes_it_another() {
        let distinct = |at: &str| {
            let mut item = item("1", "");
            item.glance.distinct = Some(at.to_owned());
            item
        };
        let (cut, ids) = of("a", vec![distinct("7:00"), distinct("8:00")], &Ids::default());
        assert_eq!((cut.kept.len(), cut.duplicates), (2, 0));
        assert_eq!(ids.records(), ["1"]);
    }

    #[test]
    fn the_ids_of_a_page_are_all_of_its_ids_however_it_was_come_to() {
        let (_, before) = of("a", vec![item("1", "Run")], &Ids::default());
        let page = || vec![item("1", "Run"), item("2", "Run")];
        assert_eq!(of("a", page(), &before).1, of("a", page(), &Ids::default()).1);
    }

    #[test]
    fn unwanted_sports_are_counted_and_unreadable_ones_kept() {
        let options =
            SyncOptions { activity_types: vec!["Run".to_owned()], ..SyncOptions::default() };
        let items = vec![item("1", "Run"), item("2", "Ride"), item("", "")];
        let (cut, ids) = cut("a", items, &options, &Ids::default());
        assert_eq!((cut.kept.len(), cut.filtered), (2, 1));
        assert_eq!(
            ids.records().len(),
            2,
            "what is left out is there at the provider all the same"
        );
    }

    #[test]
    fn a_page_survives_packing() {
        let body = vec![b'x'; 100_000];
        let packed = pack(&body).unwrap();
        assert!(packed.len() < 1000);
        assert_eq!(unpack(&packed).unwrap(), body);
        assert_eq!(unpack(&[]).unwrap(), Vec::<u8>::new());
    }
}
