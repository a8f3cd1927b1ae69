//! The caller as handlers see him: taken from the header `Authorization`, or a problem.

use super::{identity::identity, verifier::is_subject};
use crate::{
    app::App,
    problem::{Kind, Problem},
};
use axum::{extract::FromRequestParts, http::request::Parts};
use paceline_shared::{UserId, db};

/// Somebody with a valid token.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: UserId,
    subject: String,
    is_service: bool,
}

impl Caller {
    /// The user a request is about: the caller, or the one that a service names.
    pub(crate) async fn acting_for(
        &self,
        app: &App,
        user_id: Option<&str>,
    ) -> Result<UserId, Problem> {
        let Some(named) = user_id.filter(|named| *named != self.subject) else {
            return Ok(self.user);
        };
        if !self.is_service {
            return Err(Problem::new(Kind::AnotherUser));
        }
        let nobody = || Problem::invalid_field("userId", "names nobody who was ever seen here");
        if !is_subject(named) {
            return Err(nobody());
        }
        if let Some(user) = app.subjects.find(named) {
            return Ok(user);
        }
        let user = db::users::find_subject(&app.db, named).await?.ok_or_else(nobody)?;
        app.subjects.remember(named.to_owned(), user);
        Ok(user)
    }

    /// Who asks, where it is not `user` himself.
    pub(crate) fn on_behalf_of(&self, user: UserId) -> Option<String> {
        (self.user != user).then(|| self.subject.clone())
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let verified = identity(parts, app).await?;
        let is_service = verified.role.as_deref() == Some(app.service_role.as_str());
        let user = if let Some(user) = app.subjects.find(&verified.subject) {
            user
        } else {
            let user = db::users::of_subject(&app.db, &verified.subject).await?;
            app.subjects.remember(verified.subject.clone(), user);
            user
        };
        Ok(Self { user, subject: verified.subject, is_service })
    }
}
