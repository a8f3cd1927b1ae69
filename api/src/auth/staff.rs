//! A caller who steers the fleet: a handler names the role that its act asks for, and gets whoever has at
//! least that one, or a problem. Staff need not be users of the app.

use super::{Role, identity::identity};
use crate::{
    app::App,
    problem::{Kind, Problem},
};
use axum::{extract::FromRequestParts, http::request::Parts};
use std::marker::PhantomData;

/// The least role that an act asks for.
pub(crate) trait Needs {
    const ROLE: Role;
}

macro_rules! needs {
    ($($name:ident),+) => {$(
        #[doc = concat!("At least ", stringify!($name), ".")]
        #[derive(Debug)]
        pub(crate) struct $name;
        impl Needs for $name {
            const ROLE: Role = Role::$name;
        }
    )+};
}
needs!(Viewer, Operator, Admin);

/// Somebody whose token carries the role that is needed, or a stronger one.
#[derive(Debug)]
pub(crate) struct Staff<N> {
    /// The token's subject.
    pub(crate) subject: String,
    /// The role that he has.
    pub(crate) role: Role,
    needs: PhantomData<N>,
}

impl<N: Needs> FromRequestParts<App> for Staff<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let verified = identity(parts, app).await?;
        let needed = N::ROLE;
        match verified.staff {
            Some(role) if role >= needed => {
                Ok(Self { subject: verified.subject, role, needs: PhantomData })
            }
            Some(role) => {
                Err(refused(format!("This asks for the role {needed}, and the token has {role}.")))
            }
            None => {
                Err(refused(format!("This asks for the role {needed}, and the token has none.")))
            }
        }
    }
}

fn refused(detail: String) -> Problem {
    Problem::new(Kind::RoleNeeded).detail(detail)
}
