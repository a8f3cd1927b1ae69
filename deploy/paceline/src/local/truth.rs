//! What the simulated providers hold, list by list: the figures that a sync is held against. It reads the providers'
//! own records with eyes of its own, and knows none of the clients' code.

use super::{Account, Simulator};
use paceline_shared::{Provider, record::Table};
use serde::Deserialize;
use serde_json::Value;

/// Records asked for at a time.
const PAGE: usize = 500;

/// One list of a provider's, as the controls show it.
pub(crate) struct List {
    /// Where its records are stored.
    pub(crate) table: Table,
    /// Below the account.
    path: &'static str,
    /// Under which member of an entry the record is; empty: the entry is the record.
    within: &'static str,
    /// The members that its id is made of, as it is stored.
    id: Id,
    /// The members of which each is stored by itself, if it is there; empty: the record is stored as one.
    values: &'static [&'static str],
}

/// How a record is named where it is stored.
#[derive(Clone, Copy)]
enum Id {
    Member(&'static str),
    /// `12/1594245600`.
    Pair(&'static str, &'static str),
    /// `12/2015-03-05T23:59:59`.
    Entry(&'static str, &'static str, &'static str),
}

/// Some of a list's records.
#[derive(Default)]
pub(crate) struct Page {
    /// Their ids, as they are stored.
    pub(crate) ids: Vec<String>,
    /// What must be stored of them.
    pub(crate) values: u64,
    /// Of these, with coordinates.
    pub(crate) locatable: u64,
    /// Where to go on; `None`: that was all.
    pub(crate) next: Option<usize>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(alias = "activities")]
    records: Vec<Value>,
    next: Option<usize>,
}

const fn list(table: Table, path: &'static str, id: &'static str) -> List {
    List { table, path, within: "", id: Id::Member(id), values: &[] }
}

/// An index of Withings' own, which stays in the payload: it is no measure in any unit.
const NERVE_HEALTH_SCORE: u64 = 167;

/// What a weighing at Garmin may hold.
const BODY: &[&str] = &[
    "weightInGrams",
    "muscleMassInGrams",
    "boneMassInGrams",
    "bodyWaterInPercent",
    "bodyFatInPercent",
    "bodyMassIndex",
];

/// All of a provider's lists.
pub(crate) fn lists(provider: Provider) -> Vec<List> {
    use Table::{Activities, DailySummaries, Measurements};
    match provider {
        Provider::Strava => vec![list(Activities, "activities", "id")],
        Provider::Withings => {
            let within = "record";
            vec![
                List { within, ..list(Activities, "workouts", "id") },
                List { within, ..list(DailySummaries, "activity", "date") },
                List { within, ..list(DailySummaries, "sleep", "id") },
                List { id: Id::Pair("grpid", "date"), ..list(Measurements, "values", "") },
            ]
        }
        Provider::Fitbit => {
            let (within, id) = ("fields", Id::Entry("logId", "date", "time"));
            vec![
                List { within, ..list(Activities, "logs/activities", "logId") },
                List { within, ..list(DailySummaries, "logs/sleep", "logId") },
                List {
                    within,
                    id,
                    values: &["weight", "bmi"],
                    ..list(Measurements, "logs/weight", "")
                },
                List { within, id, values: &["fat"], ..list(Measurements, "logs/fat", "") },
            ]
        }
        Provider::Garmin => {
            let of = |table, path| list(table, path, "summaryId");
            let measured = |path, values| List { values, ..of(Measurements, path) };
            vec![
                of(Activities, "activities"),
                of(Activities, "manuallyUpdatedActivities"),
                of(Activities, "moveIQActivities"),
                of(DailySummaries, "dailies"),
                of(DailySummaries, "sleeps"),
                measured("bodyComps", BODY),
                measured("bloodPressures", &["systolic", "diastolic", "pulse"]),
                measured("userMetrics", &["vo2Max", "vo2MaxCycling", "fitnessAge"]),
            ]
        }
        Provider::GoogleHealth => Vec::new(),
    }
}

impl List {
    fn read(&self, entries: &[Value], next: Option<usize>) -> Page {
        let mut page = Page { next, ..Page::default() };
        for entry in entries {
            let record = if self.within.is_empty() { entry } else { &entry[self.within] };
            let values = self.values_of(record);
            page.values += values;
            page.locatable += u64::from(self.table == Table::Activities && is_locatable(record));
            // What says nothing that is kept is not stored.
            page.ids.extend((values > 0).then(|| self.id.of(record)));
        }
        page
    }

    fn values_of(&self, record: &Value) -> u64 {
        if self.path == "values" && record["type"] == NERVE_HEALTH_SCORE {
            return 0;
        }
        if self.values.is_empty() {
            return 1;
        }
        let is_there = |name: &&&str| record[**name].as_f64().is_some_and(|value| value > 0.0);
        self.values.iter().filter(is_there).map(|_value| 1).sum()
    }
}

impl Id {
    fn of(self, record: &Value) -> String {
        let text = |name| match &record[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match self {
            Self::Member(name) => text(name),
            Self::Pair(id, time) => format!("{}/{}", text(id), text(time)),
            Self::Entry(id, date, time) => format!("{}/{}T{}", text(id), text(date), text(time)),
        }
    }
}

/// Whether an activity says where it began.
fn is_locatable(activity: &Value) -> bool {
    activity["start_latlng"][0].is_number() || activity["startingLatitudeInDegree"].is_number()
}

impl Simulator {
    /// What an account's list holds from `cursor` on.
    pub(crate) async fn page(
        &self,
        account: &Account,
        list: &List,
        cursor: usize,
    ) -> anyhow::Result<Page> {
        let Account { provider, id } = account;
        let people = if *provider == Provider::Strava { "athletes" } else { "users" };
        let path = list.path;
        let path = format!("/_sim/{provider}/{people}/{id}/{path}?cursor={cursor}&limit={PAGE}");
        let Answer { records, next } = self.get(&path).await?;
        Ok(list.read(&records, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(provider: Provider, path: &str, entries: &[Value]) -> Page {
        let list = lists(provider).into_iter().find(|list| list.path == path);
        list.expect("a list").read(entries, None)
    }

    #[test]
    fn a_record_counts_for_each_value_that_it_has() {
        let body = |weight, fat| json!({"summaryId": "x", "weightInGrams": weight, "bodyFatInPercent": fat});
        // 0 is how a scale says that it could not measure something.
        let page =
            read(Provider::Garmin, "bodyComps", &[body(70_000, 21), body(70_000, 0), body(0, 0)]);
        assert_eq!((page.values, page.ids.len()), (3, 2));
        let weight = json!({"record": 1, "fields": {"logId": 7, "date": "2026-11-20", "time": "07:00:00", "weight": 70}});
        let page = read(Provider::Fitbit, "logs/weight", &[weight]);
        assert_eq!((page.values, page.ids), (1, vec!["7/2026-11-20T07:00:00".to_owned()]));
    }

    #[test]
    fn ids_of_nineteen_digits_keep_all_of_them() {
        let sleep = json!({"record": 1, "fields": {"logId": 1_122_334_455_667_788_991_u64}});
        let page = read(Provider::Fitbit, "logs/sleep", &[sleep]);
        assert_eq!(page.ids, ["1122334455667788991"]);
        assert_eq!(
            read(Provider::Withings, "values", &[json!({"grpid": 3, "date": 4})]).ids,
            ["3/4"]
        );
    }

    #[test]
    fn only_what_begins_somewhere_can_have_weather() {
        let entries =
            [json!({"id": 1, "start_latlng": [1.5, 2]}), json!({"id": 2, "start_latlng": []})];
        let page = read(Provider::Strava, "activities", &entries);
        assert_eq!((page.values, page.locatable), (2, 1));
    }

    #[test]
    fn each_provider_that_is_simulated_has_lists() {
        for application in &super::super::APPLICATIONS {
            assert!(!lists(application.provider).is_empty(), "{}", application.provider);
        }
    }
}
