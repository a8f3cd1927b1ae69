//! `POST /v2/user`, `action=getdevice`: what stands in a user's house.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};

use super::ask::Ask;
use super::errors::Refusal;
use super::generate::HOUSEHOLD;
use super::record::WithingsKind;
use crate::http;
use crate::locks::reading;
use crate::world::World;

pub(super) async fn user(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Refusal> {
    let ask = Ask::read(&world, &headers, query.as_deref(), &body)?;
    if ask.action() != "getdevice" {
        return Err(Refusal::NotImplemented);
    }
    ask.needs("user.info")?;
    let user = reading(&ask.user);
    let times = user.shelf(WithingsKind::Measures).all().map(|(_, record)| record.at);
    let (first, last) = (times.min(), latest(&user));
    let device = |device: super::generate::Device| -> Value {
        let id = user.subject.device_id(device);
        json!({
            "type": device.kind,
            "battery": device.battery,
            "model": device.model,
            "model_id": device.model_id,
            "timezone": user.home().name(),
            "first_session_date": first,
            "last_session_date": last,
            "deviceid": id,
            "hash_deviceid": id,
        })
    };
    let devices: Vec<Value> = HOUSEHOLD.into_iter().map(device).collect();
    let told = json!({ "status": 0, "body": { "devices": devices } });
    Ok(http::json(200, told.to_string()))
}

fn latest(user: &super::user::User) -> Option<i64> {
    user.shelf(WithingsKind::Measures).all().map(|(_, record)| record.at).max()
}
