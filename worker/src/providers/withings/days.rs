//! What a day and a night say.

use super::json::{Fields, odd, offset_s};
use crate::providers::{Glance, Item, Unreadable};
use chrono::NaiveDate;
use paceline_shared::record::{DayKind, DaySummary, Record, Totals};
use rust_decimal::prelude::ToPrimitive as _;
use serde_json::{Map, Value, value::RawValue};

/// What of a day is asked for.
pub(super) const DAY_FIELDS: &str = "steps,distance,elevation,soft,moderate,intense,active,calories,totalcalories,\
    hr_average,hr_min,hr_max,hr_zone_0,hr_zone_1,hr_zone_2,hr_zone_3";

/// What of a night's data is asked for.
pub(super) const NIGHT_FIELDS: &str = "total_sleep_time,asleepduration,lightsleepduration,deepsleepduration,\
    remsleepduration,wakeupduration,wakeupcount,durationtosleep,durationtowakeup,total_timeinbed,sleep_efficiency,\
    sleep_latency,wakeup_latency,waso,nb_rem_episodes,out_of_bed_count,hr_average,hr_min,hr_max,rr_average,rr_min,\
    rr_max,sleep_score,snoring,snoringepisodecount,breathing_disturbances_intensity,apnea_hypopnea_index,night_events";

/// The days of a page: a day has its date for an id.
pub(super) fn day_items<'a>(days: &[&'a RawValue]) -> Vec<Item<'a>> {
    items(days, "date")
}

/// The nights of a page.
pub(super) fn night_items<'a>(nights: &[&'a RawValue]) -> Vec<Item<'a>> {
    items(nights, "id")
}

fn items<'a>(list: &[&'a RawValue], id: &str) -> Vec<Item<'a>> {
    let glance = |raw: &str| Glance {
        record_id: Fields::of(raw).ok().and_then(|fields| fields.id(id)),
        ..Glance::default()
    };
    list.iter().map(|raw| Item { raw: raw.get(), glance: glance(raw.get()) }).collect()
}

/// A day's totals.
pub(super) fn day(raw: &str) -> Result<Record, Unreadable> {
    let day = Fields::of(raw)?;
    let moderate_or_more = match day.count("active")? {
        Some(active) => Some(active),
        None => sum([day.count("moderate")?, day.count("intense")?]),
    };
    Ok(Record::Day(Box::new(DaySummary {
        record_id: day.id("date").ok_or_else(|| odd("date"))?,
        kind: DayKind::Activity,
        day: date(&day)?.ok_or_else(|| odd("date"))?,
        start_at: None,
        end_at: None,
        zone: day.zone("timezone").map(|zone| zone.name().to_owned()),
        utc_offset_s: None,
        totals: Totals {
            steps: day.count("steps")?,
            distance_m: day.quantity("distance")?,
            // It counts floors.
            floors: day.count("elevation")?,
            active_energy_j: day.energy("calories")?,
            total_energy_j: day.energy("totalcalories")?,
            active_s: sum([day.count("soft")?, moderate_or_more]),
            intense_s: moderate_or_more,
            average_heart_rate_bpm: day.pulse("hr_average")?,
            max_heart_rate_bpm: day.pulse("hr_max")?,
            ..Totals::default()
        },
        provenance: provenance(&day, &["is_tracker", "brand"])?,
        revision: day.whole("modified")?,
    })))
}

/// A night. It belongs to the day of its end, as the clocks where it was slept had it; `date` only tells that day
/// where the zone is unknown.
pub(super) fn night(raw: &str) -> Result<Record, Unreadable> {
    let night = Fields::of(raw)?;
    let data = night.object("data")?;
    let start_at = night.instant("startdate")?.ok_or_else(|| odd("startdate"))?;
    let end_at = night.instant("enddate")?.ok_or_else(|| odd("enddate"))?;
    let zone = night.zone("timezone");
    let woken = zone.map(|zone| end_at.with_timezone(&zone).date_naive());
    let day = match woken {
        Some(day) => day,
        None => date(&night)?.ok_or_else(|| odd("timezone"))?,
    };
    let [light_s, deep_s, rem_s] = [
        data.count("lightsleepduration")?,
        data.count("deepsleepduration")?,
        data.count("remsleepduration")?,
    ];
    let asleep = match data.count("total_sleep_time")? {
        None => data.count("asleepduration")?,
        asleep => asleep,
    };
    Ok(Record::Day(Box::new(DaySummary {
        record_id: night.id("id").ok_or_else(|| odd("id"))?,
        kind: DayKind::Sleep,
        day,
        start_at: Some(start_at),
        end_at: Some(end_at),
        zone: zone.map(|zone| zone.name().to_owned()),
        utc_offset_s: zone.map(|zone| offset_s(start_at, zone)),
        totals: Totals {
            asleep_s: asleep.or_else(|| sum([light_s, sum([deep_s, rem_s])])),
            awake_s: data.count("wakeupduration")?,
            light_s,
            deep_s,
            rem_s,
            average_heart_rate_bpm: data.pulse("hr_average")?,
            max_heart_rate_bpm: data.pulse("hr_max")?,
            sleep_score: data.number("sleep_score")?.and_then(|score| score.to_f32()),
            ..Totals::default()
        },
        provenance: provenance(&night, &["model_id"])?,
        revision: night.whole("modified")?,
    })))
}

fn date(fields: &Fields<'_>) -> Result<Option<NaiveDate>, Unreadable> {
    let Some(text) = fields.text("date")? else { return Ok(None) };
    text.parse().map(Some).map_err(|_no_date| odd("date"))
}

/// A sum; `None` where nothing is known of it.
fn sum(parts: [Option<i32>; 2]) -> Option<i32> {
    let [one, other] = parts;
    match (one, other) {
        (None, None) => None,
        _ => one.unwrap_or(0).checked_add(other.unwrap_or(0)),
    }
}

fn provenance(of: &Fields<'_>, more: &[&str]) -> Result<Value, Unreadable> {
    let mut facts = Map::new();
    if let Some(device) = of.text("deviceid")?.or(of.text("hash_deviceid")?) {
        facts.insert("device".to_owned(), device.into());
    }
    // A name, or for nights Withings' number of the model.
    for name in ["model"].iter().chain(more) {
        let fact = of.raw(name).and_then(|raw| serde_json::from_str(raw.get()).ok());
        facts.extend(fact.map(|fact: Value| ((*name).to_owned(), fact)));
    }
    Ok(Value::Object(facts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(by: fn(&str) -> Result<Record, Unreadable>, raw: &str) -> DaySummary {
        match by(raw).unwrap() {
            Record::Day(summary) => *summary,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_day_has_its_totals_and_what_is_not_told_is_none() {
        let raw = r#"{"date":"2026-03-29","timezone":"Europe/Paris","deviceid":null,"brand":18,"is_tracker":true,"steps":8000,
            "distance":6200.25,"elevation":12,"soft":3600,"moderate":1200,"intense":600,"active":1800,"calories":300,
            "totalcalories":2100.5,"hr_average":0}"#;
        let day = read(day, raw);
        assert_eq!(
            (day.record_id.as_str(), day.day.to_string()),
            ("2026-03-29", "2026-03-29".to_owned())
        );
        let totals = &day.totals;
        assert_eq!(
            (totals.steps, totals.distance_m, totals.floors),
            (Some(8_000), Some(6200.25), Some(12))
        );
        assert_eq!((totals.active_s, totals.intense_s), (Some(5_400), Some(1_800)));
        assert_eq!(
            (totals.active_energy_j, totals.total_energy_j),
            (Some(1_255_200.0), Some(8_788_492.0))
        );
        assert_eq!((totals.average_heart_rate_bpm, totals.asleep_s), (None, None));
        assert_eq!(day.provenance, json!({ "brand": 18, "is_tracker": true }));
    }

    #[test]
    fn the_day_of_a_sleep_is_the_day_of_waking_where_it_was_slept() {
        // From 23:30 to 07:30 in Tokyo: in UTC all of it is the day before.
        let raw = r#"{"id":77,"timezone":"Asia/Tokyo","model":32,"model_id":63,"startdate":1768487400,"enddate":1768516200,
            "date":"2026-01-15","modified":1768520000,"data":{"lightsleepduration":14400,"deepsleepduration":7200,
            "remsleepduration":3600,"wakeupduration":1800,"total_sleep_time":25200,"hr_average":55,"sleep_score":81}}"#;
        let slept = read(night, raw);
        assert_eq!(slept.day.to_string(), "2026-01-16");
        assert_eq!((slept.zone.as_deref(), slept.utc_offset_s), (Some("Asia/Tokyo"), Some(32_400)));
        let totals = &slept.totals;
        assert_eq!(
            (totals.asleep_s, totals.awake_s, totals.rem_s),
            (Some(25_200), Some(1_800), Some(3_600))
        );
        assert_eq!((totals.sleep_score, totals.is_nap), (Some(81.0), None));
        let nowhere = read(night, &raw.replace("Asia/Tokyo", "Mars"));
        assert_eq!(
            (nowhere.day.to_string().as_str(), nowhere.zone, nowhere.utc_offset_s),
            ("2026-01-15", None, None)
        );
    }
}
