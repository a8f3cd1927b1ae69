//! Fitbit's authorization codes, access tokens and refresh tokens.
//!
//! Owns their lives: a code is good once and for ten minutes, an access token for eight hours, a
//! refresh token once. The identical request within two minutes of a refresh gets the same pair
//! again, as the documentation promises to clients whose answer was lost. Must not know HTTP.
//!
//! Each exchanged code is an authorization of its own: Fitbit does not document what a second one by
//! the same user does to the first, so here they live side by side until one is revoked.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::credentials::verifies;
use crate::dice::Dice;
use crate::tally::Tally;

/// Seconds that an access token lives.
pub(super) const LIFETIME_S: i64 = 28_800;
const CODE_S: i64 = 600;
/// How long a replaced refresh token still gets the answer that replaced it.
const GRACE_S: i64 = 120;
const SECRETS: u64 = 0x66_62_74;

#[derive(Debug)]
pub(super) struct Tokens {
    dice: Dice,
    codes: HashMap<String, Code>,
    /// By number of the authorization.
    grants: BTreeMap<u64, Grant>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    next_grant: u64,
    tallies: HashMap<String, Tally>,
}

/// A user's consent, as the page or a test gave it.
#[derive(Clone, Debug)]
pub(super) struct Consent {
    pub(super) user: String,
    /// Space-separated.
    pub(super) scope: String,
    /// S256 of the verifier that the code must come with.
    pub(super) challenge: Option<String>,
    /// Where the code was sent: to be told again, when it was told.
    pub(super) redirect: Option<String>,
}

#[derive(Debug)]
struct Code {
    consent: Consent,
    issued: DateTime<Utc>,
}

#[derive(Clone, Debug)]
struct Grant {
    user: String,
    scope: String,
    refresh: String,
}

#[derive(Clone, Copy, Debug)]
struct Access {
    grant: u64,
    issued: DateTime<Utc>,
    expires: DateTime<Utc>,
}

#[derive(Clone, Debug)]
struct Refresh {
    grant: u64,
    /// When it was used, and what for.
    used: Option<(DateTime<Utc>, FitbitTokens)>,
}

/// A pair as handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FitbitTokens {
    /// Whose.
    pub user_id: String,
    /// The bearer token.
    pub access_token: String,
    /// What the next pair is had with, once.
    pub refresh_token: String,
    /// Unix seconds.
    pub expires_at: i64,
    /// Accepted scopes, separated by spaces.
    pub scope: String,
}

/// Who a bearer token speaks for.
#[derive(Clone, Debug)]
pub(super) struct Bearer {
    pub(super) user: String,
    pub(super) scope: String,
    pub(super) issued: DateTime<Utc>,
    pub(super) expires: DateTime<Utc>,
}

impl Bearer {
    pub(super) fn may(&self, scope: &str) -> bool {
        self.scope.split(' ').any(|granted| granted == scope)
    }
}

/// What is wrong with a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CodeError {
    /// Unknown, used, or older than ten minutes.
    Dead,
    /// The verifier is missing, or is not the challenge's.
    Verifier,
    /// The address is not the one that the code was sent to.
    Redirect,
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

    fn hex(&mut self, words: usize) -> String {
        let words: Vec<String> = (0..words).map(|_| format!("{:016x}", self.dice.draw())).collect();
        words.concat()
    }

    /// A code that stands for a consent.
    pub(super) fn authorize(&mut self, consent: Consent, now: DateTime<Utc>) -> String {
        let code = self.hex(3);
        self.codes.insert(code.clone(), Code { consent, issued: now });
        code
    }

    /// A code that is refused is spent all the same, as RFC 6749 wants it.
    pub(super) fn exchange(
        &mut self,
        code: &str,
        verifier: Option<&str>,
        redirect: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<FitbitTokens, CodeError> {
        let Code { consent, issued } = self.codes.remove(code).ok_or(CodeError::Dead)?;
        if now - issued > TimeDelta::seconds(CODE_S) {
            return Err(CodeError::Dead);
        }
        if let Some(challenge) = &consent.challenge
            && !verifier.is_some_and(|verifier| verifies(verifier, challenge))
        {
            return Err(CodeError::Verifier);
        }
        if consent.redirect.is_some() && consent.redirect.as_deref() != redirect {
            return Err(CodeError::Redirect);
        }
        self.tallies.entry(consent.user.clone()).or_default().exchanges += 1;
        Ok(self.grant(&consent.user, &consent.scope, now))
    }

    /// A fresh authorization without the detour over a code.
    pub(super) fn grant(&mut self, user: &str, scope: &str, now: DateTime<Utc>) -> FitbitTokens {
        let number = self.next_grant;
        self.next_grant += 1;
        let grant =
            Grant { user: user.to_owned(), scope: scope.to_owned(), refresh: String::new() };
        self.install(number, grant, now)
    }

    /// `None`: not a refresh token, or used more than two minutes ago.
    pub(super) fn refresh(&mut self, token: &str, now: DateTime<Utc>) -> Option<FitbitTokens> {
        let known = self.refresh.get(token)?.clone();
        let grant = self.grants.get(&known.grant)?.clone();
        let tally = self.tallies.entry(grant.user.clone()).or_default();
        if let Some((used, pair)) = known.used {
            if now - used > TimeDelta::seconds(GRACE_S) {
                tally.refused_refreshes += 1;
                return None;
            }
            tally.refreshes += 1;
            return Some(pair);
        }
        tally.refreshes += 1;
        tally.rotations += 1;
        let pair = self.install(known.grant, grant, now);
        let used = Some((now, pair.clone()));
        self.refresh.insert(token.to_owned(), Refresh { grant: known.grant, used });
        Some(pair)
    }

    fn install(&mut self, number: u64, mut grant: Grant, now: DateTime<Utc>) -> FitbitTokens {
        let expires = now + TimeDelta::seconds(LIFETIME_S);
        // As long as the real ones, which are JSON web tokens.
        let access = format!("eyJhbGciOiJIUzI1NiJ9.{}.{}", self.hex(11), self.hex(3));
        grant.refresh = self.hex(4);
        self.access.insert(access.clone(), Access { grant: number, issued: now, expires });
        // Used refresh tokens stay known, to be counted when they are tried again.
        self.refresh.insert(grant.refresh.clone(), Refresh { grant: number, used: None });
        let pair = FitbitTokens {
            user_id: grant.user.clone(),
            access_token: access,
            refresh_token: grant.refresh.clone(),
            expires_at: expires.timestamp(),
            scope: grant.scope.clone(),
        };
        self.grants.insert(number, grant);
        pair
    }

    /// Who an access token speaks for, or spoke for until it expired.
    pub(super) fn bearer(&self, token: &str) -> Option<Bearer> {
        let Access { grant, issued, expires } = *self.access.get(token)?;
        let grant = self.grants.get(&grant)?;
        Some(Bearer { user: grant.user.clone(), scope: grant.scope.clone(), issued, expires })
    }

    /// Whose code or token this is, used or not: for the request log.
    pub(super) fn owner(&self, secret: &str) -> Option<String> {
        let code = self.codes.get(secret).map(|code| code.consent.user.clone());
        code.or_else(|| Some(self.grants.get(&self.number(secret)?)?.user.clone()))
    }

    fn number(&self, token: &str) -> Option<u64> {
        let access = self.access.get(token).map(|access| access.grant);
        access.or_else(|| self.refresh.get(token).map(|refresh| refresh.grant))
    }

    /// Ends the authorization that either token belongs to; false when there is none.
    pub(super) fn end(&mut self, token: &str) -> bool {
        self.number(token).is_some_and(|number| self.grants.remove(&number).is_some())
    }

    /// Makes all access tokens of the user end `seconds` from now (0: they are dead).
    pub(super) fn expire(&mut self, user: &str, seconds: i64, now: DateTime<Utc>) -> usize {
        let mut touched = 0;
        for access in self.access.values_mut() {
            if self.grants.get(&access.grant).is_some_and(|grant| grant.user == user) {
                access.expires = now + TimeDelta::seconds(seconds);
                touched += 1;
            }
        }
        touched
    }

    /// Ends all authorizations of the user; answers how many there were.
    pub(super) fn revoke(&mut self, user: &str) -> usize {
        let before = self.grants.len();
        self.grants.retain(|_, grant| grant.user != user);
        self.codes.retain(|_, code| code.consent.user != user);
        before - self.grants.len()
    }

    /// Every token that was ever given out, and codes not used yet.
    pub(super) fn secrets(&self) -> impl Iterator<Item = String> {
        self.codes.keys().chain(self.access.keys()).chain(self.refresh.keys()).cloned()
    }

    pub(super) fn tally(&self, user: &str) -> Tally {
        self.tallies.get(user).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn consent() -> Consent {
        Consent {
            user: "2ABCDE".to_owned(),
            scope: "weight".to_owned(),
            challenge: None,
            redirect: None,
        }
    }

    #[test]
    fn a_code_is_good_once_and_for_ten_minutes() {
        let mut tokens = Tokens::new(1);
        let code = tokens.authorize(consent(), at(0));
        assert!(tokens.exchange(&code, None, None, at(CODE_S)).is_ok());
        assert_eq!(tokens.exchange(&code, None, None, at(1)), Err(CodeError::Dead));
        let code = tokens.authorize(consent(), at(0));
        assert_eq!(tokens.exchange(&code, None, None, at(CODE_S + 1)), Err(CodeError::Dead));
    }

    #[test]
    fn a_challenge_needs_its_verifier_and_a_told_address_the_same_address() {
        let mut tokens = Tokens::new(1);
        let challenge = Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned());
        let asked = Consent { challenge, redirect: Some("http://a/b".to_owned()), ..consent() };
        let mut attempt = |verifier: Option<&str>, redirect| {
            let code = tokens.authorize(asked.clone(), at(0));
            tokens.exchange(&code, verifier, redirect, at(1)).map(|pair| pair.scope)
        };
        let right = Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        let there = Some("http://a/b");
        assert_eq!(attempt(None, there), Err(CodeError::Verifier));
        assert_eq!(attempt(Some("guess"), there), Err(CodeError::Verifier));
        assert_eq!(attempt(right, Some("http://a/c")), Err(CodeError::Redirect));
        assert_eq!(attempt(right, there).as_deref(), Ok("weight"));
    }

    #[test]
    fn a_refresh_token_is_good_once_and_its_repeat_within_two_minutes_gets_the_same_answer() {
        let mut tokens = Tokens::new(1);
        let first = tokens.grant("2ABCDE", "weight", at(0));
        let second = tokens.refresh(&first.refresh_token, at(10)).unwrap();
        assert_ne!(second.access_token, first.access_token);
        assert_eq!(tokens.refresh(&first.refresh_token, at(10 + GRACE_S)), Some(second.clone()));
        assert_eq!(tokens.refresh(&first.refresh_token, at(11 + GRACE_S)), None);
        assert!(tokens.refresh(&second.refresh_token, at(11 + GRACE_S)).is_some());
        let tally = tokens.tally("2ABCDE");
        assert_eq!((tally.refreshes, tally.rotations, tally.refused_refreshes), (3, 2, 1));
    }

    #[test]
    fn either_token_ends_its_authorization() {
        let mut tokens = Tokens::new(1);
        let (mine, other) =
            (tokens.grant("2ABCDE", "weight", at(0)), tokens.grant("2ABCDF", "sleep", at(0)));
        assert!(tokens.end(&mine.refresh_token) && !tokens.end(&mine.access_token));
        assert!(tokens.bearer(&mine.access_token).is_none());
        assert!(tokens.refresh(&mine.refresh_token, at(1)).is_none());
        assert!(tokens.bearer(&other.access_token).is_some());
        assert_eq!(tokens.revoke("2ABCDF"), 1);
        assert!(tokens.bearer(&other.access_token).is_none());
    }
}
