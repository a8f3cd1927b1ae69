//! How a fault looks on the wire.
//!
//! Must not know which requests it befalls.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;

use crate::fault_rule::{Fault, Provider};
use crate::fronts::{self, Admission};
use crate::http::{HTML, reply};
use crate::world::World;

/// What becomes of a request.
pub(crate) enum Outcome {
    /// A whole answer, good or bad.
    Answer(Response),
    /// An answer that ends early: what the log is to say of its length.
    Cut { response: Response, bytes: u64 },
    /// Nothing: the connection is to be broken.
    Silence,
}

/// Lets `fault` befall a request; `carry_out` is what would have been done with it.
pub(crate) async fn befall<F: Future<Output = Response>>(
    world: &World,
    provider: Provider,
    fault: Fault,
    admission: Admission,
    carry_out: impl FnOnce() -> F,
) -> Outcome {
    match fault {
        Fault::Status { code, html: true, .. } => Outcome::Answer(admission.told(page(code))),
        Fault::Status { code, day, .. } => {
            let told =
                if matches!(code, 429 | 601) { admission.exhausted(world, day) } else { admission };
            Outcome::Answer(told.told(fronts::refusal(provider, code)))
        }
        Fault::Html => Outcome::Answer(page(200)),
        Fault::Truncate => cut(admission.told(carry_out().await), false).await,
        Fault::Close => cut(admission.told(carry_out().await), true).await,
        Fault::Stall { seconds } => {
            world.wait(Duration::try_from_secs_f64(seconds).unwrap_or_default()).await;
            Outcome::Silence
        }
        Fault::LoseAnswer => {
            carry_out().await;
            Outcome::Silence
        }
        // `AnyOf` was settled when the fault struck.
        Fault::Reset | Fault::AnyOf(_) => Outcome::Silence,
    }
}

/// Half of a body: as if it were whole, or with a length that promises the rest.
async fn cut(response: Response, promised: bool) -> Outcome {
    let (mut parts, body) = response.into_parts();
    // Bodies are made in memory here: reading one back does not fail.
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let half = whole.slice(..whole.len() / 2);
    let bytes = u64::try_from(whole.len()).unwrap_or(u64::MAX);
    if !promised {
        return Outcome::Answer(Response::from_parts(parts, Body::from(half)));
    }
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    Outcome::Cut { response: Response::from_parts(parts, broken_off(half)), bytes }
}

/// A body that ends in an error, which closes the connection.
fn broken_off(half: Bytes) -> Body {
    Body::from_stream(stream::unfold(Some(half), |rest| async move {
        let Some(half) = rest else {
            // Lets what was written so far reach the client first.
            tokio::task::yield_now().await;
            return Some((Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted)), None));
        };
        Some((Ok(half), None))
    }))
}

/// What a proxy in front of a provider says.
fn page(status: u16) -> Response {
    let title = match status {
        200 => "200 We will be back shortly".to_owned(),
        502 => "502 Bad Gateway".to_owned(),
        503 => "503 Service Temporarily Unavailable".to_owned(),
        other => format!("{other} Error"),
    };
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
         <hr><center>proxy</center>\r\n</body>\r\n</html>\r\n"
    );
    reply(status, HTML, page)
}
