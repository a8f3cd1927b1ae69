//! What was measured of the body: scales, blood pressure, fitness.

use super::fields::{Moment, calendar_date, moment};
use crate::providers::{
    Unreadable,
    json::{Fields, odd},
};
use chrono::NaiveTime;
use paceline_shared::record::{Measure, Measurement, Record};
use rust_decimal::Decimal;
use serde_json::{Value, json};

const GRAMS_IN_KG: Decimal = Decimal::ONE_THOUSAND;

/// A weighing.
pub(super) fn composition(id: &str, fields: &Fields<'_>) -> Result<Vec<Record>, Unreadable> {
    let moment = moment(fields, "measurementTimeInSeconds", "measurementTimeOffsetInSeconds")?;
    let mass = |measure, name| Ok((measure, "", positive(fields, name)?.map(kilograms)));
    let plain = |measure, name| Ok((measure, "", positive(fields, name)?));
    let values = [
        mass(Measure::Weight, "weightInGrams")?,
        mass(Measure::MuscleMass, "muscleMassInGrams")?,
        mass(Measure::BoneMass, "boneMassInGrams")?,
        plain(Measure::BodyWater, "bodyWaterInPercent")?,
        plain(Measure::BodyFat, "bodyFatInPercent")?,
        plain(Measure::BodyMassIndex, "bodyMassIndex")?,
    ];
    some(of(id, moment, true, &values, &json!({})), "weightInGrams")
}

/// A blood pressure, with the pulse.
pub(super) fn pressure(id: &str, fields: &Fields<'_>) -> Result<Vec<Record>, Unreadable> {
    let moment = moment(fields, "measurementTimeInSeconds", "measurementTimeOffsetInSeconds")?;
    let values = [
        (Measure::BloodPressureSystolic, "", positive(fields, "systolic")?),
        (Measure::BloodPressureDiastolic, "", positive(fields, "diastolic")?),
        (Measure::HeartRate, "", positive(fields, "pulse")?),
    ];
    let provenance = match fields.text("sourceType")? {
        Some(word) => json!({ "sourceType": word, "manual": word == "MANUAL" }),
        None => json!({}),
    };
    some(of(id, moment, true, &values, &provenance), "systolic")
}

/// A day's estimates. They have a date and no time: they stand at its beginning, and no offset is claimed.
pub(super) fn metrics(id: &str, fields: &Fields<'_>) -> Result<Vec<Record>, Unreadable> {
    let at = calendar_date(fields)?.and_time(NaiveTime::MIN).and_utc();
    let values = [
        (Measure::Vo2Max, "", positive(fields, "vo2Max")?),
        (Measure::Vo2Max, "cycling", positive(fields, "vo2MaxCycling")?),
        (Measure::FitnessAge, "", positive(fields, "fitnessAge")?),
    ];
    let provenance = match fields.raw("enhanced").map(serde_json::value::RawValue::get) {
        Some(word @ ("true" | "false")) => json!({ "enhanced": word == "true" }),
        _ => json!({}),
    };
    // A day without an estimate is none.
    Ok(of(id, Moment { at, offset_s: 0 }, false, &values, &provenance))
}

fn of(
    id: &str,
    moment: Moment,
    has_offset: bool,
    values: &[(Measure, &str, Option<Decimal>)],
    provenance: &Value,
) -> Vec<Record> {
    let record = |&(measure, discriminator, value): &(Measure, &str, Option<Decimal>)| {
        Some(Record::Measurement(Box::new(Measurement {
            record_id: id.to_owned(),
            measure,
            discriminator: discriminator.to_owned(),
            value: value?,
            measured_at: moment.at,
            measured_local: moment.local(),
            zone: None,
            utc_offset_s: has_offset.then_some(moment.offset_s),
            upstream: None,
            provenance: provenance.clone(),
            revision: None,
        })))
    };
    values.iter().filter_map(record).collect()
}

/// A measurement of nothing is none.
fn some(records: Vec<Record>, field: &str) -> Result<Vec<Record>, Unreadable> {
    if records.is_empty() { Err(odd(field)) } else { Ok(records) }
}

/// 0 is how a scale says that it could not measure something.
fn positive(fields: &Fields<'_>, name: &str) -> Result<Option<Decimal>, Unreadable> {
    Ok(fields.number(name)?.filter(|value| *value > Decimal::ZERO))
}

fn kilograms(grams: Decimal) -> Decimal {
    (grams / GRAMS_IN_KG).normalize()
}
