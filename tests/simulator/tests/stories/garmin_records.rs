//! Garmin's summaries: what they say, whose they are, and where they were made.

use std::collections::BTreeSet;

use paceline_simulator::{GarminPopulation, GarminType};

use crate::client::World;
use crate::garmin_pull::by_id;

#[tokio::test]
async fn two_users_share_summary_ids_and_so_do_two_types_of_one_user() {
    let world = World::new().await;
    let (first, _) = world.garmin_user();
    let (second, _) = world.garmin_user();
    let (third, _) = world.garmin_user();
    let ids =
        |user: &str, of| -> BTreeSet<String> { by_id(world.truth(user, of)).into_keys().collect() };
    let of = GarminType::Dailies;
    assert!(ids(&first, of).intersection(&ids(&second, of)).count() > 300);
    assert_eq!(ids(&first, of).intersection(&ids(&third, of)).count(), 0);
    let metrics = ids(&first, GarminType::UserMetrics);
    assert!(ids(&first, of).intersection(&metrics).count() > 100);
    let activities = ids(&first, GarminType::Activities);
    assert_eq!(activities.intersection(&ids(&second, GarminType::Activities)).count(), 0);
}

#[tokio::test]
async fn a_traveller_has_offsets_of_several_zones_and_never_a_zone() {
    let world = World::new().await;
    let until = "2026-11-01".parse().ok();
    let population =
        GarminPopulation { seed: Some(4), years: 2, until, ..GarminPopulation::default() };
    let id = world.sim().add_garmin_user(&population).unwrap();
    let dailies = world.truth(&id, GarminType::Dailies);
    let offsets: BTreeSet<i64> =
        dailies.iter().map(|day| day["startTimeOffsetInSeconds"].as_i64().unwrap()).collect();
    assert!(offsets.len() > 2, "{offsets:?}");
    for day in &dailies {
        // A day begins at midnight on the wall.
        let at = day["startTimeInSeconds"].as_i64().unwrap();
        let east_s = day["startTimeOffsetInSeconds"].as_i64().unwrap();
        let wall = chrono::DateTime::from_timestamp(at + east_s, 0).unwrap().naive_utc();
        assert_eq!(day["calendarDate"], wall.date().to_string(), "{day}");
    }
    for night in world.truth(&id, GarminType::Sleeps) {
        let text = night.to_string();
        assert!(!text.contains("Europe/") && !text.contains("America/"), "{text}");
    }
}

#[tokio::test]
async fn the_same_seed_is_the_same_history_and_every_record_has_its_documented_fields() {
    let population =
        GarminPopulation { seed: Some(9), activities: 200, ..GarminPopulation::default() };
    let (one, other) = (World::new().await, World::new().await);
    let id = one.sim().add_garmin_user(&population).unwrap();
    assert_eq!(other.sim().add_garmin_user(&population).unwrap(), id);
    for (of, always, sometimes) in [
        (
            GarminType::Activities,
            "activityId activityName activityType startTimeInSeconds startTimeOffsetInSeconds \
             durationInSeconds deviceName activeKilocalories isWebUpload",
            "distanceInMeters averageHeartRateInBeatsPerMinute averageRunCadenceInStepsPerMinute \
             averageSpeedInMetersPerSecond averagePaceInMinutesPerKilometer startingLatitudeInDegree \
             maxHeartRateInBeatsPerMinute maxPaceInMinutesPerKilometer startingLongitudeInDegree \
             maxRunCadenceInStepsPerMinute maxSpeedInMetersPerSecond steps activityDescription \
             averageBikeCadenceInRoundsPerMinute maxBikeCadenceInRoundsPerMinute \
             averageSwimCadenceInStrokesPerMinute numberOfActiveLengths \
             totalElevationGainInMeters totalElevationLossInMeters",
        ),
        (
            GarminType::ManuallyUpdatedActivities,
            "activityId activityType startTimeInSeconds durationInSeconds manual deviceName",
            "distanceInMeters",
        ),
        (
            GarminType::MoveIQActivities,
            "calendarDate startTimeInSeconds offsetInSeconds durationInSeconds activityType \
             activitySubType",
            "",
        ),
        (
            GarminType::Dailies,
            "calendarDate activityType startTimeInSeconds startTimeOffsetInSeconds \
             durationInSeconds steps distanceInMeters activeTimeInSeconds activeKilocalories \
             bmrKilocalories moderateIntensityDurationInSeconds vigorousIntensityDurationInSeconds \
             floorsClimbed averageStressLevel maxStressLevel stressDurationInSeconds \
             restStressDurationInSeconds activityStressDurationInSeconds lowStressDurationInSeconds \
             mediumStressDurationInSeconds highStressDurationInSeconds stressQualifier stepsGoal \
             intensityDurationGoalInSeconds floorsClimbedGoal bodyBatteryChargedValue",
            "restingHeartRateInBeatsPerMinute minHeartRateInBeatsPerMinute consumedCalories \
             averageHeartRateInBeatsPerMinute maxHeartRateInBeatsPerMinute netKilocaloriesGoal \
             timeOffsetHeartRateSamples",
        ),
        (
            GarminType::Sleeps,
            "calendarDate startTimeInSeconds startTimeOffsetInSeconds durationInSeconds \
             unmeasurableSleepInSeconds deepSleepDurationInSeconds lightSleepDurationInSeconds \
             remSleepInSeconds awakeDurationInSeconds sleepLevelsMap validation \
             timeOffsetSleepRespiration timeOffsetSleepSpo2 overallSleepScore sleepScores naps",
            "",
        ),
        (
            GarminType::BodyComps,
            "measurementTimeInSeconds measurementTimeOffsetInSeconds weightInGrams",
            "muscleMassInGrams boneMassInGrams bodyWaterInPercent bodyFatInPercent bodyMassIndex",
        ),
        (
            GarminType::BloodPressures,
            "measurementTimeInSeconds measurementTimeOffsetInSeconds systolic diastolic sourceType",
            "pulse",
        ),
        (GarminType::UserMetrics, "calendarDate enhanced", "vo2Max vo2MaxCycling fitnessAge"),
    ] {
        let records = one.truth(&id, of);
        assert_eq!(records, other.truth(&id, of), "{of:?}");
        for record in &records {
            assert_eq!(record["userId"], id);
            assert!(record.as_object().unwrap().values().all(|value| !value.is_null()), "{record}");
            for field in always.split_whitespace() {
                assert!(record.get(field).is_some(), "{of:?} {field}: {record}");
            }
        }
        for field in sometimes.split_whitespace() {
            assert!(records.iter().any(|record| record.get(field).is_some()), "{of:?} {field}");
        }
    }
}
