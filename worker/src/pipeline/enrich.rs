//! Enrich: sees to it that the weather of every staged item is in `weather_hours`, where it can be had.
//! Most is there by now. What cannot be had leaves its record `pending`, and the sync goes on.

use super::{
    Run,
    weather::{self, Known, Trouble, Wanted},
};
use crate::{attempt::Error, weather::WeatherError};
use paceline_shared::progress::{Checkpoint, Counts};

pub(super) async fn run(
    run: &mut Run<'_>,
    first_page: i32,
    mut next_item: i32,
) -> Result<(), Error> {
    if run.job.options.skip_weather_enrichment {
        let all = run.counts.to_process();
        let counts = Counts { enriched: all, enrich_skipped: all, ..run.counts };
        return to_store(run, counts).await;
    }
    let batch = usize::from(run.job.options.batch_size.max(1));
    let pages = run.pages();
    let mut before = pages.ids_before(first_page).await?;
    for page in first_page..=run.counts.pages {
        let opened = pages.open(page).await?;
        let (cut, ids) = pages.cut(&opened, &before)?;
        before = ids;
        let rest =
            cut.kept.into_iter().filter(|kept| kept.position >= next_item).collect::<Vec<_>>();
        for batch in rest.chunks(batch) {
            run.safe_point()?;
            let wanted = weather::wanted(batch);
            let known = settle(run, &wanted).await?;
            let found =
                wanted.iter().filter(|(place, start)| known.at(*place, *start).is_some()).count();
            let counts = Counts {
                enriched: run.counts.enriched + count(batch.len()),
                weather_enriched: run.counts.weather_enriched + count(found),
                enrich_failed: run.counts.enrich_failed + count(wanted.len() - found),
                enrich_skipped: run.counts.enrich_skipped + count(batch.len() - wanted.len()),
                ..run.counts
            };
            let to = batch.last().map_or(0, |kept| kept.position + 1);
            let tx = run.begin().await?;
            run.commit(tx, Checkpoint::Enrich { next_page: page, next_item: to }, counts).await?;
        }
        next_item = 0;
    }
    to_store(run, run.counts).await
}

async fn to_store(run: &mut Run<'_>, counts: Counts) -> Result<(), Error> {
    let tx = run.begin().await?;
    run.commit(tx, Checkpoint::Store { next_page: 1, next_item: 0 }, counts).await
}

/// The weather of a batch, as far as it can be had now.
async fn settle(run: &mut Run<'_>, wanted: &Wanted) -> Result<Known, Error> {
    if !run.weather_down {
        match weather::settle(run.app, wanted).await {
            Ok(known) => return Ok(known),
            Err(Trouble::Db(error)) => return Err(run.db(error)),
            Err(Trouble::Service(WeatherError::Wait { after })) => {
                let until = chrono::Utc::now() + after;
                let message =
                    format!("the weather service allows more at {} UTC", until.format("%H:%M"));
                return Err(Error::Wait { reason: "rate_limit", after, message });
            }
            Err(Trouble::Service(error)) => {
                tracing::warn!(%error, "no weather for the rest of this attempt; records stay pending");
                run.weather_down = true;
            }
        }
    }
    Known::load(&run.app.db, wanted).await.map_err(|error| run.db(error))
}

pub(super) fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
