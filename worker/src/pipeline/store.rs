//! Store: reads every staged item in full, joins weather and place, and upserts a batch a transaction.
//! A record that cannot be read or stored fails alone, with its reason.

use super::{
    Run,
    enrich::count,
    pages::{self, Kept},
    weather::{self, Known},
};
use crate::{attempt::Error, places, providers::strava, weather::reachable};
use chrono::Utc;
use futures::future::BoxFuture;
use paceline_shared::{
    activity::{Activity, EnrichmentStatus, Weather},
    db::{
        self,
        activities::{self, Origin, Record, Upserted},
        connections,
        fenced::Fenced,
        record_failures::{self, NewFailure},
    },
    progress::{Checkpoint, Counts},
};
use serde_json::{Map, json};
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};

pub(super) async fn run(
    run: &mut Run<'_>,
    first_page: i32,
    mut next_item: i32,
) -> Result<(), Error> {
    if run.job.options.include_geocoding {
        // Begun in fetch, as a rule, and done by now. Were it to panic, the first look-up would say so.
        let _loaded = tokio::task::spawn_blocking(places::load).await;
    }
    let size = usize::from(run.job.options.batch_size.max(1));
    let mut before = run.ids_before(first_page).await?;
    for page in first_page..=run.counts.pages {
        let body = run.staged(page).await?;
        let (cut, ids) = pages::cut(run.items(&body)?, &run.job.options, &before);
        before = ids;
        let rest =
            cut.kept.into_iter().filter(|kept| kept.position >= next_item).collect::<Vec<_>>();
        for batch in rest.chunks(size) {
            run.safe_point()?;
            let to = batch.last().map_or(0, |kept| kept.position + 1);
            store(run, page, batch, Checkpoint::Store { next_page: page, next_item: to }).await?;
        }
        next_item = 0;
    }
    let mut tx = run.begin().await?;
    // Only a sync that read all sport types has covered its range.
    if run.job.options.activity_types.is_empty() {
        let covered =
            connections::cover(tx.connection(), run.job.connection, run.job.id, run.job.range)
                .await;
        covered.map_err(|error| run.db(error))?;
    }
    run.commit(tx, Checkpoint::Done, run.counts).await
}

/// A batch, read and joined.
struct Batch<'a> {
    records: Vec<(i32, Record<'a>)>,
    unreadable: Vec<NewFailure>,
}

async fn store(
    run: &mut Run<'_>,
    page: i32,
    kept: &[Kept<'_>],
    to: Checkpoint,
) -> Result<(), Error> {
    let known =
        Known::load(&run.app.db, &weather::wanted(kept)).await.map_err(|error| run.db(error))?;
    let batch = join(run, page, kept, &known);
    let job = run.job;
    let origin =
        Origin { user: job.user, connection: job.connection, provider: job.provider, job: job.id };
    let records: Vec<Record<'_>> = batch.records.iter().map(|(_, record)| record.clone()).collect();

    let mut tx = run.begin().await?;
    let (upserted, refused) = match activities::upsert(tx.connection(), origin, &records).await {
        Ok(upserted) => (upserted, vec![]),
        Err(db::Error::Refused(_)) => {
            // The refusal has ended the transaction; the next one finds out which record it was.
            drop(tx);
            tx = run.begin().await?;
            apart(&mut tx, origin, page, &batch.records).await.map_err(|error| run.db(error))?
        }
        Err(error) => return Err(run.db(error)),
    };
    let is_refused = |position: &i32| refused.iter().any(|failure| failure.position == *position);
    let geocoded = batch
        .records
        .iter()
        .filter(|(at, r)| r.place_status == EnrichmentStatus::Enriched && !is_refused(at))
        .count();
    let failures = [batch.unreadable, refused].concat();
    record_failures::put(tx.connection(), job.id, &failures)
        .await
        .map_err(|error| run.db(error))?;
    let counts = Counts {
        saved: run.counts.saved + upserted.saved,
        updated: run.counts.updated + upserted.updated,
        unchanged: run.counts.unchanged + upserted.unchanged,
        failed: run.counts.failed + count(failures.len()),
        geocoded: run.counts.geocoded + count(geocoded),
        ..run.counts
    };
    metrics::counter!("paceline_records_stored_total", "provider" => job.provider.as_str())
        .increment(u64::try_from(upserted.saved + upserted.updated).unwrap_or(0));
    run.commit(tx, to, counts).await
}

/// Reads the items and adds what is known of weather and place.
fn join<'a>(run: &Run<'_>, page: i32, kept: &[Kept<'a>], known: &Known) -> Batch<'a> {
    let mut batch = Batch { records: Vec::with_capacity(kept.len()), unreadable: vec![] };
    for Kept { position, item } in kept {
        match strava::read(item.raw) {
            Ok(activity) => batch.records.push((*position, record(run, activity, item.raw, known))),
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

fn record<'a>(run: &Run<'_>, activity: Activity, raw: &'a str, known: &Known) -> Record<'a> {
    let options = &run.job.options;
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
    Record {
        activity,
        weather_status,
        weather,
        place_status,
        place,
        provenance: serde_json::Value::Object(provenance).to_string(),
        payload: raw,
        content_hash: Sha256::digest(raw).into(),
    }
}

/// Upserts a batch in which some record is refused: halves it until the refused ones stand alone.
fn apart<'a>(
    tx: &'a mut Fenced,
    origin: Origin,
    page: i32,
    records: &'a [(i32, Record<'_>)],
) -> BoxFuture<'a, Result<(Upserted, Vec<NewFailure>), db::Error>> {
    Box::pin(async move { halves(tx.connection(), origin, page, records).await })
}

fn halves<'a>(
    tx: &'a mut PgConnection,
    origin: Origin,
    page: i32,
    records: &'a [(i32, Record<'_>)],
) -> BoxFuture<'a, Result<(Upserted, Vec<NewFailure>), db::Error>> {
    Box::pin(async move {
        let batch: Vec<Record<'_>> = records.iter().map(|(_, record)| record.clone()).collect();
        let mut savepoint = tx.begin().await?;
        match activities::upsert(&mut savepoint, origin, &batch).await {
            Ok(upserted) => {
                savepoint.commit().await?;
                Ok((upserted, vec![]))
            }
            Err(error @ db::Error::Refused(_)) => {
                savepoint.rollback().await?;
                if let [(position, record)] = records {
                    let failure = NewFailure {
                        page,
                        position: *position,
                        record_id: Some(record.activity.record_id.clone()),
                        code: "refused",
                        message: error.reason(),
                        record: record.payload.to_owned(),
                    };
                    return Ok((Upserted::default(), vec![failure]));
                }
                let (left, right) = records.split_at(records.len() / 2);
                let (a, mut failures) = halves(tx, origin, page, left).await?;
                let (b, more) = halves(tx, origin, page, right).await?;
                failures.extend(more);
                let both = Upserted {
                    saved: a.saved + b.saved,
                    updated: a.updated + b.updated,
                    unchanged: a.unchanged + b.unchanged,
                };
                Ok((both, failures))
            }
            Err(error) => Err(error),
        }
    })
}
