//! The moves of a job: the functions of `shared::db` against the one table that says which there are.

use super::*;
use paceline_shared::{
    db::{
        sync_jobs::{CancelOutcome, RetryOptions, RetryOutcome},
        sync_runs,
    },
    job_state::{Event, JobState, after},
};
use paceline_tests::rows::change;

/// A move as the application makes it.
#[derive(Debug)]
enum Move {
    Claim,
    Settle(Outcome),
    Promote,
    /// By a sweep that finds the owner silent, after so many crashes at the same checkpoint.
    Reclaim {
        crashes: i16,
    },
    Cancel,
    Retry,
}

/// Every move, with the event that it stands for.
fn moves() -> Vec<(Event, Move)> {
    let [(_, released), (_, parked), (_, retried)] = goes_back();
    vec![
        (Event::Claimed, Move::Claim),
        (Event::Released, Move::Settle(released)),
        (Event::Parked, Move::Settle(parked)),
        (Event::Parked, Move::Settle(retried)),
        (Event::Due, Move::Promote),
        (Event::Finished, Move::Settle(Outcome::Completed)),
        (Event::GivenUp, Move::Settle(Outcome::Failed(failure(Code::InvalidData)))),
        (Event::LeaseExpired, Move::Reclaim { crashes: 0 }),
        (Event::Quarantined, Move::Reclaim { crashes: sync_runs::CRASHES_ALLOWED - 1 }),
        (Event::Cancelled, Move::Cancel),
        (Event::Retried, Move::Retry),
    ]
}

/// A job in this state, with the lease of its last owner.
async fn job_in(bench: &Bench, state: JobState, name: &str) -> (Person, Lease) {
    let (person, lease) = bench.running(name).await;
    let [(_, released), (_, parked), _] = goes_back();
    let outcome = match state {
        JobState::Queued => Some(released),
        JobState::Waiting => Some(parked),
        JobState::Running => None,
        JobState::Completed => Some(Outcome::Completed),
        JobState::Failed => Some(Outcome::Failed(failure(Code::InvalidData))),
        JobState::Cancelled => Some(Outcome::Cancelled),
    };
    if let Some(outcome) = outcome {
        assert_eq!(bench.settle(lease, outcome).await, [lease.job]);
    }
    (person, lease)
}

async fn make(bench: &Bench, a_move: &Move, person: Person, lease: Lease) {
    match a_move {
        Move::Claim => {
            let worker = WorkerId::fresh();
            for claimed in bench.claim(worker).await {
                bench.begin_run(lease_of(&claimed, worker)).await;
            }
        }
        Move::Settle(outcome) => {
            bench.settle(lease, outcome.clone()).await;
        }
        Move::Promote => {
            change(bench, "update paceline.sync_jobs set run_at = clock_timestamp()").await;
            sync_jobs::promote(bench).await.unwrap();
        }
        Move::Reclaim { crashes } => {
            sqlx::query("update paceline.sync_jobs set crashes = $1")
                .bind(crashes)
                .execute(&**bench)
                .await
                .unwrap();
            // Crashes count when the last beat is younger than the server, which may be very young.
            sync_runs::reclaim(bench, Duration::ZERO, 100, sync_runs::Silence::Crash)
                .await
                .unwrap();
        }
        Move::Cancel => {
            let asked = sync_jobs::cancel(bench, person.user, lease.job).await.unwrap();
            if asked == CancelOutcome::Asked {
                assert_eq!(bench.state(lease.job).await, "running", "its worker is in the way");
                bench.settle(lease, Outcome::Released).await;
            }
        }
        Move::Retry => {
            let mut tx = bench.begin().await.unwrap();
            let answer = sync_jobs::retry(&mut tx, person.user, lease.job, RetryOptions::default())
                .await
                .unwrap();
            tx.commit().await.unwrap();
            assert_ne!(answer, RetryOutcome::NotFound);
        }
    }
}

#[tokio::test]
async fn every_move_in_every_state_leads_where_the_table_of_moves_says_and_nowhere_else() {
    let bench = Bench::new().await;
    for state in JobState::ALL {
        for (turn, (event, a_move)) in moves().into_iter().enumerate() {
            let what = format!("{state:?} × {event:?} by {a_move:?}");
            let (person, lease) = job_in(&bench, state, &format!("{state:?}-{turn}")).await;
            assert_eq!(bench.state(lease.job).await, state.as_str(), "before {what}");
            make(&bench, &a_move, person, lease).await;
            // What is no move of this state leaves it as it was.
            let expected = after(state, event).unwrap_or(state).as_str();
            assert_eq!(bench.state(lease.job).await, expected, "{what}");
            let shown: String =
                sqlx::query_scalar("select status from public.sync_progress where id = $1")
                    .bind(lease.job.0)
                    .fetch_one(&*bench)
                    .await
                    .unwrap();
            assert_eq!(shown, expected, "what the user sees of {what}");
            change(&bench, "delete from paceline.sync_jobs; delete from paceline.sync_runs").await;
        }
    }
}

#[tokio::test]
async fn a_job_is_born_queued_and_every_event_of_the_table_is_made_by_some_move() {
    let bench = Bench::new().await;
    let (_, job) = bench.queued("ann").await;
    assert_eq!(bench.state(job).await, JobState::Queued.as_str());
    for event in Event::ALL {
        assert!(moves().iter().any(|(made, _)| *made == event), "{event:?}");
    }
}
