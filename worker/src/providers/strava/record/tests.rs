use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

/// An activity with every documented field, as Strava's list has it.
fn sample() -> Value {
    json!({
        "resource_state": 2, "athlete": {"id": 134_815, "resource_state": 1}, "name": "Happy Friday",
        "distance": 24931.4, "moving_time": 4500, "elapsed_time": 4500, "total_elevation_gain": 0,
        "type": "Ride", "sport_type": "MountainBikeRide", "workout_type": null,
        "id": 154_504_250_376_823_u64, "external_id": "garmin_push_12345678987654321",
        "upload_id": 12345, "start_date": "2018-05-02T12:15:09Z",
        "start_date_local": "2018-05-02T05:15:09Z",
        "timezone": "(GMT-08:00) America/Los_Angeles", "utc_offset": -25200.0,
        "start_latlng": [37.83, -122.26], "end_latlng": [37.84, -122.27], "location_city": null,
        "map": {"id": "a12345678987654321", "summary_polyline": null, "resource_state": 2},
        "trainer": true, "manual": false, "private": false, "gear_id": "b12345678987654321",
        "average_speed": 5.54, "max_speed": 11, "average_watts": 175.3, "has_heartrate": true,
        "average_heartrate": 140.3, "max_heartrate": 178.0, "pr_count": 0, "suffer_score": 82.0
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut activity = sample();
    activity[field] = value;
    activity
}

fn without(field: &str) -> Value {
    let mut activity = sample();
    activity.as_object_mut().unwrap().remove(field);
    activity
}

fn mapped(activity: &Value) -> Activity {
    read(&activity.to_string()).unwrap()
}

fn refused(activity: &Value) -> String {
    read(&activity.to_string()).unwrap_err().0
}

fn glanced(activity: &Value) -> Glance {
    let page = json!([activity]).to_string();
    items(page.as_bytes()).unwrap().remove(0).glance
}

fn garmin(id: &str) -> Upstream {
    Upstream { provider: "garmin".to_owned(), record_id: Some(id.to_owned()) }
}

#[test]
fn an_upload_from_garmin_names_the_activity_there() {
    let from = |external_id: Value| mapped(&with("external_id", external_id)).upstream;
    assert_eq!(from(json!("garmin_push_42")), Some(garmin("42")));
    assert_eq!(from(json!("garmin_ping_42")), Some(garmin("42")));
    for other in [
        json!("garmin_push_2015-11-20-07-30-00"),
        json!("garmin_push_"),
        json!("morning.fit"),
        Value::Null,
    ] {
        assert_eq!(from(other.clone()), None, "{other}");
    }
}

#[test]
fn a_whole_activity_is_mapped() {
    let expected = Activity {
        record_id: "154504250376823".to_owned(),
        name: "Happy Friday".to_owned(),
        sport_type: "MountainBikeRide".to_owned(),
        distance_m: Some(24931.4),
        moving_time_s: Some(4500),
        elapsed_time_s: Some(4500),
        elevation_gain_m: Some(0.0),
        average_speed_mps: Some(5.54),
        max_speed_mps: Some(11.0),
        average_heart_rate_bpm: Some(140.3),
        max_heart_rate_bpm: Some(178.0),
        start_at: "2018-05-02T12:15:09Z".parse().unwrap(),
        start_local: "2018-05-02T05:15:09".parse().unwrap(),
        zone: Some("America/Los_Angeles".to_owned()),
        utc_offset_s: Some(-25200),
        start: Some(Position { lat: 37.83, lon: -122.26 }),
        end: Some(Position { lat: 37.84, lon: -122.27 }),
        energy_j: None,
        steps: None,
        upstream: Some(garmin("12345678987654321")),
        revision: None,
    };
    assert_eq!(mapped(&sample()), expected);
}

#[test]
fn ids_beyond_64_bits_harm_nothing() {
    let raw =
        sample().to_string().replace("\"upload_id\":12345", "\"upload_id\":987654321234567891234");
    assert!(raw.contains("987654321234567891234"));
    assert!(read(&raw).is_ok());
    let raw = raw.replace("\"id\":154504250376823", "\"id\":987654321234567891234");
    assert_eq!(read(&raw).unwrap().record_id, "987654321234567891234");
    assert_eq!(mapped(&with("id", json!("abc-1"))).record_id, "abc-1");
}

#[test]
fn a_local_time_that_wears_a_z_is_no_instant() {
    let summer = mapped(&sample());
    assert_eq!(summer.start_local - summer.start_at.naive_utc(), TimeDelta::hours(-7));
    let zone: chrono_tz::Tz = summer.zone.unwrap().parse().unwrap();
    assert_eq!(summer.start_at.with_timezone(&zone).naive_local(), summer.start_local);
}

#[test]
fn the_offset_is_the_one_in_force_not_the_zones_text() {
    assert_eq!(mapped(&sample()).utc_offset_s, Some(-7 * 3600), "the text says -08:00");
    assert_eq!(mapped(&without("utc_offset")).utc_offset_s, Some(-7 * 3600), "local minus UTC");
}

#[test]
fn a_missing_local_time_follows_from_the_offset_or_the_zone() {
    let five = "2018-05-02T05:15:09".parse().unwrap();
    let mut activity = without("start_date_local");
    assert_eq!(mapped(&activity).start_local, five);
    activity["utc_offset"] = Value::Null;
    assert_eq!(mapped(&activity).start_local, five);
    activity["timezone"] = Value::Null;
    assert_eq!(refused(&activity), "start_date_local is missing or odd");
}

#[test]
fn no_position_comes_in_many_forms() {
    for none in [
        json!(null),
        json!([]),
        json!([91.0, 0.0]),
        json!([0.0, 181.0]),
        json!([1.0]),
        json!([1.0, 2.0, 3.0]),
        json!([null, null]),
        json!(["1", "2"]),
        json!({}),
        json!("here"),
    ] {
        let activity = with("start_latlng", none);
        assert_eq!((mapped(&activity).start, glanced(&activity).start), (None, None), "{activity}");
        assert!(mapped(&activity).end.is_some());
    }
    assert_eq!(mapped(&without("start_latlng")).start, None);
    let edge = mapped(&with("start_latlng", json!([0, -180])));
    assert_eq!(edge.start, Some(Position { lat: 0.0, lon: -180.0 }));
    assert_eq!(
        mapped(&with("start_latlng", json!([0, 0]))).start,
        Some(Position { lat: 0.0, lon: 0.0 })
    );
}

#[test]
fn an_unknown_sport_passes_and_the_older_field_stands_in() {
    assert_eq!(
        mapped(&with("sport_type", json!("Underwater Hockey"))).sport_type,
        "Underwater Hockey"
    );
    for older in
        [without("sport_type"), with("sport_type", json!(null)), with("sport_type", json!(""))]
    {
        assert_eq!(mapped(&older).sport_type, "Ride");
        assert_eq!(glanced(&older).sport_type.as_deref(), Some("Ride"));
    }
    let mut neither = without("sport_type");
    neither["type"] = json!(7);
    assert_eq!(refused(&neither), "sport_type is missing or odd");
    assert_eq!(glanced(&neither).sport_type, None);
}

#[test]
fn a_zone_that_does_not_exist_is_absent() {
    for odd in [json!("(GMT+00:00) Atlantis/Capital"), json!(""), json!(null), json!(3)] {
        assert_eq!(mapped(&with("timezone", odd)).zone, None);
    }
    let plain = mapped(&with("timezone", json!("Europe/Berlin")));
    assert_eq!(plain.zone.as_deref(), Some("Europe/Berlin"));
    let escaped = sample().to_string().replace("America/Los", "America\\/Los");
    assert_eq!(read(&escaped).unwrap().zone.as_deref(), Some("America/Los_Angeles"));
}

#[test]
fn numbers_that_cannot_be_are_absent_and_other_types_are_refused() {
    for field in [
        "distance",
        "moving_time",
        "elapsed_time",
        "total_elevation_gain",
        "average_speed",
        "max_speed",
        "average_heartrate",
        "max_heartrate",
    ] {
        for absent in ["null", "-1", "-0.001", "1e400", "-1e400"] {
            let raw = sample().to_string();
            let old = format!("\"{field}\":{}", sample()[field]);
            assert!(raw.contains(&old), "{old}");
            let raw = raw.replace(&old, &format!("\"{field}\":{absent}"));
            let activity = read(&raw).unwrap();
            let numbers = [
                activity.distance_m.is_some(),
                activity.moving_time_s.is_some(),
                activity.elapsed_time_s.is_some(),
                activity.elevation_gain_m.is_some(),
                activity.average_speed_mps.is_some(),
                activity.max_speed_mps.is_some(),
                activity.average_heart_rate_bpm.is_some(),
                activity.max_heart_rate_bpm.is_some(),
            ];
            assert_eq!(numbers.iter().filter(|there| !**there).count(), 1, "{field}: {absent}");
        }
        for odd in [json!("12"), json!(true), json!([]), json!({})] {
            assert_eq!(refused(&with(field, odd)), format!("{field} is missing or odd"));
        }
    }
    assert_eq!(mapped(&with("moving_time", json!(59.6))).moving_time_s, Some(60));
    assert_eq!(mapped(&with("moving_time", json!(3_000_000_000_u64))).moving_time_s, None);
    assert_eq!(mapped(&with("max_speed", json!(1e300))).max_speed_mps, None);
    assert_eq!(mapped(&with("average_heartrate", json!(0))).average_heart_rate_bpm, None);
}

#[test]
fn a_name_may_be_missing_and_may_be_anything() {
    assert_eq!(mapped(&without("name")).name, "");
    assert_eq!(mapped(&with("name", json!(null))).name, "");
    assert_eq!(mapped(&with("name", json!("\"Läuft\" 🏃\n"))).name, "\"Läuft\" 🏃\n");
    assert_eq!(refused(&with("name", json!(5))), "name is missing or odd");
}

#[test]
fn without_an_id_or_a_start_nothing_can_be_stored() {
    for odd in [json!(null), json!(""), json!(-5), json!(1.5), json!({}), json!(true)] {
        assert_eq!(refused(&with("id", odd.clone())), "id is missing or odd");
        assert_eq!(glanced(&with("id", odd)).record_id, None);
    }
    for odd in
        [json!(null), json!("yesterday"), json!(1_525_263_309), json!("2018-13-02T12:15:09Z")]
    {
        assert_eq!(refused(&with("start_date", odd.clone())), "start_date is missing or odd");
        assert_eq!(glanced(&with("start_date", odd)).start_at, None);
    }
}

#[test]
fn an_item_that_is_no_object_is_still_an_item() {
    let page = r#"[7, null, "x", [1,"a","b","c","2018-05-02T12:15:09Z",[1,2]], {"id":1,"id":2}, {"id": 3}]"#;
    let items = items(page.as_bytes()).unwrap();
    let ids: Vec<_> = items.iter().map(|item| item.glance.record_id.as_deref()).collect();
    assert_eq!(ids, [None, None, None, None, None, Some("3")]);
    assert!(items.iter().all(|item| read(item.raw).is_err()));
    assert_eq!(items[5].raw, r#"{"id": 3}"#);
}

#[test]
fn a_body_that_is_no_array_is_no_page() {
    for body in ["{\"message\":\"Record Not Found\"}", "<html>", "", "[{}", "[1,2"] {
        assert!(items(body.as_bytes()).is_err(), "{body}");
    }
    assert!(items(b"[]").unwrap().is_empty());
}

/// JSON of any type, as odd as it gets.
fn anything() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        Just(json!([])),
        Just(json!({})),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        ".{0,12}".prop_map(|value| json!(value)),
        prop::collection::vec(any::<f64>(), 0..4).prop_map(|value| json!(value)),
    ]
}

proptest! {
    #[test]
    fn oddities_never_panic_and_glance_and_read_agree(
        odd in prop::collection::btree_map(
            prop::sample::select(sample().as_object().unwrap().keys().cloned().collect::<Vec<_>>()),
            prop::option::of(anything()),
            0..8,
        )
    ) {
        let mut activity = sample();
        for (field, value) in odd {
            match value {
                Some(value) => activity[&field] = value,
                None => { activity.as_object_mut().unwrap().remove(&field); }
            }
        }
        let glance = glanced(&activity);
        if let Ok(read) = read(&activity.to_string()) {
            prop_assert_eq!(Some(read.record_id), glance.record_id);
            prop_assert_eq!(Some(read.sport_type), glance.sport_type);
            prop_assert_eq!(Some(read.start_at), glance.start_at);
            prop_assert_eq!(read.start, glance.start);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(raw in ".{0,80}") {
        let _ = read(&raw);
        let _ = items(raw.as_bytes());
    }

    #[test]
    fn what_is_well_formed_is_mapped_exactly(
        id in any::<u64>(),
        name in any::<String>(),
        sport in "[A-Z][A-Za-z]{1,20}",
        distance in 0.0..1e7_f64,
        (moving, elapsed) in (0..i32::MAX, 0..i32::MAX),
        (speed, pulse) in (0.0..100.0_f32, 1.0..250.0_f32),
        start in 0..4_102_444_800_i64,
        offset in (-12 * 4..=14 * 4_i32).prop_map(|quarters| quarters * 900),
        (lat, lon) in (-90.0..=90.0_f64, -180.0..=180.0_f64),
    ) {
        let start_at = DateTime::from_timestamp(start, 0).unwrap();
        let start_local = start_at.naive_utc() + TimeDelta::seconds(offset.into());
        let mut json = sample();
        for (field, value) in [
            ("id", json!(id)), ("name", json!(name)), ("sport_type", json!(sport)),
            ("distance", json!(distance)), ("moving_time", json!(moving)),
            ("elapsed_time", json!(elapsed)), ("average_speed", json!(speed)),
            ("average_heartrate", json!(pulse)),
            ("start_date", json!(start_at.format("%FT%TZ").to_string())),
            ("start_date_local", json!(start_local.format("%FT%TZ").to_string())),
            ("utc_offset", json!(f64::from(offset))), ("start_latlng", json!([lat, lon])),
        ] {
            json[field] = value;
        }
        let read = mapped(&json);
        prop_assert_eq!(read.record_id, id.to_string());
        prop_assert_eq!((read.name, read.sport_type), (name, sport));
        prop_assert_eq!(read.distance_m, Some(distance));
        prop_assert_eq!((read.moving_time_s, read.elapsed_time_s), (Some(moving), Some(elapsed)));
        prop_assert_eq!(
            (read.average_speed_mps, read.average_heart_rate_bpm), (Some(speed), Some(pulse)));
        prop_assert_eq!((read.start_at, read.start_local), (start_at, start_local));
        prop_assert_eq!(read.utc_offset_s, Some(offset));
        prop_assert_eq!(read.start, Some(Position { lat, lon }));
    }
}
