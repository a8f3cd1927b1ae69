//! What store writes: a staged page read in full and joined with weather and place. It needs no lease
//! and writes nothing, so it goes on for the next page while this one is being written.

use super::{
    pages::{Ids, Kept, Opened, Pages},
    weather::{self, Known},
};
use crate::{attempt::Error, places, weather::reachable};
use chrono::{DateTime, Utc};
use paceline_shared::{
    activity::{Activity, EnrichmentStatus, Place, Weather},
    db::{activities, daily_summaries, measurements, record_failures::NewFailure},
    record::{DaySummary, Measurement, Record},
    sync_spec::SyncOptions,
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::{collections::HashSet, sync::Arc};

/// Records that are written in one transaction.
pub(super) struct Batch {
    pub(super) stream: String,
    /// When they were read.
    pub(super) as_of: DateTime<Utc>,
    pub(super) joined: Vec<Joined>,
    pub(super) unreadable: Vec<NewFailure>,
    /// Items that they were read from.
    pub(super) items: usize,
    /// The place on the page behind the last of them.
    pub(super) next_item: i32,
}

/// A record with all that is known of it.
pub(super) struct Joined {
    /// The place of its item on the page.
    pub(super) position: i32,
    what: What,
    /// The item as the provider sent it; several records may be from one.
    payload: Arc<str>,
    content_hash: [u8; 32],
}

enum What {
    Activity(Box<Done>),
    Measurement(Box<Measurement>),
    Day(Box<DaySummary>),
}

/// An activity with weather and place.
struct Done {
    activity: Activity,
    weather_status: EnrichmentStatus,
    weather: Weather,
    place_status: EnrichmentStatus,
    place: Option<Place>,
    provenance: String,
}

/// A record as its table takes it.
#[derive(Clone, Copy)]
pub(super) enum Row<'a> {
    Activity(activities::Record<'a>),
    Measurement(measurements::Record<'a>),
    Day(daily_summaries::Record<'a>),
}

impl Row<'_> {
    pub(super) fn is_geocoded(&self) -> bool {
        matches!(self, Self::Activity(record) if record.place_status == EnrichmentStatus::Enriched)
    }

    pub(super) fn record_id(&self) -> &str {
        match self {
            Self::Activity(record) => &record.activity.record_id,
            Self::Measurement(record) => &record.measurement.record_id,
            Self::Day(record) => &record.summary.record_id,
        }
    }

    pub(super) const fn payload(&self) -> &str {
        match self {
            Self::Activity(record) => record.payload,
            Self::Measurement(record) => record.payload,
            Self::Day(record) => record.payload,
        }
    }
}

impl Joined {
    pub(super) fn row<'a>(&'a self, stream: &'a str) -> Row<'a> {
        let (payload, content_hash) = (&*self.payload, self.content_hash);
        match &self.what {
            What::Activity(done) => Row::Activity(activities::Record {
                activity: &done.activity,
                weather_status: done.weather_status,
                weather: done.weather,
                place_status: done.place_status,
                place: done.place.as_ref(),
                stream,
                provenance: &done.provenance,
                payload,
                content_hash,
            }),
            What::Measurement(measurement) => Row::Measurement(measurements::Record {
                measurement,
                stream,
                payload,
                content_hash,
            }),
            What::Day(summary) => {
                Row::Day(daily_summaries::Record { summary, stream, payload, content_hash })
            }
        }
    }
}

/// The batches of a page from `next_item` on, and the ids on it. `before`: those on the page before.
pub(super) async fn page(
    pages: Pages,
    page: i32,
    next_item: i32,
    before: Ids,
) -> Result<(Vec<Batch>, Ids), Error> {
    let opened = pages.open(page).await?;
    let (cut, ids) = pages.cut(&opened, &before)?;
    let rest: Vec<_> = cut.kept.into_iter().filter(|kept| kept.position >= next_item).collect();
    let mut batches = Vec::new();
    for kept in rest.chunks(usize::from(pages.job.options.batch_size.max(1))) {
        let known = Known::load(&pages.app.db, &weather::wanted(kept)).await;
        let known = known.map_err(|error| pages.db(error))?;
        batches.push(join(&pages, &opened, page, kept, &known));
    }
    Ok((batches, ids))
}

/// Reads the items and adds what is known of weather and place. What stands twice in a batch is taken once, the first.
fn join(pages: &Pages, opened: &Opened, page: i32, kept: &[Kept<'_>], known: &Known) -> Batch {
    let mut batch = Batch {
        stream: opened.stream.clone(),
        as_of: opened.staged_at,
        joined: Vec::with_capacity(kept.len()),
        unreadable: vec![],
        items: kept.len(),
        next_item: kept.last().map_or(0, |kept| kept.position + 1),
    };
    let staged = pages.view(opened);
    let mut seen = HashSet::new();
    for Kept { position, item } in kept {
        match pages.source.records(&staged, item) {
            Ok(records) => {
                let payload: Arc<str> = item.raw.into();
                // Of the item alone: a user who travels has not been weighed anew.
                let content_hash = Sha256::digest(item.raw).into();
                for record in records {
                    if seen.insert(identity(&record)) {
                        let what = what(&pages.job.options, record, known);
                        let payload = payload.clone();
                        batch.joined.push(Joined {
                            position: *position,
                            what,
                            payload,
                            content_hash,
                        });
                    }
                }
            }
            Err(error) => batch.unreadable.push(NewFailure {
                page,
                position: *position,
                record_id: item.glance.record_id.clone(),
                code: "unreadable",
                message: error.to_string(),
                record: item.raw.to_owned(),
            }),
        }
    }
    batch
}

/// What a record is in its table, under one list.
fn identity(record: &Record) -> (u8, String, &'static str, String) {
    match record {
        Record::Activity(activity) => (0, activity.record_id.clone(), "", String::new()),
        Record::Measurement(m) => {
            (1, m.record_id.clone(), m.measure.as_str(), m.discriminator.clone())
        }
        Record::Day(day) => (2, day.record_id.clone(), "", String::new()),
    }
}

fn what(options: &SyncOptions, record: Record, known: &Known) -> What {
    match record {
        Record::Activity(activity) => What::Activity(Box::new(done(options, *activity, known))),
        Record::Measurement(measurement) => What::Measurement(measurement),
        Record::Day(day) => What::Day(day),
    }
}

fn done(options: &SyncOptions, activity: Activity, known: &Known) -> Done {
    let mut provenance = Map::new();
    let (weather_status, weather) = match activity.start {
        _ if options.skip_weather_enrichment => (EnrichmentStatus::Skipped, Weather::default()),
        None => (EnrichmentStatus::NotLocatable, Weather::default()),
        Some(start) => match known.at(start, activity.start_at) {
            Some((weather, day)) => {
                let cell = day.at.cell.centre();
                let source = json!({ "source": "open-meteo", "model": day.source.as_str(), "cell": [cell.lat, cell.lon] });
                provenance.insert("weather".to_owned(), source);
                (EnrichmentStatus::Enriched, weather)
            }
            // Before the archive begins there is nothing to wait for.
            None if activity.start_at < Utc::now()
                && !reachable(activity.start_at.date_naive(), Utc::now()) =>
            {
                (EnrichmentStatus::Unavailable, Weather::default())
            }
            None => (EnrichmentStatus::Pending, Weather::default()),
        },
    };
    let (place_status, place) = match activity.start {
        _ if !options.include_geocoding => (EnrichmentStatus::Skipped, None),
        None => (EnrichmentStatus::NotLocatable, None),
        Some(start) => match places::nearest(start) {
            Some(place) => {
                provenance.insert("place".to_owned(), json!({ "source": "geonames" }));
                (EnrichmentStatus::Enriched, Some(place))
            }
            None => (EnrichmentStatus::Unavailable, None),
        },
    };
    let provenance = Value::Object(provenance).to_string();
    Done { activity, weather_status, weather, place_status, place, provenance }
}
