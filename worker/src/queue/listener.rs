//! What other processes say: new work wakes the claimer, a cancel reaches its job at once. Whether it is
//! heard is found out all the time; while it is not, the tasks poll.

use super::Shared;
use paceline_shared::{
    listen::{Heard, listen},
    notify::{CANCEL, JOBS, LANES, OPERATIONS},
};
use std::sync::Arc;

pub(super) async fn run(shared: Arc<Shared>) {
    let hear = |heard: Heard<'_>| match heard {
        Heard::Said { channel: CANCEL, payload } => {
            payload.split(',').filter_map(|id| id.parse().ok()).for_each(|job| shared.cancel(job));
        }
        Heard::Said { channel: OPERATIONS, .. } => shared.operations.notify_one(),
        // Work, a lane that opened, or a new connection: something may have been missed.
        Heard::Said { .. } | Heard::Anew => shared.wake(),
    };
    let channels = [JOBS, CANCEL, LANES, OPERATIONS];
    let listening = listen(&shared.listening, &shared.db, &channels, &shared.hears, hear);
    shared.idle.run_until_cancelled(listening).await;
}
