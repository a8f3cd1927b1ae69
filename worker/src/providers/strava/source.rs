//! Strava as a source: numbered pages of each span of time that is to be read. An empty page ends a span, and
//! nothing else does.

use super::{Strava, record, refusal};
use crate::providers::{
    Error, Unreadable,
    source::{Access, Answer, Ask, Item, Plan, Replaced, Source, Staged},
    spans,
};
use chrono::TimeDelta;
use futures::future::BoxFuture;
use paceline_shared::{
    db::connection_coverage::{Coverage, Span},
    record::{Record, Table},
};
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The only list that is read.
const STREAM: &str = "activities";

/// Late uploads, edits and deletions within this are found by reading it again.
const LOOK_BACK: TimeDelta = TimeDelta::days(14);

/// A numbered page of a span of start times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Step {
    /// What is left to read, this span first.
    spans: Vec<Span>,
    /// Its page, from 1.
    page: i32,
}

impl Step {
    fn of(spans: Vec<Span>) -> Option<Value> {
        (!spans.is_empty()).then(|| Self { spans, page: 1 }.value())
    }

    fn value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Behind a page of so many items.
    fn next(mut self, items: i32) -> Option<Value> {
        if items > 0 {
            self.page += 1;
            return Some(self.value());
        }
        self.spans.remove(0);
        Self::of(self.spans)
    }
}

/// What of a user's activities his consent shows. Coverage is kept apart: with more scopes there is more to read.
fn visible(scopes: &[String]) -> Option<(&'static str, bool)> {
    let granted = |scope: &str| scopes.iter().any(|granted| granted == scope);
    if granted("activity:read_all") {
        Some((STREAM, true))
    } else {
        granted("activity:read").then_some(("activities_not_private", false))
    }
}

fn plan(ask: &Ask<'_>) -> Plan {
    let Some((coverage, whole)) = visible(ask.scopes) else {
        // A step that says so, without a call: a sync that read nothing for want of consent is no success.
        let step = Step { spans: vec![], page: 1 };
        return Plan { first: Some(step.value()), ..Plan::default() };
    };
    let spans = spans::to_read(ask, coverage, LOOK_BACK);
    // Private activities that are hidden from us are not gone.
    let replaces = spans.iter().filter(|_| whole).map(|span| Replaced {
        stream: STREAM.to_owned(),
        table: Table::Activities,
        from: span.from,
        to: span.to.unwrap_or(ask.now),
    });
    Plan {
        replaces: replaces.collect(),
        covers: vec![Coverage { stream: coverage.to_owned(), spans: spans.clone(), mark: None }],
        first: Step::of(spans),
        ..Plan::default()
    }
}

impl Strava {
    async fn step(&self, access: &Access, step: &Value) -> Result<Answer, Error> {
        let step: Step = spans::step(step)?;
        let Some(span) = step.spans.first() else {
            return Err(spans::not_granted("activity:read_all"));
        };
        let page = self.page(&access.token, &(*span).into(), step.page, access.tier).await?;
        Ok(Answer::of(STREAM, page.body).then(step.next(page.items)))
    }

    /// Asks for one activity: a list that shifts while it is read may leave one out that is there.
    async fn is_gone(&self, access: &Access, record_id: &str) -> Result<bool, Error> {
        let path = format!("activities/{record_id}");
        let url = self.url(&path);
        let told = self
            .http("read", &[super::ALL.1, super::READ.1], access.tier, false)
            .send(
                "activities/{id}",
                |http| http.get(&url).bearer_auth(access.token.expose_secret()),
                |body| serde_json::from_slice::<serde::de::IgnoredAny>(body).ok(),
            )
            .await;
        match told.map_err(refusal::error) {
            Ok(_) => Ok(false),
            Err(Error::Refused(detail))
                if detail.status == Some(StatusCode::NOT_FOUND.as_u16()) =>
            {
                Ok(true)
            }
            Err(Error::Gone(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

impl Source for Strava {
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
        record::items(page.body)
    }

    fn records(&self, _page: &Staged<'_>, item: &Item<'_>) -> Result<Vec<Record>, Unreadable> {
        record::read(item.raw).map(|activity| vec![Record::Activity(Box::new(activity))])
    }

    fn doubts(&self) -> bool {
        true
    }

    fn is_gone<'a>(
        &'a self,
        access: &'a Access,
        record_id: &'a str,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(self.is_gone(access, record_id))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::borders, *};
    use chrono::{DateTime, Utc};
    use paceline_shared::JobType;
    use sqlx::postgres::types::PgRange;
    use std::ops::Bound;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn scopes(scopes: &[&str]) -> &'static [String] {
        let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        scopes.leak()
    }

    fn ask(coverage: &[Coverage], only_new: bool) -> Ask<'_> {
        Ask {
            job_type: JobType::Activities,
            range: PgRange { start: Bound::Unbounded, end: Bound::Unbounded },
            only_new,
            coverage,
            scopes: scopes(&["read", "activity:read_all"]),
            profile: None,
            now: at("2026-11-21T12:00:00Z"),
        }
    }

    #[test]
    fn the_look_back_is_read_again_with_what_is_new() {
        let covered = [Coverage {
            stream: STREAM.to_owned(),
            spans: vec![Span { from: None, to: Some(at("2026-11-20T12:00:00Z")) }],
            mark: None,
        }];
        let plan = plan(&ask(&covered, true));
        let from = Some(at("2026-11-07T12:00:00Z"));
        let span = Span { from, to: Some(at("2026-11-21T12:00:00Z")) };
        assert_eq!(plan.covers[0].spans, [span]);
        assert_eq!(plan.first, Step::of(vec![span]));
        assert_eq!(
            (plan.replaces[0].from, plan.replaces[0].to),
            (from, at("2026-11-21T12:00:00Z"))
        );
    }

    #[test]
    fn partial_consent_hides_private_activities_and_hidden_is_not_gone() {
        let some = Ask { scopes: scopes(&["read", "activity:read"]), ..ask(&[], true) };
        let plan_of_some = plan(&some);
        assert!(plan_of_some.first.is_some() && plan_of_some.replaces.is_empty());
        let granted_more = Ask { coverage: &plan_of_some.covers, ..ask(&[], true) };
        assert_eq!(plan(&granted_more).covers[0].spans[0].from, None, "all is read again");
        let none = Ask { scopes: scopes(&["read"]), ..ask(&[], true) };
        let plan = plan(&none);
        assert!(plan.covers.is_empty() && plan.replaces.is_empty());
    }

    #[test]
    fn a_gap_in_the_middle_is_read_before_the_look_back() {
        let covered = [Coverage {
            stream: STREAM.to_owned(),
            spans: vec![
                Span { from: None, to: Some(at("2020-01-01T00:00:00Z")) },
                Span {
                    from: Some(at("2021-01-01T00:00:00Z")),
                    to: Some(at("2026-11-21T00:00:00Z")),
                },
            ],
            mark: None,
        }];
        let spans = &plan(&ask(&covered, true)).covers[0].spans;
        assert_eq!(spans.len(), 2);
        assert_eq!(spans[0].from, Some(at("2020-01-01T00:00:00Z")));
        assert_eq!(spans[1].from, Some(at("2026-11-07T12:00:00Z")));
        assert_eq!(
            plan(&ask(&covered, false)).covers[0].spans.len(),
            1,
            "all of it where all is asked for"
        );
    }

    #[test]
    fn only_an_empty_page_ends_a_span() {
        let spans = vec![
            Span { from: None, to: None },
            Span { from: Some(at("2021-01-01T00:00:00Z")), to: None },
        ];
        let step = Step { spans, page: 1 };
        let second: Step = serde_json::from_value(step.clone().next(3).unwrap()).unwrap();
        assert_eq!((second.page, second.spans.len()), (2, 2));
        let other: Step = serde_json::from_value(second.next(0).unwrap()).unwrap();
        assert_eq!((other.page, other.spans.len()), (1, 1));
        assert_eq!(other.next(0), None);
    }

    #[test]
    fn a_spans_borders_are_stravas() {
        let span =
            Span { from: Some(at("2026-01-01T00:00:00Z")), to: Some(at("2026-01-02T00:00:00Z")) };
        assert_eq!(borders(&span.into()), (1_767_225_599, Some(1_767_312_000)));
    }
}
