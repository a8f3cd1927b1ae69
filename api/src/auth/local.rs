//! The local issuer: tokens that this machine makes for itself, for development and demonstrations.
//! Whoever has the secret is every user, so nothing in production may trust it.

use super::Role;
use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use secrecy::{ExposeSecret, SecretSlice};
use serde::Serialize;
use std::{fmt, str::FromStr, time::Duration};

/// The claim `iss` of local tokens.
pub const ISSUER: &str = "paceline-local";

/// The claim that has the role for the administration, unless the configuration names another.
pub const ROLE_CLAIM: &str = "paceline_role";

/// Length of the secret, in bytes.
pub const SECRET_LEN: usize = 32;

/// The secret that signs and checks local tokens. Written as base64.
#[derive(Clone)]
pub struct Secret(SecretSlice<u8>);

/// Why there is no secret or no token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is no secret.
    #[error("a local secret is base64 of {SECRET_LEN} bytes")]
    Secret,
    /// The operating system has no random numbers to give.
    #[error("the system gives no random numbers")]
    Random(#[source] getrandom::Error),
    /// The token could not be signed.
    #[error("the token could not be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

impl Secret {
    /// A secret from its bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; SECRET_LEN]) -> Self {
        Self(SecretSlice::from(bytes.to_vec()))
    }

    /// A fresh one.
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = [0; SECRET_LEN];
        getrandom::fill(&mut bytes).map_err(Error::Random)?;
        Ok(Self::from_bytes(bytes))
    }

    /// The text that [`FromStr`] reads, for a file that only its owner may read.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0.expose_secret())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

impl FromStr for Secret {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_not_base64| Error::Secret)?;
        bytes.try_into().map(Self::from_bytes).map_err(|_wrong_length| Error::Secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(rename = "paceline_role", skip_serializing_if = "Option::is_none")]
    staff: Option<Role>,
    iat: u64,
    nbf: u64,
    exp: u64,
}

/// A token for `subject` that ends after `ttl`. `role` is what a service role is told by.
pub fn issue(
    secret: &Secret,
    subject: &str,
    role: Option<&str>,
    ttl: Duration,
) -> Result<String, Error> {
    issue_for_staff(secret, subject, role, None, ttl)
}

/// The same, with a role for the administration in the claim [`ROLE_CLAIM`].
pub fn issue_for_staff(
    secret: &Secret,
    subject: &str,
    role: Option<&str>,
    staff: Option<Role>,
    ttl: Duration,
) -> Result<String, Error> {
    let now = get_current_timestamp();
    let claims = Claims {
        iss: ISSUER,
        sub: subject,
        role,
        staff,
        iat: now,
        nbf: now,
        exp: now.saturating_add(ttl.as_secs()),
    };
    let key = EncodingKey::from_secret(secret.bytes());
    encode(&Header::new(Algorithm::HS256), &claims, &key).map_err(Error::Sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_survives_its_text_and_does_not_show() {
        let secret = Secret::generate().unwrap();
        let again: Secret = format!("{}\n", secret.to_base64()).parse().unwrap();
        assert_eq!(again.bytes(), secret.bytes());
        assert!(!format!("{secret:?}").contains(&secret.to_base64()));
    }

    #[test]
    fn a_secret_of_another_length_is_refused() {
        assert!(STANDARD.encode([1; 31]).parse::<Secret>().is_err());
        assert!("not base64!".parse::<Secret>().is_err());
    }
}
