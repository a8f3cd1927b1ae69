//! Phases, checkpoints and counters of a run, and the two pure functions that turn them into what
//! a client sees: a status and a fraction. ARCHITECTURE.md shows both as tables.

use crate::job_state::JobState;
use serde::{Deserialize, Serialize};

/// A part of the pipeline.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    sqlx::Type,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Phase {
    /// Reads the provider's pages.
    Fetch,
    /// Gets the weather that the pages need.
    Enrich,
    /// Writes canonical records.
    Store,
    /// All is stored; only the acknowledgement is missing.
    Done,
}

impl Phase {
    /// In the order in which they come.
    pub const ALL: [Self; 4] = [Self::Fetch, Self::Enrich, Self::Store, Self::Done];

    /// The name in every table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Enrich => "enrich",
            Self::Store => "store",
            Self::Done => "done",
        }
    }
}

/// Where the next attempt goes on. Pages count from 1, items within a page from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Checkpoint {
    /// Pages before `next_page` are staged.
    Fetch {
        /// The page to ask for.
        next_page: i32,
    },
    /// Weather is settled for all before this place.
    Enrich {
        /// A staged page.
        next_page: i32,
        /// An item in it.
        next_item: i32,
    },
    /// Records before this place are stored.
    Store {
        /// A staged page.
        next_page: i32,
        /// An item in it.
        next_item: i32,
    },
    /// Nothing is left to do.
    Done,
}

impl Checkpoint {
    /// Where every sync begins.
    pub const START: Self = Self::Fetch { next_page: 1 };

    /// The phase that goes on from here.
    #[must_use]
    pub const fn phase(self) -> Phase {
        match self {
            Self::Fetch { .. } => Phase::Fetch,
            Self::Enrich { .. } => Phase::Enrich,
            Self::Store { .. } => Phase::Store,
            Self::Done => Phase::Done,
        }
    }
}

/// Counters of a run, from its first attempt on. They only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Steps of the provider's that were read: pages, chunks, windows.
    pub pages: i32,
    /// How many are left, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages_left: Option<i32>,
    /// Items the provider sent.
    pub fetched: i32,
    /// Items that `activityTypes` left out.
    pub filtered: i32,
    /// Items that stood on two pages.
    pub duplicates: i32,
    /// Items that went through enrichment, whatever came of it.
    pub enriched: i32,
    /// Items whose weather is known.
    pub weather_enriched: i32,
    /// Items whose place has a name.
    pub geocoded: i32,
    /// Items whose weather should have been there and was not.
    pub enrich_failed: i32,
    /// Items without coordinates, or whose weather was not asked for.
    pub enrich_skipped: i32,
    /// New records.
    pub saved: i32,
    /// Records whose content had changed.
    pub updated: i32,
    /// Records that were equal already.
    pub unchanged: i32,
    /// Records that could not be read or stored.
    pub failed: i32,
    /// Records that the provider does not have any more.
    pub removed: i32,
    /// Items that store is through with. An item may hold several records, or none.
    pub through: i32,
}

impl Counts {
    /// Items that have to go through enrich and store.
    #[must_use]
    pub const fn to_process(&self) -> i32 {
        self.fetched - self.filtered - self.duplicates
    }

    /// Items that store is through with.
    #[must_use]
    pub const fn processed(&self) -> i32 {
        self.through
    }
}

/// The status words of the HTTP face.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClientStatus {
    /// Accepted; no worker had it yet.
    Initiated,
    /// In fetch.
    FetchingActivities,
    /// In enrich.
    EnrichingWeather,
    /// In store.
    StoringData,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
    /// Between a failed attempt and the next checkpoint.
    Retrying,
    /// Ended because somebody asked for it.
    Cancelled,
}

/// The client's status. `started`: some worker has had the job; `retrying`: an attempt failed and
/// no checkpoint was reached since.
#[must_use]
pub const fn client_status(
    state: JobState,
    phase: Phase,
    started: bool,
    retrying: bool,
) -> ClientStatus {
    match state {
        JobState::Completed => ClientStatus::Completed,
        JobState::Failed => ClientStatus::Failed,
        JobState::Cancelled => ClientStatus::Cancelled,
        JobState::Queued | JobState::Waiting | JobState::Running if retrying => {
            ClientStatus::Retrying
        }
        JobState::Queued if !started => ClientStatus::Initiated,
        JobState::Queued | JobState::Waiting | JobState::Running => match phase {
            Phase::Fetch => ClientStatus::FetchingActivities,
            Phase::Enrich => ClientStatus::EnrichingWeather,
            Phase::Store | Phase::Done => ClientStatus::StoringData,
        },
    }
}

/// Where each phase's share of the bar ends, in hundredths.
const FETCH_ENDS: f64 = 0.30;
const ENRICH_ENDS: f64 = 0.50;
const STORE_ENDS: f64 = 0.99;

/// How far a run is, 0.0 to 1.0; 1.0 only when completed. Grows with every counter and phase.
///
/// While the number of steps is unknown, fetch approaches its share without reaching it: after `p`
/// steps it is at `p / (p + 4)` of it.
#[must_use]
pub fn fraction(state: JobState, phase: Phase, counts: &Counts) -> f64 {
    if state == JobState::Completed {
        return 1.0;
    }
    let of = |done: i32, all: i32| {
        if all <= 0 { 0.0 } else { (f64::from(done) / f64::from(all)).clamp(0.0, 1.0) }
    };
    match phase {
        Phase::Fetch => {
            let left = counts.pages_left.unwrap_or(4).max(0);
            FETCH_ENDS * of(counts.pages, counts.pages.saturating_add(left))
        }
        Phase::Enrich => {
            FETCH_ENDS + (ENRICH_ENDS - FETCH_ENDS) * of(counts.enriched, counts.to_process())
        }
        Phase::Store => {
            ENRICH_ENDS + (STORE_ENDS - ENRICH_ENDS) * of(counts.processed(), counts.to_process())
        }
        Phase::Done => STORE_ENDS,
    }
}

/// [`fraction`] in whole hundredths, rounded down, so that 100 means completed.
#[must_use]
pub fn percent(state: JobState, phase: Phase, counts: &Counts) -> i16 {
    #[expect(clippy::cast_possible_truncation, reason = "0.0 to 100.0")]
    let floor = (fraction(state, phase, counts) * 100.0 + 1e-9).floor() as i16;
    floor
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_client_sees_each_state_by_its_name() {
        use ClientStatus as S;
        let seen = |state, phase, started, retrying| client_status(state, phase, started, retrying);
        assert_eq!(seen(JobState::Queued, Phase::Fetch, false, false), S::Initiated);
        assert_eq!(seen(JobState::Queued, Phase::Store, true, false), S::StoringData);
        assert_eq!(seen(JobState::Waiting, Phase::Fetch, true, false), S::FetchingActivities);
        assert_eq!(seen(JobState::Running, Phase::Enrich, true, false), S::EnrichingWeather);
        assert_eq!(seen(JobState::Running, Phase::Done, true, false), S::StoringData);
        assert_eq!(seen(JobState::Waiting, Phase::Enrich, true, true), S::Retrying);
        for (state, end) in [
            (JobState::Completed, S::Completed),
            (JobState::Failed, S::Failed),
            (JobState::Cancelled, S::Cancelled),
        ] {
            assert_eq!(seen(state, Phase::Store, true, true), end, "an end outranks a retry");
        }
    }

    /// What a worker does to its counters, one step at a time.
    fn step(phase: &mut Phase, counts: &mut Counts, items: i32) {
        match phase {
            Phase::Fetch if items > 0 => {
                counts.pages += 1;
                counts.fetched += items;
                counts.filtered += items / 3;
            }
            Phase::Fetch => *phase = Phase::Enrich,
            Phase::Enrich if counts.enriched < counts.to_process() => {
                counts.enriched = (counts.enriched + items.max(1)).min(counts.to_process());
            }
            Phase::Enrich => *phase = Phase::Store,
            Phase::Store if counts.processed() < counts.to_process() => {
                let done = items.max(1).min(counts.to_process() - counts.processed());
                counts.saved += done;
                counts.through += done;
            }
            Phase::Store => *phase = Phase::Done,
            Phase::Done => {}
        }
    }

    proptest! {
        #[test]
        fn progress_never_goes_backwards_and_is_whole_only_at_the_end(
            steps in prop::collection::vec(0i32..200, 1..300)
        ) {
            let (mut phase, mut counts, mut before) = (Phase::Fetch, Counts::default(), 0.0);
            for items in steps {
                step(&mut phase, &mut counts, items);
                let now = fraction(JobState::Running, phase, &counts);
                prop_assert!(now >= before, "{before} then {now} in {phase:?}");
                prop_assert!(now < 1.0 && percent(JobState::Running, phase, &counts) < 100);
                before = now;
            }
            prop_assert_eq!(percent(JobState::Completed, phase, &counts), 100);
        }
    }
}
