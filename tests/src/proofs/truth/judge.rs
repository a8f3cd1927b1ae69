//! The judgement: what is stored against what the providers hold, and what it took.

use super::{
    expiry::Refreshes,
    facts::{self, Facts, Key, Stored, Verdict},
    line::Line,
    people::Account,
};
use crate::proofs::report::{Bound, Report};
use anyhow::{Result, ensure};
use futures::future::try_join_all;
use paceline_tests::stack::Stack;
use std::collections::BTreeSet;

/// The most requests for a sync of what is new, of the fewest.
const WASTE: f64 = 1.3;
/// Lines of each kind of difference that are told.
const TOLD: usize = 12;

/// Compares all accounts; `beyond`: which records of one need not be right yet.
pub(super) async fn judge(
    stack: &Stack,
    accounts: &[Account],
    beyond: impl Fn(usize, &Facts) -> BTreeSet<Key>,
) -> Result<Verdict> {
    let mut all = Verdict::default();
    for (number, account) in accounts.iter().enumerate() {
        let truth = account.line.truth(stack.world(), &account.id)?;
        let stored = Stored::of(&stack.db, account.connection).await?;
        let mut verdict = Verdict::on(&stored.live, &truth, &beyond(number, &truth));
        if stored.doubled > 0 {
            verdict.surplus.push(format!("{} records twice", stored.doubled));
        }
        all.add(verdict.named(account.line.name()));
    }
    Ok(all)
}

/// What was deleted at a provider that tells nobody.
pub(super) fn untold(
    line: &dyn Line,
    at_first: &Facts,
    touched: &BTreeSet<Key>,
    truth: &Facts,
) -> BTreeSet<Key> {
    if line.tells_deletions() {
        return BTreeSet::new();
    }
    let once = at_first.keys().chain(touched);
    once.filter(|key| !truth.contains_key(*key)).cloned().collect()
}

/// The names of a comparison's figures.
pub(super) struct Names {
    compared: &'static str,
    missing: &'static str,
    surplus: &'static str,
    differing: &'static str,
}

pub(super) const NEW: Names = Names {
    compared: "records compared after what is new",
    missing: "of these missing",
    surplus: "stored and gone, or twice",
    differing: "fields that differ",
};
pub(super) const WHOLE: Names = Names {
    compared: "records compared after a whole read",
    missing: "of these missing at last",
    surplus: "stored and gone, or twice, at last",
    differing: "fields that differ at last",
};

pub(super) fn tell(report: &mut Report, names: &Names, verdict: &Verdict) {
    report.count(names.compared, verdict.compared, Bound::AtLeast(1.0));
    for (name, which) in [
        (names.missing, &verdict.missing),
        (names.surplus, &verdict.surplus),
        (names.differing, &verdict.differing),
    ] {
        report.count(name, which.len(), Bound::AtMost(0.0));
        which.iter().take(TOLD).for_each(|line| report.remark(format!("{name}: {line}")));
    }
}

pub(super) fn tell_tokens(report: &mut Report, refreshes: &Refreshes) {
    report.count("expiries of tokens", refreshes.expiries, Bound::AtLeast(1.0));
    report.count("refreshes", usize::try_from(refreshes.made).unwrap_or(usize::MAX), Bound::None);
    report.count(
        "expiries without exactly one refresh",
        refreshes.not_one.len(),
        Bound::AtMost(0.0),
    );
    report.count(
        "refreshes with a dead token",
        usize::try_from(refreshes.refused).unwrap_or(usize::MAX),
        Bound::AtMost(0.0),
    );
    report.count("slices that failed", refreshes.failed.len(), Bound::AtMost(0.0));
    refreshes.failed.iter().take(TOLD).for_each(|line| report.remark(line.clone()));
    refreshes.not_one.iter().take(TOLD).for_each(|line| report.remark(line.clone()));
}

/// Everybody reads what is new once more, in peace: how many requests that takes.
pub(super) async fn waste(stack: &Stack, accounts: &[Account], report: &mut Report) -> Result<()> {
    let last = stack.world().log(0, usize::MAX).last().map_or(0, |entry| entry.seq);
    try_join_all(accounts.iter().map(Account::sync_new)).await?;
    let log = stack.world().log(last, usize::MAX);
    let (mut made, mut fewest) = (0, 0);
    for account in accounts {
        let reads = log.iter().filter(|entry| {
            account.line.is_read(entry) && entry.user.as_deref() == Some(&*account.id)
        });
        let (reads, needed) = (reads.count(), account.line.fewest(stack.world(), &account.id)?);
        ensure!(reads > 0, "{} of {} was not asked", account.line.name(), account.id);
        if made_too_many(reads, needed) {
            report.remark(format!(
                "{} {}: {reads} requests where {needed} do",
                account.line.name(),
                account.id
            ));
        }
        made += reads;
        fewest += usize::try_from(needed)?;
    }
    report.count("requests of a quiet sync, all accounts", made, Bound::None);
    report.count("fewest that do", fewest, Bound::None);
    report.figure("requests made of the fewest", share(made, fewest), "", Bound::AtMost(WASTE));
    Ok(())
}

fn made_too_many(made: usize, needed: u64) -> bool {
    share(made, usize::try_from(needed).unwrap_or(usize::MAX)) > WASTE
}

#[expect(clippy::cast_precision_loss, reason = "thousands")]
fn share(part: usize, of: usize) -> f64 {
    part as f64 / of.max(1) as f64
}

/// What was there at first, was stored, and is gone: it has a tombstone where the provider tells it at all.
pub(super) async fn tombstones(
    stack: &Stack,
    accounts: &[Account],
    at_first: &[Facts],
    report: &mut Report,
) -> Result<()> {
    let (mut gone, mut without, mut untold) = (0, Vec::new(), 0);
    for (account, once) in accounts.iter().zip(at_first) {
        let truth = account.line.truth(stack.world(), &account.id)?;
        let stored = Stored::of(&stack.db, account.connection).await?;
        for key in once.keys().filter(|key| !truth.contains_key(*key)) {
            if !account.line.tells_deletions() {
                untold += 1;
            } else if stored.tombstones.contains(key) {
                gone += 1;
            } else {
                without.push(format!("{}: {key:?} has no tombstone", account.line.name()));
            }
        }
    }
    report.count("tombstones of what was deleted", gone, Bound::AtLeast(1.0));
    report.count("deleted without a tombstone", without.len(), Bound::AtMost(0.0));
    report.count("deleted where nobody tells it", untold, Bound::None);
    without.into_iter().take(TOLD).for_each(|line| report.remark(line));
    Ok(())
}

/// What no account alone tells.
pub(super) async fn rest(
    stack: &Stack,
    lines: &[&'static dyn Line],
    report: &mut Report,
) -> Result<()> {
    let clocks = facts::contradictions(&stack.db).await?;
    report.count("times that contradict their zone", clocks.len(), Bound::AtMost(0.0));
    clocks.into_iter().take(TOLD).for_each(|line| report.remark(line));
    let over: u64 = lines.iter().map(|line| line.over_limit(stack.world())).sum();
    for line in lines.iter().filter(|line| line.over_limit(stack.world()) > 0) {
        report.remark(format!(
            "{} calls over {}'s limit",
            line.over_limit(stack.world()),
            line.name()
        ));
    }
    report.count("calls over a limit", usize::try_from(over)?, Bound::AtMost(0.0));
    for (name, statement) in [
        (
            "connections not active",
            "select count(*) from paceline.connections where state <> 'active'",
        ),
        ("records set aside", "select count(*) from paceline.record_failures"),
    ] {
        let count: i64 = sqlx::query_scalar(statement).fetch_one(&*stack.db).await?;
        report.count(name, usize::try_from(count)?, Bound::AtMost(0.0));
    }
    Ok(())
}
