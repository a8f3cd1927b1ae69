//! `/oauth/…`: where a user comes back from a provider's consent page, and the page that follows what becomes of it.
//! People see these in a browser, so they are pages and not problems.
//!
//! The callback's own address holds a code and the state, so nobody stays on it: it redirects to the status page, whose
//! address holds the authorization's id and nothing else. An id is no secret, so the page is shown only to the browser
//! that came back: the callback leaves it a cookie for this one page. In the address a key would lie in the history and
//! go along with every link and log; a cookie does neither, is out of the scripts' reach, and needs no session of ours.

use super::connections::{unsealed, wake};
use crate::{
    app::App,
    connect::{
        Handshake,
        page::{self, Page},
        stage::Stage,
    },
    extract::{AuthorizationName, Json, ProviderName},
    observe::request_id,
    problem::{self, Kind, Problem},
};
use axum::{
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use paceline_shared::{
    AuthorizationId, Provider,
    db::{
        self,
        authorizations::{self, Authorization, Outcome, Returned},
        sync_jobs, workers,
    },
};
use secrecy::SecretString;
use serde::Serialize;
use std::{fmt, time::Duration};
use url::Url;

/// So long a code may wait before its user is told that nobody is there.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest code and the longest list of scopes, in bytes.
const ANSWER_LIMIT: usize = 4_096;

/// What a provider sends along with a user.
#[derive(Default)]
struct Answer {
    state: Option<String>,
    code: Option<SecretString>,
    scope: Option<String>,
    error: Option<String>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("error", &self.error).finish_non_exhaustive()
    }
}

impl Answer {
    /// `None`: something stands twice or is too long. What else a provider sends is its own affair.
    fn read(query: &str) -> Option<Self> {
        let mut answer = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let value = || Some(value.into_owned()).filter(|value| value.len() <= ANSWER_LIMIT);
            let was_there = match &*name {
                "state" => answer.state.replace(value()?).is_some(),
                "code" => answer.code.replace(value()?.into()).is_some(),
                "scope" => answer.scope.replace(value()?).is_some(),
                "error" => answer.error.replace(value()?).is_some(),
                _ => false,
            };
            if was_there {
                return None;
            }
        }
        Some(answer)
    }
}

/// Takes a user who comes back from a provider's consent page.
///
/// Providers send browsers here; nobody else calls it. The state must be one of ours, fresh and unused.
#[utoipa::path(get, path = "/oauth/{provider}/callback", operation_id = "oauthCallback", tag = "connections",
    params(
        ("provider" = Provider, Path, description = "From where"),
        ("state" = String, Query, description = "As it was sent along"),
        ("code" = Option<String>, Query, description = "What buys the first tokens"),
        ("scope" = Option<String>, Query, description = "What was granted, where the provider says so"),
        ("error" = Option<String>, Query, description = "Why there is no code")),
    responses(
        (status = SEE_OTHER, description = "To the status page", headers(
            ("Location" = String, description = "The status page"),
            ("Set-Cookie" = String, description = "Opens the status page"))),
        (status = BAD_REQUEST, description = "A page that says why the answer does not count", body = String, content_type = "text/html"),
        (status = NOT_FOUND, description = "There is no such provider", body = String, content_type = "text/html"),
        (status = SERVICE_UNAVAILABLE, description = "A page that tries again", body = String, content_type = "text/html")))]
pub(super) async fn callback(
    State(app): State<App>,
    method: Method,
    provider: Result<ProviderName, Problem>,
    RawQuery(query): RawQuery,
) -> Response {
    let came_back = async {
        let ProviderName(provider) = provider.map_err(|_unknown| Page::not_found())?;
        if method == Method::HEAD {
            // Whoever only looks at an address must not use it up.
            return Ok(StatusCode::OK.into_response());
        }
        come_back(&app, provider, query.as_deref().unwrap_or_default()).await
    };
    came_back.await.unwrap_or_else(|page: Page| page.respond(&app.connecting))
}

async fn come_back(app: &App, provider: Provider, query: &str) -> Result<Response, Page> {
    let answer = Answer::read(query).ok_or_else(Page::broken)?;
    let state = answer.state.as_deref().and_then(Handshake::state_of).ok_or_else(Page::unknown)?;
    let found = authorizations::by_state(&app.db, &state).await.map_err(sorry)?;
    let way = found.filter(|way| way.provider == provider).ok_or_else(Page::unknown)?;
    if way.returned_at.is_some() || way.outcome.is_some() {
        return Err(Page::used());
    }
    if way.expired {
        return Err(too_late(app, &way).await?);
    }
    let outcome = match (answer.error.as_deref(), answer.code) {
        (Some("access_denied"), _) => refused(app, &way, Outcome::Denied, None).await?,
        (Some(error), _) => {
            let message = said(provider, error);
            refused(app, &way, Outcome::Failed, Some(&message)).await?
        }
        (None, Some(code)) => keep(app, &way, &code, answer.scope.as_deref()).await?,
        (None, None) => return Err(Page::broken()),
    };
    tracing::info!(
        action = "connect",
        user.id = %way.user,
        %provider,
        authorization.id = %way.id,
        outcome,
        "a user came back from the consent page"
    );
    to_status(app, &way)
}

/// Keeps the code and queues its exchange, both or neither.
async fn keep(
    app: &App,
    way: &Authorization,
    code: &SecretString,
    accepted: Option<&str>,
) -> Result<&'static str, Page> {
    let keys = app.connecting.keys().ok_or_else(Page::unknown)?;
    let mut tx = db::begin(&app.db).await.map_err(sorry)?;
    let returned = authorizations::returned(&mut tx, keys, way.id, code, accepted).await;
    match returned.map_err(|error| Page::from(unsealed(error)))? {
        Returned::Kept => {}
        Returned::Before => return Err(Page::used()),
        Returned::Late => {
            // It holds the row that is ended now.
            tx.rollback().await.map_err(|error| sorry(error.into()))?;
            return Err(too_late(app, way).await?);
        }
    }
    let job =
        sync_jobs::enqueue_exchange(&mut tx, way.user, way.provider, way.id, request_id()).await;
    let job = job.map_err(sorry)?;
    tx.commit().await.map_err(|error| sorry(error.into()))?;
    wake(app, way.provider, &job);
    Ok("returned")
}

/// Ends it without a code.
async fn refused(
    app: &App,
    way: &Authorization,
    outcome: Outcome,
    message: Option<&str>,
) -> Result<&'static str, Page> {
    let ended = authorizations::end(&app.db, way.id, outcome, message, None).await;
    if ended.map_err(sorry)? { Ok(Stage::from(outcome).as_str()) } else { Err(Page::used()) }
}

/// Ends it, and says so.
async fn too_late(app: &App, way: &Authorization) -> Result<Page, Page> {
    let outcome = Outcome::CodeExpired;
    authorizations::end(&app.db, way.id, outcome, None, None).await.map_err(sorry)?;
    Ok(Page::late().with_way_back(way_back(app, way, outcome.into()), false))
}

/// What a provider gave as its reason, if that is one of OAuth's words: anything else could be anybody's.
fn said(provider: Provider, error: &str) -> String {
    let is_word = (1..=40).contains(&error.len())
        && error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let reason = if is_word { format!(": {error}") } else { String::new() };
    format!("{} refused{reason}.", provider.title())
}

fn sorry(error: db::Error) -> Page {
    Problem::from(error).into()
}

/// The name of the cookie that opens one status page.
const COOKIE: &str = "paceline_view";
/// How long it does, in seconds.
const VIEW_LIVES_S: u32 = 1_800;

fn to_status(app: &App, way: &Authorization) -> Result<Response, Page> {
    let path = app.connecting.status_path(way.provider, way.id);
    let key =
        app.connecting.view_key(way.id).map_err(|error| Page::from(unsealed(error.into())))?;
    // Lax: the browser is on its way here from the provider's site, and Strict would leave it out.
    let secure = if app.connecting.is_secure() { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE}={key}; Path={path}; Max-Age={VIEW_LIVES_S}; HttpOnly; SameSite=Lax{secure}"
    );
    let header = |text: String| HeaderValue::try_from(text).map_err(|_invalid| Page::broken());
    let headers = [
        (header::LOCATION, header(path)?),
        (header::SET_COOKIE, header(cookie)?),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// Shows how far the connection is, to the browser that came back from the provider.
///
/// The page follows it until it is over, and then leads to where the app asked for.
#[utoipa::path(get, path = "/oauth/{provider}/status/{id}", operation_id = "showAuthorization", tag = "connections",
    params(("provider" = Provider, Path, description = "Where"), ("id" = AuthorizationId, Path, description = "The authorization"),
        ("paceline_view" = Option<String>, Cookie, description = "As the callback set it")),
    responses(
        (status = OK, description = "The page", body = String, content_type = "text/html"),
        (status = NOT_FOUND, description = "There is no such page for this browser", body = String, content_type = "text/html"),
        (status = SERVICE_UNAVAILABLE, description = "A page that tries again", body = String, content_type = "text/html")))]
pub(super) async fn status(
    State(app): State<App>,
    provider: Result<ProviderName, Problem>,
    id: Result<AuthorizationName, Problem>,
    headers: HeaderMap,
) -> Response {
    let shown = async {
        let nowhere = |_unknown| Page::not_found();
        let (ProviderName(provider), AuthorizationName(id)) =
            (provider.map_err(nowhere)?, id.map_err(nowhere)?);
        let (way, stage) = seen(&app, provider, id, &headers).await.map_err(|problem| {
            if problem.kind == Kind::UnknownAuthorization {
                Page::not_found()
            } else {
                problem.into()
            }
        })?;
        Ok(page_of(&app, &way, stage))
    };
    shown.await.unwrap_or_else(|page: Page| page).respond(&app.connecting)
}

fn page_of(app: &App, way: &Authorization, stage: Stage) -> Page {
    let mut page = Page::of(stage.words(way.provider));
    // The other ends say all in their own words.
    if let (Stage::Limited | Stage::Failed, Some(message)) = (stage, &way.message) {
        page = page.adding(message);
    }
    if stage.is_over() {
        return page.with_way_back(way_back(app, way, stage), stage.leads_back());
    }
    let watched = format!("{}/now", app.connecting.status_path(way.provider, way.id));
    page.watching(watched, stage.as_str())
}

/// Where the user goes in the end, and what the app is told there.
fn way_back(app: &App, way: &Authorization, stage: Stage) -> Option<Url> {
    // Looked up again: the list may be shorter by now.
    let mut back = app.connecting.allowed_return(way.return_to.as_deref()?)?;
    back.query_pairs_mut()
        .append_pair("provider", way.provider.as_str())
        .append_pair("outcome", stage.as_str());
    Some(back)
}

/// How far it is.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ConnectStatus)]
pub(crate) struct StageView {
    /// How far it is.
    stage: Stage,
}

/// Tells the status page's script how far the connection is.
#[utoipa::path(get, path = "/oauth/{provider}/status/{id}/now", operation_id = "watchAuthorization", tag = "connections",
    params(("provider" = Provider, Path, description = "Where"), ("id" = AuthorizationId, Path, description = "The authorization"),
        ("paceline_view" = Option<String>, Cookie, description = "As the callback set it")),
    responses((status = OK, description = "How far it is", body = StageView), 
        (status = NOT_FOUND, description = "Nothing that this browser may see", body = problem::Body<'static>, content_type = "application/problem+json"),
        (status = SERVICE_UNAVAILABLE, description = "Not now; ask again", body = problem::Body<'static>, content_type = "application/problem+json")))]
pub(super) async fn now(
    State(app): State<App>,
    ProviderName(provider): ProviderName,
    AuthorizationName(id): AuthorizationName,
    headers: HeaderMap,
) -> Result<Json<StageView>, Problem> {
    let (_, stage) = seen(&app, provider, id, &headers).await?;
    Ok(Json(StageView { stage }))
}

/// What the browser with these headers may see.
async fn seen(
    app: &App,
    provider: Provider,
    id: AuthorizationId,
    headers: &HeaderMap,
) -> Result<(Authorization, Stage), Problem> {
    let unknown = || Problem::new(Kind::UnknownAuthorization);
    if !cookies(headers).any(|key| app.connecting.opens_view(id, key)) {
        return Err(unknown());
    }
    let found = authorizations::find(&app.db, id).await?;
    let way = found.filter(|way| way.provider == provider).ok_or_else(unknown)?;
    let stage = match (way.outcome, way.returned_at) {
        (Some(outcome), _) => outcome.into(),
        (None, Some(since))
            if workers::is_nobody_there(&app.db, provider, since, PATIENCE).await? =>
        {
            Stage::NobodyThere
        }
        (None, _) => Stage::Working,
    };
    Ok((way, stage))
}

/// The values of our cookie.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

/// The pages' style.
#[utoipa::path(get, path = "/oauth/page.css", operation_id = "pageStyle", tag = "connections",
    responses((status = OK, description = "The style", body = String, content_type = "text/css")))]
pub(super) async fn style() -> Response {
    asset("text/css; charset=utf-8", page::STYLE)
}

/// The status page's script.
#[utoipa::path(get, path = "/oauth/page.js", operation_id = "pageScript", tag = "connections",
    responses((status = OK, description = "The script", body = String, content_type = "text/javascript")))]
pub(super) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", page::SCRIPT)
}

fn asset(media_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "public, max-age=3600"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests;
