//! The end of store: what a complete read did not name gets its tombstone, and what was read is noted as covered. All
//! steps were read by now, or the sync would not be here; what was read incompletely removes nothing.

use super::{Run, fetch};
use crate::{attempt::Error, providers::Plan};
use paceline_shared::{
    db::{
        self, activities,
        connection_coverage::{self, Coverage},
        connections, daily_summaries,
        fenced::Fenced,
        measurements, staged_pages,
    },
    progress::{Checkpoint, Counts},
    record::{Replaceable, Table},
};
use sqlx::postgres::types::PgRange;
use std::ops::Bound;

/// Doubts that are cleared up between two checkpoints: each costs a call, and no call is made twice for nothing.
const AT_ONCE: i64 = 20;

pub(super) async fn run(run: &mut Run<'_>) -> Result<(), Error> {
    let plan = run.pages().plan().await?.unwrap_or_default();
    if run.source.doubts() {
        clear_doubts(run, &plan).await?;
    }
    let mut tx = run.begin().await?;
    let removed = db::answered(write(run, &mut tx, &plan)).await.map_err(|error| run.db(error))?;
    let counts = counted(run, removed);
    run.commit(tx, Checkpoint::Done, counts).await
}

fn counted(run: &Run<'_>, removed: i64) -> Counts {
    let removed = i32::try_from(removed).unwrap_or(i32::MAX);
    Counts { removed: run.counts.removed.saturating_add(removed), ..run.counts }
}

/// Asks the provider for the activities that no page named. Those that it does not have get their tombstones, those that
/// it has are named in the plan; so a later attempt goes on with the rest.
async fn clear_doubts(run: &mut Run<'_>, plan: &Plan) -> Result<(), Error> {
    let (connection, job) = (run.job.connection, run.job.id);
    for part in plan.replaces.iter().filter(|part| part.table == Table::Activities) {
        let within = Replaceable { stream: &part.stream, from: part.from, to: part.to };
        loop {
            let doubts = activities::unnamed(&run.app.db, connection, job, within, AT_ONCE).await;
            let doubts = doubts.map_err(|error| run.db(error))?;
            if doubts.is_empty() {
                break;
            }
            let (mut gone, mut there) = (Vec::new(), Vec::new());
            for record in doubts {
                run.safe_point()?;
                if is_gone(run, &record).await? { gone.push(record) } else { there.push(record) }
            }
            let mut tx = run.begin().await?;
            let written = async {
                staged_pages::name(&mut tx, &there).await?;
                activities::remove(tx.connection(), connection, job, &part.stream, &gone).await
            };
            let removed = db::answered(written).await.map_err(|error| run.db(error))?;
            let counts = counted(run, removed);
            let here = Checkpoint::Store { next_page: run.counts.pages + 1, next_item: 0 };
            run.commit(tx, here, counts).await?;
        }
    }
    Ok(())
}

async fn is_gone(run: &Run<'_>, record: &str) -> Result<bool, Error> {
    let facts = connections::facts(&run.app.db, run.job.connection).await;
    let account = facts.map_err(|error| run.db(error))?.map(|facts| facts.account);
    let (access, version) =
        fetch::access(run, &account.unwrap_or_default(), None, run.counts.pages).await?;
    match run.source.is_gone(&access, record).await {
        Ok(gone) => Ok(gone),
        Err(error) => {
            run.noted(&error, version).await?;
            Err(run.refused(error, run.counts.pages))
        }
    }
}

async fn write(run: &Run<'_>, tx: &mut Fenced, plan: &Plan) -> Result<i64, db::Error> {
    let (connection, job) = (run.job.connection, run.job.id);
    let mut removed = 0;
    for part in &plan.replaces {
        let within = Replaceable { stream: &part.stream, from: part.from, to: part.to };
        let tx = tx.connection();
        removed += match part.table {
            Table::Activities if run.source.doubts() => 0,
            Table::Activities => activities::remove_unnamed(tx, connection, job, within).await?,
            Table::Measurements => {
                measurements::remove_unnamed(tx, connection, job, within).await?
            }
            Table::DailySummaries => {
                daily_summaries::remove_unnamed(tx, connection, job, within).await?
            }
        };
    }
    // Only a sync that read all sport types has covered its range.
    if run.job.options.activity_types.is_empty() {
        let marks = plan.marks.iter().map(|(stream, mark)| Coverage {
            stream: stream.clone(),
            spans: vec![],
            mark: Some(mark.clone()),
        });
        let covered: Vec<Coverage> = plan.covers.iter().cloned().chain(marks).collect();
        connection_coverage::add(tx.connection(), connection, &covered).await?;
        if reads_everything_new(run) {
            connections::synced(tx.connection(), connection).await?;
        }
    }
    Ok(removed)
}

/// Whether nothing that is new at the provider can have been left out.
fn reads_everything_new(run: &Run<'_>) -> bool {
    let open = |range: &PgRange<_>| matches!(range.end, Bound::Unbounded);
    open(&run.job.range) && run.job.provider.usual_job_type() == Some(run.job.job_type)
}
