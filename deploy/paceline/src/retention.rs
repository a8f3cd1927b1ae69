//! How long a worker keeps what has ended: the options.

use crate::parse;
use clap::Args;
use paceline_worker::queue::Retention;
use std::time::Duration;

/// How long things are kept. One worker at a time deletes what is older.
#[derive(Args, Debug)]
#[command(next_help_heading = "Retention")]
pub(crate) struct RetentionOptions {
    /// Syncs that ended; a month of them goes when all of it is older
    #[arg(long, value_name = "DURATION", env = "PACELINE_KEEP_FINISHED", default_value = "90d",
          value_parser = parse::duration)]
    keep_finished: Duration,
    /// Progress rows of syncs that completed or were cancelled, 24h at least; those of failed ones stay as
    /// long as the sync
    #[arg(long, value_name = "DURATION", env = "PACELINE_KEEP_PROGRESS", default_value = "24h",
          value_parser = a_day_at_least)]
    keep_progress: Duration,
    /// Fetched pages of failed syncs: so long a retry goes on where the sync stopped, later it begins anew
    #[arg(long, value_name = "DURATION", env = "PACELINE_KEEP_PAGES", default_value = "7d",
          value_parser = parse::duration)]
    keep_pages: Duration,
    /// Reports of failed attempts and of records that failed
    #[arg(long, value_name = "DURATION", env = "PACELINE_KEEP_REPORTS", default_value = "90d",
          value_parser = parse::duration)]
    keep_reports: Duration,
    /// Acts of admins and operators
    #[arg(long, value_name = "DURATION", env = "PACELINE_KEEP_AUDIT", default_value = "400d",
          value_parser = parse::duration)]
    keep_audit: Duration,
    #[arg(long, hide = true, value_parser = parse::duration)]
    tidy_every: Option<Duration>,
}

impl RetentionOptions {
    pub(crate) fn retention(&self) -> Retention {
        let usual = Retention::default();
        Retention {
            finished: self.keep_finished,
            progress: self.keep_progress,
            pages: self.keep_pages,
            reports: self.keep_reports,
            audit: self.keep_audit,
            every: self.tidy_every.unwrap_or(usual.every),
        }
    }
}

/// Dashboards may show a sync for a day after its end.
fn a_day_at_least(text: &str) -> Result<Duration, String> {
    let duration = parse::duration(text)?;
    if duration < Retention::SHORTEST_PROGRESS {
        return Err(format!("{text} is too short: progress rows are kept for 24h at least"));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        retention: RetentionOptions,
    }

    #[test]
    fn without_options_the_defaults_are_those_of_the_worker() {
        let given = Line::parse_from(["worker"]).retention.retention();
        assert_eq!(format!("{given:?}"), format!("{:?}", Retention::default()));
    }

    #[test]
    fn progress_is_kept_for_a_day_at_least() {
        assert!(Line::try_parse_from(["worker", "--keep-progress", "36h"]).is_ok());
        let refused = Line::try_parse_from(["worker", "--keep-progress", "23h"]).unwrap_err();
        assert!(refused.to_string().contains("24h at least"), "{refused}");
    }
}
