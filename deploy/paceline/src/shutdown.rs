//! When to end: signals, and the end of the process that started this one.

use crate::exit::Exit;
use anyhow::Context as _;
use std::{io, process, thread};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// That the process shall end, and how soon.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown {
    /// Come to an end in good order.
    pub(crate) asked: CancellationToken,
    /// Do not wait for anybody any more.
    pub(crate) hurry: CancellationToken,
}

/// What a second signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// The end of the process, at once. Others put right what it left.
    Exit,
    /// Hurry: there are processes to end first. Only a third one is the end at once.
    Hurry,
}

impl Shutdown {
    /// Takes SIGINT and SIGTERM from now on, and SIGHUP where a terminal takes its children with it.
    pub(crate) fn on_signals(again: Again) -> anyhow::Result<Self> {
        let take = |kind| signal(kind).context("signals cannot be caught");
        let mut signals = Signals {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
            hangup: if again == Again::Hurry { Some(take(SignalKind::hangup())?) } else { None },
        };
        let shutdown = Self { asked: CancellationToken::new(), hurry: CancellationToken::new() };
        let Self { asked, hurry } = shutdown.clone();
        tokio::spawn(async move {
            signals.next().await;
            tracing::info!("asked to end");
            asked.cancel();
            signals.next().await;
            hurry.cancel();
            if again == Again::Hurry {
                tracing::warn!("asked again: not waiting any more");
                signals.next().await;
            }
            process::exit(Exit::Interrupted as i32);
        });
        Ok(shutdown)
    }

    /// Ends as well when standard input does: its other end is held by the process that started this
    /// one, and nothing else closes it however that process ends.
    pub(crate) fn with_parent(&self) {
        let asked = self.asked.clone();
        // A thread and not a task: a blocked read would keep the runtime from ending.
        thread::spawn(move || {
            let _read = io::copy(&mut io::stdin().lock(), &mut io::sink());
            if !asked.is_cancelled() {
                tracing::info!("the parent process has ended");
                asked.cancel();
            }
        });
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}
