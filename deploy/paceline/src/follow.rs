//! Following a sync until it ends: a line of bars on a terminal, log lines elsewhere.

use crate::{
    client::{self, ASK_AGAIN, Client, LONGEST_WAIT, PATIENCE},
    screen::Screen,
    sync::{PhaseView, SyncView},
};
use indicatif::{ProgressBar, ProgressStyle};
use paceline_shared::JobId;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// How often a bar moves.
const LOOK_ON_TERMINAL: Duration = Duration::from_millis(250);
/// How often a line is logged.
const LOOK_ELSEWHERE: Duration = Duration::from_secs(1);

/// Follows a sync until it has ended, on its line of the screen; `changed` sees each new state.
///
/// The API may be away for half a minute in between.
pub(crate) async fn follow(
    client: &Client,
    id: JobId,
    line: &Line,
    mut changed: impl FnMut(&SyncView) -> anyhow::Result<()>,
) -> anyhow::Result<SyncView> {
    let mut look = tokio::time::interval(line.look());
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<SyncView> = None;
    // One request waits for the end while others look how far it is.
    let mut end = Box::pin(patiently(client, id, Some(LONGEST_WAIT)));
    loop {
        let (now, waited) = tokio::select! {
            now = &mut end => (now?, true),
            now = async { look.tick().await; patiently(client, id, None).await } => (now?, false),
        };
        if last.as_ref() != Some(&now) {
            line.show(&now);
            changed(&now)?;
        }
        if now.has_ended() {
            return Ok(now);
        }
        last = Some(now);
        if waited {
            end.set(patiently(client, id, Some(LONGEST_WAIT)));
        }
    }
}

/// Asks again while the API is away, for a while.
async fn patiently(
    client: &Client,
    id: JobId,
    wait: Option<Duration>,
) -> Result<SyncView, client::Error> {
    let mut away_since = None;
    loop {
        match client.sync(id, wait).await {
            Err(error) if error.may_pass() => {
                let since = *away_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= PATIENCE {
                    return Err(error);
                }
                tracing::debug!(%error, "asking again");
                tokio::time::sleep(ASK_AGAIN).await;
            }
            answered => return answered,
        }
    }
}

/// Where one sync is shown.
pub(crate) enum Line {
    /// A line with a bar for each phase.
    Bars(ProgressBar),
    /// A line in the log for each look that found something new.
    Log(String),
}

impl Line {
    /// A line below those that are there already. `label` says whose it is.
    pub(crate) fn new(label: String, screen: &Screen) -> Self {
        if !screen.is_terminal() {
            return Self::Log(label);
        }
        // The template is a constant: it cannot be wrong on some days only.
        let style = ProgressStyle::with_template("{prefix:<16.bold} {wide_msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let prefix = short(label);
        Self::Bars(screen.add(ProgressBar::no_length().with_style(style).with_prefix(prefix)))
    }

    /// Shows something that is no sync yet.
    pub(crate) fn say(&self, text: &str) {
        match self {
            Self::Bars(bar) => bar.set_message(text.to_owned()),
            Self::Log(label) => tracing::info!("{label}: {text}"),
        }
    }

    const fn look(&self) -> Duration {
        match self {
            Self::Bars(_) => LOOK_ON_TERMINAL,
            Self::Log(_) => LOOK_ELSEWHERE,
        }
    }

    fn show(&self, sync: &SyncView) {
        match self {
            Self::Bars(bar) => bar.set_message(bars(sync)),
            Self::Log(label) => {
                tracing::info!("{label}: {:>3} %, {}", sync.progress.percent, sync.doing());
            }
        }
    }
}

impl Drop for Line {
    /// The bars stay where they are.
    fn drop(&mut self) {
        if let Self::Bars(bar) = self {
            bar.abandon();
        }
    }
}

/// A label that leaves the bars their room in 80 columns: of a long one the end, which tells ids apart.
fn short(label: String) -> String {
    const LONGEST: usize = 16;
    match label.char_indices().rev().nth(LONGEST - 2) {
        Some((start, _)) if label.chars().count() > LONGEST => format!("…{}", &label[start..]),
        _ => label,
    }
}

/// The three phases beside each other, in 63 columns as long as a count has five digits. What else is
/// worth saying comes first: a line that is too long is cut.
fn bars(sync: &SyncView) -> String {
    let phases = &sync.progress.phase_progress;
    let mut line = format!("{:>3} %  ", sync.progress.percent);
    if sync.waiting.is_some() || sync.error.is_some() || (sync.has_ended() && !sync.has_completed())
    {
        line.push_str(&sync.doing());
        line.push_str("  ");
    }
    let phases = format!(
        "fetch {}  enrich {}  store {}",
        bar(&phases.fetching),
        bar(&phases.enriching),
        bar(&phases.storing)
    );
    line + &phases
}

/// A bar of five steps with its count. Without a known total only an ended phase is full.
fn bar(phase: &PhaseView) -> String {
    const STEPS: i32 = 5;
    let is_over = phase.status == "completed";
    let full = match phase.total {
        _ if is_over => STEPS,
        Some(total) if total > 0 => (phase.processed.saturating_mul(STEPS) / total).clamp(0, STEPS),
        _ => 0,
    };
    let repeated = |text: &str, times: i32| text.repeat(usize::try_from(times).unwrap_or_default());
    format!("{}{} {:>5}", repeated("█", full), repeated("░", STEPS - full), phase.processed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::tests::answered;

    #[test]
    fn each_phase_has_its_bar() {
        let sync: SyncView =
            serde_json::from_value(answered("FETCHING_ACTIVITIES", 400, Some(1000), 100)).unwrap();
        assert_eq!(bars(&sync), " 40 %  fetch ██░░░   400  enrich ░░░░░     0  store ░░░░░   100");
    }

    #[test]
    fn a_line_fits_into_80_columns_and_what_it_waits_for_comes_first() {
        let mut answer = answered("STORING_DATA", 12_345, Some(12_345), 12_345);
        let sync: SyncView = serde_json::from_value(answer.clone()).unwrap();
        let label = short("019a9c6e-7b0c-7d4e-9d52-0a6a1c0e8f11".to_owned());
        assert_eq!(label, "…52-0a6a1c0e8f11");
        assert_eq!(short("demo-1a2b3c4d-10".to_owned()), "demo-1a2b3c4d-10");
        assert!(format!("{label} {}", bars(&sync)).chars().count() <= 80, "{}", bars(&sync));
        answer["waiting"] =
            serde_json::json!({"reason": "rate_limit", "resetAt": "2026-11-21T10:15:00Z"});
        let sync: SyncView = serde_json::from_value(answer).unwrap();
        let begin = " 40 %  waiting (rate_limit) until 10:15:00  fetch █████ 12345";
        assert!(bars(&sync).starts_with(begin), "{}", bars(&sync));
    }

    #[test]
    fn an_unknown_total_shows_no_step() {
        let sync: SyncView =
            serde_json::from_value(answered("FETCHING_ACTIVITIES", 400, None, 0)).unwrap();
        assert!(bars(&sync).contains("fetch ░░░░░   400"));
    }
}
