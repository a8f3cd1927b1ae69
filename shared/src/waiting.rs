//! Why a sync waits, in words for its user.

use chrono::{DateTime, Utc};

/// One sentence for a reason as tables spell it, with the time at which the sync goes on where that is known.
///
/// `title` is the provider's name as people read it; `now` decides whether the time needs its day.
#[must_use]
pub fn explain(
    title: &str,
    reason: &str,
    until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> String {
    let until = until.filter(|until| *until > now).map(|until| {
        let format = if until.date_naive() == now.date_naive() {
            "%H:%M UTC"
        } else {
            "%H:%M UTC on %-d %B"
        };
        until.format(format).to_string()
    });
    match (reason, until) {
        ("rate_limit" | "quota_exceeded", Some(at)) => format!("{title} allows more at {at}."),
        ("rate_limit" | "quota_exceeded", None) => format!("{title} allows no more for now."),
        ("breaker_open", Some(at)) => {
            format!("{title} has trouble answering; we ask it again at {at}.")
        }
        ("breaker_open", None) => format!("{title} has trouble answering; we ask it again soon."),
        ("preparing", Some(at)) => {
            format!("{title} gets older records ready; they are read from {at} on.")
        }
        ("preparing", None) => format!("{title} gets older records ready."),
        ("paused", Some(at)) => format!("Syncs with {title} are paused until {at}."),
        ("paused", None) => format!("Syncs with {title} are paused for now."),
        ("retry", Some(at)) => format!("Something went wrong; the next try is at {at}."),
        ("retry", None) => "Something went wrong; the next try is soon.".to_owned(),
        (_, Some(at)) => format!("It goes on at {at}."),
        (_, None) => "It goes on later.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn the_time_is_named_and_its_day_only_when_it_is_another() {
        let now = at("2026-03-01T14:02:00Z");
        let strava = |reason, until| explain("Strava", reason, until, now);
        let soon = Some(at("2026-03-01T14:15:00Z"));
        assert_eq!(strava("rate_limit", soon), "Strava allows more at 14:15 UTC.");
        let tomorrow = Some(at("2026-03-02T00:00:00Z"));
        assert_eq!(
            strava("quota_exceeded", tomorrow),
            "Strava allows more at 00:00 UTC on 2 March."
        );
        assert_eq!(strava("paused", None), "Syncs with Strava are paused for now.");
        let past = Some(at("2026-03-01T14:01:59Z"));
        assert_eq!(
            strava("breaker_open", past),
            "Strava has trouble answering; we ask it again soon."
        );
    }

    #[test]
    fn every_reason_is_a_sentence_of_its_own_and_so_is_one_that_only_a_newer_binary_knows() {
        let now = at("2026-03-01T14:02:00Z");
        let mut said = std::collections::HashSet::new();
        for reason in ["rate_limit", "breaker_open", "preparing", "paused", "retry", "moonlight"] {
            for until in [None, Some(at("2026-03-01T15:00:00Z"))] {
                let sentence = explain("Google Health", reason, until, now);
                assert!(sentence.ends_with('.') && !sentence.contains('_'), "{sentence}");
                assert!(until.is_none() || sentence.contains("15:00 UTC"), "{sentence}");
                assert!(said.insert(sentence));
            }
        }
    }
}
