//! An upgrade under load: every worker and the API replaced by a new process, one after the other and
//! all at once. Nobody notices.

use super::{
    Options,
    fleet::{Fleet, drain},
    judge::{NONE, judge, repeated_pages},
};
use crate::proofs::report::{Bound, Report};
use anyhow::Result;
use paceline_tests::process::Process;
use std::time::{Duration, Instant};

const WORKERS: usize = 4;
const SLOTS: u16 = 4;
const BACKLOG: usize = 100;
const SETTLE: Duration = Duration::from_mins(3);
/// How long a process may take to end when it is asked to.
const ENDS: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Replaced {
    workers: usize,
    apis: usize,
    ended_badly: usize,
    longest: Duration,
}

pub(super) async fn prove(options: &Options) -> Result<Report> {
    let fleet = Fleet::new(options.seed).await?;
    let length = Duration::from_secs(options.seconds);
    let replaced = fleet.under_load(BACKLOG, true, replace_all(&fleet, length)).await?;
    let left = fleet.settle(SETTLE).await;
    let mut report = Report::new("faults rolling");
    report.count("workers replaced", replaced.workers, at_least(WORKERS * 3));
    report.count("APIs replaced", replaced.apis, Bound::AtLeast(2.0));
    report.count("processes that ended badly", replaced.ended_badly, NONE);
    report.figure("longest end of a worker", replaced.longest.as_secs_f64(), "s", Bound::None);
    report.count("syncs left", left, NONE);
    let again: usize = repeated_pages(&fleet).values().sum();
    report.count("pages repeated", again, NONE);
    judge(&fleet, &mut report).await?;
    Ok(report)
}

#[expect(clippy::cast_precision_loss, reason = "some dozens")]
fn at_least(count: usize) -> Bound {
    Bound::AtLeast(count as f64)
}

/// Round after round for so long, twice at least; then all workers at once. Workers outlive this until
/// the load is done.
async fn replace_all(fleet: &Fleet, length: Duration) -> Result<Replaced> {
    let mut workers = fleet.spawn_all(WORKERS, SLOTS).await;
    let mut api = None::<Process>;
    let mut replaced = Replaced::default();
    let began = Instant::now();
    let pause = length / 4 / u32::try_from(WORKERS)?;
    for round in 0.. {
        if round >= 2 && began.elapsed() >= length {
            break;
        }
        for worker in &mut workers {
            tokio::time::sleep(pause).await;
            // The new one first, as any deployment does.
            let old = std::mem::replace(worker, fleet.spawn(SLOTS).await);
            let asked = Instant::now();
            replaced.ended_badly += drain(vec![old]).await;
            replaced.longest = replaced.longest.max(asked.elapsed());
            replaced.workers += 1;
        }
        let name = format!("api-{}", round + 2);
        let new = fleet.stack.another_api(&name, &["--allow-local-issuer"]).await;
        fleet.turn_to(&new);
        match api.replace(new) {
            None => fleet.stack.api.sigterm(),
            Some(mut old) => {
                old.sigterm();
                replaced.ended_badly += usize::from(!old.wait(ENDS).await.success());
            }
        }
        replaced.apis += 1;
    }
    let new = fleet.spawn_all(WORKERS, SLOTS).await;
    replaced.workers += workers.len();
    let asked = Instant::now();
    replaced.ended_badly += drain(workers).await;
    replaced.longest = replaced.longest.max(asked.elapsed());
    fleet.keep(new, api);
    Ok(replaced)
}
