//! `paceline token`.

use crate::{exit::Exit, options::HomeOptions, output, parse};
use clap::{Args, builder::NonEmptyStringValueParser};
use paceline_api::auth::{Role, local};
use std::time::Duration;

/// Print a bearer token of the local issuer
///
/// Such a token is good for development only: `paceline dev` and `paceline demo` accept it, and
/// `paceline api` does with `--allow-local-issuer`.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Whose token: the claim `sub`
    #[arg(long, value_name = "SUBJECT", value_parser = NonEmptyStringValueParser::new())]
    user: String,
    /// The claim `role`; `service_role` may act for every user
    #[arg(long)]
    role: Option<String>,
    /// A role for the administration, in the claim `paceline_role`: `viewer`, `operator` or `admin`
    #[arg(long, value_name = "ROLE")]
    admin_role: Option<Role>,
    /// How long it is good for
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse::duration)]
    ttl: Duration,
    #[command(flatten)]
    home: HomeOptions,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<Exit> {
    let secret = options.home.home()?.issuer_secret()?;
    let (role, staff) = (options.role.as_deref(), options.admin_role);
    output::line(&local::issue_for_staff(&secret, &options.user, role, staff, options.ttl)?)?;
    Ok(Exit::Done)
}
