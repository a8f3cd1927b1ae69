//! Changing a record's JSON text field by field, at whichever provider.
//!
//! Works on text, not on types, so that a test can put anything into any field: a word for a
//! distance, a number that fits no type, a character that a database refuses.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Fields of a JSON object, each as its text.
pub(crate) type Fields = BTreeMap<String, Box<RawValue>>;

/// Why a record could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The patch is not a JSON object.
    #[error("a patch is a JSON object of fields")]
    NotAnObject(#[source] serde_json::Error),
    /// The patch names a field that identifies the record.
    #[error("{0} is fixed")]
    Fixed(&'static str),
}

/// The fields of `json` with those of `patch` in their place, but none of `fixed`.
pub(crate) fn patched(
    json: &str,
    patch: &str,
    fixed: &[&'static str],
) -> Result<Fields, EditError> {
    let mut fields: Fields = serde_json::from_str(json).map_err(EditError::NotAnObject)?;
    let patch: Fields = serde_json::from_str(patch).map_err(EditError::NotAnObject)?;
    if let Some(fixed) = fixed.iter().find(|&&fixed| patch.contains_key(fixed)) {
        return Err(EditError::Fixed(fixed));
    }
    fields.extend(patch);
    Ok(fields)
}

/// A field's value, when it has this type.
pub(crate) fn read<T: serde::de::DeserializeOwned>(fields: &Fields, name: &str) -> Option<T> {
    serde_json::from_str(fields.get(name)?.get()).ok()
}

/// The object's text.
pub(crate) fn text(fields: &Fields) -> Result<String, EditError> {
    serde_json::to_string(fields).map_err(EditError::NotAnObject)
}
