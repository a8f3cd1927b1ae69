//! Notifications, off the write path: after a commit a process says what it changed, and one task
//! sends all that came together in one statement.
//!
//! A notifying commit takes a lock of the whole server, so it must not be part of busy transactions.
//! What is lost here (a crash before the send) costs a poll's delay and nothing else.

use crate::db::{self, Db, Error};
use std::{collections::BTreeSet, time::Duration};
use tokio::{sync::mpsc, time::Instant};

/// There is something to claim; the payload is a provider.
pub const JOBS: &str = "paceline_jobs";
/// Progress rows changed; the payload is ids, separated by commas.
pub const LIVE: &str = "paceline_live";
/// Running jobs shall stop; the payload is ids, separated by commas.
pub const CANCEL: &str = "paceline_cancel";
/// What holds a lane back, or its limit, changed; the payload is the lane.
pub const LANES: &str = "paceline_lanes";
/// There is a bulk operation to do; the payload is its id.
pub const OPERATIONS: &str = "paceline_operations";

/// Between two sends while messages come without a pause: more of them go together.
const LONGEST_GAP: Duration = Duration::from_millis(25);
/// Between two sends after a quiet moment: somebody waits for the one message.
const SHORTEST_GAP: Duration = Duration::from_millis(2);
/// So long nothing was sent.
const QUIET: Duration = Duration::from_millis(12);
/// Postgres takes fewer than 8,000 bytes.
const PAYLOAD_LIMIT: usize = 7_900;

/// Hands messages to the batching task; cheap to clone, never waits.
#[derive(Clone, Debug)]
pub struct Notifier(mpsc::UnboundedSender<(&'static str, String)>);

impl Notifier {
    /// Starts the task. It ends when the last clone is dropped.
    #[must_use]
    pub fn start(db: Db) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(send_batches(db, receiver));
        Self(sender)
    }

    /// Says `item` on `channel`, soon. Equal items within a batch are one.
    pub fn say(&self, channel: &'static str, item: &(impl ToString + ?Sized)) {
        // The task ends only when the process does; then there is nobody to tell.
        let _ended = self.0.send((channel, item.to_string()));
    }
}

async fn send_batches(db: Db, mut receiver: mpsc::UnboundedReceiver<(&'static str, String)>) {
    let (mut sent, mut gap) = (Instant::now(), SHORTEST_GAP);
    while let Some(first) = receiver.recv().await {
        let quiet_for = sent.elapsed();
        let mut batch = BTreeSet::from([first]);
        while let Ok(Some(next)) = tokio::time::timeout_at(sent + gap, receiver.recv()).await {
            batch.insert(next);
        }
        sent = Instant::now();
        gap = gap_after(gap, quiet_for);
        let (channels, payloads): (Vec<&str>, Vec<String>) = pack(&batch).into_iter().unzip();
        if let Err(error) = db::answered_soon(send(&db, &channels, &payloads)).await {
            let (reason, messages) = (error.reason(), batch.len());
            tracing::warn!(
                reason,
                messages,
                "notifications not sent; listeners find out by polling"
            );
        }
    }
}

/// The pause behind a send that followed the one before by so much: a few messages a second go at once, each for
/// itself; thousands share a send.
fn gap_after(gap: Duration, quiet_for: Duration) -> Duration {
    if quiet_for >= QUIET { SHORTEST_GAP } else { (gap * 2).min(LONGEST_GAP) }
}

/// Sends each payload on its channel, now and in one statement.
pub(crate) async fn send(db: &Db, channels: &[&str], payloads: &[String]) -> Result<(), Error> {
    sqlx::query!(
        r#"select pg_notify(c, p) as "sent: ()" from unnest($1::text[], $2::text[]) as m(c, p)"#,
        channels as &[&str],
        payloads
    )
    .fetch_all(db)
    .await?;
    Ok(())
}

/// Joins the items of each channel by commas, into payloads that Postgres takes.
fn pack<'a>(batch: &'a BTreeSet<(&'static str, String)>) -> Vec<(&'a str, String)> {
    let mut packed: Vec<(&str, String)> = Vec::new();
    for (channel, item) in batch {
        match packed.last_mut() {
            Some((last, payload))
                if last == channel && payload.len() + 1 + item.len() <= PAYLOAD_LIMIT =>
            {
                payload.push(',');
                payload.push_str(item);
            }
            _ => packed.push((channel, item.clone())),
        }
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_now_and_then_go_at_once_and_a_stream_of_them_goes_together() {
        let now_and_then = gap_after(LONGEST_GAP, Duration::from_millis(20));
        assert_eq!(now_and_then, SHORTEST_GAP);
        let stream = (0..10).fold(SHORTEST_GAP, |gap, _| gap_after(gap, Duration::ZERO));
        assert_eq!(stream, LONGEST_GAP);
    }

    #[test]
    fn a_batch_is_packed_by_channel_and_no_payload_is_too_long() {
        let batch: BTreeSet<_> = (0..1000)
            .map(|n| (LIVE, format!("{n:036}")))
            .chain([(JOBS, "strava".to_owned()), (JOBS, "fitbit".to_owned())])
            .collect();
        let packed = pack(&batch);
        assert!(packed.iter().all(|(_, payload)| payload.len() <= PAYLOAD_LIMIT));
        assert!(packed.contains(&(JOBS, "fitbit,strava".to_owned())));
        let items: usize =
            packed.iter().filter(|(c, _)| *c == LIVE).map(|(_, p)| p.split(',').count()).sum();
        assert_eq!(items, 1000);
    }
}
