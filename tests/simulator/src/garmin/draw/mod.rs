//! Summaries, drawn from their user's seed and their number: nothing is stored.
//!
//! Owns the documented fields, all of them where a device of its kind would send them; a field
//! without a value is absent, never null. Must not know uploads, edits or tokens.

mod activity;
mod body;
mod day;
mod night;
mod sports;

use chrono::{DateTime, NaiveDate, Offset, TimeZone};
use serde_json::{Map, Value};

use super::summary_type::GarminType;
use crate::dice::Dice;
use crate::person::Person;
use crate::places::{PLACES, Place};

/// Which summary to draw.
#[derive(Clone, Debug)]
pub(super) struct Subject<'a> {
    pub(super) person: &'a Person,
    pub(super) user: &'a str,
    pub(super) of: GarminType,
    pub(super) summary_id: String,
    /// Of an activity; others have none.
    pub(super) activity_id: u64,
    /// Draws differ by it, and by nothing else of one user and type.
    pub(super) number: u32,
    /// Unix seconds.
    pub(super) at: i64,
    /// Number in the table of places.
    pub(super) place: u8,
    /// Not yet the whole: what a device had seen of it when it was first uploaded.
    pub(super) tentative: bool,
}

impl Subject<'_> {
    /// The summary's JSON text.
    pub(super) fn json(&self) -> String {
        let mut fields = Map::new();
        fields.insert("userId".to_owned(), self.user.into());
        fields.insert("summaryId".to_owned(), self.summary_id.clone().into());
        let dice = &mut Dice::new(self.person.seed, stream(self.of), u64::from(self.number));
        match self.of {
            GarminType::Activities => activity::recorded(self, dice, &mut fields),
            GarminType::ManuallyUpdatedActivities => activity::typed_in(self, dice, &mut fields),
            GarminType::MoveIQActivities => activity::noticed(self, dice, &mut fields),
            GarminType::Dailies => day::fill(self, dice, &mut fields),
            GarminType::Sleeps => night::fill(self, dice, &mut fields),
            GarminType::BodyComps => body::composition(self, dice, &mut fields),
            GarminType::BloodPressures => body::pressure(self, dice, &mut fields),
            GarminType::UserMetrics => body::metrics(self, dice, &mut fields),
            // Types that hold nothing are never drawn.
            _ => {}
        }
        Value::Object(fields).to_string()
    }

    fn place(&self) -> &'static Place {
        &PLACES[usize::from(self.place)]
    }

    /// Seconds that a clock on the wall was ahead of UTC at `at`.
    fn offset_s(&self, at: i64) -> i64 {
        let utc = DateTime::from_timestamp(at, 0).unwrap_or_default().naive_utc();
        let offset = self.place().zone.offset_from_utc_datetime(&utc);
        i64::from(offset.fix().local_minus_utc())
    }

    /// The date on the wall at `at`.
    fn date(&self, at: i64) -> NaiveDate {
        let local = DateTime::from_timestamp(at + self.offset_s(at), 0).unwrap_or_default();
        local.date_naive()
    }
}

/// Every type draws from a stream of its own.
pub(super) const fn stream(of: GarminType) -> u64 {
    0x67_61_72_00 + of as u64
}

fn put(fields: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    fields.insert(name.to_owned(), value.into());
}

fn put_some(fields: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        put(fields, name, value);
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;
    use crate::calendar::instant;

    fn drawn(of: GarminType, date: &str, hour: i64, tentative: bool) -> Value {
        let person = Person::new(2);
        let berlin = PLACES.iter().position(|place| place.city == "Berlin").unwrap();
        let subject = Subject {
            person: &person,
            user: "u",
            of,
            summary_id: "x".to_owned(),
            activity_id: 1,
            number: 5,
            at: instant(Tz::Europe__Berlin, date.parse().unwrap(), hour * 3600),
            place: u8::try_from(berlin).unwrap(),
            tentative,
        };
        serde_json::from_str(&subject.json()).unwrap()
    }

    #[test]
    fn a_day_on_which_the_clocks_change_has_23_or_25_hours() {
        let hours = |date| {
            let day = drawn(GarminType::Dailies, date, 0, false);
            assert_eq!(day["calendarDate"], date);
            day["durationInSeconds"].as_i64().unwrap() / 3600
        };
        assert_eq!(hours("2024-03-30"), 24);
        assert_eq!(hours("2024-03-31"), 23);
        assert_eq!(hours("2024-10-27"), 25);
        let spring = drawn(GarminType::Dailies, "2024-03-31", 0, false);
        assert_eq!(spring["startTimeOffsetInSeconds"], 3600);
    }

    #[test]
    fn a_night_has_the_date_of_waking_up_and_lasts_as_long_as_its_sleeping_spans() {
        let night = drawn(GarminType::Sleeps, "2024-05-01", 23, false);
        assert_eq!(night["calendarDate"], "2024-05-02");
        let spans = |level: &str| -> i64 {
            let spans = night["sleepLevelsMap"][level].as_array().unwrap();
            let length = |span: &Value| {
                span["endTimeInSeconds"].as_i64().unwrap()
                    - span["startTimeInSeconds"].as_i64().unwrap()
            };
            spans.iter().map(length).sum()
        };
        assert_eq!(night["durationInSeconds"], spans("light") + spans("deep") + spans("rem"));
        assert_eq!(night["awakeDurationInSeconds"], spans("awake"));
        assert_eq!(night["remSleepInSeconds"], spans("rem"));
    }

    #[test]
    fn a_tentative_night_is_the_beginning_of_the_settled_one_without_scores() {
        let part = drawn(GarminType::Sleeps, "2024-05-01", 23, true);
        let whole = drawn(GarminType::Sleeps, "2024-05-01", 23, false);
        let light = |night: &Value| night["sleepLevelsMap"]["light"].as_array().unwrap().clone();
        assert!(light(&whole).starts_with(&light(&part)));
        assert!(light(&whole).len() > light(&part).len());
        assert_eq!((part.get("overallSleepScore"), part.get("sleepScores")), (None, None));
        assert_eq!(whole["sleepScores"].as_object().unwrap().len(), 7);
    }
}
