//! Steps as they are taken, and what Garmin's refusals make of them.

use super::{
    Fake,
    plans::{all_scopes, ask, first, now},
};
use crate::providers::{
    Error,
    garmin::{
        kind::{Kind, Stream},
        plan::{List, Mark, Step, Wanted, plan},
        source,
    },
};
use chrono::{TimeDelta, Utc};
use paceline_shared::JobType;

const PULLS_OFF: &str = r#"{"errorMessage":"InvalidPullTokenException failure"}"#;
const NOT_ENABLED: &str =
    r#"{"errorMessage":"Endpoint not enabled for summary type: CONNECT_SLEEPS"}"#;
const NOT_ALLOWED: &str = r#"{"errorMessage":"User has not granted permission"}"#;

/// A step with a request for history of these types, and the windows of the last hour.
fn step(streams: &[Stream], with_history: bool) -> Step {
    let end = Utc::now().timestamp();
    let kinds = streams.iter().flat_map(|stream| stream.kinds());
    let wanted = kinds.clone().map(|&kind| Wanted { kind, from: end - 7_200, to: end });
    Step {
        wanted: if with_history { wanted.collect() } else { vec![] },
        lists: streams
            .iter()
            .map(|&stream| List {
                stream,
                kinds: stream.kinds().to_vec(),
                nth: 0,
                began: end - 3_600,
                from: end - 3_600,
                goes_on: true,
                mark: Mark::default(),
            })
            .collect(),
        left: 10,
        ..Step::default()
    }
}

fn next(answer: &crate::providers::Answer) -> Step {
    serde_json::from_value(answer.next.clone().unwrap()).unwrap()
}

#[tokio::test]
async fn a_window_is_asked_for_by_its_uploads_and_its_list_gets_a_mark_at_the_end() {
    let fake = Fake::new(&[("/rest/sleeps", 200, r#"[{"summaryId":"x"}]"#)]).await;
    let step = step(&[Stream::Sleeps], false);
    let answer = fake.read(&step.value()).await.unwrap();
    assert_eq!((answer.stream, answer.next.is_none()), ("sleeps", true));
    let (stream, mark) = answer.mark.unwrap();
    let mark: Mark = serde_json::from_value(mark).unwrap();
    assert_eq!(stream, "sleeps");
    let asked = fake.asked().remove(0);
    let (from, to) = (step.lists[0].from, mark.uploads.unwrap());
    assert_eq!(asked.path, "/rest/sleeps");
    assert_eq!(asked.query, format!("uploadStartTimeInSeconds={from}&uploadEndTimeInSeconds={to}"));
    assert_eq!(asked.bearer, "Bearer token-1");
}

#[tokio::test]
async fn garmin_backfill_is_a_202_and_then_silence_so_the_sync_pauses_once() {
    let fake = Fake::new(&[("/rest/backfill/sleeps", 202, ""), ("/rest/sleeps", 200, "[]")]).await;
    let step = step(&[Stream::Sleeps], true);
    let asked = fake.read(&step.value()).await.unwrap();
    assert!(asked.body.is_empty() && asked.mark.is_none());
    let mut paused = next(&asked);
    let Error::Wait { reason, after } = fake.read(&paused.value()).await.unwrap_err() else {
        panic!("it waits")
    };
    assert_eq!(reason, "preparing");
    assert!(after <= fake.garmin.config.history_pause);
    assert_eq!(fake.asked().len(), 1, "nothing is asked meanwhile");
    paused.until = Some(Utc::now() - TimeDelta::seconds(1));
    let read = fake.read(&paused.value()).await.unwrap();
    let mark: Mark = serde_json::from_value(read.mark.unwrap().1).unwrap();
    assert_eq!(mark.history.len(), 1, "what was asked for is not asked for again: {mark:?}");
    assert!(mark.history[0].0 <= step.wanted[0].from);
}

#[tokio::test]
async fn garmin_backfill_409_is_done_and_not_waited_for() {
    let fake =
        Fake::new(&[("/rest/backfill/sleeps", 409, "{}"), ("/rest/sleeps", 200, "[]")]).await;
    let answer = fake.read(&step(&[Stream::Sleeps], true).value()).await.unwrap();
    let step = next(&answer);
    assert_eq!(step.until, None);
    assert_eq!(step.lists[0].mark.history.len(), 1);
    assert!(fake.read(&step.value()).await.is_ok());
}

#[tokio::test]
async fn history_that_the_user_withholds_is_left_out_and_the_windows_are_read() {
    let refusal = r#"{"errorMessage":"HISTORICAL_DATA_EXPORT is missing"}"#;
    let fake = Fake::new(&[("/rest/backfill", 403, refusal), ("/rest", 200, "[]")]).await;
    let answer =
        fake.read(&step(&[Stream::Activities, Stream::Sleeps], true).value()).await.unwrap();
    let step = next(&answer);
    assert!(step.wanted.is_empty() && step.lists.len() == 2);
    assert!(step.lists[0].mark.history.is_empty(), "it was not asked for");
    let html = Fake::new(&[("/rest/backfill", 403, "<html>blocked on the way</html>")]).await;
    let refused = html.read(&self::step(&[Stream::Sleeps], true).value()).await;
    assert!(matches!(refused, Err(Error::Temporary(_))));
}

#[tokio::test]
async fn garmin_412_leaves_a_list_out_and_is_denied_only_when_no_list_is_left() {
    let said = [("/rest/sleeps", 412, NOT_ALLOWED), ("/rest/dailies", 200, "[]")];
    let fake = Fake::new(&said).await;
    let answer = fake.read(&step(&[Stream::Sleeps, Stream::Dailies], false).value()).await.unwrap();
    assert!(answer.mark.is_none(), "a list that was not read keeps its mark");
    let rest = next(&answer);
    assert_eq!(rest.lists.len(), 1);
    let last = fake.read(&rest.value()).await.unwrap();
    assert!(last.next.is_none() && last.mark.unwrap().0 == "dailies");
    let denied = fake.read(&step(&[Stream::Sleeps], false).value()).await.unwrap_err();
    assert!(matches!(denied, Error::Denied(_)), "{denied}");
    fake.say(&[("/rest/backfill", 412, NOT_ALLOWED)]);
    let denied = fake.read(&step(&[Stream::Sleeps], true).value()).await.unwrap_err();
    assert!(matches!(denied, Error::Denied(_)), "{denied}");
}

#[tokio::test]
async fn a_type_that_is_not_enabled_is_skipped() {
    let said = [
        ("/rest/backfill/sleeps", 400, NOT_ENABLED),
        ("/rest/backfill/manuallyUpdatedActivities", 400, NOT_ENABLED),
        ("/rest/backfill/activities", 202, ""),
    ];
    let fake = Fake::new(&said).await;
    let answer =
        fake.read(&step(&[Stream::Sleeps, Stream::Activities], true).value()).await.unwrap();
    let mut step = next(&answer);
    assert_eq!(step.lists.len(), 1);
    for _ in 0..2 {
        step = next(&fake.read(&step.value()).await.unwrap());
    }
    assert_eq!(step.lists[0].kinds, [Kind::Activities], "its list is read from the other one");
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_does_not_stop_its_list() {
    let said =
        [("/rest/manuallyUpdatedActivities", 400, NOT_ENABLED), ("/rest/activities", 200, "[]")];
    let fake = Fake::new(&said).await;
    let first = fake.read(&step(&[Stream::Activities], false).value()).await.unwrap();
    let last = fake.read(&next(&first).value()).await.unwrap();
    assert!(last.next.is_none());
    assert_eq!(last.mark.unwrap().0, "activities", "what the other endpoint has is read");
    let none = [("/rest/", 400, NOT_ENABLED)];
    let fake = Fake::new(&none).await;
    let denied = fake.read(&step(&[Stream::Sleeps], false).value()).await.unwrap_err();
    assert!(matches!(denied, Error::Denied(_)), "{denied}");
}

#[tokio::test]
async fn an_application_without_pulls_is_told_what_to_do() {
    let fake = Fake::new(&[("/rest", 400, PULLS_OFF)]).await;
    let Error::Denied(detail) =
        fake.read(&step(&[Stream::Sleeps], false).value()).await.unwrap_err()
    else {
        panic!("it is denied")
    };
    assert!(detail.message.contains("ask Garmin"), "{}", detail.message);
}

#[tokio::test]
async fn an_error_is_never_an_empty_window() {
    let refused = |status, body| async move {
        let fake = Fake::new(&[("/rest", status, body)]).await;
        let error = fake.read(&step(&[Stream::Sleeps], false).value()).await.unwrap_err();
        (error, fake.asked().len())
    };
    for body in ["", "{}", "null", "<html>", r#"[{"summaryId":"x"},{"#, PULLS_OFF] {
        let (error, tries) = refused(200, body).await;
        assert!(matches!(error, Error::Temporary(_)) && tries == 5, "{body}");
    }
    assert!(matches!(refused(401, "{}").await, (Error::Unauthorized(_), 1)));
    assert!(matches!(refused(403, "{}").await, (Error::Denied(_), 1)));
    assert!(matches!(refused(403, "<html>").await, (Error::Temporary(_), 1)));
    assert!(matches!(
        refused(400, r#"{"errorMessage":"time range"}"#).await,
        (Error::Refused(_), 1)
    ));
    assert!(matches!(refused(503, "").await, (Error::Temporary(_), 5)));
    let (error, tries) = refused(429, "{}").await;
    let Error::Wait { reason, after } = error else { panic!("{error}") };
    assert!(reason == "rate_limit" && tries == 1 && after.as_secs() <= 65, "{after:?}");
}

#[tokio::test]
async fn a_sync_of_what_is_not_granted_says_so_without_a_call() {
    let fake = Fake::new(&[]).await;
    let scopes = ["HEALTH_EXPORT".to_owned()];
    let plan = plan(&ask(JobType::Activities, &scopes, &[], true));
    let error = fake.read(&plan.first.unwrap()).await.unwrap_err();
    let Error::Denied(detail) = error else { panic!("{error}") };
    assert!(detail.message.contains("ACTIVITY_EXPORT") && fake.asked().is_empty());
}

#[tokio::test]
async fn steps_that_are_left_never_grow_however_long_a_sync_takes() {
    let fake = Fake::new(&[("/rest/backfill", 409, "{}"), ("/rest", 200, "[]")]).await;
    let scopes = all_scopes();
    // Planned days ago: there are more windows by now than were counted.
    assert!(now() < Utc::now());
    let step = first(&ask(JobType::Activities, &scopes, &[], true));
    let mut left = step.left;
    let mut step = Some(step.value());
    while let Some(taken) = step {
        let answer = fake.read(&taken).await.unwrap();
        assert!(answer.left.unwrap() <= left, "{left}");
        left = answer.left.unwrap();
        step = answer.next;
    }
    assert_eq!(left, 0);
}

fn items(stream: &str, body: &str) -> Vec<(String, Option<String>, Option<String>)> {
    let items = source::items(Stream::named(stream).unwrap(), body.as_bytes()).unwrap();
    items
        .into_iter()
        .map(|item| (item.raw.to_owned(), item.glance.record_id, item.glance.distinct))
        .collect()
}

#[test]
fn garmin_sends_the_same_summary_id_again_as_a_replacement() {
    let short = r#"{"summaryId":"x","durationInSeconds":100}"#;
    let long = r#"{"summaryId":"x","durationInSeconds":900}"#;
    let other = r#"{"summaryId":"y","durationInSeconds":5}"#;
    for body in [format!("[{short},{other},{long}]"), format!("[{long},{short},{other}]")] {
        let items = items("dailies", &body);
        assert_eq!(items.len(), 3);
        let held = items.iter().find(|(_, id, _)| id.as_deref() == Some("x")).unwrap();
        assert_eq!(held.0, long, "the longer one holds, wherever it stands");
        let repeated: Vec<_> =
            items.iter().filter(|(_, id, _)| id.as_deref() == Some("x")).collect();
        assert_eq!(repeated[0].2, repeated[1].2, "the other one counts as a repetition");
    }
    // Nothing but the order of uploads tells which of two activities is the newer one.
    let activities = items("activities", &format!("[{long},{short}]"));
    assert_eq!(activities[0].0, short);
    let (first, second) = (items("activities", &format!("[{long}]")), activities);
    assert_ne!(
        first[0].2, second[0].2,
        "in the next window it is another version, and no repetition"
    );
}
