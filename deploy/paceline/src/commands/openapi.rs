//! `paceline openapi`.

use crate::{exit::Exit, output};
use clap::Args;

/// Print the OpenAPI document of the HTTP API
#[derive(Args, Debug)]
pub(crate) struct Options {}

pub(crate) fn run() -> anyhow::Result<Exit> {
    output::line(&paceline_api::openapi())?;
    Ok(Exit::Done)
}
