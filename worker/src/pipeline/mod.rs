//! The pipeline: fetch, enrich, store, each a file. A phase reads, works, and checkpoints; what it wrote
//! and its checkpoint commit together, so to repeat a phase is harmless. It holds a page or a batch, never
//! the history.

mod enrich;
mod fetch;
mod join;
mod pages;
mod remove;
mod store;
mod weather;

use crate::{
    attempt::Error,
    job::{App, Job},
    observe,
    providers::{self, Source},
    queue::{Held, Stop},
    tokens,
};
use chrono::Utc;
use paceline_shared::{
    db::{
        self,
        connections::{self, State},
        fenced::{Advance, FenceError, Fenced},
        sync_progress::{self, Snapshot},
    },
    failure::{Code, Failure},
    notify,
    progress::{Checkpoint, Counts, Phase},
};
use pages::Pages;
use serde_json::{Map, Value};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A running job shows its progress at most this often, apart from changes of phase.
const PUBLISH_EVERY: Duration = Duration::from_millis(500);

/// Runs a job from its checkpoint to the end.
pub(crate) async fn run(app: &App, job: &Job, held: &Held) -> Result<(), Error> {
    let Some(source) = app.providers.source(job.provider) else {
        let message = format!(
            "this worker has no application at {}; see `paceline worker --help`",
            job.provider.title()
        );
        return Err(failed(job.checkpoint.phase(), Code::UnknownError, message, Map::new()));
    };
    let mut run = Run {
        app,
        job,
        held,
        source: source.clone(),
        at: job.checkpoint,
        counts: job.counts,
        shown: None,
        weather_down: false,
    };
    sync_progress::begin(&app.db, held.lease()).await.map_err(|error| run.fence(error))?;
    app.notifier.say(notify::LIVE, &job.id);
    loop {
        let (phase, began) = (run.phase(), Instant::now());
        match run.at {
            Checkpoint::Fetch { next_page } => fetch::run(&mut run, next_page).await?,
            Checkpoint::Enrich { next_page, next_item } => {
                enrich::run(&mut run, next_page, next_item).await?;
            }
            Checkpoint::Store { next_page, next_item } => {
                store::run(&mut run, next_page, next_item).await?;
            }
            Checkpoint::Done => {
                observe::sync_stored(job, &run.counts);
                return Ok(());
            }
        }
        observe::phase_ended(job, phase, &run.counts, began.elapsed());
    }
}

fn failed(phase: Phase, code: Code, message: String, context: Map<String, Value>) -> Error {
    Error::Failed(Box::new(Failure { code, message, phase, context, at: Utc::now() }))
}

/// A job under way: what its phases share.
struct Run<'a> {
    app: &'a App,
    job: &'a Job,
    held: &'a Held,
    source: Arc<dyn Source>,
    /// The last checkpoint committed.
    at: Checkpoint,
    /// What was counted by then, and by the batch in hand.
    counts: Counts,
    /// When the user last saw a change, and in which phase.
    shown: Option<(Instant, Phase)>,
    /// The weather service failed in this attempt: it is not asked again, records stay pending.
    weather_down: bool,
}

impl Run<'_> {
    fn phase(&self) -> Phase {
        self.at.phase()
    }

    /// A safe point: whatever was done is committed, and nothing is begun.
    fn safe_point(&self) -> Result<(), Error> {
        match self.held.stop_asked() {
            Stop::No => Ok(()),
            Stop::LeaseLost => Err(Error::LeaseLost),
            Stop::HandBack | Stop::TimedOut | Stop::OutOfMemory | Stop::Cancelled => {
                Err(Error::Stopped)
            }
        }
    }

    /// Begins a transaction under the lease.
    async fn begin(&self) -> Result<Fenced, Error> {
        Fenced::begin(&self.app.db, self.held.lease()).await.map_err(|error| self.fence(error))
    }

    /// Commits a transaction together with the new checkpoint and the counters.
    async fn commit(&mut self, tx: Fenced, to: Checkpoint, counts: Counts) -> Result<(), Error> {
        let due = self
            .shown
            .is_none_or(|(at, phase)| phase != to.phase() || at.elapsed() >= PUBLISH_EVERY);
        let snapshot = Snapshot {
            attempt: self.held.attempt(),
            phase: to.phase(),
            counts,
            provider: self.job.provider,
        };
        let advance = Advance {
            checkpoint: to,
            counts: &counts,
            estimated_total: (to.phase() != Phase::Fetch).then(|| counts.to_process()),
            publish: due.then_some(&snapshot),
        };
        tx.commit(advance).await.map_err(|error| self.fence(error))?;
        // To fix a plan is no progress: whatever kills workers there must be found.
        if self.at != to {
            self.held.moved_to(to.phase());
        }
        self.at = to;
        self.counts = counts;
        if due {
            self.shown = Some((Instant::now(), to.phase()));
            self.app.notifier.say(notify::LIVE, &self.job.id);
        }
        Ok(())
    }

    fn fence(&self, error: FenceError) -> Error {
        match error {
            FenceError::LeaseLost => Error::LeaseLost,
            FenceError::Db(error) => self.db(error),
        }
    }

    fn db(&self, error: db::Error) -> Error {
        Error::Db { error, phase: self.phase() }
    }

    /// The staged pages, for the phase that goes on.
    fn pages(&self) -> Pages {
        Pages::new(self.app.clone(), self.job.clone(), self.source.clone(), self.phase())
    }

    fn failed(&self, code: Code, message: String, context: Map<String, Value>) -> Error {
        failed(self.phase(), code, message, context)
    }

    /// Notes what a refusal of the pair of this version means for the connection. False: another pair is there by now,
    /// or none, and the refusal says nothing about it.
    async fn noted(&self, error: &providers::Error, version: i64) -> Result<bool, Error> {
        use providers::Error as E;
        let state = match error {
            E::Unauthorized(_) => State::NeedsReauth,
            E::Denied(_) => State::Limited,
            E::Gone(_) => State::ProviderGone,
            _ => return Ok(true),
        };
        let noted = connections::set_state(&self.app.db, self.job.connection, state, version).await;
        noted.map_err(|error| self.db(error))
    }

    /// What a provider's refusal means for the job.
    fn refused(&self, error: providers::Error, page: i32) -> Error {
        use providers::Error as E;
        match error {
            E::Wait { reason, after } => return self.wait(reason, after),
            E::Unmetered(error) => return self.db(error),
            _ => {}
        }
        let mut context = error.context();
        context.insert("page".to_owned(), page.into());
        self.failed(error.code(), error.to_string(), context)
    }

    fn wait(&self, reason: &'static str, after: Duration) -> Error {
        let until = Utc::now() + after;
        let title = self.job.provider.title();
        let message = if reason == "breaker_open" {
            format!(
                "{title} does not answer; it is asked again at {} UTC",
                until.format("%H:%M:%S")
            )
        } else if reason == "preparing" {
            format!(
                "{title} gets older records ready; it is asked again at {} UTC",
                until.format("%H:%M:%S")
            )
        } else {
            format!("{title} allows more at {} UTC", until.format("%H:%M"))
        };
        Error::Wait { reason, after, message }
    }

    async fn no_token(&self, error: tokens::Error, page: i32) -> Error {
        match error {
            tokens::Error::NeedsReauth => {
                let title = self.job.provider.title();
                let message = format!(
                    "{title} does not accept the stored token any more; connect {title} again"
                );
                self.failed(Code::AuthenticationError, message, Map::new())
            }
            tokens::Error::Provider { error, version } => match self.noted(&error, version).await {
                Ok(_) => self.refused(error, page),
                Err(error) => error,
            },
            tokens::Error::Db(error) => self.db(error),
            error @ (tokens::Error::Sealing(_) | tokens::Error::NoApplication(_)) => {
                self.failed(Code::UnknownError, error.to_string(), Map::new())
            }
        }
    }
}
