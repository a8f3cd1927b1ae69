//! The administration as the HTTP API shows it, read from camelCase and written in the `snake_case` of the
//! command line. What this version does not know is left out, so that it can speak to a newer server.

pub(crate) mod fleet;
pub(crate) mod job;
pub(crate) mod operation;
pub(crate) mod report;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

/// A page of a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    #[serde(default)]
    pub(crate) next_cursor: Option<String>,
}

/// A time for a table: to the second, UTC.
pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// A time that may not have come, as a dash.
pub(crate) fn time_or_dash(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "-".to_owned(), time)
}

/// How long ago, in the largest unit that leaves a whole number.
pub(crate) fn ago(at: DateTime<Utc>) -> String {
    age(Utc::now() - at)
}

fn age(age: TimeDelta) -> String {
    let seconds = age.num_seconds().max(0);
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// At most so many characters, in one line.
pub(crate) fn short(text: &str, longest: usize) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((cut, _)) = line.char_indices().nth(longest) {
        line.truncate(cut);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_whole_numbers_of_their_largest_unit() {
        let written: Vec<_> =
            [-5, 0, 119, 120, 7_199, 7_200, 172_800].map(|s| age(TimeDelta::seconds(s))).into();
        assert_eq!(written, ["0s", "0s", "119s", "2m", "119m", "2h", "2d"]);
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_stays_in_one_line() {
        assert_eq!(short("a\n  b", 10), "a b");
        assert_eq!(short("äöüß", 2), "äö…");
    }
}
