//! Fields of JSON objects, each read from its own raw text: what is odd in one that nobody asks for harms nothing
//! else, and no number goes through a float. It knows no provider.

use crate::providers::Unreadable;
use chrono::{DateTime, Offset as _, Utc};
use chrono_tz::Tz;
use rust_decimal::{Decimal, prelude::ToPrimitive as _};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::HashMap};

/// An object's fields.
#[derive(Debug)]
pub(super) struct Fields<'a>(HashMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    /// Those of an object; what is none is unreadable.
    pub(super) fn of(raw: &'a str) -> Result<Self, Unreadable> {
        let fields = serde_json::from_str(raw);
        fields.map(Self).map_err(|error| Unreadable(format!("no object: {error}")))
    }

    /// A field; one that is `null` is none.
    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|raw| raw.get() != "null")
    }

    /// An object in the object; an absent one has no fields.
    pub(super) fn object(&self, name: &str) -> Result<Self, Unreadable> {
        // A list without anything in it is how PHP writes an empty object.
        match self.raw(name).map(RawValue::get) {
            None | Some("[]") => Ok(Self(HashMap::new())),
            Some(raw) => Self::of(raw).map_err(|_no_object| odd(name)),
        }
    }

    /// The elements of a list.
    pub(super) fn list(&self, name: &str) -> Result<Vec<&'a RawValue>, Unreadable> {
        let raw = self.raw(name).ok_or_else(|| odd(name))?;
        serde_json::from_str(raw.get()).map_err(|_no_list| odd(name))
    }

    /// A text; `None` where it is absent or empty.
    pub(super) fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, Unreadable> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let text = string(raw).ok_or_else(|| odd(name))?;
        Ok((!text.is_empty()).then_some(text))
    }

    /// An id as text, whether it came as a whole number, of any size, or as text.
    pub(super) fn id(&self, name: &str) -> Option<String> {
        let raw = self.raw(name)?;
        if raw.get().bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(raw.get().to_owned());
        }
        string(raw).filter(|id| !id.is_empty()).map(Cow::into_owned)
    }

    /// A number, bare or in quotes, with all its digits.
    pub(super) fn number(&self, name: &str) -> Result<Option<Decimal>, Unreadable> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        decimal(raw).map(Some).ok_or_else(|| odd(name))
    }

    /// A whole number.
    pub(super) fn whole(&self, name: &str) -> Result<Option<i64>, Unreadable> {
        let Some(number) = self.number(name)? else { return Ok(None) };
        let whole = number.is_integer().then(|| number.to_i64()).flatten();
        whole.map(Some).ok_or_else(|| odd(name))
    }

    /// A count or seconds: not negative, rounded; `None` where it cannot be.
    pub(super) fn count(&self, name: &str) -> Result<Option<i32>, Unreadable> {
        let number = self.number(name)?.map(|number| number.round());
        Ok(number.filter(|number| !number.is_sign_negative()).and_then(|number| number.to_i32()))
    }

    /// A quantity: not negative; `None` where it cannot be.
    pub(super) fn quantity(&self, name: &str) -> Result<Option<f64>, Unreadable> {
        let number = self.number(name)?.filter(|number| !number.is_sign_negative());
        Ok(number.and_then(|number| number.to_f64()))
    }

    /// Kilocalories, as joules.
    pub(super) fn energy(&self, name: &str) -> Result<Option<f64>, Unreadable> {
        let kilocalories = self.number(name)?.filter(|number| !number.is_sign_negative());
        let joules = kilocalories.and_then(|energy| energy.checked_mul(Decimal::from(4_184)));
        Ok(joules.and_then(|joules| joules.to_f64()))
    }

    /// Beats per minute; 0 is what a device without a pulse sends.
    pub(super) fn pulse(&self, name: &str) -> Result<Option<f32>, Unreadable> {
        let beats = self.number(name)?.and_then(|beats| beats.to_f32());
        Ok(beats.filter(|beats| *beats > 0.0))
    }

    /// Seconds since 1970.
    pub(super) fn instant(&self, name: &str) -> Result<Option<DateTime<Utc>>, Unreadable> {
        let Some(seconds) = self.whole(name)? else { return Ok(None) };
        DateTime::from_timestamp(seconds, 0).map(Some).ok_or_else(|| odd(name))
    }

    /// An IANA zone that exists.
    pub(super) fn zone(&self, name: &str) -> Option<Tz> {
        string(self.raw(name)?)?.parse().ok()
    }
}

/// A field is not there, or not what it should be.
pub(super) fn odd(field: &str) -> Unreadable {
    Unreadable(format!("{field} is missing or odd"))
}

/// Seconds east of UTC at an instant, daylight saving included.
pub(super) fn offset_s(at: DateTime<Utc>, zone: Tz) -> i32 {
    at.with_timezone(&zone).offset().fix().local_minus_utc()
}

/// A text, borrowed unless something in it is escaped.
pub(super) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let plain = <&str>::deserialize(raw).map(Cow::Borrowed);
    plain.or_else(|_escaped| String::deserialize(raw).map(Cow::Owned)).ok()
}

/// A number, bare or in quotes, with all its digits; `None` also where there are more than a decimal holds.
pub(super) fn decimal(raw: &RawValue) -> Option<Decimal> {
    let token = raw.get();
    let text = if token.starts_with('"') { string(raw)? } else { Cow::Borrowed(token) };
    let is_number = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    if !is_number {
        return None;
    }
    if text.contains(['e', 'E']) {
        Decimal::from_scientific(&text).ok()
    } else {
        Decimal::from_str_exact(&text).ok()
    }
}
