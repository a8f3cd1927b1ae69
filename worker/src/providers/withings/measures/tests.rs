use super::*;
use chrono::NaiveDateTime;
use proptest::prelude::*;

fn group(raw: &str) -> Box<RawValue> {
    RawValue::from_string(raw.to_owned()).unwrap()
}

/// The values of a page, each as (group, type, discriminator, value).
fn read(groups: &[&str]) -> Vec<(String, &'static str, String, String)> {
    all(groups)
        .into_iter()
        .map(|m| (m.record_id, m.measure.as_str(), m.discriminator, m.value.to_string()))
        .collect()
}

fn all(groups: &[&str]) -> Vec<Measurement> {
    let groups: Vec<_> = groups.iter().map(|raw| group(raw)).collect();
    let groups: Vec<&RawValue> = groups.iter().map(AsRef::as_ref).collect();
    let records = items(&groups)
        .into_iter()
        .flat_map(|item| records(&item, "Europe/Paris".parse().ok()).expect("a readable group"));
    records
        .map(|record| match record {
            Record::Measurement(measurement) => *measurement,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn weighed(id: u32, attrib: i64, date: i64, grams: i64) -> String {
    format!(
        r#"{{"grpid":{id},"attrib":{attrib},"date":{date},"created":1,"modified":2,"category":1,
             "deviceid":"d","measures":[{{"value":{grams},"type":1,"unit":-3}}],"model":"Body+","comment":null}}"#
    )
}

const DOCUMENTED: &str = r#"{"grpid":12,"attrib":0,"date":1594245600,"created":1594246600,"modified":1594257200,
  "category":1,"deviceid":"892359876fd8805ac45bab078c4828692f0276b1","hash_deviceid":"h",
  "measures":[{"value":65750,"type":1,"unit":-3,"algo":3425,"fm":1},{"value":215,"type":6,"unit":-1,"algo":3425,"fm":1}],
  "modelid":45,"model":"Thermo","comment":"A measurement comment"}"#;

#[test]
fn a_group_gives_a_value_of_each_type() {
    let values = all(&[DOCUMENTED]);
    assert_eq!(values.len(), 2);
    let weight = &values[0];
    assert_eq!((weight.measure, weight.value), (Measure::Weight, Decimal::new(65_750, 3)));
    assert_eq!((weight.record_id.as_str(), weight.discriminator.as_str()), ("12/1594245600", ""));
    assert_eq!(weight.measured_at.timestamp(), 1_594_245_600);
    assert_eq!(weight.measured_local, "2020-07-09T00:00:00".parse::<NaiveDateTime>().unwrap());
    assert_eq!((weight.zone.as_deref(), weight.utc_offset_s), (Some("Europe/Paris"), Some(7_200)));
    assert_eq!(
        weight.provenance,
        serde_json::json!({ "device": "892359876fd8805ac45bab078c4828692f0276b1", "model": "Thermo",
            "algorithm": 3425, "attribution": 0, "manual": false })
    );
    assert_eq!((values[1].measure, values[1].value), (Measure::BodyFat, Decimal::new(215, 1)));
}

#[test]
fn values_are_decimals_and_never_floats() {
    for (value, unit, expected) in [
        ("65750", "-3", "65.750"),
        ("7", "0", "7"),
        ("1", "-4", "0.0001"),
        ("123456789012345678", "-4", "12345678901234.5678"),
        ("-5", "-1", "-0.5"),
        ("3", "2", "300"),
        ("\"36\"", "\"-1\"", "3.6"),
    ] {
        let raw = format!(
            r#"{{"grpid":1,"attrib":0,"date":5,"measures":[{{"value":{value},"type":1,"unit":{unit}}}]}}"#
        );
        assert_eq!(read(&[&raw])[0].3, expected, "{value} {unit}");
    }
}

#[test]
fn every_type_of_the_table_is_a_measure_and_others_are_left_out() {
    let numbers: Vec<String> = types().split(',').map(str::to_owned).collect();
    assert_eq!(numbers.len(), 35);
    let measures: Vec<String> =
        numbers.iter().map(|n| format!(r#"{{"value":1,"type":{n},"unit":0}}"#)).collect();
    let raw = format!(
        r#"{{"grpid":1,"attrib":0,"date":5,"measures":[{},{{"value":"?","type":4711,"unit":0}}]}}"#,
        measures.join(",")
    );
    let read = read(&[&raw]);
    assert_eq!(read.len(), 35);
    let keys: HashSet<_> = read.iter().map(|(_, what, at, _)| (what, at)).collect();
    assert_eq!(keys.len(), 35, "each has a key of its own");
    let only_new =
        r#"{"grpid":1,"attrib":0,"date":5,"measures":[{"value":1,"type":4711,"unit":0}]}"#;
    assert_eq!(all(&[only_new]), []);
}

#[test]
fn a_position_is_part_of_the_key() {
    let raw = r#"{"grpid":9,"attrib":0,"date":5,"measures":[
        {"value":80,"type":173,"unit":-1,"position":10},{"value":81,"type":173,"unit":-1,"position":11},
        {"value":1,"type":197,"unit":0},{"value":2,"type":198,"unit":0}]}"#;
    let at: Vec<_> = read(&[raw]).into_iter().map(|(_, what, at, _)| (what, at)).collect();
    let expected = [
        ("segmental_fat_free_mass", "10"),
        ("segmental_fat_free_mass", "11"),
        ("electrodermal_activity", "left_foot"),
        ("electrodermal_activity", "right_foot"),
    ];
    assert_eq!(at, expected.map(|(what, at)| (what, at.to_owned())));
    assert_eq!(all(&[raw])[0].provenance["position"], "left_leg");
}

#[test]
fn a_measure_of_an_ambiguous_user_and_a_goal_are_ignored() {
    let goal = r#"{"grpid":3,"attrib":0,"date":5,"category":2,"measures":[{"value":60,"type":1,"unit":0}]}"#;
    let (ambiguous, mine) = (weighed(1, 1, 5, 70_000), weighed(2, 0, 5, 71_000));
    let read = read(&[&ambiguous, goal, &mine]);
    assert_eq!(read, [("2/5".to_owned(), "weight", String::new(), "71.000".to_owned())]);
    let groups = [group(&ambiguous), group(goal), group(&mine)];
    let groups: Vec<&RawValue> = groups.iter().map(AsRef::as_ref).collect();
    let ids: Vec<_> = items(&groups).into_iter().map(|item| item.glance.record_id).collect();
    assert_eq!(ids, [None, None, Some("2/5".to_owned())], "what was stored of them before is gone");
}

#[test]
fn one_grpid_twice_with_different_attrib_is_one_measure_the_better_one() {
    for attribs in [[2, 0], [0, 2], [8, 5], [4, 7]] {
        let values = attribs.map(|attrib| weighed(7, attrib, 5, 70_000 + attrib));
        let groups = values.each_ref().map(|raw| group(raw));
        let groups: Vec<&RawValue> = groups.iter().map(AsRef::as_ref).collect();
        let items = items(&groups);
        assert_eq!(items[0].glance.distinct, items[1].glance.distinct, "the second is a duplicate");
        let best = attribs.into_iter().min_by_key(|attrib| rank(Some(*attrib))).unwrap();
        assert!(items[0].raw.contains(&format!(r#""attrib":{best}"#)), "{attribs:?}");
    }
    assert_eq!(
        [0, 8, 7, 5, 2, 4, 15].map(|attrib| rank(Some(attrib)).unwrap()),
        [0, 1, 2, 3, 4, 5, 6]
    );
    assert_eq!(rank(Some(1)), None);
}

#[test]
fn an_ambiguous_twin_takes_nothing_from_the_certain_one() {
    let (ambiguous, certain) = (weighed(7, 1, 5, 70_000), weighed(7, 0, 5, 71_000));
    assert_eq!(read(&[&ambiguous, &certain])[0].3, "71.000");
}

#[test]
fn what_only_the_worse_twin_has_is_kept() {
    let better = r#"{"grpid":7,"attrib":0,"date":5,"measures":[{"value":70,"type":1,"unit":0}]}"#;
    let worse = r#"{"grpid":7,"attrib":2,"date":5,"measures":[{"value":71,"type":1,"unit":0},{"value":20,"type":6,"unit":0}]}"#;
    for groups in [[better, worse], [worse, better]] {
        let read: Vec<_> =
            read(&groups).into_iter().map(|(_, what, _, value)| (what, value)).collect();
        assert_eq!(read, [("weight", "70".to_owned()), ("body_fat", "20".to_owned())]);
    }
}

#[test]
fn three_groups_with_the_same_grpid_are_three_measures() {
    let raw = [weighed(7, 0, 5, 70_000), weighed(7, 0, 6, 70_100), weighed(7, 0, 7, 70_200)];
    let read = read(&raw.each_ref().map(String::as_str));
    let ids: Vec<_> = read.iter().map(|(id, ..)| id.as_str()).collect();
    assert_eq!(ids, ["7/5", "7/6", "7/7"], "one of them can be deleted or moved alone");
}

#[test]
fn an_odd_group_fails_alone() {
    let odd = [
        r#"{"attrib":0,"date":5,"measures":[]}"#,
        r#"{"grpid":1,"attrib":0,"measures":[]}"#,
        r#"{"grpid":1,"attrib":0,"date":5}"#,
        r#"{"grpid":1,"attrib":0,"date":5,"measures":[{"value":"heavy","type":1,"unit":0}]}"#,
        r#"{"grpid":1,"attrib":0,"date":5,"measures":[{"value":1,"type":1,"unit":-400}]}"#,
        r#"{"grpid":1,"attrib":0,"date":5,"measures":[{"value":1,"type":1}]}"#,
        r#"{"grpid":1,"attrib":"?","date":5,"measures":[]}"#,
        r#"{"grpid":1,"attrib":0,"date":1e300,"measures":[]}"#,
        "[]",
        "7",
    ];
    let good = weighed(2, 0, 5, 70_000);
    for odd in odd {
        let groups = [group(odd), group(&good)];
        let groups: Vec<&RawValue> = groups.iter().map(AsRef::as_ref).collect();
        let items = items(&groups);
        assert!(records(&items[0], "UTC".parse().ok()).is_err(), "{odd}");
        assert_eq!(records(&items[1], "UTC".parse().ok()).unwrap().len(), 1, "{odd}");
    }
}

#[test]
fn without_a_zone_nobody_guesses_the_local_time() {
    let raw = weighed(2, 0, 5, 70_000);
    let item = Item { raw: &raw, glance: Glance::default() };
    assert!(records(&item, None).is_err());
}

#[test]
fn local_times_follow_daylight_saving() {
    // An hour before and after the clocks of Paris went back.
    let raw = [weighed(1, 0, 1_729_987_200, 70_000), weighed(2, 0, 1_729_994_400, 70_000)];
    let values = all(&raw.each_ref().map(String::as_str));
    let local =
        values.iter().map(|m| (m.measured_local.to_string(), m.utc_offset_s)).collect::<Vec<_>>();
    assert_eq!(
        local,
        [
            ("2024-10-27 02:00:00".to_owned(), Some(7_200)),
            ("2024-10-27 03:00:00".to_owned(), Some(3_600))
        ]
    );
}

proptest! {
    #[test]
    fn no_digit_of_a_value_is_lost(mantissa in any::<i64>(), exponent in -20_i64..=6) {
        let value = scaled(Decimal::from(mantissa), exponent).unwrap();
        let back = scaled(value, -exponent).unwrap();
        prop_assert_eq!(back, Decimal::from(mantissa));
        if exponent <= 0 {
            prop_assert_eq!(value.mantissa(), i128::from(mantissa));
            prop_assert_eq!(i64::from(value.scale()), -exponent);
        }
    }

    #[test]
    fn no_text_makes_reading_panic(raw in "\\PC{0,80}", exponent in any::<i64>()) {
        let item = Item { raw: &raw, glance: Glance::default() };
        let _unreadable = records(&item, None);
        let _too_far = scaled(Decimal::MAX, exponent);
    }
}
