//! A search for many secrets in much text, in every form that a secret might be written in. Knows no place.

use std::collections::{BTreeSet, HashMap};

/// Bytes that a place in the text is first compared by. No secret is shorter.
const HEAD: usize = 8;
const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Patterns by their first bytes.
pub(super) struct Search {
    by_head: HashMap<[u8; HEAD], Vec<(Vec<u8>, usize)>>,
    /// Whether any pattern begins with these two bytes: most places in a text are passed over by that.
    begins: Vec<bool>,
}

impl Search {
    /// For these secrets; each finding names one by its place among them.
    pub(super) fn of(secrets: &BTreeSet<String>) -> Self {
        let mut search =
            Self { by_head: HashMap::new(), begins: vec![false; usize::from(u16::MAX) + 1] };
        for (number, secret) in secrets.iter().enumerate() {
            for form in forms(secret) {
                let form = form.into_bytes();
                let Some(head) = form.first_chunk::<HEAD>() else { continue };
                search.begins[pair(head)] = true;
                search.by_head.entry(*head).or_default().push((form, number));
            }
        }
        search
    }

    /// The secrets that stand in a text.
    pub(super) fn within(&self, text: &str) -> BTreeSet<usize> {
        let (bytes, mut found) = (text.as_bytes(), BTreeSet::new());
        for (at, window) in bytes.windows(HEAD).enumerate() {
            if !self.begins[pair(window)] {
                continue;
            }
            let head = window.first_chunk::<HEAD>();
            for (form, number) in head.and_then(|head| self.by_head.get(head)).into_iter().flatten()
            {
                if bytes[at..].starts_with(form) {
                    found.insert(*number);
                }
            }
        }
        found
    }
}

fn pair(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

/// All forms of a secret: as it is, percent-encoded, in hexadecimal, and in base64 wherever it stands in what is
/// encoded, by either alphabet.
pub(super) fn forms(secret: &str) -> BTreeSet<String> {
    let hex = |upper: bool| {
        let digits =
            secret.bytes().map(|b| if upper { format!("{b:02X}") } else { format!("{b:02x}") });
        digits.collect::<String>()
    };
    let mut forms = BTreeSet::from([secret.to_owned(), hex(false), hex(true)]);
    for upper in [false, true] {
        let encoded = |b: u8| match (b.is_ascii_alphanumeric() || b"-._~".contains(&b), upper) {
            (true, _) => char::from(b).to_string(),
            (false, true) => format!("%{b:02X}"),
            (false, false) => format!("%{b:02x}"),
        };
        forms.insert(secret.bytes().map(encoded).collect());
    }
    for offset in 0..3 {
        for alphabet in [STANDARD, URL_SAFE] {
            forms.insert(base64(secret, offset, alphabet));
        }
    }
    forms.retain(|form| form.len() >= HEAD);
    forms
}

/// What is sure of a text's base64 when `offset` bytes stand before it: the digits that no neighbour shares.
fn base64(text: &str, offset: usize, alphabet: &[u8; 64]) -> String {
    let bits: Vec<bool> = std::iter::repeat_n(0, offset)
        .chain(text.bytes())
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
        .collect();
    let first = (offset * 8).div_ceil(6) * 6;
    let digit = |bits: &[bool]| {
        let value = bits.iter().fold(0, |value, bit| value << 1 | usize::from(*bit));
        char::from(alphabet[value])
    };
    bits[first..].chunks_exact(6).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form_and_nothing_else_is() {
        let secrets = BTreeSet::from(["s3cret/with+signs".to_owned(), "another-secret".to_owned()]);
        let search = Search::of(&secrets);
        // base64 of "1234:s3cret/with+signs", and of it with a byte more in front.
        for text in [
            "token=s3cret/with+signs;",
            "?code=s3cret%2Fwith%2Bsigns&",
            "?code=s3cret%2fwith%2bsigns&",
            "Basic MTIzNDpzM2NyZXQvd2l0aCtzaWducw==",
            "Basic eDEyMzQ6czNjcmV0L3dpdGgrc2lnbnM=",
            r"\x7333637265742f776974682b7369676e73",
        ] {
            assert_eq!(search.within(text), BTreeSet::from([1]), "{text}");
        }
        assert_eq!(search.within("s3cret/with+sign and another-secre"), BTreeSet::new());
    }
}
