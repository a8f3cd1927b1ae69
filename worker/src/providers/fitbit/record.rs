//! What Fitbit's JSON says: weighings, shares of fat, nights, activities, and the profile in whose zone all of them are.
//!
//! Times come without a zone, except those of activities; which instant they were follows from the profile's zone.
//! Fitbit gives entries of one day the same log id at times (its own documentation shows two), so a body log's
//! identity is id, date and time.

mod activity;
mod sleep;
#[cfg(test)]
mod tests;

use super::source::List;
use crate::providers::{
    Unreadable,
    json::{Fields, odd},
    source::{Glance, Item, Staged},
};
use chrono::{
    DateTime, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, Offset as _, TimeZone as _,
    Utc,
};
use chrono_tz::Tz;
use paceline_shared::record::{Measure, Measurement, Record};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};

/// Activities a page, the most that Fitbit allows.
pub(super) const PAGE_SIZE: usize = 100;

/// What is needed of an account's profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Profile {
    /// IANA zone, where it exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) zone: Option<String>,
    /// Seconds east of UTC at the time of reading, for want of a zone.
    pub(super) offset_s: i32,
    /// Since when the account exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<NaiveDate>,
}

impl Profile {
    /// From the body of a profile.
    pub(super) fn read(body: &[u8]) -> Result<Self, Unreadable> {
        let text = std::str::from_utf8(body).map_err(|_e| odd("the profile"))?;
        let fields = Fields::of(text)?;
        if fields.raw("user").is_none() {
            return Err(odd("user"));
        }
        let user = fields.object("user")?;
        let zone = user.zone("timezone").map(|zone| zone.name().to_owned());
        let offset_s = user.whole("offsetFromUTCMillis")?.map(|ms| ms / 1_000);
        // With a zone it would only change with the seasons.
        let offset_s = offset_s.filter(|_| zone.is_none());
        Ok(Self {
            zone,
            offset_s: offset_s.and_then(|s| i32::try_from(s).ok()).unwrap_or_default(),
            since: user.text("memberSince")?.and_then(|day| day.parse().ok()),
        })
    }

    pub(super) fn value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn tz(&self) -> Option<Tz> {
        self.zone.as_deref()?.parse().ok()
    }

    /// The zone, unless the clock that told this was elsewhere: then it is not known.
    fn zone_of(&self, told: DateTime<FixedOffset>) -> Option<String> {
        let here = self.tz()?.offset_from_utc_datetime(&told.naive_utc()).fix();
        self.zone.clone().filter(|_| here == *told.offset())
    }

    /// When a clock on the wall showed this. Of an hour that came twice the first; one that never came is taken as if
    /// the clock had not been put forward.
    pub(super) fn instant(&self, local: NaiveDateTime) -> Moment {
        let fixed = FixedOffset::east_opt(self.offset_s)
            .unwrap_or(FixedOffset::east_opt(0).unwrap_or_else(|| Utc.fix()));
        let at = match self.tz() {
            Some(tz) => match tz.from_local_datetime(&local) {
                MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => at.to_utc(),
                MappedLocalTime::None => {
                    let before = local - chrono::TimeDelta::hours(3);
                    let earlier = tz.from_local_datetime(&before).earliest().map(|at| at.to_utc());
                    earlier.map_or(local.and_utc(), |at| at + chrono::TimeDelta::hours(3))
                }
            },
            None => local.and_utc() - fixed,
        };
        let offset_s = self
            .tz()
            .map_or(self.offset_s, |tz| at.with_timezone(&tz).offset().fix().local_minus_utc());
        Moment { at, local, zone: self.zone.clone(), offset_s }
    }
}

/// A time in all its forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) at: DateTime<Utc>,
    pub(super) local: NaiveDateTime,
    pub(super) zone: Option<String>,
    pub(super) offset_s: i32,
}

/// The profile that a page was read under.
fn profile(page: &Staged<'_>) -> Result<Profile, Unreadable> {
    let context = page.context.ok_or_else(|| odd("the profile"))?;
    Profile::deserialize(context).map_err(|_e| odd("the profile"))
}

/// The name of the list in its answer.
const fn member(list: List) -> &'static str {
    list.stream()
}

fn list_of(stream: &str) -> Option<List> {
    List::ALL.into_iter().find(|list| list.stream() == stream)
}

/// The entries of an answer, as raw text; an error's body has none.
fn entries(body: &[u8], list: List) -> Result<Vec<&RawValue>, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_e| odd(member(list)))?;
    Fields::of(text)?.list(member(list))
}

/// Whether a body is an answer of this list: what is none never counts as an empty one.
pub(super) const fn is_whole(list: List) -> fn(&[u8]) -> bool {
    match list {
        List::Weight => |body| entries(body, List::Weight).is_ok(),
        List::Fat => |body| entries(body, List::Fat).is_ok(),
        List::Sleep => |body| entries(body, List::Sleep).is_ok(),
        List::Activities => is_page,
    }
}

/// Whether a body is a page of activities.
pub(super) fn is_page(body: &[u8]) -> bool {
    let paged =
        |text: &str| Fields::of(text).is_ok_and(|fields| fields.raw("pagination").is_some());
    entries(body, List::Activities).is_ok() && std::str::from_utf8(body).is_ok_and(paged)
}

/// Whether a page is followed by another that begins on `to` or before, the day of its last activity, and how many
/// there are on it.
pub(super) fn page_end(body: &[u8], to: NaiveDate) -> (bool, Option<NaiveDate>, usize) {
    let next = || -> Option<bool> {
        let fields = Fields::of(std::str::from_utf8(body).ok()?).ok()?;
        Some(fields.object("pagination").ok()?.text("next").ok()?.is_some())
    };
    let items = entries(body, List::Activities).unwrap_or_default();
    let mut days =
        items.iter().filter_map(|raw| activity::start(raw.get()).map(|at| at.date_naive()));
    let last = days.next_back();
    (next().unwrap_or(false) && last.is_none_or(|day| day <= to), last, items.len())
}

/// The items of a page.
pub(super) fn items<'a>(page: &Staged<'a>) -> Result<Vec<Item<'a>>, Unreadable> {
    let Some(list) = list_of(page.stream) else { return Ok(vec![]) };
    let items = entries(page.body, list)?;
    let glance = |raw: &str| match list {
        List::Weight | List::Fat => {
            Glance { record_id: Fields::of(raw).ok().and_then(|f| log_id(&f)), ..Glance::default() }
        }
        List::Sleep => {
            let record_id = Fields::of(raw).ok().and_then(|fields| fields.id("logId"));
            Glance { record_id, ..Glance::default() }
        }
        List::Activities => activity::glance(raw),
    };
    Ok(items.into_iter().map(|raw| Item { raw: raw.get(), glance: glance(raw.get()) }).collect())
}

/// What an item says.
pub(super) fn records(page: &Staged<'_>, raw: &str) -> Result<Vec<Record>, Unreadable> {
    let Some(list) = list_of(page.stream) else { return Ok(vec![]) };
    let profile = profile(page)?;
    match list {
        List::Weight => {
            body_log(raw, &profile, &[("weight", Measure::Weight), ("bmi", Measure::BodyMassIndex)])
        }
        List::Fat => body_log(raw, &profile, &[("fat", Measure::BodyFat)]),
        List::Sleep => sleep::read(raw, &profile).map(|day| vec![Record::Day(Box::new(day))]),
        List::Activities => {
            activity::read(raw, &profile).map(|done| vec![Record::Activity(Box::new(done))])
        }
    }
}

/// An entry's identity among all of its list.
fn log_id(fields: &Fields<'_>) -> Option<String> {
    let (date, time) = (fields.text("date").ok()??, fields.text("time").ok()??);
    Some(format!("{}/{date}T{time}", fields.id("logId")?))
}

/// An entry of a body log, with the values of it that are kept; the first of them must be there.
fn body_log(
    raw: &str,
    profile: &Profile,
    kept: &[(&str, Measure)],
) -> Result<Vec<Record>, Unreadable> {
    let fields = Fields::of(raw)?;
    let record_id = log_id(&fields).ok_or_else(|| odd("logId"))?;
    let text = |name| fields.text(name).ok().flatten().ok_or_else(|| odd(name));
    let local = format!("{}T{}", text("date")?, text("time")?);
    let moment = profile.instant(local.parse().map_err(|_e| odd("date"))?);
    let source = fields.text("source")?;
    // A Withings scale reports to Fitbit by itself.
    let upstream = source.as_deref().filter(|source| *source == "Withings");
    let mut records = Vec::with_capacity(kept.len());
    for (name, measure) in kept {
        let Some(value) = fields.number(name)? else { continue };
        records.push(Record::Measurement(Box::new(Measurement {
            record_id: record_id.clone(),
            measure: *measure,
            discriminator: String::new(),
            value: value.normalize(),
            measured_at: moment.at,
            measured_local: moment.local,
            zone: moment.zone.clone(),
            utc_offset_s: Some(moment.offset_s),
            upstream: upstream.map(|_| "withings".to_owned()),
            provenance: source
                .as_ref()
                .map_or_else(|| json!({}), |source| json!({ "source": source })),
            revision: None,
        })));
    }
    if records.is_empty() {
        Err(odd(kept.first().map_or("value", |kept| kept.0)))
    } else {
        Ok(records)
    }
}
