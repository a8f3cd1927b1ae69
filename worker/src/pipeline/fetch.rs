//! Fetch: the steps of the provider's plan, each answer into `staged_pages` with the checkpoint behind it. Weather is
//! warmed meanwhile.

use super::{
    Run,
    pages::{self, Ids, Opened, PLAN},
    weather,
};
use crate::{
    attempt::Error,
    places,
    providers::{self, Access, Answer, Ask},
    tokens,
};
use paceline_shared::{
    db::{
        self, connection_coverage, connections,
        staged_pages::{self, NewPage},
    },
    failure::Code,
    progress::{Checkpoint, Counts},
};
use serde_json::{Map, Value};
use tokio_util::task::AbortOnDropHandle;

/// Warming runs beside the next step's call, and no further behind than this.
const WARMING: usize = 4;

pub(super) async fn run(run: &mut Run<'_>, first: i32) -> Result<(), Error> {
    if run.job.options.include_geocoding {
        // Store wants the table, and the first one in a process builds it: beside the first step's call.
        tokio::task::spawn_blocking(places::load);
    }
    let facts = connections::facts(&run.app.db, run.job.connection).await;
    let facts = facts.map_err(|error| run.db(error))?.ok_or_else(|| gone(run))?;
    if first == 1 && run.pages().plan().await?.is_none() {
        plan(run, &facts).await?;
    }
    let mut next = run.pages().step_after(first - 1).await?;
    let mut before = run.pages().ids_before(first).await?;
    let mut warming: Vec<AbortOnDropHandle<()>> = Vec::new();
    let mut page = first;
    while let Some(step) = next.take() {
        run.safe_point()?;
        let answer = ask(run, &facts.account, &step, page).await?;
        let Some(staged) = stage(run, page, answer, &before).await? else { break };
        (before, next) = (staged.ids, staged.step);
        page += 1;
        if !run.job.options.skip_weather_enrichment && !staged.wanted.is_empty() {
            if warming.len() >= WARMING {
                // A warmer that panicked or failed left work to enrich, nothing else.
                let _ended = warming.remove(0).await;
            }
            warming.push(weather::warm(run.app.clone(), staged.wanted));
        }
    }
    for warmer in warming {
        let _ended = warmer.await;
    }
    let tx = run.begin().await?;
    run.commit(tx, Checkpoint::Enrich { next_page: 1, next_item: 0 }, run.counts).await
}

fn gone(run: &Run<'_>) -> Error {
    let message = "the account is not connected any more".to_owned();
    run.failed(Code::AuthenticationError, message, Map::new())
}

/// Fixes what this sync reads.
async fn plan(run: &mut Run<'_>, facts: &connections::Facts) -> Result<(), Error> {
    let coverage = connection_coverage::of(&run.app.db, run.job.connection).await;
    let coverage = coverage.map_err(|error| run.db(error))?;
    let plan = run.source.plan(&Ask {
        job_type: run.job.job_type,
        range: run.job.range,
        only_new: run.job.options.only_new,
        coverage: &coverage,
        scopes: &facts.scopes,
        profile: facts.profile.as_ref(),
        now: facts.now,
    });
    let context = serde_json::to_value(&plan).unwrap_or_default();
    let counts = Counts { pages_left: plan.steps, ..run.counts };
    let mut tx = run.begin().await?;
    let page = NewPage {
        page: PLAN,
        stream: "",
        items: 0,
        body: &[],
        context: Some(&context),
        ids: &[],
        next: plan.first.as_ref(),
    };
    db::answered(staged_pages::put(&mut tx, page)).await.map_err(|error| run.db(error))?;
    run.commit(tx, Checkpoint::START, counts).await
}

/// A step's answer. A refused token is refreshed once.
async fn ask(run: &Run<'_>, account: &str, step: &Value, page: i32) -> Result<Answer, Error> {
    let mut refused = None;
    loop {
        let (access, version) = access(run, account, refused, page).await?;
        match run.source.read(&access, step).await {
            Ok(answer) => return Ok(answer),
            Err(providers::Error::Unauthorized(_)) if refused.is_none() => {
                refused = Some(version);
            }
            Err(error) if run.noted(&error, version).await? => return Err(run.refused(error, page)),
            // The user has connected the account again meanwhile.
            Err(_) => refused = None,
        }
    }
}

/// What a call needs, and the version of its token. `refused`: that of one that was not accepted.
pub(super) async fn access(
    run: &Run<'_>,
    account: &str,
    refused: Option<i64>,
    page: i32,
) -> Result<(Access, i64), Error> {
    match tokens::access(run.app, run.job.provider, run.job.connection, refused).await {
        Ok(stored) => Ok((
            Access {
                token: stored.tokens.access,
                connection: run.job.connection,
                account: account.to_owned(),
                tier: run.job.tier,
            },
            stored.version,
        )),
        Err(error) => Err(run.no_token(error, page).await),
    }
}

/// What a committed page means for the next one.
struct Next {
    wanted: weather::Wanted,
    ids: Ids,
    step: Option<Value>,
}

/// Commits an answer. `None`: it held nothing and was the last.
async fn stage(
    run: &mut Run<'_>,
    page: i32,
    answer: Answer,
    before: &Ids,
) -> Result<Option<Next>, Error> {
    // The next step waits for this one's commit, so packing goes on beside reading.
    let body = answer.body.clone();
    let packing = tokio::task::spawn_blocking(move || pages::pack(&body));
    let opened = Opened {
        stream: answer.stream.to_owned(),
        body: answer.body.into(),
        context: answer.context,
        staged_at: chrono::Utc::now(),
    };
    let (cut, ids) = run.pages().cut(&opened, before)?;
    let items = cut.kept.len() + usize::try_from(cut.filtered + cut.duplicates).unwrap_or(0);
    if items == 0 && answer.next.is_none() && answer.mark.is_none() && answer.profile.is_none() {
        return Ok(None);
    }
    let items = i32::try_from(items).unwrap_or(i32::MAX);
    let wanted = weather::wanted(&cut.kept);
    let counts = Counts {
        pages: page,
        pages_left: answer.left,
        fetched: run.counts.fetched + items,
        filtered: run.counts.filtered + cut.filtered,
        duplicates: run.counts.duplicates + cut.duplicates,
        ..run.counts
    };
    let mut tx = run.begin().await?;
    let packed = packing.await.map_err(std::io::Error::from).flatten().map_err(|error| {
        run.failed(Code::UnknownError, format!("packing a page: {error}"), Map::new())
    })?;
    let new = NewPage {
        page,
        stream: &opened.stream,
        items,
        body: if items == 0 { &[] } else { &packed },
        context: opened.context.as_ref(),
        ids: &ids.records(),
        next: answer.next.as_ref(),
    };
    let written = async {
        staged_pages::put(&mut tx, new).await?;
        if let Some((stream, mark)) = &answer.mark {
            staged_pages::mark(&mut tx, stream, mark).await?;
        }
        if let Some(profile) = &answer.profile {
            connections::keep_profile(tx.connection(), run.job.connection, profile).await?;
        }
        Ok(())
    };
    db::answered(written).await.map_err(|error| run.db(error))?;
    run.commit(tx, Checkpoint::Fetch { next_page: page + 1 }, counts).await?;
    Ok(Some(Next { wanted, ids, step: answer.next }))
}
