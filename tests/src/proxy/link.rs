//! One connection through the proxy: what is known of it, and what shall become of it. It carries nothing.

use super::wire::Asked;
use std::{
    collections::VecDeque,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::watch;

/// A connection through the proxy.
#[derive(Debug)]
pub struct Link {
    pub(super) name: OnceLock<String>,
    pub(super) listens: AtomicBool,
    fate: watch::Sender<Fate>,
    /// Requests under way: Postgres answers them in this order.
    pub(super) awaited: Mutex<VecDeque<Awaited>>,
    /// What Postgres last said: inside a transaction, or not.
    pub(super) in_transaction: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Silent,
    Cut,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Awaited {
    pub(super) asked: Asked,
    pub(super) is_lost: bool,
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            name: OnceLock::new(),
            listens: AtomicBool::new(false),
            fate: watch::Sender::new(Fate::Open),
            awaited: Mutex::default(),
            in_transaction: AtomicBool::new(false),
        }
    }

    /// What it calls itself: `application_name`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.get().map_or("", String::as_str)
    }

    /// Whether it has asked for notifications.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.listens.load(Ordering::Relaxed)
    }

    /// From now on nothing gets through, either way, and neither end hears of the other's end.
    pub fn silence(&self) {
        self.turn(Fate::Silent);
    }

    /// From now on everything gets through again, also what was on its way.
    pub fn resume(&self) {
        self.turn(Fate::Open);
    }

    /// Whether nothing gets through.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        *self.fate.borrow() == Fate::Silent
    }

    /// Resets it: both ends hear of it at once.
    pub fn cut(&self) {
        self.turn(Fate::Cut);
    }

    fn turn(&self, fate: Fate) {
        let is_over = |now: Fate| now == Fate::Cut;
        self.fate.send_if_modified(|now| !is_over(*now) && std::mem::replace(now, fate) != fate);
    }

    pub(super) async fn until_cut(&self) {
        let mut fate = self.fate.subscribe();
        // Fails only without the sender, which lives as long as this.
        let _cut = fate.wait_for(|fate| *fate == Fate::Cut).await;
    }

    /// Waits for as long as nothing gets through.
    pub(super) async fn passes(&self) {
        let mut fate = self.fate.subscribe();
        let _passes = fate.wait_for(|fate| *fate != Fate::Silent).await;
    }
}
