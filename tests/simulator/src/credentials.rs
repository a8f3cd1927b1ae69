//! What a client proves itself with, at whichever provider: headers of `Authorization`, an
//! application's id and secret, a verifier that fits its challenge (PKCE).
//!
//! Must not know tokens, nor how a provider refuses.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::config::Application;

/// The token of `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    of_scheme(headers, "bearer")
}

/// Id and secret of `Authorization: Basic`.
pub(crate) fn basic(headers: &HeaderMap) -> Option<Application> {
    let decoded = BASE64_STANDARD.decode(of_scheme(headers, "basic")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (client_id, client_secret) = text.split_once(':')?;
    Some(Application { client_id: client_id.to_owned(), client_secret: client_secret.to_owned() })
}

fn of_scheme<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case(wanted).then_some(rest.trim())
}

/// Whether a verifier of PKCE is the one that an S256 challenge was made of.
pub(crate) fn verifies(verifier: &str, challenge: &str) -> bool {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == challenge
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn basic_credentials_are_split_at_the_first_colon() {
        let told = basic(&headers("Basic NTphOmI=")).unwrap();
        assert_eq!((told.client_id.as_str(), told.client_secret.as_str()), ("5", "a:b"));
        assert_eq!(basic(&headers("Basic NQ==")), None);
        assert_eq!(basic(&headers("Bearer NTphOmI=")), None);
        assert_eq!(bearer(&headers("bearer  abc")), Some("abc"));
    }

    #[test]
    fn a_verifier_fits_only_its_own_challenge() {
        // The example of RFC 7636, appendix B.
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(verifies("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", challenge));
        assert!(!verifies("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl", challenge));
    }
}
