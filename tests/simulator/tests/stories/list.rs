//! Strava's list of activities: pages, bounds, scopes, changes.

use std::collections::HashSet;

use paceline_simulator::{Config, StartRange};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{World, json};

/// All pages until an empty one, and how many records each held.
async fn read_all(world: &World, token: &str, query: &str) -> (Vec<Value>, Vec<usize>) {
    let (mut records, mut lengths) = (Vec::new(), Vec::new());
    for page in 1.. {
        let path = format!("athlete/activities?page={page}&{query}");
        let (status, body) = json(world.strava(token, &path).await).await;
        assert_eq!(status, 200);
        let Value::Array(list) = body else { panic!("{body}") };
        if list.is_empty() {
            break;
        }
        lengths.push(list.len());
        records.extend(list);
    }
    (records, lengths)
}

fn truth(world: &World, athlete: u64, range: StartRange) -> Vec<Value> {
    let page = world.sim().activities(athlete, range, 0, usize::MAX).unwrap();
    page.activities.iter().map(|raw| serde_json::from_str(raw.get()).unwrap()).collect()
}

#[tokio::test]
async fn all_pages_together_are_the_truth_and_only_the_last_is_empty() {
    let world = World::with(Config { short_page_every: 3, ..Config::default() }).await;
    let (athlete, token) = world.athlete(1234);
    let mut truth = truth(&world, athlete, StartRange::default());
    let (ascending, lengths) = read_all(&world, &token, "per_page=100&after=0").await;
    assert_eq!(ascending, truth);
    assert!(lengths.iter().rev().skip(1).any(|&length| length < 100), "{lengths:?}");
    let ids: HashSet<u64> = ascending.iter().map(|record| record["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), 1234);

    let (newest_first, _) = read_all(&world, &token, "per_page=200").await;
    truth.reverse();
    assert_eq!(newest_first, truth);
}

#[tokio::test]
async fn the_summary_counts_what_the_list_shows() {
    let world = World::new().await;
    let (athlete, token) = world.athlete(1500);
    let summary = world.sim().athlete(athlete, StartRange::default()).unwrap();
    let (records, lengths) = read_all(&world, &token, "per_page=200").await;
    let located =
        |record: &&Value| record["start_latlng"].as_array().is_some_and(|at| at.len() == 2);
    assert_eq!(summary.activities, records.len());
    assert_eq!(summary.pages_of_200, lengths.len());
    assert_eq!(summary.locatable, records.iter().filter(located).count());
    assert!(summary.geocodable < summary.locatable && summary.locatable < summary.activities);
    let private = records.iter().filter(|record| record["private"] == true).count();
    assert_eq!(summary.private, private);
    let runs = records.iter().filter(|record| record["sport_type"] == "Run").count();
    assert_eq!(summary.sport_types["Run"], runs);
    assert_eq!(summary.sport_types.values().sum::<usize>(), records.len());
}

#[tokio::test]
async fn bounds_are_on_the_start_and_exclude_it() {
    let world = World::new().await;
    let (athlete, token) = world.athlete(300);
    let all = truth(&world, athlete, StartRange::default());
    let start = |record: &Value| -> i64 {
        let text = record["start_date"].as_str().unwrap();
        text.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp()
    };
    let (from, to) = (start(&all[40]), start(&all[200]));
    let (inside, _) = read_all(&world, &token, &format!("after={from}&before={to}")).await;
    let expected: Vec<_> = all.iter().filter(|it| start(it) > from && start(it) < to).collect();
    assert_eq!(inside.iter().collect::<Vec<_>>(), expected);
    let range = StartRange { after: Some(from), before: Some(to) };
    assert_eq!(world.sim().athlete(athlete, range).unwrap().activities, expected.len());
    assert_eq!(truth(&world, athlete, range), inside);
}

#[tokio::test]
async fn thirty_are_the_default_and_more_than_200_are_refused() {
    let world = World::with(Config { short_page_every: 0, ..Config::default() }).await;
    let (_, token) = world.athlete(300);
    let (_, page) = json(world.strava(&token, "athlete/activities").await).await;
    assert_eq!(page.as_array().unwrap().len(), 30);
    for wrong in ["per_page=201", "per_page=0", "page=0", "page=x", "after=yesterday"] {
        let answer = world.strava(&token, &format!("athlete/activities?{wrong}")).await;
        let (status, body) = json(answer).await;
        assert_eq!((status, &body["message"]), (400, &json!("Bad Request")), "{wrong}");
    }
}

#[tokio::test]
async fn private_activities_need_the_wider_scope() {
    let world = World::new().await;
    let (athlete, token) = world.athlete(400);
    let narrow = world.sim().grant(athlete, "read,activity:read").unwrap().access_token;
    let (all, _) = read_all(&world, &token, "per_page=200").await;
    let (public, _) = read_all(&world, &narrow, "per_page=200").await;
    let expected: Vec<_> = all.iter().filter(|record| record["private"] == false).collect();
    assert!(expected.len() < all.len());
    assert_eq!(public.iter().collect::<Vec<_>>(), expected);
    let hidden = all.iter().find(|record| record["private"] == true).unwrap();
    let path = format!("activities/{}", hidden["id"]);
    assert_eq!(world.strava(&narrow, &path).await.status(), 404);
    assert_eq!(world.strava(&token, &path).await.status(), 200);
}

#[tokio::test]
async fn edits_deletions_and_late_uploads_show_in_the_list() {
    let world = World::new().await;
    let (athlete, token) = world.athlete(50);
    let before = truth(&world, athlete, StartRange::default());
    let path = |id: &Value| format!("/_sim/strava/athletes/{athlete}/activities/{id}");
    let edited = &before[10]["id"];
    let fields = json!({ "name": "Messy \u{0}", "distance": "far", "start_latlng": [1.5, 2.5] });
    let (status, _) = world.control(Method::PATCH, &path(edited), fields).await;
    assert_eq!(status, 200);
    let deleted = &before[20]["id"];
    assert_eq!(world.control(Method::DELETE, &path(deleted), json!({})).await.0, 200);
    assert_eq!(world.control(Method::DELETE, &path(deleted), json!({})).await.0, 404);
    let late =
        json!({ "start_date": before[5]["start_date"], "fields": { "sport_type": "Chess" } });
    let add = format!("/_sim/strava/athletes/{athlete}/activities");
    let (status, added) = world.control(Method::POST, &add, late).await;
    assert_eq!(status, 201);

    let (after, _) = read_all(&world, &token, "after=0").await;
    assert_eq!(after, truth(&world, athlete, StartRange::default()));
    assert_eq!(after.len(), 50);
    let ids: Vec<&Value> = after.iter().map(|record| &record["id"]).collect();
    assert!(!ids.contains(&deleted));
    // Begun at the same second as the sixth, it follows it: its id is higher than all.
    assert_eq!(ids[6], &added["id"]);
    let shown = after.iter().find(|record| record["id"] == *edited).unwrap();
    assert_eq!(shown["name"], "Messy \u{0}");
    assert_eq!(shown["distance"], "far");
    let summary = world.sim().athlete(athlete, StartRange::default()).unwrap();
    assert_eq!((summary.edited, summary.deleted, summary.late), (2, 1, 1));
    assert_eq!(summary.sport_types["Chess"], 1);
    let gone = world.strava(&token, &format!("activities/{deleted}")).await;
    let (status, body) = json(gone).await;
    assert_eq!((status, &body["message"]), (404, &json!("Record Not Found")));
}

#[tokio::test]
async fn one_activity_has_the_fields_of_the_list_and_more() {
    let world = World::new().await;
    let (athlete, token) = world.athlete(5);
    let listed = &truth(&world, athlete, StartRange::default())[2];
    let path = format!("activities/{}", listed["id"]);
    let (status, detail) = json(world.strava(&token, &path).await).await;
    assert_eq!(status, 200);
    for (name, value) in listed.as_object().unwrap() {
        if name != "resource_state" {
            assert_eq!(&detail[name], value, "{name}");
        }
    }
    assert!(detail["calories"].is_number() && detail["resource_state"] == 3);
    let (_, profile) = json(world.strava(&token, "athlete").await).await;
    assert_eq!((&profile["id"], &profile["resource_state"]), (&json!(athlete), &json!(3)));
}
