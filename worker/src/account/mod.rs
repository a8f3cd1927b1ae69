//! Jobs for an account itself: what a code buys, and good-byes. They have slots of their own and ask no lane.
//!
//! Codes are opened in `exchange`, go to the provider in `buying`, and are nowhere else.

mod buying;
mod deauthorize;
mod exchange;
mod first_sync;

use crate::{
    attempt,
    job::{App, part, unreadable},
    queue::Held,
};
use chrono::Utc;
use paceline_shared::{
    AuthorizationId, ConnectionId, JobId, Provider, UserId,
    db::sync_jobs::ClaimedAccount,
    failure::{Code, Failure},
    progress::Phase,
    sync_spec::{DeauthorizeOptions, ExchangeOptions, JobKind},
};
use serde_json::{Map, Value};
use uuid::Uuid;

/// What there is to do for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Buy tokens with this one's code.
    Exchange(AuthorizationId),
    /// Say good-bye.
    Deauthorize {
        /// For this link.
        connection: ConnectionId,
        /// And delete what was read through it.
        delete_records: bool,
    },
}

/// A claimed job of this kind that could be read.
#[derive(Clone, Debug)]
pub struct AccountJob {
    /// The job.
    pub id: JobId,
    /// For whom.
    pub user: UserId,
    /// Where.
    pub provider: Provider,
    /// What.
    pub errand: Errand,
    /// The request that asked for it.
    pub trace: Option<Uuid>,
}

impl AccountJob {
    /// Reads what was claimed.
    pub fn read(claimed: &ClaimedAccount) -> Result<Self, Failure> {
        let errand = match part("kind", &Value::from(claimed.kind.as_str()))? {
            JobKind::Exchange => {
                let options: ExchangeOptions = part("payload", &claimed.payload)?;
                Errand::Exchange(options.authorization)
            }
            JobKind::Deauthorize => {
                let options: DeauthorizeOptions = part("payload", &claimed.payload)?;
                let connection = claimed
                    .connection
                    .ok_or_else(|| unreadable("a good-bye names no connection".to_owned()))?;
                Errand::Deauthorize { connection, delete_records: options.delete_records }
            }
            kind @ (JobKind::Sync | JobKind::Noop) => {
                let kind = kind.as_str();
                return Err(unreadable(format!("a job of the kind {kind:?} is about no account")));
            }
        };
        Ok(Self {
            id: claimed.id,
            user: claimed.user,
            provider: claimed.provider,
            errand,
            trace: claimed.trace_id,
        })
    }
}

/// The handler.
pub(crate) async fn run(app: &App, job: &AccountJob, held: &Held) -> Result<(), attempt::Error> {
    match job.errand {
        Errand::Exchange(authorization) => exchange::run(app, job, authorization, held).await,
        Errand::Deauthorize { connection, delete_records } => {
            deauthorize::run(app, job, connection, delete_records, held).await
        }
    }
}

/// A failure of one of these: they have no phases.
fn failed(code: Code, message: String, context: Map<String, Value>) -> attempt::Error {
    let failure = Failure { code, message, phase: Phase::Fetch, context, at: Utc::now() };
    attempt::Error::Failed(Box::new(failure))
}

fn db(error: paceline_shared::db::Error) -> attempt::Error {
    attempt::Error::Db { error, phase: Phase::Fetch }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claimed(kind: &str, payload: Value, connection: Option<ConnectionId>) -> ClaimedAccount {
        ClaimedAccount {
            id: JobId::fresh(),
            epoch: 1,
            user: UserId(Uuid::now_v7()),
            connection,
            provider: Provider::Strava,
            kind: kind.to_owned(),
            payload,
            attempt: 1,
            max_retries: 5,
            trace_id: None,
        }
    }

    #[test]
    fn both_kinds_are_read_and_no_other() {
        let (authorization, connection) = (AuthorizationId::fresh(), ConnectionId::fresh());
        let exchange = claimed("exchange", json!({ "authorization": authorization }), None);
        assert_eq!(AccountJob::read(&exchange).unwrap().errand, Errand::Exchange(authorization));
        for (payload, delete_records) in
            [(json!({}), false), (json!({ "deleteRecords": true }), true)]
        {
            let goodbye = claimed("deauthorize", payload, Some(connection));
            assert_eq!(
                AccountJob::read(&goodbye).unwrap().errand,
                Errand::Deauthorize { connection, delete_records }
            );
        }
        for broken in [
            claimed("exchange", json!({}), None),
            claimed("deauthorize", json!({}), None),
            claimed("sync", json!({}), Some(connection)),
            claimed("another", json!({}), None),
        ] {
            assert_eq!(
                AccountJob::read(&broken).unwrap_err().code,
                Code::InvalidData,
                "{broken:?}"
            );
        }
    }
}
