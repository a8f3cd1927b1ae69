//! What Postgres can do at best: a table of jobs beside ours in the same database, and loops of plain SQL over it.
//! No fence, no progress, no live key, no history, no lease: nothing but taking and completing.

use anyhow::Result;
use futures::future::try_join_all;
use sqlx::{PgPool, types::Uuid};
use std::time::Instant;

/// The table of the loop: ids like ours, room for HOT updates, one index for the order.
const TABLE: &str = "
    drop table if exists raw_jobs;
    create table raw_jobs (
      id uuid primary key, lane text not null, state text not null default 'queued', sort_at timestamptz not null,
      attempt smallint not null default 0, worker uuid, payload jsonb not null, finished_at timestamptz
    ) with (fillfactor = 50);
    create index raw_jobs_ready on raw_jobs (lane, sort_at, id)";

const FILL: &str = "
    insert into raw_jobs (id, lane, sort_at, payload)
    select gen_random_uuid(), 'strava', clock_timestamp() + n * interval '1 microsecond', '{\"holdMs\": 0}'
      from generate_series(1, $1) n";

/// Takes 500. `$2` and `$3` are the place after which it looks: dead rows are not stepped over again.
pub(crate) const CLAIM: &str = "\
update raw_jobs set state = 'running', attempt = attempt + 1, worker = $1
 where id = any(array(select id from raw_jobs where lane = 'strava' and state = 'queued' and (sort_at, id) > ($2, $3)
                       order by sort_at, id limit 500 for update skip locked))
returning id, sort_at";

/// Completes 500, in place.
pub(crate) const COMPLETE: &str = "\
update raw_jobs set state = 'completed', finished_at = clock_timestamp() where id = any($1) and worker = $2";

/// A multi-row insert of 1,000.
pub(crate) const INSERT: &str = "\
insert into raw_jobs (id, lane, sort_at, payload)
select id, 'strava', clock_timestamp(), '{\"holdMs\": 0}' from unnest($1::uuid[]) as new(id)";

/// An empty table.
pub(crate) async fn make(db: &PgPool) -> Result<()> {
    sqlx::raw_sql(TABLE).execute(db).await?;
    sqlx::raw_sql("checkpoint").execute(db).await?;
    Ok(())
}

/// Jobs a second of so many loops over a table of `jobs`.
pub(crate) async fn drain(db: &PgPool, jobs: i32, loops: usize) -> Result<f64> {
    make(db).await?;
    sqlx::query(FILL).bind(jobs).execute(db).await?;
    sqlx::raw_sql("analyze raw_jobs").execute(db).await?;
    let began = Instant::now();
    let done = try_join_all((0..loops).map(|_| take_all(db))).await?;
    let seconds = began.elapsed().as_secs_f64();
    anyhow::ensure!(done.iter().sum::<usize>() == usize::try_from(jobs)?, "the loop lost jobs");
    Ok(f64::from(jobs) / seconds)
}

async fn take_all(db: &PgPool) -> Result<usize> {
    let mut done = 0;
    let mut taker = Taker::new();
    loop {
        match taker.once(db).await? {
            0 => return Ok(done),
            batch => done += batch,
        }
    }
}

/// One loop: who it is and where it looks on.
pub(crate) struct Taker {
    worker: Uuid,
    after: (chrono::DateTime<chrono::Utc>, Uuid),
}

impl Taker {
    pub(crate) fn new() -> Self {
        Self { worker: Uuid::new_v4(), after: (chrono::DateTime::UNIX_EPOCH, Uuid::nil()) }
    }

    /// Looks from the front again.
    pub(crate) fn restart(&mut self) {
        self.after = (chrono::DateTime::UNIX_EPOCH, Uuid::nil());
    }

    /// Takes a batch and completes it; answers how many there were.
    pub(crate) async fn once(&mut self, db: &PgPool) -> Result<usize> {
        let taken: Vec<(Uuid, chrono::DateTime<chrono::Utc>)> = sqlx::query_as(CLAIM)
            .bind(self.worker)
            .bind(self.after.0)
            .bind(self.after.1)
            .fetch_all(db)
            .await?;
        let Some(last) = taken.iter().map(|&(id, at)| (at, id)).max() else { return Ok(0) };
        self.after = last;
        let ids: Vec<Uuid> = taken.into_iter().map(|(id, _)| id).collect();
        sqlx::query(COMPLETE).bind(&ids).bind(self.worker).execute(db).await?;
        Ok(ids.len())
    }
}
