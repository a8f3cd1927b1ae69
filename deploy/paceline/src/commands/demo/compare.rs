//! What the providers hold, held against what is stored: counted by kind, and looked for one by one.

use super::report::{Line, Report};
use crate::{
    local::{Account, Local, lists},
    sync::SyncView,
};
use paceline_shared::{
    ConnectionId,
    db::{Db, Error, activities, daily_summaries, measurements},
    record::Table,
};
use serde::Serialize;
use std::{fmt, ops::AddAssign, time::Duration};

/// Records of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Count {
    /// That there are.
    pub(super) expected: u64,
    /// That Postgres holds.
    pub(super) stored: u64,
}

/// Records of all kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) activities: Count,
    pub(super) measurements: Count,
    pub(super) daily_summaries: Count,
}

impl AddAssign for Count {
    fn add_assign(&mut self, more: Self) {
        self.expected += more.expected;
        self.stored += more.stored;
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.activities += more.activities;
        self.measurements += more.measurements;
        self.daily_summaries += more.daily_summaries;
    }
}

impl fmt::Display for Count {
    /// `999 of 1000`, and nothing where there is nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { expected: 0, stored: 0 } => Ok(()),
            Self { expected, stored } => write!(f, "{stored} of {expected}"),
        }
    }
}

impl Counts {
    /// All kinds together.
    pub(super) fn all(self) -> Count {
        let mut all = self.activities;
        all += self.measurements;
        all += self.daily_summaries;
        all
    }

    /// Whether as much is stored as there is.
    pub(super) fn agree(self) -> bool {
        [self.activities, self.measurements, self.daily_summaries]
            .into_iter()
            .all(|Count { expected, stored }| expected == stored)
    }

    const fn of(&mut self, table: Table) -> &mut Count {
        match table {
            Table::Activities => &mut self.activities,
            Table::Measurements => &mut self.measurements,
            Table::DailySummaries => &mut self.daily_summaries,
        }
    }
}

/// An account whose first sync has ended.
pub(super) struct Synced {
    pub(super) user: String,
    pub(super) account: Account,
    pub(super) connection: ConnectionId,
    pub(super) sync: SyncView,
    pub(super) took: Duration,
}

/// Asks both sides.
pub(super) async fn compare(
    local: &Local<'_>,
    ended: Vec<Synced>,
    took: Duration,
) -> anyhow::Result<Report> {
    let requests = local.simulator.requests().await?;
    let mut lines = Vec::new();
    for synced in ended {
        lines.push(one(local, synced).await?);
    }
    Ok(Report { lines, requests, took })
}

async fn one(local: &Local<'_>, synced: Synced) -> anyhow::Result<Line> {
    let Synced { user, account, connection, sync, took } = synced;
    let (mut counts, mut missing, mut locatable) = (Counts::default(), 0, 0);
    for list in lists(account.provider) {
        let mut cursor = Some(0);
        while let Some(from) = cursor {
            let page = local.simulator.page(&account, &list, from).await?;
            counts.of(list.table).expected += page.values;
            locatable += page.locatable;
            missing += absent(local.db, list.table, connection, &page.ids).await?;
            cursor = page.next;
        }
    }
    let done = activities::stored(local.db, connection).await?;
    counts.activities.stored = done.records.unsigned_abs();
    counts.measurements.stored = measurements::stored(local.db, connection).await?.unsigned_abs();
    counts.daily_summaries.stored =
        daily_summaries::stored(local.db, connection).await?.unsigned_abs();
    Ok(Line {
        user,
        provider: account.provider,
        counts,
        missing,
        locatable,
        weather_enriched: done.weather_enriched.unsigned_abs(),
        geocoded: done.geocoded.unsigned_abs(),
        took,
        failure: (!sync.has_completed()).then(|| sync.doing()),
    })
}

/// How many of these are not stored.
async fn absent(
    db: &Db,
    table: Table,
    connection: ConnectionId,
    ids: &[String],
) -> Result<usize, Error> {
    Ok(match table {
        Table::Activities => activities::missing(db, connection, ids).await?,
        Table::Measurements => measurements::missing(db, connection, ids).await?,
        Table::DailySummaries => daily_summaries::missing(db, connection, ids).await?,
    }
    .len())
}
