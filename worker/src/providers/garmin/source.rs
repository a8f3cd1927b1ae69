//! Garmin as a source: how the steps of a plan are taken, and which summaries an answer holds.
//!
//! A pull says nothing about deletions, and a window is one of upload time, so no plan replaces a part of the store:
//! what was deleted at Garmin stays until the account says otherwise.

use super::{
    Garmin, activities, body, days,
    kind::{Kind, Stream},
    plan::{self, Step},
    refusal::{self, Declined},
};
use crate::providers::{
    Detail, Error, Unreadable,
    json::{Fields, odd},
    source::{Access, Answer, Ask, Glance, Item, Plan, Source, Staged},
    spans,
};
use bytes::Bytes;
use chrono::Utc;
use futures::future::BoxFuture;
use paceline_shared::record::Record;
use serde_json::{Value, value::RawValue};
use sha2::{Digest as _, Sha256};
use std::{collections::HashMap, time::Duration};

/// What an answer's summaries are, as raw text each.
pub(super) fn summaries(body: &[u8]) -> serde_json::Result<Vec<&RawValue>> {
    serde_json::from_slice(body)
}

impl Garmin {
    async fn step(&self, access: &Access, step: &Value) -> Result<Answer, Error> {
        let mut step: Step = spans::step(step)?;
        let now = Utc::now();
        if let Some(wanted) = step.request(now) {
            let asked = self.backfill(access, wanted.kind, (wanted.from, wanted.to)).await;
            match asked.map_err(refusal::backfill) {
                Ok(()) => {
                    step.requested(wanted);
                    step.until = Some(Utc::now() + self.config.history_pause);
                }
                Err(Declined::AskedBefore) => step.requested(wanted),
                Err(declined) => decline(&mut step, wanted.kind, declined)?,
            }
            return Ok(after(step, wanted.kind.stream(), Bytes::new()));
        }
        if let Some(pause) = step.until.and_then(|until| (until - now).to_std().ok()) {
            // However the clocks of two workers differ, no single wait is longer than the pause.
            let after = pause.min(self.config.history_pause).max(Duration::from_millis(1));
            return Err(Error::Wait { reason: "preparing", after });
        }
        let Some((kind, window)) = step.window(now.timestamp()) else {
            return Err(withheld(&step));
        };
        match self.pull(access, kind, window).await.map_err(refusal::pull) {
            Ok(answer) => {
                let mark = step.read(window.1);
                let answer = after(step, kind.stream(), answer.body);
                let mark = mark.map(|(stream, mark)| (stream.name(), mark.value()));
                Ok(Answer { mark, ..answer })
            }
            Err(declined) => {
                // The window is over for an endpoint that is not there, or its list would stand still.
                let has_read = step.has_read;
                let is_over = matches!(declined, Declined::NotEnabled(_));
                let mark = if is_over { step.read(window.1) } else { None };
                step.has_read = has_read;
                decline(&mut step, kind, declined)?;
                let answer = after(step, kind.stream(), Bytes::new());
                let mark = mark.map(|(stream, mark)| (stream.name(), mark.value()));
                Ok(Answer { mark, ..answer })
            }
        }
    }
}

/// An answer with what is left to be done behind it.
fn after(mut step: Step, stream: Stream, body: Bytes) -> Answer {
    let left = step.count(Utc::now().timestamp()).min((step.left - 1).max(0));
    step.left = left;
    let next = (!step.is_over()).then(|| step.value());
    Answer { left: Some(left), ..Answer::of(stream.name(), body).then(next) }
}

/// Goes on without what Garmin does not give, as long as something is left that it may.
fn decline(step: &mut Step, kind: Kind, declined: Declined) -> Result<(), Error> {
    let detail = match declined {
        Declined::NotAllowed(detail) => {
            step.leave_out(kind.stream());
            detail
        }
        Declined::NotEnabled(detail) => {
            step.skip(kind);
            detail
        }
        Declined::NoHistory(detail) => {
            step.without_history();
            detail
        }
        Declined::AskedBefore => return Ok(()),
        Declined::Failed(error) => return Err(error),
    };
    tracing::warn!(kind = kind.name(), reason = detail.message, "a type of summary is left out");
    if step.is_over() && !step.has_read { Err(Error::Denied(detail)) } else { Ok(()) }
}

/// Nothing of what was asked for may be read.
fn withheld(step: &Step) -> Error {
    let missing = step.withheld.join(", ");
    let message =
        format!("Garmin's user has not allowed {missing}; connect Garmin again and allow it");
    Error::Denied(Detail { message, ..Detail::default() })
}

/// The summaries of an answer. Of several versions of one, the one that holds comes first, and the others count as
/// repetitions: the one of the highest revision, and of equal ones the last that was uploaded.
pub(super) fn items(stream: Stream, body: &[u8]) -> Result<Vec<Item<'_>>, Unreadable> {
    let summaries = summaries(body)
        .map_err(|error| Unreadable(format!("an answer that is no array: {error}")))?;
    let versions: Vec<(Glance, Option<i64>)> =
        summaries.iter().map(|raw| glance(stream, raw.get())).collect();
    let mut winners: HashMap<&str, usize> = HashMap::new();
    for (nth, (glance, revision)) in versions.iter().enumerate() {
        let Some(id) = &glance.record_id else { continue };
        let winner = winners.entry(id).or_insert(nth);
        if *revision >= versions[*winner].1 {
            *winner = nth;
        }
    }
    let winner = |nth: usize, glance: &Glance| match &glance.record_id {
        Some(id) => winners.get(id.as_str()).copied().unwrap_or(nth),
        None => nth,
    };
    let mut order: Vec<(usize, usize)> =
        versions.iter().enumerate().map(|(nth, (glance, _))| (nth, winner(nth, glance))).collect();
    order.sort_by_key(|(nth, winner)| (nth != winner, *nth));
    Ok(order
        .into_iter()
        .map(|(nth, winner)| {
            let raw = summaries[nth].get();
            // Another text of the same id in the next window is another version of it, and no repetition.
            let distinct = Some(digest(summaries[winner].get()));
            Item { raw, glance: Glance { distinct, ..versions[nth].0.clone() } }
        })
        .collect())
}

/// Tells two texts apart.
fn digest(text: &str) -> String {
    let half = Sha256::digest(text).into_iter().take(16);
    let number = half.fold(0_u128, |number, byte| number << 8 | u128::from(byte));
    format!("{number:032x}")
}

fn glance(stream: Stream, raw: &str) -> (Glance, Option<i64>) {
    let Ok(fields) = Fields::of(raw) else { return (Glance::default(), None) };
    let glance = match stream {
        Stream::Activities | Stream::MoveIqActivities => activities::glance(&fields),
        Stream::Dailies
        | Stream::Sleeps
        | Stream::BodyComps
        | Stream::BloodPressures
        | Stream::UserMetrics => Glance::default(),
    };
    let revision = match stream {
        Stream::Dailies => days::daily_revision(&fields),
        Stream::Sleeps => days::sleep_revision(&fields),
        _ => None,
    };
    (Glance { record_id: fields.id("summaryId"), ..glance }, revision)
}

pub(super) fn records(stream: Stream, raw: &str) -> Result<Vec<Record>, Unreadable> {
    let fields = Fields::of(raw)?;
    let id = fields.id("summaryId").ok_or_else(|| odd("summaryId"))?;
    match stream {
        Stream::Activities => activities::activity(id, &fields),
        Stream::MoveIqActivities => activities::move_iq(id, &fields),
        Stream::Dailies => days::daily(id, &fields),
        Stream::Sleeps => days::sleep(id, &fields),
        Stream::BodyComps => body::composition(&id, &fields),
        Stream::BloodPressures => body::pressure(&id, &fields),
        Stream::UserMetrics => body::metrics(&id, &fields),
    }
}

impl Source for Garmin {
    fn plan(&self, ask: &Ask<'_>) -> Plan {
        plan::plan(ask)
    }

    fn read<'a>(
        &'a self,
        access: &'a Access,
        step: &'a Value,
    ) -> BoxFuture<'a, Result<Answer, Error>> {
        Box::pin(self.step(access, step))
    }

    fn items<'a>(&self, page: &Staged<'a>) -> Result<Vec<Item<'a>>, Unreadable> {
        items(Stream::named(page.stream)?, page.body)
    }

    fn records(&self, page: &Staged<'_>, item: &Item<'_>) -> Result<Vec<Record>, Unreadable> {
        records(Stream::named(page.stream)?, item.raw)
    }
}
