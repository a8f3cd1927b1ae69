//! What staff may do: three roles, each of which may do all that the ones before it may; and where in a
//! token the role stands. Which act asks for which role is said by the routes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{fmt, str::FromStr};

/// A member of staff's role. The order is that of power.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[schema(as = StaffRole)]
pub enum Role {
    /// Sees everything, changes nothing.
    Viewer,
    /// Steers single jobs, workers and pauses.
    Operator,
    /// Acts on many jobs at once and sets limits.
    Admin,
}

impl Role {
    /// From the weakest to the strongest.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The name in a token.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no role.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no role; known are viewer, operator and admin")]
pub struct UnknownRole(pub String);

impl FromStr for Role {
    type Err = UnknownRole;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// The role under this claim: a name, or a list of names of which the strongest counts. A claim with dots
/// is looked for as it is written, then as a path.
pub(super) fn claimed(claims: &Map<String, Value>, claim: &str) -> Option<Role> {
    let found = claims.get(claim).or_else(|| {
        let mut parts = claim.split('.');
        let first = claims.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part))
    })?;
    let named = |value: &Value| value.as_str().and_then(|name| name.parse().ok());
    match found {
        Value::Array(several) => several.iter().filter_map(named).max(),
        one => named(one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_role_is_found_under_its_claim_however_deep() {
        let claims = json!({
            "role": "service_role", "paceline_role": "operator", "https://app.example/role": "viewer",
            "metadata": {"role": "admin", "other": 1}, "roles": ["editor", "viewer", "operator"], "empty": []
        });
        let claims = claims.as_object().unwrap();
        for (name, role) in [
            ("paceline_role", Some(Role::Operator)),
            ("https://app.example/role", Some(Role::Viewer)),
            ("metadata.role", Some(Role::Admin)),
            ("roles", Some(Role::Operator)),
            ("role", None),
            ("metadata", None),
            ("metadata.other", None),
            ("metadata.role.more", None),
            ("empty", None),
            ("nothing", None),
            ("", None),
        ] {
            assert_eq!(claimed(claims, name), role, "{name}");
        }
    }

    #[test]
    fn roles_are_in_order_of_power_and_found_by_their_exact_names() {
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
        for role in Role::ALL {
            assert_eq!(role.as_str().parse::<Role>().unwrap(), role);
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
        assert!("Admin".parse::<Role>().is_err());
    }
}
