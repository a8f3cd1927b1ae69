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
        measurements,
    },
    progress::{Checkpoint, Counts},
    record::{Replaceable, Table},
};
use sqlx::postgres::types::PgRange;
use std::ops::Bound;

/// So many doubts a sync are cleared up by asking the provider; what is over waits for the next sync.
const DOUBTS: i64 = 200;

/// A part of a list of activities, and those of it that are gone.
type Gone = (String, Vec<String>);

pub(super) async fn run(run: &mut Run<'_>) -> Result<(), Error> {
    let plan = run.pages().plan().await?.unwrap_or_default();
    let gone = gone(run, &plan).await?;
    let mut tx = run.begin().await?;
    let removed = db::answered(write(run, &mut tx, &plan, &gone)).await;
    let removed = removed.map_err(|error| run.db(error))?;
    let counts = Counts { removed: i32::try_from(removed).unwrap_or(i32::MAX), ..run.counts };
    run.commit(tx, Checkpoint::Done, counts).await
}

/// The activities that no page named and that the provider, asked for them, does not have.
async fn gone(run: &Run<'_>, plan: &Plan) -> Result<Vec<Gone>, Error> {
    let mut all = Vec::new();
    for part in plan.replaces.iter().filter(|part| part.table == Table::Activities) {
        let within = Replaceable { stream: &part.stream, from: part.from, to: part.to };
        let job = run.job;
        let doubts = activities::unnamed(&run.app.db, job.connection, job.id, within, DOUBTS).await;
        let mut gone = Vec::new();
        for record in doubts.map_err(|error| run.db(error))? {
            run.safe_point()?;
            if is_gone(run, &record).await? {
                gone.push(record);
            }
        }
        all.push((part.stream.clone(), gone));
    }
    Ok(all)
}

async fn is_gone(run: &Run<'_>, record: &str) -> Result<bool, Error> {
    let facts = connections::facts(&run.app.db, run.job.connection).await;
    let account = facts.map_err(|error| run.db(error))?.map(|facts| facts.account);
    let (access, _) =
        fetch::access(run, &account.unwrap_or_default(), None, run.counts.pages).await?;
    match run.source.is_gone(&access, record).await {
        Ok(gone) => Ok(gone),
        Err(error) => Err(run.refused(error, run.counts.pages).await),
    }
}

async fn write(
    run: &Run<'_>,
    tx: &mut Fenced,
    plan: &Plan,
    gone: &[Gone],
) -> Result<i64, db::Error> {
    let (connection, job) = (run.job.connection, run.job.id);
    let mut removed = 0;
    for (stream, records) in gone {
        removed += activities::remove(tx.connection(), connection, job, stream, records).await?;
    }
    for part in &plan.replaces {
        let within = Replaceable { stream: &part.stream, from: part.from, to: part.to };
        removed += match part.table {
            Table::Activities => 0,
            Table::Measurements => {
                measurements::remove_unnamed(tx.connection(), connection, job, within).await?
            }
            Table::DailySummaries => {
                daily_summaries::remove_unnamed(tx.connection(), connection, job, within).await?
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
