//! `/api/v1/connections`: send a user to a provider, show what is connected, disconnect. What a user comes back
//! with is taken in `oauth.rs`; what needs the provider is a job.

use crate::{
    app::App,
    auth::Caller,
    connect::Handshake,
    extract::{ConnectionName, Json, ProviderName, Query},
    observe::request_id,
    openapi::problems,
    problem::{Kind, Problem},
    view::connection::ConnectionView,
};
use axum::{extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use paceline_shared::{
    AuthorizationId, ConnectionId, Provider,
    db::{
        self,
        authorizations::{self, NewAuthorization},
        connection_secrets::SecretError,
        connections,
        sync_jobs::{self, AccountJob, Goodbye},
    },
    notify,
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use std::time::Duration;

problems!(AuthorizeProblems: AnotherUser, UnsupportedMediaType, BodyTooLarge, BrokenBody, InvalidRequest, UnknownProvider,
    ProviderNotOffered);
problems!(ListProblems: AnotherUser, InvalidRequest);
problems!(ShowProblems: AnotherUser, InvalidRequest, UnknownConnection);

/// How long a user may take at a provider's.
const LINK_LIVES: Duration = Duration::from_mins(10);

/// Where to send the user in the end.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"returnTo": "https://app.example.org/settings"}))]
pub(crate) struct AuthorizeRequest {
    /// Where the user goes when it is over, with `provider` and `outcome` added to the query: an address from the
    /// server's list (`--return-url`), an app's own scheme among them. Absent: the user stays on a page of ours.
    #[schema(max_length = 2000)]
    return_to: Option<String>,
    /// Whose; only a service role may name somebody else.
    user_id: Option<String>,
}

/// Where to send the user now.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Authorization)]
pub(crate) struct AuthorizationView {
    /// Names this way to the provider and back.
    authorization_id: AuthorizationId,
    /// Open it in the user's browser, and nowhere else: whoever consents there connects the account to this user.
    url: String,
    /// Until then the user must be back.
    expires_at: DateTime<Utc>,
}

/// Begins to connect an account.
///
/// The answer has the address of the provider's consent page. Open it in the user's browser; from there he comes back to
/// this server, sees how it ended, and goes on to `returnTo`. What came of it is in `GET /api/v1/connections` as well. The
/// address is good for ten minutes and once, and for this user only. To repeat the call is harmless.
#[utoipa::path(post, path = "/api/v1/connections/{provider}/authorize", operation_id = "authorizeConnection", tag = "connections",
    security(("bearer" = [])),
    params(("provider" = Provider, Path, description = "Where")),
    request_body = Option<AuthorizeRequest>,
    responses((status = CREATED, description = "Where to send the user", body = AuthorizationView), AuthorizeProblems))]
pub(super) async fn authorize(
    State(app): State<App>,
    me: Caller,
    ProviderName(provider): ProviderName,
    ask: Option<Json<AuthorizeRequest>>,
) -> Result<(StatusCode, Json<AuthorizationView>), Problem> {
    let ask = ask.map(|Json(ask)| ask).unwrap_or_default();
    let user = me.acting_for(&app, ask.user_id.as_deref()).await?;
    let (page, keys) = app.connecting.page(provider).ok_or_else(|| not_offered(provider))?;
    let return_to = match &ask.return_to {
        None => None,
        Some(address) => Some(app.connecting.allowed_return(address).ok_or_else(|| {
            let message =
                "is not among the addresses that this server may send users back to (--return-url)";
            Problem::invalid_field("returnTo", message)
        })?),
    };

    let handshake = Handshake::new(page.pkce)?;
    let redirect_uri = app.connecting.redirect_uri(provider);
    let link = page
        .link(handshake.state.expose_secret(), handshake.challenge().as_deref(), &redirect_uri)
        .map_err(|error| {
            tracing::error!(%error, %provider, "the consent page has no usable address");
            Problem::new(Kind::Internal)
        })?;
    let new = NewAuthorization {
        user,
        provider,
        state: &handshake.state,
        verifier: handshake.verifier.as_ref(),
        redirect_uri: &redirect_uri,
        return_to: return_to.as_ref().map(url::Url::as_str),
        scopes: &page.scopes,
        code_lives: page.code_lives,
        lives: LINK_LIVES,
    };
    let id = authorizations::begin(&app.db, keys, &new).await.map_err(unsealed)?;
    let begun = authorizations::find(&app.db, id).await?.ok_or(Problem::new(Kind::Internal))?;
    tracing::info!(
        action = "authorize",
        by = %me.user,
        user.id = %user,
        %provider,
        authorization.id = %id,
        "a user is sent to the consent page"
    );
    let answer =
        AuthorizationView { authorization_id: id, url: link.into(), expires_at: begun.expires_at };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Which connections to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only this provider's.
    provider: Option<Provider>,
    /// Whether to list those as well that were disconnected; false by default.
    disconnected: Option<bool>,
    /// Whose; only a service role may name somebody else.
    user_id: Option<String>,
}

/// All of a user's connections.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConnectionList {
    /// The connections, newest first.
    items: Vec<ConnectionView>,
}

/// Lists connections, newest first.
#[utoipa::path(get, path = "/api/v1/connections", operation_id = "listConnections", tag = "connections", security(("bearer" = [])), params(ListQuery),
    responses((status = OK, description = "All of them", body = ConnectionList), ListProblems))]
pub(super) async fn list(
    State(app): State<App>,
    me: Caller,
    Query(ask): Query<ListQuery>,
) -> Result<Json<ConnectionList>, Problem> {
    let user = me.acting_for(&app, ask.user_id.as_deref()).await?;
    let disconnected = ask.disconnected.unwrap_or(false);
    let rows = connections::list(&app.db, user, ask.provider, disconnected).await?;
    Ok(Json(ConnectionList { items: rows.into_iter().map(Into::into).collect() }))
}

/// On whose behalf.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ForUser {
    /// Whose; only a service role may name somebody else.
    user_id: Option<String>,
}

/// Shows a connection, a disconnected one as well.
#[utoipa::path(get, path = "/api/v1/connections/{id}", operation_id = "showConnection", tag = "connections", security(("bearer" = [])),
    params(("id" = ConnectionId, Path, description = "The connection"), ForUser),
    responses((status = OK, description = "The connection", body = ConnectionView), ShowProblems))]
pub(super) async fn show(
    State(app): State<App>,
    me: Caller,
    ConnectionName(id): ConnectionName,
    Query(ask): Query<ForUser>,
) -> Result<Json<ConnectionView>, Problem> {
    let user = me.acting_for(&app, ask.user_id.as_deref()).await?;
    let row = connections::find(&app.db, user, id).await?;
    Ok(Json(row.ok_or(Problem::new(Kind::UnknownConnection))?.into()))
}

/// What becomes of what was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Records {
    /// It stays.
    #[default]
    Keep,
    /// It is deleted, soon after the answer.
    Delete,
}

/// How to disconnect.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DisconnectQuery {
    /// What becomes of what was read through it; it stays by default.
    #[param(inline)]
    records: Option<Records>,
    /// Whose; only a service role may name somebody else.
    user_id: Option<String>,
}

/// Disconnects an account.
///
/// From now on nothing goes through it, and its syncs are stopped; the provider is told soon after, and our tokens are
/// forgotten. To repeat the call is harmless.
#[utoipa::path(delete, path = "/api/v1/connections/{id}", operation_id = "deleteConnection", tag = "connections", security(("bearer" = [])),
    params(("id" = ConnectionId, Path, description = "The connection"), DisconnectQuery),
    responses((status = ACCEPTED, description = "Disconnected", body = ConnectionView), ShowProblems))]
pub(super) async fn delete(
    State(app): State<App>,
    me: Caller,
    ConnectionName(id): ConnectionName,
    Query(ask): Query<DisconnectQuery>,
) -> Result<(StatusCode, Json<ConnectionView>), Problem> {
    let user = me.acting_for(&app, ask.user_id.as_deref()).await?;
    let records = ask.records.unwrap_or_default();
    let mut tx = db::begin(&app.db).await?;
    let delete_records = records == Records::Delete;
    let goodbye =
        sync_jobs::enqueue_deauthorize(&mut tx, user, id, delete_records, request_id()).await?;
    let unknown = Problem::new(Kind::UnknownConnection);
    if goodbye == Goodbye::NotFound {
        return Err(unknown);
    }
    let row = connections::find(&mut *tx, user, id).await?.ok_or(unknown)?;
    tx.commit().await.map_err(db::Error::from)?;
    if let Goodbye::Queued(job) = &goodbye {
        wake(&app, row.provider, job);
        tracing::info!(
            action = "disconnect",
            by = %me.user,
            user.id = %user,
            provider = %row.provider,
            connection.id = %id,
            delete_records,
            "an account is disconnected"
        );
    }
    Ok((StatusCode::ACCEPTED, Json(row.into())))
}

/// After the commit: there is something to claim, and perhaps something to stop.
pub(super) fn wake(app: &App, provider: Provider, job: &AccountJob) {
    app.notifier.say(notify::JOBS, &provider);
    for stopping in &job.stopping {
        app.notifier.say(notify::CANCEL, stopping);
    }
}

/// A secret could not be stored.
pub(super) fn unsealed(error: SecretError) -> Problem {
    match error {
        SecretError::Db(error) => error.into(),
        SecretError::Sealing(error) => {
            tracing::error!(%error, "a secret of an authorization could not be sealed");
            Problem::new(Kind::Internal)
        }
    }
}

fn not_offered(provider: Provider) -> Problem {
    Problem::new(Kind::ProviderNotOffered).detail(format!(
        "This server has no application at {}, so accounts there cannot be connected.",
        provider.title()
    ))
}

#[cfg(test)]
mod tests;
