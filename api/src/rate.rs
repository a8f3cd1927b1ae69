//! How many calls a user may make: a bucket each, so that one who asks in a loop slows nobody but himself.
//! It knows no route. Every API process counts for itself.

use crate::{
    app::App,
    auth::identity,
    problem::{Kind, Problem},
};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::HashMapStateStore,
};
use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
};

/// So many seconds' calls may come at once.
const BURST_S: u32 = 5;
/// Staff and services may call so many times as often.
const TRUSTED: u32 = 10;
/// After so many calls those are forgotten who have not called for a while.
const SWEEP_EVERY: u32 = 4096;
/// What the limit applies to: all that asks for a token.
const LIMITED: [&str; 2] = ["/api/v1/", "/{provider}/sync/"];

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

type Buckets =
    RateLimiter<String, HashMapStateStore<String>, DefaultClock, StateInformationMiddleware>;

/// A bucket for each user, or no limit.
pub(crate) struct Limits(Option<[Tier; 2]>);

struct Tier {
    buckets: Buckets,
    burst: u32,
    calls: AtomicU32,
}

/// What is left to a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Left {
    /// Of how many at once.
    burst: u32,
    /// Calls that he may still make at once; `None`: not even this one.
    calls: Option<u32>,
    /// In so many seconds there is room for one, rounded up.
    wait_s: u64,
}

impl Limits {
    /// So many calls a second for long, five times as many at once; `None`: any number.
    pub(crate) fn new(per_second: Option<NonZeroU32>) -> Self {
        Self(per_second.map(|rate| {
            let trusted = rate.saturating_mul(NonZeroU32::MIN.saturating_add(TRUSTED - 1));
            [Tier::new(rate), Tier::new(trusted)]
        }))
    }

    /// Takes a call; `None` where there is no limit.
    fn take(&self, subject: &str, trusted: bool) -> Option<Left> {
        self.0.as_ref().map(|tiers| tiers[usize::from(trusted)].take(subject))
    }
}

impl Tier {
    fn new(rate: NonZeroU32) -> Self {
        let burst = rate.saturating_mul(NonZeroU32::MIN.saturating_add(BURST_S - 1));
        let quota = Quota::per_second(rate).allow_burst(burst);
        let buckets = RateLimiter::hashmap(quota).with_middleware();
        Self { buckets, burst: burst.get(), calls: AtomicU32::new(0) }
    }

    fn take(&self, subject: &str) -> Left {
        // A full bucket is as good as none.
        if self.calls.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.buckets.retain_recent();
            self.buckets.shrink_to_fit();
        }
        let burst = self.burst;
        match self.buckets.check_key(&subject.to_owned()) {
            Ok(state) => Left { burst, calls: Some(state.remaining_burst_capacity()), wait_s: 0 },
            Err(not_yet) => {
                let wait = not_yet.wait_time_from(DefaultClock::default().now());
                let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Left { burst, calls: None, wait_s: whole.max(1) }
            }
        }
    }
}

impl Left {
    fn say(self, headers: &mut HeaderMap) {
        let policy = format!("\"user\";q={};w={BURST_S}", self.burst);
        let left = format!("\"user\";r={};t={}", self.calls.unwrap_or(0), self.wait_s.max(1));
        for (name, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, left)] {
            headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
        }
    }
}

/// Whether calls of the route with this path, parameters in braces, are counted.
pub(crate) fn applies_to(path: &str) -> bool {
    LIMITED.iter().any(|beginning| path.starts_with(beginning))
}

/// Refuses a call of a user who has none left. A call without a valid token is not counted: it goes no
/// further than the check of its token.
pub(crate) async fn limit(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_limited =
        request.extensions().get::<MatchedPath>().is_some_and(|path| applies_to(path.as_str()));
    if !is_limited {
        return next.run(request).await;
    }
    let (mut parts, body) = request.into_parts();
    let left = match identity(&mut parts, &app).await {
        Ok(caller) => {
            let is_service = caller.role.as_deref() == Some(app.service_role.as_str());
            app.limits.take(&caller.subject, is_service || caller.staff.is_some())
        }
        Err(problem) => return problem.into_response(),
    };
    let Some(left) = left else { return next.run(Request::from_parts(parts, body)).await };
    let mut response = if left.calls.is_some() {
        next.run(Request::from_parts(parts, body)).await
    } else {
        metrics::counter!("paceline_http_requests_limited_total").increment(1);
        let mut refused = Problem::new(Kind::TooManyRequests).into_response();
        refused.headers_mut().insert(header::RETRY_AFTER, left.wait_s.into());
        refused
    };
    left.say(response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(per_second: u32) -> Limits {
        Limits::new(NonZeroU32::new(per_second))
    }

    #[test]
    fn a_burst_goes_through_and_what_follows_is_told_when_to_come_again() {
        let limits = limits(1);
        let calls: Vec<_> = (0..6).map(|_| limits.take("ann", false).unwrap()).collect();
        let left: Vec<_> = calls.iter().map(|left| left.calls).collect();
        assert_eq!(left, [Some(4), Some(3), Some(2), Some(1), Some(0), None]);
        assert_eq!((calls[5].burst, calls[5].wait_s), (5, 1));
        assert!(limits.take("bob", false).unwrap().calls.is_some(), "another has his own");
    }

    #[test]
    fn staff_and_services_may_call_ten_times_as_often() {
        let limits = limits(2);
        let through = |trusted| {
            (0..150).filter(|_| limits.take("ann", trusted).unwrap().calls.is_some()).count()
        };
        // Some drip in meanwhile.
        assert!((10..=12).contains(&through(false)));
        assert!((100..=110).contains(&through(true)));
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        assert_eq!(limits(0).take("ann", false), None);
    }

    #[test]
    fn who_called_once_is_forgotten() {
        let limits = limits(1_000_000);
        for n in 0..SWEEP_EVERY * 20 {
            limits.take(&format!("passer-by {n}"), false);
        }
        let kept = limits.0.as_ref().unwrap()[0].buckets.len();
        assert!(kept <= SWEEP_EVERY as usize * 2, "{kept}");
    }
}
