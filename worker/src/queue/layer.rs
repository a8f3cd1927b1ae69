//! The outermost layer around a job: races it with its stop signal, reads the outcome from what it
//! returned, and resolves only when the outcome is acknowledged.

use super::{
    Shared,
    held::{Held, Stop},
};
use crate::{attempt, job::Assignment, observe::Ended};
use apalis_core::{error::BoxDynError, task::Task};
use paceline_shared::{Provider, db::sync_outcomes::Outcome};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tower::{Layer, Service};
use tracing::Instrument as _;

/// How long a cancelled job may take to its next safe point.
const CANCEL_GRACE: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) struct FinishLayer(Arc<Shared>);

impl FinishLayer {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

impl<S> Layer<S> for FinishLayer {
    type Service = FinishService<S>;
    fn layer(&self, inner: S) -> FinishService<S> {
        FinishService { inner, shared: self.0.clone() }
    }
}

#[derive(Clone)]
pub(super) struct FinishService<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Service<Task<Assignment>> for FinishService<S>
where
    S: Service<Task<Assignment>, Response = ()>,
    S::Future: Send + 'static,
    S::Error: Into<BoxDynError>,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = Pin<Box<dyn Future<Output = Result<(), BoxDynError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, task: Task<Assignment>) -> Self::Future {
        let Some(held) = task.data().get::<Held>().cloned() else {
            return Box::pin(async { Err("a task that did not come from this backend".into()) });
        };
        let span = tracing::info_span!(
            "sync",
            sync.id = %held.lease().job,
            attempt = held.attempt(),
            epoch = held.lease().epoch,
            worker = %held.lease().worker,
            provider = %task.args.provider(),
            trace.id = task.args.trace().map(tracing::field::display),
        );
        let shared = self.shared.clone();
        let provider = task.args.provider();
        let work = {
            // The job is spawned in the call: the span must be open by then.
            let _in_span = span.enter();
            self.inner.call(task)
        };
        Box::pin(async move { finish(shared, held, provider, work).await }.instrument(span))
    }
}

async fn finish<E: Into<BoxDynError>>(
    shared: Arc<Shared>,
    held: Held,
    provider: Provider,
    work: impl Future<Output = Result<(), E>> + Send,
) -> Result<(), BoxDynError> {
    let _guard = shared.registry.guard(&held);
    let began = Instant::now();
    let outcome = outcome(&shared, &held, work).await;
    attempt::report(&outcome, began.elapsed());
    let ended = Ended::new(provider, &outcome, began.elapsed());
    if shared.finisher.finish(held.lease(), outcome).await {
        ended.count();
    } else {
        tracing::warn!("the lease was lost before the acknowledgement");
    }
    // The worker's loop has no business with a job's failure: it is acknowledged.
    Ok(())
}

/// How the job went. A lost lease reads as released: after an outage of Postgres the job may still be
/// ours and is handed back uncounted; if it is another's, the fence refuses this as it refuses all else.
async fn outcome<E: Into<BoxDynError>>(
    shared: &Shared,
    held: &Held,
    work: impl Future<Output = Result<(), E>> + Send,
) -> Outcome {
    tokio::pin!(work);
    let read = |result: Result<(), E>| {
        attempt::outcome(result.map_err(Into::into), held, shared.config.retry_base)
    };
    let why = tokio::select! {
        biased;
        () = held.lost() => return Outcome::Released,
        result = &mut work => return read(result),
        why = stop_asked(held) => why,
    };
    // It may come to its next safe point, which saves the page in its hands.
    let grace = match why {
        Stop::OutOfMemory => Duration::ZERO,
        Stop::Cancelled => CANCEL_GRACE,
        _ => shared.config.grace,
    };
    tokio::select! {
        biased;
        () = held.lost() => Outcome::Released,
        result = &mut work => read(result),
        () = tokio::time::sleep(grace) => attempt::stopped(held, shared.config.retry_base),
    }
}

/// Waits for a reason to stop. That the attempt takes too long is one: here and not in a layer of its own,
/// which would end the job at once, wherever it is.
async fn stop_asked(held: &Held) -> Stop {
    if tokio::time::timeout(held.time_limit(), held.stopped()).await.is_err() {
        held.ask_stop(Stop::TimedOut);
    }
    held.stop_asked()
}
