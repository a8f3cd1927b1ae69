//! The ground truth of a run: what the simulated world holds and was asked for, against what is stored.

use super::{
    fleet::{Accepted, Fleet},
    witness,
};
use crate::proofs::report::{Bound, Report};
use anyhow::Result;
use paceline_simulator::StartRange;
use paceline_tests::{stack::ACTIVITIES, truth};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// Nothing of it.
pub(super) const NONE: Bound = Bound::AtMost(0.0);
/// How many users are compared field by field.
const COMPARED: usize = 5;

/// How often pages of each sync were asked for again.
pub(super) fn repeated_pages(fleet: &Fleet) -> HashMap<Uuid, usize> {
    let mut asked: HashMap<u64, (usize, BTreeSet<Option<u32>>)> = HashMap::new();
    for entry in fleet.stack.world().log(0, usize::MAX) {
        if let (Some(athlete), ACTIVITIES) = (entry.athlete, entry.path.as_str()) {
            let (requests, pages) = asked.entry(athlete).or_default();
            *requests += 1;
            pages.insert(entry.page);
        }
    }
    let of = |accepted: &Accepted| {
        let (requests, pages) = asked.get(&accepted.user.athlete)?;
        Some((accepted.id, requests - pages.len()))
    };
    fleet.accepted().iter().filter_map(of).filter(|(_, again)| *again > 0).collect()
}

/// What each accepted sync must come to, whatever happened.
pub(super) async fn judge(fleet: &Fleet, report: &mut Report) -> Result<()> {
    let accepted = fleet.accepted();
    let db = &*fleet.stack.db;
    let stored: HashMap<Uuid, i64> =
        pairs(fleet, "select user_id, count(*) from paceline.activities group by 1").await?;
    let ends: HashMap<Uuid, i64> = pairs(
        fleet,
        "select id, coalesce((counts ->> 'saved')::bigint, 0) + coalesce((counts ->> 'updated')::bigint, 0)
                + coalesce((counts ->> 'unchanged')::bigint, 0) + coalesce((counts ->> 'failed')::bigint, 0)
           from paceline.sync_history where status = 'completed'",
    )
    .await?;
    let (mut unfinished, mut records, mut lost, mut doubled) = (0, 0, 0, 0);
    for Accepted { user, id } in &accepted {
        let held = fleet.stack.world().athlete(user.athlete, StartRange::default())?.activities;
        let kept = usize::try_from(stored.get(&user.id.0).copied().unwrap_or(0))?;
        records += kept;
        lost += held.saturating_sub(kept);
        doubled += kept.saturating_sub(held);
        match ends.get(id) {
            None => unfinished += 1,
            // A batch that was done twice counts its records twice, though it stores them once.
            Some(&counted) => doubled += usize::try_from(counted)?.abs_diff(held),
        }
    }
    let numbers: (i64, i64, i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from paceline.activities where version > 1),
                (select count(*) from paceline.sync_history),
                (select coalesce(sum(attempt - 1), 0)::bigint from paceline.sync_history)
                  + (select count(*) from paceline.sync_attempts),
                (select count(*) from paceline.sync_attempts where code = 'worker_lost'),
                (select count(*) from paceline.sync_jobs) + (select count(*) from paceline.sync_runs)
                  + (select count(*) from paceline.staged_pages)",
    )
    .fetch_one(db)
    .await?;
    let (rewritten, histories, burnt, quarantined, left) = numbers;
    let stale = witness::stale_writes(db).await?;
    for note in stale.iter().take(20) {
        report.remark(note.clone());
    }
    report.count("syncs accepted", accepted.len(), Bound::AtLeast(1.0));
    report.count("syncs not completed", unfinished, NONE);
    report.count(
        "histories beyond one a sync",
        usize::try_from(histories)?.abs_diff(accepted.len()),
        NONE,
    );
    report.count("records stored", records, Bound::None);
    report.count("records lost", lost, NONE);
    report.count("records doubled", doubled + usize::try_from(rewritten)?, NONE);
    report.count("attempts burnt", usize::try_from(burnt)?, NONE);
    report.count("syncs quarantined", usize::try_from(quarantined)?, NONE);
    report.count(
        "claims beyond one an epoch",
        usize::try_from(witness::double_claims(db).await?)?,
        NONE,
    );
    report.count("writes accepted from who was not the owner", stale.len(), NONE);
    report.count("rows left in the hot tables", usize::try_from(left)?, NONE);
    // Panics at the first field that differs.
    if unfinished == 0 && lost == 0 {
        let every = (accepted.len() / COMPARED).max(1);
        for Accepted { user, .. } in accepted.iter().rev().step_by(every) {
            fleet.stack.assert_true(user, truth::WHOLE).await;
        }
    }
    Ok(())
}

async fn pairs(fleet: &Fleet, statement: &'static str) -> Result<HashMap<Uuid, i64>> {
    let rows: Vec<(Uuid, i64)> = sqlx::query_as(statement).fetch_all(&*fleet.stack.db).await?;
    Ok(rows.into_iter().collect())
}

/// The value that a share of all does not exceed; 0 of none.
pub(super) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place among some thousands"
    )]
    let place = (values.len() as f64 * share).ceil() as usize;
    place.checked_sub(1).and_then(|place| values.get(place)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values_and_none_of_nothing() {
        let mut values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert!((percentile(&mut values, 0.99) - 198.0).abs() < f64::EPSILON);
        assert!((percentile(&mut values, 1.0) - 200.0).abs() < f64::EPSILON);
        assert!((percentile(&mut [7.0], 0.99) - 7.0).abs() < f64::EPSILON);
        assert!(percentile(&mut [], 0.99).abs() < f64::EPSILON);
    }
}
