//! Withings' refusals: HTTP 200 with a status inside, and a text that nobody should rely on.

use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::http;

/// Why Withings does not answer with what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 401: no such access token, or not any more.
    NotAuthenticated,
    /// 503, which Withings means as "Invalid Params": a parameter, a code or a refresh token.
    Invalid(&'static str),
    /// 214: the user did not grant the scope. The documentation names the family, not the code.
    MissingScope,
    /// 601: the application's minute is used up; as an HTTP 429 too, when set so.
    TooMany {
        /// Whether the HTTP status says so as well.
        http: bool,
    },
    /// 601: the same question again, too soon.
    SameArguments,
    /// 2554: no such action.
    NotImplemented,
    /// Whatever a fault rule names.
    Scripted(u16),
}

impl Refusal {
    fn parts(self) -> (u16, u16, String) {
        let (status, text) = match self {
            Self::NotAuthenticated => (
                401,
                "XRequestID: Not provided invalid_token: The access token provided is invalid",
            ),
            Self::Invalid(what) => return (200, 503, format!("Invalid Params: invalid {what}")),
            Self::MissingScope => (214, "Unauthorized"),
            Self::TooMany { http: true } | Self::Scripted(429) => {
                return (429, 601, "Too Many Requests".to_owned());
            }
            Self::TooMany { http: false } | Self::Scripted(601) => (601, "Too Many Requests"),
            Self::SameArguments => (601, "Same arguments in less than 10 seconds"),
            Self::NotImplemented | Self::Scripted(2554) => {
                (2554, "Wrong action or wrong webservice")
            }
            Self::Scripted(401) => return Self::NotAuthenticated.parts(),
            Self::Scripted(214) => return Self::MissingScope.parts(),
            Self::Scripted(503) => return Self::Invalid("params").parts(),
            Self::Scripted(522) => (522, "Timeout"),
            Self::Scripted(other) => (other, "An error occurred"),
        };
        (200, status, text.to_owned())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (http, status, error) = self.parts();
        let body = json!({ "status": status, "body": {}, "error": error });
        http::json(http, body.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_200_with_a_status_inside_unless_it_is_a_429() {
        let told = |refusal: Refusal| {
            let (http, status, _) = refusal.parts();
            (http, status)
        };
        assert_eq!(told(Refusal::NotAuthenticated), (200, 401));
        assert_eq!(told(Refusal::Invalid("refresh_token")), (200, 503));
        assert_eq!(told(Refusal::TooMany { http: false }), (200, 601));
        assert_eq!(told(Refusal::TooMany { http: true }), (429, 601));
        assert_eq!(told(Refusal::Scripted(429)), (429, 601));
        assert_eq!(told(Refusal::Scripted(5006)), (200, 5006));
    }
}
