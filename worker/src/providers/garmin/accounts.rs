//! Garmin accounts: consent page, codes, tokens, good-byes.

use super::{ACTIVITY_EXPORT, ALL, Garmin, GarminConfig, HEALTH_EXPORT, SCOPES, refusal};
use crate::{
    budget::Tier,
    providers::{
        Detail, Error,
        accounts::{Accounts, Code, ExchangeError, Exchanged, RefreshError},
        http::Failure,
    },
};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use paceline_shared::{Provider, db::connection_secrets::Tokens, oauth::AuthorizePage};
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use std::time::Duration;

/// Garmin does not say how long a code lives; ten minutes is what RFC 6749 advises at most.
const CODE_LIVES: Duration = Duration::from_mins(10);

const TOKEN: &str = "di-oauth2-service/oauth/token";
const USER: &str = "user/id";
const PERMISSIONS: &str = "user/permissions";
const REGISTRATION: &str = "user/registration";

impl GarminConfig {
    /// Where users are sent. The page itself asks for the permissions: the link names none.
    #[must_use]
    pub fn authorize_page(&self) -> AuthorizePage {
        AuthorizePage {
            provider: Provider::Garmin,
            url: format!("{}/oauth2Confirm", self.connect_base.trim_end_matches('/')),
            client_id: self.client_id.clone(),
            scopes: SCOPES.map(str::to_owned).into(),
            required: [ACTIVITY_EXPORT, HEALTH_EXPORT].map(str::to_owned).into(),
            separator: None,
            pkce: true,
            extra: Vec::new(),
            code_lives: CODE_LIVES,
        }
    }
}

/// An answer of the token endpoint.
#[derive(Deserialize)]
struct Grant {
    access_token: String,
    refresh_token: String,
    expires_in: u32,
}

impl Grant {
    /// Its time runs from when it was asked for, which is before it was given.
    fn tokens(self, asked_at: DateTime<Utc>) -> Tokens {
        Tokens {
            access: self.access_token.into(),
            refresh: self.refresh_token.into(),
            expires_at: asked_at + TimeDelta::seconds(self.expires_in.into()),
        }
    }
}

#[derive(Deserialize)]
struct User {
    #[serde(rename = "userId")]
    id: String,
}

/// A bare list, or one in an object as in the message about a change.
#[derive(Deserialize)]
#[serde(untagged)]
enum Permissions {
    Bare(Vec<String>),
    Named { permissions: Vec<String> },
}

impl Garmin {
    async fn token(&self, form: &[(&str, &str)], past_breaker: bool) -> Result<Tokens, Failure> {
        let url = format!("{}/{TOKEN}", self.config.auth_base.trim_end_matches('/'));
        let application = [
            ("client_id", self.config.client_id.as_str()),
            ("client_secret", self.config.client_secret.expose_secret()),
        ];
        let form = [&application, form].concat();
        let asked_at = Utc::now();
        // A code is good once, and so is a refresh token.
        let answer = self
            .http("token", &[], Tier::Urgent, past_breaker)
            .send_once(
                TOKEN,
                |http| http.post(&url).form(&form),
                |body| serde_json::from_slice::<Grant>(body).ok(),
            )
            .await?;
        Ok(answer.data.tokens(asked_at))
    }

    async fn next_pair(&self, refresh: &SecretString) -> Result<Tokens, RefreshError> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose_secret())];
        match self.token(&form, false).await {
            Ok(tokens) => Ok(tokens),
            Err(Failure::Refused(refused)) if refusal::is_invalid_grant(&refused) => {
                Err(RefreshError::Invalid(refusal::told(*refused)))
            }
            Err(failure) => Err(RefreshError::Failed(refusal::token_error(failure))),
        }
    }

    async fn first_pair(&self, code: &Code) -> Result<Exchanged, ExchangeError> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code.code.expose_secret()),
            ("redirect_uri", code.redirect_uri.as_str()),
        ];
        form.extend(code.verifier.iter().map(|v| ("code_verifier", v.expose_secret())));
        let tokens = match self.token(&form, true).await {
            Ok(tokens) => tokens,
            Err(Failure::Refused(refused)) if refusal::is_invalid_grant(&refused) => {
                return Err(ExchangeError::CodeInvalid(refusal::told(*refused)));
            }
            Err(failure) => return Err(ExchangeError::Failed(refusal::token_error(failure))),
        };
        // The token says neither whose it is nor what it is good for.
        let user = |body: &[u8]| serde_json::from_slice::<User>(body).ok();
        let User { id: account_id } = self.ask(USER, &tokens.access, user).await?;
        let scopes = match self
            .ask(PERMISSIONS, &tokens.access, |body| serde_json::from_slice(body).ok())
            .await?
        {
            Permissions::Bare(permissions) | Permissions::Named { permissions } => permissions,
        };
        Ok(Exchanged { account_id, scopes, profile: None, tokens })
    }

    /// Asks about a fresh account.
    async fn ask<T>(
        &self,
        path: &'static str,
        access: &SecretString,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<T, ExchangeError> {
        let url = self.url(path);
        let answer = self
            .http("account", &[ALL.1], Tier::Urgent, true)
            .send(path, |http| http.get(&url).bearer_auth(access.expose_secret()), read)
            .await;
        answer.map(|answer| answer.data).map_err(|failure| {
            // Whatever it is, the code is used up: none of it may read as if it had not arrived.
            let error = refusal::error(failure);
            let detail = Detail {
                message: format!("the code bought tokens, but {path} said nothing: {error}"),
                endpoint: path.to_owned(),
                ..Detail::default()
            };
            ExchangeError::Failed(Error::Network(detail))
        })
    }

    /// The provider's programme wants to be told of every disconnect.
    async fn forget(&self, access: &SecretString) -> Result<(), Error> {
        let url = self.url(REGISTRATION);
        let told = self
            .http("account", &[ALL.1], Tier::Urgent, true)
            .send(
                REGISTRATION,
                |http| http.delete(&url).bearer_auth(access.expose_secret()),
                |_body| Some(()),
            )
            .await;
        match told {
            Ok(_) => Ok(()),
            // The user was quicker. A 401 may be no more than an old token: the caller tries a new one, and if there
            // is none to be had the account is gone as well.
            Err(Failure::Refused(refused)) if refused.status == StatusCode::NOT_FOUND => Ok(()),
            Err(failure) => Err(refusal::error(failure)),
        }
    }
}

impl Accounts for Garmin {
    fn authorize_page(&self) -> AuthorizePage {
        self.config.authorize_page()
    }

    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Exchanged, ExchangeError>> {
        Box::pin(self.first_pair(code))
    }

    fn refresh<'a>(
        &'a self,
        refresh: &'a SecretString,
    ) -> BoxFuture<'a, Result<Tokens, RefreshError>> {
        Box::pin(self.next_pair(refresh))
    }

    fn deauthorize<'a>(
        &'a self,
        tokens: &'a Tokens,
        _account: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.forget(&tokens.access))
    }
}
