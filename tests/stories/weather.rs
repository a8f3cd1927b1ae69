//! Weather that is late, unknown, or has to be waited for: right or absent, never a guess.

use chrono::{Duration, Timelike, Utc};
use paceline_simulator::{Fault, FaultRule, Provider, StartRange, WeatherQuota};
use paceline_tests::{
    rows,
    stack::{SOON, Stack},
    truth::{self, Expect, WHOLE},
};
use serde_json::json;

const ARCHIVE: &str = "/open-meteo/archive";

fn weather(fault: Fault) -> FaultRule {
    FaultRule { provider: Some(Provider::OpenMeteo), ..FaultRule::new(fault) }
}

#[tokio::test]
async fn without_weather_the_records_are_stored_as_pending_and_a_later_sync_fills_them() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 240).await;
    let _worker = stack.worker().await;
    let down = Fault::Status { code: 503, html: true, day: false };
    let down = stack.world().add_fault(weather(down)).unwrap();
    let located = stack.world().athlete(user.athlete, StartRange::default()).unwrap().locatable;

    let results = user.sync_all(&json!({})).await.results.unwrap();
    assert_eq!((results.enrich.weather_enriched, results.enrich.failed), (0, located));
    assert_eq!((results.store.saved, results.store.failed), (240, 0));
    stack.assert_true(&user, Expect { weather: false, places: true }).await;
    let pending = "select count(*) from paceline.activities where weather_status = 'pending'";
    assert_eq!(rows::number(&stack.db, pending).await, i64::try_from(located).unwrap());

    assert!(stack.world().remove_fault(down));
    let results = user.sync_all(&json!({})).await.results.unwrap();
    assert_eq!((results.enrich.weather_enriched, results.enrich.failed), (located, 0));
    assert_eq!((results.store.saved, results.store.updated), (0, located));
    stack.assert_true(&user, WHOLE).await;
    let versions = "select max(version)::bigint from paceline.activities";
    assert_eq!(rows::number(&stack.db, versions).await, 1, "nothing came from the provider");
}

#[tokio::test]
async fn known_weather_outlives_a_sync_that_finds_the_service_down() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 80).await;
    let _worker = stack.worker().await;
    user.sync_all(&json!({})).await;
    rows::change(&stack.db, "truncate paceline.weather_hours").await;
    stack.world().add_fault(weather(Fault::Reset)).unwrap();
    let page = stack.world().activities(user.athlete, StartRange::default(), 0, 1).unwrap();
    let first: serde_json::Value = serde_json::from_str(page.activities[0].get()).unwrap();
    let id = first["id"].as_u64().unwrap();
    stack.world().edit_activity(user.athlete, id, r#"{"name":"Renamed"}"#).unwrap();
    let store = user.sync_all(&json!({})).await.results.unwrap().store;
    assert_eq!((store.updated, store.skipped), (1, 79));
    stack.assert_true(&user, WHOLE).await;
}

#[tokio::test]
async fn days_that_the_archive_does_not_have_yet_stay_pending() {
    let mut stack = Stack::new().await;
    stack.world().set_archive_lag_days(150);
    let user = stack.user("ann", 200).await;
    // Old enough for the archive, too young for this one.
    let start = Utc::now() - Duration::days(120);
    for hours in 0..3 {
        let at = Some(r#"{"start_latlng":[48.2,16.37]}"#);
        stack.world().add_activity(user.athlete, start + Duration::hours(hours), at).unwrap();
    }
    let _worker = stack.worker().await;
    user.sync_all(&json!({})).await;
    let lag = Utc::now() - Duration::days(150);
    let young = |row: &&truth::Stored| {
        row.start_lat.is_some()
            && row.start_at > lag + Duration::days(1)
            && row.start_at < Utc::now() - Duration::days(92)
    };
    let stored = truth::stored(&stack.db, &user).await;
    let statuses: Vec<&str> =
        stored.iter().filter(young).map(|row| row.weather_status.as_str()).collect();
    assert!(
        statuses.len() >= 3 && statuses.iter().all(|status| *status == "pending"),
        "{statuses:?}"
    );
    stack.assert_true(&user, Expect { weather: false, places: true }).await;

    stack.world().set_archive_lag_days(5);
    user.sync_all(&json!({})).await;
    stack.assert_true(&user, WHOLE).await;
}

#[tokio::test]
async fn the_weather_of_an_hour_that_has_not_ended_is_not_known() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 3).await;
    let now = Utc::now();
    let places = Some(r#"{"start_latlng":[48.2,16.37],"end_latlng":[48.2,16.37]}"#);
    stack.world().add_activity(user.athlete, now, places).unwrap();
    stack.world().add_activity(user.athlete, now - Duration::hours(2), places).unwrap();
    let _worker = stack.worker().await;
    user.sync_all(&json!({})).await;
    stack.assert_true(&user, Expect { weather: false, places: true }).await;
    let stored = truth::stored(&stack.db, &user).await;
    let [.., past, present] = stored.as_slice() else { panic!("{stored:?}") };
    assert_eq!(past.weather_status, "enriched", "two hours ago has ended");
    if Utc::now().hour() == now.hour() {
        assert_eq!(present.weather_status, "pending", "a forecast is not what was");
    }
}

#[tokio::test]
async fn a_spent_minute_of_the_weather_service_makes_the_sync_wait() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 120).await;
    stack.world().set_weather_quota(WeatherQuota { minute: 1.0, ..WeatherQuota::UNLIMITED });
    let _worker = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    let (sync, waiting) = user.client.wait_parked(id, SOON).await;
    assert_eq!(
        (waiting.reason.as_str(), sync.status.as_str()),
        ("rate_limit", "ENRICHING_WEATHER")
    );
    let reset = waiting.reset_at.unwrap();
    assert!(
        reset > Utc::now() - Duration::minutes(1) && reset < Utc::now() + Duration::minutes(2),
        "{reset}"
    );
    stack.world().set_weather_quota(WeatherQuota::UNLIMITED);
    rows::make_due(&stack.db).await;
    let done = user.client.wait_done(id, SOON).await;
    assert_eq!(done.attempt, 1, "waiting is no attempt");
    stack.assert_true(&user, WHOLE).await;
}

#[tokio::test]
async fn what_one_call_brought_is_kept_when_another_one_is_told_to_wait() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 100).await;
    // Some of the recent past, which the forecast host has, and some that only the archive has.
    for days in [10, 20, 400, 500] {
        let at = Some(r#"{"start_latlng":[48.2,16.37]}"#);
        stack.world().add_activity(user.athlete, Utc::now() - Duration::days(days), at).unwrap();
    }
    let path = |path: &str| Some(path.to_owned());
    let minute = Fault::Status { code: 429, html: false, day: false };
    let spent = FaultRule { path: path("/open-meteo/forecast"), ..FaultRule::new(minute) };
    let spent = stack.world().add_fault(spent).unwrap();
    // The refusal comes long before the archive answers.
    let slow = Fault::Stall { seconds: 0.3 };
    let slow = FaultRule { path: path(ARCHIVE), count: Some(2), ..FaultRule::new(slow) };
    stack.world().add_fault(slow).unwrap();
    let answered = |stack: &Stack| {
        let log = stack.world().log(0, usize::MAX).into_iter();
        log.filter(|entry| entry.path.starts_with(ARCHIVE) && entry.status == Some(200)).count()
    };

    let _worker = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    let (sync, waiting) = user.client.wait_parked(id, SOON).await;
    assert_eq!(
        (waiting.reason.as_str(), sync.status.as_str()),
        ("rate_limit", "ENRICHING_WEATHER")
    );
    let calls = answered(&stack);
    let kept = "select count(*) from paceline.weather_hours where source = 'archive'";
    let kept = rows::number(&stack.db, kept).await;
    assert!(calls > 0 && kept > 2, "{calls} calls of the archive, {kept} days of them kept");

    assert!(stack.world().remove_fault(spent));
    rows::make_due(&stack.db).await;
    let done = user.client.wait_done(id, SOON).await;
    assert_eq!((done.attempt, done.results.unwrap().enrich.failed), (1, 0));
    stack.assert_true(&user, WHOLE).await;
    assert_eq!(answered(&stack), calls, "what the archive had said is not asked for again");
}
