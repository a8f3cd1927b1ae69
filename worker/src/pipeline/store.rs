//! Store: upserts what [`super::join`] made of the staged pages, a batch a transaction.
//! A record that cannot be read or stored fails alone, with its reason.

use super::{
    Run,
    enrich::count,
    join::{self, Batch, Row},
    pages::{Ids, Pages},
    remove,
};
use crate::{attempt::Error, places};
use futures::future::BoxFuture;
use paceline_shared::{
    db::{
        self,
        activities::{self, Origin, Upserted},
        daily_summaries,
        fenced::Fenced,
        measurements,
        record_failures::{self, NewFailure},
    },
    failure::Code,
    progress::{Checkpoint, Counts},
};
use serde_json::Map;
use sqlx::{Connection, PgConnection};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

pub(super) async fn run(run: &mut Run<'_>, first_page: i32, next_item: i32) -> Result<(), Error> {
    if run.job.options.include_geocoding {
        // Begun in fetch, as a rule, and done by now. Were it to panic, the first look-up would say so.
        let _loaded = tokio::task::spawn_blocking(places::load).await;
    }
    let pages = run.pages();
    let before = pages.ids_before(first_page).await?;
    let last_page = run.counts.pages;
    let mut coming =
        (first_page <= last_page).then(|| read(pages.clone(), first_page, next_item, before));
    for page in first_page..=last_page {
        let Some(reading) = coming.take() else { break };
        let (batches, ids) = reading.await.map_err(|_e| panicked(run, page))??;
        coming = (page < last_page).then(|| read(pages.clone(), page + 1, 0, ids));
        for batch in batches {
            run.safe_point()?;
            store(run, page, batch).await?;
        }
    }
    remove::run(run).await
}

/// Reads a page on a task of its own, so that it goes on while Postgres works on the one before.
fn read(
    pages: Pages,
    page: i32,
    next_item: i32,
    before: Ids,
) -> AbortOnDropHandle<Result<(Vec<Batch>, Ids), Error>> {
    let reading = join::page(pages, page, next_item, before);
    AbortOnDropHandle::new(tokio::spawn(reading.in_current_span()))
}

fn panicked(run: &Run<'_>, page: i32) -> Error {
    run.failed(Code::UnknownError, format!("reading staged page {page} panicked"), Map::new())
}

async fn store(run: &mut Run<'_>, page: i32, batch: Batch) -> Result<(), Error> {
    let job = run.job;
    let origin = Origin {
        user: job.user,
        connection: job.connection,
        provider: job.provider,
        job: job.id,
        as_of: batch.as_of,
    };
    let rows: Vec<(i32, Row<'_>)> =
        batch.joined.iter().map(|joined| (joined.position, joined.row(&batch.stream))).collect();

    let mut tx = run.begin().await?;
    let (upserted, refused) = match db::answered(upsert(tx.connection(), origin, &rows)).await {
        Ok(upserted) => (upserted, vec![]),
        Err(db::Error::Refused(_)) => {
            // The refusal has ended the transaction; the next one finds out which record it was.
            drop(tx);
            tx = run.begin().await?;
            db::answered(apart(&mut tx, origin, page, &rows))
                .await
                .map_err(|error| run.db(error))?
        }
        Err(error) => return Err(run.db(error)),
    };
    let is_refused = |position: &i32| refused.iter().any(|failure| failure.position == *position);
    let geocoded = rows.iter().filter(|(at, row)| row.is_geocoded() && !is_refused(at)).count();
    let mut failures = [batch.unreadable, refused].concat();
    // An item fails once, however many of its records do.
    failures.sort_by_key(|failure| failure.position);
    failures.dedup_by_key(|failure| failure.position);
    db::answered(record_failures::put(tx.connection(), job.id, &failures))
        .await
        .map_err(|error| run.db(error))?;
    let counts = Counts {
        saved: run.counts.saved + upserted.saved,
        updated: run.counts.updated + upserted.updated,
        unchanged: run.counts.unchanged + upserted.unchanged,
        failed: run.counts.failed + count(failures.len()),
        geocoded: run.counts.geocoded + count(geocoded),
        through: run.counts.through + count(batch.items),
        ..run.counts
    };
    metrics::counter!("paceline_records_stored_total", "provider" => job.provider.as_str())
        .increment(u64::try_from(upserted.saved + upserted.updated).unwrap_or(0));
    let to = Checkpoint::Store { next_page: page, next_item: batch.next_item };
    run.commit(tx, to, counts).await
}

/// Upserts a batch, each record into its table.
async fn upsert(
    tx: &mut PgConnection,
    origin: Origin,
    rows: &[(i32, Row<'_>)],
) -> Result<Upserted, db::Error> {
    let (mut done, mut values, mut days) = (vec![], vec![], vec![]);
    for (_, row) in rows {
        match row {
            Row::Activity(record) => done.push(*record),
            Row::Measurement(record) => values.push(*record),
            Row::Day(record) => days.push(*record),
        }
    }
    let mut upserted = Upserted::default();
    if !done.is_empty() {
        upserted = upserted + activities::upsert(&mut *tx, origin, &done).await?;
    }
    upserted = upserted + measurements::upsert(&mut *tx, origin, &values).await?;
    Ok(upserted + daily_summaries::upsert(&mut *tx, origin, &days).await?)
}

/// Upserts a batch in which some record is refused: halves it until the refused ones stand alone.
fn apart<'a>(
    tx: &'a mut Fenced,
    origin: Origin,
    page: i32,
    rows: &'a [(i32, Row<'_>)],
) -> BoxFuture<'a, Result<(Upserted, Vec<NewFailure>), db::Error>> {
    Box::pin(async move { halves(tx.connection(), origin, page, rows).await })
}

fn halves<'a>(
    tx: &'a mut PgConnection,
    origin: Origin,
    page: i32,
    rows: &'a [(i32, Row<'_>)],
) -> BoxFuture<'a, Result<(Upserted, Vec<NewFailure>), db::Error>> {
    Box::pin(async move {
        let mut savepoint = tx.begin().await?;
        match upsert(&mut savepoint, origin, rows).await {
            Ok(upserted) => {
                savepoint.commit().await?;
                Ok((upserted, vec![]))
            }
            Err(error @ db::Error::Refused(_)) => {
                savepoint.rollback().await?;
                if let [(position, row)] = rows {
                    let failure = NewFailure {
                        page,
                        position: *position,
                        record_id: Some(row.record_id().to_owned()),
                        code: "refused",
                        message: error.reason(),
                        record: row.payload().to_owned(),
                    };
                    return Ok((Upserted::default(), vec![failure]));
                }
                let (left, right) = rows.split_at(rows.len() / 2);
                let (a, mut failures) = halves(tx, origin, page, left).await?;
                let (b, more) = halves(tx, origin, page, right).await?;
                failures.extend(more);
                Ok((a + b, failures))
            }
            Err(error) => Err(error),
        }
    })
}
