//! What it costs that workers are there: the write statements of five hundred beating incarnations, and the memory
//! of one that has nothing to do.

use super::{Plan, statements};
use crate::proofs::{
    noop,
    report::{Bound, Report},
    usage,
};
use anyhow::{Context, Result};
use futures::future::{join, join_all};
use paceline_shared::{
    db::{Db, Route},
    notify::Notifier,
    sealing::Keyring,
};
use paceline_tests::{
    database::TestDb,
    stack::{Stack, WorkerSetup},
    wait::eventually,
};
use paceline_worker::{
    job::App,
    providers::{
        Registry,
        http::{Http, HttpOptions},
    },
    queue,
    weather::{Weather, WeatherConfig},
};
use std::{sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// All of them are in this process, so they share connections.
const CONNECTIONS: u32 = 16;
/// Longer than the proof.
const HOLD: Duration = Duration::from_hours(1);
const START: Duration = Duration::from_mins(2);
/// How long an idle worker is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(5);

/// Adds the figures of the beats.
pub(crate) async fn beats(report: &mut Report, plan: &Plan) -> Result<()> {
    let db = TestDb::new().await;
    noop::fill(db.pool(), plan.incarnations, HOLD).await?;
    let shared = Db::new(db.url(), Route::Direct, "paceline-proof-beats", CONNECTIONS)?;
    // Nobody listens: five hundred listeners are none of a beat's business.
    let deaf = Db::new("postgres://nobody@127.0.0.1:9/nothing", Route::Direct, "deaf", 1)?;
    let drain = CancellationToken::new();
    let notifier = Notifier::start(shared.clone());
    let mut running = Vec::new();
    for _ in 0..plan.incarnations {
        let config = queue::Config { poll_every: HOLD, ..queue::Config::new(1) };
        let app = App {
            db: shared.clone(),
            control: shared.clone(),
            listening: deaf.clone(),
            notifier: notifier.clone(),
            keys: Keyring::generate("proof")?.parse()?,
            providers: Registry::default(),
            weather: Arc::new(Weather::new(
                WeatherConfig::default(),
                Http::new("open_meteo", HttpOptions::default())?,
            )),
            worker: config.worker,
            vital: TaskTracker::new(),
        };
        let slots = Arc::new(tokio::sync::Semaphore::new(config.slots));
        running.push(queue::run(config, app, slots, drain.clone()));
    }
    let measured = async {
        let measured = measure(report, plan, &db).await;
        drain.cancel();
        measured
    };
    let (ended, measured) = join(join_all(running), measured).await;
    for one in ended {
        one.context("an incarnation")?;
    }
    measured?;
    shared.close().await;
    Ok(())
}

async fn measure(report: &mut Report, plan: &Plan, db: &Db) -> Result<()> {
    let held = "select count(*) from paceline.sync_jobs where worker is not null";
    let wanted = i64::from(plan.incarnations);
    eventually("every incarnation has its job", START, async || {
        let now: i64 = sqlx::query_scalar(held).fetch_one(db).await.ok()?;
        (now == wanted).then_some(())
    })
    .await;
    let before = updates(db).await?;
    statements::reset(db.pool()).await?;
    tokio::time::sleep(plan.beats_for).await;
    let writes = statements::spent(
        db.pool(),
        "(insert into|update) paceline.(sync_runs|workers)",
        "waiting_for|stuck_reported_at",
    )
    .await?;
    // Whatever else there is, each beat renews its lease by this.
    let beats =
        statements::spent(db.pool(), "update paceline.sync_runs set beat_at", "checkpoint").await?;
    let after = updates(db).await?;
    let lost: i64 = sqlx::query_scalar(
        "select count(*) from paceline.sync_jobs where lease_epoch > 1 or worker is null",
    )
    .fetch_one(db)
    .await?;
    let least = f64::from(plan.incarnations) * plan.beats_for.as_secs_f64() / 5.0;
    let cold = (after.runs - after.runs_hot) - (before.runs - before.runs_hot)
        + (after.workers - after.workers_hot)
        - (before.workers - before.workers_hot);
    report.count("beating incarnations in one process", usize::try_from(wanted)?, Bound::None);
    report.figure("beats seen", beats.calls, "", Bound::AtLeast(least.floor()));
    report.figure("write statements a beat", writes.calls / beats.calls, "", Bound::AtMost(1.0));
    report.figure("server time a beat", writes.ms / writes.calls.max(1.0), "ms", Bound::None);
    report.count("beats that wrote to an index", usize::try_from(cold)?, Bound::AtMost(0.0));
    report.count("leases lost meanwhile", usize::try_from(lost)?, Bound::AtMost(0.0));
    Ok(())
}

/// Row versions written so far, and those of them that no index heard of.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
struct Updates {
    runs: i64,
    runs_hot: i64,
    workers: i64,
    workers_hot: i64,
}

async fn updates(db: &Db) -> Result<Updates> {
    // A backend reports what it did within a second.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    Ok(sqlx::query_as(
        "select r.n_tup_upd as runs, r.n_tup_hot_upd as runs_hot, w.n_tup_upd as workers, w.n_tup_hot_upd as workers_hot
           from pg_stat_user_tables r, pg_stat_user_tables w
          where r.relid = 'paceline.sync_runs'::regclass and w.relid = 'paceline.workers'::regclass",
    )
    .fetch_one(db)
    .await?)
}

/// Adds the figure of an idle worker.
pub(crate) async fn idle(report: &mut Report, plan: &Plan) -> Result<()> {
    let mut stack = Stack::new().await;
    let worker =
        stack.worker_with(WorkerSetup { slots: noop::SLOTS, ..WorkerSetup::default() }).await;
    tokio::time::sleep(IDLE).await;
    let mib = usage::resident_mib(worker.pid())?;
    report.figure("memory of an idle worker", mib, "MiB", Bound::AtMost(plan.floors.idle_mib));
    Ok(())
}
