//! How fast jobs come in: in batches, beside a plain insert of the job row alone; and one by one from many clients
//! while workers run, beside a raw pair of inserters and takers.

use super::{Plan, raw, statements};
use crate::proofs::{
    noop,
    report::{Bound, Report},
};
use anyhow::{Result, ensure};
use chrono::{DateTime, TimeDelta};
use futures::future::try_join_all;
use paceline_shared::{
    ConnectionId, JobType, Provider, UserId,
    db::{
        Db,
        sync_jobs::{Enqueued, NewSync, WhenLive, enqueue, enqueue_slices},
    },
    notify::{JOBS, Notifier},
    slices::Slice,
    sync_spec::{Class, SyncOptions},
};
use paceline_tests::stack::Stack;
use sqlx::{PgPool, postgres::types::PgRange, types::Uuid};
use std::{
    ops::Bound as End,
    time::{Duration, Instant},
};

/// Jobs in a statement.
const BATCH: i32 = 1_000;
const CLIENTS: usize = 16;
/// Theirs, and those of the raw takers or of the notifier.
const CONNECTIONS: u32 = 18;

/// A table like ours, with the key and the index that order needs, and nothing else.
const BARE: &str = "
    drop table if exists raw_rows;
    create table raw_rows (like paceline.sync_jobs including defaults including storage) with (fillfactor = 50);
    alter table raw_rows add primary key (id);
    create index on raw_rows (provider, sort_at, id) where waiting_for is null";

/// The job row alone, many in a statement.
const INSERT_BARE: &str = "
    insert into raw_rows (id, user_id, connection_id, provider, slot, kind, job_type, class, time_range, run_at,
                          sort_at, max_retries, payload, payload_version)
    select id, $2, $3, 'strava', 0, 'sync', 'activities', 1, tstzrange(now(), now() + interval '1 day'),
           clock_timestamp(), clock_timestamp(), 5, $4, 1
      from unnest($1::uuid[]) as new(id)";

/// Adds the figures.
pub(crate) async fn prove(report: &mut Report, plan: &Plan) -> Result<()> {
    let mut stack = Stack::new().await;
    let db = stack.db.clone();
    batches(report, plan, &db).await?;

    // What the API queues, workers shall do nothing for.
    noop::clear(db.pool()).await?;
    noop::defuse(db.pool(), Duration::ZERO).await?;
    let workers = noop::fleet(&mut stack).await;
    let clients = Db::new(stack.db.url(), db.route(), "paceline-proof-clients", CONNECTIONS)?;
    let raw = raw_pair(clients.pool(), plan.clients_for).await?;
    statements::reset(db.pool()).await?;
    let (ours, longest) = singles(&clients, plan.clients_for).await?;
    let jobs = ours * plan.clients_for.as_secs_f64();
    for (name, like) in [
        ("Postgres in these enqueues, each", "insert into public.sync_progress"),
        ("Postgres in claims meanwhile, an enqueue", statements::CLAIM),
        ("Postgres in ends meanwhile, an enqueue", statements::SETTLE),
    ] {
        let spent = statements::spent(db.pool(), like, "^$").await?;
        report.figure(name, spent.ms * 1e3 / jobs, "µs", Bound::None);
    }
    report.figure("inserts/s of the raw pair, 16 clients", raw, "1/s", Bound::None);
    report.figure("enqueues/s of 16 clients, workers running", ours, "1/s", Bound::None);
    report.figure("enqueues over raw inserts", ours / raw, "", Bound::AtLeast(plan.floors.singles));
    report.figure("longest enqueue", longest.as_secs_f64(), "s", Bound::AtMost(1.0));
    drop(workers);
    clients.close().await;
    Ok(())
}

async fn batches(report: &mut Report, plan: &Plan, db: &Db) -> Result<()> {
    let batches = (plan.rows / BATCH / 2).max(10);
    let users = noop::users(db.pool(), batches).await?;
    let start = DateTime::UNIX_EPOCH + TimeDelta::days(10_000);
    let slices: Vec<Slice> = (0..BATCH)
        .map(|n| {
            let (after, before) =
                (start + TimeDelta::days(n.into()), start + TimeDelta::days((n + 1).into()));
            Slice { slot: 10_000 + n, after, before }
        })
        .rev()
        .collect();
    noop::clear(db.pool()).await?;
    let began = Instant::now();
    for user in users {
        let mut tx = db.begin().await?;
        enqueue_slices(&mut tx, &new_sync(UserId(user), Class::Backfill), &slices).await?;
        tx.commit().await?;
    }
    let ours = f64::from(batches * BATCH) / began.elapsed().as_secs_f64();

    sqlx::raw_sql(BARE).execute(db).await?;
    sqlx::raw_sql("checkpoint").execute(db).await?;
    let payload = serde_json::to_value(SyncOptions::default())?;
    let began = Instant::now();
    for _ in 0..batches {
        let ids: Vec<Uuid> = (0..BATCH).map(|_| Uuid::now_v7()).collect();
        sqlx::query(INSERT_BARE)
            .bind(ids)
            .bind(Uuid::now_v7())
            .bind(Uuid::now_v7())
            .bind(&payload)
            .execute(db)
            .await?;
    }
    let raw = f64::from(batches * BATCH) / began.elapsed().as_secs_f64();
    sqlx::raw_sql("drop table raw_rows").execute(db).await?;
    report.figure("jobs/s of a plain insert by 1,000", raw, "1/s", Bound::None);
    report.figure("jobs/s enqueued by 1,000", ours, "1/s", Bound::None);
    report.figure("enqueued over inserted", ours / raw, "", Bound::AtLeast(plan.floors.enqueued));
    Ok(())
}

/// A sync of a whole history, of somebody whose account nobody will ask for.
pub(crate) fn new_sync(user: UserId, class: Class) -> NewSync {
    NewSync {
        user,
        connection: ConnectionId::fresh(),
        provider: Provider::Strava,
        job_type: JobType::Activities,
        class,
        range: PgRange { start: End::Unbounded, end: End::Unbounded },
        options: SyncOptions::default(),
        trace: None,
        requested_by: None,
    }
}

/// Enqueues as the API does, a transaction each, and says so after the commit; answers how many a second, and
/// the longest.
async fn singles(db: &Db, time: Duration) -> Result<(f64, Duration)> {
    let notifier = Notifier::start(db.clone());
    let each = i32::try_from(time.as_secs())?.max(1) * 2_000;
    let users = noop::users(db.pool(), each * i32::try_from(CLIENTS)?).await?;
    let began = Instant::now();
    let clients =
        users.chunks(usize::try_from(each)?).map(async |users| -> Result<(u32, Duration)> {
            let (mut done, mut longest) = (0, Duration::ZERO);
            for user in users {
                let one = Instant::now();
                let mut tx = db.begin().await?;
                let enqueued = enqueue(
                    &mut tx,
                    &new_sync(UserId(*user), Class::Interactive),
                    WhenLive::Refuse,
                )
                .await?;
                tx.commit().await?;
                notifier.say(JOBS, Provider::Strava.as_str());
                ensure!(
                    matches!(enqueued, Enqueued::New(_)),
                    "somebody has this place: {enqueued:?}"
                );
                longest = longest.max(one.elapsed());
                done += 1;
                if began.elapsed() >= time {
                    break;
                }
            }
            Ok((done, longest))
        });
    let done = try_join_all(clients).await?;
    let jobs: u32 = done.iter().map(|(jobs, _)| jobs).sum();
    let longest = done.iter().map(|(_, longest)| *longest).max().unwrap_or_default();
    Ok((f64::from(jobs) / began.elapsed().as_secs_f64(), longest))
}

/// Inserts a second of clients that write single rows while two loops take and complete them.
async fn raw_pair(db: &PgPool, time: Duration) -> Result<f64> {
    raw::make(db).await?;
    let began = Instant::now();
    let clients = try_join_all((0..CLIENTS).map(async |_| -> Result<u32> {
        let mut done = 0;
        while began.elapsed() < time {
            sqlx::query(raw::INSERT).bind(vec![Uuid::now_v7()]).execute(db).await?;
            done += 1;
        }
        Ok(done)
    }));
    let takers = try_join_all((0..2).map(async |_| -> Result<()> {
        let mut taker = raw::Taker::new();
        while began.elapsed() < time {
            if taker.once(db).await? == 0 {
                taker.restart();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        Ok(())
    }));
    let (done, _) = futures::future::try_join(clients, takers).await?;
    Ok(f64::from(done.iter().sum::<u32>()) / began.elapsed().as_secs_f64())
}
