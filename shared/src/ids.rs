//! Identifiers as types of their own, so that one cannot stand where another is meant.
//!
//! All are UUID version 7: they sort by the time they were made.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type,
            utoipa::ToSchema,
        )]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, later than all that this process made before.
            #[must_use]
            pub fn fresh() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id!(
    /// A sync job, and the syncId that clients hold; also the id of its progress row.
    JobId
);
id!(
    /// A user of the app.
    UserId
);
id!(
    /// A user's link to a provider's account.
    ConnectionId
);
id!(
    /// A user's way to a provider's consent page and back.
    AuthorizationId
);
id!(
    /// One life of one worker process: fresh at each start, never a host name.
    WorkerId
);
