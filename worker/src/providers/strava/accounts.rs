//! Strava accounts: consent page, codes, tokens, good-byes.

use super::{
    ALL, ATHLETE, DEAUTHORIZE, READ, SCOPES, Strava, StravaConfig, TOKEN, record, refusal,
};
use crate::{
    budget::Tier,
    providers::{
        Detail, Error,
        accounts::{Accounts, Code, ExchangeError, Exchanged, RefreshError},
        http::Failure,
    },
};
use futures::future::BoxFuture;
use paceline_shared::{Provider, db::connection_secrets::Tokens, oauth::AuthorizePage};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Strava does not say how long a code lives; ten minutes is what RFC 6749 advises at most.
const CODE_LIVES: Duration = Duration::from_mins(10);

impl StravaConfig {
    /// Where users are sent.
    #[must_use]
    pub fn authorize_page(&self) -> AuthorizePage {
        let scopes: Vec<String> = SCOPES.map(str::to_owned).into();
        AuthorizePage {
            provider: Provider::Strava,
            url: format!("{}/authorize", self.oauth_base.trim_end_matches('/')),
            client_id: self.client_id.clone(),
            required: scopes.clone(),
            scopes,
            separator: Some(','),
            pkce: false,
            extra: vec![("approval_prompt".to_owned(), "auto".to_owned())],
            code_lives: CODE_LIVES,
        }
    }
}

impl Strava {
    /// Buys the next pair. While the access token has more than an hour left, Strava answers with
    /// the same pair; when the refresh token changes, the old one is dead at once.
    pub async fn refresh(&self, refresh: &SecretString) -> Result<Tokens, RefreshError> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose_secret())];
        match self.token(&form, false).await {
            Ok(grant) => Ok(grant.tokens()),
            Err(Failure::Refused(refused)) if refusal::names(&refused, "RefreshToken") => {
                Err(RefreshError::Invalid(refusal::told(*refused)))
            }
            Err(failure) => Err(RefreshError::Failed(refusal::token_error(failure))),
        }
    }

    /// Buys the first pair. `accepted`: the `scope` that came back beside the code; commas between.
    pub async fn exchange(
        &self,
        code: &SecretString,
        accepted: &str,
    ) -> Result<Exchanged, ExchangeError> {
        let form = [("grant_type", "authorization_code"), ("code", code.expose_secret())];
        let grant = match self.token(&form, true).await {
            Ok(grant) => grant,
            Err(Failure::Refused(refused)) if refusal::names(&refused, "AuthorizationCode") => {
                return Err(ExchangeError::CodeInvalid(refusal::told(*refused)));
            }
            Err(failure) => return Err(ExchangeError::Failed(refusal::token_error(failure))),
        };
        let Some(account_id) = grant.athlete.as_ref().and_then(|athlete| record::id(&athlete.id))
        else {
            return Err(ExchangeError::Failed(Error::Temporary(Detail {
                message: "the token came without an athlete".to_owned(),
                endpoint: TOKEN.to_owned(),
                status: Some(200),
                tries: 1,
                unsent: false,
            })));
        };
        let scopes: Vec<String> = accepted
            .split([',', ' '])
            .filter(|scope| !scope.is_empty())
            .map(str::to_owned)
            .collect();
        let tokens = grant.tokens();
        // Without it an account is connected as well: units are for display, records are metric anyway.
        let profile = self.profile(&tokens.access).await.ok();
        Ok(Exchanged { account_id, scopes, profile, tokens })
    }

    /// The units that the athlete reads in.
    async fn profile(&self, access: &SecretString) -> Result<Value, Error> {
        let url = self.url(ATHLETE);
        let answer = self
            .http("read", &[ALL.1, READ.1], Tier::Urgent, true)
            .send(
                ATHLETE,
                |http| http.get(&url).bearer_auth(access.expose_secret()),
                |body| serde_json::from_slice::<Profile>(body).ok(),
            )
            .await
            .map_err(refusal::error)?;
        let units = match answer.data.measurement_preference.as_deref() {
            Some("feet") => "imperial",
            _ => "metric",
        };
        Ok(json!({ "units": units }))
    }

    async fn forget(&self, tokens: &Tokens) -> Result<(), Error> {
        let url = format!("{}/deauthorize", self.config.oauth_base.trim_end_matches('/'));
        let told = self
            .http("token", &[], Tier::Urgent, true)
            .send(
                DEAUTHORIZE,
                |http| http.post(&url).bearer_auth(tokens.access.expose_secret()),
                |_body| Some(()),
            )
            .await;
        match told.map_err(refusal::error) {
            // The athlete was quicker.
            Ok(_) | Err(Error::Unauthorized(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[derive(Deserialize)]
struct Profile {
    measurement_preference: Option<String>,
}

impl Accounts for Strava {
    fn authorize_page(&self) -> AuthorizePage {
        self.config.authorize_page()
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Exchanged, ExchangeError>> {
        Box::pin(self.exchange(&code.code, code.accepted.as_deref().unwrap_or_default()))
    }

    fn refresh<'a>(
        &'a self,
        refresh: &'a SecretString,
    ) -> BoxFuture<'a, Result<Tokens, RefreshError>> {
        Box::pin(self.refresh(refresh))
    }

    fn deauthorize<'a>(
        &'a self,
        tokens: &'a Tokens,
        _account: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.forget(tokens))
    }
}
