//! What comes back, and what is shown of it, as far as that goes without a database.

use super::*;
use crate::testing::{Answered, TestApp};
use axum::{body::Body, http::Request};

/// What one of our states looks like.
const STATE: &str = "0123456789012345678901234567890123456789-_A";
const CODE: &str = "a-code-that-nobody-may-see";

async fn get(app: &TestApp, path: &str) -> (Answered, String) {
    let answer = app.send(Request::get(path).body(Body::empty()).unwrap()).await;
    let html = String::from_utf8(answer.bytes.clone()).unwrap();
    (answer, html)
}

/// A page in every respect, which tells nothing that must not be told.
fn is_page(answer: &Answered, html: &str) {
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(answer.headers[name], value);
    }
    assert!(!html.contains(CODE) && !html.contains(STATE), "{html}");
    assert!(answer.headers.get("set-cookie").is_none());
}

#[tokio::test]
async fn an_answer_that_cannot_be_ours_is_a_page_before_anybody_is_asked() {
    let app = TestApp::new();
    let long = "x".repeat(ANSWER_LIMIT + 1);
    for (query, title) in [
        (String::new(), "not known here"),
        (format!("code={CODE}"), "not known here"),
        (format!("code={CODE}&state="), "not known here"),
        (format!("code={CODE}&state={STATE}x"), "not known here"),
        (format!("code={CODE}&state=%00{}", &STATE[1..]), "not known here"),
        (format!("code={CODE}&state={STATE}&state={STATE}"), "cannot be used"),
        (format!("code={CODE}&code={CODE}&state={STATE}"), "cannot be used"),
        (format!("code={long}&state={STATE}"), "cannot be used"),
    ] {
        let (answer, html) = get(&app, &format!("/oauth/strava/callback?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(html.contains(title), "{query}: {html}");
        is_page(&answer, &html);
    }
    let (answer, html) =
        get(&app, &format!("/oauth/runkeeper/callback?code={CODE}&state={STATE}")).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    is_page(&answer, &html);
}

#[tokio::test]
async fn while_the_database_is_away_the_page_asks_again_and_no_code_is_lost() {
    let app = TestApp::new();
    let path = format!("/oauth/strava/callback?code={CODE}&state={STATE}");
    let (answer, html) = get(&app, &path).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(html.contains("http-equiv=\"refresh\" content=\"2\""), "{html}");
    is_page(&answer, &html);
}

#[tokio::test]
async fn who_only_looks_at_the_address_uses_nothing_up() {
    let app = TestApp::new();
    let path = format!("/oauth/strava/callback?code={CODE}&state={STATE}");
    let answer = app.send(Request::head(&path).body(Body::empty()).unwrap()).await;
    // With the database away it would be 503 if anybody had asked it.
    assert_eq!((answer.status, answer.bytes.len()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn the_status_page_is_shown_to_nobody_without_its_key() {
    let app = TestApp::new();
    let id = AuthorizationId::fresh();
    for cookie in ["", "paceline_view=", "paceline_view=AAAA", "other=1; paceline_view=%"] {
        for (path, kind) in [("", None), ("/now", Some("unknown-authorization"))] {
            let request =
                Request::get(format!("/oauth/strava/status/{id}{path}")).header("cookie", cookie);
            let answer = app.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{cookie}");
            match kind {
                Some(kind) => assert_eq!(answer.problem(), kind),
                None => is_page(&answer, &String::from_utf8(answer.bytes.clone()).unwrap()),
            }
        }
    }
    for path in ["/oauth/strava/status/nonsense", "/oauth/runkeeper/status/nonsense"] {
        let (answer, html) = get(&app, path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        is_page(&answer, &html);
    }
}

#[tokio::test]
async fn style_and_script_are_files_of_ours() {
    let app = TestApp::new();
    for (path, media_type) in
        [("/oauth/page.css", "text/css"), ("/oauth/page.js", "text/javascript")]
    {
        let (answer, text) = get(&app, path).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with(media_type));
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert!(!text.is_empty() && !text.contains("innerHTML"), "{path}");
    }
}

#[test]
fn an_answer_shows_no_code_and_no_state() {
    let answer = Answer::read(&format!("state={STATE}&code={CODE}&scope=read&error=x")).unwrap();
    assert_eq!(format!("{answer:?}"), "Answer { error: Some(\"x\"), .. }");
    assert_eq!(answer.scope.as_deref(), Some("read"));
}

#[test]
fn only_oauths_own_words_are_repeated() {
    assert_eq!(said(Provider::Strava, "invalid_scope"), "Strava refused: invalid_scope.");
    for forged in ["", "<b>", "Call +1 555 0100 now", &"x".repeat(41)] {
        assert_eq!(said(Provider::Strava, forged), "Strava refused.", "{forged}");
    }
}

#[test]
fn the_cookie_is_found_among_others() {
    let mut headers = HeaderMap::new();
    headers.append("cookie", HeaderValue::from_static("a=1; paceline_view=x; b=2"));
    headers.append("cookie", HeaderValue::from_static("paceline_view=y;paceline_viewer=z"));
    assert_eq!(cookies(&headers).collect::<Vec<_>>(), ["x", "y"]);
}
