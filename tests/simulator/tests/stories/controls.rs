//! The controls over HTTP, and the simulator's own beginning and end.

use std::time::{Duration, Instant};

use paceline_simulator::{Config, Error, Population, Simulator, StartRange, serve};
use reqwest::Method;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::client::World;

#[tokio::test]
async fn the_log_tells_who_asked_for_which_page_and_what_came_of_it() {
    let world = World::new().await;
    let (athlete, token) = world.athlete(40);
    world.strava(&token, "athlete/activities?page=1").await;
    world.strava(&token, "athlete/activities?page=2&per_page=30").await;
    let pair = world.sim().grant(athlete, "read").unwrap();
    world.token(&[("grant_type", "refresh_token"), ("refresh_token", &pair.refresh_token)]).await;
    world.get("/open-meteo/archive/v1/archive?latitude=x").await;
    world.get("/_sim/health").await;

    let (_, log) = world.control(Method::GET, "/_sim/log", json!({})).await;
    let entries = log["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 4, "{log}");
    assert_eq!((&entries[1]["page"], &entries[1]["athlete"]), (&json!(2), &json!(athlete)));
    assert_eq!(entries[1]["query"], "page=2&per_page=30");
    assert!(entries[1]["bytes"].as_u64().unwrap() > 1000);
    assert_eq!((&entries[2]["method"], &entries[2]["athlete"]), (&json!("POST"), &json!(athlete)));
    assert_eq!(
        (&entries[3]["provider"], &entries[3]["status"]),
        (&json!("open-meteo"), &json!(400))
    );
    let rest = format!("/_sim/log?since={}&athlete={athlete}", entries[0]["seq"]);
    let (_, rest) = world.control(Method::GET, &rest, json!({})).await;
    assert_eq!((rest["entries"].as_array().unwrap().len(), &rest["next"]), (2, &json!(4)));

    let (_, counts) = world.control(Method::GET, "/_sim/counts", json!({})).await;
    assert_eq!(counts["total"], 4);
    assert_eq!(counts["by_path"]["/strava/api/v3/athlete/activities"]["by_status"]["200"], 2);
    world.control(Method::DELETE, "/_sim/log", json!({})).await;
    assert_eq!(world.sim().counts().total, 0);
}

#[tokio::test]
async fn a_client_that_hangs_up_is_logged_as_such() {
    let world = World::new().await;
    let (_, token) = world.athlete(40);
    world.sim().set_latency(Duration::from_mins(1));
    let url = world.url("/strava/api/v3/athlete");
    let request = world.http.get(url).bearer_auth(token).timeout(Duration::from_millis(50));
    assert!(request.send().await.unwrap_err().is_timeout());
    let entry = loop {
        match world.sim().log(0, 10).pop() {
            Some(entry) => break entry,
            None => tokio::task::yield_now().await,
        }
    };
    assert_eq!((entry.status, entry.fault), (None, Some("hung_up")));
}

#[tokio::test]
async fn latency_is_waited_before_a_providers_answer_and_not_before_the_controls() {
    let world = World::new().await;
    let (status, _) = world.control(Method::PUT, "/_sim/latency", json!({ "ms": 80 })).await;
    assert_eq!(status, 200);
    let began = Instant::now();
    world.get("/strava/api/v3/athlete").await;
    assert!(began.elapsed() >= Duration::from_millis(80));
    world.sim().set_latency(Duration::MAX);
    assert_eq!(world.get("/_sim/health").await.status(), 200);
}

#[tokio::test]
async fn an_athlete_is_made_counted_and_read_over_http() {
    let world = World::new().await;
    let ask = json!({ "activities": 120, "years": 3, "seed": 4, "id": 77 });
    let (status, athlete) = world.control(Method::POST, "/_sim/strava/athletes", ask.clone()).await;
    assert_eq!((status, &athlete["id"], &athlete["activities"]), (201, &json!(77), &json!(120)));
    assert_eq!(world.control(Method::POST, "/_sim/strava/athletes", ask).await.0, 409);
    for wrong in
        [json!({ "activites": 5 }), json!({ "years": 0 }), json!({ "activities": 20_000_000 })]
    {
        assert_eq!(world.control(Method::POST, "/_sim/strava/athletes", wrong).await.0, 400);
    }
    assert_eq!(world.control(Method::GET, "/_sim/strava/athletes/78", json!({})).await.0, 404);

    let (mut read, mut cursor) = (0, json!(0));
    while !cursor.is_null() {
        let path = format!("/_sim/strava/athletes/77/activities?limit=50&cursor={cursor}");
        let (_, page) = world.control(Method::GET, &path, json!({})).await;
        read += page["activities"].as_array().unwrap().len();
        cursor = page["next"].clone();
    }
    assert_eq!(read, 120);

    let (status, code) =
        world.control(Method::POST, "/_sim/strava/athletes/77/code", json!({})).await;
    assert_eq!(status, 201);
    let form = [("grant_type", "authorization_code"), ("code", code["code"].as_str().unwrap())];
    assert_eq!(world.token(&form).await.status(), 200);
    let revoke = "/_sim/strava/athletes/77/revoke";
    let revoked = world.control(Method::POST, revoke, json!({})).await;
    assert_eq!(revoked, (200, json!({ "authorizations": 1 })));
}

#[tokio::test]
async fn the_weather_that_is_true_can_be_asked_for() {
    let world = World::new().await;
    let path = "/_sim/weather?latitude=52.52&longitude=13.41&time=2024-07-01T12:30:00Z";
    let (status, told) = world.control(Method::GET, path, json!({})).await;
    assert_eq!(status, 200);
    let time = "2024-07-01T12:00:00Z".parse().unwrap();
    let truth = world.sim().weather(52.52, 13.41, time, "temperature_2m").unwrap();
    assert_eq!(told["values"]["temperature_2m"], truth);
    assert_eq!(
        (&told["units"]["visibility"], &told["in_archive"]["visibility"]),
        (&json!("m"), &json!(false))
    );
    assert!(matches!(world.sim().weather(0.0, 0.0, time, "mood"), Err(Error::UnknownVariable(_))));
}

#[tokio::test]
async fn time_can_stand_and_move() {
    let world = World::new().await;
    let fixed = json!({ "fixed": "2026-11-21T10:00:00Z" });
    world.control(Method::PUT, "/_sim/clock", fixed).await;
    let (_, moved) = world.control(Method::PUT, "/_sim/clock", json!({ "advance_s": 90 })).await;
    assert_eq!(moved, json!({ "now": "2026-11-21T10:01:30Z" }));
    world.control(Method::PUT, "/_sim/clock", json!("real")).await;
    assert!(world.sim().now().to_rfc3339().as_str() > "2026-11-21T10:02");
}

#[tokio::test]
async fn a_process_of_its_own_serves_until_it_is_told_to_stop() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = held.local_addr().unwrap();
    let taken = Simulator::start(Config { listen, ..Config::default() }).await;
    assert!(matches!(taken, Err(Error::Listen(address, _)) if address == listen));
    drop(held);
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(Config { listen, ..Config::default() }, stop.clone()));
    let url = format!("http://{listen}/_sim/health");
    while reqwest::get(&url).await.is_err() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    served.await.unwrap().unwrap();
    assert!(reqwest::get(&url).await.is_err());
}

#[tokio::test]
async fn an_athlete_with_100_000_activities_is_made_and_read_from_anywhere() {
    let world = World::new().await;
    let population = Population { activities: 100_000, ..Population::default() };
    let athlete = world.sim().add_athlete(&population).unwrap();
    let summary = world.sim().athlete(athlete, StartRange::default()).unwrap();
    assert_eq!(summary.activities, 100_000);
    let end = world.sim().activities(athlete, StartRange::default(), 99_990, 200).unwrap();
    assert_eq!((end.activities.len(), end.next), (10, None));
}
