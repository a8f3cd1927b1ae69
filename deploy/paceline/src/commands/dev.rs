//! `paceline dev`: everything on one machine, until it is asked to end.

use crate::{
    args::LogOptions,
    exit::Exit,
    local::{self, Choice, Local, Plan, Role},
    options::HomeOptions,
    screen::Screen,
    shutdown::{Again, Shutdown},
};
use anyhow::Context as _;
use clap::Args;
use secrecy::SecretString;
use std::{env, net::SocketAddr, path::Path};

/// Run everything on this machine: Postgres, the API, two workers and simulated providers
///
/// Stays up until Ctrl-C and keeps its data. A process that dies is started again: kill a worker with
/// `kill -9` while a sync runs, and see the other go on with it.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Simulated users, demo-1 and up, each with a connected account at every provider
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    users: u16,
    /// Activities of each of them at Strava, at least; what they have elsewhere is in proportion
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    activities: u32,
    /// Athletes, activities and weather follow from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the API listens
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "PACELINE_API_LISTEN",
        default_value = "127.0.0.1:8080"
    )]
    listen: SocketAddr,
    /// Where users who connected an account may go back to, as `returnTo`: your app; may be given several times
    #[arg(long = "return-url", value_name = "URL", default_value = "http://localhost:3000")]
    return_urls: Vec<String>,
    /// Use this Postgres instead of an embedded one
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<SecretString>,
    #[command(flatten)]
    home: HomeOptions,
}

pub(crate) async fn run(
    options: Options,
    log: &LogOptions,
    screen: &Screen,
) -> anyhow::Result<Exit> {
    let shutdown = Shutdown::on_signals(Again::Hurry)?;
    let plan = Plan {
        database: Choice::given_or(options.database_url.clone(), Choice::Kept),
        home: options.home.home()?,
        listen: options.listen,
        return_urls: options.return_urls.clone(),
        seed: options.seed,
        log: log.clone(),
        quiet: false,
    };
    let up = async |local: &Local<'_>| stay_up(local, &options, &shutdown, screen).await;
    local::run(plan, &shutdown, screen, up).await?;
    Ok(Exit::Done)
}

async fn stay_up(
    local: &Local<'_>,
    options: &Options,
    shutdown: &Shutdown,
    screen: &Screen,
) -> anyhow::Result<()> {
    let program = env::current_exe().context("this program does not know where it is")?;
    let program = word(&program);
    let home = if options.home.is_given() {
        format!(" --home {}", word(options.home.home()?.path()))
    } else {
        String::new()
    };
    let mut worlds = local.fleet.worlds();
    loop {
        worlds.borrow_and_update();
        for person in local.people("demo", options.users, options.activities).await? {
            for account in &person.accounts {
                person.connect(account).await?;
            }
        }
        welcome(local, options, &program, &home, screen);
        tokio::select! {
            biased;
            () = shutdown.asked.cancelled() => return Ok(()),
            // A new world knows nobody: not their activities, not their tokens.
            _ = worlds.changed() => {}
        }
    }
}

/// What there is, and commands that work when they are copied to another terminal.
fn welcome(local: &Local<'_>, options: &Options, program: &str, home: &str, screen: &Screen) {
    let api = local.api.as_str().trim_end_matches('/');
    let at =
        if options.listen.port() == 8080 { String::new() } else { format!(" --api-url {api}") };
    let ids = local.fleet.ids();
    let workers: Vec<String> = ids
        .iter()
        .filter(|(role, _)| matches!(role, Role::Worker(_)))
        .map(|(role, id)| format!("{role} is process {id}"))
        .collect();
    screen.line(&format!(
        "\n  API          {api}  (what it can do: {api}/openapi.json)\
         \n  providers    {}\
         \n  workers      {}\
         \n  users        demo-1 to demo-{}\
         \n  a token      {program} token --user demo-1{home}\
         \n  a sync       {program} sync start --user demo-1 --watch{at}{home}\
         \n  an account   curl -X POST -H \"Authorization: Bearer $({program} token --user you{home})\" \\\
         \n                 {api}/api/v1/connections/withings/authorize\
         \n               and open the url of the answer in a browser\
         \n  the end      Ctrl-C\n",
        local.simulator.base(),
        workers.join(", "),
        options.users,
    ));
}

/// A path as one word of a shell's command line.
fn word(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@,".contains(c);
    if path.chars().all(is_plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_odd_characters_is_still_one_word_to_a_shell() {
        assert_eq!(word(Path::new("/opt/paceline-1.0/paceline")), "/opt/paceline-1.0/paceline");
        assert_eq!(word(Path::new("/tmp/it's here")), r"'/tmp/it'\''s here'");
    }
}
