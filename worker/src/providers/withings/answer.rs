//! The envelope of every answer of Withings: a status, and a body that only counts where the status is 0. HTTP says
//! 200 of nearly all of them.

use super::{
    json::{Fields, decimal, odd},
    source::Stream,
};
use crate::providers::Unreadable;
use rust_decimal::prelude::ToPrimitive as _;
use serde_json::value::RawValue;

/// What the envelope says is wrong.
#[derive(Clone, Debug)]
pub(super) struct Status {
    /// Withings' code, in no way one of HTTP.
    pub(super) code: i64,
    /// The text beside it, which differs from day to day.
    pub(super) words: String,
}

/// The body of an answer, or what its status says. `Err`: it is no answer of Withings.
pub(super) fn open(answer: &[u8]) -> Result<Result<Fields<'_>, Status>, Unreadable> {
    let text = std::str::from_utf8(answer).map_err(|error| Unreadable(error.to_string()))?;
    let envelope = Fields::of(text)?;
    let code = envelope.whole("status")?.ok_or_else(|| odd("status"))?;
    if code == 0 {
        return envelope.object("body").map(Ok);
    }
    let words = envelope.text("error").ok().flatten().unwrap_or_default().into_owned();
    Ok(Err(Status { code, words }))
}

/// What reading on needs to know of a page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Where the next page begins; `None`: this was the last.
    pub(super) next: Option<i64>,
    /// When Withings answered, by its own clock, where it says so.
    pub(super) as_of: Option<i64>,
    /// The zone of all that names none itself.
    pub(super) zone: Option<String>,
}

/// A page of a list. Its list must be there, even if empty, and where more follows it must say from where.
pub(super) fn page(body: &Fields<'_>, stream: Stream, offset: i64) -> Result<Page, Unreadable> {
    body.list(stream.list())?;
    let next = if more(body.raw("more"))? {
        let next = body.whole("offset")?.filter(|next| *next > offset);
        Some(next.ok_or_else(|| Unreadable("more follows, but it is not said from where".into()))?)
    } else {
        None
    };
    // Documented as a text, sent as a number.
    let as_of = body.raw("updatetime").and_then(decimal).and_then(|number| number.to_i64());
    let zone = body.text("timezone").ok().flatten().map(std::borrow::Cow::into_owned);
    Ok(Page { next, as_of, zone })
}

/// Whether more follows: 0 or 1, false or true, or nothing at all at the end.
fn more(raw: Option<&RawValue>) -> Result<bool, Unreadable> {
    match raw.map(RawValue::get) {
        None | Some("0" | "false" | "\"0\"" | "\"\"") => Ok(false),
        Some("true" | "\"1\"") => Ok(true),
        Some(number) if number.parse::<i64>().is_ok_and(|number| number > 0) => Ok(true),
        Some(_) => Err(odd("more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Page, Unreadable> {
        page(&Fields::of(body).unwrap(), Stream::Measures, 0)
    }

    #[test]
    fn more_is_an_integer_or_a_boolean_or_absent() {
        for (more, next) in [
            (r#","more":1,"offset":300"#, Some(300)),
            (r#","more":true,"offset":"300""#, Some(300)),
            (r#","more":0,"offset":0"#, None),
            (r#","more":false,"offset":0"#, None),
            (r#","more":null"#, None),
            ("", None),
        ] {
            assert_eq!(
                read(&format!(r#"{{"measuregrps":[]{more}}}"#)).unwrap().next,
                next,
                "{more}"
            );
        }
        for odd in [r#","more":"perhaps""#, r#","more":true"#, r#","more":1,"offset":0"#] {
            assert!(read(&format!(r#"{{"measuregrps":[]{odd}}}"#)).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_page_without_its_list_is_none() {
        assert!(read("{}").is_err());
        assert!(read(r#"{"measuregrps":{}}"#).is_err());
        assert!(read(r#"{"series":[]}"#).is_err());
    }

    #[test]
    fn the_time_of_an_answer_is_a_number_or_a_text() {
        for time in ["1604000000", "\"1604000000\""] {
            let page = read(&format!(
                r#"{{"measuregrps":[],"updatetime":{time},"timezone":"Europe/Paris"}}"#
            ));
            let page = page.unwrap();
            assert_eq!(
                (page.as_of, page.zone.as_deref()),
                (Some(1_604_000_000), Some("Europe/Paris"))
            );
        }
        assert_eq!(read(r#"{"measuregrps":[],"updatetime":"soon"}"#).unwrap().as_of, None);
    }

    #[test]
    fn a_status_that_is_not_0_is_no_body() {
        let status = open(br#"{"status":601,"body":{},"error":"Too Many Requests"}"#);
        assert_eq!(status.unwrap().unwrap_err().code, 601);
        for no_answer in [
            "",
            "<html>",
            "[]",
            r#"{"body":{}}"#,
            r#"{"status":"soon"}"#,
            r#"{"status":0,"body":7}"#,
        ] {
            assert!(open(no_answer.as_bytes()).is_err(), "{no_answer}");
        }
    }
}
