//! The process's memory: near its limit no job is taken any more, over it jobs are ended, one after the
//! other, before the system ends all of them at once.

use super::{Shared, held::Stop};
use std::{fs, path::Path, sync::Arc, sync::atomic::Ordering, time::Duration};
use tokio::time::Instant;

const LOOK: Duration = Duration::from_secs(1);
/// After a job was ended: what it held comes free.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// A process that stays near its limit for so long while it has no job does not get better by waiting.
const HOPELESS: Duration = Duration::from_mins(1);

/// Looks at the memory each second, as long as the worker is not idle for good.
pub(super) async fn watch(shared: Arc<Shared>) {
    if resident_bytes().is_none() {
        if shared.config.memory_limit.is_some() {
            tracing::warn!("this system does not tell a process its memory: the limit is off");
        }
        return;
    }
    let mut empty_since: Option<Instant> = None;
    let watching = async {
        loop {
            let Some(used) = resident_bytes() else { return };
            shared.rss_bytes.store(i64::try_from(used).unwrap_or(i64::MAX), Ordering::Relaxed);
            #[expect(clippy::cast_precision_loss, reason = "a gauge")]
            metrics::gauge!("paceline_process_resident_bytes").set(used as f64);
            let Some(limit) = shared.config.memory_limit else {
                tokio::time::sleep(LOOK).await;
                continue;
            };
            let room = room(used, limit);
            note(&shared, room, used, limit);
            let ended = room == Room::Over && end_youngest(&shared, used, limit);
            if room == Room::Free || shared.registry.len() > 0 {
                empty_since = None;
            } else if empty_since.get_or_insert_with(Instant::now).elapsed() >= HOPELESS {
                tracing::error!(
                    used,
                    limit,
                    "no room for a job though none runs: ending, to begin anew; or the limit is too low"
                );
                shared.hopeless.store(true, Ordering::Release);
                shared.drain.cancel();
            }
            tokio::time::sleep(if ended { LOOK_AGAIN } else { LOOK }).await;
        }
    };
    shared.idle.run_until_cancelled(watching).await;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Free,
    /// No new jobs.
    Near,
    /// A job must end.
    Over,
}

/// How much room `used` bytes of `limit` leave.
const fn room(used: u64, limit: u64) -> Room {
    if used > limit {
        Room::Over
    } else if used > limit / 10 * 9 {
        Room::Near
    } else {
        Room::Free
    }
}

/// Lets the claimer know, and the log when that is news.
fn note(shared: &Shared, room: Room, used: u64, limit: u64) {
    let full = room != Room::Free;
    if shared.full.swap(full, Ordering::AcqRel) == full {
        return;
    }
    if full {
        tracing::warn!(used, limit, "memory is nearly used up: taking no more jobs");
    } else {
        tracing::info!(used, limit, "there is memory again: taking jobs");
        shared.wake.notify_one();
    }
}

/// Asks the job that was taken last to end: it loses the least.
fn end_youngest(shared: &Shared, used: u64, limit: u64) -> bool {
    let held = shared.registry.held();
    // Those in kept slots hold next to nothing, and a code is good once.
    let youngest = held
        .iter()
        .filter(|held| !held.is_kept() && held.stop_asked() < Stop::OutOfMemory)
        .max_by_key(|h| h.since());
    let Some(youngest) = youngest else { return false };
    tracing::error!(sync.id = %youngest.lease().job, used, limit, "over the memory limit: ending the youngest job");
    metrics::counter!("paceline_jobs_ended_for_memory_total").increment(1);
    youngest.ask_stop(Stop::OutOfMemory);
    true
}

/// What this process occupies, where the system tells.
pub(super) fn resident_bytes() -> Option<u64> {
    resident_in(&fs::read_to_string("/proc/self/status").ok()?)
}

fn resident_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The limit that the system sets to this process's control group, less a tenth: at the limit itself the
/// system would end the process.
#[must_use]
pub fn detected_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let limits = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?);
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return None,
        };
        // A limit of a group above holds as well. Inside a container the group is the root of what is seen.
        let group = Path::new(group.trim_start_matches('/'));
        let of = |group: &Path| limit_in(&Path::new(root).join(group).join(file));
        group.ancestors().filter_map(of).min()
    });
    limits.min().map(|limit| limit / 10 * 9)
}

fn limit_in(file: &Path) -> Option<u64> {
    // "max", and a number beyond all memory in version 1, are no limit.
    let limit: u64 = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (limit < 1 << 50).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_begins_at_nine_tenths_and_over_beyond_the_limit() {
        let all = [0, 900, 901, 1000, 1001].map(|used| room(used, 1000));
        assert_eq!(all, [Room::Free, Room::Free, Room::Near, Room::Near, Room::Over]);
    }

    #[test]
    fn the_resident_size_is_read_in_kibibytes() {
        let status = "Name:\tpaceline\nVmHWM:\t  9000 kB\nVmRSS:\t    2048 kB\nThreads:\t5\n";
        assert_eq!(resident_in(status), Some(2 * 1024 * 1024));
        assert_eq!(resident_in("Name:\tpaceline\n"), None);
    }

    #[test]
    fn no_limit_of_a_control_group_is_no_limit() {
        let directory =
            std::env::temp_dir().join(format!("paceline-limit-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&directory).unwrap();
        let file = directory.join("memory.max");
        for (text, limit) in
            [("max\n", None), ("9223372036854771712\n", None), ("536870912\n", Some(536_870_912))]
        {
            fs::write(&file, text).unwrap();
            assert_eq!(limit_in(&file), limit, "{text:?}");
        }
        fs::remove_dir_all(&directory).unwrap();
        assert_eq!(limit_in(&file), None);
    }
}
