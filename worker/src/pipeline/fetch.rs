//! Fetch: page after page into `staged_pages`, each with the checkpoint behind it. Ends on an empty page
//! and on nothing else. Weather is warmed meanwhile.

use super::{
    Run,
    pages::{self, Ids},
    weather,
};
use crate::{attempt::Error, places, providers, tokens};
use paceline_shared::{
    db::{self, connections, staged_pages},
    failure::Code,
    progress::{Checkpoint, Counts},
};
use serde_json::Map;
use tokio_util::task::AbortOnDropHandle;

/// Warming runs beside the next page's call, and no further behind than this.
const WARMING: usize = 4;

pub(super) async fn run(run: &mut Run<'_>, first: i32) -> Result<(), Error> {
    if run.job.options.include_geocoding {
        // Store wants the table, and the first one in a process builds it: beside the first page's call.
        tokio::task::spawn_blocking(places::load);
    }
    let mut before = run.pages().ids_before(first).await?;
    let mut warming: Vec<AbortOnDropHandle<()>> = Vec::new();
    for page in first.. {
        run.safe_point()?;
        let answer = ask(run, page).await?;
        if answer.items == 0 {
            let tx = run.begin().await?;
            run.commit(tx, Checkpoint::Enrich { next_page: 1, next_item: 0 }, run.counts).await?;
            break;
        }
        let (wanted, ids) = stage(run, page, &answer, &before).await?;
        before = ids;
        if !run.job.options.skip_weather_enrichment {
            if warming.len() >= WARMING {
                // A warmer that panicked or failed left work to enrich, nothing else.
                let _ended = warming.remove(0).await;
            }
            warming.push(weather::warm(run.app.clone(), wanted));
        }
    }
    for warmer in warming {
        let _ended = warmer.await;
    }
    Ok(())
}

/// A page of the provider's. A refused token is refreshed once.
async fn ask(run: &Run<'_>, page: i32) -> Result<providers::Page, Error> {
    let mut refused = None;
    loop {
        let token = match tokens::access(run.app, run.job.connection, refused).await {
            Ok(token) => token,
            Err(error) => return Err(run.no_token(error, page).await),
        };
        match run.app.strava.page(&token.tokens.access, &run.job.range, page, run.job.tier).await {
            Ok(answer) => return Ok(answer),
            Err(providers::Error::Unauthorized(_)) if refused.is_none() => {
                refused = Some(token.version);
            }
            Err(error @ providers::Error::Unauthorized(_)) => {
                let noted =
                    connections::needs_reauth(&run.app.db, run.job.connection, token.version).await;
                if noted.map_err(|error| run.db(error))? {
                    return Err(run.refused(error, page).await);
                }
                // The user has connected the account again meanwhile.
                refused = None;
            }
            Err(error) => return Err(run.refused(error, page).await),
        }
    }
}

/// Commits a page and answers what weather it will want.
async fn stage(
    run: &mut Run<'_>,
    page: i32,
    answer: &providers::Page,
    before: &Ids,
) -> Result<(weather::Wanted, Ids), Error> {
    // The next page waits for this one's commit, so packing goes on beside reading.
    let body = answer.body.clone();
    let packing = tokio::task::spawn_blocking(move || pages::pack(&body));
    let (cut, ids) = pages::cut(run.pages().items(&answer.body)?, &run.job.options, before);
    let wanted = weather::wanted(&cut.kept);
    let counts = Counts {
        pages: page,
        fetched: run.counts.fetched + answer.items,
        filtered: run.counts.filtered + cut.filtered,
        duplicates: run.counts.duplicates + cut.duplicates,
        ..run.counts
    };
    let mut tx = run.begin().await?;
    let packed = packing.await.map_err(std::io::Error::from).flatten().map_err(|error| {
        run.failed(Code::UnknownError, format!("packing a page: {error}"), Map::new())
    })?;
    db::answered(staged_pages::put(&mut tx, page, answer.items, &packed))
        .await
        .map_err(|error| run.db(error))?;
    run.commit(tx, Checkpoint::Fetch { next_page: page + 1 }, counts).await?;
    Ok((wanted, ids))
}
