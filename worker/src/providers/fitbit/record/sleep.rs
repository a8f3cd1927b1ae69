//! Fitbit's nights and naps. A night belongs to the day on which it ended, as Fitbit has it too.

use super::{Fields, Profile, Unreadable, odd};
use paceline_shared::record::{DayKind, DaySummary, Totals};
use serde_json::json;

/// A sleep in full.
pub(super) fn read(raw: &str, profile: &Profile) -> Result<DaySummary, Unreadable> {
    let fields = Fields::of(raw)?;
    let time = |name| -> Result<_, Unreadable> {
        let text = fields.text(name)?.ok_or_else(|| odd(name))?;
        Ok(profile.instant(text.parse().map_err(|_e| odd(name))?))
    };
    let (began, ended) = (time("startTime")?, time("endTime")?);
    let day = fields.text("dateOfSleep")?.and_then(|day| day.parse().ok());
    let levels = fields.object("levels")?.object("summary")?;
    let minutes = |name: &str| -> Result<Option<i32>, Unreadable> {
        if levels.raw(name).is_none() {
            return Ok(None);
        }
        Ok(levels.object(name)?.count("minutes")?.and_then(|minutes| minutes.checked_mul(60)))
    };
    let whole = |name| -> Result<Option<i32>, Unreadable> {
        Ok(fields.count(name)?.and_then(|minutes| minutes.checked_mul(60)))
    };
    let kind = fields.text("type")?;
    let efficiency = fields.count("efficiency")?;
    Ok(DaySummary {
        record_id: fields.id("logId").ok_or_else(|| odd("logId"))?,
        kind: DayKind::Sleep,
        day: day.ok_or_else(|| odd("dateOfSleep"))?,
        start_at: Some(began.at),
        end_at: Some(ended.at),
        zone: began.zone,
        utc_offset_s: Some(began.offset_s),
        totals: Totals {
            asleep_s: whole("minutesAsleep")?,
            awake_s: whole("minutesAwake")?,
            light_s: minutes("light")?,
            deep_s: minutes("deep")?,
            rem_s: minutes("rem")?,
            is_nap: fields.raw("isMainSleep").map(|main| main.get() == "false"),
            ..Totals::default()
        },
        provenance: json!({ "type": kind, "logType": fields.text("logType")?, "efficiency": efficiency }),
        revision: None,
    })
}
