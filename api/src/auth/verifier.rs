//! Checks a token under the profile of the issuer that it names: algorithm, signature, times,
//! audience, subject. It knows no HTTP and no user.

use super::{
    Role,
    keys::{self, KeyCache},
    local, role,
};
use crate::{
    config::{Issuer, KeySet},
    server::Error,
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, errors::ErrorKind};
use serde::Deserialize;
use serde_json::{Map, Value};

/// By how much clocks may differ, in seconds.
const LEEWAY_S: u64 = 5;
/// The longest subject (the limit that the standard for `sub` sets), in bytes.
const SUBJECT_LIMIT: usize = 255;
/// The longest token that is looked at, in bytes.
const TOKEN_LIMIT: usize = 16 * 1024;

/// Whom a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) subject: String,
    pub(crate) role: Option<String>,
    /// What he may do as one of the staff.
    pub(crate) staff: Option<Role>,
}

/// Why a token does not count. The text is for the caller and gives nothing away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the token is malformed")]
    Malformed,
    #[error("the token's issuer is not trusted here")]
    Issuer,
    #[error("the token's algorithm is not accepted from its issuer")]
    Algorithm,
    #[error("the token's key is not known")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token is meant for another audience")]
    Audience,
    #[error("the token lacks a usable subject")]
    Subject,
    #[error("the token belongs to no finished session")]
    Session,
    #[error("the token was given to a party that is not accepted")]
    Party,
    /// The only one that is no fault of the token.
    #[error("the issuer's keys cannot be fetched")]
    KeysUnavailable,
}

/// The claims that matter. `exp`, `nbf` and `aud` are checked in their own right.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    #[serde(default)]
    sub: String,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    azp: Option<String>,
    #[serde(default)]
    sid: Option<String>,
    #[serde(default)]
    sts: Option<String>,
}

/// Only to choose the profile; nothing is believed of it.
#[derive(Deserialize)]
struct Named {
    iss: String,
}

enum Profile {
    KeySet { set: KeySet, keys: Box<KeyCache> },
    Local(DecodingKey),
}

impl Profile {
    fn issuer(&self) -> &str {
        match self {
            Self::KeySet { set, .. } => &set.issuer,
            Self::Local(_) => local::ISSUER,
        }
    }
}

/// The profiles of all issuers.
pub(crate) struct Verifier {
    profiles: Vec<Profile>,
    role_claim: String,
}

impl Verifier {
    /// Refuses a list that nobody could mean: none at all, one twice, a key set without algorithm,
    /// or the local issuer where it is not allowed.
    pub(crate) fn new(issuers: Vec<Issuer>, allow_local: bool) -> Result<Self, Error> {
        let mut profiles: Vec<Profile> = Vec::with_capacity(issuers.len());
        for issuer in issuers {
            let profile = match issuer {
                Issuer::Local(_) if !allow_local => return Err(Error::LocalIssuerRefused),
                Issuer::Local(secret) => Profile::Local(DecodingKey::from_secret(secret.bytes())),
                Issuer::KeySet(set) if set.algorithms.is_empty() => {
                    return Err(Error::NoAlgorithm(set.issuer));
                }
                Issuer::KeySet(set) => {
                    let keys = KeyCache::new(set.jwks_url.clone()).map_err(Error::KeyClient)?;
                    Profile::KeySet { set, keys: Box::new(keys) }
                }
            };
            if profiles.iter().any(|known| known.issuer() == profile.issuer()) {
                return Err(Error::IssuerTwice(profile.issuer().to_owned()));
            }
            profiles.push(profile);
        }
        if profiles.is_empty() {
            return Err(Error::NoIssuer);
        }
        Ok(Self { profiles, role_claim: local::ROLE_CLAIM.to_owned() })
    }

    /// Looks for the role of staff under this claim.
    pub(crate) fn with_role_claim(self, claim: impl Into<String>) -> Self {
        Self { role_claim: claim.into(), ..self }
    }

    /// Whom the token speaks for.
    pub(crate) async fn verify(&self, token: &str) -> Result<Verified, Refusal> {
        if token.len() > TOKEN_LIMIT {
            return Err(Refusal::Malformed);
        }
        let header = decode_header(token).map_err(|_broken| Refusal::Malformed)?;
        if header.crit.is_some() {
            // An extension that must be understood, and none is.
            return Err(Refusal::Malformed);
        }
        let named: Named = jsonwebtoken::dangerous::insecure_decode_claims(token)
            .map_err(|_broken| Refusal::Malformed)?;
        let profile =
            self.profiles.iter().find(|p| p.issuer() == named.iss).ok_or(Refusal::Issuer)?;
        match profile {
            Profile::Local(key) => {
                let (claims, staff) =
                    self.checked(token, key, Algorithm::HS256, local::ISSUER, None)?;
                subject(claims, staff)
            }
            Profile::KeySet { set, keys } => {
                if !set.algorithms.iter().any(|&known| keys::algorithm(known) == header.alg) {
                    return Err(Refusal::Algorithm);
                }
                let kid = header.kid.as_deref().ok_or(Refusal::UnknownKey)?;
                let key = keys.find(kid).await?;
                // A key is for one algorithm: what the header says must not choose for it.
                if key.algorithm != header.alg {
                    return Err(Refusal::Algorithm);
                }
                let audience = set.audience.as_deref();
                let (claims, staff) =
                    self.checked(token, &key.decoding, key.algorithm, &set.issuer, audience)?;
                if set.require_session
                    && (claims.sid.as_deref().is_none_or(str::is_empty)
                        || claims.sts.as_deref() == Some("pending"))
                {
                    return Err(Refusal::Session);
                }
                let accepted = |party: &String| set.authorized_parties.contains(party);
                if !set.authorized_parties.is_empty()
                    && claims.azp.as_ref().is_some_and(|party| !accepted(party))
                {
                    return Err(Refusal::Party);
                }
                subject(claims, staff)
            }
        }
    }

    /// The claims, once signature, times, issuer and audience are right.
    fn checked(
        &self,
        token: &str,
        key: &DecodingKey,
        algorithm: Algorithm,
        issuer: &str,
        audience: Option<&str>,
    ) -> Result<(Claims, Option<Role>), Refusal> {
        let all = decoded(token, key, algorithm, issuer, audience)?;
        let staff = role::claimed(&all, &self.role_claim);
        let claims =
            Claims::deserialize(Value::Object(all)).map_err(|_broken| Refusal::Malformed)?;
        if claims.iss == issuer { Ok((claims, staff)) } else { Err(Refusal::Issuer) }
    }
}

/// Signature, times, issuer, audience.
fn decoded(
    token: &str,
    key: &DecodingKey,
    algorithm: Algorithm,
    issuer: &str,
    audience: Option<&str>,
) -> Result<Map<String, Value>, Refusal> {
    let mut rules = Validation::new(algorithm);
    rules.leeway = LEEWAY_S;
    rules.validate_nbf = true;
    rules.set_issuer(&[issuer]);
    rules.required_spec_claims.insert("iss".to_owned());
    match audience {
        Some(audience) => {
            rules.set_audience(&[audience]);
            rules.required_spec_claims.insert("aud".to_owned());
        }
        None => rules.validate_aud = false,
    }
    let decoded =
        decode::<Map<String, Value>>(token, key, &rules).map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => Refusal::Signature,
            ErrorKind::InvalidAlgorithm => Refusal::Algorithm,
            ErrorKind::ExpiredSignature => Refusal::Expired,
            ErrorKind::ImmatureSignature => Refusal::NotYetValid,
            ErrorKind::InvalidIssuer => Refusal::Issuer,
            ErrorKind::InvalidAudience => Refusal::Audience,
            ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => Refusal::Audience,
            _ => Refusal::Malformed,
        })?;
    Ok(decoded.claims)
}

fn subject(claims: Claims, staff: Option<Role>) -> Result<Verified, Refusal> {
    let Claims { sub, role, .. } = claims;
    if is_subject(&sub) {
        Ok(Verified { subject: sub, role, staff })
    } else {
        Err(Refusal::Subject)
    }
}

/// Whether a text can name a user: not empty, not too long, nothing that a table cannot hold.
pub(super) fn is_subject(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= SUBJECT_LIMIT && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests;
