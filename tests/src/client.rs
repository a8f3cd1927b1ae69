//! The HTTP face as an app's developer meets it: a bearer token, JSON, problems.

use crate::wait::eventually;
use chrono::{DateTime, Utc};
use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// An answer, whatever it is.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; null when it is no JSON.
    pub body: Value,
    /// The body as it came.
    pub text: String,
}

impl Answer {
    /// The media type, without parameters.
    #[must_use]
    pub fn media_type(&self) -> &str {
        let value = self.headers.get("content-type").and_then(|value| value.to_str().ok());
        value.and_then(|value| value.split(';').next()).unwrap_or_default()
    }

    /// The body as a problem.
    ///
    /// Panics when it is none.
    #[must_use]
    pub fn problem(&self) -> Problem {
        assert_eq!(self.media_type(), "application/problem+json", "{self:?}");
        let problem: Problem = serde_json::from_value(self.body.clone()).expect("a problem");
        assert_eq!(problem.status, self.status.as_u16(), "{self:?}");
        problem
    }

    /// The body as a sync, of an answer with this status.
    #[must_use]
    pub fn sync(&self, status: u16) -> Sync {
        assert_eq!(self.status, status, "{}", self.text);
        serde_json::from_value(self.body.clone()).expect("a sync")
    }
}

/// Problem details.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Problem {
    /// Which.
    #[serde(rename = "type")]
    pub kind: String,
    /// In a few words.
    pub title: String,
    /// The HTTP status again.
    pub status: u16,
    /// This time.
    pub detail: String,
    /// This occurrence.
    pub instance: Option<String>,
    /// The sync it is about.
    pub sync_id: Option<Uuid>,
    /// What the user can do.
    pub action: Option<String>,
    /// The fields at fault.
    #[serde(default)]
    pub errors: Vec<FieldError>,
}

/// A field at fault.
#[derive(Clone, Debug, Deserialize)]
pub struct FieldError {
    /// Where.
    pub field: String,
    /// What it must be.
    pub message: String,
}

/// A sync, as far as stories look at it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields of the documented answer")]
pub struct Sync {
    pub sync_id: Uuid,
    pub status: String,
    pub attempt: i16,
    pub progress: Progress,
    pub waiting: Option<Waiting>,
    pub results: Option<Results>,
    pub error: Option<SyncError>,
}

impl Sync {
    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        ["COMPLETED", "FAILED", "CANCELLED"].contains(&self.status.as_str())
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields of the documented answer")]
pub struct Progress {
    pub percent: i16,
    pub total_activities: Option<i32>,
    pub processed_activities: i32,
    pub current_phase: Option<String>,
    pub phase_progress: Value,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields of the documented answer")]
pub struct Waiting {
    pub reason: String,
    pub reset_at: Option<DateTime<Utc>>,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the fields of the documented answer")]
pub struct Results {
    pub fetch: Fetch,
    pub enrich: Enrich,
    pub store: Store,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields of the documented answer")]
pub struct Fetch {
    pub total_fetched: usize,
    pub filtered_count: usize,
    pub duplicates_skipped: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields of the documented answer")]
pub struct Enrich {
    pub weather_enriched: usize,
    pub geocoded: usize,
    pub failed: usize,
    pub skipped: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the fields of the documented answer")]
pub struct Store {
    pub saved: usize,
    pub updated: usize,
    pub skipped: usize,
    pub failed: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields of the documented answer")]
pub struct SyncError {
    pub code: String,
    pub message: String,
    pub phase: String,
    pub retryable: bool,
    pub action: String,
    pub context: Value,
}

/// Somebody with a token, or with none.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Client {
    /// Calls `base` with a bearer token.
    #[must_use]
    pub fn new(base: String, token: Option<String>) -> Self {
        Self::over(Self::connections(), base, token)
    }

    /// The same over connections that others use as well: to make them takes a while.
    #[must_use]
    pub fn over(http: reqwest::Client, base: String, token: Option<String>) -> Self {
        Self { http, base, token }
    }

    /// Connections for several.
    #[must_use]
    pub fn connections() -> reqwest::Client {
        let http = reqwest::Client::builder().timeout(Duration::from_mins(1)).no_proxy().build();
        http.expect("an HTTP client")
    }

    /// The token that it calls with.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// A request that can still be changed.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request.
    ///
    /// Panics when there is no answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or_default();
        Answer { status, headers, body, text }
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// `POST` with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// `POST` without a body.
    pub async fn post_nothing(&self, path: &str) -> Answer {
        self.send(self.request(Method::POST, path)).await
    }

    /// Asks for a sync of the whole history with these options.
    pub async fn ask_sync(&self, options: &Value) -> Answer {
        let body = serde_json::json!({ "provider": "strava", "jobType": "activities", "options": options });
        self.post("/api/v1/syncs", &body).await
    }

    /// Starts a sync of the whole history with these options; answers its id.
    pub async fn start_sync(&self, options: &Value) -> Uuid {
        self.ask_sync(options).await.sync(202).sync_id
    }

    /// Asks for a sync to be cancelled.
    pub async fn cancel_sync(&self, id: Uuid) -> Answer {
        self.post_nothing(&format!("/api/v1/syncs/{id}/cancel")).await
    }

    /// Asks for an ended sync to be done again.
    pub async fn retry_sync(&self, id: Uuid) -> Answer {
        self.post_nothing(&format!("/api/v1/syncs/{id}/retry")).await
    }

    /// A sync as it is now.
    pub async fn sync(&self, id: Uuid) -> Sync {
        self.get(&format!("/api/v1/syncs/{id}")).await.sync(200)
    }

    /// A sync when it has ended, however that was.
    pub async fn wait_over(&self, id: Uuid, limit: Duration) -> Sync {
        eventually(&format!("sync {id} ends"), limit, async || {
            let sync = self.get(&format!("/api/v1/syncs/{id}?wait=5")).await.sync(200);
            sync.is_over().then_some(sync)
        })
        .await
    }

    /// A sync when it has completed.
    ///
    /// Panics when it ended otherwise.
    pub async fn wait_done(&self, id: Uuid, limit: Duration) -> Sync {
        let sync = self.wait_over(id, limit).await;
        assert_eq!(sync.status, "COMPLETED", "{:?}", sync.error);
        sync
    }

    /// A sync when it waits.
    pub async fn wait_parked(&self, id: Uuid, limit: Duration) -> (Sync, Waiting) {
        eventually(&format!("sync {id} waits"), limit, async || {
            let sync = self.sync(id).await;
            assert!(!sync.is_over(), "{sync:?}");
            let waiting = sync.waiting.clone()?;
            Some((sync, waiting))
        })
        .await
    }

    /// Every item of a list, page after page.
    pub async fn all(&self, path: &str, limit: usize) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = None::<String>;
        loop {
            let query = [("limit", Some(limit.to_string())), ("cursor", cursor.clone())];
            let answer = self.send(self.request(Method::GET, path).query(&query)).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            let page = answer.body["items"].as_array().expect("items").clone();
            assert!(page.len() <= limit, "{} items on a page of {limit}", page.len());
            items.extend(page);
            match &answer.body["nextCursor"] {
                Value::String(next) => cursor = Some(next.clone()),
                Value::Null => return items,
                other => panic!("nextCursor is {other}"),
            }
        }
    }
}
