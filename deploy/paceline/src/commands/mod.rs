//! The commands, a file each.

pub(crate) mod api;
pub(crate) mod audit;
pub(crate) mod completions;
pub(crate) mod connections;
pub(crate) mod demo;
pub(crate) mod dev;
pub(crate) mod doctor;
pub(crate) mod failures;
pub(crate) mod healthcheck;
pub(crate) mod jobs;
pub(crate) mod migrate;
pub(crate) mod openapi;
pub(crate) mod providers;
pub(crate) mod sim;
pub(crate) mod sync;
pub(crate) mod token;
pub(crate) mod worker;
pub(crate) mod workers;

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
        Command::Jobs(command) => jobs::run(*command, screen).await,
        Command::Failures(options) => failures::run(options).await,
        Command::Workers(command) => workers::run(command).await,
        Command::Providers(command) => providers::run(command).await,
        Command::Connections(command) => connections::run(command).await,
        Command::Audit(options) => audit::run(options).await,
        Command::Doctor(options) => doctor::run(options).await,
        Command::Healthcheck(options) => healthcheck::run(&options).await,
        Command::Sim(options) => sim::run(options).await,
        Command::Token(options) => token::run(&options),
        Command::Openapi(_) => openapi::run(),
        Command::Completions(options) => completions::run(&options),
    }
}
