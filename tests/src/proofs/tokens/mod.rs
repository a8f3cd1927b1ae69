//! Where secrets are not: after a busy while with all providers, in which accounts are connected, refreshed, refused,
//! revoked and disconnected, no token, code, application's secret or key stands in the database, in a log, or in an
//! answer, in whatever form.
//!
//! The search must be able to fail: secrets are planted afterwards, in each kind of place and form, and must be found.

mod busy;
mod forms;
mod places;

use super::{
    everywhere,
    report::{Bound, Report},
};
use anyhow::Result;
use busy::Busy;
use clap::Args;
use forms::Search;
use paceline_simulator::{Config, GarminSettings};
use paceline_tests::{
    client::Client,
    process::Process,
    stack::{Stack, WorkerSetup},
};
use places::Text;
use std::time::Duration;

/// What to run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How long accounts are busy.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(5..))]
    seconds: u64,
    /// Seed of the histories and of what happens.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Users, each with an account at every provider.
const USERS: usize = 3;
/// Everything that this project and what it is made of ever says.
const LOG: [&str; 2] = ["--log", "debug"];
/// Findings that are told.
const TOLD: usize = 12;

/// Runs the proof.
pub(crate) async fn prove(options: &Options) -> Result<Report> {
    let garmin = GarminSettings { backfill_days_per_minute: u32::MAX, ..GarminSettings::default() };
    let world = Config { seed: options.seed, garmin, ..Config::default() };
    let mut stack = Stack::in_world(world).await;
    let api = stack.another_api("api-debug", &["--allow-local-issuer", LOG[0], LOG[1]]).await;
    let mut workers = Vec::new();
    for _ in 0..2 {
        let mut options = everywhere::options(&stack.sim.base_url());
        options.extend(LOG.map(str::to_owned));
        workers.push(stack.worker_with(WorkerSetup { options, ..WorkerSetup::default() }).await);
    }
    let clients: Vec<Client> = (0..USERS).map(|user| client(&stack, &api, user)).collect();
    let mut busy = Busy::new(&stack, clients);
    busy.be(Duration::from_secs(options.seconds), options.seed).await?;
    let Busy { secrets, answers, done, .. } = busy;

    let mut report = Report::new("tokens");
    done.tell(&mut report);
    report.count("secrets looked for", secrets.len(), Bound::AtLeast(30.0));
    let search = Search::of(&secrets);
    let logs = [&api].into_iter().chain(&workers).chain([&stack.api]).map(Text::of_log);
    let mut texts: Vec<Text> = logs.collect();
    texts.push(Text { place: "answers".to_owned(), text: answers.join("\n") });
    texts.extend(places::tables(&stack.db).await?);
    let bytes: usize = texts.iter().map(|text| text.text.len()).sum();
    report.count("bytes searched", bytes, Bound::AtLeast(1_000_000.0));
    report.count("tables, logs and answers searched", texts.len(), Bound::AtLeast(10.0));
    let found = places::find(&search, &texts);
    report.count("secrets found", found.len(), Bound::AtMost(0.0));
    found.iter().take(TOLD).for_each(|line| report.remark(line.clone()));

    let planted = places::plant(&stack.db, &secrets, &mut texts).await?;
    let found = places::find(&search, &texts).len() - found.len();
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    report.count("secrets found that were planted", found, Bound::AtLeast(planted as f64));
    Ok(report)
}

/// A user of the API that says everything.
fn client(stack: &Stack, api: &Process, user: usize) -> Client {
    let token = stack.token(&format!("user-{user}"), None);
    Client::new(format!("http://{}", api.address()), Some(token))
}
