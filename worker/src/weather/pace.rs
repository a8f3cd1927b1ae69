//! The pace of this process's calls: the service counts weighted calls a minute, and a refused one is
//! lost time. What is over the pace waits, without a call made and without a slot held.

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use std::{num::NonZeroU32, sync::Arc, time::Duration};

/// A limiter, or none. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Pace(Option<(Arc<DefaultDirectRateLimiter>, NonZeroU32)>);

impl Pace {
    /// No more than `per_minute` in any minute: half of it at once, and half of it spread.
    pub(super) fn new(per_minute: Option<NonZeroU32>) -> Self {
        Self(per_minute.map(|all| {
            let half = NonZeroU32::new(all.get() / 2).unwrap_or(NonZeroU32::MIN);
            (Arc::new(RateLimiter::direct(Quota::per_minute(half))), half)
        }))
    }

    /// Takes a call of this weight; or says how long until there is room for it again.
    pub(super) fn take(&self, weight: f64) -> Result<(), Duration> {
        let Some((limiter, most)) = &self.0 else { return Ok(()) };
        // One that is heavier than all that can be had at once takes all of that.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rounded up, clamped"
        )]
        let cells = (weight.ceil().clamp(1.0, f64::from(most.get()))) as u32;
        let Some(cells) = NonZeroU32::new(cells) else { return Ok(()) };
        match limiter.check_n(cells) {
            Ok(Err(not_yet)) => Err(not_yet.wait_time_from(DefaultClock::default().now())),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(per_minute: u32) -> Pace {
        Pace::new(NonZeroU32::new(per_minute))
    }

    #[test]
    fn half_a_minutes_quota_goes_at_once_and_the_rest_waits() {
        let pace = pace(600);
        let taken = (0..600).filter(|_| pace.take(1.0).is_ok()).count();
        // What is spread over the minute drips in at five a second meanwhile.
        assert!((300..=310).contains(&taken), "{taken}");
        let wait = pace.take(100.0).unwrap_err();
        assert!(wait > Duration::from_secs(15) && wait <= Duration::from_secs(21), "{wait:?}");
    }

    #[test]
    fn clones_share_one_pace_and_a_heavy_call_takes_all_there_is() {
        let pace = pace(10);
        assert!(pace.clone().take(1_000.0).is_ok());
        assert!(pace.take(0.1).is_err());
    }

    #[test]
    fn no_limit_is_no_limit() {
        let pace = pace(0);
        assert!((0..10_000).all(|_| pace.take(500.0).is_ok()));
    }
}
