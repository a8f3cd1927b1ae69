//! The gate before a try: breaker, pace, budget, in this order; and what the try then tells them.

use super::{
    meter::Inner,
    pool::{Key, Taken},
    terms::{Reading, reason},
};
use crate::providers::http::{Closed, End, Gate, Pass};
use futures::future::BoxFuture;
use paceline_shared::db::budgets::Window;
use reqwest::{StatusCode, header::HeaderMap};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// The gate for one kind of call.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) meter: Arc<Inner>,
    /// All that its calls count in.
    pub(super) windows: Vec<Window>,
    pub(super) key: Key,
    pub(super) past_breaker: bool,
}

impl Door {
    pub(super) fn reason(&self, scope: &str, window_s: i32) -> &'static str {
        reason(&self.windows, scope, window_s)
    }

    async fn permit(&self) -> Result<Permit, Closed> {
        let probe = if self.past_breaker { None } else { self.meter.pass_breaker().await? };
        self.meter.keep_pace().await;
        let taken =
            if self.windows.is_empty() { None } else { Some(self.meter.reserved(self).await?) };
        Ok(Permit { meter: self.meter.clone(), taken, heard: None, probe })
    }
}

impl Gate for Door {
    fn enter(&self) -> BoxFuture<'_, Result<Box<dyn Pass>, Closed>> {
        Box::pin(async { Ok(Box::new(self.permit().await?) as Box<dyn Pass>) })
    }
}

/// One try.
struct Permit {
    meter: Arc<Inner>,
    taken: Option<Taken>,
    heard: Option<(StatusCode, Vec<Reading>)>,
    probe: Option<OwnedSemaphorePermit>,
}

impl Pass for Permit {
    fn heard(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.heard = Some((status, (self.meter.terms.hear)(status, headers)));
    }

    fn over(mut self: Box<Self>, end: End) {
        let failed = match end {
            End::Unmade => None,
            End::Unsent | End::Broken => Some(true),
            End::Whole => self.heard.as_ref().map(|(status, _)| status.is_server_error()),
        };
        if let Some(failed) = failed {
            self.meter.ended(self.probe.is_some(), failed);
        }
        if matches!(end, End::Unsent | End::Unmade)
            && let Some(taken) = self.taken.take()
        {
            self.meter.not_made(&taken);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // Its job may have been stopped meanwhile: the provider may have seen the call all the same.
        if let Some(taken) = &self.taken {
            self.meter.made(taken, self.heard.as_ref());
        }
    }
}
