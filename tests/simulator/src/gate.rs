//! What every request to a provider passes through: latency, quota, faults, the log.
//!
//! Owns the order of these. Must not know what providers answer, nor how faults are carried out.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;

use crate::clock::machine_now;
use crate::fault_rule::{Facts, Fault, Provider};
use crate::fronts::{self, Described, admit, provider_of};
use crate::locks::locked;
use crate::log::{Log, LogEntry};
use crate::open_meteo;
use crate::trouble::{Outcome, befall};
use crate::wire::Lever;
use crate::world::World;

/// Bytes of a request's body that are looked at.
const MOST_BODY: usize = 64 * 1024;

pub(crate) async fn pass(
    State(world): State<Arc<World>>,
    ConnectInfo(lever): ConnectInfo<Lever>,
    request: Request,
    next: Next,
) -> Response {
    let Some(provider) = provider_of(request.uri().path()) else {
        return next.run(request).await;
    };
    let (request, mut record) = arrive(&world, provider, request).await;
    let turn = (provider == Provider::OpenMeteo).then(|| world.open_meteo.enter());
    world.wait(world.latency()).await;
    if matches!(turn, Some(None)) {
        return record.answered(open_meteo::refusal(429, "Too many concurrent requests"));
    }
    let LogEntry { path, query, user, .. } = &record.entry;
    let admission = match admit(&world, provider, path, query, request.method(), user.as_deref()) {
        Ok(admission) => admission,
        Err(refusal) => return record.answered(*refusal),
    };
    let fault = locked(&world.faults).strike(&record.facts());
    record.entry.fault = fault.as_ref().map(Fault::name);
    let outcome = match fault {
        None => Outcome::Answer(admission.told(next.run(request).await)),
        Some(fault) => befall(&world, provider, fault, admission, || next.run(request)).await,
    };
    match outcome {
        Outcome::Answer(response) => record.answered(response),
        Outcome::Cut { response, bytes } => {
            record.entry.bytes = bytes;
            record.answered(response)
        }
        Outcome::Silence => {
            lever.pull();
            record.silent()
        }
    }
}

async fn arrive(world: &Arc<World>, provider: Provider, request: Request) -> (Request, Record) {
    let (parts, mut body) = request.into_parts();
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    let mut spoken = Bytes::new();
    if fronts::speaks_in_body(provider, path) {
        spoken = to_bytes(body, MOST_BODY).await.unwrap_or_default();
        body = Body::from(spoken.clone());
    }
    let user = fronts::made_for(world, provider, path, &parts.headers, &spoken);
    let Described { path, query, page } = fronts::described(provider, path, query, &spoken);
    let athlete = user.as_ref().filter(|_| provider == Provider::Strava);
    let athlete = athlete.and_then(|id| id.parse().ok());
    let entry = LogEntry {
        seq: 0,
        at: machine_now().timestamp_millis(),
        took_ms: 0,
        provider,
        method: parts.method.to_string(),
        path,
        query,
        athlete,
        user,
        page,
        status: None,
        fault: None,
        bytes: 0,
    };
    let record = Record { world: Arc::clone(world), began: Instant::now(), entry, written: false };
    (Request::from_parts(parts, body), record)
}

/// A request's line in the log, written whatever becomes of the request.
struct Record {
    world: Arc<World>,
    began: Instant,
    entry: LogEntry,
    written: bool,
}

impl Record {
    fn facts(&self) -> Facts<'_> {
        Facts {
            provider: self.entry.provider,
            path: &self.entry.path,
            athlete: self.entry.athlete,
            user: self.entry.user.as_deref(),
            page: self.entry.page,
        }
    }

    fn answered(mut self, response: Response) -> Response {
        self.entry.status = Some(response.status().as_u16());
        if self.entry.bytes == 0 {
            self.entry.bytes = response.body().size_hint().exact().unwrap_or(0);
        }
        self.write();
        response
    }

    /// For a connection that is broken: what is returned never leaves.
    fn silent(mut self) -> Response {
        self.write();
        Response::default()
    }

    fn write(&mut self) {
        let log: &Log = &self.world.log;
        self.entry.took_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.written = true;
        log.record(self.entry.clone());
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.written {
            // Dropped while waiting: the client went away.
            self.entry.fault = self.entry.fault.or(Some("hung_up"));
            self.write();
        }
    }
}
