//! From "connect" to data, in a browser: the simulated provider's consent page, the way back, the status page, and what
//! the app sees of it.

use paceline_simulator::Population;
use paceline_tests::{
    browser::Browser,
    client::Client,
    rows,
    stack::{APP_RETURN_URL, RETURN_URL, SOON, Stack},
    wait::{eventually, until},
};
use reqwest::{Method, Url};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const STRAVA: &str = "/api/v1/connections/strava/authorize";

/// An athlete who has not connected anything.
fn athlete(stack: &Stack, activities: u32) -> String {
    let population = Population { activities, years: 1, ..Population::default() };
    stack.world().add_athlete(&population).unwrap().to_string()
}

/// Where the user is to be sent.
async fn link(client: &Client, body: &Value) -> String {
    let answer = client.post(STRAVA, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.headers["cache-control"], "no-store");
    answer.body["url"].as_str().unwrap().to_owned()
}

async fn connections(client: &Client) -> Vec<Value> {
    let answer = client.get("/api/v1/connections").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body["items"].as_array().unwrap().clone()
}

fn param(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.unwrap_or_else(|| panic!("{url} has no {name}")).1.into_owned()
}

#[tokio::test]
async fn from_the_consent_page_to_the_history_and_no_secret_on_the_way() {
    let mut stack = Stack::new().await;
    let mut worker = stack.worker().await;
    let (ann, athlete) = (stack.client("ann"), athlete(&stack, 40));
    let back = format!("{RETURN_URL}/accounts?tab=1");
    let link = link(&ann, &json!({ "returnTo": back })).await;
    let mut browser = Browser::default();
    let callback = browser.consent(&link, &[("auto", &athlete)]).await;
    let (code, state) = (param(&callback, "code"), param(&callback, "state"));

    let sent = browser.open(callback.as_str()).await;
    assert_eq!(sent.status, 303, "{}", sent.html);
    assert_eq!(sent.headers["referrer-policy"], "no-referrer");
    let cookie = sent.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
    let page = browser.open(sent.next().as_str()).await;
    let done = browser.watch(&page, SOON).await;
    assert!(done.html.contains("Strava is connected"), "{}", done.html);
    let expected = format!("{back}&provider=strava&outcome=connected");
    assert_eq!(done.led_to(), Some(expected));

    let [connection] = &connections(&ann).await[..] else { panic!("one connection") };
    assert_eq!(
        (&connection["state"], &connection["accountId"], &connection["action"]),
        (&json!("active"), &json!(athlete), &Value::Null)
    );
    eventually("the first sync has read everything", SOON, async || {
        let syncs = ann.get("/api/v1/syncs").await;
        (syncs.body["items"][0]["status"] == "COMPLETED").then_some(())
    })
    .await;
    assert_eq!(ann.all("/api/v1/activities", 50).await.len(), 40);

    // The link works once, and its page is for this browser.
    let again = browser.open(callback.as_str()).await;
    assert_eq!(again.status, 400);
    assert!(again.html.contains("used before"), "{}", again.html);
    let mut stranger = Browser::default();
    assert_eq!(stranger.open(page.url.as_str()).await.status, 404);
    assert_eq!(stranger.open(&format!("{}/now", page.url)).await.status, 404);

    worker.sigterm();
    worker.wait(SOON).await;
    let shown = ["/api/v1/connections", "/api/v1/connections?disconnected=true", "/api/v1/syncs"];
    let mut texts =
        vec![page.html, done.html, again.html, sent.html, worker.log(), stack.api.log()];
    for path in shown {
        texts.push(ann.get(path).await.text);
    }
    let dumped: String = sqlx::query_scalar(
        "select concat((select string_agg(a::text, ' ') from paceline.authorizations a), (select string_agg(h::text, ' ') from paceline.sync_history h))",
    )
    .fetch_one(&*stack.db)
    .await
    .unwrap();
    texts.push(dumped);
    let key = cookie.split_once(';').unwrap().0.split_once('=').unwrap().1.to_owned();
    for secret in stack.secrets().iter().chain([&code, &state, &key]) {
        for text in &texts {
            assert!(!text.contains(secret.as_str()), "{secret} shows in {text}");
        }
    }
    let log = stack.api.log();
    assert!(
        log.contains("action=\"authorize\"") || log.contains("\"action\":\"authorize\""),
        "{log}"
    );
    assert!(log.contains("action=\"connect\"") || log.contains("\"action\":\"connect\""), "{log}");
}

#[tokio::test]
async fn who_does_not_consent_is_led_back_and_nothing_is_connected() {
    let stack = Stack::new().await;
    let ann = stack.client("ann");
    let link = link(&ann, &json!({ "returnTo": APP_RETURN_URL })).await;
    let mut browser = Browser::default();
    let callback = browser.consent(&link, &[("auto", "deny")]).await;
    let page = browser.come_back(&callback).await;
    assert!(page.is_over() && page.html.contains("You did not allow it"), "{}", page.html);
    assert_eq!(page.led_to(), Some(format!("{APP_RETURN_URL}?provider=strava&outcome=denied")));
    assert_eq!(browser.open(callback.as_str()).await.status, 400, "a refusal uses the link up");
    assert!(connections(&ann).await.is_empty());
    assert_eq!(rows::number(&stack.db, "select count(*) from paceline.sync_jobs").await, 0);
}

#[tokio::test]
async fn what_was_withheld_is_named_and_can_be_granted_later() {
    let mut stack = Stack::new().await;
    let _worker = stack.worker().await;
    let (ann, athlete) = (stack.client("ann"), athlete(&stack, 10));
    let mut browser = Browser::default();
    let first = link(&ann, &json!({ "returnTo": RETURN_URL })).await;
    let callback = browser.consent(&first, &[("auto", &athlete), ("granted", "read")]).await;
    let page = browser.come_back(&callback).await;
    let page = browser.watch(&page, SOON).await;
    assert!(
        page.html.contains("activity:read_all") && page.html.contains("outcome=limited"),
        "{}",
        page.html
    );
    assert_eq!(page.led_to(), None, "there is something to read");
    let limited = connections(&ann).await.remove(0);
    assert_eq!(
        (&limited["state"], &limited["action"]),
        (&json!("limited"), &json!("grant_access"))
    );
    assert!(
        limited["missing"].as_array().unwrap().contains(&json!("activity:read_all")),
        "{limited}"
    );
    assert!(limited["meaning"].as_str().unwrap().contains("activity:read_all"), "{limited}");

    let second = link(&ann, &json!({})).await;
    let callback = browser.consent(&second, &[("auto", &athlete)]).await;
    let page = browser.come_back(&callback).await;
    let page = browser.watch(&page, SOON).await;
    assert!(page.html.contains("Strava is connected<"), "{}", page.html);
    let [active] = &connections(&ann).await[..] else { panic!("one connection") };
    assert_eq!((&active["id"], &active["state"]), (&limited["id"], &json!("active")));
    assert_eq!(active["missing"], json!([]));
}

#[tokio::test]
async fn while_no_worker_runs_the_page_says_so_and_goes_on_watching() {
    let mut stack = Stack::new().await;
    let (ann, athlete) = (stack.client("ann"), athlete(&stack, 3));
    let link = link(&ann, &json!({})).await;
    let mut browser = Browser::default();
    let callback = browser.consent(&link, &[("auto", &athlete)]).await;
    let began = Instant::now();
    let page = browser.come_back(&callback).await;
    assert!(page.html.contains("Connecting Strava"), "{}", page.html);
    let now = format!("{}/now", page.url);
    until("the page says that nobody is there", SOON, async || {
        browser.open(&now).await.html == r#"{"stage":"nobody_there"}"#
    })
    .await;
    assert!(began.elapsed() >= Duration::from_secs(3));
    let page = browser.open(page.url.as_str()).await;
    assert!(
        page.html.contains("No worker of this service is running") && !page.is_over(),
        "{}",
        page.html
    );
    let _worker = stack.worker().await;
    let page = browser.watch(&page, SOON).await;
    assert!(page.html.contains("Strava is connected"), "{}", page.html);
}

#[tokio::test]
async fn a_code_that_ran_out_is_not_sent_and_its_user_starts_again() {
    let mut stack = Stack::new().await;
    let (ann, athlete) = (stack.client("ann"), athlete(&stack, 3));
    let first = link(&ann, &json!({ "returnTo": RETURN_URL })).await;
    let mut browser = Browser::default();
    let callback = browser.consent(&first, &[("auto", &athlete)]).await;
    let page = browser.come_back(&callback).await;
    rows::change(
        &stack.db,
        "update paceline.authorizations set code_expires_at = clock_timestamp()",
    )
    .await;
    let asked = stack.world().counts().total;
    let _worker = stack.worker().await;
    let page = browser.watch(&page, SOON).await;
    assert!(
        page.html.contains("ran out") && page.html.contains("outcome=code_expired"),
        "{}",
        page.html
    );
    assert_eq!(page.led_to(), None);
    assert_eq!(stack.world().counts().total, asked, "the provider was not asked");
    assert!(connections(&ann).await.is_empty());

    let second = link(&ann, &json!({})).await;
    let callback = browser.consent(&second, &[("auto", &athlete)]).await;
    let page = browser.come_back(&callback).await;
    assert!(browser.watch(&page, SOON).await.html.contains("Strava is connected"));
}

#[tokio::test]
async fn who_takes_too_long_is_told_so_and_led_nowhere_else() {
    let stack = Stack::new().await;
    let (ann, athlete) = (stack.client("ann"), athlete(&stack, 3));
    let link = link(&ann, &json!({ "returnTo": RETURN_URL })).await;
    let mut browser = Browser::default();
    let callback = browser.consent(&link, &[("auto", &athlete)]).await;
    rows::change(&stack.db, "update paceline.authorizations set expires_at = clock_timestamp()")
        .await;
    for title in ["This took too long", "used before"] {
        let page = browser.open(callback.as_str()).await;
        assert_eq!(page.status, 400);
        assert!(page.html.contains(title), "{}", page.html);
    }
    let kept = "select count(*) from paceline.authorizations where sealed_code is not null";
    assert_eq!(rows::number(&stack.db, kept).await, 0);
}

#[tokio::test]
async fn who_is_too_late_by_a_moment_is_told_so_at_once() {
    let stack = Stack::new().await;
    let (ann, athlete) = (stack.client("ann"), athlete(&stack, 3));
    let link = link(&ann, &json!({})).await;
    let mut browser = Browser::default();
    let callback = browser.consent(&link, &[("auto", &athlete)]).await;
    // Time runs out between the look at the state and the keeping of the code.
    let mut tx = stack.db.begin().await.unwrap();
    let over = "update paceline.authorizations set expires_at = clock_timestamp()";
    sqlx::query(over).execute(&mut *tx).await.unwrap();
    let ending = async {
        until("the code waits for the row", SOON, async || {
            let waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
            rows::number(&stack.db, waits).await == 1
        })
        .await;
        tx.commit().await.unwrap();
        Instant::now()
    };
    let (page, ended) = tokio::join!(browser.open(callback.as_str()), ending);
    assert_eq!(page.status, 400);
    assert!(page.html.contains("This took too long"), "{}", page.html);
    assert!(ended.elapsed() < Duration::from_secs(3), "{:?}", ended.elapsed());
}

#[tokio::test]
async fn a_state_counts_for_its_provider_and_its_user_only() {
    let mut stack = Stack::new().await;
    let _worker = stack.worker().await;
    let (ann, bob) = (stack.client("ann"), stack.client("bob"));
    let athletes = [athlete(&stack, 3), athlete(&stack, 3)];
    let mut browser = Browser::default();
    let link = link(&ann, &json!({})).await;
    let callback = browser.consent(&link, &[("auto", &athletes[0])]).await;

    // Changed, invented, or at another provider's door: nothing of it counts, and the link is not used up.
    let elsewhere = callback.as_str().replace("/oauth/strava/", "/oauth/withings/");
    let state = param(&callback, "state");
    let mut other: String = state.chars().rev().collect();
    if other == state {
        other.replace_range(0..1, "x");
    }
    for forged in [elsewhere, callback.as_str().replace(&state, &other)] {
        let page = browser.open(&forged).await;
        assert_eq!(page.status, 400, "{forged}");
        assert!(page.html.contains("not known here"), "{}", page.html);
    }

    // Whoever brings it, it is Ann's account.
    let page = browser.come_back(&callback).await;
    browser.watch(&page, SOON).await;
    let connection = connections(&ann).await.remove(0);
    assert_eq!(connection["accountId"], json!(athletes[0]));
    assert!(connections(&bob).await.is_empty());
    let path = format!("/api/v1/connections/{}", connection["id"].as_str().unwrap());
    for method in [Method::GET, Method::DELETE] {
        let refused = bob.send(bob.request(method, &path)).await.problem();
        assert_eq!((refused.status, refused.kind.as_str()), (404, "/problems/unknown-connection"));
    }

    // Her key opens her page and not his.
    let his = self::link(&bob, &json!({})).await;
    let callback = Browser::default().consent(&his, &[("auto", &athletes[1])]).await;
    let mut his_browser = Browser::default();
    let his_page = his_browser.come_back(&callback).await;
    assert_eq!(his_page.status, 200);
    assert_eq!(browser.open(his_page.url.as_str()).await.status, 404);
}

#[tokio::test]
async fn an_account_that_another_user_has_is_not_taken_away_from_him() {
    let mut stack = Stack::new().await;
    let _worker = stack.worker().await;
    let athlete = athlete(&stack, 3);
    let (ann, bob) = (stack.client("ann"), stack.client("bob"));
    for (user, says) in [(&ann, "Strava is connected"), (&bob, "Another user of this app")] {
        let mut browser = Browser::default();
        let link = link(user, &json!({})).await;
        let callback = browser.consent(&link, &[("auto", &athlete)]).await;
        let page = browser.come_back(&callback).await;
        let page = browser.watch(&page, SOON).await;
        assert!(page.html.contains(says), "{}", page.html);
    }
    assert_eq!((connections(&ann).await.len(), connections(&bob).await.len()), (1, 0));
}
