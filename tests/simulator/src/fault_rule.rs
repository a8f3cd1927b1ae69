//! What can go wrong with a request, and the rules that say when.
//!
//! Owns the kinds and conditions, as the control API reads them. Must not know which rules are
//! in force.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::dice::Dice;
use crate::error::Error;

/// Whom a request asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// Strava: OAuth and API.
    Strava,
    /// Fitbit: OAuth and Web API.
    Fitbit,
    /// Open-Meteo: the three weather hosts.
    OpenMeteo,
    /// Garmin: OAuth and the wellness API.
    Garmin,
    /// Withings: OAuth and the data services.
    Withings,
}

/// What Withings says, inside a 200, when it took too long: of its statuses the one that surely passes.
const WITHINGS_TIMEOUT: u16 = 522;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// The provider's own error body, or a page of HTML, with this status. The request is not
    /// carried out. A Strava 429 shows its quarter-hour read quota as used up. Withings says its
    /// statuses inside a 200; only 429 is an HTTP status there too.
    Status {
        /// 400 to 599; for a rule with Withings as its provider, any of its statuses up to 10,000.
        code: u16,
        /// A proxy's page instead of the provider's JSON.
        #[serde(default)]
        html: bool,
        /// For a Strava 429: the day's quota is used up too.
        #[serde(default)]
        day: bool,
    },
    /// 200 with a page of HTML. The request is not carried out.
    Html,
    /// The request is carried out; half of its body is sent as if it were all.
    Truncate,
    /// The request is carried out; the connection closes in the middle of its body.
    Close,
    /// Nothing is answered for this long; then the connection is reset. Not carried out.
    Stall {
        /// Seconds.
        seconds: f64,
    },
    /// The connection is reset at once. The request is not carried out.
    Reset,
    /// The request is carried out, and the connection reset before a byte of the answer.
    LoseAnswer,
    /// One of these, drawn for each request; at least one.
    AnyOf(Vec<Fault>),
}

/// A fault and the requests it befalls: those that match every field that is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Only requests to this provider.
    #[serde(default)]
    pub provider: Option<Provider>,
    /// Only paths that begin so, as in `/strava/api/v3/athlete/activities`.
    #[serde(default)]
    pub path: Option<String>,
    /// Only requests made for this athlete.
    #[serde(default)]
    pub athlete: Option<u64>,
    /// Only requests made for this user, by the provider's id.
    #[serde(default)]
    pub user: Option<String>,
    /// Only requests for this page of a list.
    #[serde(default)]
    pub page: Option<u32>,
    /// From the n-th matching request on, counted from 1 since the rule was made.
    #[serde(default)]
    pub nth: Option<u64>,
    /// Each matching request with this probability; 1 when not set.
    #[serde(default)]
    pub probability: Option<f64>,
    /// At most so many times; once when `nth` is set, else without end.
    #[serde(default)]
    pub count: Option<u64>,
    /// What goes wrong.
    pub fault: Fault,
}

impl FaultRule {
    /// Befalls every request until narrowed down.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self {
            provider: None,
            path: None,
            athlete: None,
            user: None,
            page: None,
            nth: None,
            probability: None,
            count: None,
            fault,
        }
    }

    /// Rules under which each answer of every provider fails with `probability`, in every way that
    /// a repeated request gets over. Token requests never fail after they were carried out: what
    /// they change cannot be asked for twice.
    #[must_use]
    pub fn flaky(probability: f64) -> Vec<Self> {
        let before = |code| {
            vec![
                Fault::Status { code, html: false, day: false },
                Fault::Status { code: 503, html: true, day: false },
                Fault::Reset,
                Fault::Stall { seconds: 0.4 },
            ]
        };
        let anywhere = |code| {
            let mut kinds = before(code);
            kinds.extend([Fault::Truncate, Fault::Close]);
            kinds
        };
        let rule = |path: &str, kinds| Self {
            path: Some(path.to_owned()),
            probability: Some(probability),
            ..Self::new(Fault::AnyOf(kinds))
        };
        vec![
            rule("/strava/oauth", before(500)),
            rule("/strava/api", anywhere(500)),
            rule("/fitbit/oauth2", before(500)),
            rule("/fitbit/1", anywhere(500)),
            rule("/open-meteo", anywhere(500)),
            rule("/garmin/di-oauth2-service", before(500)),
            rule("/garmin/wellness-api", anywhere(500)),
            rule("/withings/v2/oauth2", before(WITHINGS_TIMEOUT)),
            rule("/withings/measure", anywhere(WITHINGS_TIMEOUT)),
            rule("/withings/v2/measure", anywhere(WITHINGS_TIMEOUT)),
            rule("/withings/v2/sleep", anywhere(WITHINGS_TIMEOUT)),
            rule("/withings/v2/user", anywhere(WITHINGS_TIMEOUT)),
        ]
    }

    /// Fails with [`Error::Fault`] on what cannot be meant.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.probability.is_some_and(|chance| !(0.0..=1.0).contains(&chance)) {
            return Err(Error::Fault("a probability from 0 to 1"));
        }
        if self.nth == Some(0) || self.count == Some(0) {
            return Err(Error::Fault("nth and count from 1"));
        }
        let inside_200 = self.provider == Some(Provider::Withings);
        self.fault.check(if inside_200 { 100..=10_000 } else { 400..=599 })
    }

    pub(crate) fn matches(&self, request: &Facts<'_>) -> bool {
        self.provider.is_none_or(|provider| provider == request.provider)
            && self.path.as_deref().is_none_or(|path| request.path.starts_with(path))
            && self.athlete.is_none_or(|athlete| request.athlete == Some(athlete))
            && self.user.as_deref().is_none_or(|user| request.user == Some(user))
            && self.page.is_none_or(|page| request.page == Some(page))
    }
}

impl Fault {
    /// One kind: what `AnyOf` stands for is drawn.
    pub(crate) fn settle(&self, dice: &mut Dice) -> Self {
        match self {
            Self::AnyOf(kinds) => {
                let kinds: Vec<&Self> = kinds.iter().collect();
                dice.pick(&kinds).settle(dice)
            }
            one => one.clone(),
        }
    }

    /// How the request log calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Status { html: false, .. } => "status",
            Self::Status { html: true, .. } => "status_html",
            Self::Html => "html",
            Self::Truncate => "truncate",
            Self::Close => "close",
            Self::Stall { .. } => "stall",
            Self::Reset => "reset",
            Self::LoseAnswer => "lose_answer",
            Self::AnyOf(_) => "any_of",
        }
    }

    fn check(&self, statuses: RangeInclusive<u16>) -> Result<(), Error> {
        match self {
            Self::Status { code, .. } if !statuses.contains(code) => {
                Err(Error::Fault("a status that the provider has, as from 400 to 599"))
            }
            Self::Stall { seconds } if Duration::try_from_secs_f64(*seconds).is_err() => {
                Err(Error::Fault("a span to stall for"))
            }
            Self::AnyOf(kinds) if kinds.is_empty() => Err(Error::Fault("kinds to choose from")),
            Self::AnyOf(kinds) => kinds.iter().try_for_each(|kind| kind.check(statuses.clone())),
            _ => Ok(()),
        }
    }
}

/// What rules look at in a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) provider: Provider,
    pub(crate) path: &'a str,
    pub(crate) athlete: Option<u64>,
    pub(crate) user: Option<&'a str>,
    pub(crate) page: Option<u32>,
}
