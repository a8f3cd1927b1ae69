//! The document against the router and against real answers.

use super::*;
use crate::{
    problem::{FieldError, Problem},
    testing::TestApp,
    view::{activity, connection, daily_summary, failure::RecordFailureView, measurement, sync},
};
use axum::response::IntoResponse;
use paceline_shared::{
    JobId,
    db::{record_failures::RecordFailure, syncs::Sync},
    failure::Code,
    job_state::JobState,
};
use sqlx::types::Json;
use std::collections::BTreeSet;

/// Every operation: path, method, and what is written about it.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .iter()
                .map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
        .collect()
}

#[test]
fn the_document_has_every_route_of_the_router_and_no_other() {
    let (router, _document) = routes::all().split_for_parts();
    // The router shows its paths in its debug text only.
    let shown = format!("{router:?}");
    let registered: BTreeSet<&str> = shown
        .split('"')
        .filter(|part| part.starts_with('/') && !part.contains("__private__axum_fallback"))
        .collect();
    let document = document();
    let documented: BTreeSet<&str> =
        document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert!(registered.len() > 10, "{shown}");
    assert_eq!(registered, documented);
}

#[tokio::test]
async fn every_operation_of_the_document_is_answered_and_asks_for_a_token_where_it_says_so() {
    let app = TestApp::new();
    for (path, method, operation) in operations(&document()) {
        let url = path.replace("{id}", &JobId::fresh().to_string()).replace("{name}", "internal");
        let request =
            axum::http::Request::builder().method(method.to_uppercase().as_str()).uri(&url);
        let answer = app.send(request.body(axum::body::Body::empty()).unwrap()).await;
        let needs_token = !operation["security"].is_null();
        assert_eq!(answer.status == 401, needs_token, "{method} {path}");
        let status = answer.status.as_u16().to_string();
        assert!(operation["responses"].get(&status).is_some(), "{method} {path} answers {status}");
        if needs_token {
            for status in ["401", "500", "503"] {
                assert!(
                    operation["responses"].get(status).is_some(),
                    "{method} {path} lacks {status}"
                );
            }
        }
    }
}

#[test]
fn the_document_is_whole() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    let (mut ids, mut count) = (BTreeSet::new(), 0);
    for (path, method, operation) in operations(&document) {
        for member in ["summary", "operationId"] {
            assert!(operation[member].is_string(), "{method} {path} has no {member}");
        }
        ids.insert(operation["operationId"].as_str().unwrap());
        count += 1;
        for parameter in operation["parameters"].as_array().unwrap_or(&vec![]) {
            assert!(parameter["description"].is_string(), "{method} {path}: {parameter}");
        }
    }
    assert_eq!(ids.len(), count, "operation ids are unique");
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap())
    {
        assert!(document.pointer(reference).is_some(), "{reference} leads nowhere");
    }
    for kind in Kind::ALL {
        assert!(text.contains(&kind.reference()), "{kind:?}");
    }
}

#[tokio::test]
async fn what_a_limited_caller_is_told_stands_in_the_document() {
    let document = document();
    let told = |path: &str, answer: &Value| -> BTreeSet<String> {
        let headers = answer["headers"].as_object().into_iter().flatten();
        let ours = headers.filter(|(_, header)| header["$ref"].is_string());
        ours.map(|(name, header)| {
            let whole = document.pointer(&header["$ref"].as_str().unwrap()[1..]).unwrap();
            assert!(whole["description"].is_string(), "{path}: {name}");
            name.to_lowercase()
        })
        .collect()
    };
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
    let mut limited = 0;
    for (path, method, operation) in operations(&document) {
        // Whoever shows a token is counted, and nobody else.
        let is_limited = !operation["security"].is_null();
        limited += usize::from(is_limited);
        for (status, answer) in operation["responses"].as_object().unwrap() {
            let expected = match status.as_str() {
                _ if !is_limited => names(&[]),
                "401" => names(&[]),
                "429" | "503" => names(&["ratelimit", "ratelimit-policy", "retry-after"]),
                _ => names(&["ratelimit", "ratelimit-policy"]),
            };
            assert_eq!(told(path, answer), expected, "{method} {path} {status}");
        }
        assert_eq!(operation["responses"].get("429").is_some(), is_limited, "{method} {path}");
    }
    assert!(limited > 20, "{limited}");

    // And a limited app answers so.
    let app = TestApp::limited(1);
    let get = "/api/v1/admin/workers";
    let mut last = app.call("GET", get).await;
    for _ in 0..8 {
        last = app.call("GET", get).await;
    }
    let answer = &document["paths"][get]["get"]["responses"][last.status.as_str()];
    assert_eq!(last.problem(), "too-many-requests");
    for name in told(get, answer) {
        assert!(last.headers.contains_key(&name), "{name} is missing: {:?}", last.headers);
    }
}

/// Whether a value is what a schema says, strictly: a member that the schema lacks is a fault.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(&reference[1..]).unwrap();
        return check(document, schema, value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits =
            choices.iter().filter(|choice| check(document, choice, value, at).is_ok()).count();
        return if fits == 1 {
            Ok(())
        } else {
            Err(format!("{at}: {value} fits {fits} of {choices:?}"))
        };
    }
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{at}: type {other}"),
    };
    let fits = match &schema["type"] {
        Value::String(kind) => is(kind),
        Value::Array(kinds) => kinds.iter().any(|kind| is(kind.as_str().unwrap())),
        Value::Null => true,
        other => panic!("{at}: type {other}"),
    };
    if !fits {
        return Err(format!("{at}: {value} is no {}", schema["type"]));
    }
    if schema["enum"].as_array().is_some_and(|known| !known.contains(value)) {
        return Err(format!("{at}: {value} is none of {}", schema["enum"]));
    }
    let beyond = |bound: &str, wrong: fn(f64, f64) -> bool| {
        schema[bound].as_f64().zip(value.as_f64()).is_some_and(|(bound, value)| wrong(value, bound))
    };
    if beyond("minimum", |value, bound| value < bound)
        || beyond("maximum", |value, bound| value > bound)
    {
        return Err(format!("{at}: {value} is out of bounds"));
    }
    match (schema["format"].as_str(), value.as_str()) {
        (Some("date-time"), Some(text))
            if !text.ends_with('Z') || chrono::DateTime::parse_from_rfc3339(text).is_err() =>
        {
            return Err(format!("{at}: {text} is no time in UTC"));
        }
        (Some("uuid"), Some(text)) if uuid::Uuid::parse_str(text).is_err() => {
            return Err(format!("{at}: {text} is no UUID"));
        }
        _ => {}
    }
    for (n, item) in value.as_array().into_iter().flatten().enumerate() {
        check(document, &schema["items"], item, &format!("{at}[{n}]"))?;
    }
    let (Some(members), Some(properties)) = (value.as_object(), schema["properties"].as_object())
    else {
        return Ok(());
    };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !members.contains_key(name) {
            return Err(format!("{at}.{name} is missing"));
        }
    }
    for (name, member) in members {
        let schema =
            properties.get(name).ok_or_else(|| format!("{at}.{name} is not in the document"))?;
        check(document, schema, member, &format!("{at}.{name}"))?;
    }
    Ok(())
}

/// Fails unless the value is what the component of this name says.
fn conforms(name: &str, value: &Value) {
    let document = document();
    let schema = &document["components"]["schemas"][name];
    assert!(schema.is_object(), "there is no schema {name}");
    check(&document, schema, value, name).unwrap();
}

#[test]
fn a_sync_in_every_situation_is_what_the_document_says() {
    let failed = Some(Json(sync::tests::failure(Code::TemporaryApiError)));
    for state in JobState::ALL {
        for base in [sync::tests::queued(), sync::tests::fetching(), sync::tests::storing()] {
            for retrying in [false, true] {
                let shown = Sync {
                    state,
                    retrying,
                    last_error: failed.clone(),
                    waiting_for: (state == JobState::Waiting).then(|| "rate_limit".to_owned()),
                    waiting_until: Some(base.created_at),
                    ..base.clone()
                };
                conforms("Sync", &serde_json::to_value(sync::SyncView::from(&shown)).unwrap());
            }
        }
    }
}

#[test]
fn records_and_failures_are_what_the_document_says() {
    let mut row = activity::tests::row();
    conforms("Activity", &serde_json::to_value(activity::ActivityView::from(row.clone())).unwrap());
    row.payload = Some(json!({"id": 1, "nested": {"free": true}}));
    conforms("Activity", &serde_json::to_value(activity::ActivityView::from(row)).unwrap());
    let failure = RecordFailure {
        id: uuid::Uuid::now_v7(),
        page: 1,
        position: 0,
        provider_record_id: None,
        code: "unreadable".to_owned(),
        message: "no start".to_owned(),
        at: chrono::DateTime::UNIX_EPOCH,
    };
    conforms("RecordFailure", &serde_json::to_value(RecordFailureView::from(failure)).unwrap());
}

#[test]
fn connections_values_and_days_are_what_the_document_says() {
    use paceline_shared::db::connections::State;
    for state in
        [State::Active, State::Limited, State::NeedsReauth, State::ProviderGone, State::Revoked]
    {
        let view = connection::ConnectionView::from(connection::tests::row(state));
        conforms("Connection", &serde_json::to_value(view).unwrap());
    }
    let mut value = measurement::tests::row();
    for measure in paceline_shared::record::Measure::ALL {
        value.measure = measure.as_str().to_owned();
        let view = measurement::MeasurementView::from(value.clone());
        conforms("Measurement", &serde_json::to_value(view).unwrap());
    }
    let night = daily_summary::DailySummaryView::from(daily_summary::tests::row());
    conforms("DailySummary", &serde_json::to_value(night).unwrap());
}

/// All names of members in a schema and in those that it refers to.
fn members(document: &Value, schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(reference) = schema["$ref"].as_str() {
                members(document, document.pointer(&reference[1..]).unwrap(), found);
            }
            let properties = schema["properties"].as_object();
            found.extend(properties.into_iter().flat_map(|properties| properties.keys().cloned()));
            object.values().for_each(|inner| members(document, inner, found));
        }
        Value::Array(list) => list.iter().for_each(|inner| members(document, inner, found)),
        _ => {}
    }
}

#[test]
fn no_answer_about_connections_has_a_place_for_anything_sealed() {
    let document = document();
    for (path, method, at_least) in [
        ("/api/v1/connections", "get", "accountId"),
        ("/api/v1/connections/{id}", "get", "accountId"),
        ("/api/v1/connections/{id}", "delete", "accountId"),
        ("/api/v1/connections/{provider}/authorize", "post", "authorizationId"),
        ("/oauth/{provider}/status/{id}/now", "get", "stage"),
        ("/api/v1/measurements", "get", "value"),
        ("/api/v1/daily-summaries", "get", "asleepS"),
    ] {
        let mut found = BTreeSet::new();
        members(&document, &document["paths"][path][method]["responses"], &mut found);
        assert!(found.contains(at_least), "{method} {path}: {found:?}");
        for name in &found {
            let name = name.to_lowercase();
            for sealed in
                ["seal", "token", "secret", "verifier", "code", "hash", "refresh", "accepted"]
            {
                assert!(!name.contains(sealed), "{method} {path} has a member {name}");
            }
        }
    }
}

#[tokio::test]
async fn every_problem_is_what_the_document_says() {
    let problems = Kind::ALL
        .iter()
        .map(|&kind| Problem::new(kind).sync(JobId::fresh()).action("connect"))
        .chain([Problem::invalid(vec![FieldError::new("provider", "is missing")])]);
    for problem in problems {
        let body =
            axum::body::to_bytes(problem.into_response().into_body(), usize::MAX).await.unwrap();
        conforms("Problem", &serde_json::from_slice(&body).unwrap());
    }
}

#[tokio::test]
async fn the_example_of_a_request_is_accepted_and_strays_are_noticed() {
    let example = document()["components"]["schemas"]["SyncRequest"]["example"].clone();
    conforms("SyncRequest", &example);
    // As far as a request gets without a database: it made sense.
    let answer = TestApp::new().post("/api/v1/syncs", example.to_string()).await;
    assert_eq!(answer.problem(), "unavailable");

    let document = document();
    let wrong = |name: &str, value: &Value| {
        check(&document, &document["components"]["schemas"][name], value, name).unwrap_err()
    };
    let mut stray = serde_json::to_value(sync::SyncView::from(&sync::tests::queued())).unwrap();
    stray["colour"] = json!("red");
    assert_eq!(wrong("Sync", &stray), "Sync.colour is not in the document");
    stray.as_object_mut().unwrap().remove("colour");
    stray["progress"].as_object_mut().unwrap().remove("currentPhase");
    assert_eq!(wrong("Sync", &stray), "Sync.progress.currentPhase is missing");
}
