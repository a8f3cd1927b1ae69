//! One activity, drawn from its athlete's seed and its number: nothing is stored.
//!
//! Owns what a plausible run or ride looks like. Must not know edits, pages or tokens.

use std::borrow::Cow;

use super::marks::{Mark, Marks};
use super::origin::Origin;
use super::polyline;
use super::sports::{self, Family, SPORTS, Sport};
use super::summary::{MetaAthlete, PolylineMap, Position, Stamp, SummaryActivity};
use super::zoned::Zoned;
use crate::calendar::Start;
use crate::dice::Dice;
use crate::numbers::{float, round_to, rounded};
use crate::person::Person;
use crate::places::{PLACES, Place};

const FACTS: u64 = 0x66_61;
const DETAILS: u64 = 0x64_65;

/// Which activity to draw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) person: &'a Person,
    pub(super) athlete: u64,
    pub(super) id: u64,
    pub(super) index: u64,
    pub(super) start: Start,
    pub(super) sport: u8,
    pub(super) marks: Marks,
}

/// Sport and setting of activity `index`: all that counting needs.
pub(super) fn facts(person: &Person, index: u64, place: u8) -> (u8, Marks) {
    let mut dice = Dice::new(person.seed, FACTS, index);
    let number = sports::at(dice.below(1000));
    let manual = dice.chance(0.04);
    let indoor = !manual && dice.below(100) < SPORTS[usize::from(number)].indoor_percent;
    let mut marks = Marks::default();
    marks.set(Mark::Manual, manual);
    marks.set(Mark::Indoor, indoor);
    marks.set(Mark::Located, !manual && !indoor);
    marks.set(Mark::NearCity, !manual && !indoor && PLACES[usize::from(place)].is_city());
    marks.set(Mark::Private, dice.chance(0.05));
    (number, marks)
}

impl Subject<'_> {
    /// Everything Strava lists about it.
    pub(super) fn summary(&self) -> SummaryActivity<'_> {
        let mut dice = Dice::new(self.person.seed, DETAILS, self.index);
        let dice = &mut dice;
        let sport = &SPORTS[usize::from(self.sport)];
        let place = &PLACES[usize::from(self.start.place)];
        let manual = self.marks.has(Mark::Manual);
        let zone = Zoned::at(place.zone, self.start.at);

        let moving = rounded(dice.between(sport.minutes.0, sport.minutes.1) * 60.0);
        let pauses = if dice.chance(0.6) { dice.between(0.0, 0.2) * float(moving) } else { 0.0 };
        let speed = dice.between(sport.speed.0, sport.speed.1) * self.person.pace;
        let distance_m = round_to(speed * float(moving), 1);
        let climb = if self.marks.has(Mark::Located) { dice.between(1.0, 17.0) } else { 0.0 };
        let gain_m = round_to(distance_m / 1000.0 * climb, 1);
        let (from, to, track) = self.track(dice, place, distance_m);
        let heart = (!manual && dice.chance(0.76)).then(|| {
            let average = self.person.easy_heart_rate + dice.between(-14.0, 34.0);
            (round_to(average, 1), (average + dice.between(8.0, 30.0)).round())
        });
        let power = self.power(dice, sport, moving);
        let origin = (!manual).then(|| Origin::draw(dice, self.id, sport.kind));
        let low_m = place.elevation_m + dice.between(-4.0, 30.0);
        let located = self.marks.has(Mark::Located);

        SummaryActivity {
            resource_state: 2,
            athlete: MetaAthlete { id: self.athlete, resource_state: 1 },
            name: title(dice, sport, zone.local),
            distance: distance_m,
            moving_time: moving,
            elapsed_time: moving + rounded(pauses),
            total_elevation_gain: gain_m,
            kind: sport.kind,
            sport_type: sport.name,
            workout_type: workout(dice, sport),
            device_name: (!manual).then_some(self.person.device),
            id: self.id,
            start_date: Stamp(self.start.at),
            start_date_local: Stamp(zone.local),
            timezone: zone.label,
            utc_offset: float(zone.offset_s),
            location_city: None,
            location_state: None,
            location_country: place.is_city().then_some(place.country),
            achievement_count: dice.below(12),
            kudos_count: dice.below(60),
            comment_count: dice.below(6),
            athlete_count: 1 + dice.below(4) / 3,
            photo_count: 0,
            map: PolylineMap {
                id: format!("a{}", self.id),
                summary_polyline: track,
                resource_state: 2,
            },
            trainer: self.marks.has(Mark::Indoor),
            commute: sport.family == Family::Wheels && dice.chance(0.12),
            manual,
            private: self.marks.has(Mark::Private),
            visibility: match (self.marks.has(Mark::Private), dice.chance(0.2)) {
                (true, _) => "only_me",
                (false, true) => "followers_only",
                (false, false) => "everyone",
            },
            flagged: dice.chance(0.002),
            gear_id: match sport.family {
                Family::Foot => dice.chance(0.8).then_some(self.person.shoe.as_str()),
                Family::Wheels => dice.chance(0.9).then_some(self.person.bike.as_str()),
                Family::Other => None,
            },
            start_latlng: from,
            end_latlng: to,
            average_speed: round_to(distance_m / float(moving.max(1)), 3),
            max_speed: round_to(speed * dice.between(1.15, 1.9), 3),
            average_cadence: cadence(dice, sport, manual),
            average_temp: (!manual && dice.chance(0.35)).then(|| rounded(dice.between(-2.0, 31.0))),
            average_watts: power.map(|power| power.average),
            max_watts: power.map(|power| rounded(power.average * 2.4)),
            weighted_average_watts: power.map(|power| rounded(power.average * 1.07)),
            device_watts: power.map(|power| power.measured),
            kilojoules: power.map(|power| power.kilojoules),
            has_heartrate: heart.is_some(),
            average_heartrate: heart.map(|heart| heart.0),
            max_heartrate: heart.map(|heart| heart.1),
            heartrate_opt_out: false,
            display_hide_heartrate_option: heart.is_some(),
            elev_high: located.then(|| round_to(low_m + gain_m * 0.4, 1)),
            elev_low: located.then(|| round_to(low_m, 1)),
            upload_id: origin.as_ref().map(|origin| origin.upload),
            upload_id_str: origin.as_ref().map(|origin| origin.upload.to_string()),
            external_id: origin.and_then(|origin| origin.name),
            from_accepted_tag: false,
            pr_count: dice.below(4),
            total_photo_count: dice.below(3),
            has_kudoed: false,
            hide_from_home: dice.chance(0.03),
            suffer_score: heart
                .map(|heart| ((heart.0 - 90.0) * float(moving) / 3000.0).max(0.0).round()),
        }
    }

    fn track(
        &self,
        dice: &mut Dice,
        place: &Place,
        distance_m: f64,
    ) -> (Position, Position, Option<String>) {
        if !self.marks.has(Mark::Located) {
            // Both are seen in real answers, with an empty track as often as none.
            let nowhere = if dice.chance(0.3) { Position::Null } else { Position::Empty };
            return (nowhere, nowhere, dice.chance(0.5).then(String::new));
        }
        let near = |dice: &mut Dice, centre: f64| round_to(centre + dice.between(-0.035, 0.035), 6);
        let from = (near(dice, place.latitude), near(dice, place.longitude));
        let (to, line) = polyline::outing(dice, from, distance_m);
        (Position::At(from.0, from.1), Position::At(to.0, to.1), Some(line))
    }

    fn power(&self, dice: &mut Dice, sport: &Sport, moving: i64) -> Option<Power> {
        let pedalled = sport.family == Family::Wheels && !self.marks.has(Mark::Manual);
        (pedalled && dice.chance(0.8)).then(|| {
            let average = round_to(self.person.weight_kg * dice.between(1.6, 3.4), 1);
            Power {
                average,
                kilojoules: round_to(average * float(moving) / 1000.0, 1),
                measured: dice.chance(0.45),
            }
        })
    }
}

#[derive(Clone, Copy)]
struct Power {
    average: f64,
    kilojoules: f64,
    measured: bool,
}

fn title(dice: &mut Dice, sport: &Sport, local: i64) -> Cow<'static, str> {
    if dice.chance(0.08) {
        return Cow::Borrowed(dice.pick(&OWN_NAMES));
    }
    let part = match local.rem_euclid(86_400) / 3600 {
        4..=11 => "Morning",
        12..=13 => "Lunch",
        14..=17 => "Afternoon",
        18..=21 => "Evening",
        _ => "Night",
    };
    Cow::Owned(format!("{part} {}", sport.title))
}

const OWN_NAMES: [&str; 8] = [
    "Läufchen vor dem Frühstück 🏃‍♀️",
    "5×1000 @ \"threshold\"",
    "旧中川 21K",
    "Col de l'Èze — ☀️ & wind",
    "w/ Sam\\Alex (easy)",
    "Långpass, regn…",
    "Интервалы",
    "🚴🚴🚴",
];

fn workout(dice: &mut Dice, sport: &Sport) -> Option<u8> {
    let kinds: &[u8] = match sport.kind {
        "Run" => &[0, 1, 2, 3],
        "Ride" => &[10, 11, 12],
        _ => return None,
    };
    dice.chance(0.4).then(|| dice.pick(kinds))
}

fn cadence(dice: &mut Dice, sport: &Sport, manual: bool) -> Option<f64> {
    let (low, high) = match sport.family {
        Family::Foot => (74.0, 93.0),
        Family::Wheels => (68.0, 97.0),
        Family::Other => return None,
    };
    (!manual && dice.chance(0.7)).then(|| round_to(dice.between(low, high), 1))
}
