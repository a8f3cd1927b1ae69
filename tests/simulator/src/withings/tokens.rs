//! Withings' authorization codes, access tokens and refresh tokens.
//!
//! Owns the rotation: every refresh gives a new pair; the pair before it works on for eight hours,
//! or until the new access token is used for the first time. Codes live thirty seconds and work
//! once. Must not know HTTP.
//!
//! Not documented, and so chosen: a refresh with the pair before (its answer may have been lost)
//! gives another new pair and ends the unused one; each exchanged code is an authorization of its
//! own, until all of a user's are revoked.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::dice::Dice;
use crate::tally::Tally;

/// Seconds that an access token lives.
pub(super) const LIFETIME_S: i64 = 10_800;
const CODE: TimeDelta = TimeDelta::seconds(30);
const REFRESHABLE: TimeDelta = TimeDelta::days(365);
const OVERLAP: TimeDelta = TimeDelta::hours(8);
const SECRETS: u64 = 0x77_74;

#[derive(Debug)]
pub(super) struct Tokens {
    dice: Dice,
    codes: HashMap<String, Code>,
    /// By number of the authorization.
    grants: BTreeMap<u64, Grant>,
    access: HashMap<String, u64>,
    refresh: HashMap<String, u64>,
    next_grant: u64,
    tallies: HashMap<u64, Tally>,
}

#[derive(Clone, Debug)]
struct Code {
    user: u64,
    scope: String,
    /// Where it was sent to, when it was: the exchange must say the same.
    redirect: Option<String>,
    until: DateTime<Utc>,
}

#[derive(Clone, Debug)]
struct Grant {
    user: u64,
    scope: String,
    current: Pair,
    /// The pair before, and when it ends at the latest.
    before: Option<(Pair, DateTime<Utc>)>,
}

#[derive(Clone, Debug)]
struct Pair {
    access: String,
    refresh: String,
    expires: DateTime<Utc>,
    refreshable: DateTime<Utc>,
}

/// A pair as handed out.
#[derive(Clone, Debug, Serialize)]
pub struct WithingsPair {
    /// Whose.
    pub user: u64,
    /// The bearer token.
    pub access_token: String,
    /// What the next pair is had with.
    pub refresh_token: String,
    /// Unix seconds.
    pub expires_at: i64,
    /// Accepted scopes, comma-separated.
    pub scope: String,
}

/// Who a bearer token speaks for.
#[derive(Clone, Debug)]
pub(crate) struct Bearer {
    pub(crate) user: u64,
    scope: String,
}

impl Bearer {
    pub(super) fn may(&self, scope: &str) -> bool {
        self.scope.split(',').any(|granted| granted == scope)
    }
}

impl Tokens {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed, SECRETS, 0),
            codes: HashMap::new(),
            grants: BTreeMap::new(),
            access: HashMap::new(),
            refresh: HashMap::new(),
            next_grant: 0,
            tallies: HashMap::new(),
        }
    }

    fn secret(&mut self) -> String {
        let dice = &mut self.dice;
        format!("{:016x}{:016x}{:08x}", dice.draw(), dice.draw(), dice.draw() >> 32)
    }

    /// A code that stands for the user's consent to `scope`.
    pub(super) fn authorize(
        &mut self,
        user: u64,
        scope: &str,
        redirect: Option<&str>,
        now: DateTime<Utc>,
    ) -> String {
        let code = self.secret();
        let redirect = redirect.map(str::to_owned);
        let consent = Code { user, scope: scope.to_owned(), redirect, until: now + CODE };
        self.codes.insert(code.clone(), consent);
        code
    }

    /// `None`: no such code, or it was used, is too old, or was sent elsewhere.
    pub(super) fn exchange(
        &mut self,
        code: &str,
        redirect: &str,
        now: DateTime<Utc>,
    ) -> Option<WithingsPair> {
        let Code { user, scope, redirect: sent_to, until } = self.codes.remove(code)?;
        if until <= now || sent_to.is_some_and(|sent_to| sent_to != redirect) {
            return None;
        }
        self.tallies.entry(user).or_default().exchanges += 1;
        Some(self.grant(user, &scope, now))
    }

    /// A fresh authorization without the detour over a code.
    pub(super) fn grant(&mut self, user: u64, scope: &str, now: DateTime<Utc>) -> WithingsPair {
        let number = self.next_grant;
        self.next_grant += 1;
        let current = self.pair(number, now);
        let grant = Grant { user, scope: scope.to_owned(), current, before: None };
        let told = told(&grant);
        self.grants.insert(number, grant);
        told
    }

    fn pair(&mut self, number: u64, now: DateTime<Utc>) -> Pair {
        let (access, refresh) = (self.secret(), self.secret());
        self.access.insert(access.clone(), number);
        // Ended tokens stay known, so that who tries them is counted.
        self.refresh.insert(refresh.clone(), number);
        let expires = now + TimeDelta::seconds(LIFETIME_S);
        Pair { access, refresh, expires, refreshable: now + REFRESHABLE }
    }

    /// `None`: not a refresh token, or no longer one.
    pub(super) fn refresh(&mut self, token: &str, now: DateTime<Utc>) -> Option<WithingsPair> {
        let number = *self.refresh.get(token)?;
        let grant = self.grants.get(&number)?.clone();
        let tally = self.tallies.entry(grant.user).or_default();
        let before = if grant.current.refresh == token && grant.current.refreshable > now {
            Some((grant.current, now + OVERLAP))
        } else if let Some((pair, until)) = grant.before
            && pair.refresh == token
            && until > now
        {
            self.access.remove(&grant.current.access);
            Some((pair, until))
        } else {
            tally.refused_refreshes += 1;
            return None;
        };
        // Every one of them brings a new pair.
        tally.refreshes += 1;
        tally.rotations += 1;
        let current = self.pair(number, now);
        let grant = Grant { user: grant.user, scope: grant.scope, current, before };
        let told = told(&grant);
        self.grants.insert(number, grant);
        Some(told)
    }

    /// Who an access token speaks for, while it lives. This is its use: the pair before it ends.
    pub(super) fn bearer(&mut self, token: &str, now: DateTime<Utc>) -> Option<Bearer> {
        let grant = self.grants.get_mut(self.access.get(token)?)?;
        if grant.current.access == token {
            if grant.current.expires <= now {
                return None;
            }
            grant.before = None;
        } else {
            let before = grant.before.as_ref().filter(|(pair, _)| pair.access == token);
            before.filter(|(pair, until)| pair.expires > now && *until > now)?;
        }
        Some(Bearer { user: grant.user, scope: grant.scope.clone() })
    }

    /// Whose code or token this is, used or not: for the request log, and no use of it.
    pub(super) fn owner(&self, secret: &str) -> Option<u64> {
        let code = self.codes.get(secret).map(|code| code.user);
        let number = || self.access.get(secret).or_else(|| self.refresh.get(secret));
        code.or_else(|| self.grants.get(number()?).map(|grant| grant.user))
    }

    /// Makes all access tokens of the user end `seconds` from now (0: they are dead).
    pub(super) fn expire(&mut self, user: u64, seconds: i64, now: DateTime<Utc>) -> usize {
        let expires = now + TimeDelta::seconds(seconds);
        let mut touched = 0;
        for grant in self.grants.values_mut().filter(|grant| grant.user == user) {
            let before = grant.before.as_mut().map(|(pair, _)| pair);
            for pair in [Some(&mut grant.current), before].into_iter().flatten() {
                pair.expires = expires;
                touched += 1;
            }
        }
        touched
    }

    /// Ends all authorizations of the user; answers how many there were.
    pub(super) fn revoke(&mut self, user: u64) -> usize {
        let before = self.grants.len();
        self.grants.retain(|_, grant| grant.user != user);
        self.codes.retain(|_, code| code.user != user);
        before - self.grants.len()
    }

    /// Every token that was ever given out, and codes not used yet.
    pub(super) fn secrets(&self) -> Vec<String> {
        let known = self.codes.keys().chain(self.access.keys()).chain(self.refresh.keys());
        known.cloned().collect()
    }

    pub(super) fn tally(&self, user: u64) -> Tally {
        self.tallies.get(&user).copied().unwrap_or_default()
    }
}

fn told(grant: &Grant) -> WithingsPair {
    WithingsPair {
        user: grant.user,
        access_token: grant.current.access.clone(),
        refresh_token: grant.current.refresh.clone(),
        expires_at: grant.current.expires.timestamp(),
        scope: grant.scope.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn a_code_works_once_and_for_thirty_seconds_and_only_where_it_was_sent() {
        let mut tokens = Tokens::new(1);
        let to = "http://localhost/back";
        let code = tokens.authorize(5, "user.metrics", Some(to), at(0));
        assert_eq!(tokens.exchange(&code, to, at(29)).unwrap().scope, "user.metrics");
        assert!(tokens.exchange(&code, to, at(29)).is_none());
        let late = tokens.authorize(5, "user.metrics", Some(to), at(0));
        assert!(tokens.exchange(&late, to, at(30)).is_none());
        let elsewhere = tokens.authorize(5, "user.metrics", Some(to), at(0));
        assert!(tokens.exchange(&elsewhere, "http://evil/", at(1)).is_none());
        assert_eq!(tokens.tally(5), Tally { exchanges: 1, ..Tally::default() });
    }

    #[test]
    fn the_pair_before_works_until_the_new_access_token_is_first_used() {
        let mut tokens = Tokens::new(1);
        let first = tokens.grant(5, "user.metrics", at(0));
        let second = tokens.refresh(&first.refresh_token, at(100)).unwrap();
        assert_ne!(second.refresh_token, first.refresh_token);
        assert!(tokens.bearer(&first.access_token, at(101)).is_some());
        // Asking whose it is, is no use of it.
        assert_eq!(tokens.owner(&second.access_token), Some(5));
        assert!(tokens.bearer(&first.access_token, at(102)).is_some());
        assert!(tokens.bearer(&second.access_token, at(103)).is_some());
        assert!(tokens.bearer(&first.access_token, at(104)).is_none());
        assert!(tokens.refresh(&first.refresh_token, at(104)).is_none());
        let tally = Tally { refreshes: 1, rotations: 1, refused_refreshes: 1, ..Tally::default() };
        assert_eq!(tokens.tally(5), tally);
    }

    #[test]
    fn an_answer_that_was_lost_can_be_asked_for_again_for_eight_hours() {
        let mut tokens = Tokens::new(1);
        let first = tokens.grant(5, "user.metrics", at(0));
        let lost = tokens.refresh(&first.refresh_token, at(0)).unwrap();
        let again = tokens.refresh(&first.refresh_token, at(8 * 3600 - 1)).unwrap();
        assert!(tokens.bearer(&lost.access_token, at(1)).is_none());
        assert!(tokens.refresh(&lost.refresh_token, at(1)).is_none());
        assert!(tokens.refresh(&first.refresh_token, at(8 * 3600)).is_none());
        assert!(tokens.bearer(&again.access_token, at(8 * 3600)).is_some());
        let tally = tokens.tally(5);
        assert_eq!((tally.refreshes, tally.rotations, tally.refused_refreshes), (2, 2, 2));
    }

    #[test]
    fn an_access_token_lives_three_hours_and_a_refresh_token_a_year() {
        let mut tokens = Tokens::new(1);
        let first = tokens.grant(5, "user.metrics", at(0));
        assert!(tokens.bearer(&first.access_token, at(LIFETIME_S - 1)).is_some());
        assert!(tokens.bearer(&first.access_token, at(LIFETIME_S)).is_none());
        let second = tokens.refresh(&first.refresh_token, at(365 * 86_400 - 1)).unwrap();
        assert!(tokens.refresh(&second.refresh_token, at(2 * 365 * 86_400)).is_none());
    }

    #[test]
    fn revoking_and_expiring_touch_one_user_only() {
        let mut tokens = Tokens::new(1);
        let (mine, other) = (tokens.grant(5, "", at(0)), tokens.grant(6, "", at(0)));
        assert_eq!(tokens.expire(6, 0, at(1)), 1);
        assert!(tokens.bearer(&other.access_token, at(1)).is_none());
        assert!(tokens.bearer(&mine.access_token, at(1)).is_some());
        assert_eq!(tokens.revoke(5), 1);
        assert!(tokens.bearer(&mine.access_token, at(1)).is_none());
        assert!(tokens.refresh(&mine.refresh_token, at(1)).is_none());
        assert!(tokens.refresh(&other.refresh_token, at(1)).is_some());
    }
}
