//! Which jobs, as staff write it: the same in a query and in the body of a bulk operation.

use crate::{app::App, extract::Span, problem::Problem};
use chrono::{DateTime, TimeDelta, Utc};
use paceline_shared::{
    Provider, UserId,
    db::{admin_jobs::Filter, users},
    failure::Code,
    job_state::JobState,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The shortest text that is looked for, in characters.
const TEXT_FROM: usize = 3;
/// The longest, in bytes.
const TEXT_LIMIT: usize = 200;

/// Which jobs; what is left out is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"state": "failed", "provider": "strava", "newerThan": "2h"}))]
pub(crate) struct JobFilter {
    /// Where in its life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<JobState>,
    /// From where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<Provider>,
    /// Whose: the subject of his tokens, or our own id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// Whose failure has this code: failed jobs, and live ones that failed before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_type: Option<Code>,
    /// Whose failure is of this kind; as `errorType`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub(crate) fingerprint: Option<String>,
    /// Accepted longer ago than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "15m")]
    pub(crate) older_than: Option<Span>,
    /// Accepted more recently than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "7d")]
    pub(crate) newer_than: Option<Span>,
    /// In the message of a failure or the user's subject, or at the beginning of the id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 3, max_length = 200)]
    pub(crate) text: Option<String>,
}

impl JobFilter {
    /// Whether it lets everything through.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What the tables are asked. `prefix` stands before the names of fields at fault.
    pub(crate) async fn resolved(self, app: &App, prefix: &str) -> Result<Filter, Problem> {
        let fault = |field: &str, message: &str| {
            Err(Problem::invalid_field(&format!("{prefix}{field}"), message.to_owned()))
        };
        let ago = |span: Option<Span>, now: DateTime<Utc>| {
            span.and_then(|span| now.checked_sub_signed(TimeDelta::from_std(span.length()).ok()?))
        };
        if let (Some(older), Some(newer)) = (&self.older_than, &self.newer_than)
            && older.length() >= newer.length()
        {
            return fault("olderThan", "must be a shorter span than newerThan");
        }
        let text = self.text.map(|text| text.trim().to_owned());
        if let Some(text) = &text
            && (text.chars().count() < TEXT_FROM
                || text.len() > TEXT_LIMIT
                || text.contains(char::is_control))
        {
            return fault("text", "must be 3 characters to 200 bytes without control characters");
        }
        if self.fingerprint.as_ref().is_some_and(|f| f.len() > 64 || f.contains(char::is_control)) {
            return fault("fingerprint", "is none");
        }
        let user = match &self.user {
            None => None,
            Some(named) => match find_user(app, named).await? {
                None => return fault("user", "names nobody who was ever seen here"),
                found => found,
            },
        };
        let now = Utc::now();
        Ok(Filter {
            state: self.state,
            provider: self.provider,
            user,
            code: self.error_type.map(name_of),
            fingerprint: self.fingerprint,
            since: ago(self.newer_than, now),
            before: ago(self.older_than, now),
            text,
        })
    }
}

fn name_of(code: Code) -> String {
    // A unit variant: it is written as its name.
    serde_json::to_value(code).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// By subject first: a subject may look like an id of ours.
async fn find_user(app: &App, named: &str) -> Result<Option<UserId>, Problem> {
    if named.is_empty() || named.len() > 255 || named.contains(char::is_control) {
        return Ok(None);
    }
    if let Some(user) = users::find_subject(&app.db, named).await? {
        return Ok(Some(user));
    }
    let Ok(id) = named.parse::<Uuid>().map(UserId) else { return Ok(None) };
    Ok(users::subject_of(&app.db, id).await?.map(|_| id))
}
