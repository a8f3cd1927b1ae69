//! The commands, a file each.

pub(crate) mod api;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod dev;
pub(crate) mod healthcheck;
pub(crate) mod migrate;
pub(crate) mod openapi;
pub(crate) mod sim;
pub(crate) mod sync;
pub(crate) mod token;
pub(crate) mod worker;

use crate::{
    args::{Cli, Command},
    exit::Exit,
    screen::Screen,
};

/// Does what the command line asks for.
pub(crate) async fn run(cli: Cli, screen: &Screen) -> anyhow::Result<Exit> {
    match cli.command {
        Command::Demo(options) => demo::run(options, &cli.log, screen).await,
        Command::Dev(options) => dev::run(options, &cli.log, screen).await,
        Command::Api(options) => api::run(*options).await,
        Command::Worker(options) => worker::run(*options).await,
        Command::Migrate(options) => migrate::run(&options).await,
        Command::Sync(command) => sync::run(command, screen).await,
        Command::Healthcheck(options) => healthcheck::run(&options).await,
        Command::Sim(options) => sim::run(options).await,
        Command::Token(options) => token::run(&options),
        Command::Openapi(_) => openapi::run(),
        Command::Completions(options) => completions::run(&options),
    }
}
