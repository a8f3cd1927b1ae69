//! A batch of an operation, in one transaction with its cursor.

use super::{Act, Options, State};
use crate::{
    JobId, Provider,
    db::{
        Db, Error,
        admin_jobs::{self, Range, SearchError, Side},
        sync_jobs::{self, CancelOutcome, RetryOptions, RetryOutcome},
    },
    sync_spec::Class,
};
use serde_json::Value;
use sqlx::{PgConnection, types::Json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What a step did.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// The operation that it was a step of; `None`: there is nothing to do, or others do it.
    pub operation: Option<Uuid>,
    /// How the operation ended with it.
    pub ended: Option<State>,
    /// Jobs that were dealt with.
    pub jobs: usize,
    /// There is something to claim of these.
    pub queued: BTreeSet<Provider>,
    /// Their workers have to be told.
    pub asked_to_stop: Vec<JobId>,
    /// They have another state now.
    pub changed: Vec<JobId>,
}

/// Why a step did nothing.
#[derive(Debug, thiserror::Error)]
#[error("a batch of operation {operation:?} was not done")]
pub struct StepError {
    /// Which, where that is known.
    pub operation: Option<Uuid>,
    /// Why.
    #[source]
    pub error: SearchError,
}

/// The next batch of the oldest open operation that nobody else is at.
pub async fn step(db: &Db, batch: i64) -> Result<Step, StepError> {
    let unknown = |error: SearchError| StepError { operation: None, error };
    let mut tx = admin_jobs::search_and_act(db).await.map_err(|e| unknown(e.into()))?;
    let open = sqlx::query_as!(
        Open,
        r#"select id, act as "act: Act", options as "options: Json<Options>", skipped_by, after_id, until_id, actor,
                  stop_requested_at is not null as "stop!"
             from paceline.admin_operations where finished_at is null
            order by id limit 1 for update skip locked"#
    )
    .fetch_optional(&mut *tx)
    .await
    .map_err(|e| unknown(e.into()))?;
    let Some(open) = open else { return Ok(Step::default()) };
    let known = |error: SearchError| StepError { operation: Some(open.id), error };
    let step = open.batch(&mut tx, batch).await.map_err(known)?;
    tx.commit().await.map_err(|e| known(e.into()))?;
    Ok(step)
}

/// An operation that is locked by us.
struct Open {
    id: Uuid,
    act: Act,
    options: Json<Options>,
    skipped_by: Value,
    after_id: Option<Uuid>,
    until_id: Uuid,
    actor: String,
    stop: bool,
}

impl Open {
    async fn batch(&self, tx: &mut PgConnection, batch: i64) -> Result<Step, SearchError> {
        if self.stop {
            let done = Done::default();
            return Ok(self.note(tx, &done, None, Some(State::Stopped)).await?);
        }
        let side = match self.act {
            Act::Retry => Side::Ended,
            Act::Cancel => Side::Live,
        };
        let behind = self.after_id.map_or(Range::ALL, |id| Range::after(JobId(id)));
        let range = behind.and(Range::until(JobId(self.until_id)));
        let jobs = admin_jobs::after(tx, &self.options.search, side, range, batch).await?;
        let done = match self.act {
            Act::Retry => self.retry(tx, &jobs).await?,
            Act::Cancel => cancel(tx, &jobs).await?,
        };
        let is_last = i64::try_from(jobs.len()).unwrap_or(i64::MAX) < batch;
        let ended = is_last.then_some(State::Completed);
        Ok(self.note(tx, &done, jobs.last().copied(), ended).await?)
    }

    async fn retry(&self, tx: &mut PgConnection, jobs: &[JobId]) -> Result<Done, Error> {
        let options = RetryOptions {
            from_scratch: self.options.from_scratch,
            // Thousands at once must not stand before people.
            class: Some(Class::Backfill),
            trace: self.options.request_id,
            requested_by: Some(&self.actor),
        };
        let mut done = Done::default();
        for (job, outcome) in sync_jobs::retry_many(tx, jobs, options).await? {
            match outcome {
                RetryOutcome::Queued(provider) => {
                    done.changed.push(job);
                    done.queued.insert(provider);
                }
                RetryOutcome::Live(_) | RetryOutcome::NotEnded => done.skip("live"),
                RetryOutcome::Completed => done.skip("completed"),
                RetryOutcome::Unusable(_) => done.skip("connection"),
                RetryOutcome::NotFound => done.skip("gone"),
            }
        }
        Ok(done)
    }

    /// Moves cursor and counters.
    async fn note(
        &self,
        tx: &mut PgConnection,
        done: &Done,
        last: Option<JobId>,
        ended: Option<State>,
    ) -> Result<Step, Error> {
        let mut skipped_by: BTreeMap<String, i64> =
            serde_json::from_value(self.skipped_by.clone()).unwrap_or_default();
        for (reason, jobs) in &done.skipped {
            *skipped_by.entry((*reason).to_owned()).or_default() += jobs;
        }
        let acted = done.changed.len() + done.asked_to_stop.len();
        sqlx::query!(
            "update paceline.admin_operations
                set done = done + $2, skipped = skipped + $3, skipped_by = $4, after_id = coalesce($5, after_id),
                    state = coalesce($6, 'running'), started_at = coalesce(started_at, clock_timestamp()),
                    updated_at = clock_timestamp(),
                    finished_at = case when $6::text is not null then clock_timestamp() end
              where id = $1",
            self.id,
            i64::try_from(acted).unwrap_or(i64::MAX),
            done.skipped.values().sum::<i64>(),
            Json(&skipped_by) as _,
            last.map(|job| job.0),
            ended.map(name)
        )
        .execute(tx)
        .await?;
        Ok(Step {
            operation: Some(self.id),
            ended,
            jobs: acted,
            queued: done.queued.clone(),
            asked_to_stop: done.asked_to_stop.clone(),
            changed: done.changed.clone(),
        })
    }
}

/// What became of the jobs of a batch.
#[derive(Default)]
struct Done {
    changed: Vec<JobId>,
    asked_to_stop: Vec<JobId>,
    queued: BTreeSet<Provider>,
    skipped: BTreeMap<&'static str, i64>,
}

impl Done {
    fn skip(&mut self, reason: &'static str) {
        *self.skipped.entry(reason).or_default() += 1;
    }
}

async fn cancel(tx: &mut PgConnection, jobs: &[JobId]) -> Result<Done, Error> {
    let mut done = Done::default();
    for (job, outcome) in sync_jobs::cancel_many(tx, jobs).await? {
        match outcome {
            CancelOutcome::Done => done.changed.push(job),
            CancelOutcome::Asked => done.asked_to_stop.push(job),
            CancelOutcome::Ended(_) => done.skip("ended"),
            CancelOutcome::NotFound => done.skip("gone"),
        }
    }
    Ok(done)
}

const fn name(state: State) -> &'static str {
    match state {
        State::Queued => "queued",
        State::Running => "running",
        State::Completed => "completed",
        State::Stopped => "stopped",
        State::Failed => "failed",
    }
}

/// Writes down why a batch was not done; with `give_up` the operation ends as failed.
pub async fn note(db: &Db, id: Uuid, error: &str, give_up: bool) -> Result<(), Error> {
    let mut tx = crate::db::begin(db).await?;
    sqlx::query!(
        "update paceline.admin_operations
            set last_error = $2, updated_at = clock_timestamp(), state = case when $3 then 'failed' else state end,
                finished_at = case when $3 then clock_timestamp() end
          where id = $1 and finished_at is null",
        id,
        error,
        give_up
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}
