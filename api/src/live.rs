//! Who waits for a sync to end. One connection listens for all of them; a notification is a hint to
//! look, and a look each second makes up for every hint that never came.

use paceline_shared::{
    JobId, db,
    listen::{Heard, listen},
    notify,
};

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;

/// How long an end may stay unseen when no notification arrives.
const LOOK: Duration = Duration::from_secs(1);
/// The shortest time between two looks: hints that come together share one.
const GAP: Duration = Duration::from_millis(25);
/// Ids in one statement.
const CHUNK: usize = 1_000;

/// Syncs that somebody waits for, and those of them that may have changed.
#[derive(Default)]
struct Board {
    awaited: HashMap<JobId, Weak<CancellationToken>>,
    hinted: HashSet<JobId>,
    all_hinted: bool,
}

/// The hub. Its two tasks end with the token that it was made with.
pub(crate) struct Live {
    board: Mutex<Board>,
    hint: Notify,
    closing: CancellationToken,
}

/// A wait for one sync. Dropping it ends it.
pub(crate) struct Wait(Arc<CancellationToken>);

impl Wait {
    /// Returns when the sync has been seen to have ended, or when the process ends. Make the wait
    /// before reading the sync, or an end between the two goes unseen until `limit`.
    pub(crate) async fn ended(&self, limit: Duration) {
        // Both are a reason to look again, and nothing more.
        let _elapsed = tokio::time::timeout(limit, self.0.cancelled()).await;
    }
}

impl Live {
    pub(crate) fn new(closing: CancellationToken) -> Arc<Self> {
        Arc::new(Self { board: Mutex::default(), hint: Notify::new(), closing })
    }

    /// Waits for a sync.
    pub(crate) fn wait_for(&self, sync: JobId) -> Wait {
        let mut board = self.board();
        if let Some(wait) = board.awaited.get(&sync).and_then(Weak::upgrade) {
            return Wait(wait);
        }
        let wait = Arc::new(self.closing.child_token());
        board.awaited.insert(sync, Arc::downgrade(&wait));
        Wait(wait)
    }

    /// Listens and looks until the token ends it.
    pub(crate) async fn run(&self, db: &db::Db, listening: &db::Db) {
        let hears = watch::Sender::new(false);
        let on = |heard: Heard<'_>| match heard {
            Heard::Said { payload, .. } => self.hint(payload),
            // What was said while nobody listened is lost.
            Heard::Anew => self.hint_all(),
        };
        let hear = listen(listening, db, &[notify::LIVE], &hears, on);
        tokio::join!(self.closing.run_until_cancelled(hear), self.look(db));
    }

    async fn look(&self, db: &db::Db) {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            let looked_at = tokio::select! {
                () = self.closing.cancelled() => return,
                () = self.hint.notified() => self.take_hinted(),
                _ = tick.tick() => self.awaited(),
            };
            for ids in looked_at.chunks(CHUNK) {
                match db::sync_jobs::still_live(db, ids).await {
                    Ok(live) => {
                        failing = false;
                        let live: HashSet<_> = live.into_iter().collect();
                        self.end(ids.iter().filter(|id| !live.contains(id)));
                    }
                    // The next tick asks again; once is enough for the log.
                    Err(error) if failing => tracing::debug!(reason = error.reason(), "{error}"),
                    Err(error) => {
                        failing = true;
                        tracing::warn!(reason = error.reason(), "{error}");
                    }
                }
            }
            // A wait that shutting down cuts short.
            let _elapsed = tokio::time::timeout(GAP, self.closing.cancelled()).await;
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These may have changed; ids separated by commas.
    fn hint(&self, ids: &str) {
        let mut board = self.board();
        let before = board.hinted.len();
        for id in ids.split(',').filter_map(|id| id.parse().ok()) {
            if board.awaited.contains_key(&id) {
                board.hinted.insert(id);
            }
        }
        if board.hinted.len() > before {
            self.hint.notify_one();
        }
    }

    fn hint_all(&self) {
        self.board().all_hinted = true;
        self.hint.notify_one();
    }

    fn take_hinted(&self) -> Vec<JobId> {
        let mut board = self.board();
        let hinted = std::mem::take(&mut board.hinted);
        if std::mem::take(&mut board.all_hinted) {
            drop(board);
            return self.awaited();
        }
        hinted.into_iter().filter(|id| board.awaited.contains_key(id)).collect()
    }

    /// All that somebody still waits for; forgets the others.
    fn awaited(&self) -> Vec<JobId> {
        let mut board = self.board();
        board.awaited.retain(|_, wait| wait.strong_count() > 0);
        board.awaited.keys().copied().collect()
    }

    fn end<'a>(&self, ended: impl Iterator<Item = &'a JobId>) {
        let mut board = self.board();
        for id in ended {
            if let Some(wait) = board.awaited.remove(id).and_then(|wait| wait.upgrade()) {
                wait.cancel();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub() -> (Arc<Live>, CancellationToken) {
        let closing = CancellationToken::new();
        (Live::new(closing.clone()), closing)
    }

    #[test]
    fn only_syncs_that_somebody_waits_for_are_looked_at() {
        let (live, _closing) = hub();
        let (mine, other) = (JobId::fresh(), JobId::fresh());
        let wait = live.wait_for(mine);
        live.hint(&format!("{other},nonsense,,{mine}"));
        assert_eq!(live.take_hinted(), [mine]);
        assert_eq!(live.take_hinted(), []);
        live.hint_all();
        assert_eq!(live.take_hinted(), [mine]);
        drop(wait);
        assert_eq!(live.awaited(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_wakes_all_who_wait_for_it_and_nobody_else() {
        let (live, _closing) = hub();
        let (mine, other) = (JobId::fresh(), JobId::fresh());
        let waits = [live.wait_for(mine), live.wait_for(mine), live.wait_for(other)];
        let began = tokio::time::Instant::now();
        live.end([mine].iter());
        waits[0].ended(Duration::from_secs(25)).await;
        waits[1].ended(Duration::from_secs(25)).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        waits[2].ended(Duration::from_secs(25)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(25));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_after_a_retry_does_not_see_the_end_before_it() {
        let (live, _closing) = hub();
        let sync = JobId::fresh();
        let _still_held = live.wait_for(sync);
        live.end([sync].iter());
        let began = tokio::time::Instant::now();
        live.wait_for(sync).ended(Duration::from_secs(1)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn shutting_down_ends_every_wait() {
        let (live, closing) = hub();
        let wait = live.wait_for(JobId::fresh());
        closing.cancel();
        let began = tokio::time::Instant::now();
        wait.ended(Duration::from_secs(25)).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
