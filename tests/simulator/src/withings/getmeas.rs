//! `POST /measure`, `action=getmeas`: the groups of measures.
//!
//! Here `more` is the number 1, and absent at the end. Groups come in the order they were stored in.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;
use serde_json::value::RawValue;

use super::ask::Ask;
use super::errors::Refusal;
use super::record::{Record, WithingsKind};
use super::shelf::Filter;
use crate::http;
use crate::locks::reading;
use crate::patch::{self, Fields};
use crate::world::World;

pub(super) async fn measure(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Refusal> {
    let ask = Ask::read(&world, &headers, query.as_deref(), &body)?;
    if ask.action() != "getmeas" {
        return Err(Refusal::NotImplemented);
    }
    ask.needs("user.metrics")?;
    let filter = filter(&ask)?;
    let user = reading(&ask.user);
    let shelf = user.shelf(WithingsKind::Measures);
    let (page, next) = shelf.page(&filter, ask.offset()?, ask.cut);
    let groups: Vec<Box<RawValue>> =
        page.into_iter().map(|group| narrowed(group, &filter.types)).collect();
    let mut told = json!({
        "updatetime": world.clock.now().timestamp(),
        "timezone": user.home().name(),
    });
    if let Some(next) = next {
        told["more"] = json!(1);
        told["offset"] = json!(next);
    }
    Ok(http::json(200, super::series::answer(&told, "measuregrps", &groups)))
}

fn filter(ask: &Ask) -> Result<Filter, Refusal> {
    let from: Option<i64> = ask.one("startdate")?;
    let to: Option<i64> = ask.one("enddate")?;
    let changed_after: Option<i64> = ask.one("lastupdate")?;
    if changed_after.is_some() && (from.is_some() || to.is_some()) {
        return Err(Refusal::Invalid("lastupdate"));
    }
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        return Err(Refusal::Invalid("enddate"));
    }
    let category: Option<i64> = ask.one("category")?;
    if category.is_some_and(|category| !(1..=2).contains(&category)) {
        return Err(Refusal::Invalid("category"));
    }
    let mut types: Vec<i64> = ask.many("meastypes")?;
    types.extend(ask.one::<i64>("meastype")?);
    let taken = (from.is_some() || to.is_some())
        .then(|| (from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX)));
    Ok(Filter { taken, days: None, changed_after, category, types })
}

/// The group with its measures of these types only; all of them, when none are named.
fn narrowed(group: &Record, types: &[i64]) -> Box<RawValue> {
    if types.is_empty() || group.types.iter().all(|kind| types.contains(kind)) {
        return group.json.clone();
    }
    let narrow = || -> Option<Box<RawValue>> {
        let mut fields: Fields = serde_json::from_str(group.json.get()).ok()?;
        let mut measures: Vec<Fields> = patch::read(&fields, "measures")?;
        measures.retain(|measure| {
            patch::read(measure, "type").is_some_and(|kind| types.contains(&kind))
        });
        let measures = serde_json::value::to_raw_value(&measures).ok()?;
        fields.insert("measures".to_owned(), measures);
        serde_json::value::to_raw_value(&fields).ok()
    };
    narrow().unwrap_or_else(|| group.json.clone())
}
