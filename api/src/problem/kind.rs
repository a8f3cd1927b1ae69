//! The catalogue of problems: one row each, with the name that its `type` carries for ever.

use axum::http::StatusCode;

/// A row of the catalogue.
pub(crate) struct Entry {
    /// The last part of the `type`.
    pub(crate) name: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
    /// What it means and what a client does about it.
    pub(crate) meaning: &'static str,
}

macro_rules! catalogue {
    ($($kind:ident = $name:literal, $status:ident, $title:literal, $meaning:literal;)+) => {
        /// What went wrong, as far as a program would act on it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($kind,)+
        }

        impl Kind {
            /// The whole catalogue.
            pub(crate) const ALL: &[Self] = &[$(Self::$kind,)+];

            pub(crate) const fn entry(self) -> Entry {
                match self {
                    $(Self::$kind => Entry {
                        name: $name,
                        status: StatusCode::$status,
                        title: $title,
                        meaning: $meaning,
                    },)+
                }
            }
        }
    };
}

catalogue! {
    Unauthenticated = "unauthenticated", UNAUTHORIZED,
        "A valid bearer token is needed",
        "No token came, or it is expired, not yet valid, or not from an issuer that is trusted here. Get a fresh one.";
    AnotherUser = "another-user", FORBIDDEN,
        "That is another user",
        "userId names somebody else than the token. Only a service role may act for others.";
    RoleNeeded = "role-needed", FORBIDDEN,
        "The token lacks the role that this asks for",
        "viewer reads, operator steers single jobs, workers and pauses, admin acts on many and sets limits. Use a token that carries the role.";
    UnknownRoute = "unknown-route", NOT_FOUND,
        "There is nothing here",
        "No route has this path. The OpenAPI document lists them all.";
    UnknownProblem = "unknown-problem", NOT_FOUND,
        "No problem has this name",
        "The OpenAPI document lists the problems.";
    UnknownSync = "unknown-sync", NOT_FOUND,
        "There is no such sync",
        "The user has no sync with this id. An id that belongs to somebody else, never existed, or is no id at all gives the same answer.";
    UnknownJob = "unknown-job", NOT_FOUND,
        "There is no such job",
        "No job, live or finished, has this id.";
    UnknownWorker = "unknown-worker", NOT_FOUND,
        "There is no such worker",
        "No worker of the last 24 hours has this id.";
    UnknownOperation = "unknown-operation", NOT_FOUND,
        "There is no such operation",
        "No bulk operation has this id.";
    UnknownProvider = "unknown-provider", NOT_FOUND,
        "There is no such provider",
        "The path names a provider, or all where that makes sense.";
    UnknownJobType = "unknown-job-type", NOT_FOUND,
        "The provider has nothing of this kind",
        "The path names what is to be read; the detail lists what this provider has.";
    UnknownProgress = "unknown-progress", NOT_FOUND,
        "There is no such progress",
        "The id is neither that of a sync of this user nor that of a refresh that he may still look at.";
    UnknownConnection = "unknown-connection", NOT_FOUND,
        "There is no such connection",
        "The user has no connection with this id. An id that belongs to somebody else, never existed, or is no id at all gives the same answer.";
    UnknownAuthorization = "unknown-authorization", NOT_FOUND,
        "There is no such authorization",
        "It is too old, or was not begun in this browser.";
    ProviderNotOffered = "provider-not-offered", CONFLICT,
        "The provider cannot be connected here",
        "This server has no application at the provider. Whoever runs it can register one and configure it.";
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED,
        "The path has no such method",
        "The header Allow lists the methods that it has.";
    BodyTooLarge = "body-too-large", PAYLOAD_TOO_LARGE,
        "The body is too large",
        "Nothing of it was used.";
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE,
        "The body must be JSON",
        "Send it with Content-Type: application/json.";
    BrokenBody = "broken-body", BAD_REQUEST,
        "The body cannot be read",
        "It is no JSON, or it ended early.";
    InvalidRequest = "invalid-request", UNPROCESSABLE_ENTITY,
        "The request is not valid",
        "errors names each field at fault and what it must be. Repeating the same request cannot help.";
    InvalidCursor = "invalid-cursor", BAD_REQUEST,
        "The cursor is not valid",
        "Use nextCursor as it came, with the list that gave it, or start again without one.";
    IdempotencyKeyReused = "idempotency-key-reused", UNPROCESSABLE_ENTITY,
        "The idempotency key was used for another request",
        "A key belongs to one request for a day. Take a fresh one.";
    NotConnected = "not-connected", CONFLICT,
        "The user is not connected to this provider",
        "Connect the account first.";
    NeedsReauth = "needs-reauth", CONFLICT,
        "The provider no longer accepts our access",
        "The user has to connect the account again.";
    ProviderGone = "provider-gone", CONFLICT,
        "The provider has ended its service",
        "Nothing can be synced from it any more. What was stored stays.";
    AlreadyRunning = "already-running", CONFLICT,
        "A sync is already under way",
        "A user has one sync at a time with a provider. syncId is the one to watch.";
    AlreadyEnded = "already-ended", CONFLICT,
        "The sync has ended already",
        "There is nothing left to cancel.";
    NothingToRetry = "nothing-to-retry", CONFLICT,
        "The sync completed",
        "There is nothing to retry. Start a new sync.";
    CountDiffers = "count-differs", CONFLICT,
        "Other jobs match than were expected",
        "The filter matches another number of jobs than expect says. Look at a new preview.";
    OperationOver = "operation-over", CONFLICT,
        "The operation is over",
        "There is nothing left to stop.";
    TooManyRequests = "too-many-requests", TOO_MANY_REQUESTS,
        "Too many requests",
        "This user calls faster than he may. Try again after Retry-After; RateLimit says how many are left.";
    TooBroad = "too-broad", SERVICE_UNAVAILABLE,
        "The search took too long",
        "So many jobs cannot be searched in a few seconds. Narrow the filter: a state, a user, an age.";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE,
        "The service cannot answer now",
        "The database or the issuer's keys are out of reach. Try again after Retry-After; use an Idempotency-Key where something is started.";
    NotReady = "not-ready", SERVICE_UNAVAILABLE,
        "Not ready",
        "This process should get no traffic yet.";
    TimedOut = "timed-out", SERVICE_UNAVAILABLE,
        "The answer took too long",
        "It is not known whether the request took effect. Try again with the same Idempotency-Key.";
    Internal = "internal", INTERNAL_SERVER_ERROR,
        "Something is wrong on our side",
        "Report it with the instance.";
}

impl Kind {
    /// The kind with this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.entry().name == name)
    }

    /// The reference that stands as `type`; it can be fetched.
    pub(crate) fn reference(self) -> String {
        format!("/problems/{}", self.entry().name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_problem_has_a_name_of_its_own_and_is_found_by_it() {
        let names: HashSet<_> = Kind::ALL.iter().map(|kind| kind.entry().name).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        for &kind in Kind::ALL {
            assert_eq!(Kind::named(kind.entry().name), Some(kind));
            let status = kind.entry().status;
            assert!(status.is_client_error() || status.is_server_error(), "{kind:?}");
        }
    }
}
