//! What summaries say, in shapes that the API documents.

use super::super::{kind::Stream, source};
use crate::providers::Unreadable;
use paceline_shared::{
    activity::{Activity, Position},
    record::{DaySummary, Measurement, Record},
};
use proptest::prelude::*;

fn read(stream: &str, raw: &str) -> Result<Vec<Record>, Unreadable> {
    source::records(Stream::named(stream)?, raw)
}

fn activity(stream: &str, raw: &str) -> Activity {
    let Ok([Record::Activity(activity)]) =
        read(stream, raw).unwrap().try_into().map(|r: [Record; 1]| r)
    else {
        panic!("{raw}")
    };
    *activity
}

fn day(stream: &str, raw: &str) -> DaySummary {
    let Ok([Record::Day(day)]) = read(stream, raw).unwrap().try_into().map(|r: [Record; 1]| r)
    else {
        panic!("{raw}")
    };
    *day
}

fn measured(stream: &str, raw: &str) -> Vec<Measurement> {
    let records = read(stream, raw).unwrap().into_iter();
    records
        .map(|record| match record {
            Record::Measurement(measurement) => *measurement,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn values(measured: &[Measurement]) -> Vec<(&'static str, &str, String)> {
    let value = |m: &Measurement| m.value.to_string();
    measured.iter().map(|m| (m.measure.as_str(), m.discriminator.as_str(), value(m))).collect()
}

const RIDE: &str = r#"{"userId":"4aac","summaryId":"x153a9f3-5a9478d4-6","activityId":14876543210987654321,"activityName":"Col",
    "durationInSeconds":1789,"startTimeInSeconds":1512234126,"startTimeOffsetInSeconds":-25200,"activityType":"GLACIER_GOLF",
    "averageHeartRateInBeatsPerMinute":144,"averageSpeedInMetersPerSecond":2.781,"activeKilocalories":367,"deviceName":"forerunner935",
    "distanceInMeters":4976.83,"maxHeartRateInBeatsPerMinute":159,"maxSpeedInMetersPerSecond":4.152,"startingLatitudeInDegree":51.053232522681355,
    "startingLongitudeInDegree":-114.06880217604339,"steps":5022,"totalElevationGainInMeters":16.0,"totalElevationLossInMeters":22.0}"#;

#[test]
fn an_activity_is_read_in_full_with_its_id_for_other_providers() {
    let ride = activity("activities", RIDE);
    assert_eq!(ride.record_id, "x153a9f3-5a9478d4-6");
    let upstream = ride.upstream.unwrap();
    assert_eq!(upstream.provider, "garmin");
    assert_eq!(upstream.record_id.as_deref(), Some("14876543210987654321"), "an id of any size");
    assert_eq!((ride.name.as_str(), ride.sport_type.as_str()), ("Col", "GLACIER_GOLF"));
    assert_eq!(
        (ride.elapsed_time_s, ride.moving_time_s, ride.steps),
        (Some(1_789), None, Some(5_022))
    );
    assert_eq!((ride.distance_m, ride.energy_j), (Some(4_976.83), Some(1_535_528.0)));
    assert_eq!((ride.average_heart_rate_bpm, ride.max_heart_rate_bpm), (Some(144.0), Some(159.0)));
    assert_eq!((ride.average_speed_mps, ride.max_speed_mps), (Some(2.781), Some(4.152)));
    assert_eq!(ride.elevation_gain_m, Some(16.0));
    let start = Position { lat: 51.053_232_522_681_355, lon: -114.068_802_176_043_39 };
    assert_eq!(ride.start, Some(start));
}

#[test]
fn garmin_gives_an_offset_and_no_zone() {
    let ride = activity("activities", RIDE);
    assert_eq!(ride.start_at.to_rfc3339(), "2017-12-02T17:02:06+00:00");
    assert_eq!(ride.start_local.to_string(), "2017-12-02 10:02:06");
    assert_eq!((ride.zone, ride.utc_offset_s), (None, Some(-25_200)));
    let moved = r#"{"summaryId":"m","calendarDate":"2026-11-20","startTimeInSeconds":1763596800,"offsetInSeconds":20700,
        "durationInSeconds":720,"activityType":"Walking","activitySubType":"Hills"}"#;
    let moved = activity("moveIQActivities", moved);
    assert_eq!(
        moved.start_local.to_string(),
        "2025-11-20 05:45:00",
        "a quarter of an hour is an offset too"
    );
    assert_eq!((moved.utc_offset_s, moved.sport_type.as_str()), (Some(20_700), "Walking"));
    for (field, odd) in [("-25200", "\"MST\""), ("-25200", "99999999"), ("1512234126", "\"soon\"")]
    {
        assert!(read("activities", &RIDE.replace(field, odd)).is_err(), "{odd}");
    }
}

#[test]
fn what_an_activity_does_not_tell_is_none() {
    let bare = r#"{"summaryId":"a","startTimeInSeconds":1512234126,"startTimeOffsetInSeconds":0,"activityType":"OTHER",
        "averageHeartRateInBeatsPerMinute":0,"startingLatitudeInDegree":91.0,"startingLongitudeInDegree":7.0}"#;
    let bare = activity("activities", bare);
    assert_eq!((bare.start, bare.average_heart_rate_bpm, bare.distance_m), (None, None, None));
    assert_eq!((bare.upstream, bare.energy_j, bare.name.as_str()), (None, None, ""));
    for odd in [
        "{}",
        "[]",
        "7",
        r#"{"summaryId":"a","startTimeInSeconds":1,"startTimeOffsetInSeconds":0}"#,
    ] {
        assert!(read("activities", odd).is_err(), "{odd}");
    }
}

#[test]
fn a_day_of_23_hours_ends_when_it_ends() {
    let daily = r#"{"userId":"4aac","summaryId":"x1","calendarDate":"2026-03-29","activityType":"WALKING","activeKilocalories":321,
        "bmrKilocalories":1731,"steps":4210,"distanceInMeters":3146.5,"durationInSeconds":82800,"activeTimeInSeconds":12240,
        "startTimeInSeconds":1774738800,"startTimeOffsetInSeconds":3600,"moderateIntensityDurationInSeconds":81870,
        "vigorousIntensityDurationInSeconds":4530,"floorsClimbed":8,"minHeartRateInBeatsPerMinute":59,"averageHeartRateInBeatsPerMinute":64,
        "maxHeartRateInBeatsPerMinute":112,"restingHeartRateInBeatsPerMinute":0,"averageStressLevel":-1}"#;
    let day = day("dailies", daily);
    assert_eq!((day.day.to_string().as_str(), day.utc_offset_s), ("2026-03-29", Some(3_600)));
    assert_eq!(day.start_at.unwrap().to_rfc3339(), "2026-03-28T23:00:00+00:00");
    assert_eq!(day.end_at.unwrap().to_rfc3339(), "2026-03-29T22:00:00+00:00");
    let totals = day.totals;
    assert_eq!(
        (totals.steps, totals.distance_m, totals.floors),
        (Some(4_210), Some(3_146.5), Some(8))
    );
    assert_eq!(
        (totals.active_energy_j, totals.total_energy_j),
        (Some(1_343_064.0), Some(8_585_568.0))
    );
    assert_eq!((totals.active_s, totals.intense_s), (Some(12_240), Some(86_400)));
    assert_eq!((totals.average_heart_rate_bpm, totals.resting_heart_rate_bpm), (Some(64.0), None));
    assert_eq!(totals.average_stress, None, "less than nothing is not measured");
    assert_eq!(day.revision, Some(82_800));
}

#[test]
fn the_day_of_a_sleep_is_the_one_of_waking_and_what_is_final_outweighs_what_is_longer() {
    let night = |validation: &str, seconds: u32| {
        let raw = format!(
            r#"{{"summaryId":"s","calendarDate":"2026-01-10","durationInSeconds":{seconds},"unmeasurableSleepInSeconds":0,
             "startTimeInSeconds":1768001581,"startTimeOffsetInSeconds":7200,"deepSleepDurationInSeconds":11231,
             "lightSleepDurationInSeconds":3541,"remSleepInSeconds":600,"awakeDurationInSeconds":492,
             "validation":"{validation}","overallSleepScore":{{"value":87,"qualifierKey":"FAIR"}}}}"#
        );
        day("sleeps", &raw)
    };
    let enhanced = night("ENHANCED_FINAL", 15_864);
    assert_eq!(enhanced.day.to_string(), "2026-01-10");
    assert_eq!(enhanced.start_at.unwrap().to_rfc3339(), "2026-01-09T23:33:01+00:00");
    let totals = &enhanced.totals;
    assert_eq!(
        (totals.asleep_s, totals.awake_s, totals.sleep_score),
        (Some(15_372), Some(492), Some(87.0))
    );
    assert_eq!(
        (totals.deep_s, totals.light_s, totals.rem_s),
        (Some(11_231), Some(3_541), Some(600))
    );
    let order = [
        night("AUTO_TENTATIVE", 30_000),
        night("ENHANCED_TENTATIVE", 30_100),
        night("DEVICE", 15_000),
        night("AUTO_FINAL", 15_864),
        night("ENHANCED_FINAL", 15_000),
        enhanced,
        night("AUTO_MANUAL", 14_000),
    ];
    assert!(order.is_sorted_by_key(|night| night.revision), "{order:?}");
}

#[test]
fn a_night_ends_with_its_last_span_and_where_none_is_told_its_end_is_not_known() {
    let night = r#"{"summaryId":"s","calendarDate":"2026-01-10","durationInSeconds":14772,"startTimeInSeconds":1768001581,
        "startTimeOffsetInSeconds":7200,"awakeDurationInSeconds":492,"sleepLevelsMap":{
        "light":[{"startTimeInSeconds":1768001581,"endTimeInSeconds":1768009000}],
        "awake":[{"startTimeInSeconds":1768009000,"endTimeInSeconds":1768009492}],
        "deep":[{"startTimeInSeconds":1768009492,"endTimeInSeconds":1768016845}]}}"#;
    let end = |raw: &str| day("sleeps", raw).end_at;
    assert_eq!(end(night).unwrap().timestamp(), 1_768_016_845);
    assert_eq!(end(&night.replace("sleepLevelsMap", "naps")), None);
}

#[test]
fn grams_become_kilograms_to_the_last_digit() {
    let scale = r#"{"userId":"4aac","summaryId":"b1","measurementTimeInSeconds":1439741130,"measurementTimeOffsetInSeconds":3600,
        "muscleMassInGrams":25478,"boneMassInGrams":2437,"bodyWaterInPercent":59.4,"bodyFatInPercent":17.10000000000000142,
        "bodyMassIndex":23.025,"weightInGrams":75450}"#;
    let scale = measured("bodyComps", scale);
    assert_eq!(
        values(&scale),
        [
            ("weight", "", "75.45".to_owned()),
            ("muscle_mass", "", "25.478".to_owned()),
            ("bone_mass", "", "2.437".to_owned()),
            ("body_water", "", "59.4".to_owned()),
            ("body_fat", "", "17.10000000000000142".to_owned()),
            ("body_mass_index", "", "23.025".to_owned()),
        ]
    );
    assert_eq!(scale[0].measured_local.to_string(), "2015-08-16 17:05:30");
    assert_eq!((scale[0].zone.clone(), scale[0].utc_offset_s), (None, Some(3_600)));
    let alone = r#"{"summaryId":"b2","measurementTimeInSeconds":1439741130,"measurementTimeOffsetInSeconds":0,"weightInGrams":75001,"bodyFatInPercent":0}"#;
    assert_eq!(values(&measured("bodyComps", alone)), [("weight", "", "75.001".to_owned())]);
    let nothing = alone.replace("75001", "0");
    assert!(read("bodyComps", &nothing).is_err(), "a weighing of nothing is odd");
}

#[test]
fn a_blood_pressure_is_two_or_three_measurements() {
    let raw = r#"{"summaryId":"p","measurementTimeInSeconds":1439741130,"measurementTimeOffsetInSeconds":0,"systolic":120,"diastolic":80,"pulse":70,"sourceType":"MANUAL"}"#;
    let all = measured("bloodPressures", raw);
    assert_eq!(values(&all).len(), 3);
    assert_eq!(all[0].provenance["manual"], true);
    let two = measured("bloodPressures", &raw.replace(",\"pulse\":70", ""));
    assert_eq!(
        values(&two),
        [
            ("blood_pressure_systolic", "", "120".to_owned()),
            ("blood_pressure_diastolic", "", "80".to_owned())
        ]
    );
}

#[test]
fn metrics_have_a_date_and_claim_no_time_zone() {
    let raw = r#"{"summaryId":"843244-8cc1","calendarDate":"2017-03-23","vo2Max":48,"fitnessAge":32,"enhanced":true}"#;
    let metrics = measured("userMetrics", raw);
    assert_eq!(
        values(&metrics),
        [("vo2max", "", "48".to_owned()), ("fitness_age", "", "32".to_owned())]
    );
    assert_eq!(metrics[0].measured_local.to_string(), "2017-03-23 00:00:00");
    assert_eq!((metrics[0].utc_offset_s, metrics[0].provenance["enhanced"] == true), (None, true));
    let both = measured("userMetrics", &raw.replace("\"fitnessAge\"", "\"vo2MaxCycling\""));
    assert_eq!(both[1].discriminator, "cycling");
    assert_eq!(measured("userMetrics", r#"{"summaryId":"e","calendarDate":"2017-03-23"}"#), []);
}

proptest! {
    #[test]
    fn no_weight_loses_a_gram(grams in 1_u32..1_000_000) {
        let raw = format!(
            r#"{{"summaryId":"b","measurementTimeInSeconds":0,"measurementTimeOffsetInSeconds":0,"weightInGrams":{grams}}}"#
        );
        let weight = measured("bodyComps", &raw).remove(0).value;
        prop_assert_eq!(weight * rust_decimal::Decimal::ONE_THOUSAND, rust_decimal::Decimal::from(grams));
    }

    #[test]
    fn no_number_or_text_makes_a_reader_panic(value in "-?[0-9]{1,25}([.][0-9]{1,30})?(e[0-9]{1,3})?|\"[ -!#-~]{0,12}\"") {
        let filled = format!(
            r#"{{"summaryId":"x","calendarDate":{value},"startTimeInSeconds":{value},"startTimeOffsetInSeconds":{value},
                "measurementTimeInSeconds":{value},"measurementTimeOffsetInSeconds":{value},"durationInSeconds":{value},
                "startingLatitudeInDegree":{value},"activeKilocalories":{value},"validation":{value},"overallSleepScore":{value},
                "activityType":"RUNNING","weightInGrams":{value},"vo2Max":{value},"systolic":{value}}}"#
        );
        let real = filled.replace(&format!("\"calendarDate\":{value}"), "\"calendarDate\":\"2026-03-29\"");
        for stream in ["activities", "moveIQActivities", "dailies", "sleeps", "bodyComps", "bloodPressures", "userMetrics"] {
            for raw in [&filled, &real] {
                // Whether it can be read is for the other tests to say.
                let _record_or_reason = read(stream, raw);
            }
        }
    }
}
