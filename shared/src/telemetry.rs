//! Logs and metrics of a process: set up once, by the binary.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::io::IsTerminal;
use tracing_subscriber::{
    EnvFilter,
    fmt::{self, MakeWriter},
    prelude::*,
};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object a line, the span's fields with it.
    Json,
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is no filter.
    #[error("the log filter {0:?} cannot be read")]
    Filter(String, #[source] tracing_subscriber::filter::ParseError),
    /// Somebody set up logging before.
    #[error("logging was set up twice")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
    /// Metrics.
    #[error("metrics could not be set up")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// Sends log lines to `writer`, which must lead to standard error: standard output is for data.
///
/// Nobody can be told that the log itself cannot be written, least of all by a panic.
pub fn log<W>(filter: &str, format: LogFormat, writer: W) -> Result<(), Error>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(filter).map_err(|e| Error::Filter(filter.to_owned(), e))?;
    let registry = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().log_internal_errors(false);
    match format {
        LogFormat::Text => {
            // Where NO_COLOR is set the layer has no colours to begin with.
            let colours = std::io::stderr().is_terminal();
            let lines = if colours { lines } else { lines.with_ansi(false) };
            registry.with(lines.with_writer(writer)).try_init()?;
        }
        LogFormat::Json => {
            let lines = lines.json().with_current_span(true);
            registry.with(lines.with_writer(writer)).try_init()?;
        }
    }
    Ok(())
}

/// Installs the recorder of this process's metrics. The handle renders them; somebody must call its
/// `run_upkeep` now and then.
pub fn metrics() -> Result<PrometheusHandle, Error> {
    Ok(PrometheusBuilder::new()
        .set_buckets_for_metric(
            Matcher::Suffix("_seconds".to_owned()),
            &[
                0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
                300.0, 1800.0,
            ],
        )?
        .install_recorder()?)
}
