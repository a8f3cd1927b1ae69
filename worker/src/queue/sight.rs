//! How long this process has been heard by Postgres without a gap: whoever was cut off itself cannot tell a
//! dead worker from one that was cut off as well.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// What a sweep may conclude from the silence of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// Nothing: we are cut off, or were a moment ago, and who is alive has had no time to say so.
    None,
    /// That they are silent, but not by whose fault.
    Short,
    /// That they are lost: we were heard for as long as they were not.
    Full,
}

#[derive(Clone, Copy, Debug)]
enum Heard {
    /// Ever since the process began: it knows of no outage.
    FromTheStart,
    /// Since the first beat after a gap.
    Since(Instant),
    /// The last beat failed.
    Not,
}

/// The beats of this process.
#[derive(Debug)]
pub(super) struct Beats {
    state: Mutex<(Heard, Instant)>,
    beat_every: Duration,
    lease: Duration,
}

impl Beats {
    pub(super) fn new(beat_every: Duration, lease: Duration) -> Self {
        let state = Mutex::new((Heard::FromTheStart, Instant::now()));
        Self { state, beat_every, lease }
    }

    fn state(&self) -> MutexGuard<'_, (Heard, Instant)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A beat came through.
    pub(super) fn came(&self) {
        self.came_at(Instant::now());
    }

    fn came_at(&self, now: Instant) {
        let mut state = self.state();
        let (heard, last) = *state;
        let heard = match heard {
            Heard::Not => Heard::Since(now),
            // No beat failed, and yet none came: this process itself stood still.
            _ if now - last > self.gap() => Heard::Since(now),
            heard => heard,
        };
        *state = (heard, now);
    }

    /// A beat did not come through.
    pub(super) fn failed(&self) {
        self.state().0 = Heard::Not;
    }

    /// What a sweep may conclude now.
    pub(super) fn sight(&self) -> Sight {
        self.sight_at(Instant::now())
    }

    fn sight_at(&self, now: Instant) -> Sight {
        let (heard, last) = *self.state();
        match heard {
            Heard::Not => Sight::None,
            _ if now - last > self.gap() => Sight::None,
            Heard::Since(since) if now - since < self.beat_every => Sight::None,
            Heard::Since(since) if now - since < self.lease + self.beat_every => Sight::Short,
            Heard::Since(_) | Heard::FromTheStart => Sight::Full,
        }
    }

    /// Beats that come later than this after each other have a gap between them: one may be asked for as late as
    /// the one before was given up, and takes as long itself.
    fn gap(&self) -> Duration {
        self.beat_every + self.lease / 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_secs(4);
    const LEASE: Duration = Duration::from_secs(13);

    #[test]
    fn a_process_that_never_had_a_gap_sees_all() {
        let (beats, mut now) = (Beats::new(BEAT, LEASE), Instant::now());
        for _ in 0..10 {
            assert_eq!(beats.sight_at(now), Sight::Full);
            now += BEAT;
            beats.came_at(now);
        }
    }

    #[test]
    fn after_a_gap_it_waits_a_beat_and_blames_nobody_for_a_lease() {
        let (beats, mut now) = (Beats::new(BEAT, LEASE), Instant::now());
        beats.came_at(now);
        beats.failed();
        assert_eq!(beats.sight_at(now), Sight::None);
        now += LEASE;
        beats.came_at(now);
        assert_eq!(beats.sight_at(now), Sight::None);
        let seen = [(); 5].map(|()| {
            now += BEAT;
            beats.came_at(now);
            beats.sight_at(now)
        });
        assert_eq!(seen, [Sight::Short, Sight::Short, Sight::Short, Sight::Short, Sight::Full]);
    }

    #[test]
    fn a_process_that_stood_still_had_a_gap() {
        let beats = Beats::new(BEAT, LEASE);
        let now = Instant::now() + LEASE;
        assert_eq!(beats.sight_at(now), Sight::None, "before it knows");
        beats.came_at(now);
        assert_eq!(beats.sight_at(now), Sight::None);
        let now = now + BEAT;
        beats.came_at(now);
        assert_eq!(beats.sight_at(now), Sight::Short);
    }
}
