//! Sealing of secrets at rest: XChaCha20-Poly1305 with a key id in front and the owner's identity
//! as additional data, so that a sealed value moved to another row does not open.

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use secrecy::{ExposeSecret, SecretSlice};
use std::{fmt, str::FromStr, sync::Arc};

/// The layout's version: the first byte of every sealed value.
const LAYOUT: u8 = 1;
const NONCE_LEN: usize = 24;

/// Why a value did not open, or keys could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Configuration: the text is no list of keys.
    #[error("sealing keys are written as id:base64-of-32-bytes, several separated by commas: {0}")]
    Keys(&'static str),
    /// The key that sealed it is not configured any more.
    #[error("sealed with the key {0:?}, which is not configured")]
    UnknownKey(String),
    /// Changed, cut, or moved from another row.
    #[error("the sealed value does not open: changed, cut, or moved from another row")]
    Broken,
}

/// The keys: the first seals, all of them open.
#[derive(Clone)]
pub struct Keyring(Arc<Vec<(String, SecretSlice<u8>)>>);

impl Keyring {
    /// Seals `plain` for `owner`, which must be given again to open it.
    pub fn seal(&self, owner: &str, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let (id, key) = &self.0[0];
        let mut nonce = [0_u8; NONCE_LEN];
        getrandom::fill(&mut nonce)
            .map_err(|_e| Error::Keys("the system gives no random numbers"))?;
        let cipher = cipher(key)?;
        let body = cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: owner.as_bytes() })
            .map_err(|_e| Error::Broken)?;
        let id_len = u8::try_from(id.len())
            .map_err(|_e| Error::Keys("a key id is longer than 255 bytes"))?;
        Ok([&[LAYOUT, id_len], id.as_bytes(), &nonce, &body].concat())
    }

    /// Opens what [`Keyring::seal`] made for the same `owner`.
    pub fn open(&self, owner: &str, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let [LAYOUT, id_len, rest @ ..] = sealed else { return Err(Error::Broken) };
        let (id, rest) = rest.split_at_checked(usize::from(*id_len)).ok_or(Error::Broken)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Error::Broken)?;
        let (_, key) = self
            .0
            .iter()
            .find(|(known, _)| known.as_bytes() == id)
            .ok_or_else(|| Error::UnknownKey(String::from_utf8_lossy(id).into_owned()))?;
        cipher(key)?
            .decrypt(&XNonce::from(*nonce), Payload { msg: body, aad: owner.as_bytes() })
            .map_err(|_e| Error::Broken)
    }

    /// What was sealed for `owner`, sealed anew with the first key.
    pub fn reseal(&self, owner: &str, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        self.seal(owner, &self.open(owner, sealed)?)
    }

    /// What every value begins with that the first key sealed, in hexadecimal digits: the way to find the others.
    #[must_use]
    pub fn mark_in_hex(&self) -> String {
        let (id, _) = &self.0[0];
        // No id is longer than a byte counts: `FromStr` sees to it.
        let length = u8::try_from(id.len()).unwrap_or(u8::MAX);
        hex([LAYOUT, length].iter().chain(id.as_bytes()))
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn newest(&self) -> &str {
        &self.0[0].0
    }

    /// A key made now, in the notation that [`FromStr`] reads.
    pub fn generate(id: &str) -> Result<String, Error> {
        let mut key = [0_u8; 32];
        getrandom::fill(&mut key)
            .map_err(|_e| Error::Keys("the system gives no random numbers"))?;
        Ok(format!("{id}:{}", STANDARD.encode(key)))
    }
}

fn hex<'a>(bytes: impl Iterator<Item = &'a u8>) -> String {
    use std::fmt::Write as _;
    bytes.fold(String::new(), |mut hex, byte| {
        // To write into a text does not fail.
        let _infallible = write!(hex, "{byte:02x}");
        hex
    })
}

fn cipher(key: &SecretSlice<u8>) -> Result<XChaCha20Poly1305, Error> {
    XChaCha20Poly1305::new_from_slice(key.expose_secret())
        .map_err(|_e| Error::Keys("a key is not 32 bytes long"))
}

impl FromStr for Keyring {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut keys = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (id, key) = part.split_once(':').ok_or(Error::Keys("a key has no id"))?;
            let key = STANDARD.decode(key).map_err(|_e| Error::Keys("a key is not base64"))?;
            if id.is_empty() || key.len() != 32 {
                return Err(Error::Keys("an id is empty, or a key is not 32 bytes long"));
            }
            if id.len() > usize::from(u8::MAX) {
                return Err(Error::Keys("a key id is longer than 255 bytes"));
            }
            if keys.iter().any(|(known, _)| known == id) {
                return Err(Error::Keys("two keys have the same id"));
            }
            keys.push((id.to_owned(), SecretSlice::from(key)));
        }
        if keys.is_empty() { Err(Error::Keys("there is none")) } else { Ok(Self(Arc::new(keys))) }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(ids: &[&str]) -> Keyring {
        ids.iter()
            .map(|id| Keyring::generate(id).unwrap())
            .collect::<Vec<_>>()
            .join(",")
            .parse()
            .unwrap()
    }

    #[test]
    fn what_was_sealed_opens_for_its_owner_only() {
        let ring = ring(&["a"]);
        let sealed = ring.seal("row 1", b"token").unwrap();
        assert_eq!(ring.open("row 1", &sealed).unwrap(), b"token");
        assert!(matches!(ring.open("row 2", &sealed), Err(Error::Broken)));
        assert!(!sealed.windows(5).any(|w| w == b"token"));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let ring = ring(&["a"]);
        let sealed = ring.seal("row", b"token").unwrap();
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(ring.open("row", &bent).is_err(), "byte {at}");
            assert!(ring.open("row", &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn an_old_key_still_opens_and_a_removed_one_is_named() {
        let old = Keyring::generate("old").unwrap();
        let new = Keyring::generate("new").unwrap();
        let sealed = old.parse::<Keyring>().unwrap().seal("row", b"x").unwrap();
        assert_eq!(
            format!("{new},{old}").parse::<Keyring>().unwrap().open("row", &sealed).unwrap(),
            b"x"
        );
        let error = new.parse::<Keyring>().unwrap().open("row", &sealed).unwrap_err();
        assert!(matches!(error, Error::UnknownKey(id) if id == "old"));
    }

    #[test]
    fn what_the_newest_key_sealed_is_known_by_its_beginning() {
        let (old, new) = (Keyring::generate("k").unwrap(), Keyring::generate("k2").unwrap());
        let ring: Keyring = format!("{new},{old}").parse().unwrap();
        let sealed = old.parse::<Keyring>().unwrap().seal("row", b"x").unwrap();
        assert!(
            !hex(sealed.iter()).starts_with(&ring.mark_in_hex()),
            "an id that begins like another's"
        );
        let again = ring.reseal("row", &sealed).unwrap();
        assert!(hex(again.iter()).starts_with(&ring.mark_in_hex()));
        assert_eq!(new.parse::<Keyring>().unwrap().open("row", &again).unwrap(), b"x");
        assert!(ring.reseal("another row", &sealed).is_err());
        assert!(matches!(format!("{old},{old}").parse::<Keyring>(), Err(Error::Keys(_))));
    }

    #[test]
    fn keys_do_not_show_in_debug() {
        let text = Keyring::generate("a").unwrap();
        let ring: Keyring = text.parse().unwrap();
        assert_eq!(format!("{ring:?}"), r#"["a"]"#);
    }
}
