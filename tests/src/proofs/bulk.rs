//! Very many failed jobs, retried by an admin in one act: accepted at once, done soon, stopped when somebody wants it,
//! with a receipt that adds up and a note of who did it. Real API, real workers; the jobs do nothing.

use super::{
    noop,
    report::{Bound, Report},
};
use anyhow::{Result, ensure};
use clap::Args;
use paceline_api::auth::Role;
use paceline_tests::{
    client::{Answer, Client},
    stack::{Stack, WorkerSetup},
    wait::eventually,
};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgPool;
use std::time::{Duration, Instant};

/// What to run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Failed jobs.
    #[arg(long, default_value_t = 100_000)]
    rows: i32,
    /// Go on retrying all of them for so long; the round with the median time counts.
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// Of everything random: after how many jobs the second retry is stopped.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A tenth of it, with looser limits, for a shared machine.
    #[arg(long, conflicts_with = "rows")]
    short: bool,
}

const LIMIT: Duration = Duration::from_mins(5);

/// As failed jobs lie in history, each of another user with a connection. `$1`: how many.
const FAILED: &str = "
    with u as (insert into paceline.users (id, external_id)
               select id, id::text from (select gen_random_uuid() as id from generate_series(1, $1)) n
               returning id, external_id),
    c as (insert into paceline.connections (id, user_id, provider, provider_account_id)
          select gen_random_uuid(), id, 'strava', id::text from u returning id, user_id),
    h as (insert into paceline.sync_history
            (id, user_id, connection_id, provider, slot, kind, job_type, class, time_range, status, phase, checkpoint,
             attempt, max_retries, crashes, payload, payload_version, lease_epoch, counts, phase_times, error_count,
             last_error, retries, last_page, created_at, started_at, finished_at)
          select (lpad(to_hex((extract(epoch from t.at) * 1000)::bigint), 12, '0') || '7'
                   || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid,
                 c.user_id, c.id, 'strava', 0, 'noop', 'activities', 2, '(,)', 'failed', 'fetch',
                 '{\"phase\": \"fetch\", \"next_page\": 1}', 6, 5, 0, '{}', 1, 6, '{}', '{}', 6,
                 jsonb_build_object('code', 'network_error', 'message', 'the provider was away', 'phase', 'fetch', 'at', t.at),
                 5, 0, t.at, t.at, t.at
            from c, (select clock_timestamp() - interval '1 minute' as at) t
          returning id, user_id, created_at, last_error)
    insert into public.sync_progress
      (id, uid, external_id, provider, job_type, status, error, created_at, updated_at, finished_at)
    select h.id, h.user_id, h.user_id::text, 'strava', 'activities', 'failed', h.last_error, h.created_at, h.created_at,
           h.created_at
      from h";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    #[serde(rename = "operationId")]
    id: String,
    state: String,
    expected: i64,
    done: i64,
    skipped: i64,
}

impl Operation {
    fn is_over(&self) -> bool {
        !matches!(self.state.as_str(), "queued" | "running")
    }
}

/// Runs the proof.
pub(crate) async fn prove(options: &Options) -> Result<Report> {
    let rows = if options.short { 10_000 } else { options.rows };
    let (accepted_ms, done_s) = if options.short { (1_000.0, 30.0) } else { (200.0, 15.0) };
    let mut stack = Stack::new().await;
    let admin = Admin(stack.staff("the-admin", Role::Admin));
    let mut workers = Vec::new();
    for _ in 0..2 {
        workers.push(stack.worker_with(WorkerSetup { slots: 100, ..WorkerSetup::default() }).await);
    }
    let db = stack.db.pool().clone();
    let mut report = Report::new("bulk");

    let proof = Instant::now();
    let (mut rounds, mut amiss, mut lost) = (Vec::new(), 0, 0);
    while rounds.is_empty() || proof.elapsed() < Duration::from_secs(options.seconds) {
        fail(&db, rows).await?;
        let (accepted, began, id) = admin.retry_all(rows).await?;
        let whole = admin.over(&id).await?;
        rounds.push((began.elapsed().as_secs_f64(), accepted));
        ensure!(whole.state == "completed", "the retry ended as {whole:?}");
        amiss += (i64::from(rows) - whole.done - whole.skipped).abs();
        lost += (i64::from(rows) - retried(&db).await?).abs();
    }
    rounds.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let starts = rounds.len() + 1;
    let (took, accepted) = rounds.swap_remove(rounds.len() / 2);
    report.figure("jobs retried", f64::from(rows), "", Bound::None);
    report.figure("accepted", accepted.as_secs_f64() * 1e3, "ms", Bound::AtMost(accepted_ms));
    report.figure("done", took, "s", Bound::AtMost(done_s));
    report.count("jobs amiss in the receipt", usize::try_from(amiss)?, Bound::AtMost(0.0));
    report.count("jobs amiss in the tables", usize::try_from(lost)?, Bound::AtMost(0.0));

    fail(&db, rows).await?;
    let (_, _, id) = admin.retry_all(rows).await?;
    let stop_after = fastrand::Rng::with_seed(options.seed).i64(0..i64::from(rows) / 4);
    eventually("the last retry is under way", LIMIT, async || {
        (admin.operation(&id).await.ok()?.done > stop_after).then_some(())
    })
    .await;
    let seen = admin.operation(&id).await?.done;
    let asked = Instant::now();
    admin.post(&format!("/operations/{id}/stop"), json!({ "reason": "proof" })).await?;
    let stopped = admin.over(&id).await?;
    let stop_s = asked.elapsed().as_secs_f64();
    ensure!(
        stopped.state == "stopped",
        "it was over before it could be stopped: {stopped:?}; use more --rows"
    );
    let acted = retried(&db).await?;
    report.figure("stopped within", stop_s, "s", Bound::AtMost(2.0));
    report.figure("share done by then", share(stopped.done, rows), "", Bound::AtMost(0.99));
    report.count(
        "jobs done after the stop was asked",
        usize::try_from(stopped.done - seen)?,
        Bound::None,
    );
    let amiss = stopped.done - acted;
    report.count(
        "jobs amiss in the stopped receipt",
        usize::try_from(amiss.abs())?,
        Bound::AtMost(0.0),
    );
    for (name, act, wanted) in [
        ("starts in the audit", "operation.start", f64::from(u32::try_from(starts)?)),
        ("stops in the audit", "operation.stop", 1.0),
    ] {
        let noted: i64 = sqlx::query_scalar(
            "select count(*) from paceline.admin_audit where act = $1 and actor = 'the-admin'",
        )
        .bind(act)
        .fetch_one(&db)
        .await?;
        report.figure(name, share(noted, 1), "", Bound::AtLeast(wanted));
    }
    Ok(report)
}

/// So many failed jobs and no others.
async fn fail(db: &PgPool, rows: i32) -> Result<()> {
    eventually("the last jobs are through", LIMIT, async || {
        let live: i64 = sqlx::query_scalar("select count(*) from paceline.sync_jobs")
            .fetch_one(db)
            .await
            .ok()?;
        (live == 0).then_some(())
    })
    .await;
    noop::clear(db).await?;
    sqlx::query(FAILED).bind(rows).execute(db).await?;
    sqlx::raw_sql(
        "analyze paceline.sync_history, paceline.users, paceline.connections, public.sync_progress",
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Jobs that do not lie in history as failed any more.
async fn retried(db: &PgPool) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "select (select count(*) from paceline.sync_jobs)
              + (select count(*) from paceline.sync_history where status = 'completed')",
    )
    .fetch_one(db)
    .await?)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a proof's size")]
fn share(part: i64, of: i32) -> f64 {
    part as f64 / f64::from(of)
}

/// An admin at the API.
struct Admin(Client);

impl Admin {
    /// Asks for all failed jobs to be retried; answers how long it took to be accepted, and since when it runs.
    async fn retry_all(&self, expect: i32) -> Result<(Duration, Instant, String)> {
        let filter = json!({ "state": "failed", "provider": "strava" });
        let preview =
            self.post("/operations/preview", json!({ "act": "retry", "filter": filter })).await?;
        ensure!(preview["count"] == expect, "the preview counts {}", preview["count"]);
        let began = Instant::now();
        let body = json!({ "act": "retry", "filter": filter, "reason": "proof", "expect": expect });
        let accepted = self.post("/operations", body).await?;
        let took = began.elapsed();
        let operation: Operation = serde_json::from_value(accepted)?;
        ensure!(operation.expected == i64::from(expect), "{operation:?}");
        Ok((took, began, operation.id))
    }

    async fn operation(&self, id: &str) -> Result<Operation> {
        let answer = self.0.get(&format!("/api/v1/admin/operations/{id}")).await;
        Ok(serde_json::from_value(answered(answer)?)?)
    }

    /// Waits for its end.
    async fn over(&self, id: &str) -> Result<Operation> {
        Ok(eventually("the operation is over", LIMIT, async || {
            self.operation(id).await.ok().filter(Operation::is_over)
        })
        .await)
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value> {
        answered(self.0.post(&format!("/api/v1/admin{path}"), &body).await)
    }
}

fn answered(answer: Answer) -> Result<Value> {
    ensure!(answer.status.is_success(), "{answer:?}");
    Ok(answer.body)
}
