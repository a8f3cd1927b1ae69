//! Withings accounts: consent page, codes, tokens, good-byes.

use super::{
    ACTIVITY, Failed, Kind, METRICS, SCOPES, Withings, WithingsConfig, json::Fields, refusal,
};
use crate::{
    budget::Tier,
    providers::{
        Detail, Error,
        accounts::{Accounts, Code, ExchangeError, Exchanged, RefreshError},
    },
};
use chrono::{TimeDelta, Utc};
use futures::future::BoxFuture;
use hmac::{Hmac, KeyInit as _, Mac as _};
use paceline_shared::{Provider, db::connection_secrets::Tokens, oauth::AuthorizePage};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use std::{fmt::Write as _, time::Duration};

/// A code is good for so long, and once.
const CODE_LIVES: Duration = Duration::from_secs(30);

impl WithingsConfig {
    /// Where users are sent.
    #[must_use]
    pub fn authorize_page(&self) -> AuthorizePage {
        AuthorizePage {
            provider: Provider::Withings,
            url: format!("{}/oauth2_user/authorize2", self.account_base.trim_end_matches('/')),
            client_id: self.client_id.clone(),
            scopes: SCOPES.map(str::to_owned).into(),
            required: [METRICS, ACTIVITY].map(str::to_owned).into(),
            separator: Some(','),
            pkce: false,
            extra: Vec::new(),
            code_lives: CODE_LIVES,
        }
    }
}

/// An answer of the token endpoint.
struct Grant {
    account_id: Option<String>,
    scopes: Vec<String>,
    tokens: Tokens,
}

impl Grant {
    fn read(body: &Fields<'_>) -> Option<Self> {
        let token = |name: &str| Some(SecretString::from(body.text(name).ok()??.into_owned()));
        let lives = TimeDelta::try_seconds(body.whole("expires_in").ok()??)?;
        let scopes = body.text("scope").ok()?.unwrap_or_default();
        Some(Self {
            // A text or a number.
            account_id: body.id("userid"),
            scopes: scopes
                .split([',', ' '])
                .filter(|scope| !scope.is_empty())
                .map(str::to_owned)
                .collect(),
            tokens: Tokens {
                access: token("access_token")?,
                refresh: token("refresh_token")?,
                expires_at: Utc::now().checked_add_signed(lives)?,
            },
        })
    }
}

/// What became of a code or a refresh token.
enum Refused {
    /// It is not accepted.
    Token(Detail),
    /// Anything else.
    Otherwise(Error),
}

impl From<Failed> for Refused {
    /// A bad token is a bad parameter to Withings (503) or a failed authentication. The same codes say that our
    /// application is not known, which no user can mend; there the text must tell.
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Said { status, detail }
                if (status.code == 503
                    || refusal::family(status.code) == refusal::Family::Authentication)
                    && !refusal::is_about_us(&status) =>
            {
                Self::Token(refusal::told(&status, detail))
            }
            Failed::Said { status, detail }
                if refusal::family(status.code) == refusal::Family::Authentication =>
            {
                Self::Otherwise(Error::Refused(refusal::told(&status, detail)))
            }
            // Of HTTP, a 401 is about our application.
            other => Self::Otherwise(match refusal::error(other) {
                Error::Unauthorized(detail) => Error::Refused(detail),
                error => error,
            }),
        }
    }
}

impl Withings {
    async fn token(&self, form: &[(&str, String)], past_breaker: bool) -> Result<Grant, Refused> {
        let kind = Kind {
            endpoint: "oauth2/requesttoken",
            path: "v2/oauth2",
            tier: Tier::Urgent,
            // A code is good once, and a repeat after a lost answer may meet a rotated token.
            repeat: false,
            past_breaker,
        };
        let application = [
            ("action", "requesttoken".to_owned()),
            ("client_id", self.config.client_id.clone()),
            ("client_secret", self.config.client_secret.expose_secret().to_owned()),
        ];
        let form = [&application, form].concat();
        Ok(self.call(kind, &form, None, Grant::read).await?.data)
    }

    /// Buys the next pair. The one before stays good until the new access token is used for the first time.
    async fn next_pair(&self, refresh: &SecretString) -> Result<Tokens, RefreshError> {
        let form = [
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", refresh.expose_secret().to_owned()),
        ];
        match self.token(&form, false).await {
            Ok(grant) => Ok(grant.tokens),
            Err(Refused::Token(detail)) => Err(RefreshError::Invalid(detail)),
            Err(Refused::Otherwise(error)) => Err(RefreshError::Failed(error)),
        }
    }

    async fn first_pair(&self, code: &Code) -> Result<Exchanged, ExchangeError> {
        let form = [
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.code.expose_secret().to_owned()),
            ("redirect_uri", code.redirect_uri.clone()),
        ];
        let grant = match self.token(&form, true).await {
            Ok(grant) => grant,
            Err(Refused::Token(detail)) => return Err(ExchangeError::CodeInvalid(detail)),
            Err(Refused::Otherwise(error)) => return Err(ExchangeError::Failed(error)),
        };
        let Some(account_id) = grant.account_id else {
            return Err(ExchangeError::Failed(Error::Temporary(Detail {
                message: "the token came without an account".to_owned(),
                endpoint: "oauth2/requesttoken".to_owned(),
                status: Some(200),
                tries: 1,
                ..Detail::default()
            })));
        };
        // Zones come with the records.
        Ok(Exchanged { account_id, scopes: grant.scopes, profile: None, tokens: grant.tokens })
    }

    /// HMAC-SHA256 with the application's secret, in hexadecimal.
    fn signature(&self, of: &[&str]) -> String {
        let secret = self.config.client_secret.expose_secret().as_bytes();
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
        mac.update(of.join(",").as_bytes());
        mac.finalize().into_bytes().iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _written = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// A word that signs one call.
    async fn nonce(&self) -> Result<String, Failed> {
        let kind = Kind {
            endpoint: "signature/getnonce",
            path: "v2/signature",
            tier: Tier::Urgent,
            repeat: false,
            past_breaker: true,
        };
        let (client, at) = (&self.config.client_id, Utc::now().timestamp().to_string());
        let form = [
            ("action", "getnonce".to_owned()),
            ("client_id", client.clone()),
            ("signature", self.signature(&["getnonce", client, &at])),
            ("timestamp", at),
        ];
        let nonce = |body: &Fields<'_>| body.text("nonce").ok()?.map(std::borrow::Cow::into_owned);
        Ok(self.call(kind, &form, None, nonce).await?.data)
    }

    async fn revoke(&self, account: &str) -> Result<(), Failed> {
        let client = self.config.client_id.clone();
        let proof = match self.nonce().await {
            Ok(nonce) => {
                let signature = self.signature(&["revoke", &client, &nonce]);
                vec![("nonce", nonce), ("signature", signature)]
            }
            // A proxy or a stand-in that has no nonces is shown the secret, as the token endpoint is.
            Err(failed) if refusal::is_not_implemented(&failed) => {
                vec![("client_secret", self.config.client_secret.expose_secret().to_owned())]
            }
            Err(failed) => return Err(failed),
        };
        let kind = Kind {
            endpoint: "oauth2/revoke",
            path: "v2/oauth2",
            tier: Tier::Urgent,
            // A nonce is good once.
            repeat: false,
            past_breaker: true,
        };
        let form = [
            ("action", "revoke".to_owned()),
            ("client_id", client),
            ("userid", account.to_owned()),
        ];
        let form = [&form[..], &proof].concat();
        self.call(kind, &form, None, |_body| Some(())).await?;
        Ok(())
    }

    async fn forget(&self, account: &str) -> Result<(), Error> {
        match self.revoke(account).await {
            Ok(()) => Ok(()),
            // The user was quicker: a refusal that is not about our application is about the account.
            Err(Failed::Said { status, .. })
                if matches!(
                    refusal::family(status.code),
                    refusal::Family::Authentication | refusal::Family::Denied
                ) && !refusal::is_about_us(&status) =>
            {
                Ok(())
            }
            Err(failed) => Err(refusal::error(failed)),
        }
    }
}

impl Accounts for Withings {
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
        _tokens: &'a Tokens,
        account: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.forget(account))
    }
}
