//! The weather that items want: found in `weather_hours`, or asked for and kept there.

use super::pages::Kept;
use crate::{job::App, weather::WeatherError};
use chrono::Utc;
use futures::{StreamExt as _, stream::FuturesUnordered};
use paceline_shared::{
    activity::{Position, Weather},
    db::{
        self,
        weather_hours::{self, CellDay, Day},
    },
};
use std::collections::{BTreeSet, HashMap};
use tokio_util::task::AbortOnDropHandle;

/// The starts of which the weather is wanted.
pub(super) type Wanted = Vec<(Position, chrono::DateTime<Utc>)>;

/// What items want: those that have a place and a time.
pub(super) fn wanted(kept: &[Kept<'_>]) -> Wanted {
    kept.iter().filter_map(|kept| kept.item.glance.start.zip(kept.item.glance.start_at)).collect()
}

/// Days by cell and date.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<CellDay, Day>);

impl Known {
    /// The weather as something began; `None` when it is not known.
    pub(super) fn at(
        &self,
        place: Position,
        start: chrono::DateTime<Utc>,
    ) -> Option<(Weather, &Day)> {
        let day = self.0.get(&CellDay::of(place, start))?;
        day.in_hour_of(start).map(|weather| (weather, day))
    }

    /// What the table has of it.
    pub(super) async fn load(db: &db::Db, wanted: &Wanted) -> Result<Self, db::Error> {
        let days: Vec<CellDay> = wanted
            .iter()
            .map(|(place, start)| CellDay::of(*place, *start))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        if days.is_empty() {
            return Ok(Self::default());
        }
        let days = weather_hours::load(db, &days).await?;
        Ok(Self(days.into_iter().map(|day| (day.at, day)).collect()))
    }

    /// The days that are missing, or that were asked for before the wanted hour had ended.
    fn missing(&self, wanted: &Wanted) -> Vec<CellDay> {
        let missing: BTreeSet<CellDay> = wanted
            .iter()
            .filter(|(place, start)| self.at(*place, *start).is_none() && *start < Utc::now())
            .map(|(place, start)| CellDay::of(*place, *start))
            .collect();
        missing.into_iter().collect()
    }
}

/// Why some weather is not there.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The service gave none; what was got before is kept.
    Service(WeatherError),
    /// Our own database.
    Db(db::Error),
}

/// Sees to it that the wanted weather is in the table, as far as it can be had; answers what is known.
pub(super) async fn settle(app: &App, wanted: &Wanted) -> Result<Known, Trouble> {
    let mut known = Known::load(&app.db, wanted).await.map_err(Trouble::Db)?;
    let calls = app.weather.plan(&known.missing(wanted), Utc::now());
    // The client itself keeps to what the service takes at a time.
    let mut answers =
        calls.iter().map(|call| app.weather.fetch(call)).collect::<FuturesUnordered<_>>();
    let mut trouble = None;
    // One that is refused ends none of the others: what they bring is kept, so that the next try has
    // less to ask for.
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(days) => {
                weather_hours::put(&app.db, &days).await.map_err(Trouble::Db)?;
                known.0.extend(days.into_iter().map(|day| (day.at, day)));
            }
            Err(error) => trouble = Some(error),
        }
    }
    trouble.map_or(Ok(known), |error| Err(Trouble::Service(error)))
}

/// Settles in the background. What fails here is done properly by enrich.
pub(super) fn warm(app: App, wanted: Wanted) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(trouble) = settle(&app, &wanted).await {
            tracing::debug!(?trouble, "weather not warmed");
        }
    }))
}
