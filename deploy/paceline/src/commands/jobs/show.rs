//! A job, and counts of jobs, as pages for people.

use crate::{
    admin::{
        ago,
        job::{Attempt, Counts, Range, Reason, States, Whole},
        short, time, time_or_dash,
    },
    output,
    sync::{PhaseProgress, PhaseView},
};
use std::fmt::Write as _;

/// Reasons, a line each.
pub(super) fn reasons(reasons: &[Reason]) -> String {
    reasons.iter().fold(String::new(), |mut text, reason| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", reason.message);
        text
    })
}

/// All that is known of a job.
pub(super) fn whole(whole: &Whole) -> String {
    let job = &whole.job;
    let mut facts = vec![
        ("job", job.sync_id.to_string()),
        ("user", job.user_id.clone()),
        ("what", format!("{} of {}, {}", job.job_type, job.provider, job.class)),
        ("state", state(whole)),
        ("attempt", format!("{} of {}", job.attempt, job.max_retries + 1)),
        ("accepted", format!("{} UTC, {} ago", time(job.created_at), ago(job.created_at))),
        ("started", time_or_dash(job.started_at)),
        ("finished", time_or_dash(job.finished_at)),
    ];
    if job.crashes > 0 {
        facts.push(("crashes", format!("{} leases lost at this checkpoint", job.crashes)));
    }
    if let Some(lease) = &whole.lease {
        let who = lease.label.as_deref().unwrap_or(&lease.worker);
        let since =
            |at: Option<_>| at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", ago(at)));
        facts.push((
            "worker",
            format!(
                "{who}, beat {}, checkpoint {}, epoch {}",
                since(lease.last_beat_at),
                since(lease.last_checkpoint_at),
                lease.epoch
            ),
        ));
    }
    let connection = &whole.connection;
    let its_state = connection.state.as_deref().unwrap_or("gone");
    facts.push(("connection", format!("{} ({its_state})", connection.id)));
    if let Some(Range { after, before }) = &whole.time_range
        && (after.is_some() || before.is_some())
    {
        let range = format!("from {} to {}", time_or_dash(*after), time_or_dash(*before));
        facts.push(("range", range));
    }
    if let Some(by) = &whole.requested_by {
        facts.push(("asked by", by.clone()));
    }
    if let Some(trace) = &whole.trace_id {
        facts.push(("trace", trace.clone()));
    }
    facts.push(("options", whole.payload.to_string()));
    let mut text = facts.into_iter().fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "{name:<11} {value}");
        text
    });
    section(&mut text, "why", &reasons(&whole.why));
    if let Some(progress) = &whole.progress {
        section(&mut text, "phases", &phases(&progress.phase_progress));
    }
    if !whole.attempts.is_empty() {
        let header = ["attempt", "at", "phase", "code", "message", "resolved"];
        section(
            &mut text,
            "failed attempts",
            &output::table(header, whole.attempts.iter().map(attempt)),
        );
    }
    if !whole.audit.is_empty() {
        let header = ["at", "by", "act", "detail"];
        let rows = whole.audit.iter().map(|entry| {
            [time(entry.at), entry.actor.clone(), entry.act.clone(), short(&entry.details(), 60)]
        });
        section(&mut text, "what people did", &output::table(header, rows));
    }
    text
}

fn section(text: &mut String, title: &str, body: &str) {
    let _ = write!(text, "\n{title}\n");
    for line in body.lines() {
        let _ = writeln!(text, "  {line}");
    }
}

fn state(whole: &Whole) -> String {
    let job = &whole.job;
    let progress = whole.progress.as_ref();
    let percent = progress.map_or_else(String::new, |done| format!(", {} %", done.percent));
    format!("{} in {}{percent}", job.state, job.phase)
}

fn phases(phases: &PhaseProgress) -> String {
    let row = |name: &str, phase: &PhaseView| {
        let of = phase.total.map_or_else(String::new, |total| format!(" of {total}"));
        let took = match (phase.start_time, phase.end_time) {
            (Some(start), Some(end)) => format!("{:.1} s", (end - start).as_seconds_f64()),
            _ => "-".to_owned(),
        };
        let done = format!("{}{of}", phase.processed);
        [name.to_owned(), phase.status.clone(), done, time_or_dash(phase.start_time), took]
    };
    let PhaseProgress { fetching, enriching, storing } = phases;
    let rows = [row("fetching", fetching), row("enriching", enriching), row("storing", storing)];
    output::table(["phase", "status", "done", "began", "took"], rows)
}

fn attempt(attempt: &Attempt) -> [String; 6] {
    [
        attempt.attempt.to_string(),
        time(attempt.at),
        attempt.phase.clone(),
        attempt.code.clone(),
        short(&attempt.message, 60),
        time_or_dash(attempt.resolved_at),
    ]
}

/// Counts by provider, and how old they are.
pub(super) fn counts(counts: &Counts) -> String {
    let row = |name: &str, states: &States| {
        let States { queued, runnable, waiting, running, completed, failed, cancelled } = *states;
        let numbers = [runnable, queued, waiting, running, completed, failed, cancelled];
        let mut cells = [const { String::new() }; 8];
        name.clone_into(&mut cells[0]);
        for (cell, number) in cells[1..].iter_mut().zip(numbers) {
            *cell = number.to_string();
        }
        cells
    };
    let rows = counts
        .providers
        .iter()
        .map(|of| row(&of.provider, &of.states))
        .chain([row("all", &counts.states)]);
    let header = [
        "provider",
        "runnable",
        "queued",
        "waiting",
        "running",
        "completed",
        "failed",
        "cancelled",
    ];
    let mut text = output::table(header, rows);
    let counted =
        |at: Option<_>| at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", ago(at)));
    let oldest = counts.oldest_runnable_at.map_or_else(
        || "no job waits for a slot".to_owned(),
        |at| format!("the oldest runnable job has waited since {} UTC", time(at)),
    );
    let _ = writeln!(
        text,
        "counted {}, those that ended {}; {oldest}",
        counted(counts.as_of),
        counted(counts.history_as_of),
    );
    text
}
