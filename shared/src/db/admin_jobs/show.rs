//! What one job has inside, beside what a list shows of it.

use super::SearchError;
use crate::{ConnectionId, JobId};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// The rest of a job.
#[derive(Clone, Debug)]
pub struct Inside {
    /// How, as stored. Whoever shows it names what may be seen.
    pub payload: Value,
    /// The payload's shape.
    pub payload_version: i32,
    /// Where the next attempt goes on, as stored.
    pub checkpoint: Value,
    /// What was counted, as stored.
    pub counts: Value,
    /// Ranges asked for meanwhile, as `[{"after": …, "before": …}]` in Unix seconds.
    pub follow_up: Value,
    /// The request that asked for it.
    pub trace_id: Option<Uuid>,
    /// Who asked for it.
    pub requested_by: Option<String>,
    /// Through which link; `None`: it is there to make one.
    pub connection: Option<ConnectionId>,
    /// How the link stands; `None` when it is gone.
    pub connection_state: Option<String>,
    /// When the pages of a failed one were deleted: a retry begins anew.
    pub pages_pruned_at: Option<DateTime<Utc>>,
}

/// The rest of a job; `None` when there is none of this id.
pub async fn inside(tx: &mut PgConnection, id: JobId) -> Result<Option<Inside>, SearchError> {
    Ok(sqlx::query_as!(
        Inside,
        r#"with job as (
             select j.payload, j.payload_version, coalesce(r.checkpoint, '{"phase": "fetch", "next_page": 1}') as checkpoint,
                    coalesce(r.counts, '{}') as counts,
                    coalesce(j.follow_up + j.follow_up_new, j.follow_up, j.follow_up_new) as follow_up, j.trace_id, j.requested_by, j.connection_id,
                    null::timestamptz as pages_pruned_at
               from paceline.sync_jobs j left join paceline.sync_runs r on r.job_id = j.id where j.id = $1
             union all
             select payload, payload_version, checkpoint, counts,
                    coalesce(follow_up + follow_up_new, follow_up, follow_up_new), trace_id, requested_by, connection_id,
                    pages_pruned_at
               from paceline.sync_history where id = $1)
           select payload as "payload!", payload_version as "payload_version!", checkpoint as "checkpoint!",
                  counts as "counts!",
                  coalesce((select jsonb_agg(jsonb_build_object('after', extract(epoch from lower(f))::bigint,
                                                                'before', extract(epoch from upper(f))::bigint))
                              from unnest(follow_up) f), '[]') as "follow_up!",
                  trace_id, requested_by, connection_id as "connection: ConnectionId", c.state as "connection_state?",
                  pages_pruned_at
             from job left join paceline.connections c on c.id = job.connection_id
            limit 1"#,
        id.0
    )
    .fetch_optional(tx)
    .await?)
}
