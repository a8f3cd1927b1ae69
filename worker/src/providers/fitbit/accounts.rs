//! Fitbit accounts: consent page, codes, tokens, profile, good-byes.

use super::{Fitbit, FitbitConfig, SCOPES, record::Profile, refusal};
use crate::providers::{
    Error,
    accounts::{Accounts, Code, ExchangeError, Exchanged, RefreshError},
    http::Failure,
};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use paceline_shared::{Provider, db::connection_secrets::Tokens, oauth::AuthorizePage};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

const TOKEN: &str = "oauth2/token";
const REVOKE: &str = "oauth2/revoke";
const PROFILE: &str = "1/user/-/profile.json";

/// So long Fitbit's codes are good.
const CODE_LIVES: Duration = Duration::from_mins(10);

impl FitbitConfig {
    /// Where users are sent.
    #[must_use]
    pub fn authorize_page(&self) -> AuthorizePage {
        AuthorizePage {
            provider: Provider::Fitbit,
            url: format!("{}/oauth2/authorize", self.web_base.trim_end_matches('/')),
            client_id: self.client_id.clone(),
            scopes: SCOPES.map(str::to_owned).into(),
            required: SCOPES.map(str::to_owned).into(),
            separator: Some(' '),
            pkce: true,
            extra: vec![],
            code_lives: CODE_LIVES,
        }
    }
}

/// An answer of the token endpoint.
#[derive(Deserialize)]
struct Grant {
    access_token: String,
    refresh_token: String,
    expires_in: i64,
    user_id: String,
    #[serde(default)]
    scope: String,
}

impl Grant {
    fn tokens(&self, now: DateTime<Utc>) -> Tokens {
        let lives = TimeDelta::try_seconds(self.expires_in).unwrap_or_default();
        Tokens {
            access: self.access_token.clone().into(),
            refresh: self.refresh_token.clone().into(),
            expires_at: now.checked_add_signed(lives).unwrap_or(now),
        }
    }
}

impl Fitbit {
    async fn token(&self, form: &[(&str, &str)], past_breaker: bool) -> Result<Grant, Failure> {
        let url = self.url(TOKEN);
        let (id, secret) = (&self.config.client_id, self.config.client_secret.expose_secret());
        // A code and a refresh token are good once.
        let answer = self
            .about_account(past_breaker)
            .send_once(
                TOKEN,
                |http| http.post(&url).basic_auth(id, Some(secret)).form(form),
                |body| serde_json::from_slice::<Grant>(body).ok(),
            )
            .await?;
        Ok(answer.data)
    }

    async fn first_pair(&self, code: &Code) -> Result<Exchanged, ExchangeError> {
        let verifier = code.verifier.as_ref().map(|v| ("code_verifier", v.expose_secret()));
        let form: Vec<(&str, &str)> = [
            ("grant_type", "authorization_code"),
            ("client_id", self.config.client_id.as_str()),
            ("redirect_uri", code.redirect_uri.as_str()),
            ("code", code.code.expose_secret()),
        ]
        .into_iter()
        .chain(verifier)
        .collect();
        let asked_at = Utc::now();
        let grant = match self.token(&form, true).await {
            Ok(grant) => grant,
            Err(Failure::Refused(refused)) if refusal::is(&refused, "invalid_grant") => {
                return Err(ExchangeError::CodeInvalid(refusal::told(*refused)));
            }
            Err(failure) => return Err(ExchangeError::Failed(refusal::token_error(failure))),
        };
        let tokens = grant.tokens(asked_at);
        // Without it an account is connected as well: each sync reads it anew.
        let profile = self.profile_at_connect(&tokens.access).await.ok();
        Ok(Exchanged {
            account_id: grant.user_id,
            scopes: grant.scope.split_whitespace().map(str::to_owned).collect(),
            profile,
            tokens,
        })
    }

    async fn profile_at_connect(&self, access: &SecretString) -> Result<Value, Error> {
        let url = self.url(PROFILE);
        let answer = self
            .about_account(true)
            .send(
                PROFILE,
                |http| http.get(&url).bearer_auth(access.expose_secret()),
                |body| Profile::read(body).ok(),
            )
            .await
            .map_err(refusal::error)?;
        Ok(answer.data.value())
    }

    async fn next_pair(&self, refresh: &SecretString) -> Result<Tokens, RefreshError> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.expose_secret())];
        let asked_at = Utc::now();
        match self.token(&form, false).await {
            Ok(grant) => Ok(grant.tokens(asked_at)),
            Err(Failure::Refused(refused)) if refusal::is(&refused, "invalid_grant") => {
                Err(RefreshError::Invalid(refusal::told(*refused)))
            }
            Err(failure) => Err(RefreshError::Failed(refusal::token_error(failure))),
        }
    }

    async fn revoke(&self, tokens: &Tokens) -> Result<(), Error> {
        let url = self.url(REVOKE);
        let (id, secret) = (&self.config.client_id, self.config.client_secret.expose_secret());
        let form = [("token", tokens.refresh.expose_secret())];
        let told = self
            .about_account(true)
            .send(
                REVOKE,
                |http| http.post(&url).basic_auth(id, Some(secret)).form(&form),
                |_body| Some(()),
            )
            .await;
        match told {
            Ok(_) => Ok(()),
            // The user was quicker.
            Err(Failure::Refused(refused))
                if refusal::is(&refused, "invalid_token")
                    || refusal::is(&refused, "invalid_grant") =>
            {
                Ok(())
            }
            Err(failure) => match refusal::error(failure) {
                // A service that has ended knows nobody.
                Error::Gone(_) => Ok(()),
                error => Err(error),
            },
        }
    }
}

impl Accounts for Fitbit {
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
        Box::pin(self.revoke(tokens))
    }
}
