//! What a provider no longer has: it becomes a tombstone, but only after a complete read, and after a second look.

use chrono::{DateTime, Duration, Utc};
use paceline_simulator::{Config, Fault, FaultRule, LogEntry, Population, StartRange};
use paceline_tests::{
    rows,
    stack::{ACTIVITIES, SOON, Stack, User, WorkerSetup},
    truth::{self, WHOLE},
    wait::eventually,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Wide enough for the look-back of any provider, and for a slow machine.
const TWO_WEEKS: Duration = Duration::days(14);

/// An activity as the world holds it.
#[derive(Clone, Debug)]
struct Held {
    id: u64,
    start: DateTime<Utc>,
    sport: String,
}

fn held(stack: &Stack, user: &User) -> Vec<Held> {
    let page = stack.world().activities(user.athlete, StartRange::default(), 0, usize::MAX);
    let read = |raw: &serde_json::value::RawValue| {
        let activity: Value = serde_json::from_str(raw.get()).unwrap();
        Held {
            id: activity["id"].as_u64().unwrap(),
            start: activity["start_date"].as_str().unwrap().parse().unwrap(),
            sport: activity["sport_type"].as_str().unwrap().to_owned(),
        }
    };
    page.unwrap().activities.iter().map(|raw| read(raw)).collect()
}

async fn tombstones(stack: &Stack, user: &User) -> BTreeSet<String> {
    let rows = truth::stored(&stack.db, user).await;
    let gone = rows.into_iter().filter(|row| row.deleted_at.is_some());
    gone.map(|row| row.provider_record_id).collect()
}

/// What the user sees.
async fn shown(user: &User) -> BTreeSet<String> {
    let items = user.client.all("/api/v1/activities", 200).await;
    items.iter().map(|item| item["providerRecordId"].as_str().unwrap().to_owned()).collect()
}

fn texts<'a>(ids: impl IntoIterator<Item = &'a u64>) -> BTreeSet<String> {
    ids.into_iter().map(u64::to_string).collect()
}

fn delete(stack: &Stack, user: &User, id: u64) {
    stack.world().delete_activity(user.athlete, id).unwrap();
}

/// Requests for single activities, in the order of their answers.
fn second_looks(stack: &Stack, user: &User, since: u64) -> Vec<LogEntry> {
    let log = stack.world().log(since, usize::MAX).into_iter();
    log.filter(|entry| {
        entry.athlete == Some(user.athlete) && entry.path.starts_with("/strava/api/v3/activities/")
    })
    .collect()
}

fn seen(stack: &Stack) -> u64 {
    stack.world().log(0, usize::MAX).last().map_or(0, |entry| entry.seq)
}

/// Starts a sync of what is new, as a client of the single-sync face does, and waits for its end.
async fn sync_new(user: &User) {
    let started = user.client.post_nothing("/strava/sync/activities").await;
    assert_eq!(started.status, 202, "{}", started.text);
    let last = eventually("the sync ends", SOON, async || {
        let status = user.client.get("/strava/sync/status").await;
        (status.body["status"] != "in_progress").then_some(status.body)
    })
    .await;
    assert_eq!(last["status"], "completed", "{last}");
}

#[tokio::test]
async fn what_is_deleted_at_the_provider_becomes_a_tombstone_and_is_not_shown() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 260).await;
    let _worker = stack.worker().await;
    user.sync_all(&json!({})).await;
    let all = held(&stack, &user);
    let gone = [all[0].id, all[130].id, all[259].id];
    for id in gone {
        delete(&stack, &user, id);
    }
    let before = seen(&stack);
    user.sync_all(&json!({})).await;
    assert_eq!(tombstones(&stack, &user).await, texts(&gone));
    let left = all.iter().map(|held| &held.id).filter(|id| !gone.contains(id));
    assert_eq!(shown(&user).await, texts(left));
    let looks = second_looks(&stack, &user, before);
    assert_eq!(looks.len(), gone.len(), "each was asked for, and nothing else: {looks:?}");
    assert!(looks.iter().all(|entry| entry.status == Some(404)), "{looks:?}");

    // Its text stays, and a tombstone is made once.
    let rows = truth::stored(&stack.db, &user).await;
    for row in rows.iter().filter(|row| row.deleted_at.is_some()) {
        assert_eq!(row.version, 2, "{}", row.provider_record_id);
        assert!(!row.sport_type.is_empty());
    }
    let before = seen(&stack);
    user.sync_all(&json!({})).await;
    let again = truth::stored(&stack.db, &user).await;
    let dates = |rows: &[truth::Stored]| -> Vec<_> { rows.iter().map(|r| r.deleted_at).collect() };
    assert_eq!(dates(&again), dates(&rows));
    assert!(second_looks(&stack, &user, before).is_empty(), "nobody asks for a tombstone again");
}

#[tokio::test]
async fn a_deletion_outside_the_range_that_is_read_is_left_for_a_sync_that_reads_it() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 120).await;
    let _worker = stack.worker().await;
    user.sync_all(&json!({})).await;
    let all = held(&stack, &user);
    let (early, first, last, late) = (all[10].id, all[40].id, all[79].id, all[110].id);
    for id in [early, first, last, late] {
        delete(&stack, &user, id);
    }
    // From the start of the first, included, to that of the one behind the last, excluded.
    let range = json!({ "after": all[40].start.timestamp(), "before": all[80].start.timestamp() });
    let ask = json!({ "provider": "strava", "jobType": "activities", "timeRange": range });
    let id = user.client.post("/api/v1/syncs", &ask).await.sync(202).sync_id;
    user.client.wait_done(id, SOON).await;
    assert_eq!(tombstones(&stack, &user).await, texts(&[first, last]));
    let shown = shown(&user).await;
    assert!(shown.contains(&early.to_string()) && shown.contains(&late.to_string()));

    user.sync_all(&json!({})).await;
    assert_eq!(tombstones(&stack, &user).await, texts(&[early, first, last, late]));
}

#[tokio::test]
async fn a_read_that_fails_in_the_middle_removes_nothing() {
    let mut stack = Stack::in_world(Config { short_page_every: 0, ..Config::default() }).await;
    let user = stack.user("ann", 450).await;
    let _worker = stack.worker_with(WorkerSetup { http_tries: 2, ..WorkerSetup::default() }).await;
    user.sync_all(&json!({})).await;
    let all = held(&stack, &user);
    let gone = [all[5].id, all[250].id, all[440].id];
    for id in gone {
        delete(&stack, &user, id);
    }
    for page in 1..=4 {
        for fault in [Fault::Status { code: 500, html: false, day: false }, Fault::Truncate] {
            let rule = FaultRule {
                path: Some(ACTIVITIES.to_owned()),
                page: Some(page),
                ..FaultRule::new(fault.clone())
            };
            let rule = stack.world().add_fault(rule).unwrap();
            let id = user.client.start_sync(&json!({ "maxRetries": 0 })).await;
            let failed = user.client.wait_over(id, SOON).await;
            assert_eq!(failed.status, "FAILED", "page {page}, {fault:?}");
            assert!(tombstones(&stack, &user).await.is_empty(), "page {page}, {fault:?}");
            assert!(stack.world().remove_fault(rule));
        }
    }
    // Nor does a second look that gets no answer.
    let rule = FaultRule {
        path: Some("/strava/api/v3/activities/".to_owned()),
        ..FaultRule::new(Fault::Status { code: 503, html: true, day: false })
    };
    let rule = stack.world().add_fault(rule).unwrap();
    let id = user.client.start_sync(&json!({ "maxRetries": 0 })).await;
    assert_eq!(user.client.wait_over(id, SOON).await.status, "FAILED");
    assert!(tombstones(&stack, &user).await.is_empty());
    assert_eq!(shown(&user).await.len(), all.len());

    assert!(stack.world().remove_fault(rule));
    user.sync_all(&json!({})).await;
    assert_eq!(tombstones(&stack, &user).await, texts(&gone));
}

#[tokio::test]
async fn a_list_that_shifts_while_it_is_read_loses_only_what_is_really_gone() {
    let mut stack = Stack::in_world(Config { short_page_every: 0, ..Config::default() }).await;
    let user = stack.user("ann", 450).await;
    let _worker = stack.worker().await;
    user.sync_all(&json!({})).await;
    let all = held(&stack, &user);
    let (read, at_border, to_come) = (all[3].id, all[200].id, all[420].id);

    // Page 1 has been read when these go: what would have begun page 2 moves to the end of page 1.
    let stall = FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        page: Some(2),
        count: Some(1),
        ..FaultRule::new(Fault::Stall { seconds: 0.5 })
    };
    let stall = stack.world().add_fault(stall).unwrap();
    let before = seen(&stack);
    let id = user.client.start_sync(&json!({})).await;
    stack.struck(stall, 1).await;
    delete(&stack, &user, read);
    delete(&stack, &user, to_come);
    user.client.wait_done(id, SOON).await;

    assert_eq!(tombstones(&stack, &user).await, texts(&[to_come]));
    let looks: Vec<_> = second_looks(&stack, &user, before)
        .into_iter()
        .map(|entry| (entry.path, entry.status))
        .collect();
    let path = |id: u64| format!("/strava/api/v3/activities/{id}");
    assert_eq!(looks, [(path(to_come), Some(404)), (path(at_border), Some(200))]);

    user.sync_all(&json!({})).await;
    assert_eq!(tombstones(&stack, &user).await, texts(&[read, to_come]));
}

#[tokio::test]
async fn a_sync_of_what_is_new_reads_gaps_and_the_look_back_only() {
    let mut stack = Stack::in_world(Config { short_page_every: 0, ..Config::default() }).await;
    let population = Population { activities: 900, years: 3, ..Population::default() };
    let user = stack.user_with("ann", &population, paceline_simulator::FULL_SCOPE).await;
    let _worker = stack.worker().await;
    sync_new(&user).await;
    assert_eq!(stack.assert_true(&user, WHOLE).await.records, 900);
    assert_eq!(stack.page_requests(user.athlete).len(), 6, "five pages and the empty one");

    let now = Utc::now();
    let all = held(&stack, &user);
    let recent = all.iter().filter(|held| held.start > now - TWO_WEEKS + Duration::hours(1));
    let recent: Vec<_> = recent.collect();
    assert!(recent.len() > 3, "{} in two weeks", recent.len());
    // A late upload, an edit and a deletion inside the look-back; a deletion before it.
    let late = now - Duration::days(9);
    stack.world().add_activity(user.athlete, late, Some(r#"{"name":"Late"}"#)).unwrap();
    let (edited, gone, long_gone) = (recent[0].id, recent[2].id, all[100].id);
    stack.world().edit_activity(user.athlete, edited, r#"{"name":"Edited"}"#).unwrap();
    delete(&stack, &user, gone);
    delete(&stack, &user, long_gone);

    let before = stack.page_requests(user.athlete).len();
    sync_new(&user).await;
    let requests = stack.page_requests(user.athlete).split_off(before);
    assert_eq!(requests.len(), 2, "a page of two weeks and the empty one: {requests:?}");
    let after: i64 = query(&requests[0], "after").unwrap().parse().unwrap();
    assert!((after - (now - TWO_WEEKS).timestamp()).abs() < 120, "{:?}", requests[0]);
    let rows = truth::stored(&stack.db, &user).await;
    assert_eq!(rows.iter().filter(|row| row.name == "Late").count(), 1);
    assert_eq!(rows.iter().filter(|row| row.name == "Edited").count(), 1);
    assert_eq!(tombstones(&stack, &user).await, texts(&[gone]));

    // What is covered stays so over syncs, also over one of a part of the history.
    let year = (now - Duration::days(400)).timestamp();
    let ask =
        json!({ "provider": "strava", "jobType": "activities", "timeRange": { "after": year } });
    let id = user.client.post("/api/v1/syncs", &ask).await.sync(202).sync_id;
    user.client.wait_done(id, SOON).await;
    let before = stack.page_requests(user.athlete).len();
    sync_new(&user).await;
    assert_eq!(stack.page_requests(user.athlete).len() - before, 2);
    assert_eq!(
        tombstones(&stack, &user).await,
        texts(&[gone]),
        "the other is left for a whole read"
    );
    user.sync_all(&json!({})).await;
    assert_eq!(tombstones(&stack, &user).await, texts(&[gone, long_gone]));
}

fn query(entry: &LogEntry, name: &str) -> Option<String> {
    let pairs = entry.query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

#[tokio::test]
async fn a_sync_of_what_is_new_fills_the_gap_that_a_sync_of_a_part_has_left() {
    let mut stack = Stack::in_world(Config { short_page_every: 0, ..Config::default() }).await;
    let user = stack.user("ann", 300).await;
    let _worker = stack.worker().await;
    let all = held(&stack, &user);
    let border = all[150].start.timestamp();
    let ask =
        json!({ "provider": "strava", "jobType": "activities", "timeRange": { "after": border } });
    let id = user.client.post("/api/v1/syncs", &ask).await.sync(202).sync_id;
    user.client.wait_done(id, SOON).await;
    assert_eq!(shown(&user).await.len(), 150);
    let before = stack.page_requests(user.athlete).len();
    sync_new(&user).await;
    assert_eq!(stack.assert_true(&user, WHOLE).await.records, 300);
    let requests = stack.page_requests(user.athlete).split_off(before);
    let gap: Vec<_> = requests
        .iter()
        .filter(|entry| query(entry, "before") == Some(border.to_string()))
        .collect();
    assert_eq!(gap.len(), 2, "the gap, and the empty page behind it: {requests:?}");
    assert_eq!(requests.len(), 4, "and the look-back: {requests:?}");
}

#[tokio::test]
async fn a_record_that_comes_back_is_alive_again() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 60).await;
    let _worker = stack.worker().await;
    user.sync_all(&json!({})).await;
    let id = held(&stack, &user)[0].id.to_string();
    let buried =
        "update paceline.activities set deleted_at = clock_timestamp(), version = version + 1
                   where id = (select id from paceline.activities order by start_at limit 1)";
    rows::change(&stack.db, buried).await;
    assert!(!shown(&user).await.contains(&id));

    let back = user.sync_all(&json!({})).await.results.unwrap().store;
    assert_eq!((back.saved, back.updated), (0, 1));
    assert!(tombstones(&stack, &user).await.is_empty());
    assert!(shown(&user).await.contains(&id));
    let version = "select version::bigint from paceline.activities order by start_at limit 1";
    assert_eq!(
        rows::number(&stack.db, version).await,
        3,
        "whoever compares versions sees both changes"
    );
}

#[tokio::test]
async fn what_consent_hides_is_not_taken_for_deleted() {
    let mut stack = Stack::new().await;
    let population = Population { activities: 60, years: 1, ..Population::default() };
    let user = stack.user_with("ann", &population, paceline_simulator::FULL_SCOPE).await;
    let _worker = stack.worker().await;
    user.sync_all(&json!({})).await;
    let all = shown(&user).await;
    let id = held(&stack, &user)[7].id;
    stack.world().edit_activity(user.athlete, id, r#"{"private":true}"#).unwrap();
    stack.connect(user.id, user.athlete, "read,activity:read,profile:read_all").await;
    user.sync_all(&json!({})).await;
    assert!(tombstones(&stack, &user).await.is_empty());
    assert_eq!(shown(&user).await, all);
}

#[tokio::test]
async fn a_sync_of_some_sport_types_removes_nothing_that_is_there() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 200).await;
    let _worker = stack.worker().await;
    user.sync_all(&json!({})).await;
    let all = held(&stack, &user);
    let sport = all[100].sport.clone();
    assert!(all.iter().any(|held| held.sport != sport));
    delete(&stack, &user, all[100].id);
    let before = seen(&stack);
    user.sync_all(&json!({ "activityTypes": [sport] })).await;
    assert_eq!(tombstones(&stack, &user).await, texts(&[all[100].id]));
    assert_eq!(shown(&user).await.len(), all.len() - 1);
    let looks = second_looks(&stack, &user, before);
    assert_eq!(looks.len(), 1, "what another type is named for is not doubted: {looks:?}");
}
