//! Turns the words of deserializers into the name of a field and a sentence for whoever sent it.

use crate::problem::FieldError;
use serde_path_to_error::Path;

/// What was wrong, in terms of JSON instead of Rust.
pub(super) fn field_error(path: &Path, message: &str) -> FieldError {
    let path = path.to_string();
    let at = if path == "." { "" } else { path.as_str() };
    let message = strip_position(message);
    for (start, sentence) in [
        ("unknown field `", "is no field that is known here"),
        ("missing field `", "is missing"),
        ("duplicate field `", "stands twice"),
    ] {
        if let Some((name, rest)) = message.strip_prefix(start).and_then(|m| m.split_once('`')) {
            let field = join(at, name);
            let known = rest.strip_prefix(", ").map(|rest| format!("; {}", plain(rest)));
            return FieldError::new(field, format!("{sentence}{}", known.unwrap_or_default()));
        }
    }
    FieldError::new(at, plain(message))
}

/// `parent.name`, unless the path ends with the name already.
fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() || parent == name {
        name.to_owned()
    } else if parent.rsplit('.').next() == Some(name) {
        parent.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}

/// Without ` at line 1 column 17`: the field says it better.
fn strip_position(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(text, _)| text)
}

fn plain(message: &str) -> String {
    if message == "expected value" {
        return "must be text".to_owned();
    }
    message
        .replace("invalid type: map,", "an object came,")
        .replace("invalid type: sequence,", "a list came,")
        .replace("invalid type: ", "")
        .replace("invalid value: ", "")
        .replace("unknown variant ", "")
        .replace("expected i64", "expected a whole number")
        .replace("invalid digit found in string", "expected a whole number")
        .replace("cannot parse integer from empty string", "expected a whole number")
        .replace("number too large to fit in target type", "the number is too large")
        .replace("number too small to fit in target type", "the number is too small")
        .replace("expected a sequence", "expected a list")
        .replace("expected a boolean", "expected true or false")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its errors are looked at")]
    struct Outer {
        inner: Inner,
        list: Option<Vec<String>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its errors are looked at")]
    struct Inner {
        size: i64,
    }

    fn error_of(json: &str) -> (String, String) {
        let mut reader = serde_json::Deserializer::from_str(json);
        let error = serde_path_to_error::deserialize::<_, Outer>(&mut reader).unwrap_err();
        let FieldError { field, message } = field_error(error.path(), &error.inner().to_string());
        (field, message)
    }

    #[test]
    fn every_fault_is_named_by_its_place() {
        for (json, field, message) in [
            (
                r#"{"inner":{"size":1},"colour":1}"#,
                "colour",
                "is no field that is known here; expected `inner` or `list`",
            ),
            (
                r#"{"inner":{"size":1,"colour":1}}"#,
                "inner.colour",
                "is no field that is known here; expected `size`",
            ),
            (r#"{"inner":{}}"#, "inner.size", "is missing"),
            (r#"{"inner":{"size":1,"size":2}}"#, "inner.size", "stands twice"),
            (
                r#"{"inner":{"size":1.5}}"#,
                "inner.size",
                "floating point `1.5`, expected a whole number",
            ),
            (r#"{"inner":{"size":1},"list":["a",2]}"#, "list[1]", "integer `2`, expected a string"),
            ("{}", "inner", "is missing"),
        ] {
            assert_eq!(error_of(json), (field.to_owned(), message.to_owned()), "{json}");
        }
    }
}
