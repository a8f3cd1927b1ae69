//! SIGKILL of random workers, of one slot and of many, while thousands of syncs run.

use super::{
    Options,
    fleet::{Fleet, Member, drain},
    judge::{judge, percentile, repeated_pages},
    witness::{self, Held},
};
use crate::proofs::report::{Bound, Report};
use anyhow::Result;
use chrono::{DateTime, Utc};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// Workers with one slot: there a kill meets one sync.
const SINGLE: usize = 2;
/// Workers with many.
const WIDE: usize = 2;
const SLOTS: u16 = 8;
const BACKLOG: usize = 150;
/// Between two kills.
const PAUSE: std::ops::Range<u64> = 800..2_800;
const RECLAIM_S: f64 = 20.0;
/// After the last kill a lease runs out and the rest is done.
const SETTLE: Duration = Duration::from_mins(3);

struct Kill {
    at: DateTime<Utc>,
    slots: u16,
    held: Vec<Held>,
}

pub(super) async fn prove(options: &Options) -> Result<Report> {
    let fleet = Fleet::new(options.seed).await?;
    let mut workers = fleet.spawn_all(SINGLE, 1).await;
    workers.extend(fleet.spawn_all(WIDE, SLOTS).await);
    let length = Duration::from_secs(options.seconds);
    let killing = kill_at_random(&fleet, &mut workers, length, options.seed);
    let kills = fleet.under_load(BACKLOG, true, killing).await?;
    fleet.settle(SETTLE).await;
    let mut report = Report::new("faults kill");
    tell(&fleet, &kills, &mut report).await?;
    judge(&fleet, &mut report).await?;
    drain(workers).await;
    Ok(report)
}

async fn kill_at_random(
    fleet: &Fleet,
    workers: &mut [Member],
    length: Duration,
    seed: u64,
) -> Result<Vec<Kill>> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut kills = Vec::new();
    let end = Instant::now() + length;
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(chance.u64(PAUSE))).await;
        let victim = chance.usize(..workers.len());
        let at = witness::now(&fleet.stack.db).await?;
        workers[victim].process.kill_9();
        // Nothing of it runs any more: what is its own now stays so until its leases run out.
        let held = witness::held(&fleet.stack.db, &workers[victim].name).await?;
        let slots = workers[victim].slots;
        kills.push(Kill { at, slots, held });
        workers[victim] = fleet.spawn(slots).await;
    }
    Ok(kills)
}

async fn tell(fleet: &Fleet, kills: &[Kill], report: &mut Report) -> Result<()> {
    let mut again = Vec::new();
    // How often each sync was in the hands of a killed worker, of one slot and of many.
    let mut hits: HashMap<Uuid, [usize; 2]> = HashMap::new();
    for kill in kills {
        again.extend(witness::claimed_again_s(&fleet.stack.db, kill.at, &kill.held).await?);
        for held in &kill.held {
            hits.entry(held.job).or_default()[usize::from(kill.slots > 1)] += 1;
        }
    }
    let (mut of_single, mut of_wide, mut beyond) = (0, 0, 0);
    for (sync, pages) in repeated_pages(fleet) {
        let [single, wide] = hits.get(&sync).copied().unwrap_or_default();
        beyond += pages.saturating_sub(single + wide);
        *(if wide == 0 { &mut of_single } else { &mut of_wide }) += pages;
    }
    let single = kills.iter().filter(|kill| kill.slots == 1).count();
    let in_hand: usize = hits.values().map(|[single, wide]| single + wide).sum();
    report.count("kills of workers with one slot", single, Bound::AtLeast(1.0));
    report.count("kills of workers with eight", kills.len() - single, Bound::AtLeast(1.0));
    report.count("syncs in their hands", in_hand, Bound::AtLeast(1.0));
    report.count("of these claimed again", again.len(), Bound::AtLeast(1.0));
    report.figure("from kill to next claim, p50", percentile(&mut again, 0.5), "s", Bound::None);
    report.figure(
        "from kill to next claim, p99",
        percentile(&mut again, 0.99),
        "s",
        Bound::AtMost(RECLAIM_S),
    );
    report.figure(
        "from kill to next claim, longest",
        percentile(&mut again, 1.0),
        "s",
        Bound::None,
    );
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    let at_most = |n: usize| Bound::AtMost(n as f64);
    report.count("pages repeated, after kills of one slot", of_single, at_most(single));
    report.count("pages repeated, after kills of several", of_wide, at_most(in_hand));
    report.count("pages repeated beyond one a sync in hand", beyond, Bound::AtMost(0.0));
    Ok(())
}
