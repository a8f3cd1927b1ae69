//! The only way a worker writes for a job: a transaction that locks the lease first, and that can
//! commit only by moving the checkpoint.
//!
//! Its limits end it on the server when its owner freezes in it, so that it cannot keep others from
//! reclaiming the job. No call to anyone but Postgres belongs inside.

use super::{
    Db, Error, answered,
    sync_outcomes::Lease,
    sync_progress::{self, Snapshot},
};
use crate::{
    JobId,
    progress::{Checkpoint, Counts},
};
use sqlx::{PgConnection, Postgres, Transaction, types::Json};
use std::time::{Duration, Instant};

/// How long a transaction may sit idle. Part of the bound lease + this + sweep ≤ 20 s.
pub const IDLE_LIMIT: Duration = Duration::from_secs(5);

/// `begin`, and the limits, in one round trip. `set local` holds behind a pooler too.
const BEGIN: &str = "begin; set local idle_in_transaction_session_timeout = '5s'; \
                     set local statement_timeout = '10s'; set local lock_timeout = '3s'";

/// Why a fenced transaction wrote nothing.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// Another worker holds the job, or it ended: stop.
    #[error("the lease is lost")]
    LeaseLost,
    /// The database.
    #[error(transparent)]
    Db(#[from] Error),
}

/// A transaction under a lease. Dropping it rolls back.
#[derive(Debug)]
pub struct Fenced {
    tx: Transaction<'static, Postgres>,
    lease: Lease,
    began: Instant,
}

/// How far a job is, to be committed with what it describes.
#[derive(Clone, Copy, Debug)]
pub struct Advance<'a> {
    /// Where the next attempt would go on.
    pub checkpoint: Checkpoint,
    /// Counters, this batch included.
    pub counts: &'a Counts,
    /// How many items there will be, where that is known.
    pub estimated_total: Option<i32>,
    /// What its user shall see now; `None` leaves the row for a later checkpoint.
    pub publish: Option<&'a Snapshot>,
}

impl Fenced {
    /// Begins, and locks the lease.
    pub async fn begin(db: &Db, lease: Lease) -> Result<Self, FenceError> {
        answered(Self::lock(db, lease)).await
    }

    async fn lock(db: &Db, lease: Lease) -> Result<Self, FenceError> {
        let began = Instant::now();
        let mut tx = db.begin_with(BEGIN).await.map_err(Error::from)?;
        let held = sqlx::query_scalar!(
            "select true from paceline.sync_runs where job_id = $1 and lease_epoch = $2 and worker = $3 for no key update",
            lease.job.0,
            lease.epoch,
            lease.worker.0
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(Error::from)?;
        if held.is_some() { Ok(Self { tx, lease, began }) } else { Err(FenceError::LeaseLost) }
    }

    /// The job it writes for.
    #[must_use]
    pub const fn job(&self) -> JobId {
        self.lease.job
    }

    /// For the statements of the tables.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Moves the checkpoint and commits, which renews the lease as well. One that stays where it is does not count as moved.
    ///
    /// A beat passes by a row that is locked, so a job that is nearly always in a transaction would lose its lease. A failure
    /// here leaves it open which of the two happened: the next attempt reads the checkpoint that is there.
    pub async fn commit(self, advance: Advance<'_>) -> Result<(), FenceError> {
        answered(self.move_checkpoint(advance)).await
    }

    async fn move_checkpoint(mut self, advance: Advance<'_>) -> Result<(), FenceError> {
        let phase = advance.checkpoint.phase().as_str();
        let moved = sqlx::query_scalar!(
            "update paceline.sync_runs r
                set beat_at = clock_timestamp(), checkpoint = $4, counts = $5,
                    checkpoint_at = case when r.checkpoint = $4 then r.checkpoint_at else clock_timestamp() end, last_page = $6,
                    estimated_total = coalesce($7, r.estimated_total), retrying = false,
                    last_activity_at = clock_timestamp(), stuck_reported_at = null, phase = $8,
                    phase_times = case when r.phase = $8 then r.phase_times
                      else r.phase_times
                        || jsonb_build_object(r.phase, coalesce(r.phase_times -> r.phase, '{}')
                             || jsonb_build_object('end', clock_timestamp()))
                        || jsonb_build_object($8::text, jsonb_build_object('start', clock_timestamp())) end
              where job_id = $1 and lease_epoch = $2 and worker = $3
              returning true",
            self.lease.job.0,
            self.lease.epoch,
            self.lease.worker.0,
            Json(advance.checkpoint) as _,
            Json(advance.counts) as _,
            advance.counts.pages,
            advance.estimated_total,
            phase
        )
        .fetch_optional(&mut *self.tx)
        .await
        .map_err(Error::from)?;
        if moved.is_none() {
            return Err(FenceError::LeaseLost);
        }
        if let Some(snapshot) = advance.publish {
            sync_progress::publish(&mut self.tx, self.lease.job, snapshot).await?;
        }
        self.tx.commit().await.map_err(Error::from)?;
        metrics::histogram!("paceline_sql_seconds", "statement" => "checkpoint")
            .record(self.began.elapsed());
        Ok(())
    }
}
