//! Withings' lists over HTTP: paging, filters, and what must come out of a whole read.

use std::collections::{BTreeMap, BTreeSet};

use paceline_simulator::{Config, WithingsKind, WithingsPopulation};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::World;
use crate::withings_client::SMALL;

async fn small_pages(short_page_every: u32) -> World {
    let config = Config { withings_page_size: 7, short_page_every, ..Config::default() };
    World::with(config).await
}

fn truth(world: &World, user: u64, kind: WithingsKind) -> Vec<Value> {
    let page = world.sim().withings_records(user, kind, 0, usize::MAX).unwrap();
    assert_eq!(page.next, None);
    let records = page.records.iter();
    records.map(|one| serde_json::from_str(one.record.get()).unwrap()).collect()
}

#[tokio::test]
async fn a_whole_read_of_measures_is_the_truth_and_more_is_absent_at_its_end() {
    let world = small_pages(3).await;
    let (user, token) = world.withings_user(&SMALL);
    let (groups, pages) =
        world.whole(&token, "measure", "measuregrps", &[("action", "getmeas")]).await;
    assert_eq!(groups, truth(&world, user, WithingsKind::Measures));
    let summary = world.sim().withings_user(user).unwrap();
    let list = summary.lists[&WithingsKind::Measures];
    assert_eq!((groups.len(), pages), (list.records, list.pages));
    assert!(pages > groups.len() / 7, "{pages} pages");

    let body = world.told(&token, "measure", &[("action", "getmeas")]).await;
    assert_eq!(body["more"], 1);
    assert_eq!(body["timezone"], summary.timezone);
    let now = world.sim().now().timestamp();
    assert!((now - 60..=now).contains(&body["updatetime"].as_i64().unwrap()));
    let wishes = [("action", "getmeas"), ("category", "2")];
    let goals = world.told(&token, "measure", &wishes).await;
    assert_eq!(goals["measuregrps"].as_array().unwrap().len(), 2);
    assert!(goals.get("more").is_none() && goals.get("offset").is_none(), "{goals}");
}

#[tokio::test]
async fn the_values_a_client_must_have_leave_out_goals_uncertain_users_and_what_is_told_twice() {
    let world = World::new().await;
    let population = WithingsPopulation { measures: 1500, ..SMALL };
    let (user, token) = world.withings_user(&population);
    let (mut groups, _) =
        world.whole(&token, "measure", "measuregrps", &[("action", "getmeas")]).await;
    groups.retain(|group| group["category"] == 1 && group["attrib"] != 1);
    groups.sort_by_key(|group| group["attrib"].as_i64());
    let mut kept = BTreeMap::new();
    let mut told = 0;
    for group in &groups {
        for measure in group["measures"].as_array().unwrap() {
            let key = [&group["grpid"], &group["date"], &measure["type"], &measure["position"]];
            let key = key.map(Value::as_i64);
            told += 1;
            kept.entry(key).or_insert((measure["value"].as_i64(), measure["unit"].as_i64()));
        }
    }
    let truth = world.sim().withings_values(user, 0, usize::MAX).unwrap().records;
    let truth: BTreeMap<_, _> = truth
        .iter()
        .map(|one| {
            let key = [Some(one.grpid), Some(one.date), Some(one.kind), one.position];
            (key, (Some(one.value), Some(one.unit)))
        })
        .collect();
    assert_eq!(kept, truth);
    assert!(told > kept.len(), "nothing is told twice");
    assert_eq!(world.sim().withings_user(user).unwrap().values, kept.len());
}

#[tokio::test]
async fn measures_are_narrowed_to_types_and_to_when_they_were_taken() {
    let world = World::new().await;
    let (user, token) = world.withings_user(&WithingsPopulation { measures: 400, ..SMALL });
    let form = [("action", "getmeas"), ("meastypes", "9,10"), ("category", "1")];
    let (groups, _) = world.whole(&token, "measure", "measuregrps", &form).await;
    let types: BTreeSet<i64> = groups
        .iter()
        .flat_map(|group| group["measures"].as_array().unwrap())
        .map(|measure| measure["type"].as_i64().unwrap())
        .collect();
    assert_eq!(types, BTreeSet::from([9, 10]));

    let all = truth(&world, user, WithingsKind::Measures);
    let date = |group: &Value| group["date"].as_i64().unwrap();
    let (from, to) = (date(&all[100]), date(&all[120]));
    let (start, end) = (from.to_string(), to.to_string());
    let form = [("action", "getmeas"), ("startdate", start.as_str()), ("enddate", &end)];
    let (groups, _) = world.whole(&token, "measure", "measuregrps", &form).await;
    let expected: Vec<_> =
        all.iter().filter(|group| (from..=to).contains(&date(group))).cloned().collect();
    assert_eq!(groups, expected);
}

#[tokio::test]
async fn the_second_versions_lists_page_with_a_truth_value_and_by_days() {
    let world = small_pages(0).await;
    let (user, token) = world.withings_user(&SMALL);
    for (service, action, list, kind) in [
        ("v2/measure", "getactivity", "activities", WithingsKind::Activity),
        ("v2/measure", "getworkouts", "series", WithingsKind::Workouts),
        ("v2/sleep", "getsummary", "series", WithingsKind::Sleep),
    ] {
        let form = [("action", action), ("lastupdate", "0")];
        let body = world.told(&token, service, &form).await;
        assert_eq!((&body["more"], &body["offset"]), (&json!(true), &json!(7)), "{action}");
        let (records, pages) = world.whole(&token, service, list, &form).await;
        let all = truth(&world, user, kind);
        assert_eq!((records.len(), pages), (all.len(), all.len().div_ceil(7)), "{action}");

        let day = all[all.len() / 2]["date"].as_str().unwrap();
        let form = [("action", action), ("startdateymd", day), ("enddateymd", day)];
        let body = world.told(&token, service, &form).await;
        assert_eq!((&body["more"], &body["offset"]), (&json!(false), &json!(0)), "{action}");
        let of_day = all.iter().filter(|record| record["date"] == day).count();
        assert_eq!(body[list].as_array().unwrap().len(), of_day);
    }
}

#[tokio::test]
async fn figures_of_a_day_come_only_when_they_are_asked_for_by_name() {
    let world = World::new().await;
    let (_, token) = world.withings_user(&SMALL);
    let form = [("action", "getactivity"), ("lastupdate", "0")];
    let day = world.told(&token, "v2/measure", &form).await["activities"][0].clone();
    assert!(day.get("steps").is_none() && day["totalcalories"].is_number(), "{day}");
    let form = [form[0], form[1], ("data_fields", "steps,hr_zone_0")];
    let day = world.told(&token, "v2/measure", &form).await["activities"][0].clone();
    assert!(day["steps"].is_number() && day["hr_zone_0"].is_number(), "{day}");
    assert!(day.get("totalcalories").is_none() && day["timezone"].is_string(), "{day}");
}

#[tokio::test]
async fn a_late_upload_and_an_edit_show_under_lastupdate_and_a_deletion_nowhere() {
    let world = World::new().await;
    let (user, token) = world.withings_user(&SMALL);
    let before = world.sim().now().timestamp() - 1;
    let since = before.to_string();
    let form = [("action", "getmeas"), ("lastupdate", since.as_str())];
    let changed = async || world.whole(&token, "measure", "measuregrps", &form).await.0;
    assert!(changed().await.is_empty());

    let path = format!("/_sim/withings/users/{user}/measures");
    let late = json!({ "at": "2025-03-01T07:00:00Z" });
    let (status, late) = world.control(Method::POST, &path, late).await;
    assert_eq!((status, &late["counts"]), (201, &json!(true)));
    assert_eq!(changed().await, [late["record"].clone()]);
    assert_eq!(late["record"]["date"], 1_740_812_400);
    assert!(late["record"]["created"].as_i64().unwrap() > before);

    let edit = json!({ "measures": [{ "value": 7_012, "type": 1, "unit": -2 }] });
    let (status, edited) = world.control(Method::PATCH, &format!("{path}/10"), edit).await;
    assert_eq!((status, &edited["record"]["measures"][0]["value"]), (200, &json!(7_012)));
    assert_eq!(changed().await, [edited["record"].clone(), late["record"].clone()]);
    let fixed = world.control(Method::PATCH, &format!("{path}/10"), json!({ "grpid": 1 })).await;
    assert_eq!(fixed.0, 400);

    let number = late["number"].as_u64().unwrap();
    for (number, left) in [(number, 1), (10, 0)] {
        let one = format!("{path}/{number}");
        assert_eq!(world.control(Method::DELETE, &one, json!({})).await.0, 200);
        assert_eq!(world.control(Method::GET, &one, json!({})).await.0, 404);
        assert_eq!(changed().await.len(), left);
    }
    let list = world.sim().withings_user(user).unwrap().lists[&WithingsKind::Measures];
    assert_eq!((list.added, list.edited, list.deleted), (1, 1, 2));
    assert_eq!(truth(&world, user, WithingsKind::Measures).len(), list.records);
}

#[tokio::test]
async fn what_cannot_be_asked_is_a_503_inside_a_200() {
    type Form<'a> = &'a [(&'a str, &'a str)];
    let world = World::new().await;
    let (_, token) = world.withings_user(&SMALL);
    let cases: [(&str, Form<'_>, u16); 8] = [
        ("measure", &[("action", "getmeas"), ("meastypes", "1,x")], 503),
        ("measure", &[("action", "getmeas"), ("startdate", "5"), ("lastupdate", "5")], 503),
        ("measure", &[("action", "getmeas"), ("startdate", "6"), ("enddate", "5")], 503),
        ("v2/measure", &[("action", "getactivity")], 503),
        ("v2/measure", &[("action", "getworkouts"), ("startdateymd", "2026-01-01")], 503),
        ("v2/sleep", &[("action", "getsummary"), ("lastupdate", "yesterday")], 503),
        ("v2/sleep", &[("action", "getnothing")], 2554),
        ("v2/measure", &[], 2554),
    ];
    for (service, form, status) in cases {
        let (http, answer) = world.withings(&token, service, form).await;
        assert_eq!((http, &answer["status"]), (200, &json!(status)), "{service} {form:?}");
    }
}

#[tokio::test]
async fn the_house_has_devices_that_the_groups_name() {
    let world = World::new().await;
    let (user, token) = world.withings_user(&SMALL);
    let body = world.told(&token, "v2/user", &[("action", "getdevice")]).await;
    let ids: BTreeSet<&str> = body["devices"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["deviceid"].as_str())
        .collect();
    assert_eq!(ids.len(), 6);
    for group in truth(&world, user, WithingsKind::Measures) {
        assert!(group["deviceid"].as_str().is_none_or(|id| ids.contains(id)), "{group}");
    }
}

#[tokio::test]
async fn a_user_is_made_and_read_over_the_controls() {
    let world = World::new().await;
    let ask = json!({ "measures": 12, "days": 4, "workouts": 3, "nights": 2, "seed": 4, "id": 77 });
    let (status, user) = world.control(Method::POST, "/_sim/withings/users", ask.clone()).await;
    assert_eq!((status, &user["lists"]["activity"]["records"]), (201, &json!(4)), "{user}");
    assert_eq!(world.control(Method::POST, "/_sim/withings/users", ask).await.0, 409);
    let wrong = json!({ "wokouts": 5 });
    assert_eq!(world.control(Method::POST, "/_sim/withings/users", wrong).await.0, 400);
    assert_eq!(world.control(Method::GET, "/_sim/withings/users/78", json!({})).await.0, 404);
    let path = "/_sim/withings/users/77/values?limit=1";
    let (_, values) = world.control(Method::GET, path, json!({})).await;
    assert_eq!(values["next"], 1);
    assert!(values["records"][0]["decimal"].is_string(), "{values}");
    let (_, days) = world.control(Method::GET, "/_sim/withings/users/77/activity", json!({})).await;
    let day = json!({ "at": format!("{}T12:00:00Z", days["records"][2]["record"]["date"].as_str().unwrap()) });
    assert_eq!(world.control(Method::POST, "/_sim/withings/users/77/activity", day).await.0, 409);
    let (_, all) = world.control(Method::GET, "/_sim/withings/users", json!({})).await;
    assert_eq!(all, json!({ "users": [77] }));
}
