//! Limits as people write them, and how a call's urgency shares them. Knows neither tables nor providers.

use paceline_shared::db::budgets::Window;
use std::{fmt, str::FromStr};

/// So many calls of one kind in so long: `read:100/15m`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Which calls, in the provider's own division.
    pub name: String,
    /// How many.
    pub calls: i32,
    /// In how many seconds.
    pub window_s: i32,
}

/// Why a text is no limit.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no limit; write it as read:100/15m, with s, m, h or d")]
pub struct NoLimit(String);

impl FromStr for Limit {
    type Err = NoLimit;

    fn from_str(text: &str) -> Result<Self, NoLimit> {
        parse(text).ok_or_else(|| NoLimit(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Limit> {
    let (name, rest) = text.trim().split_once(':')?;
    let (calls, window) = rest.split_once('/')?;
    let (number, unit) = window.split_at_checked(window.find(|c: char| !c.is_ascii_digit())?)?;
    let unit_s = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let window_s = number.parse::<i32>().ok()?.checked_mul(unit_s)?;
    let limit = Limit { name: name.to_owned(), calls: calls.parse().ok()?, window_s };
    // A window must leave room between its borders.
    (!name.is_empty() && limit.calls >= 0 && limit.window_s >= 4).then_some(limit)
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}s", self.name, self.calls, self.window_s)
    }
}

impl Limit {
    /// A window of UTC that begins on round times, of calls that a whole application shares.
    #[must_use]
    pub fn window(&self, provider: &str) -> Window {
        let scope = format!("{provider}:{}", self.name);
        Window { scope, window_s: self.window_s, border_s: 0, limit: self.calls }
    }
}

/// How urgent a call is, as far as shares of a limit go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// Scheduled syncs and backfills: nobody waits for them.
    Bulk,
    /// A user waits.
    Interactive,
    /// A webhook's fetch, which is small and late by nature; a code, which lives for seconds.
    Urgent,
}

impl Tier {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Bulk, Self::Interactive, Self::Urgent];

    /// That of a job whose class has this rank.
    #[must_use]
    pub const fn of(rank: i16) -> Self {
        match rank {
            ..3 => Self::Bulk,
            3 => Self::Interactive,
            4.. => Self::Urgent,
        }
    }

    /// The part of a limit that calls of this tier may use up: a fifth is kept from what nobody waits for,
    /// and of that the last quarter from users, so that webhooks do not fall behind.
    #[must_use]
    pub const fn percent(self) -> u8 {
        match self {
            Self::Bulk => 80,
            Self::Interactive => 95,
            Self::Urgent => 100,
        }
    }

    /// Jobs of classes below this rank have nothing left when this tier has not.
    #[must_use]
    pub const fn classes_below(self) -> i16 {
        match self {
            Self::Bulk => 3,
            Self::Interactive => 4,
            Self::Urgent => 5,
        }
    }

    /// The tiers whose share of `limit` is used up: the most urgent of them.
    #[must_use]
    pub fn spent(limit: i32, used: i32) -> Option<Self> {
        let cap = |tier: Self| (i64::from(limit) * i64::from(tier.percent()) + 99) / 100;
        Self::ALL.into_iter().rev().find(|tier| i64::from(used) >= cap(*tier))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_name_a_number_and_a_window() {
        let limit: Limit = "read:100/15m".parse().unwrap();
        assert_eq!(limit, Limit { name: "read".to_owned(), calls: 100, window_s: 900 });
        assert_eq!(limit.to_string().parse::<Limit>().unwrap(), limit);
        assert_eq!("all:2000/1d".parse::<Limit>().unwrap().window_s, 86_400);
        for wrong in [
            "",
            "read",
            "read:100",
            "read:100/15",
            "read:x/15m",
            "read:1/15w",
            ":1/15m",
            "a:-1/15m",
            "a:1/1s",
        ] {
            assert!(wrong.parse::<Limit>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_less_urgent_runs_out_first() {
        for (used, spent) in [
            (79, None),
            (80, Some(Tier::Bulk)),
            (94, Some(Tier::Bulk)),
            (95, Some(Tier::Interactive)),
            (99, Some(Tier::Interactive)),
            (100, Some(Tier::Urgent)),
        ] {
            assert_eq!(Tier::spent(100, used), spent, "{used}");
        }
        assert_eq!(Tier::spent(2, 1), None, "a small limit is not cut to nothing");
        assert_eq!(Tier::spent(0, 0), Some(Tier::Urgent));
    }

    #[test]
    fn a_tier_holds_back_the_classes_that_share_it() {
        for rank in 1..=4 {
            let tier = Tier::of(rank);
            assert!(rank < tier.classes_below());
            assert!(
                Tier::ALL.iter().filter(|other| **other < tier).all(|t| t.classes_below() <= rank)
            );
        }
    }
}
