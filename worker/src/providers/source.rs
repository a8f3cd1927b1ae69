//! The pipeline's side of a provider: plan the steps, read one step, say what it held.
//!
//! A sync is a chain of steps. A step is whatever the provider wants it to be (a page, a chunk of days, a window
//! of upload time) as JSON: it is kept with the page before it, so any worker goes on from there. Each step's
//! answer is staged as it came; what it holds is read again from there, by the same file.

use super::{Error, Unreadable};
use crate::budget::Tier;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use paceline_shared::{
    ConnectionId, JobType, Provider,
    activity::Position,
    db::connection_coverage::Coverage,
    record::{Record, Table},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::postgres::types::PgRange;
use std::{collections::BTreeMap, fmt};

/// A provider, as the pipeline reads it.
pub trait Source: fmt::Debug + Send + Sync {
    /// What a sync is to read. Pure: everything that it depends on is in `ask`, and the answer is kept, so that
    /// later attempts and phases go by the same plan.
    fn plan(&self, ask: &Ask<'_>) -> Plan;

    /// Reads one step. An error is never an empty answer.
    fn read<'a>(
        &'a self,
        access: &'a Access,
        step: &'a Value,
    ) -> BoxFuture<'a, Result<Answer, Error>>;

    /// The items of a staged answer, in the provider's order. Pure, and the same at each call.
    fn items<'a>(&self, page: &Staged<'a>) -> Result<Vec<Item<'a>>, Unreadable>;

    /// What an item says, in Paceline's terms. Empty: nothing that Paceline keeps (a goal, a category that it does
    /// not know), which is no failure.
    fn records(&self, page: &Staged<'_>, item: &Item<'_>) -> Result<Vec<Record>, Unreadable>;

    /// Whether the way of reading leaves a doubt about activities that a complete read did not name: each is then asked
    /// for with [`Source::is_gone`].
    fn doubts(&self) -> bool {
        false
    }

    /// Whether an activity that a complete read did not name is really gone.
    fn is_gone<'a>(
        &'a self,
        _access: &'a Access,
        _record_id: &'a str,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(std::future::ready(Ok(true)))
    }
}

/// What a sync is asked for.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// Which kinds of records.
    pub job_type: JobType,
    /// Times of the records asked for.
    pub range: PgRange<DateTime<Utc>>,
    /// Only what is not covered yet, and the look-back; else all of `range`.
    pub only_new: bool,
    /// What was read completely before, by list.
    pub coverage: &'a [Coverage],
    /// The scopes that the user granted. A list whose scope is missing is left out of the plan, never asked for.
    pub scopes: &'a [String],
    /// The account's profile: zone, units.
    pub profile: Option<&'a Value>,
    /// When the sync began to plan, by the database's clock. An open end of a range ends here.
    pub now: DateTime<Utc>,
}

/// What a sync will read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The first step; `None`: there is nothing to read.
    pub first: Option<Value>,
    /// How many steps there are, where that is known before they are read.
    pub steps: Option<i32>,
    /// What of the store a complete read replaces: records in there that no page named are gone at the provider.
    pub replaces: Vec<Replaced>,
    /// What will be covered, by list.
    pub covers: Vec<Coverage>,
    /// Where lists of changes go on next time, by list: what [`Answer::mark`] told meanwhile. Not the plan's own.
    #[serde(default)]
    pub marks: BTreeMap<String, Value>,
}

/// A part of one list that a plan reads completely.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// The list.
    pub stream: String,
    /// Where its records are stored.
    pub table: Table,
    /// From this time of a record on, included; `None`: from the beginning.
    pub from: Option<DateTime<Utc>>,
    /// To this time, excluded.
    pub to: DateTime<Utc>,
}

/// With what a step is read.
#[derive(Clone, Debug)]
pub struct Access {
    /// Goes into the Authorization header.
    pub token: SecretString,
    /// Through which link.
    pub connection: ConnectionId,
    /// The provider's name for the account.
    pub account: String,
    /// How urgent the call is.
    pub tier: Tier,
}

/// What a step brought: a complete and readable answer, never an error's body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Which of the provider's lists it is from.
    pub stream: &'static str,
    /// As it came.
    pub body: Bytes,
    /// What reading it needs and it does not say itself: zone, units.
    pub context: Option<Value>,
    /// The step after it; `None`: this was the last.
    pub next: Option<Value>,
    /// How many steps are left, where that is known. Must never grow, or the bar would go back.
    pub left: Option<i32>,
    /// Where a list of changes goes on next time: (stream, mark), kept when the sync is stored.
    pub mark: Option<(&'static str, Value)>,
    /// What the account's profile says now, where this step read it.
    pub profile: Option<Value>,
}

/// A staged answer.
#[derive(Clone, Copy, Debug)]
pub struct Staged<'a> {
    /// From where.
    pub provider: Provider,
    /// Which of its lists.
    pub stream: &'a str,
    /// As it came.
    pub body: &'a [u8],
    /// What [`Answer::context`] was.
    pub context: Option<&'a Value>,
}

/// The little that fetch and enrich must know of an item, read leniently: what is odd is `None` here
/// and fails alone when it is stored.
#[derive(Clone, Debug, Default)]
pub struct Glance {
    /// The provider's id: that of the stored records.
    pub record_id: Option<String>,
    /// Tells items apart that the provider gives one id.
    pub distinct: Option<String>,
    /// The provider's word for the sport; `None` for what is no activity.
    pub sport_type: Option<String>,
    /// When it began; `None` for what wants no weather.
    pub start_at: Option<DateTime<Utc>>,
    /// Where it began.
    pub start: Option<Position>,
}

/// An item of a page: its text and a glance at it.
#[derive(Clone, Debug)]
pub struct Item<'a> {
    /// The provider's JSON.
    pub raw: &'a str,
    /// What a glance shows.
    pub glance: Glance,
}
