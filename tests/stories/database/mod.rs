//! What the statements of `shared::db` promise, asked of them directly: leases, fences, moves.

mod accounts;
mod authorizations;
mod backfill;
mod bulk;
mod cancel;
mod claims;
mod counts;
mod enqueue;
mod fence;
mod follow_up;
mod history;
mod holds;
mod keys;
mod lanes;
mod leases;
mod limits;
mod moves;
mod outcomes;
mod progress;
mod retry;
mod search;
mod secrets;
mod suspects;

use chrono::{DateTime, Utc};
use paceline_shared::{
    ConnectionId, JobId, JobType, Provider, UserId, WorkerId,
    db::{
        Db, Route,
        connection_secrets::Tokens,
        connections::{self, Grant, State},
        fenced::{Advance, Fenced},
        staged_pages::{self, NewPage},
        sync_jobs::{self, Claimed, Cursor, Enqueued, NewSync, WhenLive},
        sync_outcomes::{self, Lease, Outcome},
        sync_progress::{self, Snapshot},
        sync_runs::{self, Beat},
        users,
        workers::Presence,
    },
    failure::{Code, Failure},
    progress::{Checkpoint, Counts, Phase},
    sealing::Keyring,
    sync_spec::{Class, PAYLOAD_VERSION, SyncOptions},
};
use paceline_tests::database::TestDb;
use sqlx::postgres::types::PgRange;
use std::{ops::Bound, ops::Deref, time::Duration};
use uuid::Uuid;

/// A database with people in it.
struct Bench {
    db: TestDb,
    keys: Keyring,
}

impl Deref for Bench {
    type Target = Db;
    fn deref(&self) -> &Db {
        &self.db
    }
}

impl Bench {
    async fn new() -> Self {
        let keys = Keyring::generate("test").expect("a key").parse().expect("a keyring");
        Self { db: TestDb::new().await, keys }
    }

    async fn person(&self, subject: &str) -> Person {
        let user = users::of_subject(&**self, subject).await.expect("a user");
        self.account(user, subject).await
    }

    /// A user with one more of his accounts, or one connected again.
    async fn account(&self, user: UserId, account: &str) -> Person {
        let grant = Grant {
            user,
            provider: Provider::Strava,
            provider_account_id: account,
            scopes: &["activity:read_all".to_owned()],
            asked: &["activity:read_all".to_owned()],
            missing: &[],
            profile: None,
            tokens: tokens("first", Utc::now() + chrono::Duration::hours(6)),
        };
        let mut tx = self.begin().await.expect("a transaction");
        let connection =
            connections::connect(&mut tx, &self.keys, grant).await.expect("a connection");
        tx.commit().await.expect("a commit");
        Person { user, connection }
    }

    async fn enqueue(&self, person: Person, class: Class) -> Enqueued {
        let sync = NewSync { class, ..new_sync(person) };
        let mut tx = self.begin().await.expect("a transaction");
        let enqueued =
            sync_jobs::enqueue(&mut tx, &sync, WhenLive::Refuse).await.expect("an answer");
        tx.commit().await.expect("a commit");
        enqueued
    }

    /// A queued sync of a new user of this name.
    async fn queued(&self, subject: &str) -> (Person, JobId) {
        let person = self.person(subject).await;
        match self.enqueue(person, Class::Interactive).await {
            Enqueued::New(job) => (person, job),
            Enqueued::Live(job) | Enqueued::Merged(job) => panic!("{job} was there already"),
        }
    }

    /// So many queued syncs of as many users, written past the application: for stories of large tables.
    async fn crowd(&self, syncs: i32, class: Class) {
        sqlx::query(
            "insert into paceline.sync_jobs
               (id, user_id, connection_id, provider, kind, job_type, class, time_range, run_at, sort_at,
                max_retries, payload, payload_version)
             select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'strava', 'sync', 'activities', $2, '(,)', t,
                    t, 3, '{}', 1
               from generate_series(1, $1) n, lateral (select clock_timestamp() as t) t",
        )
        .bind(syncs)
        .bind(class.rank())
        .execute(&**self)
        .await
        .expect("a crowd");
    }

    /// A single connection, whose reads [`scans`] counts.
    fn counted(&self) -> Db {
        Db::new(self.db.url(), Route::Direct, "paceline-tests-counted", 1).expect("a connection")
    }

    /// What a worker gets when it takes all there is.
    async fn claim(&self, worker: WorkerId) -> Vec<Claimed> {
        sync_jobs::claim(self, worker, Provider::Strava, 1000, Cursor::START)
            .await
            .expect("a claim")
            .jobs
    }

    /// A sync in the hands of a new worker.
    async fn running(&self, subject: &str) -> (Person, Lease) {
        let (person, job) = self.queued(subject).await;
        let worker = WorkerId::fresh();
        let claimed = self.claim(worker).await;
        let [one] = claimed.as_slice() else { panic!("{} claimed", claimed.len()) };
        assert_eq!(one.id, job);
        let lease = lease_of(one, worker);
        self.begin_run(lease).await;
        (person, lease)
    }

    /// What a worker says first of a sync that it runs.
    async fn begin_run(&self, lease: Lease) {
        sync_progress::begin(self, lease).await.expect("the lease");
    }

    /// A beat of a worker with these leases; how each of them stands.
    async fn beat(&self, worker: WorkerId, held: &[(JobId, i64)]) -> Vec<(JobId, i64, Beat)> {
        sync_runs::beat(self, &presence(worker), held).await.expect("a beat").leases
    }

    async fn checkpoint(&self, lease: Lease, to: Checkpoint) {
        let fenced = Fenced::begin(self, lease).await.expect("a fence");
        fenced.commit(advance(to, &Counts::default(), None)).await.expect("a checkpoint");
    }

    async fn settle(&self, lease: Lease, outcome: Outcome) -> Vec<JobId> {
        sync_outcomes::settle(self, &[(lease, outcome)]).await.expect("an answer").held
    }

    /// Makes the owner look silent for so long.
    async fn age(&self, job: JobId, by: Duration) {
        sqlx::query("update paceline.sync_runs set beat_at = beat_at - make_interval(secs => $2) where job_id = $1")
            .bind(job.0)
            .bind(by.as_secs_f64())
            .execute(&**self)
            .await
            .expect("ageing a beat");
    }

    /// Everything the database knows of a job, as text: equal means that nothing was changed.
    async fn picture(&self, job: JobId) -> String {
        sqlx::query_scalar(
            "select concat_ws(e'\\n',
               (select j::text from paceline.sync_jobs j where id = $1), (select r::text from paceline.sync_runs r where job_id = $1),
               (select h::text from paceline.sync_history h where id = $1), (select p::text from public.sync_progress p where id = $1),
               (select string_agg(s::text, ' ' order by page) from paceline.staged_pages s where job_id = $1),
               (select string_agg(a::text, ' ' order by at) from paceline.sync_attempts a where job_id = $1))",
        )
        .bind(job.0)
        .fetch_one(&**self)
        .await
        .expect("a picture")
    }

    async fn state(&self, job: JobId) -> String {
        sqlx::query_scalar("select state from paceline.syncs where id = $1")
            .bind(job.0)
            .fetch_one(&**self)
            .await
            .expect("a state")
    }

    async fn attempt(&self, job: JobId) -> i16 {
        sqlx::query_scalar("select attempt from paceline.syncs where id = $1")
            .bind(job.0)
            .fetch_one(&**self)
            .await
            .expect("an attempt")
    }
}

/// How often a table was read from end to end, and how often and how much of each of its indexes was
/// read: all by `db`, which must have a single connection.
async fn scans(db: &Db, table: &str) -> std::collections::BTreeMap<String, (i64, i64)> {
    sqlx::query("select pg_stat_force_next_flush()").execute(db).await.expect("a flush");
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "select indexrelname::text, idx_scan, idx_tup_read from pg_stat_user_indexes where relname = $1
         union all select 'whole', seq_scan, seq_tup_read from pg_stat_user_tables where relname = $1",
    )
    .bind(table)
    .fetch_all(db)
    .await
    .expect("counters");
    rows.into_iter().map(|(name, scans, rows)| (name, (scans, rows))).collect()
}

/// What a worker says of itself.
const fn presence(worker: WorkerId) -> Presence<'static> {
    Presence {
        id: worker,
        label: "tests",
        host: "here",
        pid: 1,
        providers: &[],
        slots: 8,
        payload_version: PAYLOAD_VERSION,
        version: "0",
        jobs: 0,
        rss_bytes: 0,
        listening: true,
        draining: false,
    }
}

#[derive(Clone, Copy, Debug)]
struct Person {
    user: UserId,
    connection: ConnectionId,
}

fn new_sync(person: Person) -> NewSync {
    NewSync {
        user: person.user,
        connection: person.connection,
        provider: Provider::Strava,
        job_type: JobType::Activities,
        class: Class::Interactive,
        range: PgRange { start: Bound::Unbounded, end: Bound::Unbounded },
        options: SyncOptions::default(),
        trace: None,
        requested_by: None,
    }
}

fn lease_of(claimed: &Claimed, worker: WorkerId) -> Lease {
    Lease { job: claimed.id, epoch: claimed.epoch, worker }
}

fn tokens(access: &str, expires_at: DateTime<Utc>) -> Tokens {
    Tokens { access: access.into(), refresh: format!("{access}-refresh").into(), expires_at }
}

/// Stages the first page of a sync, with so many items.
async fn stage(fenced: &mut Fenced, items: i32) -> Result<(), paceline_shared::db::Error> {
    let page = NewPage {
        page: 1,
        stream: "activities",
        items,
        body: b"page",
        context: None,
        ids: &[],
        next: None,
    };
    staged_pages::put(fenced, page).await
}

fn advance<'a>(
    checkpoint: Checkpoint,
    counts: &'a Counts,
    publish: Option<&'a Snapshot>,
) -> Advance<'a> {
    Advance { checkpoint, counts, estimated_total: None, publish }
}

fn failure(code: Code) -> Failure {
    Failure {
        code,
        message: "it went wrong".to_owned(),
        phase: Phase::Fetch,
        context: serde_json::Map::new(),
        at: Utc::now(),
    }
}

/// Ways in which an attempt ends without the job ending.
fn goes_back() -> [(&'static str, Outcome); 3] {
    [
        ("released", Outcome::Released),
        (
            "parked",
            Outcome::Parked {
                reason: "quota_exceeded",
                after: Duration::from_mins(9),
                message: "later".to_owned(),
            },
        ),
        (
            "to be retried",
            Outcome::Retry { failure: failure(Code::NetworkError), after: Duration::from_mins(1) },
        ),
    ]
}
