//! What a workout says.

use super::json::{Fields, odd, offset_s};
use crate::providers::{Glance, Item, Unreadable};
use paceline_shared::{activity::Activity, record::Record};
use serde_json::value::RawValue;

/// Words for Withings' numbers of sports.
const SPORTS: [(i64, &str); 49] = [
    (1, "walk"),
    (2, "run"),
    (3, "hiking"),
    (4, "skating"),
    (5, "bmx"),
    (6, "bicycling"),
    (7, "swimming"),
    (8, "surfing"),
    (9, "kitesurfing"),
    (10, "windsurfing"),
    (11, "bodyboard"),
    (12, "tennis"),
    (13, "table_tennis"),
    (14, "squash"),
    (15, "badminton"),
    (16, "lift_weights"),
    (17, "calisthenics"),
    (18, "elliptical"),
    (19, "pilates"),
    (20, "basketball"),
    (21, "soccer"),
    (22, "football"),
    (23, "rugby"),
    (24, "volleyball"),
    (25, "waterpolo"),
    (26, "horse_riding"),
    (27, "golf"),
    (28, "yoga"),
    (29, "dancing"),
    (30, "boxing"),
    (31, "fencing"),
    (32, "wrestling"),
    (33, "martial_arts"),
    (34, "skiing"),
    (35, "snowboarding"),
    (36, "other"),
    (128, "no_activity"),
    (187, "rowing"),
    (188, "zumba"),
    (191, "baseball"),
    (192, "handball"),
    (193, "hockey"),
    (194, "ice_hockey"),
    (195, "climbing"),
    (196, "ice_skating"),
    (272, "multi_sport"),
    (306, "indoor_walk"),
    (307, "indoor_running"),
    (308, "indoor_cycling"),
];

/// What of a workout's data is asked for.
pub(super) const DATA_FIELDS: &str = "calories,manual_calories,distance,manual_distance,steps,hr_average,hr_min,hr_max,\
    hr_zone_0,hr_zone_1,hr_zone_2,hr_zone_3,intensity,elevation,pause_duration,algo_pause_duration,spo2_average,\
    pool_laps,strokes,pool_length";

/// The word for a sport; one that is new has its number for a word.
fn sport(workout: &Fields<'_>) -> Result<Option<String>, Unreadable> {
    let Some(number) = workout.whole("category")? else { return Ok(None) };
    let known = SPORTS.iter().find(|(known, _)| *known == number);
    Ok(Some(known.map_or_else(|| format!("category_{number}"), |(_, word)| (*word).to_owned())))
}

/// The workouts of a page.
pub(super) fn items<'a>(workouts: &[&'a RawValue]) -> Vec<Item<'a>> {
    let glance = |raw: &str| {
        let Ok(workout) = Fields::of(raw) else { return Glance::default() };
        Glance {
            record_id: workout.id("id"),
            sport_type: sport(&workout).ok().flatten(),
            ..Glance::default()
        }
    };
    workouts.iter().map(|raw| Item { raw: raw.get(), glance: glance(raw.get()) }).collect()
}

/// A workout as an activity. Its `elevation` counts floors, which are no metres; it has no positions.
pub(super) fn record(raw: &str) -> Result<Record, Unreadable> {
    let workout = Fields::of(raw)?;
    let data = workout.object("data")?;
    let start_at = workout.instant("startdate")?.ok_or_else(|| odd("startdate"))?;
    let end_at = workout.instant("enddate")?;
    let zone = workout.zone("timezone").ok_or_else(|| odd("timezone"))?;
    let elapsed = end_at.map(|end| (end - start_at).num_seconds()).filter(|seconds| *seconds >= 0);
    let elapsed_time_s = elapsed.and_then(|seconds| i32::try_from(seconds).ok());
    let paused = match data.count("pause_duration")? {
        None => data.count("algo_pause_duration")?,
        paused => paused,
    };
    let moving_time_s = elapsed_time_s.zip(paused).map(|(elapsed, paused)| elapsed - paused);
    // What the user wrote down counts where nothing was measured; 0 is how either says that there is nothing.
    let measured =
        |name: &str, by_hand: &str, read: &dyn Fn(&str) -> Result<Option<f64>, Unreadable>| {
            let told = read(name)?;
            if told.is_some_and(|value| value > 0.0) {
                return Ok(told);
            }
            Ok(read(by_hand)?.filter(|value| *value > 0.0).or(told))
        };
    Ok(Record::Activity(Box::new(Activity {
        record_id: workout.id("id").ok_or_else(|| odd("id"))?,
        name: String::new(),
        sport_type: sport(&workout)?.ok_or_else(|| odd("category"))?,
        distance_m: measured("distance", "manual_distance", &|name| data.quantity(name))?,
        moving_time_s: moving_time_s.filter(|seconds| *seconds >= 0),
        elapsed_time_s,
        elevation_gain_m: None,
        average_speed_mps: None,
        max_speed_mps: None,
        average_heart_rate_bpm: data.pulse("hr_average")?,
        max_heart_rate_bpm: data.pulse("hr_max")?,
        start_at,
        start_local: start_at.with_timezone(&zone).naive_local(),
        zone: Some(zone.name().to_owned()),
        utc_offset_s: Some(offset_s(start_at, zone)),
        start: None,
        end: None,
        energy_j: measured("calories", "manual_calories", &|name| data.energy(name))?,
        steps: data.count("steps")?,
        upstream: None,
        revision: workout.whole("modified")?,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Activity {
        match record(raw).unwrap() {
            Record::Activity(activity) => *activity,
            other => panic!("{other:?}"),
        }
    }

    const WORKOUT: &str = r#"{"id":2500001,"category":187,"timezone":"America/New_York","model":93,"attrib":0,"startdate":1762063200,
        "enddate":1762066800,"date":"2025-11-02","modified":1762070000,"deviceid":"d","data":{"calories":200.5,"distance":5012.5,
        "manual_distance":1,"steps":0,"hr_average":120,"hr_max":0,"elevation":7,"pause_duration":600,"algo_pause_duration":null}}"#;

    #[test]
    fn a_workout_is_an_activity_in_si_units() {
        let rowing = read(WORKOUT);
        assert_eq!((rowing.record_id.as_str(), rowing.sport_type.as_str()), ("2500001", "rowing"));
        assert_eq!((rowing.distance_m, rowing.energy_j), (Some(5012.5), Some(838_892.0)));
        assert_eq!((rowing.elapsed_time_s, rowing.moving_time_s), (Some(3_600), Some(3_000)));
        assert_eq!((rowing.average_heart_rate_bpm, rowing.max_heart_rate_bpm), (Some(120.0), None));
        assert_eq!(
            (rowing.steps, rowing.elevation_gain_m),
            (Some(0), None),
            "floors are no metres"
        );
        // The clocks of New York went back an hour before.
        assert_eq!(rowing.start_local.to_string(), "2025-11-02 01:00:00");
        assert_eq!((rowing.utc_offset_s, rowing.revision), (Some(-18_000), Some(1_762_070_000)));
        let unknown = read(&WORKOUT.replace("187", "9999"));
        assert_eq!(unknown.sport_type, "category_9999");
        let by_hand = WORKOUT.replace(r#""distance":5012.5"#, r#""distance":null"#);
        let by_hand = read(&by_hand);
        assert_eq!(by_hand.distance_m, Some(1.0));
        // Typed in: what a device would have measured is 0 and not absent.
        let typed = WORKOUT.replace("200.5", r#"0,"manual_calories":310"#);
        assert_eq!(read(&typed).energy_j, Some(1_297_040.0));
        let untold = WORKOUT.replace(r#""distance":5012.5"#, r#""distance":null"#);
        let untold = untold.replace(r#""manual_distance":1"#, r#""manual_distance":0"#);
        assert_eq!(read(&untold).distance_m, None, "0 by hand is not told");
    }
}
