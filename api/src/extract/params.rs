//! Parts of the path, and the header `Idempotency-Key`.

use crate::problem::{Kind, Problem};
use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};
use paceline_shared::{AuthorizationId, ConnectionId, JobId, JobType, Provider, WorkerId};
use uuid::Uuid;

/// The syncId in the path. What is no id is answered as an id that nobody has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SyncId(pub(crate) JobId);

impl<S: Send + Sync> FromRequestParts<S> for SyncId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        param(parts, state, "id")
            .await
            .and_then(|text| text.parse().ok())
            .map(Self)
            .ok_or(Problem::new(Kind::UnknownSync))
    }
}

/// The kind of problem that the path names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProblemName(pub(crate) Kind);

impl<S: Send + Sync> FromRequestParts<S> for ProblemName {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        param(parts, state, "name")
            .await
            .and_then(|name| Kind::named(&name))
            .map(Self)
            .ok_or(Problem::new(Kind::UnknownProblem))
    }
}

/// A part of the path that names something; what names nothing is a problem of this kind.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident($of:ty), $part:literal, $kind:ident, $read:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name(pub(crate) $of);

        impl<S: Send + Sync> FromRequestParts<S> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
                let read: fn(&str) -> Option<$of> = $read;
                param(parts, state, $part)
                    .await
                    .and_then(|text| read(&text))
                    .map(Self)
                    .ok_or(Problem::new(Kind::$kind))
            }
        }
    };
}

named!(
    /// A job, whoever's it is.
    AnyJob(JobId), "id", UnknownJob, |text| text.parse().ok()
);
named!(
    /// A worker process.
    WorkerName(WorkerId), "id", UnknownWorker, |text| text.parse().ok()
);
named!(
    /// A bulk operation.
    OperationId(Uuid), "id", UnknownOperation, |text| text.parse().ok()
);
named!(
    /// A connection of the user's.
    ConnectionName(ConnectionId), "id", UnknownConnection, |text| text.parse().ok()
);
named!(
    /// A way to a provider and back.
    AuthorizationName(AuthorizationId), "id", UnknownAuthorization, |text| text.parse().ok()
);
named!(
    /// A provider.
    ProviderName(Provider), "provider", UnknownProvider, |text| text.parse().ok()
);
named!(
    /// What a sync reads.
    JobTypeName(JobType), "job_type", UnknownJobType, |text| text.parse().ok()
);
named!(
    /// A sync or a refresh.
    ProgressId(Uuid), "id", UnknownProgress, |text| text.parse().ok()
);
named!(
    /// A provider, or `all`, which is `None`.
    LaneName(Option<Provider>), "provider", UnknownProvider, |text| match text {
        "all" => Some(None),
        name => name.parse().ok().map(Some),
    }
);

/// One parameter of the path; `None` too when it is no UTF-8.
async fn param<S: Send + Sync>(parts: &mut Parts, state: &S, name: &str) -> Option<String> {
    let params = RawPathParams::from_request_parts(parts, state).await.ok()?;
    params.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// The key under which a caller repeats one request, where there is one.
#[derive(Clone, Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IdempotencyKey {
    /// Fresh for each act; visible ASCII characters. The same request under the same key is answered
    /// the same for a day, and nothing happens twice.
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 255)]
    pub(crate) key: Option<String>,
}

/// The header's name.
const HEADER: &str = "Idempotency-Key";
/// The longest key.
const LIMIT: usize = 255;

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(HEADER).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self { key: None }),
            (Some(value), None) => value
                .to_str()
                .ok()
                .filter(|key| {
                    (1..=LIMIT).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic())
                })
                .map(|key| Self { key: Some(key.to_owned()) })
                .ok_or_else(|| {
                    Problem::invalid_field(HEADER, "must be 1 to 255 visible ASCII characters")
                }),
            (Some(_), Some(_)) => Err(Problem::invalid_field(HEADER, "stands twice")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{http::Request, response::IntoResponse as _};

    async fn read(keys: &[&str]) -> Result<Option<String>, u16> {
        let mut request = Request::builder();
        for key in keys {
            request = request.header(HEADER, *key);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let read = IdempotencyKey::from_request_parts(&mut parts, &()).await;
        read.map(|read| read.key).map_err(|problem| problem.into_response().status().as_u16())
    }

    #[tokio::test]
    async fn a_key_is_visible_ascii_once_or_nothing() {
        assert_eq!(read(&[]).await, Ok(None));
        assert_eq!(read(&["b7-4!"]).await, Ok(Some("b7-4!".to_owned())));
        let long = "x".repeat(LIMIT + 1);
        for bad in [&["with space"][..], &["tab\tbed"], &[""], &[&long], &["a", "b"]] {
            assert_eq!(read(bad).await, Err(422), "{bad:?}");
        }
    }
}
