//! Which jobs: as options of `jobs list`, and as the one text of `jobs bulk --where`. Both know the same
//! keys; what a value may be, the API says.

use clap::Args;
use serde::{Deserialize, Serialize};

/// Which jobs. What is not said does not matter.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Filter {
    /// In this state: queued, waiting, running, completed, failed or cancelled
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// Of this provider
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    /// Of this user: the token's subject, or our id
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Whose newest failure has this code, as `temporary_api_error`
    #[arg(long, value_name = "CODE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<String>,
    /// Whose newest failure is of this kind, as `paceline failures` lists them
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    /// Accepted longer ago than this, as 15m, 2h or 7d
    #[arg(long, value_name = "AGE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    older_than: Option<String>,
    /// Accepted more recently than this
    #[arg(long, value_name = "AGE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    newer_than: Option<String>,
    /// With this in message, id or user
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// The keys, as they are written.
const KEYS: [&str; 8] =
    ["state", "provider", "user", "error-type", "fingerprint", "older-than", "newer-than", "text"];

impl Filter {
    fn field(&mut self, key: &str) -> Option<&mut Option<String>> {
        Some(match key {
            "state" => &mut self.state,
            "provider" => &mut self.provider,
            "user" => &mut self.user,
            "error-type" => &mut self.error_type,
            "fingerprint" => &mut self.fingerprint,
            "older-than" => &mut self.older_than,
            "newer-than" => &mut self.newer_than,
            "text" => &mut self.text,
            _ => return None,
        })
    }

    /// Only jobs whose newest failure is of this kind.
    pub(crate) fn with_fingerprint(fingerprint: String) -> Self {
        Self { fingerprint: Some(fingerprint), ..Self::default() }
    }

    /// As the query of a URL.
    pub(crate) fn query(&self) -> Vec<(&'static str, String)> {
        let fields = [
            ("state", &self.state),
            ("provider", &self.provider),
            ("user", &self.user),
            ("errorType", &self.error_type),
            ("fingerprint", &self.fingerprint),
            ("olderThan", &self.older_than),
            ("newerThan", &self.newer_than),
            ("text", &self.text),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
    }

    /// Reads `key=value` pairs with blanks between; a value with blanks stands in quotes.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (key, after) = rest.split_once('=').ok_or_else(|| {
                format!("{rest:?} has no value; write it as state=failed provider=strava")
            })?;
            let (value, after) = value(after)?;
            let field = filter
                .field(key)
                .ok_or_else(|| format!("{key:?} is no key; known are {}", KEYS.join(", ")))?;
            if value.is_empty() {
                return Err(format!("{key} has no value"));
            }
            if field.replace(value).is_some() {
                return Err(format!("{key} stands there twice"));
            }
            rest = after.trim_start();
        }
        if filter == Self::default() {
            return Err("it is empty; an act on all jobs needs at least one key, as state=failed"
                .to_owned());
        }
        Ok(filter)
    }
}

/// The value at the beginning of the text, and what follows it.
fn value(text: &str) -> Result<(String, &str), String> {
    let Some(quote) = text.chars().next().filter(|c| ['"', '\''].contains(c)) else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let quoted = &text[1..];
    let end = quoted.find(quote).ok_or_else(|| format!("{text:?} has no closing {quote}"))?;
    let after = &quoted[end + 1..];
    if after.starts_with(|c: char| !c.is_whitespace()) {
        return Err(format!("a blank is missing before {after:?}"));
    }
    Ok((quoted[..end].to_owned(), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_in_any_order_and_quotes_keep_blanks() {
        let filter = Filter::parse(
            " provider=strava  state=failed text=\"timed out\" user='ann b' older-than=2h",
        );
        let query = filter.unwrap().query();
        let wanted = [
            ("state", "failed"),
            ("provider", "strava"),
            ("user", "ann b"),
            ("olderThan", "2h"),
            ("text", "timed out"),
        ];
        assert_eq!(query, wanted.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, named) in [
            ("", "it is empty"),
            ("failed", "\"failed\" has no value"),
            ("status=failed", "\"status\" is no key; known are state, provider"),
            ("state=", "state has no value"),
            ("state=failed state=queued", "state stands there twice"),
            ("text=\"timed out", "has no closing \""),
            ("text=\"a\"b", "a blank is missing"),
        ] {
            let error = Filter::parse(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn every_key_has_its_place() {
        let mut filter = Filter::default();
        for key in KEYS {
            *filter.field(key).expect(key) = Some("x".to_owned());
        }
        assert_eq!(filter.query().len(), KEYS.len());
    }
}
