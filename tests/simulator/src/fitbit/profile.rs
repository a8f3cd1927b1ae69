//! The user as Fitbit tells of them: above all the time zone, which no other answer has.

use serde_json::{Value, json};

use super::units::Units;
use super::user::User;
use super::{body, walltime};
use crate::numbers::round_to;

/// Body of `profile.json`; `now` in Unix seconds.
pub(super) fn profile(user: &User, units: Units, now: i64) -> Value {
    let person = &user.person;
    let home = user.home();
    let system = match home.country {
        "United States" => "en_US",
        "United Kingdom" => "en_GB",
        _ => "METRIC",
    };
    let height_cm = body::height_m(person) * 100.0;
    let (length, mass) = match units {
        Units::Metric => (1.0, 1.0),
        Units::American => (1.0 / 2.54, 2.204_622_621_8),
        Units::British => (1.0, 0.157_473_044),
    };
    let long = |cm: f64| body::number(round_to(cm * length, 1));
    let picture =
        |size: u32| format!("https://static0.fitbit.com/images/profile/defaultProfile_{size}.png");
    let name = format!("{} {}", person.first_name, person.last_name);
    let mut profile = json!({
        "aboutMe": "",
        "age": 38,
        "ambassador": false,
        "autoStrideEnabled": true,
        "avatar": picture(100),
        "avatar150": picture(150),
        "avatar640": picture(640),
        "averageDailySteps": 8_214,
        "challengesBeta": true,
        "city": home.city,
        "clockTimeDisplayFormat": if system == "en_US" { "12hour" } else { "24hour" },
        "corporate": false,
        "corporateAdmin": false,
        "country": home.country,
        "dateOfBirth": "1988-03-05",
        "displayName": name,
        "displayNameSetting": "name",
        "distanceUnit": system,
        "encodedId": user.id,
        "features": { "exerciseGoal": true },
        "firstName": person.first_name,
        "foodsLocale": "en_US",
        "fullName": name,
    });
    let more = json!({
        "gender": if person.sex == "F" { "FEMALE" } else { "MALE" },
        "glucoseUnit": system,
        "height": long(height_cm),
        "heightUnit": system,
        "isBugReportEnabled": false,
        "isChild": false,
        "isCoach": false,
        "languageLocale": "en_US",
        "lastName": person.last_name,
        "legalTermsAcceptRequired": false,
        "locale": "en_US",
        "memberSince": "2012-03-05",
        "mfaEnabled": false,
        "offsetFromUTCMillis": walltime::offset_s(home.zone, now) * 1000,
        "sdkDeveloper": false,
        "sleepTracking": "Normal",
        "startDayOfWeek": "MONDAY",
        "state": home.state,
        "strideLengthRunning": long(height_cm * 0.62),
        "strideLengthRunningType": "auto",
        "strideLengthWalking": long(height_cm * 0.414),
        "strideLengthWalkingType": "auto",
        "swimUnit": system,
        "temperatureUnit": system,
        "timezone": home.zone.name(),
        "topBadges": [],
        "waterUnit": system,
        "waterUnitName": if system == "en_US" { "fl oz" } else { "ml" },
        "weight": body::number(round_to(person.weight_kg * mass, 1)),
        "weightUnit": system,
    });
    if let (Value::Object(profile), Value::Object(more)) = (&mut profile, more) {
        profile.extend(more);
    }
    json!({ "user": profile })
}
