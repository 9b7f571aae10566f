//! The names of a model's files: relative, plain, and the same on every file system.
//!
//! Refuses what a path could do besides naming a file: climb, start at the root, end a C string, be read as two names by
//! another system. Invariant: a name that passes can be joined to a folder and stays below it.

use super::rejection::ModelRejection;
use crate::text::shown;

/// Longest name in bytes; Linux's own bound for a path (PATH_MAX) leaves room for the store's folder in front of it.
pub const MAX_NAME: usize = 1024;
/// Longest segment in bytes (NAME_MAX); a longer one could not be stored.
const MAX_SEGMENT: usize = 255;

/// The rule that `name` breaks, if it breaks one.
pub(crate) fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.len() > MAX_NAME {
        return Some("it is too long");
    }
    if name.starts_with('/') {
        return Some("it is absolute");
    }
    if name.contains('\\') {
        return Some("it has a backslash");
    }
    if name.chars().any(char::is_control) {
        return Some("it has a control character");
    }
    for segment in name.split('/') {
        match segment {
            "" => return Some("it has an empty part"),
            "." | ".." => return Some("it climbs or points at itself"),
            _ if segment.len() > MAX_SEGMENT => return Some("a part is too long"),
            _ => {}
        }
    }
    None
}

/// Checks one name; [`ModelRejection::FileName`] otherwise.
pub(crate) fn check(name: &str) -> Result<(), ModelRejection> {
    match fault(name) {
        None => Ok(()),
        Some(reason) => Err(ModelRejection::FileName {
            name: shown(name),
            reason,
        }),
    }
}

/// A name without what case-insensitive and normalising file systems ignore: two names of one model with the same fold
/// would be one file there.
pub(crate) fn fold(name: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    name.nfc().flat_map(char::to_lowercase).nfc().collect()
}
