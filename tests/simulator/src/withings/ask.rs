//! What a request to a service asks, and for whom.
//!
//! Owns reading parameters: from a form, or from the query as the documentation shows them.

use std::str::FromStr;
use std::sync::{Arc, RwLock};

use axum::http::HeaderMap;
use chrono::NaiveDate;

use super::errors::Refusal;
use super::shelf::{Cut, Filter};
use super::user::User;
use crate::credentials;
use crate::http::Fields;
use crate::locks::locked;
use crate::world::World;

/// A request by a user's token.
pub(super) struct Ask {
    pub(super) fields: Fields,
    pub(super) user: Arc<RwLock<User>>,
    pub(super) cut: Cut,
    bearer: super::tokens::Bearer,
}

pub(super) fn fields(query: Option<&str>, body: &[u8]) -> Fields {
    let query = query.unwrap_or_default().as_bytes();
    Fields::parse(&[query, b"&", body].concat())
}

impl Ask {
    pub(super) fn read(
        world: &World,
        headers: &HeaderMap,
        query: Option<&str>,
        body: &[u8],
    ) -> Result<Self, Refusal> {
        let token = credentials::bearer(headers).ok_or(Refusal::NotAuthenticated)?;
        let bearer = locked(&world.withings.tokens).bearer(token, world.clock.now());
        let bearer = bearer.ok_or(Refusal::NotAuthenticated)?;
        let user = world.withings.user(bearer.user).ok_or(Refusal::NotAuthenticated)?;
        let cut = world.withings.cut(bearer.user);
        Ok(Self { fields: fields(query, body), user, cut, bearer })
    }

    pub(super) fn action(&self) -> &str {
        self.fields.one("action").unwrap_or_default()
    }

    pub(super) fn needs(&self, scope: &str) -> Result<(), Refusal> {
        if self.bearer.may(scope) { Ok(()) } else { Err(Refusal::MissingScope) }
    }

    /// A parameter, when it is there and not empty.
    pub(super) fn one<T: FromStr>(&self, name: &'static str) -> Result<Option<T>, Refusal> {
        let text = self.fields.one(name).filter(|text| !text.is_empty());
        text.map(|text| text.parse().ok().ok_or(Refusal::Invalid(name))).transpose()
    }

    /// A list with commas.
    pub(super) fn many<T: FromStr>(&self, name: &'static str) -> Result<Vec<T>, Refusal> {
        let text = self.fields.one(name).unwrap_or_default();
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(|part| part.parse().ok().ok_or(Refusal::Invalid(name))).collect()
    }

    pub(super) fn offset(&self) -> Result<usize, Refusal> {
        Ok(self.one("offset")?.unwrap_or(0))
    }

    /// Days from and until, or what changed since: one of the two, and never both.
    pub(super) fn days_or_change(&self) -> Result<Filter, Refusal> {
        let from: Option<NaiveDate> = self.one("startdateymd")?;
        let to: Option<NaiveDate> = self.one("enddateymd")?;
        let changed_after: Option<i64> = self.one("lastupdate")?;
        let days = match (from, to, changed_after) {
            (None, None, Some(_)) => None,
            (Some(from), Some(to), None) if from <= to => Some((from, to)),
            (_, _, Some(_)) => return Err(Refusal::Invalid("lastupdate")),
            (None, _, None) => return Err(Refusal::Invalid("startdateymd")),
            (Some(_), _, None) => return Err(Refusal::Invalid("enddateymd")),
        };
        Ok(Filter { days, changed_after, ..Filter::default() })
    }
}
