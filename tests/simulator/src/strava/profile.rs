//! The athlete as Strava tells of them: in short with a token, at length under `/athlete`.

use serde_json::{Value, json};

use super::athlete::Athlete;
use crate::places::PLACES;

/// `SummaryAthlete`.
pub(super) fn summary(athlete: &Athlete) -> Value {
    let person = &athlete.person;
    let home = &PLACES[usize::from(person.home)];
    let picture = |size| format!("https://pictures.invalid/athletes/{}/{size}.jpg", athlete.id);
    json!({
        "id": athlete.id,
        "username": format!("athlete_{}", athlete.id),
        "resource_state": 2,
        "firstname": person.first_name,
        "lastname": person.last_name,
        "bio": null,
        "city": home.city,
        "state": home.state,
        "country": home.country,
        "sex": person.sex,
        "premium": true,
        "summit": true,
        "created_at": "2014-11-01T10:48:26Z",
        "updated_at": "2026-06-30T19:32:20Z",
        "badge_type_id": 1,
        "weight": person.weight_kg,
        "profile_medium": picture("medium"),
        "profile": picture("large"),
        "friend": null,
        "follower": null,
    })
}

/// `DetailedAthlete`, which needs `profile:read_all`.
pub(super) fn detailed(athlete: &Athlete) -> Value {
    let mut profile = summary(athlete);
    let gear = |id: &str, name| {
        json!({ "id": id, "primary": true, "name": name, "nickname": null,
        "resource_state": 2, "retired": false, "distance": 4_917_000, "converted_distance": 4917.0 })
    };
    let more = json!({
        "resource_state": 3,
        "blocked": false,
        "can_follow": false,
        "follower_count": 5,
        "friend_count": 5,
        "mutual_friend_count": 0,
        "athlete_type": 1,
        "date_preference": "%m/%d/%Y",
        "measurement_preference": if PLACES[usize::from(athlete.person.home)].country == "United States" {
            "feet"
        } else {
            "meters"
        },
        "postable_clubs_count": 0,
        "clubs": [],
        "ftp": null,
        "bikes": [gear(&athlete.person.bike, "Allez")],
        "shoes": [gear(&athlete.person.shoe, "Pegasus")],
    });
    if let (Value::Object(profile), Value::Object(more)) = (&mut profile, more) {
        profile.extend(more);
    }
    profile
}
