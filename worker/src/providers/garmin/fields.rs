//! What several of Garmin's summaries have in common: an instant and an offset beside it. Garmin tells no zones.

use crate::providers::{
    Unreadable,
    json::{Fields, odd},
};
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};

/// No clock was ever further from UTC than this.
const FARTHEST_OFFSET_S: i64 = 18 * 3_600;

/// An instant, and how far the clock on the wall was ahead of UTC.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) at: DateTime<Utc>,
    pub(super) offset_s: i32,
}

impl Moment {
    pub(super) fn local(self) -> NaiveDateTime {
        self.at.naive_utc() + TimeDelta::seconds(self.offset_s.into())
    }
}

/// An instant that must be there, with its offset.
pub(super) fn moment(fields: &Fields<'_>, at: &str, offset: &str) -> Result<Moment, Unreadable> {
    Ok(Moment {
        at: fields.instant(at)?.ok_or_else(|| odd(at))?,
        offset_s: offset_s(fields, offset)?.ok_or_else(|| odd(offset))?,
    })
}

/// Seconds east of UTC, daylight saving included; `None` where no clock can be so.
pub(super) fn offset_s(fields: &Fields<'_>, name: &str) -> Result<Option<i32>, Unreadable> {
    let offset = fields.whole(name)?.filter(|offset| offset.abs() <= FARTHEST_OFFSET_S);
    Ok(offset.and_then(|offset| i32::try_from(offset).ok()))
}

/// The day that a summary is of: of a night, the one on which it ended.
pub(super) fn calendar_date(fields: &Fields<'_>) -> Result<NaiveDate, Unreadable> {
    let text = fields.text("calendarDate")?.ok_or_else(|| odd("calendarDate"))?;
    text.parse().map_err(|_no_date| odd("calendarDate"))
}
