//! Garmin's authorization codes, access tokens and refresh tokens.
//!
//! Owns the rotation: each refresh gives a new pair, the old refresh token being dead at once while
//! the old access token lives out its day; a refresh token lives 90 days. Codes work once, and only
//! with the verifier whose hash came with the question for consent. Must not know HTTP.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::credentials::verifies;
use crate::dice::Dice;
use crate::tally::Tally;

pub(super) const ACCESS_S: i64 = 86_400;
pub(super) const REFRESH_S: i64 = 7_775_998;
/// Not documented; what the protocol recommends.
const CODE_S: i64 = 600;
pub(super) const SCOPE: &str = "PARTNER_READ CONNECT_READ";
const SECRETS: u64 = 0x67_74;

#[derive(Debug)]
pub(super) struct Tokens {
    dice: Dice,
    codes: HashMap<String, Code>,
    /// By number of the authorization.
    grants: BTreeMap<u64, Grant>,
    access: HashMap<String, Access>,
    /// Replaced ones stay known, to be counted when they are tried again.
    refresh: HashMap<String, u64>,
    next_grant: u64,
    tallies: HashMap<String, Tally>,
}

/// What a code was given out for.
#[derive(Clone, Debug)]
pub(super) struct Consent {
    pub(super) user: String,
    /// SHA-256 of the verifier; `None` for a code that no page gave out.
    pub(super) challenge: Option<String>,
    /// Must come again with the code, when there was one.
    pub(super) redirect_uri: Option<String>,
}

#[derive(Debug)]
struct Code {
    consent: Consent,
    expires: DateTime<Utc>,
}

#[derive(Debug)]
struct Grant {
    user: String,
    refresh: String,
    refresh_expires: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug)]
struct Access {
    grant: u64,
    expires: DateTime<Utc>,
}

/// A pair as handed out.
#[derive(Clone, Debug, Serialize)]
pub struct GarminTokens {
    /// Whose, by Garmin's id.
    pub user: String,
    /// The bearer token.
    pub access_token: String,
    /// What the next pair is had with.
    pub refresh_token: String,
    /// Unix seconds.
    pub expires_at: i64,
    /// Unix seconds.
    pub refresh_expires_at: i64,
    /// Always the same: what a user granted is told by `/user/permissions`.
    pub scope: &'static str,
    /// Number of the access token.
    pub jti: String,
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

    /// Three parts, as the real ones have.
    fn secret(&mut self) -> String {
        let dice = &mut self.dice;
        format!(
            "eyJhbGciOiJSUzI1NiJ9.{:016x}{:016x}.{:016x}",
            dice.draw(),
            dice.draw(),
            dice.draw()
        )
    }

    pub(super) fn authorize(&mut self, consent: Consent, now: DateTime<Utc>) -> String {
        let code = format!("{:016x}{:016x}", self.dice.draw(), self.dice.draw());
        let expires = now + TimeDelta::seconds(CODE_S);
        self.codes.insert(code.clone(), Code { consent, expires });
        code
    }

    /// Any try spends the code. `Err` says what was wrong with it.
    pub(super) fn exchange(
        &mut self,
        code: &str,
        verifier: &str,
        redirect_uri: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<GarminTokens, &'static str> {
        let code = self.codes.remove(code).filter(|code| code.expires > now);
        let Consent { user, challenge, redirect_uri: expected } =
            code.ok_or("Invalid authorization code")?.consent;
        if challenge.is_some_and(|challenge| !verifies(verifier, &challenge)) {
            return Err("Invalid code verifier");
        }
        if expected.is_some() && expected.as_deref() != redirect_uri {
            return Err("Redirect URI mismatch");
        }
        self.tallies.entry(user.clone()).or_default().exchanges += 1;
        Ok(self.grant(&user, now))
    }

    /// A fresh authorization without the detour over a code.
    pub(super) fn grant(&mut self, user: &str, now: DateTime<Utc>) -> GarminTokens {
        let number = self.next_grant;
        self.next_grant += 1;
        self.install(number, user.to_owned(), now)
    }

    /// `None`: not a refresh token, or no longer one.
    pub(super) fn refresh(&mut self, token: &str, now: DateTime<Utc>) -> Option<GarminTokens> {
        let number = *self.refresh.get(token)?;
        let grant = self.grants.get(&number)?;
        let user = grant.user.clone();
        let good = grant.refresh == token && grant.refresh_expires > now;
        let tally = self.tallies.entry(user.clone()).or_default();
        if !good {
            tally.refused_refreshes += 1;
            return None;
        }
        tally.refreshes += 1;
        tally.rotations += 1;
        Some(self.install(number, user, now))
    }

    fn install(&mut self, number: u64, user: String, now: DateTime<Utc>) -> GarminTokens {
        let (access_token, refresh_token) = (self.secret(), self.secret());
        let jti = self.dice.draw();
        let expires = now + TimeDelta::seconds(ACCESS_S);
        let refresh_expires = now + TimeDelta::seconds(REFRESH_S);
        self.access.retain(|_, old| old.expires > now);
        self.access.insert(access_token.clone(), Access { grant: number, expires });
        self.refresh.insert(refresh_token.clone(), number);
        let refresh = refresh_token.clone();
        self.grants.insert(number, Grant { user: user.clone(), refresh, refresh_expires });
        GarminTokens {
            user,
            access_token,
            refresh_token,
            expires_at: expires.timestamp(),
            refresh_expires_at: refresh_expires.timestamp(),
            scope: SCOPE,
            jti: format!("{:08x}-0000-4000-8000-{:012x}", jti >> 32, jti & 0xffff_ffff),
        }
    }

    /// Whom an access token speaks for, while it lives.
    pub(super) fn bearer(&self, token: &str, now: DateTime<Utc>) -> Option<String> {
        let access = self.access.get(token).filter(|access| access.expires > now)?;
        self.grants.get(&access.grant).map(|grant| grant.user.clone())
    }

    /// Whose code or refresh token this is, used or not: for the request log.
    pub(super) fn owner(&self, secret: &str) -> Option<String> {
        let code = self.codes.get(secret).map(|code| code.consent.user.clone());
        code.or_else(|| Some(self.grants.get(self.refresh.get(secret)?)?.user.clone()))
    }

    /// Makes all access tokens of the user end `seconds` from now, and with `refresh` the refresh
    /// tokens too. Answers how many access tokens that were.
    pub(super) fn expire(
        &mut self,
        user: &str,
        seconds: i64,
        refresh: bool,
        now: DateTime<Utc>,
    ) -> usize {
        let end = now + TimeDelta::seconds(seconds);
        let mut touched = 0;
        for access in self.access.values_mut() {
            if self.grants.get(&access.grant).is_some_and(|grant| grant.user == user) {
                access.expires = end;
                touched += 1;
            }
        }
        if refresh {
            for grant in self.grants.values_mut().filter(|grant| grant.user == user) {
                grant.refresh_expires = end;
            }
        }
        touched
    }

    /// Ends all authorizations of the user; answers how many there were.
    pub(super) fn revoke(&mut self, user: &str) -> usize {
        let before = self.grants.len();
        self.grants.retain(|_, grant| grant.user != user);
        self.access.retain(|_, access| self.grants.contains_key(&access.grant));
        self.codes.retain(|_, code| code.consent.user != user);
        before - self.grants.len()
    }

    /// Every token that was ever given out, as far as it is known still, and codes not used yet.
    pub(super) fn secrets(&self) -> Vec<String> {
        let known = self.codes.keys().chain(self.access.keys()).chain(self.refresh.keys());
        known.cloned().collect()
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

    /// The example of RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn consent(challenge: Option<&str>) -> Consent {
        let challenge = challenge.map(str::to_owned);
        Consent { user: "u".to_owned(), challenge, redirect_uri: None }
    }

    #[test]
    fn a_code_needs_its_verifier_and_works_once_for_ten_minutes() {
        let mut tokens = Tokens::new(1);
        let code = tokens.authorize(consent(Some(CHALLENGE)), at(0));
        assert_eq!(tokens.owner(&code).as_deref(), Some("u"));
        assert!(tokens.exchange(&code, "wrong", None, at(0)).is_err());
        assert!(tokens.exchange(&code, VERIFIER, None, at(0)).is_err(), "the first try spent it");
        let code = tokens.authorize(consent(Some(CHALLENGE)), at(0));
        assert!(tokens.exchange(&code, VERIFIER, None, at(CODE_S)).is_err());
        let code = tokens.authorize(consent(Some(CHALLENGE)), at(0));
        assert!(tokens.exchange(&code, VERIFIER, None, at(CODE_S - 1)).is_ok());
    }

    #[test]
    fn every_refresh_rotates_and_kills_the_old_refresh_token_but_not_the_old_access_token() {
        let mut tokens = Tokens::new(1);
        let first = tokens.grant("u", at(0));
        let second = tokens.refresh(&first.refresh_token, at(10)).unwrap();
        assert_ne!(second.refresh_token, first.refresh_token);
        assert!(tokens.refresh(&first.refresh_token, at(10)).is_none());
        assert!(tokens.bearer(&first.access_token, at(ACCESS_S - 1)).is_some());
        assert!(tokens.bearer(&first.access_token, at(ACCESS_S)).is_none());
        assert!(tokens.bearer(&second.access_token, at(ACCESS_S)).is_some());
        let tally = Tally { exchanges: 0, refreshes: 1, rotations: 1, refused_refreshes: 1 };
        assert_eq!(tokens.tally("u"), tally);
    }

    #[test]
    fn a_refresh_token_lives_ninety_days_from_its_own_beginning() {
        let mut tokens = Tokens::new(1);
        let first = tokens.grant("u", at(0));
        let second = tokens.refresh(&first.refresh_token, at(REFRESH_S - 1)).unwrap();
        assert!(tokens.refresh(&second.refresh_token, at(2 * REFRESH_S - 1)).is_none());
    }

    #[test]
    fn revoking_ends_everything_of_that_user_only() {
        let mut tokens = Tokens::new(1);
        let (mine, other) = (tokens.grant("u", at(0)), tokens.grant("v", at(0)));
        assert_eq!(tokens.revoke("u"), 1);
        assert!(tokens.bearer(&mine.access_token, at(1)).is_none());
        assert!(tokens.refresh(&mine.refresh_token, at(1)).is_none());
        assert!(tokens.bearer(&other.access_token, at(1)).is_some());
    }
}
