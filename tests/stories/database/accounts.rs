//! Jobs about an account itself: what a kept slot takes, whatever the lanes say, and what replaces what.

use super::{
    authorizations::{age, came_back, found, sent_away},
    *,
};
use paceline_shared::{
    AuthorizationId,
    db::{
        authorizations::{self, Outcome as End},
        connection_records, connection_secrets, lanes,
        sync_jobs::{AccountJob, ClaimedAccount, Goodbye},
    },
};

const STRAVA: Provider = Provider::Strava;

/// An exchange whose user has just come back.
async fn exchange(bench: &Bench, user: UserId, state: &str) -> (AuthorizationId, AccountJob) {
    let id = sent_away(bench, user, STRAVA, state).await;
    came_back(bench, id).await;
    let mut tx = bench.begin().await.unwrap();
    let job = sync_jobs::enqueue_exchange(&mut tx, user, STRAVA, id, None).await.unwrap();
    tx.commit().await.unwrap();
    (id, job)
}

async fn goodbye(bench: &Bench, person: Person, delete_records: bool) -> Goodbye {
    let mut tx = bench.begin().await.unwrap();
    let Person { user, connection } = person;
    let goodbye = sync_jobs::enqueue_deauthorize(&mut tx, user, connection, delete_records, None)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    goodbye
}

fn queued(goodbye: Goodbye) -> AccountJob {
    match goodbye {
        Goodbye::Queued(job) => job,
        other => panic!("{other:?}"),
    }
}

async fn take(bench: &Bench, worker: WorkerId, limit: i64) -> Vec<ClaimedAccount> {
    sync_jobs::claim_account(bench, worker, &Provider::ALL, limit).await.unwrap()
}

fn ids(claimed: &[ClaimedAccount]) -> Vec<JobId> {
    claimed.iter().map(|job| job.id).collect()
}

async fn settle(bench: &Bench, one: &ClaimedAccount, worker: WorkerId, outcome: Outcome) {
    let lease = Lease { job: one.id, epoch: one.epoch, worker };
    assert_eq!(bench.settle(lease, outcome).await, [one.id]);
}

#[tokio::test]
async fn neither_pause_nor_block_nor_breaker_nor_limit_holds_an_exchange_back() {
    let bench = Bench::new().await;
    let ann = bench.person("ann").await;
    bench.enqueue(ann, Class::Interactive).await;
    let (_, job) = exchange(&bench, ann.user, "s").await;
    sqlx::query(
        "update paceline.lanes set max_running = 1, breaker = 'open', breaker_until = clock_timestamp() + interval '1 hour',
                blocked_until = clock_timestamp() + interval '1 hour', blocked_reason = 'rate_limit'
          where lane = 'strava'",
    )
    .execute(&*bench)
    .await
    .unwrap();
    let mut tx = bench.begin().await.unwrap();
    lanes::pause(&mut tx, None, None, "ada", "a test").await.unwrap();
    tx.commit().await.unwrap();
    let worker = WorkerId::fresh();
    assert!(bench.claim(worker).await.is_empty(), "syncs wait");
    let taken = take(&bench, worker, 2).await;
    assert_eq!(ids(&taken), [job.job]);
    assert_eq!(
        (taken[0].kind.as_str(), taken[0].connection, taken[0].attempt),
        ("exchange", None, 1)
    );
    assert_eq!(bench.beat(worker, &[(job.job, taken[0].epoch)]).await[0].2, Beat::Held);
    settle(&bench, &taken[0], worker, Outcome::Completed).await;
}

#[tokio::test]
async fn the_usual_claim_takes_no_job_about_an_account_and_the_kept_one_takes_nothing_else() {
    let bench = Bench::new().await;
    let (ann, sync) = bench.queued("ann").await;
    let (_, job) = exchange(&bench, ann.user, "s").await;
    let worker = WorkerId::fresh();
    let syncs = bench.claim(worker).await;
    assert_eq!(syncs.iter().map(|one| one.id).collect::<Vec<_>>(), [sync]);
    assert_eq!(ids(&take(&bench, worker, 10).await), [job.job]);
    // Two workers were lost with it: still no business of whoever runs suspects.
    sqlx::query("update paceline.sync_jobs set crashes = 2, worker = null where id = $1")
        .bind(job.job.0)
        .execute(&*bench)
        .await
        .unwrap();
    assert!(!sync_jobs::suspect_waits(&bench, worker, &[STRAVA]).await.unwrap());
    assert!(sync_jobs::claim_suspect(&bench, worker, &[STRAVA]).await.unwrap().is_none());
    assert_eq!(ids(&take(&bench, worker, 10).await), [job.job]);
}

#[tokio::test]
async fn two_workers_share_what_there_is() {
    let bench = Bench::new().await;
    let mut jobs = Vec::new();
    for name in ["ann", "bob", "cleo", "dan"] {
        let user = bench.person(name).await.user;
        jobs.push(exchange(&bench, user, name).await.1.job);
    }
    let (one, other) = (WorkerId::fresh(), WorkerId::fresh());
    let (first, second) = tokio::join!(take(&bench, one, 2), take(&bench, other, 2));
    let mut taken = [ids(&first), ids(&second)].concat();
    // One of them may have passed by what the other had in its hands.
    while taken.len() < 4 {
        let more = take(&bench, one, 2).await;
        assert!(!more.is_empty(), "{taken:?}");
        taken.extend(ids(&more));
    }
    taken.sort();
    assert_eq!(taken, jobs);
    assert!(take(&bench, other, 10).await.is_empty());
}

#[tokio::test]
async fn a_newer_code_replaces_the_older_one() {
    let bench = Bench::new().await;
    let ann = bench.person("ann").await;
    let (first, old) = exchange(&bench, ann.user, "first").await;
    let open = sent_away(&bench, ann.user, STRAVA, "another tab").await;
    let (second, new) = exchange(&bench, ann.user, "second").await;
    assert_eq!(found(&bench, first).await.outcome, Some(End::Replaced));
    assert_eq!(found(&bench, open).await.outcome, None, "nobody came back there yet");
    let row = found(&bench, second).await;
    assert_eq!((row.outcome, row.job, row.claimed), (None, Some(new.job), false));
    assert!(new.stopping.is_empty());
    let worker = WorkerId::fresh();
    let taken = take(&bench, worker, 10).await;
    assert_eq!(ids(&taken), [new.job]);
    assert!(found(&bench, second).await.claimed);
    let ended: String =
        sqlx::query_scalar("select status from paceline.sync_history where id = $1")
            .bind(old.job.0)
            .fetch_one(&*bench)
            .await
            .unwrap();
    assert_eq!(ended, "cancelled");
}

#[tokio::test]
async fn a_newer_code_waits_for_an_older_one_that_runs_and_asks_it_to_stop() {
    let bench = Bench::new().await;
    let ann = bench.person("ann").await;
    let (first, old) = exchange(&bench, ann.user, "first").await;
    let worker = WorkerId::fresh();
    let running = take(&bench, worker, 1).await;
    let (_, new) = exchange(&bench, ann.user, "second").await;
    assert_eq!(new.stopping, [old.job]);
    assert_eq!(found(&bench, first).await.outcome, Some(End::Replaced));
    assert!(take(&bench, WorkerId::fresh(), 10).await.is_empty(), "one of a user at a time");
    assert_eq!(bench.beat(worker, &[(old.job, running[0].epoch)]).await[0].2, Beat::Cancelled);
    let (_, newest) = exchange(&bench, ann.user, "third").await;
    settle(&bench, &running[0], worker, Outcome::Cancelled).await;
    assert_eq!(ids(&take(&bench, worker, 10).await), [newest.job]);
}

#[tokio::test]
async fn an_exchange_that_was_given_up_has_failed_and_one_that_nobody_came_for_has_expired() {
    let bench = Bench::new().await;
    let ann = bench.person("ann").await;
    let (id, job) = exchange(&bench, ann.user, "first").await;
    assert_eq!(
        sync_jobs::cancel(&bench, ann.user, job.job).await.unwrap(),
        sync_jobs::CancelOutcome::Done
    );
    assert_eq!(found(&bench, id).await.outcome, Some(End::Failed));
    let (late, _) = exchange(&bench, ann.user, "second").await;
    age(&bench, late, Duration::from_mins(2)).await;
    assert!(found(&bench, late).await.code_expired);
    assert_eq!(authorizations::expire(&*bench, 10).await.unwrap(), 0, "its job says so");
}

#[tokio::test]
async fn a_goodbye_revokes_at_once_and_stops_what_runs() {
    let bench = Bench::new().await;
    let (ann, lease) = bench.running("ann").await;
    let job = queued(goodbye(&bench, ann, false).await);
    assert_eq!(job.stopping, [lease.job]);
    assert!(connections::of(&*bench, ann.user, STRAVA).await.unwrap().is_none());
    assert_eq!(queued(goodbye(&bench, ann, false).await).job, job.job, "asked twice");
    assert_eq!(queued(goodbye(&bench, ann, true).await).job, job.job, "and the records too");
    let worker = WorkerId::fresh();
    let taken = take(&bench, worker, 10).await;
    assert_eq!(
        (taken[0].connection, &taken[0].payload),
        (Some(ann.connection), &serde_json::json!({ "deleteRecords": true }))
    );
    connection_secrets::forget(&*bench, ann.connection).await.unwrap();
    settle(&bench, &taken[0], worker, Outcome::Completed).await;
    assert_eq!(goodbye(&bench, ann, false).await, Goodbye::Done);
    let bob = bench.person("bob").await;
    let his = Person { connection: ann.connection, ..bob };
    assert_eq!(goodbye(&bench, his, false).await, Goodbye::NotFound);
    let late = queued(goodbye(&bench, ann, true).await);
    assert_ne!(late.job, job.job, "the records can still go");
}

#[tokio::test]
async fn an_account_that_is_connected_again_keeps_its_link_and_hears_no_goodbye() {
    let bench = Bench::new().await;
    let ann = bench.person("ann").await;
    queued(goodbye(&bench, ann, true).await);
    let mut tx = bench.begin().await.unwrap();
    assert!(!connections::is_taken(&mut tx, ann.user, STRAVA, "ann").await.unwrap());
    let grant = Grant {
        user: ann.user,
        provider: STRAVA,
        provider_account_id: "ann",
        scopes: &["read".to_owned()],
        asked: &["read".to_owned(), "activity:read_all".to_owned()],
        missing: &["activity:read_all".to_owned()],
        profile: None,
        tokens: tokens("second", Utc::now() + chrono::Duration::hours(6)),
    };
    let again = connections::connect(&mut tx, &bench.keys, grant).await.unwrap();
    let stopping = sync_jobs::withdraw_deauthorize(&mut tx, ann.user, STRAVA, again).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((again, stopping), (ann.connection, vec![]));
    assert!(take(&bench, WorkerId::fresh(), 10).await.is_empty());
    let link = connections::of(&*bench, ann.user, STRAVA).await.unwrap().unwrap();
    assert_eq!(link.state, State::Limited);
}

#[tokio::test]
async fn an_account_belongs_to_one_user_until_he_lets_it_go() {
    let bench = Bench::new().await;
    let (ann, bob) = (bench.person("ann").await, bench.person("bob").await);
    let taken = async || {
        let mut tx = bench.begin().await.unwrap();
        connections::is_taken(&mut tx, bob.user, STRAVA, "ann").await.unwrap()
    };
    let shared = async || {
        let mut tx = bench.begin().await.unwrap();
        connections::is_shared(&mut tx, ann.connection).await.unwrap()
    };
    assert!(taken().await);
    goodbye(&bench, ann, false).await;
    assert!(!taken().await && !shared().await);
    bench.account(bob.user, "ann").await;
    assert!(shared().await, "whatever is said to the provider now is said of his link too");
}

/// Seven days that were read through a link, and what is known of their list.
async fn has_read(bench: &Bench, person: Person) {
    sqlx::query(
        "with days as (
           insert into paceline.daily_summaries
             (id, user_id, connection_id, provider, provider_record_id, stream, sync_job_id, kind, day, payload,
              content_hash, provenance)
           select gen_random_uuid(), $1, $2, 'strava', n::text, 'days', gen_random_uuid(), 'activity', '2026-01-01',
                  '{}', '', '{}' from generate_series(1, 7) n),
         synced as (update paceline.connections set last_synced_at = clock_timestamp() where id = $2)
         insert into paceline.connection_coverage (connection_id, stream, covered, mark) values ($2, 'days', '{(,)}', '7')",
    )
    .bind(person.user.0)
    .bind(person.connection.0)
    .execute(&**bench)
    .await
    .unwrap();
}

/// How many days there are, how many lists something is known of, and whether all was read once.
async fn known(bench: &Bench, person: Person) -> (i64, i64, bool) {
    sqlx::query_as(
        "select (select count(*) from paceline.daily_summaries where connection_id = c.id),
                (select count(*) from paceline.connection_coverage where connection_id = c.id), last_synced_at is not null
           from paceline.connections c where id = $1",
    )
    .bind(person.connection.0)
    .fetch_one(&**bench)
    .await
    .unwrap()
}

#[tokio::test]
async fn all_that_was_read_through_a_link_goes_in_batches_and_nothing_else() {
    let bench = Bench::new().await;
    let (ann, bob) = (bench.person("ann").await, bench.person("bob").await);
    for person in [ann, bob] {
        has_read(&bench, person).await;
    }
    goodbye(&bench, ann, true).await;
    let mut gone = Vec::new();
    while gone.last() != Some(&Some(0)) {
        gone.push(connection_records::delete(&bench, ann.connection, 3).await.unwrap());
    }
    assert_eq!(gone, [3, 3, 1, 0].map(Some));
    assert_eq!(known(&bench, ann).await, (0, 0, false));
    assert_eq!(known(&bench, bob).await, (7, 1, true));
}

#[tokio::test]
async fn an_account_that_is_connected_again_amid_its_deletion_loses_nothing_more_and_is_read_anew()
{
    let bench = Bench::new().await;
    let (ann, lease) = bench.running("ann").await;
    bench.settle(lease, Outcome::Failed(failure(Code::InvalidData))).await;
    has_read(&bench, ann).await;
    goodbye(&bench, ann, true).await;
    assert_eq!(connection_records::delete(&bench, ann.connection, 3).await.unwrap(), Some(3));
    bench.person("ann").await;
    assert_eq!(known(&bench, ann).await, (4, 0, false), "nothing counts as read");
    let pruned: bool = sqlx::query_scalar(
        "select pages_pruned_at is not null from paceline.sync_history where id = $1",
    )
    .bind(lease.job.0)
    .fetch_one(&*bench)
    .await
    .unwrap();
    assert!(pruned, "nor does a failed sync go on with pages that are gone");
    assert_eq!(connection_records::delete(&bench, ann.connection, 3).await.unwrap(), None);
    assert_eq!(known(&bench, ann).await.0, 4);
}

#[tokio::test]
async fn a_new_key_seals_everything_anew_and_a_missing_one_is_named() {
    let (old, new) = (Keyring::generate("old").unwrap(), Keyring::generate("new").unwrap());
    let bench = Bench { db: TestDb::new().await, keys: old.parse().unwrap() };
    let (ann, bob) = (bench.person("ann").await, bench.person("bob").await);
    let (id, _) = exchange(&bench, ann.user, "s").await;
    let reseal = async |keys: &Keyring| {
        let mut tx = bench.begin().await.unwrap();
        let first = connection_secrets::reseal(&mut tx, keys, ConnectionId(Uuid::nil()), 1).await?;
        let rest =
            connection_secrets::reseal(&mut tx, keys, first.1.unwrap_or(bob.connection), 9).await?;
        let codes = authorizations::reseal(&mut tx, keys, AuthorizationId(Uuid::nil()), 9).await?;
        tx.commit().await.unwrap();
        Ok::<_, connection_secrets::SecretError>((first.0, rest.0, codes.0))
    };
    let only_new: Keyring = new.parse().unwrap();
    let refused = reseal(&only_new).await.unwrap_err().to_string();
    assert!(refused.contains("\"old\""), "{refused}");
    let both: Keyring = format!("{new},{old}").parse().unwrap();
    assert_eq!(reseal(&both).await.unwrap(), (1, 1, 1));
    assert_eq!(reseal(&both).await.unwrap(), (0, 0, 0), "again");
    for link in [ann.connection, bob.connection] {
        assert!(connection_secrets::open(&*bench, &bench.keys, link).await.is_err());
        let stored = connection_secrets::open(&*bench, &only_new, link).await.unwrap().unwrap();
        assert_eq!(stored.version, 1, "no refresh loses its place");
    }
    let opened = authorizations::open_code(&*bench, &only_new, id).await.unwrap();
    assert!(matches!(opened, authorizations::Opened::Code(_)));
}
