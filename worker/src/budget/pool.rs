//! Calls that this process has reserved and not made yet, of one kind and one urgency. Pure: it is told the
//! time.

use super::limits::Tier;
use chrono::{DateTime, TimeDelta, Utc};
use paceline_shared::db::budgets::{HOLD, Slot};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The most that is asked for at once.
const MOST: u32 = 256;

/// Which calls a pool is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) kind: &'static str,
    pub(super) tier: Tier,
    /// The scope of the one user whose quota they count in as well.
    pub(super) user: Option<String>,
}

/// Calls granted together.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    pub(super) left: u32,
    /// Just before they were asked for: they are good so long after this at least.
    pub(super) asked: Instant,
    pub(super) valid_for: Duration,
    /// Just after they were granted, which the database did at `as_of` or later.
    pub(super) granted: Instant,
    pub(super) as_of: DateTime<Utc>,
    pub(super) slots: Arc<[Slot]>,
}

/// The right to one call.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) slots: Arc<[Slot]>,
    /// By the database's clock, and not later than it really is.
    pub(super) sent_at: DateTime<Utc>,
}

/// Calls that will not be made.
pub(super) type Returned = Vec<(Arc<[Slot]>, u32)>;

/// What is reserved, and how much it should be.
#[derive(Debug)]
pub(super) struct Pool {
    buckets: Vec<Bucket>,
    want: u32,
    /// Since the last second's end.
    taken: u32,
    pub(super) waiting: u32,
    pub(super) refilling: bool,
}

impl Default for Pool {
    fn default() -> Self {
        Self { buckets: Vec::new(), want: 1, taken: 0, waiting: 0, refilling: false }
    }
}

impl Pool {
    pub(super) fn add(&mut self, bucket: Bucket) {
        self.buckets.push(bucket);
    }

    pub(super) fn left(&self) -> u32 {
        self.buckets.iter().map(|bucket| bucket.left).sum()
    }

    /// How much to ask for. It doubles from one time to the next within a second.
    pub(super) fn wish(&mut self) -> u32 {
        let wish = self.want.max(self.waiting).clamp(1, MOST);
        self.want = (wish * 2).min(MOST);
        wish
    }

    /// Whether it is time to ask for more, so that nobody has to wait for it.
    pub(super) fn is_low(&self) -> bool {
        !self.refilling && self.left() <= self.taken.min(self.want) / 2
    }

    /// A call, of those that end first. `contact`: when Postgres last heard that the reservations are ours.
    pub(super) fn take(&mut self, now: Instant, contact: Instant) -> Option<Taken> {
        let bucket = self
            .buckets
            .iter_mut()
            .filter(|bucket| bucket.left > 0 && bucket.is_good(now, contact))
            .min_by_key(|bucket| bucket.asked + bucket.valid_for)?;
        bucket.left -= 1;
        self.taken += 1;
        let since = TimeDelta::from_std(now - bucket.granted).unwrap_or_default();
        Some(Taken { slots: bucket.slots.clone(), sent_at: bucket.as_of + since })
    }

    /// Gives up what is no longer good.
    pub(super) fn expire(&mut self, now: Instant, contact: Instant) -> Returned {
        self.give(|bucket| if bucket.is_good(now, contact) { 0 } else { bucket.left })
    }

    /// Gives up what counts in `slot`: the provider has no more there.
    pub(super) fn drain(&mut self, slot: &Slot) -> Returned {
        self.give(|bucket| if bucket.slots.contains(slot) { bucket.left } else { 0 })
    }

    /// Gives up everything.
    pub(super) fn empty(&mut self) -> Returned {
        self.give(|bucket| bucket.left)
    }

    /// A second has passed: what was used in it is the measure of what to keep, the rest is for others.
    pub(super) fn second(&mut self) -> Returned {
        let keep = self.taken.max(self.waiting);
        self.want = keep.max(1);
        self.taken = 0;
        let mut surplus = self.left().saturating_sub(keep);
        self.give(|bucket| {
            let give = bucket.left.min(surplus);
            surplus -= give;
            give
        })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.buckets.is_empty() && self.waiting == 0 && !self.refilling
    }

    fn give(&mut self, mut of: impl FnMut(&Bucket) -> u32) -> Returned {
        let mut returned = Vec::new();
        for bucket in &mut self.buckets {
            let give = of(bucket);
            if give > 0 {
                bucket.left -= give;
                returned.push((bucket.slots.clone(), give));
            }
        }
        self.buckets.retain(|bucket| bucket.left > 0);
        returned
    }
}

impl Bucket {
    fn is_good(&self, now: Instant, contact: Instant) -> bool {
        now < self.asked + self.valid_for && now < self.asked.max(contact) + HOLD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(now: Instant, left: u32, valid_s: u64) -> Bucket {
        let slot = |scope: &str| Slot { scope: scope.to_owned(), window_s: 10, start: Utc::now() };
        Bucket {
            left,
            asked: now,
            valid_for: Duration::from_secs(valid_s),
            granted: now + Duration::from_millis(5),
            as_of: Utc::now(),
            slots: [slot("all"), slot("read")].into(),
        }
    }

    fn calls(returned: &Returned) -> u32 {
        returned.iter().map(|(_, calls)| calls).sum()
    }

    #[test]
    fn what_ends_first_is_used_first_and_nothing_after_its_end() {
        let now = Instant::now();
        let mut pool = Pool::default();
        pool.add(bucket(now, 1, 9));
        pool.add(bucket(now, 1, 5));
        let at = |s| now + Duration::from_secs(s);
        assert!(pool.take(at(4), now).is_some());
        assert!(pool.take(at(5), now).is_some());
        pool.add(bucket(now, 3, 5));
        assert!(pool.take(at(5), now).is_none());
        assert_eq!((calls(&pool.expire(at(5), now)), pool.left()), (3, 0));
    }

    #[test]
    fn a_reservation_that_nobody_renewed_is_not_used() {
        let now = Instant::now();
        let mut pool = Pool::default();
        pool.add(bucket(now, 2, 900));
        assert!(pool.take(now + HOLD, now).is_none());
        assert!(pool.take(now + HOLD, now + Duration::from_secs(1)).is_some());
        assert_eq!(calls(&pool.expire(now + HOLD * 2, now + Duration::from_secs(1))), 1);
    }

    #[test]
    fn the_time_of_sending_is_never_told_too_late() {
        let now = Instant::now();
        let mut pool = Pool::default();
        let bucket = bucket(now, 1, 9);
        let (as_of, granted) = (bucket.as_of, bucket.granted);
        pool.add(bucket);
        let taken = pool.take(granted + Duration::from_secs(2), now).unwrap();
        assert_eq!(taken.sent_at, as_of + TimeDelta::seconds(2));
    }

    #[test]
    fn wishes_double_within_a_second_and_follow_the_use_after_it() {
        let now = Instant::now();
        let mut pool = Pool::default();
        assert_eq!([pool.wish(), pool.wish(), pool.wish()], [1, 2, 4]);
        pool.waiting = 64;
        assert_eq!(pool.wish(), 64);
        pool.waiting = 0;
        pool.add(bucket(now, 40, 900));
        for _ in 0..10 {
            pool.take(now, now).unwrap();
        }
        assert_eq!((calls(&pool.second()), pool.left(), pool.wish()), (20, 10, 10));
        assert_eq!((calls(&pool.second()), pool.left(), pool.wish()), (10, 0, 1));
        assert!(pool.is_idle());
    }

    #[test]
    fn only_what_counts_in_a_spent_window_is_given_up() {
        let now = Instant::now();
        let mut pool = Pool::default();
        let spent = bucket(now, 3, 9);
        let slot = spent.slots[1].clone();
        let other = Slot { start: slot.start + TimeDelta::seconds(10), ..slot.clone() };
        pool.add(spent);
        pool.add(Bucket { slots: [other].into(), ..bucket(now, 2, 9) });
        assert_eq!((calls(&pool.drain(&slot)), pool.left()), (3, 2));
        assert_eq!(calls(&pool.empty()), 2);
    }
}
