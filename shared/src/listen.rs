//! Hears notifications, and knows whether it does: a process sends itself a nonce again and again and
//! expects it on its own listening connection. It knows no channel's meaning.
//!
//! Nothing else tells. A pooler in transaction mode accepts LISTEN and delivers to anybody; a connection whose
//! other end vanished looks like one on which nothing happens. And one echo proves little: behind a pooler
//! the two may meet on one server connection by chance. So it takes three in a row to believe, and
//! three misses to stop believing and connect anew.

use crate::{
    db::{Db, Error, Route},
    notify,
};
use std::{convert::Infallible, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};
use uuid::Uuid;

/// Between two echoes of a connection that is believed in.
const EVERY: Duration = Duration::from_secs(2);
/// Between two echoes of one that has yet to prove itself.
const PROVING: Duration = Duration::from_millis(500);
/// An echo that takes longer is a miss. With [`EVERY`] and three misses: deaf for 8 s at most.
const LATE: Duration = Duration::from_secs(2);
/// To connect and to say what it listens to.
const CONNECT: Duration = Duration::from_secs(5);
const IN_A_ROW: u32 = 3;
/// Between two connections. Doubles while none of them hears anything.
const PAUSES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(500)..=Duration::from_secs(30);

/// What came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A notification.
    Said {
        /// On which channel.
        channel: &'a str,
        /// Its text.
        payload: &'a str,
    },
    /// A new connection: whatever was said before it is lost.
    Anew,
}

/// Why a connection is given up.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("{}", .0.reason())]
    Db(#[from] Error),
    #[error("connecting took too long")]
    Slow,
    #[error("the connection was closed")]
    Closed,
    #[error("what this process says to itself does not arrive")]
    Deaf,
}

impl From<sqlx::Error> for Lost {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Listens on `channels` for as long as it is polled, through whatever happens to the connection.
///
/// `arrives` says whether notifications arrive: it is false until three echoes in a row came back, and from
/// three misses in a row or a lost connection on. While it is false, poll. Echoes are sent through
/// `speaking`, as all notifications are.
pub async fn listen(
    listening: &Db,
    speaking: &Db,
    channels: &[&str],
    arrives: &watch::Sender<bool>,
    mut on: impl FnMut(Heard<'_>),
) -> Infallible {
    // A channel of our own: others need not hear our echoes.
    let own = format!("paceline_echo_{}", Uuid::new_v4().simple());
    let mut pause = *PAUSES.start();
    say(arrives, false);
    if listening.route() == Route::Pooler {
        // A LISTEN would stay behind on a connection that belongs to everybody, and hand what it hears to
        // whoever has that connection then.
        tracing::info!("no notifications through a pooler; polling");
        return std::future::pending().await;
    }
    loop {
        let Err(lost) = life(listening, speaking, channels, &own, arrives, &mut on).await;
        if say(arrives, false) {
            tracing::warn!(reason = %lost, "notifications do not arrive any more; polling until they do");
            pause = *PAUSES.start();
        } else {
            tracing::debug!(reason = %lost, "notifications do not arrive; polling");
        }
        sleep(pause.mul_f64(0.8 + 0.4 * fraction())).await;
        pause = (pause * 2).min(*PAUSES.end());
    }
}

/// Whether notifications arrive: true as soon as three echoes in a row came back, false when that takes
/// longer than `limit`.
pub async fn arrive(listening: &Db, speaking: &Db, limit: Duration) -> bool {
    let (hears, mut told) = watch::channel(false);
    let listening = listen(listening, speaking, &[], &hears, |_| {});
    tokio::select! {
        never = listening => match never {},
        arrived = timeout(limit, told.wait_for(|hears| *hears)) => matches!(arrived, Ok(Ok(_))),
    }
}

/// Says whether notifications arrive; true when that is news.
fn say(arrives: &watch::Sender<bool>, now: bool) -> bool {
    metrics::gauge!("paceline_notify_listening").set(f64::from(u8::from(now)));
    arrives.send_if_modified(|before| std::mem::replace(before, now) != now)
}

/// A number from 0 to 1, by chance.
fn fraction() -> f64 {
    f64::from(Uuid::new_v4().as_bytes()[0]) / 255.0
}

/// One connection, from its beginning to its end.
async fn life(
    listening: &Db,
    speaking: &Db,
    channels: &[&str],
    own: &str,
    arrives: &watch::Sender<bool>,
    on: &mut impl FnMut(Heard<'_>),
) -> Result<Infallible, Lost> {
    let connect = async {
        let mut listener = listening.listener().await?;
        listener.eager_reconnect(false);
        listener.listen_all(channels.iter().copied().chain([own])).await?;
        Ok::<_, sqlx::Error>(listener)
    };
    let mut listener = timeout(CONNECT, connect).await.map_err(|_elapsed| Lost::Slow)??;
    on(Heard::Anew);
    let (say_heard, last_heard) = watch::channel(0);
    let hear = async {
        loop {
            let said = listener.try_recv().await?.ok_or(Lost::Closed)?;
            if said.channel() == own {
                say_heard.send_replace(said.payload().parse().unwrap_or(0));
            } else {
                on(Heard::Said { channel: said.channel(), payload: said.payload() });
            }
        }
    };
    tokio::select! {
        lost = hear => lost,
        lost = prove(speaking, own, last_heard, arrives) => lost,
    }
}

/// Sends echo after echo and judges by those that come back.
async fn prove(
    speaking: &Db,
    own: &str,
    mut last_heard: watch::Receiver<u64>,
    arrives: &watch::Sender<bool>,
) -> Result<Infallible, Lost> {
    let (mut proof, mut nonce) = (Proof::default(), 0_u64);
    loop {
        nonce += 1;
        let sent_at = Instant::now();
        if let Ok(Ok(())) =
            timeout(LATE, notify::send(speaking, &[own], &[nonce.to_string()])).await
        {
            let echo = timeout_at(sent_at + LATE, last_heard.wait_for(|last| *last >= nonce)).await;
            let in_time = matches!(echo, Ok(Ok(_)));
            if in_time {
                metrics::histogram!("paceline_notify_lag_seconds")
                    .record(sent_at.elapsed().as_secs_f64());
            }
            match proof.judge(in_time) {
                Verdict::Deaf => return Err(Lost::Deaf),
                Verdict::Hears if say(arrives, true) => tracing::info!("notifications arrive"),
                Verdict::Hears | Verdict::Open => {}
            }
            if !in_time {
                continue;
            }
        }
        // What could not be sent proves nothing, neither way.
        let next = if *arrives.borrow() { EVERY } else { PROVING };
        sleep(next).await;
    }
}

/// What echoes have shown of a connection.
#[derive(Debug, Default)]
struct Proof {
    arrived: u32,
    missed: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It works.
    Hears,
    /// Too early to tell; what was believed before holds.
    Open,
    /// It does not.
    Deaf,
}

impl Proof {
    fn judge(&mut self, arrived: bool) -> Verdict {
        if arrived {
            (self.arrived, self.missed) = (self.arrived + 1, 0);
        } else {
            (self.arrived, self.missed) = (0, self.missed + 1);
        }
        match (self.arrived, self.missed) {
            (IN_A_ROW.., _) => Verdict::Hears,
            (_, IN_A_ROW..) => Verdict::Deaf,
            _ => Verdict::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(echoes: &str) -> Vec<Verdict> {
        let mut proof = Proof::default();
        echoes.chars().map(|echo| proof.judge(echo == '+')).collect()
    }

    #[test]
    fn one_echo_proves_nothing_and_three_in_a_row_do() {
        use Verdict::{Hears, Open};
        assert_eq!(verdicts("+"), [Open]);
        assert_eq!(verdicts("++-++"), [Open; 5]);
        assert_eq!(verdicts("++++"), [Open, Open, Hears, Hears]);
    }

    #[test]
    fn two_misses_are_forgiven_and_three_in_a_row_are_not() {
        use Verdict::{Deaf, Hears, Open};
        assert_eq!(verdicts("+++--+"), [Open, Open, Hears, Open, Open, Open]);
        assert_eq!(verdicts("+++---"), [Open, Open, Hears, Open, Open, Deaf]);
        assert_eq!(verdicts("---"), [Open, Open, Deaf]);
    }

    #[test]
    fn a_deaf_connection_is_noticed_within_ten_seconds() {
        assert!(EVERY + LATE * IN_A_ROW <= Duration::from_secs(10));
    }
}
