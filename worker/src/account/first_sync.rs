//! The first sync of an account that was connected: queued together with the link, or as soon as the sync of the same
//! user that has its place has ended. So long the exchange is parked, which costs neither a slot nor an attempt.

use super::db;
use crate::{attempt, job::App};
use paceline_shared::{
    AuthorizationId, ConnectionId, Provider, UserId,
    db::{
        self as database, authorizations, connections,
        sync_jobs::{self, Enqueued, NewSync, WhenLive},
    },
    notify,
    sync_spec::{Class, SyncOptions},
};
use sqlx::{PgConnection, postgres::types::PgRange};
use std::{ops::Bound, time::Duration};

/// Between two looks whether the place is free.
const AGAIN: Duration = Duration::from_secs(10);

/// Queues it in the transaction that makes the link. A live sync of the same account that can bring it does.
pub(super) async fn enqueue(
    tx: &mut PgConnection,
    user: UserId,
    provider: Provider,
    connection: ConnectionId,
) -> Result<Option<Enqueued>, database::Error> {
    let Some(job_type) = provider.usual_job_type() else { return Ok(None) };
    let sync = NewSync {
        user,
        connection,
        provider,
        job_type,
        class: Class::Interactive,
        range: PgRange { start: Bound::Unbounded, end: Bound::Unbounded },
        options: SyncOptions { only_new: true, ..SyncOptions::default() },
        trace: None,
        requested_by: None,
    };
    sync_jobs::enqueue(tx, &sync, WhenLive::Merge).await.map(Some)
}

/// Tells the workers, after the commit.
pub(super) fn announce(app: &App, provider: Provider, first: Option<Enqueued>) {
    if let Some(Enqueued::New(job)) = first {
        app.notifier.say(notify::JOBS, &provider);
        app.notifier.say(notify::LIVE, &job);
    }
}

/// Queues it for a link that was made before, by this exchange: the place was taken then, or the worker that made the
/// link did not come to say so. In that case it is queued twice, and the second one finds nothing new.
pub(super) async fn enqueue_later(app: &App, id: AuthorizationId) -> Result<(), attempt::Error> {
    let way = authorizations::find(&app.db, id).await.map_err(db)?;
    let Some((way, connection)) = way.and_then(|way| way.connection.map(|link| (way, link))) else {
        return Ok(());
    };
    let mut tx = database::begin(&app.db).await.map_err(db)?;
    let link = connections::find(&mut *tx, way.user, connection).await.map_err(db)?;
    if link.is_none_or(|link| !link.state.is_usable()) {
        return Ok(());
    }
    let first = enqueue(&mut tx, way.user, way.provider, connection).await.map_err(db)?;
    tx.commit().await.map_err(|error| db(error.into()))?;
    announce(app, way.provider, first);
    if is_in_the_way(first) { Err(wait()) } else { Ok(()) }
}

/// Whether it has to wait for a sync of another account, of another type, or one that is being cancelled.
pub(super) const fn is_in_the_way(first: Option<Enqueued>) -> bool {
    matches!(first, Some(Enqueued::Live(_)))
}

/// Parks the exchange until the next look.
pub(super) fn wait() -> attempt::Error {
    let message = "The first sync begins when the one under way has ended.".to_owned();
    attempt::Error::Wait { reason: "sync_under_way", after: AGAIN, message }
}
