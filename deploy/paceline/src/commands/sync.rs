//! `paceline sync`: starts and watches syncs over the HTTP API.

use crate::{
    client::{self, Client, Credentials, NewSync, TimeRange},
    exit::Exit,
    follow::{Line, follow},
    options::HomeOptions,
    output::{self, Format},
    parse,
    screen::Screen,
    sync::SyncView,
};
use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, builder::NonEmptyStringValueParser};
use paceline_shared::{
    JobId, JobType, Provider,
    sync_spec::{MAX_BATCH_SIZE, MAX_RETRIES},
};
use secrecy::SecretString;
use std::time::Duration;
use url::Url;

/// For anything that is not said per request.
const LIMIT: Duration = Duration::from_mins(1);

/// Start and watch syncs over the HTTP API
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Start(Start),
    Watch(Watch),
    Status(Status),
}

/// Start a sync
#[derive(Args, Debug)]
pub(crate) struct Start {
    /// From where
    #[arg(long, default_value = "strava")]
    provider: Provider,
    /// What: all, activities, measurements, daily, health or workouts, as far as the provider has it [default: what is
    /// usual for the provider]
    #[arg(long, value_name = "TYPE")]
    job_type: Option<JobType>,
    /// Only what began at or after this time: 2025-03-31, 2025-03-31T07:30:00Z, or Unix seconds
    #[arg(long, value_name = "TIME", value_parser = parse::instant)]
    after: Option<DateTime<Utc>>,
    /// Only what began before this time
    #[arg(long, value_name = "TIME", value_parser = parse::instant)]
    before: Option<DateTime<Utc>>,
    /// Records per enrich and store batch
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_BATCH_SIZE)))]
    batch_size: Option<u16>,
    /// Failed attempts that are retried
    #[arg(long, value_name = "RETRIES", value_parser = clap::value_parser!(u16).range(0..=i64::from(MAX_RETRIES)))]
    max_retries: Option<u16>,
    /// Leave the weather out
    #[arg(long)]
    skip_weather: bool,
    /// Leave city, state and country out
    #[arg(long)]
    skip_places: bool,
    /// Only this sport type, in the provider's word; may be given several times
    #[arg(long = "activity-type", value_name = "TYPE")]
    activity_types: Vec<String>,
    /// Watch it until it ends
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    api: ApiOptions,
}

/// Watch a sync until it ends: exit code 0 when it completed, 3 when not
#[derive(Args, Debug)]
pub(crate) struct Watch {
    /// The sync
    id: JobId,
    #[command(flatten)]
    api: ApiOptions,
}

/// Show a sync
#[derive(Args, Debug)]
pub(crate) struct Status {
    /// The sync
    id: JobId,
    #[command(flatten)]
    api: ApiOptions,
}

/// Where the API is, on whose behalf, and how to print.
#[derive(Args, Debug)]
struct ApiOptions {
    /// How to print
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    output: Format,
    /// Where the API is
    #[arg(
        long,
        value_name = "URL",
        env = "PACELINE_API_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    api_url: Url,
    #[command(flatten)]
    caller: Caller,
    #[command(flatten)]
    home: HomeOptions,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct Caller {
    /// Bearer token
    #[arg(long, env = "PACELINE_TOKEN", hide_env_values = true)]
    token: Option<SecretString>,
    /// A user of the local issuer, as with `paceline token`; goes before a token
    #[arg(long, value_name = "SUBJECT", value_parser = NonEmptyStringValueParser::new())]
    user: Option<String>,
}

impl ApiOptions {
    fn client(&self) -> anyhow::Result<Client> {
        let credentials = match (&self.caller.token, &self.caller.user) {
            (_, Some(user)) => Credentials::Local {
                secret: self.home.home()?.issuer_secret()?,
                user: user.clone(),
                role: None,
            },
            (Some(token), None) => Credentials::Token(token.clone()),
            (None, None) => anyhow::bail!("neither --token nor --user is given"),
        };
        Ok(Client::new(client::loopback(LIMIT)?, self.api_url.clone(), credentials))
    }
}

pub(crate) async fn run(command: Command, screen: &Screen) -> anyhow::Result<Exit> {
    match command {
        Command::Start(options) => start(options, screen).await,
        Command::Watch(Watch { id, api }) => watch(&api.client()?, id, api.output, screen).await,
        Command::Status(Status { id, api }) => {
            print(&api.client()?.sync(id, None).await?, api.output)?;
            Ok(Exit::Done)
        }
    }
}

async fn start(options: Start, screen: &Screen) -> anyhow::Result<Exit> {
    let client = options.api.client()?;
    let asked = NewSync {
        provider: options.provider,
        job_type: options
            .job_type
            .or(options.provider.usual_job_type())
            .unwrap_or(JobType::Activities),
        time_range: TimeRange { after: options.after, before: options.before },
        options: client::Options {
            batch_size: options.batch_size,
            max_retries: options.max_retries,
            skip_weather_enrichment: options.skip_weather.then_some(true),
            include_geocoding: options.skip_places.then_some(false),
            activity_types: options.activity_types,
        },
    };
    let started = client.start(&asked).await.context("the sync was not started")?;
    if options.watch {
        return watch(&client, started.sync_id, options.api.output, screen).await;
    }
    print(&started, options.api.output)?;
    Ok(Exit::Done)
}

async fn watch(
    client: &Client,
    id: JobId,
    output: Format,
    screen: &Screen,
) -> anyhow::Result<Exit> {
    let each = |sync: &SyncView| if output == Format::Jsonl { output::json(sync) } else { Ok(()) };
    let ended = follow(client, id, &Line::new(id.to_string(), screen), each).await?;
    if output != Format::Jsonl {
        print(&ended, output)?;
    }
    Ok(if ended.has_completed() { Exit::Done } else { Exit::SyncsFailed })
}

fn print(sync: &SyncView, output: Format) -> anyhow::Result<()> {
    if output != Format::Table {
        return output::json(sync);
    }
    let phases = &sync.progress.phase_progress;
    let row = [
        sync.sync_id.to_string(),
        sync.provider.to_string(),
        format!("{} %", sync.progress.percent),
        phases.fetching.processed.to_string(),
        phases.enriching.processed.to_string(),
        phases.storing.processed.to_string(),
        sync.attempt.to_string(),
        sync.doing(),
    ];
    let header =
        ["sync", "provider", "progress", "fetched", "enriched", "stored", "attempt", "state"];
    output::text(&output::table(header, [row]))
}
