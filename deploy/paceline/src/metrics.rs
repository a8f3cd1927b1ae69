//! The metrics of this process.

use anyhow::Context as _;
use paceline_shared::telemetry;
use std::{sync::Arc, time::Duration};

/// Histograms keep every value until somebody folds them.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Installs the recorder and keeps it tidy; answers what renders it for Prometheus.
pub(crate) fn install() -> anyhow::Result<Arc<dyn Fn() -> String + Send + Sync>> {
    let recorder = telemetry::metrics().context("setting up metrics")?;
    let upkeep = recorder.clone();
    tokio::spawn(async move {
        let mut every = tokio::time::interval(UPKEEP_EVERY);
        loop {
            every.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(Arc::new(move || recorder.render()))
}
