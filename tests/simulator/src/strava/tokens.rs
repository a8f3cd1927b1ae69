//! Strava's authorization codes, access tokens and refresh tokens.
//!
//! Owns the rotation: a refresh with more than an hour left gives the same pair back; otherwise a
//! new access token and a new refresh token, the old refresh token being dead at once while the
//! old access token lives out its hour. Codes work once. Must not know HTTP.
//!
//! Each exchanged code is an authorization of its own: Strava does not document what a second one
//! by the same athlete does to the first, so here they live side by side until one is revoked.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::dice::Dice;
use crate::tally::Tally;

/// Seconds that an access token lives.
const LIFETIME_S: i64 = 21_600;
/// Left on an access token above which a refresh changes nothing.
const KEEP_S: i64 = 3_600;
const SECRETS: u64 = 0x74_6f;

#[derive(Debug)]
pub(super) struct Tokens {
    dice: Dice,
    codes: HashMap<String, Code>,
    /// By number of the authorization.
    grants: BTreeMap<u64, Grant>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, u64>,
    next_grant: u64,
    tallies: HashMap<u64, Tally>,
}

#[derive(Clone, Debug)]
struct Code {
    athlete: u64,
    scope: String,
}

#[derive(Clone, Debug)]
struct Grant {
    athlete: u64,
    scope: String,
    access: String,
    refresh: String,
}

#[derive(Clone, Copy, Debug)]
struct Access {
    grant: u64,
    expires: DateTime<Utc>,
}

/// A pair as handed out.
#[derive(Clone, Debug, Serialize)]
pub struct TokenPair {
    /// Whose.
    pub athlete: u64,
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
    pub(crate) athlete: u64,
    pub(crate) scope: String,
}

impl Bearer {
    pub(super) fn may(&self, any_of: &[&str]) -> bool {
        self.scope.split(',').any(|scope| any_of.contains(&scope))
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

    /// A code that stands for the athlete's consent to `scope`.
    pub(super) fn authorize(&mut self, athlete: u64, scope: &str) -> String {
        let code = self.secret();
        self.codes.insert(code.clone(), Code { athlete, scope: scope.to_owned() });
        code
    }

    /// `None`: no such code, or it was used.
    pub(super) fn exchange(&mut self, code: &str, now: DateTime<Utc>) -> Option<TokenPair> {
        let Code { athlete, scope } = self.codes.remove(code)?;
        self.tallies.entry(athlete).or_default().exchanges += 1;
        Some(self.grant(athlete, &scope, now))
    }

    /// A fresh authorization without the detour over a code.
    pub(super) fn grant(&mut self, athlete: u64, scope: &str, now: DateTime<Utc>) -> TokenPair {
        let number = self.next_grant;
        self.next_grant += 1;
        let (access, refresh) = (self.secret(), self.secret());
        let scope = scope.to_owned();
        self.grants.insert(
            number,
            Grant { athlete, scope, access: String::new(), refresh: String::new() },
        );
        self.install(number, access, refresh, now)
    }

    /// `None`: not a refresh token, or no longer one.
    pub(super) fn refresh(&mut self, token: &str, now: DateTime<Utc>) -> Option<TokenPair> {
        let number = *self.refresh.get(token)?;
        let current = self.grants.get(&number)?.clone();
        if current.refresh != token {
            self.tallies.entry(current.athlete).or_default().refused_refreshes += 1;
            return None;
        }
        let tally = self.tallies.entry(current.athlete).or_default();
        tally.refreshes += 1;
        let expires = self.access.get(&current.access).map(|access| access.expires);
        if let Some(expires) = expires.filter(|&at| at - now > TimeDelta::seconds(KEEP_S)) {
            return Some(pair(&current, expires));
        }
        tally.rotations += 1;
        let (access, refresh) = (self.secret(), self.secret());
        Some(self.install(number, access, refresh, now))
    }

    fn install(
        &mut self,
        number: u64,
        access: String,
        refresh: String,
        now: DateTime<Utc>,
    ) -> TokenPair {
        let expires = now + TimeDelta::seconds(LIFETIME_S);
        self.access.retain(|_, old| old.expires > now);
        self.access.insert(access.clone(), Access { grant: number, expires });
        // Replaced refresh tokens stay known, to be counted when they are tried again.
        self.refresh.insert(refresh.clone(), number);
        let grant = self.grants.entry(number).or_insert_with(|| Grant {
            athlete: 0,
            scope: String::new(),
            access: String::new(),
            refresh: String::new(),
        });
        grant.access = access;
        grant.refresh = refresh;
        pair(grant, expires)
    }

    /// Who an access token speaks for, while it lives.
    pub(super) fn bearer(&self, token: &str, now: DateTime<Utc>) -> Option<Bearer> {
        let access = self.access.get(token).filter(|access| access.expires > now)?;
        let grant = self.grants.get(&access.grant)?;
        Some(Bearer { athlete: grant.athlete, scope: grant.scope.clone() })
    }

    /// Whose code or refresh token this is, used or not: for the request log.
    pub(super) fn owner(&self, secret: &str) -> Option<u64> {
        let code = self.codes.get(secret).map(|code| code.athlete);
        code.or_else(|| self.grants.get(self.refresh.get(secret)?).map(|grant| grant.athlete))
    }

    /// Whose living or expired access token, or refresh token, this is.
    pub(super) fn holder(&self, token: &str) -> Option<u64> {
        let access = self.access.get(token).map(|access| access.grant);
        let grant = access.or_else(|| self.refresh.get(token).copied())?;
        self.grants.get(&grant).map(|grant| grant.athlete)
    }

    /// Makes all access tokens of the athlete end `seconds` from now (0: they are dead).
    pub(super) fn expire(&mut self, athlete: u64, seconds: i64, now: DateTime<Utc>) -> usize {
        let mut touched = 0;
        for access in self.access.values_mut() {
            if self.grants.get(&access.grant).is_some_and(|grant| grant.athlete == athlete) {
                access.expires = now + TimeDelta::seconds(seconds);
                touched += 1;
            }
        }
        touched
    }

    /// Ends all authorizations of the athlete; answers how many there were.
    pub(super) fn revoke(&mut self, athlete: u64) -> usize {
        let before = self.grants.len();
        self.grants.retain(|_, grant| grant.athlete != athlete);
        self.access.retain(|_, access| self.grants.contains_key(&access.grant));
        self.codes.retain(|_, code| code.athlete != athlete);
        before - self.grants.len()
    }

    /// Every token that was ever given out, as far as it is known still, and codes not used yet.
    pub(super) fn secrets(&self) -> Vec<String> {
        let known = self.codes.keys().chain(self.access.keys()).chain(self.refresh.keys());
        known.cloned().collect()
    }

    pub(super) fn tally(&self, athlete: u64) -> Tally {
        self.tallies.get(&athlete).copied().unwrap_or_default()
    }
}

fn pair(grant: &Grant, expires: DateTime<Utc>) -> TokenPair {
    TokenPair {
        athlete: grant.athlete,
        access_token: grant.access.clone(),
        refresh_token: grant.refresh.clone(),
        expires_at: expires.timestamp(),
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
    fn a_refresh_with_more_than_an_hour_left_changes_nothing() {
        let mut tokens = Tokens::new(1);
        let first = tokens.grant(5, "read", at(0));
        let same = tokens.refresh(&first.refresh_token, at(LIFETIME_S - KEEP_S - 1)).unwrap();
        assert_eq!(same.access_token, first.access_token);
        assert_eq!(same.refresh_token, first.refresh_token);
        assert_eq!(same.expires_at, first.expires_at);
        assert_eq!(tokens.tally(5), Tally { refreshes: 1, ..Tally::default() });
    }

    #[test]
    fn a_refresh_with_an_hour_or_less_left_rotates_and_kills_the_old_refresh_token() {
        let mut tokens = Tokens::new(1);
        let first = tokens.grant(5, "read", at(0));
        let late = at(LIFETIME_S - KEEP_S);
        let second = tokens.refresh(&first.refresh_token, late).unwrap();
        assert_ne!(second.access_token, first.access_token);
        assert_ne!(second.refresh_token, first.refresh_token);
        assert_eq!(second.expires_at, late.timestamp() + LIFETIME_S);
        assert!(tokens.refresh(&first.refresh_token, late).is_none());
        // The documentation lets the old access token live out its time.
        assert!(tokens.bearer(&first.access_token, late).is_some());
        assert!(tokens.bearer(&first.access_token, at(LIFETIME_S)).is_none());
        assert!(tokens.bearer(&second.access_token, at(LIFETIME_S)).is_some());
        let tally = tokens.tally(5);
        assert_eq!((tally.refreshes, tally.rotations, tally.refused_refreshes), (1, 1, 1));
    }

    #[test]
    fn a_code_works_once() {
        let mut tokens = Tokens::new(1);
        let code = tokens.authorize(5, "read,activity:read");
        assert_eq!(tokens.owner(&code), Some(5));
        assert_eq!(tokens.exchange(&code, at(0)).unwrap().scope, "read,activity:read");
        assert!(tokens.exchange(&code, at(0)).is_none());
    }

    #[test]
    fn revoking_ends_access_and_refresh_of_that_athlete_only() {
        let mut tokens = Tokens::new(1);
        let (mine, other) = (tokens.grant(5, "read", at(0)), tokens.grant(6, "read", at(0)));
        assert_eq!(tokens.revoke(5), 1);
        assert!(tokens.bearer(&mine.access_token, at(1)).is_none());
        assert!(tokens.refresh(&mine.refresh_token, at(1)).is_none());
        assert!(tokens.bearer(&other.access_token, at(1)).is_some());
    }

    #[test]
    fn an_expired_token_refreshes_into_a_new_pair() {
        let mut tokens = Tokens::new(1);
        let first = tokens.grant(5, "read", at(0));
        assert_eq!(tokens.expire(5, 0, at(10)), 1);
        assert!(tokens.bearer(&first.access_token, at(10)).is_none());
        let second = tokens.refresh(&first.refresh_token, at(11)).unwrap();
        assert_ne!(second.refresh_token, first.refresh_token);
    }
}
