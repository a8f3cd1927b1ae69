//! JSON in and out.

use super::fields::field_error;
use crate::problem::{Kind, Problem};
use axum::{
    body::Bytes,
    extract::{FromRequest, OptionalFromRequest, Request, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer},
};
use std::{fmt, marker::PhantomData};

/// A body of JSON: read from a request whose root is an object, or written as an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(Kind::UnsupportedMediaType));
        }
        let body =
            Bytes::from_request(request, state).await.map_err(|rejection| unread(&rejection))?;
        read(&body).map(Self)
    }
}

/// Without a content type there is no body: what is asked for has its defaults.
impl<S: Send + Sync, T: DeserializeOwned> OptionalFromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        if !request.headers().contains_key(header::CONTENT_TYPE) {
            return Ok(None);
        }
        <Self as FromRequest<S>>::from_request(request, state).await.map(Some)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => (
                [
                    (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
                    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
                ],
                body,
            )
                .into_response(),
            Err(error) => {
                tracing::error!(%error, "an answer could not be written");
                Problem::new(Kind::Internal).into_response()
            }
        }
    }
}

/// `application/json`, or a type that is built on it.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

fn unread(rejection: &BytesRejection) -> Problem {
    use axum::extract::rejection::FailedToBufferBody as F;
    match rejection {
        BytesRejection::FailedToBufferBody(F::LengthLimitError(_)) => {
            Problem::new(Kind::BodyTooLarge)
        }
        _ => Problem::new(Kind::BrokenBody).detail("The body ended before it was complete."),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // First whether it is JSON at all: a reader that meets another type than it expects may say
    // that this is no JSON.
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(body) {
        return Err(Problem::new(Kind::BrokenBody).detail(format!("The body is no JSON: {error}.")));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    match serde_path_to_error::deserialize::<_, Object<T>>(&mut reader) {
        Ok(Object(value)) => Ok(value),
        Err(error) => {
            Err(Problem::invalid(vec![field_error(error.path(), &error.inner().to_string())]))
        }
    }
}

/// A value that is written as an object. Derived readers take lists as well, by position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<T: Serialize> Serialize for Object<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Ask {
        name: String,
        #[serde(default)]
        inner: Option<Object<Inner>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only its errors are looked at")]
        size: i64,
    }

    async fn extracted(media_type: Option<&str>, body: Body) -> Result<Ask, Problem> {
        let mut request = Request::post("/");
        if let Some(media_type) = media_type {
            request = request.header(header::CONTENT_TYPE, media_type);
        }
        let request = request.body(body).unwrap();
        <Json<Ask> as FromRequest<()>>::from_request(request, &()).await.map(|Json(ask)| ask)
    }

    #[tokio::test]
    async fn a_body_is_read_whatever_the_spelling_of_its_type() {
        for media_type in
            ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
        {
            let ask = extracted(Some(media_type), r#" {"name": "a", "inner": null} "#.into())
                .await
                .unwrap();
            assert_eq!((ask.name.as_str(), ask.inner.is_none()), ("a", true));
        }
    }

    #[tokio::test]
    async fn every_way_in_which_a_body_is_wrong_is_a_problem_of_its_own() {
        let json = Some("application/json");
        for (media_type, body, kind) in [
            (None, "{}", Kind::UnsupportedMediaType),
            (Some("text/json"), "{}", Kind::UnsupportedMediaType),
            (json, "", Kind::BrokenBody),
            (json, "{", Kind::BrokenBody),
            (json, r#"{"name": "a"} {"#, Kind::BrokenBody),
            (json, "{\"name\": \"\u{1}\"}", Kind::BrokenBody),
            (json, "[]", Kind::InvalidRequest),
            (json, r#"["a"]"#, Kind::InvalidRequest),
            (json, "null", Kind::InvalidRequest),
            (json, r#"{"name": null}"#, Kind::InvalidRequest),
            (json, r#"{"name": 1}"#, Kind::InvalidRequest),
            (json, r#"{"name": "a", "inner": [1]}"#, Kind::InvalidRequest),
            (json, r#"{"name": "a", "other": 1}"#, Kind::InvalidRequest),
        ] {
            let problem = extracted(media_type, body.into()).await.unwrap_err();
            assert_eq!(problem.kind, kind, "{media_type:?} {body}");
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_a_problem() {
        let broken = futures::stream::iter([Ok("{\"na"), Err(std::io::Error::other("reset"))]);
        let problem =
            extracted(Some("application/json"), Body::from_stream(broken)).await.unwrap_err();
        assert_eq!(problem.kind, Kind::BrokenBody);
    }
}
