//! What store writes: a staged page read in full and joined with weather and place. It needs no lease
//! and writes nothing, so it goes on for the next page while this one is being written.

use super::{
    pages::{self, Ids, Kept, Pages},
    weather::{self, Known},
};
use crate::{attempt::Error, places, providers::strava, weather::reachable};
use chrono::Utc;
use paceline_shared::{
    activity::{Activity, EnrichmentStatus, Place, Weather},
    db::{activities::Record, record_failures::NewFailure},
    sync_spec::SyncOptions,
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Records that are written in one transaction.
pub(super) struct Batch {
    pub(super) joined: Vec<Joined>,
    pub(super) unreadable: Vec<NewFailure>,
    /// The place on the page behind the last of them.
    pub(super) next_item: i32,
}

/// A record with all that is known of it.
pub(super) struct Joined {
    pub(super) position: i32,
    activity: Activity,
    weather_status: EnrichmentStatus,
    weather: Weather,
    place_status: EnrichmentStatus,
    place: Option<Place>,
    provenance: String,
    payload: String,
    content_hash: [u8; 32],
}

impl Joined {
    pub(super) fn record(&self) -> Record<'_> {
        Record {
            activity: &self.activity,
            weather_status: self.weather_status,
            weather: self.weather,
            place_status: self.place_status,
            place: self.place.as_ref(),
            provenance: &self.provenance,
            payload: &self.payload,
            content_hash: self.content_hash,
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
    let options = &pages.job.options;
    let body = pages.body(page).await?;
    let (cut, ids) = pages::cut(pages.items(&body)?, options, &before);
    let rest: Vec<_> = cut.kept.into_iter().filter(|kept| kept.position >= next_item).collect();
    let mut batches = Vec::new();
    for kept in rest.chunks(usize::from(options.batch_size.max(1))) {
        let known = Known::load(&pages.app.db, &weather::wanted(kept)).await;
        let known = known.map_err(|error| pages.db(error))?;
        batches.push(join(options, page, kept, &known));
    }
    Ok((batches, ids))
}

/// Reads the items and adds what is known of weather and place.
fn join(options: &SyncOptions, page: i32, kept: &[Kept<'_>], known: &Known) -> Batch {
    let next_item = kept.last().map_or(0, |kept| kept.position + 1);
    let mut batch = Batch { joined: Vec::with_capacity(kept.len()), unreadable: vec![], next_item };
    for Kept { position, item } in kept {
        match strava::read(item.raw) {
            Ok(activity) => {
                batch.joined.push(joined(options, *position, activity, item.raw, known));
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

fn joined(
    options: &SyncOptions,
    position: i32,
    activity: Activity,
    raw: &str,
    known: &Known,
) -> Joined {
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
    Joined {
        position,
        activity,
        weather_status,
        weather,
        place_status,
        place,
        provenance: Value::Object(provenance).to_string(),
        payload: raw.to_owned(),
        content_hash: Sha256::digest(raw).into(),
    }
}
