//! One LISTEN connection a process: new work wakes the claimer, a cancel reaches its job at once. Without
//! it the poll and the beat find out a little later.

use super::{Shared, held::Stop, jitter};
use paceline_shared::notify::{CANCEL, JOBS};
use std::{sync::Arc, time::Duration};

pub(super) async fn run(shared: Arc<Shared>) {
    let listening = async {
        loop {
            if let Err(error) = listen(&shared).await {
                tracing::warn!(%error, "listener lost; polling goes on");
            }
            tokio::time::sleep(jitter(Duration::from_secs(1))).await;
        }
    };
    shared.idle.run_until_cancelled(listening).await;
}

async fn listen(shared: &Shared) -> Result<(), sqlx::Error> {
    let mut listener = shared.listening.listener().await?;
    listener.listen_all([JOBS, CANCEL]).await?;
    shared.wake.notify_one();
    loop {
        match listener.try_recv().await? {
            Some(notification) if notification.channel() == CANCEL => {
                for job in notification.payload().split(',').filter_map(|id| id.parse().ok()) {
                    if let Some(held) = shared.registry.of(job) {
                        held.ask_stop(Stop::Cancelled);
                    }
                }
            }
            // Work, or a connection that was lost and made again: something may have been missed.
            _ => shared.wake.notify_one(),
        }
    }
}
