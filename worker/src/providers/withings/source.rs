//! Withings as a source: pages of each list that is to be read, until one says that no more follows.
//!
//! There are two ways to read a list. By the time of its records: all of a span of time, and what the store has more
//! than that is gone. By the time of changes (`lastupdate`): everything that came or was edited since, however old it
//! is, but never a word of what was deleted. So a first sync reads by time, and the next ones by changes, and besides
//! the last 30 days by time, where deletions are found and undone edits with them. What is deleted further back is
//! found by a sync of a whole range.

use super::{
    ACTIVITY, Kind, METRICS, Withings,
    answer::{self, Page},
    days, json, measures, refusal, workouts,
};
use crate::providers::{
    Error, Unreadable,
    source::{Access, Answer, Ask, Item, Plan, Replaced, Source, Staged},
    spans,
};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use paceline_shared::{
    JobType,
    db::connection_coverage::{Coverage, Span},
    record::{Record, Table},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Deletions within this are found by reading it again.
const LOOK_BACK: TimeDelta = TimeDelta::days(30);

/// Changes are read from so much before where the last sync ended: clocks differ, and what was being written then
/// may show only later.
const OVERLAP_S: i64 = 10 * 60;

/// Days are those of a zone that is not known here, and a night is listed on the day on which it ends: so much more is
/// asked for at both ends of a span.
const DAYS_AROUND: TimeDelta = TimeDelta::days(2);

/// A list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stream {
    Measures,
    Workouts,
    Activity,
    Sleep,
}

impl Stream {
    const ALL: [Self; 4] = [Self::Measures, Self::Workouts, Self::Activity, Self::Sleep];

    const fn name(self) -> &'static str {
        match self {
            Self::Measures => "measures",
            Self::Workouts => "workouts",
            Self::Activity => "activity",
            Self::Sleep => "sleep",
        }
    }

    fn named(name: &str) -> Result<Self, Unreadable> {
        let stream = Self::ALL.into_iter().find(|stream| stream.name() == name);
        stream.ok_or_else(|| Unreadable(format!("there is no list {name:?}")))
    }

    /// What the list is called in an answer.
    pub(super) const fn list(self) -> &'static str {
        match self {
            Self::Measures => "measuregrps",
            Self::Activity => "activities",
            Self::Workouts | Self::Sleep => "series",
        }
    }

    const fn scope(self) -> &'static str {
        match self {
            Self::Measures => METRICS,
            Self::Workouts | Self::Activity | Self::Sleep => ACTIVITY,
        }
    }

    const fn table(self) -> Table {
        match self {
            Self::Measures => Table::Measurements,
            Self::Workouts => Table::Activities,
            Self::Activity | Self::Sleep => Table::DailySummaries,
        }
    }

    const fn is_of(self, job_type: JobType) -> bool {
        match job_type {
            JobType::All => true,
            JobType::Measurements => matches!(self, Self::Measures),
            JobType::Activities => matches!(self, Self::Workouts),
            JobType::Daily => matches!(self, Self::Activity | Self::Sleep),
            JobType::Health | JobType::Workouts => false,
        }
    }

    const fn endpoint(self) -> (&'static str, &'static str) {
        match self {
            Self::Measures => ("measure/getmeas", "measure"),
            Self::Workouts => ("measure/getworkouts", "v2/measure"),
            Self::Activity => ("measure/getactivity", "v2/measure"),
            Self::Sleep => ("sleep/getsummary", "v2/sleep"),
        }
    }

    /// What is asked for, but for when.
    fn asks(self) -> Vec<(&'static str, String)> {
        match self {
            Self::Measures => vec![
                ("action", "getmeas".to_owned()),
                ("meastypes", measures::types()),
                ("category", "1".to_owned()),
            ],
            Self::Workouts => vec![
                ("action", "getworkouts".to_owned()),
                ("data_fields", workouts::DATA_FIELDS.to_owned()),
            ],
            Self::Activity => vec![
                ("action", "getactivity".to_owned()),
                ("data_fields", days::DAY_FIELDS.to_owned()),
            ],
            Self::Sleep => vec![
                ("action", "getsummary".to_owned()),
                ("data_fields", days::NIGHT_FIELDS.to_owned()),
            ],
        }
    }

    fn when(self, what: What) -> Vec<(&'static str, String)> {
        match (what, self) {
            (What::Since(at), _) => vec![("lastupdate", at.to_string())],
            // Whether a border is in is not documented: a second more does no harm.
            (What::Span { from, to }, Self::Measures) => vec![
                ("startdate", from.map_or(0, |from| from.timestamp() - 1).to_string()),
                ("enddate", (to.timestamp() + 1).to_string()),
            ],
            (What::Span { from, to }, _) => {
                let from = from.unwrap_or_default() - DAYS_AROUND;
                vec![
                    ("startdateymd", from.max(DateTime::UNIX_EPOCH).date_naive().to_string()),
                    ("enddateymd", (to + DAYS_AROUND).date_naive().to_string()),
                ]
            }
        }
    }
}

/// What of a list is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// All of a span of time.
    Span { from: Option<DateTime<Utc>>, to: DateTime<Utc> },
    /// What has changed since, in seconds.
    Since(i64),
}

/// A list, read one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    stream: Stream,
    what: What,
    /// Changes up to here will be known; `None`: this part does not tell. Withings' own clock knows it better, where an
    /// answer tells it.
    mark: Option<i64>,
}

/// A page of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Step {
    /// What is left to read, this part first.
    parts: Vec<Part>,
    /// Where its page begins.
    offset: i64,
}

impl Step {
    fn of(parts: Vec<Part>) -> Option<Value> {
        (!parts.is_empty()).then(|| Self { parts, offset: 0 }.value())
    }

    fn value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Behind a page that says where the next one begins, or that there is none.
    fn next(mut self, offset: Option<i64>) -> Option<Value> {
        if let Some(offset) = offset {
            self.offset = offset;
            return Some(self.value());
        }
        self.parts.remove(0);
        Self::of(self.parts)
    }
}

/// The parts of a list, and the spans that they cover.
fn parts(ask: &Ask<'_>, stream: Stream) -> (Vec<Part>, Vec<Span>) {
    let since = spans::mark(ask.coverage, stream.name()).and_then(Value::as_i64);
    // Coverage without a mark says nothing of what was edited since.
    let only_new = ask.only_new && since.is_some();
    let spans = spans::to_read(&Ask { only_new, ..ask.clone() }, stream.name(), LOOK_BACK);
    let changes = since.filter(|_| only_new).map(|at| What::Since(at - OVERLAP_S));
    let spans_as_parts =
        spans.iter().map(|span| What::Span { from: span.from, to: span.to.unwrap_or(ask.now) });
    // Read by time alone, a part of the history says nothing of changes in the rest of it.
    let reads_all = spans.iter().any(|span| span.from.is_none() && span.to == Some(ask.now));
    let tells = changes.is_some() || since.is_none() || reads_all;
    // Changes come last: of twins they may name the worse alone, which the page of both, just before, has settled.
    let mut parts: Vec<Part> =
        spans_as_parts.chain(changes).map(|what| Part { stream, what, mark: None }).collect();
    // What changes while this is read is found next time: the mark is from before the first page.
    if let Some(first) = parts.first_mut().filter(|_| tells) {
        first.mark = Some(ask.now.timestamp());
    }
    (parts, spans)
}

fn plan(ask: &Ask<'_>) -> Plan {
    let (mut plan, mut all) = (Plan::default(), Vec::new());
    let granted = |stream: &Stream| ask.scopes.iter().any(|scope| scope == stream.scope());
    for stream in
        Stream::ALL.into_iter().filter(|stream| stream.is_of(ask.job_type)).filter(granted)
    {
        let (parts, spans) = parts(ask, stream);
        all.extend(parts);
        plan.replaces.extend(spans.iter().map(|span| Replaced {
            stream: stream.name().to_owned(),
            table: stream.table(),
            from: span.from,
            to: span.to.unwrap_or(ask.now),
        }));
        plan.covers.push(Coverage { stream: stream.name().to_owned(), spans, mark: None });
    }
    Plan { first: Step::of(all), ..plan }
}

impl Withings {
    async fn step(&self, access: &Access, step: &Value) -> Result<Answer, Error> {
        let step: Step = spans::step(step)?;
        let offset = step.offset;
        let Some(Part { stream, what, mark }) = step.parts.first().cloned() else {
            return Err(spans::no_step("it names no list"));
        };
        let mut form = stream.asks();
        form.extend(stream.when(what));
        if offset > 0 {
            form.push(("offset", offset.to_string()));
        }
        let (endpoint, path) = stream.endpoint();
        let kind = Kind { endpoint, path, tier: access.tier, repeat: true, past_breaker: false };
        let page = |body: &json::Fields<'_>| answer::page(body, stream, offset).ok();
        let answer = self.call(kind, &form, Some(&access.token), page).await;
        let answer = answer.map_err(refusal::error)?;
        let Page { next, as_of, zone } = answer.data;
        let mark = mark.filter(|_| offset == 0).map(|planned| as_of.unwrap_or(planned));
        Ok(Answer {
            context: zone
                .filter(|_| stream == Stream::Measures)
                .map(|zone| json!({ "timezone": zone })),
            mark: mark.map(|mark| (stream.name(), mark.into())),
            ..Answer::of(stream.name(), answer.body).then(step.next(next))
        })
    }
}

impl Source for Withings {
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
        let stream = Stream::named(page.stream)?;
        let body = answer::open(page.body)?;
        let body = body.map_err(|status| Unreadable(format!("status {}", status.code)))?;
        let list = body.list(stream.list())?;
        Ok(match stream {
            Stream::Measures => measures::items(&list),
            Stream::Workouts => workouts::items(&list),
            Stream::Activity => days::day_items(&list),
            Stream::Sleep => days::night_items(&list),
        })
    }

    fn records(&self, page: &Staged<'_>, item: &Item<'_>) -> Result<Vec<Record>, Unreadable> {
        match Stream::named(page.stream)? {
            Stream::Measures => {
                let zone =
                    page.context.and_then(|context| context["timezone"].as_str()?.parse().ok());
                measures::records(item, zone)
            }
            Stream::Workouts => workouts::record(item.raw).map(|record| vec![record]),
            Stream::Activity => days::day(item.raw).map(|record| vec![record]),
            Stream::Sleep => days::night(item.raw).map(|record| vec![record]),
        }
    }
}

#[cfg(test)]
mod tests;
