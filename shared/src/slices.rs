//! How a long range becomes slices, each a job of its own: cut at whole multiples of their length since
//! 1970, UTC. So whoever asks for the same history again means the same slices.

use chrono::{DateTime, TimeDelta, Utc};

/// A slice of at least this many days, at most that many.
pub const SLICE_DAYS: std::ops::RangeInclusive<u16> = 1..=366;

/// The most slices that one request may make.
pub const MAX_SLICES: i64 = 5_000;

const DAY_S: i64 = 86_400;

/// A part of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Its place among the user's jobs with the provider: 1 for the slice that begins with 1970-01-01, and one
    /// more for each day. Place 0 is the sync's.
    pub slot: i32,
    /// At or after.
    pub after: DateTime<Utc>,
    /// Before.
    pub before: DateTime<Utc>,
}

/// A range, cut into slices.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_field_names, reason = "the unit of each")]
pub struct Slices {
    after_s: i64,
    before_s: i64,
    length_s: i64,
}

impl Slices {
    /// Cuts the range from `after`, not before 1970, to `before` into slices of some days. An end that is left
    /// out, or not here yet, is that of the slice that holds `now`: asked again tomorrow it is most often
    /// the same one.
    #[must_use]
    pub fn of(
        after: DateTime<Utc>,
        before: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        days: u16,
    ) -> Self {
        let length_s = i64::from(days.max(1)) * DAY_S;
        let whole = (now.timestamp().div_euclid(length_s) + 1) * length_s;
        let before_s = before.filter(|end| *end <= now).map_or(whole, |end| end.timestamp());
        Self { after_s: after.timestamp().max(0), before_s, length_s }
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> i64 {
        if self.after_s >= self.before_s {
            return 0;
        }
        self.last() - self.first() + 1
    }

    const fn first(&self) -> i64 {
        self.after_s.div_euclid(self.length_s)
    }

    const fn last(&self) -> i64 {
        (self.before_s - 1).div_euclid(self.length_s)
    }

    /// The slices, newest first: that is what people look at. The oldest and the newest end where the range does.
    pub fn newest_first(self) -> impl Iterator<Item = Slice> {
        (self.first()..=self.last()).rev().take(usize::try_from(self.count()).unwrap_or(0)).map(
            move |nth| {
                let begins = nth * self.length_s;
                let instant = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
                Slice {
                    slot: i32::try_from(begins / DAY_S + 1).unwrap_or(i32::MAX),
                    after: instant(begins.max(self.after_s)),
                    before: instant((begins + self.length_s).min(self.before_s)),
                }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_is_cut_at_multiples_of_the_length_and_ends_where_it_was_asked_to() {
        let now = at("2026-05-05T12:00:00Z");
        let (after, before) = (at("1970-01-10T06:00:00Z"), at("1970-03-05T00:00:00Z"));
        let slices: Vec<_> = Slices::of(after, Some(before), now, 30).newest_first().collect();
        let shown: Vec<_> = slices.iter().map(|s| (s.slot, s.after, s.before)).collect();
        assert_eq!(
            shown,
            [
                (61, at("1970-03-02T00:00:00Z"), before),
                (31, at("1970-01-31T00:00:00Z"), at("1970-03-02T00:00:00Z")),
                (1, after, at("1970-01-31T00:00:00Z")),
            ]
        );
    }

    #[test]
    fn an_open_end_is_the_same_all_through_the_last_slice() {
        let after = at("2026-01-01T00:00:00Z");
        let ends = |now: &str, before: Option<&str>| {
            let slices = Slices::of(after, before.map(at), at(now), 7);
            slices.newest_first().next().unwrap().before
        };
        let end = ends("2026-05-05T12:00:00Z", None);
        assert!(end > at("2026-05-05T12:00:00Z"));
        assert_eq!(ends("2026-05-05T23:59:59Z", None), end);
        assert_eq!(ends("2026-05-05T12:00:00Z", Some("2030-01-01T00:00:00Z")), end);
        assert_eq!(
            ends("2026-05-05T12:00:00Z", Some("2026-05-05T11:00:00Z")),
            at("2026-05-05T11:00:00Z")
        );
    }

    #[test]
    fn a_range_that_holds_nothing_has_no_slices() {
        let now = at("2026-05-05T12:00:00Z");
        for (after, before) in [
            ("2026-05-05T12:00:00Z", "2026-05-05T12:00:00Z"),
            ("2026-06-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ] {
            let slices = Slices::of(at(after), Some(at(before)), now, 1);
            assert_eq!((slices.count(), slices.newest_first().count()), (0, 0));
        }
    }

    proptest! {
        #[test]
        fn slices_cover_the_range_without_gap_or_overlap(
            after_s in 0i64..2_000_000_000, length_s in 1i64..400_000_000, days in 1u16..=366
        ) {
            let instant = |s| DateTime::UNIX_EPOCH + TimeDelta::seconds(s);
            let (after, before) = (instant(after_s), instant(after_s + length_s));
            let slices = Slices::of(after, Some(before), instant(3_000_000_000), days);
            let all: Vec<_> = slices.newest_first().collect();
            prop_assert_eq!(i64::try_from(all.len()).unwrap(), slices.count());
            prop_assert_eq!((all[0].before, all[all.len() - 1].after), (before, after));
            for pair in all.windows(2) {
                prop_assert_eq!(pair[0].after, pair[1].before);
                prop_assert_eq!(pair[0].slot - pair[1].slot, i32::from(days));
            }
            for slice in &all {
                prop_assert!(slice.after < slice.before && slice.slot > 0);
                prop_assert!(slice.before - slice.after <= TimeDelta::days(days.into()));
            }
        }
    }
}
