//! What to look for, and how it becomes statements: a text is looked for in three places, each with a way of its own
//! to it, so it is up to three probes of which each is a plain conjunction, and no two find the same job.

use super::SearchError;
use crate::{JobId, Provider, UserId, job_state::JobState};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

/// A text may match no more users than this.
pub const USERS_LIMIT: i64 = 1000;

/// Which jobs. What is `None` is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Where in its life.
    pub state: Option<JobState>,
    /// From where.
    pub provider: Option<Provider>,
    /// Whose.
    pub user: Option<UserId>,
    /// Whose failure has this code: failed jobs, and live ones that failed before.
    pub code: Option<String>,
    /// Whose failure has this fingerprint; as `code`.
    pub fingerprint: Option<String>,
    /// Made then or later.
    pub since: Option<DateTime<Utc>>,
    /// Made before.
    pub before: Option<DateTime<Utc>>,
    /// In the failure's message or the user's subject, or at the beginning of the id.
    pub text: Option<String>,
}

/// A range of ids: from the first, up to the second and without it. Ids sort by the time they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub(super) from: Uuid,
    pub(super) to: Uuid,
}

impl Range {
    /// All ids.
    pub const ALL: Self = Self { from: Uuid::nil(), to: Uuid::max() };

    /// Those in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }

    /// Made at this time or later.
    #[must_use]
    pub fn since(at: DateTime<Utc>) -> Self {
        Self { from: first_at(at), ..Self::ALL }
    }

    /// Made before this time.
    #[must_use]
    pub fn before(at: DateTime<Utc>) -> Self {
        Self { to: first_at(at), ..Self::ALL }
    }

    /// Behind this one.
    #[must_use]
    pub fn after(id: JobId) -> Self {
        Self { from: next(id.0), ..Self::ALL }
    }

    /// Up to this one, with it.
    #[must_use]
    pub fn until(id: JobId) -> Self {
        Self { to: next(id.0), ..Self::ALL }
    }

    /// In front of this one.
    #[must_use]
    pub fn older_than(id: JobId) -> Self {
        Self { to: id.0, ..Self::ALL }
    }

    /// Ids that begin with this text; `None`: it is no beginning of an id.
    fn beginning_with(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        // The dashes stand where an id has them, or nowhere.
        let dashed = |n: usize| matches!(n, 8 | 13 | 18 | 23);
        let is_id =
            text.char_indices().all(|(n, c)| (c == '-') == dashed(n) || !text.contains('-'));
        if !is_id || digits.len() > 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let first = u128::from_str_radix(&format!("{digits:0<32}"), 16).ok()?;
        let last = u128::from_str_radix(&format!("{digits:f<32}"), 16).ok()?;
        Some(Self { from: Uuid::from_u128(first), to: next(Uuid::from_u128(last)) })
    }
}

fn next(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128().saturating_add(1))
}

/// The smallest id that can be made at this time.
fn first_at(at: DateTime<Utc>) -> Uuid {
    let ms = u128::try_from(at.timestamp_millis()).unwrap_or(0);
    Uuid::from_u128(ms.min((1 << 48) - 1) << 80)
}

/// Where jobs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// In `sync_jobs`.
    Live,
    /// In `sync_history`.
    Ended,
}

/// A conjunction that one statement looks for on one side.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) side: Side,
    pub(super) state: Option<&'static str>,
    pub(super) provider: Option<&'static str>,
    pub(super) users: Option<Vec<Uuid>>,
    pub(super) code: Option<String>,
    pub(super) fingerprint: Option<String>,
    pub(super) message: Option<String>,
    /// What others of the same search find.
    pub(super) but_not: ButNot,
    pub(super) range: Range,
}

/// Jobs with this message, and those of these users.
#[derive(Clone, Debug, Default)]
pub(super) struct ButNot {
    pub(super) message: Option<String>,
    pub(super) users: Option<Vec<Uuid>>,
}

impl Probe {
    /// What has to be gone through to find this: `None` where an index leads to it.
    pub(super) fn without_what_has_no_index(&self) -> Option<Self> {
        let is_live = self.side == Side::Live;
        let has_index = self.message.is_none()
            && (!is_live || (self.code.is_none() && self.fingerprint.is_none()));
        if has_index || self.users.is_some() {
            return None;
        }
        let mut wide = Self { message: None, ..self.clone() };
        if is_live {
            (wide.code, wide.fingerprint) = (None, None);
        }
        Some(wide)
    }
}

impl Filter {
    /// The ids that can match.
    fn range(&self) -> Range {
        let since = self.since.map_or(Range::ALL, Range::since);
        since.and(self.before.map_or(Range::ALL, Range::before))
    }

    /// What to look for, and where. Each job that matches is found by one of them and by no other.
    pub(super) async fn probes(
        &self,
        tx: &mut PgConnection,
        within: Range,
    ) -> Result<Vec<Probe>, SearchError> {
        let range = self.range().and(within);
        let named = self.user.map(|user| vec![user.0]);
        let sides = match self.state {
            None => &[Side::Live, Side::Ended][..],
            Some(state) if state.is_final() => &[Side::Ended],
            Some(_) => &[Side::Live],
        };
        let looks_at_failure = self.code.is_some() || self.fingerprint.is_some();
        let probe = |side, looks_at_failure: bool| Probe {
            side,
            state: match (self.state, side) {
                // Others may have failed on their way; what is asked for is what ended so.
                (None, Side::Ended) if looks_at_failure => Some(JobState::Failed.as_str()),
                (state, _) => state.map(JobState::as_str),
            },
            provider: self.provider.map(Provider::as_str),
            users: named.clone(),
            code: self.code.clone(),
            fingerprint: self.fingerprint.clone(),
            message: None,
            but_not: ButNot::default(),
            range,
        };
        let Some(text) = &self.text else {
            return Ok(sides.iter().map(|&side| probe(side, looks_at_failure)).collect());
        };
        let pattern = contains(text);
        let users = users_like(tx, &pattern).await?;
        let ids = Range::beginning_with(text);
        let mut probes = Vec::new();
        for &side in sides {
            probes.push(Probe { message: Some(pattern.clone()), ..probe(side, true) });
            let mut but_not = ButNot { message: Some(pattern.clone()), users: None };
            let whose: Vec<Uuid> = match &named {
                Some(named) => users.iter().copied().filter(|user| named.contains(user)).collect(),
                None => users.clone(),
            };
            if !whose.is_empty() {
                let (users, others) = (Some(whose.clone()), but_not.clone());
                probes.push(Probe { users, but_not: others, ..probe(side, looks_at_failure) });
                but_not.users = Some(whose);
            }
            if let Some(ids) = ids {
                let range = range.and(ids);
                probes.push(Probe { but_not, range, ..probe(side, looks_at_failure) });
            }
        }
        Ok(probes)
    }
}

async fn users_like(tx: &mut PgConnection, pattern: &str) -> Result<Vec<Uuid>, SearchError> {
    let users = sqlx::query_scalar!(
        "select id from paceline.users where external_id ilike $1 limit $2",
        pattern,
        USERS_LIMIT + 1
    )
    .fetch_all(tx)
    .await?;
    let many = i64::try_from(users.len()).unwrap_or(i64::MAX) > USERS_LIMIT;
    if many { Err(SearchError::TooBroad) } else { Ok(users) }
}

/// The pattern of all texts that contain this one.
fn contains(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_lies_in_the_range_of_its_time_and_of_its_own_beginning() {
        let id = JobId::fresh();
        let ms = i64::try_from(id.0.as_u128() >> 80).unwrap();
        let made = DateTime::from_timestamp_millis(ms).unwrap();
        let holds = |range: Range| range.from <= id.0 && id.0 < range.to;
        let second = chrono::TimeDelta::seconds(1);
        assert!(holds(Range::since(made)) && holds(Range::since(made - second)));
        assert!(!holds(Range::since(made + second)) && !holds(Range::before(made)));
        assert!(
            holds(Range::before(made + second)) && holds(Range::until(id)) && holds(Range::ALL)
        );
        assert!(!holds(Range::after(id)) && !holds(Range::older_than(id)));
        let text = id.to_string();
        for beginning in
            [&text[..3], &text[..8], &text[..9], &text[..20], &text, &text.replace('-', "")]
        {
            assert!(holds(Range::beginning_with(beginning).unwrap()), "{beginning}");
        }
        for other in ["timeout", "01-9", "503 x", &format!("{text}0"), "é01"] {
            assert!(Range::beginning_with(other).is_none(), "{other}");
        }
        let empty = Range::after(id).and(Range::until(id));
        assert!(empty.from >= empty.to);
    }

    #[test]
    fn a_pattern_takes_what_it_is_given_for_what_it_is() {
        assert_eq!(contains(r"50%_\ed"), r"%50\%\_\\ed%");
    }
}
