//! The account's side of a provider: codes, tokens, good-byes. Where the consent page is and what it is asked for
//! is said by the provider's configuration, as a [`paceline_shared::oauth::AuthorizePage`].

use super::{Detail, Error};
use futures::future::BoxFuture;
use paceline_shared::{db::connection_secrets::Tokens, oauth::AuthorizePage};
use secrecy::SecretString;
use serde_json::Value;
use std::fmt;

/// A provider, as far as its users' accounts go.
pub trait Accounts: fmt::Debug + Send + Sync {
    /// Its consent page, and our application there.
    fn authorize_page(&self) -> AuthorizePage;

    /// Buys the first pair. A code is good once: it is never sent twice unless no connection came about.
    fn exchange<'a>(&'a self, code: &'a Code) -> BoxFuture<'a, Result<Exchanged, ExchangeError>>;

    /// Buys the next pair, once.
    fn refresh<'a>(
        &'a self,
        refresh: &'a SecretString,
    ) -> BoxFuture<'a, Result<Tokens, RefreshError>>;

    /// Tells the provider that we are done with the account. An account that it does not know any more is success.
    fn deauthorize<'a>(
        &'a self,
        tokens: &'a Tokens,
        account: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>>;
}

/// What a user came back with.
#[derive(Clone, Debug)]
pub struct Code {
    /// The code.
    pub code: SecretString,
    /// The verifier whose challenge was sent, where the provider wants one.
    pub verifier: Option<SecretString>,
    /// The address that the user was sent back to, exactly as it was asked for.
    pub redirect_uri: String,
    /// The `scope` beside the code, where the provider sends one.
    pub accepted: Option<String>,
}

/// What a code bought.
#[derive(Clone, Debug)]
pub struct Exchanged {
    /// The provider's name for the account.
    pub account_id: String,
    /// The scopes that the user granted, one by one, in the provider's words.
    pub scopes: Vec<String>,
    /// Zone and units, where the provider told them.
    pub profile: Option<Value>,
    /// The first pair.
    pub tokens: Tokens,
}

/// Why a refresh gave no tokens.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The refresh token is dead: the user must connect again.
    #[error("the refresh token is not accepted")]
    Invalid(Detail),
    /// Anything else. Says nothing about the refresh token.
    #[error(transparent)]
    Failed(Error),
}

/// Why a code bought nothing.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The code is used up, too old, or none: the user must start again.
    #[error("the code is not accepted")]
    CodeInvalid(Detail),
    /// Anything else.
    #[error(transparent)]
    Failed(Error),
}
