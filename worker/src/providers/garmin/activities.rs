//! Activities: those that were recorded, those that were entered or edited by hand, and the events that a device
//! noticed by itself.

use super::fields::moment;
use crate::providers::{
    Unreadable,
    json::{Fields, odd},
    source::Glance,
};
use paceline_shared::{
    activity::{Activity, Position, Upstream},
    record::Record,
};
use rust_decimal::prelude::ToPrimitive as _;

/// Where and when, read leniently.
pub(super) fn glance(fields: &Fields<'_>) -> Glance {
    Glance {
        sport_type: fields.text("activityType").ok().flatten().map(Into::into),
        start_at: fields.instant("startTimeInSeconds").ok().flatten(),
        start: start(fields).ok().flatten(),
        ..Glance::default()
    }
}

/// An activity.
pub(super) fn activity(id: String, fields: &Fields<'_>) -> Result<Vec<Record>, Unreadable> {
    let activity = Activity {
        name: fields.text("activityName")?.unwrap_or_default().into_owned(),
        distance_m: fields.quantity("distanceInMeters")?,
        elevation_gain_m: single(fields, "totalElevationGainInMeters")?,
        average_speed_mps: single(fields, "averageSpeedInMetersPerSecond")?,
        max_speed_mps: single(fields, "maxSpeedInMetersPerSecond")?,
        average_heart_rate_bpm: fields.pulse("averageHeartRateInBeatsPerMinute")?,
        max_heart_rate_bpm: fields.pulse("maxHeartRateInBeatsPerMinute")?,
        start: start(fields)?,
        energy_j: fields.energy("activeKilocalories")?,
        steps: fields.count("steps")?,
        // Under this id others have it that get it from Garmin.
        upstream: fields.id("activityId").map(|record_id| Upstream {
            provider: "garmin".to_owned(),
            record_id: Some(record_id),
        }),
        ..event(id, fields, "startTimeOffsetInSeconds")?
    };
    Ok(vec![Record::Activity(Box::new(activity))])
}

/// An event: when, how long, and which sport it looked like. Its offset has another name.
pub(super) fn move_iq(id: String, fields: &Fields<'_>) -> Result<Vec<Record>, Unreadable> {
    let event = event(id, fields, "offsetInSeconds")?;
    Ok(vec![Record::Activity(Box::new(event))])
}

fn event(record_id: String, fields: &Fields<'_>, offset: &str) -> Result<Activity, Unreadable> {
    let start = moment(fields, "startTimeInSeconds", offset)?;
    Ok(Activity {
        record_id,
        name: String::new(),
        // Any word will do: Garmin adds new ones.
        sport_type: fields.text("activityType")?.ok_or_else(|| odd("activityType"))?.into_owned(),
        distance_m: None,
        moving_time_s: None,
        elapsed_time_s: fields.count("durationInSeconds")?,
        elevation_gain_m: None,
        average_speed_mps: None,
        max_speed_mps: None,
        average_heart_rate_bpm: None,
        max_heart_rate_bpm: None,
        start_at: start.at,
        start_local: start.local(),
        zone: None,
        utc_offset_s: Some(start.offset_s),
        start: None,
        end: None,
        energy_j: None,
        steps: None,
        upstream: None,
        // Garmin orders edits by their upload alone, and that is the order in which they are read.
        revision: None,
    })
}

fn start(fields: &Fields<'_>) -> Result<Option<Position>, Unreadable> {
    // By way of the text: a decimal of so many digits is a float away from the nearest one.
    let degrees =
        |name| fields.number(name).map(|degrees| degrees.and_then(|d| d.to_string().parse().ok()));
    let lat = degrees("startingLatitudeInDegree")?;
    let lon = degrees("startingLongitudeInDegree")?;
    Ok(lat.zip(lon).and_then(|(lat, lon)| Position::on_earth(lat, lon)))
}

fn single(fields: &Fields<'_>, name: &str) -> Result<Option<f32>, Unreadable> {
    let number = fields.number(name)?.filter(|number| !number.is_sign_negative());
    Ok(number.and_then(|number| number.to_f32()))
}
