//! Fitbit as a source: first the profile, for the zone in which all its times are; then chunks of days of each list, of
//! the greatest length that the list allows; the list of activities by pages.
//!
//! Fitbit tells neither what changed nor what was deleted, so each sync reads the last 90 days again.

use super::{
    Fitbit,
    record::{self, Profile},
};
use crate::providers::{
    Error, Unreadable,
    source::{Access, Answer, Ask, Item, Plan, Replaced, Source, Staged},
    spans,
};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use paceline_shared::{
    JobType,
    db::connection_coverage::Coverage,
    record::{Record, Table},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Late uploads, edits and deletions within this are found by reading it again.
const LOOK_BACK: TimeDelta = TimeDelta::days(90);

/// Where nobody knows since when an account exists, it is read from here on: Fitbit was founded in 2007.
const FOUNDED: NaiveDate = NaiveDate::from_ymd_opt(2007, 1, 1).expect("a day");

/// No zone is further from UTC; a day on the wall may begin so much earlier or later than in UTC.
const FARTHEST_ZONE: TimeDelta = TimeDelta::hours(14);

/// One of Fitbit's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum List {
    /// Weighings.
    Weight,
    /// Shares of fat.
    Fat,
    /// Nights and naps.
    Sleep,
    /// Activities.
    Activities,
}

impl List {
    pub(super) const ALL: [Self; 4] = [Self::Weight, Self::Fat, Self::Sleep, Self::Activities];

    pub(super) const fn stream(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Fat => "fat",
            Self::Sleep => "sleep",
            Self::Activities => "activities",
        }
    }

    const fn table(self) -> Table {
        match self {
            Self::Weight | Self::Fat => Table::Measurements,
            Self::Sleep => Table::DailySummaries,
            Self::Activities => Table::Activities,
        }
    }

    /// The most days that one answer covers; `None`: it has pages instead.
    const fn chunk_days(self) -> Option<u64> {
        match self {
            Self::Weight => Some(31),
            Self::Fat => Some(30),
            Self::Sleep => Some(100),
            Self::Activities => None,
        }
    }

    const fn scope(self) -> &'static str {
        match self {
            Self::Weight | Self::Fat => "weight",
            Self::Sleep => "sleep",
            Self::Activities => "activity",
        }
    }

    fn wanted(self, job_type: JobType) -> bool {
        match job_type {
            JobType::All => true,
            JobType::Measurements => self.table() == Table::Measurements,
            JobType::Daily => self == Self::Sleep,
            JobType::Activities => self == Self::Activities,
            JobType::Health | JobType::Workouts => false,
        }
    }
}

/// Days of a list, both included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    list: List,
    from: NaiveDate,
    to: NaiveDate,
}

impl Part {
    /// Answers that are needed for it, as far as that is known: pages count as one.
    fn steps(&self) -> i32 {
        let days = (self.to - self.from).num_days() + 1;
        let per = self.list.chunk_days().and_then(|days| i64::try_from(days).ok());
        per.map_or(1, |per| i32::try_from((days + per - 1) / per).unwrap_or(i32::MAX))
    }

    /// The first chunk's last day.
    fn chunk_to(&self) -> NaiveDate {
        let days = self.list.chunk_days().unwrap_or(1);
        self.from.checked_add_days(Days::new(days - 1)).map_or(self.to, |to| to.min(self.to))
    }
}

/// What is left to read, the first part first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Step {
    /// None: the profile is to be read first.
    pub(super) profile: Option<Profile>,
    pub(super) parts: Vec<Part>,
    /// Of the first part, when it has pages: items of its first day that were read.
    #[serde(default)]
    pub(super) offset: usize,
}

impl Step {
    fn left(&self) -> i32 {
        self.parts.iter().map(Part::steps).sum::<i32>() + i32::from(self.profile.is_none())
    }

    fn value(&self) -> Option<Value> {
        serde_json::to_value(self).ok()
    }

    /// Behind the first chunk.
    fn behind_chunk(mut self) -> Self {
        if let Some(part) = self.parts.first_mut() {
            match part.chunk_to().succ_opt() {
                Some(next) if next <= part.to => part.from = next,
                _ => {
                    self.parts.remove(0);
                }
            }
        }
        self
    }

    /// Behind a page of the first part. `last`: the day of its last item, which the next page begins with again, so
    /// that no deletion meanwhile moves an item past us; a day that fills a page alone is paged by number.
    fn behind_page(mut self, more: bool, last: Option<NaiveDate>, items: usize) -> Self {
        let Some(part) = self.parts.first_mut() else { return self };
        match last {
            Some(day) if more && day > part.from => {
                part.from = day;
                self.offset = 0;
            }
            _ if more && items > 0 => self.offset += items,
            _ => {
                self.parts.remove(0);
                self.offset = 0;
            }
        }
        self
    }

    fn then(self, answer: Answer) -> Answer {
        let next = if self.parts.is_empty() { None } else { self.value() };
        Answer { left: Some(self.left()), next, ..answer }
    }
}

fn plan(ask: &Ask<'_>) -> Plan {
    let since = ask.profile.and_then(|profile| Profile::deserialize(profile).ok()?.since);
    let granted = |scope: &str| ask.scopes.iter().any(|granted| granted == scope);
    let mut plan = Plan::default();
    let mut parts = Vec::new();
    // Without the profile nobody knows when anything happened.
    let mut none_granted = true;
    for list in List::ALL.into_iter().filter(|list| list.wanted(ask.job_type)) {
        if !granted(list.scope()) || !granted("profile") {
            continue;
        }
        none_granted = false;
        for span in spans::to_read(ask, list.stream(), LOOK_BACK) {
            let to_at = span.to.unwrap_or(ask.now);
            // A day more at each end: which days these are depends on the zone.
            let from = span.from.map_or(since.unwrap_or(FOUNDED), |from| {
                from.date_naive().pred_opt().unwrap_or(FOUNDED)
            });
            let to = to_at.date_naive().succ_opt().unwrap_or(NaiveDate::MAX);
            parts.push(Part { list, from, to });
            plan.covers.push(Coverage {
                stream: list.stream().to_owned(),
                spans: vec![span],
                mark: None,
            });
            plan.replaces.push(Replaced {
                stream: list.stream().to_owned(),
                table: list.table(),
                // What was logged for days before the account began was never asked for: it is not gone.
                from: Some(midnight(from) + FARTHEST_ZONE),
                to: to_at,
            });
        }
    }
    // Where nothing was granted, a step that says so: a sync that read nothing for want of consent is no success.
    if none_granted || !parts.is_empty() {
        let step = Step { profile: None, parts, offset: 0 };
        plan.steps = Some(step.left());
        plan.first = step.value();
    }
    plan
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

impl Fitbit {
    async fn step(&self, access: &Access, step: &Value) -> Result<Answer, Error> {
        let step: Step = spans::step(step)?;
        let Some(part) = step.parts.first().cloned() else {
            return Err(spans::not_granted("weight, activity or sleep, each with profile,"));
        };
        let Some(profile) = step.profile.clone() else { return self.profile(access, step).await };
        let (context, stream) = (Some(profile.value()), part.list.stream());
        if part.list == List::Activities {
            // What the list calls "after" leaves the day itself out or not: both will do.
            let after = part.from.pred_opt().unwrap_or(part.from);
            let query = [
                ("afterDate", after.to_string()),
                ("sort", "asc".to_owned()),
                ("limit", record::PAGE_SIZE.to_string()),
                ("offset", step.offset.to_string()),
            ];
            let path = "1/user/-/activities/list.json";
            let body = self.get(access, path, path, &query, record::is_page).await?;
            let (more, last, items) = record::page_end(&body, part.to);
            let next = step.behind_page(more, last, items);
            return Ok(next.then(Answer { context, ..Answer::of(stream, body) }));
        }
        let (from, to) = (part.from, part.chunk_to());
        let (path, endpoint) = match part.list {
            List::Sleep => (
                format!("1.2/user/-/sleep/date/{from}/{to}.json"),
                "1.2/user/-/sleep/date".to_owned(),
            ),
            list => (
                format!("1/user/-/body/log/{}/date/{from}/{to}.json", list.stream()),
                format!("1/user/-/body/log/{}/date", list.stream()),
            ),
        };
        let is_whole = record::is_whole(part.list);
        let body = self.get(access, &endpoint, &path, &[], is_whole).await?;
        Ok(step.behind_chunk().then(Answer { context, ..Answer::of(stream, body) }))
    }

    async fn profile(&self, access: &Access, step: Step) -> Result<Answer, Error> {
        let path = "1/user/-/profile.json";
        let body = self.get(access, path, path, &[], |body| Profile::read(body).is_ok()).await?;
        let profile = Profile::read(&body).map_err(|error| spans::no_step(&error.0))?;
        let value = profile.value();
        let next = Step { profile: Some(profile), ..step };
        // Of the profile nothing is kept but what is needed: there are names in it.
        let answer = Answer::of("profile", bytes::Bytes::new());
        Ok(next.then(Answer { profile: Some(value), ..answer }))
    }
}

impl Source for Fitbit {
    fn plan(&self, ask: &Ask<'_>) -> Plan {
        plan(ask)
    }

    fn read<'a>(
        &'a self,
        access: &'a Access,
        step: &'a Value,
    ) -> BoxFuture<'a, Result<Answer, Error>> {
        Box::pin(self.step(access, step))
    }

    fn items<'a>(&self, page: &Staged<'a>) -> Result<Vec<Item<'a>>, Unreadable> {
        record::items(page)
    }

    fn records(&self, page: &Staged<'_>, item: &Item<'_>) -> Result<Vec<Record>, Unreadable> {
        record::records(page, item.raw)
    }
}
