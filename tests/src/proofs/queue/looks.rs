//! What people wait for in large tables: the first page of a list of jobs, by several filters, and the counts.

use super::Plan;
use crate::proofs::report::{Bound, Report};
use anyhow::Result;
use chrono::{TimeDelta, Utc};
use paceline_shared::{
    Provider,
    db::{
        Db,
        admin_jobs::{self, Filter, Range},
        job_counts,
    },
    job_state::JobState,
};
use std::time::Instant;

/// Jobs on a page.
const PAGE: i64 = 50;
const ROUNDS: i64 = 20;

/// Adds the figures.
pub(super) async fn looks(report: &mut Report, plan: &Plan, db: &Db) -> Result<()> {
    let mut lists = Vec::new();
    for round in 0..ROUNDS {
        let mut filters = vec![
            Filter::default(),
            Filter { provider: Some(Provider::Strava), ..Filter::default() },
            Filter { before: Some(Utc::now() - TimeDelta::hours(round)), ..Filter::default() },
        ];
        filters
            .extend(JobState::ALL.map(|state| Filter { state: Some(state), ..Filter::default() }));
        for filter in filters {
            let began = Instant::now();
            let mut tx = admin_jobs::search(db).await?;
            admin_jobs::page(&mut tx, &filter, Range::ALL, PAGE).await?;
            tx.commit().await?;
            lists.push(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    if let Some(turn) = job_counts::take_turn(db).await? {
        job_counts::count(db, turn).await?;
    }
    let mut counts = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let mut tx = db.begin().await?;
        job_counts::read(&mut tx).await?;
        tx.commit().await?;
        counts.push(began.elapsed().as_secs_f64() * 1e3);
    }
    for (name, mut took, most) in [
        ("a page of jobs, 95 in 100", lists, plan.floors.list_ms),
        ("the counts, 95 in 100", counts, plan.floors.counts_ms),
    ] {
        took.sort_by(f64::total_cmp);
        report.figure(name, took[took.len() * 95 / 100], "ms", Bound::AtMost(most));
    }
    Ok(())
}
