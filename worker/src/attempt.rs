//! How an attempt ends, and what that means for its job: the retry policy. Pure but for the chance in a
//! pause.

use crate::queue::{Held, Stop};
use chrono::Utc;
use paceline_shared::{
    db::{self, sync_outcomes::Outcome},
    failure::{Class, Code, Failure},
    progress::Phase,
};
use serde_json::Map;
use std::{error::Error as StdError, time::Duration};

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_mins(15);

/// Why an attempt did not complete.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was asked to stop and reached a safe point.
    #[error("stopped at a safe point")]
    Stopped,
    /// Another worker has the job.
    #[error("the lease is lost")]
    LeaseLost,
    /// The job shall wait; no fault of its own.
    #[error("{message}")]
    Wait {
        /// `rate_limit`, `quota_exceeded`, `breaker_open`, `preparing` or `sync_under_way`.
        reason: &'static str,
        /// How long.
        after: Duration,
        /// For the user.
        message: String,
    },
    /// The database.
    #[error("{error}: {}", .error.reason())]
    Db {
        /// What it said.
        error: db::Error,
        /// Where in the pipeline.
        phase: Phase,
    },
    /// The attempt failed.
    #[error("{}", .0.message)]
    Failed(Box<Failure>),
}

/// What the end of an attempt means for the job.
#[must_use]
pub fn outcome(
    result: Result<(), Box<dyn StdError + Send + Sync>>,
    held: &Held,
    retry_base: Duration,
) -> Outcome {
    let Err(error) = result else { return Outcome::Completed };
    let failure = match error.downcast::<Error>() {
        Ok(error) => match *error {
            Error::Stopped => return stopped(held, retry_base),
            Error::Wait { reason, after, message } => {
                return Outcome::Parked { reason, after, message };
            }
            Error::LeaseLost | Error::Db { error: db::Error::Unreachable(_), .. } => {
                return Outcome::Released;
            }
            Error::Db { error: error @ db::Error::Busy(_), phase } => {
                failed(Code::DatabaseTimeout, error.reason(), phase)
            }
            Error::Db { error, phase } => failed(Code::UnknownError, error.reason(), phase),
            Error::Failed(failure) => *failure,
        },
        // What is not ours is a panic that the loop caught.
        Err(error) => {
            failed(Code::UnknownError, format!("the job panicked: {error}"), held.phase())
        }
    };
    judge(failure, held, retry_base)
}

/// The same for an attempt that was asked to stop and did, or was ended because it did not.
#[must_use]
pub fn stopped(held: &Held, retry_base: Duration) -> Outcome {
    let failure = match held.stop_asked() {
        Stop::Cancelled => return Outcome::Cancelled,
        Stop::No | Stop::HandBack | Stop::LeaseLost => return Outcome::Released,
        Stop::TimedOut => {
            let limit_s = held.time_limit().as_secs();
            let message = format!("the attempt was not done after {limit_s} s");
            let context = Map::from_iter([("limit_s".to_owned(), limit_s.into())]);
            Failure { context, ..failed(Code::FunctionTimeout, message, held.phase()) }
        }
        Stop::OutOfMemory => {
            let message = "the worker ran out of memory and ended its youngest job".to_owned();
            failed(Code::MemoryLimit, message, held.phase())
        }
    };
    judge(failure, held, retry_base)
}

fn failed(code: Code, message: String, phase: Phase) -> Failure {
    Failure { code, message, phase, context: Map::new(), at: Utc::now() }
}

/// Whether a failed attempt is followed by another.
fn judge(failure: Failure, held: &Held, retry_base: Duration) -> Outcome {
    // jsonb holds no NUL.
    let failure = Failure { message: failure.message.replace('\0', "\u{FFFD}"), ..failure };
    match failure.code.class() {
        Class::Terminal => Outcome::Failed(failure),
        _ if held.attempt() > held.max_retries() => Outcome::Failed(failure),
        Class::Retryable | Class::System | Class::Waiting => {
            Outcome::Retry { failure, after: pause(retry_base, held.attempt()) }
        }
    }
}

/// The pause after the given attempt: doubled each time, half to one and a half of it by chance.
fn pause(base: Duration, attempt: i16) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1).clamp(0, 16)).unwrap_or(0);
    base.saturating_mul(1 << doublings).min(LONGEST_PAUSE).mul_f64(0.5 + fastrand::f64())
}

/// Says in log and metrics how an attempt ended.
pub fn report(outcome: &Outcome, took: Duration) {
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match outcome {
        Outcome::Completed => tracing::info!(duration_ms, "completed"),
        Outcome::Cancelled => tracing::info!(duration_ms, "cancelled"),
        Outcome::Released => tracing::info!(duration_ms, "handed back"),
        Outcome::Parked { reason, after, .. } => {
            tracing::info!(duration_ms, reason, ?after, "parked");
        }
        Outcome::Retry { failure, after } => {
            tracing::warn!(duration_ms, code = ?failure.code, error = failure.message, ?after, "attempt failed, will try again");
        }
        Outcome::Failed(failure) => {
            tracing::error!(duration_ms, code = ?failure.code, error = failure.message, "failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paceline_shared::{JobId, WorkerId, db::sync_outcomes::Lease};

    const BASE: Duration = Duration::from_secs(5);

    fn held(attempt: i16, max_retries: i16) -> Held {
        let lease = Lease { job: JobId::fresh(), epoch: 1, worker: WorkerId::fresh() };
        Held::new(lease, attempt, max_retries)
    }

    fn failed(code: Code) -> Error {
        let message = "no\0good".to_owned();
        let failure =
            Failure { code, message, phase: Phase::Fetch, context: Map::new(), at: Utc::now() };
        Error::Failed(Box::new(failure))
    }

    fn end(error: Error, held: &Held) -> Outcome {
        outcome(Err(error.into()), held, BASE)
    }

    #[test]
    fn only_what_a_retry_can_mend_is_retried() {
        for code in
            [Code::NetworkError, Code::TemporaryApiError, Code::MemoryLimit, Code::UnknownError]
        {
            assert!(matches!(end(failed(code), &held(1, 5)), Outcome::Retry { .. }), "{code:?}");
        }
        for code in [
            Code::AuthenticationError,
            Code::PermissionDenied,
            Code::InvalidData,
            Code::ProviderGone,
        ] {
            assert!(matches!(end(failed(code), &held(1, 5)), Outcome::Failed(_)), "{code:?}");
        }
    }

    #[test]
    fn attempts_are_one_more_than_retries() {
        let ends = |attempt, retries| {
            matches!(end(failed(Code::NetworkError), &held(attempt, retries)), Outcome::Failed(_))
        };
        assert!(ends(1, 0));
        assert!(!ends(2, 2));
        assert!(ends(3, 2));
    }

    #[test]
    fn a_lost_database_or_lease_is_no_failure_of_the_job() {
        let away = db::Error::from(sqlx::Error::PoolTimedOut);
        assert!(matches!(away, db::Error::Unreachable(_)));
        let away = Error::Db { error: away, phase: Phase::Store };
        assert!(matches!(end(away, &held(1, 0)), Outcome::Released));
        assert!(matches!(end(Error::LeaseLost, &held(1, 0)), Outcome::Released));
        let other = Error::Db { error: sqlx::Error::RowNotFound.into(), phase: Phase::Store };
        assert!(matches!(end(other, &held(1, 0)), Outcome::Failed(_)));
    }

    #[test]
    fn a_stop_is_a_cancel_only_where_one_was_asked_for() {
        let stopped = held(1, 5);
        stopped.ask_stop(Stop::HandBack);
        assert!(matches!(end(Error::Stopped, &stopped), Outcome::Released));
        stopped.ask_stop(Stop::Cancelled);
        assert!(matches!(end(Error::Stopped, &stopped), Outcome::Cancelled));
    }

    #[test]
    fn an_attempt_that_took_too_long_or_too_much_fails_where_it_was_and_is_retried() {
        for (stop, code) in
            [(Stop::TimedOut, Code::FunctionTimeout), (Stop::OutOfMemory, Code::MemoryLimit)]
        {
            let held = held(1, 1).in_phase(Phase::Enrich).within(Duration::from_secs(90));
            held.ask_stop(stop);
            let Outcome::Retry { failure, .. } = end(Error::Stopped, &held) else {
                panic!("{stop:?} is retried");
            };
            assert_eq!((failure.code, failure.phase), (code, Phase::Enrich));
            let last = Held::new(held.lease(), 2, 1);
            last.ask_stop(stop);
            assert!(matches!(stopped(&last, BASE), Outcome::Failed(_)));
        }
    }

    #[test]
    fn waiting_is_no_attempt_however_few_are_left() {
        let after = Duration::from_secs(9);
        let wait = Error::Wait { reason: "rate_limit", after, message: String::new() };
        assert!(
            matches!(end(wait, &held(9, 0)), Outcome::Parked { after: told, .. } if told == after)
        );
    }

    #[test]
    fn a_panic_is_a_failed_attempt_and_messages_hold_nothing_that_jsonb_refuses() {
        let held = held(1, 1).in_phase(Phase::Enrich);
        held.moved_to(Phase::Store);
        let Outcome::Retry { failure, .. } = outcome(Err("boom\0".into()), &held, BASE) else {
            panic!("a panic is retried");
        };
        assert_eq!((failure.code, failure.phase), (Code::UnknownError, Phase::Store));
        assert!(failure.message.contains("boom") && !failure.message.contains('\0'));
    }

    #[test]
    fn pauses_double_and_end_at_a_quarter_of_an_hour() {
        for (attempt, around) in [(1, 5.0), (2, 10.0), (5, 80.0), (30, 900.0), (i16::MAX, 900.0)] {
            let pause = pause(BASE, attempt).as_secs_f64();
            assert!((around * 0.5..=around * 1.5).contains(&pause), "{attempt}: {pause}");
        }
    }
}
