use super::*;
use chrono::TimeDelta;

fn berlin() -> Profile {
    Profile { zone: Some("Europe/Berlin".to_owned()), offset_s: 0, since: None }
}

fn page<'a>(stream: &'a str, body: &'a str, context: &'a Value) -> Staged<'a> {
    Staged {
        provider: paceline_shared::Provider::Fitbit,
        stream,
        body: body.as_bytes(),
        context: Some(context),
    }
}

fn all(stream: &str, body: &str, profile: &Profile) -> Vec<Result<Vec<Record>, String>> {
    let context = profile.value();
    let page = page(stream, body, &context);
    let items = items(&page).unwrap();
    items.iter().map(|item| records(&page, item.raw).map_err(|e| e.0)).collect()
}

fn values(records: &[Record]) -> Vec<&Measurement> {
    records
        .iter()
        .map(|record| match record {
            Record::Measurement(measurement) => &**measurement,
            other => panic!("{other:?}"),
        })
        .collect()
}

const TWINS: &str = r#"{"weight":[
    {"bmi":23.57,"date":"2015-03-05","logId":1330991999000,"time":"23:59:59","weight":73,"source":"API"},
    {"bmi":22.57,"date":"2015-03-05","logId":1330991999000,"time":"21:10:59","weight":72.5,"source":"Withings"}]}"#;

#[test]
fn duplicate_identity_two_entries_of_one_log_id_are_two() {
    let profile = berlin();
    let context = profile.value();
    let page = page("weight", TWINS, &context);
    let ids: Vec<_> =
        items(&page).unwrap().into_iter().map(|i| i.glance.record_id.unwrap()).collect();
    assert_eq!(ids, ["1330991999000/2015-03-05T23:59:59", "1330991999000/2015-03-05T21:10:59"]);
    let read = all("weight", TWINS, &profile);
    let first = values(read[0].as_ref().unwrap())[0].clone();
    assert_eq!((first.value, first.measure), (73.into(), Measure::Weight));
    assert_eq!(first.record_id, ids[0]);
}

#[test]
fn duplicate_identity_what_a_withings_scale_reported_says_so() {
    let read = all("weight", TWINS, &berlin());
    assert_eq!(values(read[0].as_ref().unwrap())[0].upstream, None);
    let withings = values(read[1].as_ref().unwrap());
    assert!(withings.iter().all(|value| value.upstream.as_deref() == Some("withings")));
}

#[test]
fn numbers_keep_their_decimals() {
    let body = r#"{"fat":[{"date":"2012-03-05","fat":14.30000001,"logId":7,"time":"21:20:59","source":"Aria"}]}"#;
    let read = all("fat", body, &berlin());
    assert_eq!(values(read[0].as_ref().unwrap())[0].value, "14.30000001".parse().unwrap());
}

#[test]
fn local_times_without_a_zone_are_the_profiles() {
    let read = |date: &str, time: &str, profile: &Profile| {
        let body = format!(r#"{{"fat":[{{"date":"{date}","fat":14,"logId":1,"time":"{time}"}}]}}"#);
        let read = all("fat", &body, profile);
        let value = values(read[0].as_ref().unwrap())[0].clone();
        (
            value.measured_at.to_rfc3339(),
            value.measured_local.to_string(),
            value.utc_offset_s.unwrap(),
        )
    };
    let at = |text: &str, local: &str, offset| (text.to_owned(), local.to_owned(), offset);
    let profile = berlin();
    assert_eq!(
        read("2026-07-01", "08:00:00", &profile),
        at("2026-07-01T06:00:00+00:00", "2026-07-01 08:00:00", 7_200)
    );
    assert_eq!(
        read("2026-01-01", "08:00:00", &profile),
        at("2026-01-01T07:00:00+00:00", "2026-01-01 08:00:00", 3_600)
    );
    // Put back on 25 October at 3: half past two came twice. Put forward on 29 March at 2: it never came.
    assert_eq!(read("2026-10-25", "02:30:00", &profile).0, "2026-10-25T00:30:00+00:00");
    assert_eq!(read("2026-03-29", "02:30:00", &profile).0, "2026-03-29T01:30:00+00:00");
    let unknown = Profile { zone: None, offset_s: -18_000, since: None };
    assert_eq!(
        read("2026-07-01", "08:00:00", &unknown),
        at("2026-07-01T13:00:00+00:00", "2026-07-01 08:00:00", -18_000)
    );
}

#[test]
fn an_odd_entry_fails_alone_with_its_field() {
    let body = r#"{"weight":[{"date":"2015-13-05","logId":1,"time":"10:00:00","weight":70},
        {"date":"2015-03-05","logId":2,"time":"10:00:00","weight":"heavy"},
        {"date":"2015-03-05","logId":3,"time":"10:00:00"},
        {"date":"2015-03-05","logId":4,"time":"10:00:00","weight":70}]}"#;
    let read = all("weight", body, &berlin());
    let failed: Vec<_> = read.iter().map(|read| read.as_ref().err().map(String::as_str)).collect();
    let odd = |field: &'static str| Some(format!("{field} is missing or odd"));
    let failed: Vec<_> = failed.into_iter().map(|text| text.map(str::to_owned)).collect();
    assert_eq!(failed, [odd("date"), odd("weight"), odd("weight"), None]);
}

#[test]
fn empty_on_error_an_errors_body_is_no_empty_list() {
    for body in [
        r#"{"errors":[{"errorType":"system","message":"Too Many Requests"}],"success":false}"#,
        "<html>",
        "[]",
        "{}",
        "",
        r#"{"weight":null}"#,
        r#"{"weight":{}}"#,
    ] {
        for list in List::ALL {
            assert!(!is_whole(list)(body.as_bytes()), "{list:?} {body}");
        }
    }
    assert!(is_whole(List::Weight)(br#"{"weight":[]}"#));
    assert!(is_page(br#"{"activities":[],"pagination":{"next":""}}"#));
    assert!(!is_page(br#"{"activities":[]}"#));
}

const WALK: &str = r#"{"activityName":"Walk","activeDuration":1536000,"averageHeartRate":119,"calories":204,
    "distance":1.9,"distanceUnit":"Kilometer","duration":1600000,"elevationGain":3.048,"lastModified":"2019-01-04T19:31:15.000Z",
    "logId":19018673358,"startTime":"2019-01-03T12:08:29.000-08:00","steps":1799}"#;

fn activity(raw: &str) -> Result<paceline_shared::activity::Activity, String> {
    activity::read(raw, &berlin()).map_err(|error| error.0)
}

#[test]
fn an_activity_is_mapped_in_metres_seconds_and_joules() {
    let walk = activity(WALK).unwrap();
    assert_eq!((walk.record_id.as_str(), walk.sport_type.as_str()), ("19018673358", "Walk"));
    assert_eq!(
        (walk.distance_m, walk.moving_time_s, walk.elapsed_time_s),
        (Some(1_900.0), Some(1_536), Some(1_600))
    );
    assert_eq!((walk.energy_j, walk.steps), (Some(204.0 * 4_184.0), Some(1_799)));
    assert_eq!(walk.start_at.to_rfc3339(), "2019-01-03T20:08:29+00:00");
    assert_eq!(walk.start_local.to_string(), "2019-01-03 12:08:29");
    assert_eq!(walk.utc_offset_s, Some(-28_800));
    assert_eq!(walk.zone, None, "it was not walked where the profile is");
    let at_home = activity(&WALK.replace("-08:00", "+01:00")).unwrap();
    assert_eq!(at_home.zone.as_deref(), Some("Europe/Berlin"));
    assert_eq!(walk.revision, Some(1_546_630_275_000));
}

#[test]
fn numbers_a_mile_is_no_kilometre() {
    let miles = activity(&WALK.replace("Kilometer", "Mile")).unwrap();
    assert!((miles.distance_m.unwrap() - 3_057.753_6).abs() < 1e-6);
    assert_eq!(
        activity(&WALK.replace("Kilometer", "Furlong")).unwrap_err(),
        "distanceUnit is missing or odd"
    );
}

#[test]
fn a_night_belongs_to_the_day_on_which_it_ended() {
    let body = r#"{"sleep":[{"dateOfSleep":"2020-02-21","duration":27720000,"efficiency":96,"endTime":"2020-02-21T07:03:30.000",
        "isMainSleep":true,"levels":{"summary":{"deep":{"minutes":104},"light":{"minutes":205},"rem":{"minutes":75},"wake":{"minutes":78}}},
        "logId":26013218219,"minutesAsleep":384,"minutesAwake":78,"startTime":"2020-02-20T23:21:30.000","type":"stages"}]}"#;
    let read = all("sleep", body, &berlin());
    let Record::Day(night) = &read[0].as_ref().unwrap()[0] else { panic!("{read:?}") };
    assert_eq!(night.day.to_string(), "2020-02-21");
    assert_eq!(night.start_at.unwrap().to_rfc3339(), "2020-02-20T22:21:30+00:00");
    let totals = &night.totals;
    assert_eq!(
        (totals.asleep_s, totals.deep_s, totals.light_s, totals.rem_s),
        (Some(23_040), Some(6_240), Some(12_300), Some(4_500))
    );
    assert_eq!(totals.is_nap, Some(false));
    assert_eq!(
        night.end_at.unwrap() - night.start_at.unwrap(),
        TimeDelta::milliseconds(27_720_000)
    );
}

#[test]
fn a_profile_keeps_the_zone_and_no_name() {
    let body = br#"{"user":{"fullName":"Ann","timezone":"Europe/Berlin","offsetFromUTCMillis":3600000,"memberSince":"2014-05-01"}}"#;
    let profile = Profile::read(body).unwrap();
    assert_eq!(profile, Profile { since: "2014-05-01".parse().ok(), ..berlin() });
    assert!(!profile.value().to_string().contains("Ann"));
    let odd = br#"{"user":{"timezone":"Mars/Base","offsetFromUTCMillis":-18000000}}"#;
    assert_eq!(Profile::read(odd).unwrap(), Profile { zone: None, offset_s: -18_000, since: None });
    assert!(Profile::read(br#"{"errors":[]}"#).is_err());
}
