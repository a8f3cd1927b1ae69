//! HTTP as every provider needs it: one client each, bounded in time and size, and single calls
//! repeated while a repeat may help. The only file that names `backoff` or builds a client.
//!
//! It knows no provider: what a body must be, and what a refusal means, its caller says; whether a try may
//! be made, its gate.

mod failure;
mod gate;
#[cfg(test)]
mod tests;

pub use failure::{Failure, Refusal};
pub use gate::{Closed, End, Gate, Pass};

use super::Detail;
use backoff::ExponentialBackoff;
use bytes::{Bytes, BytesMut};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{
    Client, RequestBuilder, Response, StatusCode,
    header::{HeaderMap, RETRY_AFTER},
    redirect,
};
use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// How long to wait, how often to try, how much to read.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// Without a single byte, the head of the answer included.
    pub idle_timeout: Duration,
    /// For a try as a whole.
    pub timeout: Duration,
    /// Tries of a call, the first included.
    pub tries: u32,
    /// The pause after the first try, on average; it doubles from try to try.
    pub first_pause: Duration,
    /// The longest pause, and the longest `Retry-After` that is waited for here.
    pub longest_pause: Duration,
    /// No new try begins later than this after the first.
    pub retry_for: Duration,
    /// Bytes of a body, after decompression.
    pub body_limit: usize,
    /// Whether the proxies that the environment names are used.
    pub proxies: bool,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            tries: 5,
            first_pause: Duration::from_millis(150),
            longest_pause: Duration::from_secs(5),
            retry_for: Duration::from_secs(20),
            body_limit: 16 * 1024 * 1024,
            proxies: true,
        }
    }
}

/// A 2xx answer whose body is what the caller expects.
pub struct Answer<T> {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// What the caller read from the body.
    pub data: T,
}

/// Whether a failed try may be followed by another.
#[derive(Clone, Copy)]
enum Again {
    Never,
    /// Whatever the call does: the provider has not seen it.
    Unsent,
    /// When asking twice does no harm.
    Paused,
    /// As `Paused`, and the provider said for how long.
    After(Duration),
}

/// A provider's client. Cloning it shares its connections.
#[derive(Clone, Debug)]
pub struct Http {
    provider: &'static str,
    client: Client,
    options: HttpOptions,
    gate: Option<Arc<dyn Gate>>,
}

impl Http {
    /// A client; `provider` is its label in metrics and logs.
    ///
    /// Fails when TLS cannot be set up.
    pub fn new(provider: &'static str, options: HttpOptions) -> Result<Self, reqwest::Error> {
        let builder = || {
            let builder =
                if options.proxies { Client::builder() } else { Client::builder().no_proxy() };
            builder
                .user_agent(concat!("paceline/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(options.connect_timeout)
                .read_timeout(options.idle_timeout)
                .timeout(options.timeout)
                // A token must not follow a redirect to another host.
                .redirect(redirect::Policy::none())
        };
        // A machine without certificate authorities can still talk to a provider on loopback.
        let client = builder().build().or_else(|error| {
            tracing::warn!(provider, %error, "no certificate authorities: https will not work");
            builder().tls_certs_only([]).build()
        })?;
        Ok(Self { provider, client, options, gate: None })
    }

    /// The same client, each of whose tries goes through `gate`.
    #[must_use]
    pub fn behind(&self, gate: Arc<dyn Gate>) -> Self {
        Self { gate: Some(gate), ..self.clone() }
    }

    /// Asks until there is an answer that `read` can read, or no further try would help. Only for
    /// calls that may be made twice.
    ///
    /// Repeated: no or a broken connection, a time-out, a body cut off, 5xx, 2xx with a body of
    /// which `read` makes nothing, and 429 with a short `Retry-After`.
    pub async fn send<T>(
        &self,
        endpoint: &str,
        build: impl Fn(&Client) -> RequestBuilder,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Answer<T>, Failure> {
        self.run(endpoint, build, read, true).await
    }

    /// As [`Http::send`], for calls that must not be made twice: repeated only when no connection
    /// came about, so that the provider cannot have seen it.
    pub async fn send_once<T>(
        &self,
        endpoint: &str,
        build: impl Fn(&Client) -> RequestBuilder,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Answer<T>, Failure> {
        self.run(endpoint, build, read, false).await
    }

    async fn run<T>(
        &self,
        endpoint: &str,
        build: impl Fn(&Client) -> RequestBuilder,
        read: impl Fn(&[u8]) -> Option<T>,
        twice_is_harmless: bool,
    ) -> Result<Answer<T>, Failure> {
        let tries = AtomicU32::new(0);
        let policy = ExponentialBackoff {
            initial_interval: self.options.first_pause,
            multiplier: 2.0,
            max_interval: self.options.longest_pause,
            max_elapsed_time: Some(self.options.retry_for),
            ..ExponentialBackoff::default()
        };
        let attempt = || async {
            let tries = tries.fetch_add(1, Ordering::Relaxed) + 1;
            let detail = Detail { endpoint: endpoint.to_owned(), tries, ..Detail::default() };
            let mut pass = match &self.gate {
                Some(gate) => Some(
                    gate.enter()
                        .await
                        .map_err(|closed| backoff::Error::permanent(Failure::from(closed)))?,
                ),
                None => None,
            };
            let began = Instant::now();
            let result = self.try_once(build(&self.client), &read, detail, &mut pass).await;
            if let Some(pass) = pass {
                pass.over(result.as_ref().map_or_else(end, |_| End::Whole));
            }
            let outcome = result.as_ref().map_or_else(|(failure, _)| failure.outcome(), |_| "ok");
            metrics::histogram!("paceline_provider_request_seconds", "provider" => self.provider)
                .record(began.elapsed());
            metrics::counter!("paceline_provider_requests_total", "provider" => self.provider, "outcome" => outcome)
                .increment(1);
            result.map_err(|(failure, again)| {
                tracing::debug!(provider = self.provider, endpoint, tries, %failure, "a try failed");
                if tries >= self.options.tries {
                    return backoff::Error::permanent(failure);
                }
                match again {
                    Again::Unsent => backoff::Error::transient(failure),
                    Again::Paused if twice_is_harmless => backoff::Error::transient(failure),
                    Again::After(pause) if twice_is_harmless && pause <= self.options.longest_pause => {
                        backoff::Error::retry_after(failure, pause)
                    }
                    Again::Never | Again::Paused | Again::After(_) => {
                        backoff::Error::permanent(failure)
                    }
                }
            })
        };
        backoff::future::retry(policy, attempt).await
    }

    async fn try_once<T>(
        &self,
        request: RequestBuilder,
        read: &impl Fn(&[u8]) -> Option<T>,
        mut detail: Detail,
        pass: &mut Option<Box<dyn Pass>>,
    ) -> Result<Answer<T>, (Failure, Again)> {
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(no_answer(&error, detail)),
        };
        let status = response.status();
        detail.status = Some(status.as_u16());
        let headers = std::mem::take(response.headers_mut());
        if let Some(pass) = pass {
            pass.heard(status, &headers);
        }
        let body = self.body(response, &detail).await?;
        if status.is_success() {
            let Some(data) = read(&body) else {
                "the body is not the JSON expected".clone_into(&mut detail.message);
                return Err((Failure::Temporary(detail), Again::Paused));
            };
            return Ok(Answer { headers, body, data });
        }
        detail.message = format!("HTTP {status}");
        let pause = retry_after(&headers, Utc::now());
        if status.is_server_error() {
            return Err((Failure::Temporary(detail), pause.map_or(Again::Paused, Again::After)));
        }
        let again = match pause {
            Some(pause) if status == StatusCode::TOO_MANY_REQUESTS => Again::After(pause),
            _ => Again::Never,
        };
        Err((Failure::Refused(Box::new(Refusal { status, headers, body, detail })), again))
    }

    /// The body, never more of it than the limit.
    async fn body(
        &self,
        mut response: Response,
        detail: &Detail,
    ) -> Result<Bytes, (Failure, Again)> {
        let limit = self.options.body_limit;
        let mut body = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                    let detail = detail.clone();
                    return Err((Failure::TooLarge { limit, detail }, Again::Never));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(body.freeze()),
                Err(error) => return Err(no_answer(&error, detail.clone())),
            }
        }
    }
}

/// What a gate hears of a try that failed.
fn end((failure, again): &(Failure, Again)) -> End {
    match (failure, again) {
        (Failure::Network(_), Again::Unsent) => End::Unsent,
        (Failure::Network(_), _) => End::Broken,
        (Failure::Unsendable(_), _) => End::Unmade,
        _ => End::Whole,
    }
}

fn no_answer(error: &reqwest::Error, mut detail: Detail) -> (Failure, Again) {
    // The error's own text holds the URL; its innermost cause does not.
    let mut cause = error.source();
    while let Some(inner) = cause.and_then(|cause| cause.source()) {
        cause = Some(inner);
    }
    let what = if error.is_builder() {
        "no request"
    } else if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    detail.message = cause.map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}"));
    if error.is_builder() {
        (Failure::Unsendable(detail), Again::Never)
    } else if error.is_connect() {
        detail.unsent = true;
        (Failure::Network(detail), Again::Unsent)
    } else {
        (Failure::Network(detail), Again::Paused)
    }
}

/// How long a `Retry-After` asks to wait: seconds, or until a date.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(value).ok()?.to_utc();
    Some((until - now).to_std().unwrap_or_default())
}

/// When to ask again after a quota is spent whose windows of `window_s` seconds lie on round times
/// of UTC. One to five seconds past the border: clocks differ, and not all should ask at once.
pub(crate) fn after_window(now: DateTime<Utc>, window_s: i64) -> DateTime<Utc> {
    let since_border = TimeDelta::seconds(now.timestamp().rem_euclid(window_s))
        + TimeDelta::nanoseconds(i64::from(now.timestamp_subsec_nanos()));
    now - since_border
        + TimeDelta::seconds(window_s)
        + TimeDelta::milliseconds(fastrand::i64(1_000..=5_000))
}
