//! Our applications at the providers, as options: where users consent, which `api` and `worker` both know, and what
//! only a worker needs to talk to the provider.

mod fitbit;
mod garmin;
mod strava;
mod withings;

pub(crate) use fitbit::{FitbitOptions, FitbitPageOptions};
pub(crate) use garmin::{GarminOptions, GarminPageOptions};
pub(crate) use strava::{StravaOptions, StravaPageOptions};
pub(crate) use withings::{WithingsOptions, WithingsPageOptions};

use crate::options::check;
use paceline_worker::budget::Limit;
use url::Url;

/// Without the slash at its end: paths are put behind it.
pub(crate) fn base(given: Option<&Url>, usual: String) -> String {
    given.map_or(usual, |url| url.as_str().trim_end_matches('/').to_owned())
}

/// Fails where a provider has no limit of that name.
fn known_limit(
    option: &'static str,
    title: &str,
    unknown: Option<&Limit>,
    has: &str,
) -> anyhow::Result<()> {
    let known = unknown.map_or(Ok(()), |limit| {
        Err(anyhow::anyhow!("{title} has no limit {:?}; {has}", limit.name))
    });
    check(option, known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_has_no_slash_at_its_end() {
        let given = Url::parse("http://127.0.0.1:8090/strava/api/v3/").unwrap();
        assert_eq!(base(Some(&given), String::new()), "http://127.0.0.1:8090/strava/api/v3");
        assert_eq!(base(None, "https://usual".to_owned()), "https://usual");
    }
}
