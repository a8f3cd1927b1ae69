//! How far a way to a provider is, and the words for it. Pure; no secret is anywhere near.

use paceline_shared::{Provider, db::authorizations::Outcome};
use serde::Serialize;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConnectStage)]
pub(crate) enum Stage {
    /// The code is being exchanged.
    Working,
    /// Nobody is there to exchange it.
    NobodyThere,
    /// The account is connected.
    Connected,
    /// It is connected, but something was withheld that a sync needs.
    Limited,
    /// The user said no.
    Denied,
    /// The code ran out before it was exchanged.
    CodeExpired,
    /// Another user has this account.
    AccountTaken,
    /// The same user came back another time since.
    Replaced,
    /// It did not work.
    Failed,
}

/// What a page says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    /// In a few words.
    pub(crate) title: String,
    /// And what it means.
    pub(crate) text: String,
}

impl From<Outcome> for Stage {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Connected => Self::Connected,
            Outcome::Limited => Self::Limited,
            Outcome::Denied => Self::Denied,
            Outcome::CodeExpired => Self::CodeExpired,
            Outcome::AccountTaken => Self::AccountTaken,
            Outcome::Replaced => Self::Replaced,
            Outcome::Failed => Self::Failed,
        }
    }
}

impl Stage {
    /// The name on every wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::NobodyThere => "nobody_there",
            Self::Connected => "connected",
            Self::Limited => "limited",
            Self::Denied => "denied",
            Self::CodeExpired => "code_expired",
            Self::AccountTaken => "account_taken",
            Self::Replaced => "replaced",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing more comes.
    pub(crate) const fn is_over(self) -> bool {
        !matches!(self, Self::Working | Self::NobodyThere)
    }

    /// Whether the user has nothing to read that he would miss by being led back to the app.
    pub(crate) const fn leads_back(self) -> bool {
        matches!(self, Self::Connected | Self::Denied)
    }

    /// For the user.
    pub(crate) fn words(self, provider: Provider) -> Words {
        let name = provider.title();
        let (title, text) = match self {
            Self::Working => (format!("Connecting {name} …"), "This takes a moment.".to_owned()),
            Self::NobodyThere => (
                format!("{name} is not connected yet"),
                "No worker of this service is running, so nobody can finish the connection at the moment. It goes on \
                 as soon as one runs, and this page keeps watching. If that takes too long, you will have to start again."
                    .to_owned(),
            ),
            Self::Connected => {
                (format!("{name} is connected"), "Your history is on its way.".to_owned())
            }
            Self::Limited => (
                format!("{name} is connected, with limits"),
                format!(
                    "You left something out that a sync needs, so part of your history cannot be read. To add it, connect \
                     {name} again and leave every box ticked."
                ),
            ),
            Self::Denied => (
                format!("{name} is not connected"),
                "You did not allow it, so nothing was changed.".to_owned(),
            ),
            Self::CodeExpired => (
                format!("{name} is not connected"),
                format!("What {name} gave us ran out before it could be used. Start again from the app."),
            ),
            Self::AccountTaken => (
                format!("{name} is not connected"),
                format!(
                    "Another user of this app has connected this {name} account. Disconnect it there, or sign in at {name} \
                     with another account and start again."
                ),
            ),
            Self::Replaced => (
                "This page is out of date".to_owned(),
                format!("You came back from {name} once more since, and that one counts."),
            ),
            Self::Failed => {
                (format!("{name} is not connected"), "It did not work. Start again from the app.".to_owned())
            }
        };
        Words { title, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const ALL: [Stage; 9] = [
        Stage::Working,
        Stage::NobodyThere,
        Stage::Connected,
        Stage::Limited,
        Stage::Denied,
        Stage::CodeExpired,
        Stage::AccountTaken,
        Stage::Replaced,
        Stage::Failed,
    ];

    #[test]
    fn every_stage_has_a_name_and_words_of_its_own() {
        let names: HashSet<_> = ALL.iter().map(|stage| stage.as_str()).collect();
        let texts: HashSet<_> =
            ALL.iter().map(|stage| stage.words(Provider::Strava).text).collect();
        assert_eq!((names.len(), texts.len()), (ALL.len(), ALL.len()));
        for stage in ALL {
            assert_eq!(serde_json::to_value(stage).unwrap(), stage.as_str());
        }
    }

    #[test]
    fn whoever_must_do_something_is_not_led_away_before_he_has_read_it() {
        let led: Vec<_> = ALL.into_iter().filter(|stage| stage.leads_back()).collect();
        assert_eq!(led, [Stage::Connected, Stage::Denied]);
        assert!(led.iter().all(|stage| stage.is_over()));
    }

    #[test]
    fn an_outcome_keeps_its_name() {
        for outcome in [
            Outcome::Connected,
            Outcome::Limited,
            Outcome::Denied,
            Outcome::CodeExpired,
            Outcome::AccountTaken,
            Outcome::Replaced,
            Outcome::Failed,
        ] {
            assert_eq!(serde_json::to_value(outcome).unwrap(), Stage::from(outcome).as_str());
        }
    }
}
