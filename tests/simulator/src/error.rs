//! What can go wrong with the simulator itself, as opposed to what it simulates.

pub use crate::patch::EditError;

/// Why the simulator did not do what its handle or control API was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("listening on {0}")]
    Listen(std::net::SocketAddr, #[source] std::io::Error),
    /// No such athlete.
    #[error("there is no athlete {0}")]
    UnknownAthlete(u64),
    /// The athlete has no such activity, or it was deleted.
    #[error("there is no activity {0}")]
    UnknownActivity(u64),
    /// The athlete's number is taken.
    #[error("athlete {0} exists already")]
    AthleteExists(u64),
    /// No such user at a provider other than Strava.
    #[error("there is no user {0}")]
    UnknownUser(String),
    /// The user has no such record, or it was deleted.
    #[error("there is no record {0}")]
    UnknownRecord(String),
    /// The user has such a record already, and may have one only.
    #[error("there is a record {0} already")]
    RecordExists(String),
    /// The user's id is taken.
    #[error("user {0} exists already")]
    UserExists(String),
    /// A history of this size or length is not simulated.
    #[error("an athlete has at most {most_activities} activities, in 1 to {most_years} years")]
    TooLarge {
        /// Upper limit of `activities`.
        most_activities: u64,
        /// Upper limit of `years`.
        most_years: u32,
    },
    /// The activity cannot be changed so.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// No weather variable has this name.
    #[error("there is no weather variable {0}")]
    UnknownVariable(String),
    /// A rule that could never strike, or not as meant.
    #[error("a fault needs {0}")]
    Fault(&'static str),
}
