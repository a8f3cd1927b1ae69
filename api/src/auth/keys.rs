//! The published keys of one issuer: fetched when they are needed, kept for an hour, and for a day
//! when the issuer cannot be reached. Callers who invent key ids cause no more than one call in five
//! minutes.

use super::verifier::Refusal;
use crate::config;
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock, RwLockReadGuard},
    time::{Duration, Instant},
};
use url::Url;

/// After this the keys are asked for again.
const FRESH: Duration = Duration::from_hours(1);
/// So long keys count while the issuer cannot be reached.
const STALE: Duration = Duration::from_hours(24);
/// Between two calls that nothing but an unknown key id asked for.
const UNKNOWN_KEY_PAUSE: Duration = Duration::from_mins(5);
/// Between a call that failed and the next.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);
/// The same, while older keys still count.
const STALE_PAUSE: Duration = Duration::from_secs(30);
/// For a call, from start to end.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// The largest key set that is read, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

/// A public key and the one algorithm that it is for.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) decoding: DecodingKey,
    pub(super) algorithm: Algorithm,
}

/// What was fetched and when.
#[derive(Default)]
struct State {
    keys: HashMap<String, Key>,
    fetched: Option<Instant>,
    failed: Option<Instant>,
    asked_for_unknown: Option<Instant>,
}

/// What to do for a key id.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// The key is there and counts.
    Use,
    /// There is no such key, and asking again would be too soon.
    Unknown,
    /// Ask the issuer.
    Fetch,
    /// Neither keys that count nor leave to ask.
    Unavailable,
}

impl State {
    /// `since`: when the caller first asked; what was fetched later has answered him.
    fn step(&self, kid: &str, since: Instant, now: Instant) -> Step {
        let within = |at: Option<Instant>, span| at.is_some_and(|at| now.duration_since(at) < span);
        let known = self.keys.contains_key(kid);
        let fresh = within(self.fetched, FRESH);
        let stale = within(self.fetched, STALE);
        let failing = within(self.failed, if stale { STALE_PAUSE } else { FAILURE_PAUSE });
        if fresh && !known {
            let answered = self.fetched.is_some_and(|at| at > since);
            let too_soon = within(self.asked_for_unknown, UNKNOWN_KEY_PAUSE);
            return match (answered, too_soon, self.failed) {
                (true, _, _) | (false, true, None) => Step::Unknown,
                // The issuer may have a new key: nobody can say that this one is none of his.
                (false, true, Some(_)) => Step::Unavailable,
                (false, false, _) => Step::Fetch,
            };
        }
        match known && (fresh || (stale && failing)) {
            true => Step::Use,
            false if failing => Step::Unavailable,
            false => Step::Fetch,
        }
    }

    /// The key, if it may stand in while the issuer is being asked.
    fn stand_in(&self, kid: &str, now: Instant) -> Option<Key> {
        self.fetched.filter(|at| now.duration_since(*at) < STALE)?;
        self.keys.get(kid).cloned()
    }
}

/// The key set of one issuer.
pub(super) struct KeyCache {
    url: Url,
    client: reqwest::Client,
    state: RwLock<State>,
    /// Held over a call, so that there is one at a time.
    flight: tokio::sync::Mutex<()>,
}

impl KeyCache {
    pub(super) fn new(url: Url) -> Result<Self, reqwest::Error> {
        if url.scheme() != "https" {
            tracing::warn!(%url, "signing keys travel unprotected: whoever can change them on the way is every user");
        }
        let client = reqwest::Client::builder()
            .timeout(CALL_LIMIT)
            .redirect(reqwest::redirect::Policy::limited(3))
            .user_agent(concat!("paceline/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { url, client, state: RwLock::default(), flight: tokio::sync::Mutex::default() })
    }

    /// The key with this id.
    pub(super) async fn find(&self, kid: &str) -> Result<Key, Refusal> {
        self.find_at(kid, Instant::now).await
    }

    async fn find_at(&self, kid: &str, now: impl Fn() -> Instant) -> Result<Key, Refusal> {
        let since = now();
        if let Some(found) = self.settled(kid, since, since) {
            return found;
        }
        let first = self.flight.try_lock();
        if first.is_err()
            && let Some(key) = self.read().stand_in(kid, since)
        {
            return Ok(key);
        }
        let _one_at_a_time = match first {
            Ok(first) => first,
            Err(_under_way) => self.flight.lock().await,
        };
        // Somebody else may have asked meanwhile.
        if let Some(found) = self.settled(kid, since, now()) {
            return found;
        }
        let fetched = self.fetch().await;
        let after = now();
        self.note(fetched, after);
        self.settled(kid, since, after).unwrap_or(Err(Refusal::KeysUnavailable))
    }

    /// The answer, unless the issuer has to be asked first.
    fn settled(&self, kid: &str, since: Instant, now: Instant) -> Option<Result<Key, Refusal>> {
        let state = self.read();
        match state.step(kid, since, now) {
            Step::Use => Some(state.keys.get(kid).cloned().ok_or(Refusal::UnknownKey)),
            Step::Unknown => Some(Err(Refusal::UnknownKey)),
            Step::Unavailable => Some(Err(Refusal::KeysUnavailable)),
            Step::Fetch => None,
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, fetched: Result<HashMap<String, Key>, FetchError>, now: Instant) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        // While the keys are fresh, only an unknown key id can be the reason of a call.
        if state.fetched.is_some_and(|at| now.duration_since(at) < FRESH) {
            state.asked_for_unknown = Some(now);
        }
        match fetched {
            Ok(keys) => {
                state.keys = keys;
                state.fetched = Some(now);
                state.failed = None;
            }
            Err(error) => {
                tracing::warn!(url = %self.url, error = %Chain(&error), "the issuer's keys could not be fetched");
                state.failed = Some(now);
            }
        }
    }

    async fn fetch(&self) -> Result<HashMap<String, Key>, FetchError> {
        let mut response = self.client.get(self.url.clone()).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > BODY_LIMIT {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let keys = parse(&body)?;
        tracing::info!(url = %self.url, keys = keys.len(), "the issuer's keys were fetched");
        Ok(keys)
    }
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("no answer")]
    Http(#[from] reqwest::Error),
    #[error("the answer is no key set")]
    Shape(#[from] serde_json::Error),
    #[error("the answer is too large")]
    TooLarge,
}

/// An error with its causes, in one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// The usable keys of a set. Those of other kinds, or for other ends, are passed by.
fn parse(body: &[u8]) -> Result<HashMap<String, Key>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_slice(body)?;
    Ok(set
        .keys
        .into_iter()
        .filter_map(|key| serde_json::from_value::<Jwk>(key).ok())
        .filter_map(|jwk| Some((jwk.common.key_id.clone()?, usable(&jwk)?)))
        .collect())
}

fn usable(jwk: &Jwk) -> Option<Key> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            Algorithm::ES256
        }
        AlgorithmParameters::OctetKeyPair(ed) if ed.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDSA
        }
        _ => return None,
    };
    let named = jwk.common.key_algorithm;
    let for_signatures =
        jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    if named.is_some_and(|named| named != KeyAlgorithm::from(algorithm)) || !for_signatures {
        return None;
    }
    Some(Key { decoding: DecodingKey::from_jwk(jwk).ok()?, algorithm })
}

/// The library's name for an algorithm.
pub(super) const fn algorithm(configured: config::Algorithm) -> Algorithm {
    match configured {
        config::Algorithm::Rs256 => Algorithm::RS256,
        config::Algorithm::Es256 => Algorithm::ES256,
        config::Algorithm::EdDsa => Algorithm::EdDSA,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MINUTE: Duration = Duration::from_mins(1);

    /// Times of a state in minutes before now.
    fn step(known: bool, fetched: Option<u32>, failed: Option<u32>, asked: Option<u32>) -> Step {
        let now = Instant::now() + MINUTE * 3_000;
        let ago =
            |minutes: Option<u32>| minutes.and_then(|minutes| now.checked_sub(MINUTE * minutes));
        let mut keys = HashMap::new();
        if known {
            let decoding = DecodingKey::from_ed_der(&[]);
            keys.insert("kid".to_owned(), Key { decoding, algorithm: Algorithm::EdDSA });
        }
        let state = State {
            keys,
            fetched: ago(fetched),
            failed: ago(failed),
            asked_for_unknown: ago(asked),
        };
        state.step("kid", now, now)
    }

    #[test]
    fn keys_count_for_an_hour_and_for_a_day_while_the_issuer_is_away() {
        assert_eq!(step(true, None, None, None), Step::Fetch);
        assert_eq!(step(true, Some(59), None, None), Step::Use);
        assert_eq!(step(true, Some(61), None, None), Step::Fetch);
        assert_eq!(step(true, Some(61), Some(0), None), Step::Use);
        assert_eq!(
            step(true, Some(61), Some(1), None),
            Step::Fetch,
            "the pause after a failure is over"
        );
        assert_eq!(step(true, Some(23 * 60), Some(0), None), Step::Use);
        assert_eq!(step(true, Some(24 * 60 + 1), Some(0), None), Step::Unavailable);
    }

    #[test]
    fn an_unknown_key_is_asked_for_once_in_five_minutes() {
        assert_eq!(step(false, Some(10), None, None), Step::Fetch);
        assert_eq!(step(false, Some(4), None, Some(4)), Step::Unknown);
        assert_eq!(step(false, Some(6), None, Some(6)), Step::Fetch);
        assert_eq!(step(false, Some(10), Some(4), Some(4)), Step::Unavailable, "nobody could tell");
        assert_eq!(step(false, Some(10), Some(6), Some(6)), Step::Fetch);
        assert_eq!(step(false, None, Some(0), None), Step::Unavailable);
    }

    #[test]
    fn only_keys_for_signatures_of_the_three_kinds_are_taken() {
        let (n, x, y) = (
            "AQAB",
            "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        );
        let set = json!({"keys": [
            {"kid": "rsa", "kty": "RSA", "n": n, "e": "AQAB"},
            {"kid": "rsa-sig", "kty": "RSA", "alg": "RS256", "use": "sig", "n": n, "e": "AQAB"},
            {"kid": "rsa-enc", "kty": "RSA", "use": "enc", "n": n, "e": "AQAB"},
            {"kid": "rsa-512", "kty": "RSA", "alg": "RS512", "n": n, "e": "AQAB"},
            {"kid": "rsa-oaep", "kty": "RSA", "alg": "RSA-OAEP", "n": n, "e": "AQAB"},
            {"kid": "p256", "kty": "EC", "crv": "P-256", "x": x, "y": y},
            {"kid": "p384", "kty": "EC", "crv": "P-384", "x": x, "y": y},
            {"kid": "k1", "kty": "EC", "crv": "secp256k1", "x": x, "y": y},
            {"kid": "ed", "kty": "OKP", "crv": "Ed25519", "x": x},
            {"kid": "secret", "kty": "oct", "alg": "HS256", "k": x},
            {"kty": "RSA", "n": n, "e": "AQAB"},
            {"kid": "odd", "kty": "XYZ"},
            "nonsense"
        ]});
        let keys = parse(set.to_string().as_bytes()).unwrap();
        let mut found: Vec<_> =
            keys.iter().map(|(kid, key)| (kid.as_str(), key.algorithm)).collect();
        found.sort_unstable_by_key(|(kid, _)| *kid);
        assert_eq!(
            found,
            [
                ("ed", Algorithm::EdDSA),
                ("p256", Algorithm::ES256),
                ("rsa", Algorithm::RS256),
                ("rsa-sig", Algorithm::RS256)
            ]
        );
        assert!(parse(b"<html>").is_err());
    }
}
