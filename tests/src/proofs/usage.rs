//! What processes cost, as the kernel counts it: processor time and peak memory. Linux only.

use anyhow::{Context, Result};
use rustix::param::clock_ticks_per_second;
use sqlx::PgPool;
use std::{fs, path::Path};

/// Seconds of processor time that a process has used.
pub(crate) fn cpu_s(pid: u32) -> Result<f64> {
    // Fields 14 and 15, after the name in parentheses, which may hold anything.
    Ok(seconds(stat(pid, &[14, 15])?))
}

/// Seconds that a process's living children and all that it has reaped have used.
pub(crate) fn family_cpu_s(pid: u32) -> Result<f64> {
    let mut total = stat(pid, &[14, 15, 16, 17])?;
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(child) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that ended meanwhile is counted with those that were reaped.
        if stat(child, &[4]).is_ok_and(|parent| parent == u64::from(pid)) {
            total += stat(child, &[14, 15]).unwrap_or_default();
        }
    }
    Ok(seconds(total))
}

/// The process id of the server behind a connection. It must be on this machine.
pub(crate) async fn postmaster(db: &PgPool) -> Result<u32> {
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(db).await?;
    let stat =
        fs::read_to_string(format!("/proc/{backend}/stat")).context("a server on this machine")?;
    let (_, rest) = stat.rsplit_once(')').context("no name")?;
    Ok(rest.split_whitespace().nth(1).context("no parent")?.parse()?)
}

/// The memory that a process holds now, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Result<f64> {
    memory_mib(pid, "VmRSS:")
}

/// The most memory that a process ever held, in MiB.
pub(crate) fn peak_mib(pid: u32) -> Result<f64> {
    memory_mib(pid, "VmHWM:")
}

fn memory_mib(pid: u32, field: &'static str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context(field)?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib / 1024.0)
}

/// The sum of fields of `/proc/<pid>/stat`, counted from 1 as in the manual.
fn stat(pid: u32, fields: &[usize]) -> Result<u64> {
    let text = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"))?;
    let (_, rest) = text.rsplit_once(')').context("no name")?;
    let values: Vec<&str> = rest.split_whitespace().collect();
    let mut sum = 0;
    for field in fields {
        sum += values.get(field - 3).context("a field is missing")?.parse::<u64>()?;
    }
    Ok(sum)
}

#[expect(clippy::cast_precision_loss, reason = "days of processor time at most")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_something() {
        let pid = std::process::id();
        let mut spin = 0_u64;
        while cpu_s(pid).unwrap() == 0.0 {
            spin = spin.wrapping_add(1);
        }
        assert!(family_cpu_s(pid).unwrap() >= cpu_s(pid).unwrap());
        assert!(peak_mib(pid).unwrap() > 1.0);
    }
}
