//! What is made anew for each way to a provider: the state, and the verifier with its challenge (RFC 7636).

use crate::problem::{Kind, Problem};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

/// Of a state's and a verifier's randomness, in bytes.
const RANDOM: usize = 32;
/// A state's text, in bytes.
const STATE_LEN: usize = 43;

/// What goes along with a user, and what stays.
#[derive(Debug)]
pub(crate) struct Handshake {
    /// Comes back with the user.
    pub(crate) state: SecretString,
    /// Stays, sealed, until the code is exchanged; only where the provider wants a challenge.
    pub(crate) verifier: Option<SecretString>,
}

impl Handshake {
    pub(crate) fn new(pkce: bool) -> Result<Self, Problem> {
        Ok(Self { state: random()?, verifier: pkce.then(random).transpose()? })
    }

    /// The verifier's challenge, S256.
    pub(crate) fn challenge(&self) -> Option<String> {
        let verifier = self.verifier.as_ref()?.expose_secret();
        Some(URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)))
    }

    /// A state as it came back, if it can be one of ours at all.
    pub(crate) fn state_of(text: &str) -> Option<SecretString> {
        let ours = text.len() == STATE_LEN
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        ours.then(|| text.into())
    }
}

fn random() -> Result<SecretString, Problem> {
    let mut bytes = [0; RANDOM];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system gives no random numbers");
        Problem::new(Kind::Internal)
    })?;
    Ok(URL_SAFE_NO_PAD.encode(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_verifier_is_new_and_passes_for_one() {
        let (one, other) = (Handshake::new(true).unwrap(), Handshake::new(true).unwrap());
        let texts = [&one, &other].map(|h| {
            (
                h.state.expose_secret().to_owned(),
                h.verifier.as_ref().unwrap().expose_secret().to_owned(),
            )
        });
        assert_ne!(texts[0].0, texts[1].0);
        assert_ne!(texts[0].1, texts[1].1);
        assert_ne!(texts[0].0, texts[0].1);
        assert!(Handshake::state_of(&texts[0].0).is_some());
        // RFC 7636 wants 43 to 128 of these.
        assert_eq!(texts[0].1.len(), 43);
        assert!(Handshake::new(false).unwrap().challenge().is_none());
    }

    #[test]
    fn the_challenge_is_the_one_of_the_rfc() {
        let verifier = Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into());
        let handshake = Handshake { state: "x".into(), verifier };
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert_eq!(handshake.challenge().unwrap(), challenge);
    }

    #[test]
    fn what_cannot_be_a_state_is_none() {
        for text in ["", "x", &"x".repeat(42), &"x".repeat(44), &"ä".repeat(21), &"+".repeat(43)] {
            assert!(Handshake::state_of(text).is_none(), "{text}");
        }
    }

    #[test]
    fn nothing_of_it_shows_in_debug() {
        let handshake = Handshake::new(true).unwrap();
        let shown = format!("{handshake:?}");
        assert!(!shown.contains(handshake.state.expose_secret()), "{shown}");
        assert!(!shown.contains(handshake.verifier.as_ref().unwrap().expose_secret()), "{shown}");
    }
}
