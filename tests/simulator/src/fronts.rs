//! The providers as the gate sees them: which of them a path belongs to, whom a request is for, whether
//! a quota lets it in, and how each says no.
//!
//! Owns the choice among providers, a line each; what they answer is theirs. Must not know the
//! request log.

use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};

use crate::fault_rule::Provider;
use crate::fitbit::{self, FitbitStanding};
use crate::garmin;
use crate::http::Fields;
use crate::open_meteo;
use crate::strava::{self, Standing};
use crate::withings;
use crate::world::World;

/// Whose path this is; `None` for the controls and for what does not exist.
pub(crate) fn provider_of(path: &str) -> Option<Provider> {
    [
        (strava::PREFIX, Provider::Strava),
        (open_meteo::PREFIX, Provider::OpenMeteo),
        (fitbit::PREFIX, Provider::Fitbit),
        (garmin::PREFIX, Provider::Garmin),
        (withings::PREFIX, Provider::Withings),
    ]
    .into_iter()
    .find_map(|(prefix, provider)| path.starts_with(prefix).then_some(provider))
}

/// Whether the body must be read to know whom a request is for.
pub(crate) fn speaks_in_body(provider: Provider, path: &str) -> bool {
    match provider {
        Provider::Strava => strava::speaks_in_body(path),
        Provider::Fitbit => fitbit::speaks_in_body(path),
        Provider::Garmin => garmin::speaks_in_body(path),
        Provider::Withings => true,
        Provider::OpenMeteo => false,
    }
}

/// A request as the log and the fault rules know it.
pub(crate) struct Described {
    pub(crate) path: String,
    pub(crate) query: String,
    /// The page of a list.
    pub(crate) page: Option<u32>,
}

pub(crate) fn described(provider: Provider, path: &str, query: &str, body: &[u8]) -> Described {
    let page = match provider {
        Provider::Withings => return withings::described(path, query, body),
        Provider::Strava => Fields::parse(query.as_bytes()).one("page").map(str::parse),
        _ => None,
    };
    let page = page.and_then(Result::ok);
    Described { path: path.to_owned(), query: query.to_owned(), page }
}

/// The user that a request is made for, when a token or code tells; `body` is empty unless
/// [`speaks_in_body`].
pub(crate) fn made_for(
    world: &World,
    provider: Provider,
    path: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<String> {
    match provider {
        Provider::Strava => strava::made_for(world, path, headers, body).map(|id| id.to_string()),
        Provider::Fitbit => fitbit::made_for(world, headers, body),
        Provider::Garmin => garmin::made_for(world, path, headers, body),
        Provider::Withings => {
            withings::made_for(world, path, headers, body).map(|id| id.to_string())
        }
        Provider::OpenMeteo => None,
    }
}

/// What a provider's quota says of a call.
#[derive(Clone, Debug)]
pub(crate) enum Admission {
    /// Nothing: it is not counted, or its answer does not tell.
    Silent,
    /// Strava's headers, and perhaps its refusal.
    Strava(Standing),
    /// Fitbit's headers.
    Fitbit(FitbitStanding),
    /// Garmin's, which is counted and never told.
    Garmin,
    /// Withings', which is counted and never told.
    Withings,
}

/// Counts a call. An `Err` is the refusal, ready to be sent.
pub(crate) fn admit(
    world: &World,
    provider: Provider,
    path: &str,
    query: &str,
    method: &Method,
    user: Option<&str>,
) -> Result<Admission, Box<Response>> {
    let now = world.clock.now();
    match provider {
        Provider::Strava => match world.strava.admit(path, *method == Method::GET, now) {
            None => Ok(Admission::Silent),
            Some(standing) if standing.refused => {
                let refusal = strava::Refusal::RateLimited.into_response();
                Err(Box::new(strava::told(refusal, Some(standing))))
            }
            Some(standing) => Ok(Admission::Strava(standing)),
        },
        Provider::Fitbit => {
            Ok(fitbit::admit(world, path, user)?.map_or(Admission::Silent, Admission::Fitbit))
        }
        Provider::Garmin if world.garmin.admit(path, now) => Ok(Admission::Garmin),
        Provider::Garmin => Err(Box::new(garmin::Refusal::RateLimited.into_response())),
        Provider::Withings => match world.withings.admit(path, query, user, now) {
            None => Ok(Admission::Withings),
            Some(refusal) => Err(Box::new(refusal.into_response())),
        },
        // Its quota weighs what is asked for, and is kept where that is read.
        Provider::OpenMeteo => Ok(Admission::Silent),
    }
}

impl Admission {
    /// The answer with the headers that tell of the quota.
    pub(crate) fn told(&self, response: Response) -> Response {
        match self {
            Self::Silent | Self::Garmin | Self::Withings => response,
            Self::Strava(standing) => strava::told(response, Some(*standing)),
            Self::Fitbit(standing) => standing.told(response),
        }
    }

    /// As if this call had been one too many, for a scripted refusal; `day`: for the rest of the day.
    pub(crate) fn exhausted(self, world: &World, day: bool) -> Self {
        match self {
            Self::Silent => Self::Silent,
            Self::Fitbit(standing) => {
                fitbit::note_scripted_refusal(world);
                Self::Fitbit(standing.exhausted())
            }
            Self::Garmin => {
                world.garmin.note_scripted_refusal();
                Self::Garmin
            }
            Self::Withings => {
                world.withings.note_scripted_refusal();
                Self::Withings
            }
            Self::Strava(standing) => {
                world.strava.note_scripted_refusal();
                Self::Strava(standing.exhausted(day))
            }
        }
    }
}

/// A provider's own body for a scripted error.
pub(crate) fn refusal(provider: Provider, status: u16) -> Response {
    match provider {
        Provider::Strava => strava::Refusal::with_status(status).into_response(),
        Provider::Fitbit => fitbit::Refusal::with_status(status).into_response(),
        Provider::Garmin => garmin::Refusal::with_status(status).into_response(),
        Provider::Withings => withings::Refusal::Scripted(status).into_response(),
        Provider::OpenMeteo => open_meteo::refusal(status, open_meteo::reason(status)),
    }
}
