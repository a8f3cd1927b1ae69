//! What became of a user's tokens, counted the same way at every provider.

use serde::Serialize;

/// What a user's tokens went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Codes turned into tokens.
    pub exchanges: u64,
    /// Refresh requests answered with a pair, changed or not.
    pub refreshes: u64,
    /// Of those, the ones that brought a new pair.
    pub rotations: u64,
    /// Refresh requests with a token that had already been replaced.
    pub refused_refreshes: u64,
}
