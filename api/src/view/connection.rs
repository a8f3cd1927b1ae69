//! A connection as its user reads it: never a token, and nothing sealed.

use chrono::{DateTime, Utc};
use paceline_shared::{
    ConnectionId, Provider,
    db::connections::{Row, State},
};
use serde::Serialize;

/// A link to an account at a provider.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Connection)]
pub(crate) struct ConnectionView {
    /// Our id; it stays the same however often the account is connected again.
    pub(crate) id: ConnectionId,
    /// Where.
    pub(crate) provider: Provider,
    /// Whether syncs can go through it.
    pub(crate) state: State,
    /// The provider's name for the account.
    pub(crate) account_id: String,
    /// What the provider granted, in its own words.
    pub(crate) scopes: Vec<String>,
    /// What was asked for.
    pub(crate) asked: Vec<String>,
    /// What a sync needs and was not granted.
    pub(crate) missing: Vec<String>,
    /// What the state means for the user; null when all is well.
    pub(crate) meaning: Option<String>,
    /// What the user can do about it, as a word: `connect`, `reconnect`, `grant_access`, `connect_another_provider`; null when
    /// all is well.
    #[schema(value_type = Option<String>)]
    pub(crate) action: Option<&'static str>,
    /// When the account was first connected.
    pub(crate) connected_at: DateTime<Utc>,
    /// When everything new was last read; null before the first time.
    pub(crate) last_synced_at: Option<DateTime<Utc>>,
    /// When it was disconnected.
    pub(crate) disconnected_at: Option<DateTime<Utc>>,
    /// When it last changed.
    pub(crate) updated_at: DateTime<Utc>,
}

/// What a state means, and what can be done about it.
fn advice(row: &Row) -> Option<(String, &'static str)> {
    let name = row.provider.title();
    match row.state {
        State::Active => None,
        State::Limited => {
            let withheld = if row.missing.is_empty() {
                String::new()
            } else {
                format!(" ({})", row.missing.join(", "))
            };
            let text = format!(
                "{name} withholds something that a sync needs{withheld}, so the records behind it are not read. Connect again and leave \
                 every box ticked."
            );
            Some((text, "grant_access"))
        }
        State::NeedsReauth => Some((
            format!(
                "{name} no longer accepts our access, so nothing new arrives. Connect again; what was stored stays."
            ),
            "reconnect",
        )),
        State::ProviderGone => Some((
            format!(
                "{name} has ended this service, so nothing new arrives. What was stored stays."
            ),
            "connect_another_provider",
        )),
        State::Revoked => Some((
            format!(
                "The account at {name} was disconnected. Connect it again to go on where it stopped."
            ),
            "connect",
        )),
    }
}

impl From<Row> for ConnectionView {
    fn from(row: Row) -> Self {
        let (meaning, action) = advice(&row).unzip();
        Self {
            id: row.id,
            provider: row.provider,
            state: row.state,
            account_id: row.provider_account_id,
            scopes: row.scopes,
            asked: row.asked,
            missing: row.missing,
            meaning,
            action,
            connected_at: row.created_at,
            last_synced_at: row.last_synced_at,
            disconnected_at: row.revoked_at,
            updated_at: row.updated_at,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// With everything there.
    pub(crate) fn row(state: State) -> Row {
        let at = "2026-05-03T05:30:00Z".parse().unwrap();
        let revoked_at = (state == State::Revoked).then_some(at);
        let missing =
            if state == State::Limited { vec!["activity:read_all".to_owned()] } else { Vec::new() };
        Row {
            id: ConnectionId::fresh(),
            provider: Provider::Strava,
            provider_account_id: "1234".to_owned(),
            state,
            scopes: vec!["read".to_owned()],
            asked: vec!["read".to_owned(), "activity:read_all".to_owned()],
            missing,
            created_at: at,
            last_synced_at: None,
            revoked_at,
            updated_at: at,
        }
    }

    #[test]
    fn every_state_but_the_good_one_says_what_it_means_and_what_to_do() {
        for (state, action) in [
            (State::Active, None),
            (State::Limited, Some("grant_access")),
            (State::NeedsReauth, Some("reconnect")),
            (State::ProviderGone, Some("connect_another_provider")),
            (State::Revoked, Some("connect")),
        ] {
            let view = ConnectionView::from(row(state));
            assert_eq!(view.action, action, "{state:?}");
            assert_eq!(view.meaning.is_some(), action.is_some(), "{state:?}");
        }
        let limited = ConnectionView::from(row(State::Limited)).meaning.unwrap();
        assert!(limited.contains("activity:read_all"), "{limited}");
    }
}
