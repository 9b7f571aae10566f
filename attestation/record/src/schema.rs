//! What an entry of each kind must say: the schema of boxes' and consoles' records.
//!
//! Refuses kinds that nobody declared, and entries that lack what their kind promises. Fields that a kind does not name are let
//! through: a later version may say more. Invariant: every kind stands once in [`KINDS`], with a sentence for a person.

mod kinds;

use crate::entry::{Entry, Value};
use crate::rejection::RecordRejected;

pub use kinds::KINDS;

/// The form of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A text.
    Text,
    /// SHA-256 in hex.
    Digest,
    /// A whole number.
    Number,
    /// Yes or no.
    Flag,
    /// A list of texts.
    Texts,
}

impl Form {
    /// The form in one word, for documents.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Digest => "sha-256",
            Self::Number => "number",
            Self::Flag => "flag",
            Self::Texts => "texts",
        }
    }

    fn fits(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text, Value::Text(_)) | (Self::Number, Value::Number(_)) | (Self::Flag, Value::Flag(_)) => true,
            (Self::Digest, Value::Text(text)) => text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()),
            (Self::Texts, Value::List(list)) => list.iter().all(|item| matches!(item, Value::Text(_))),
            _ => false,
        }
    }
}

/// A field of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its form.
    pub form: Form,
    /// Whether an entry that is no refusal must have it; otherwise it may be missing or null.
    pub needed: bool,
}

/// A kind of entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The dotted code in `what`.
    pub what: &'static str,
    /// What such an entry says, for a person.
    pub says: &'static str,
    /// Its fields, beside `site` and `about`, which any entry may have.
    pub fields: &'static [Field],
}

/// The kind of `what`.
#[must_use]
pub fn kind(what: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.what == what)
}

/// Checks an entry against its kind. An entry that tells of a refusal may lack fields: what was refused may not have had them.
///
/// # Errors
/// `record.entry_unknown` for a kind that is not declared, `record.entry_schema` for a field that is missing or of another form.
pub fn check(entry: &Entry) -> Result<(), RecordRejected> {
    let what = entry.what();
    let kind = kind(what).ok_or_else(|| RecordRejected::EntryUnknown { what: what.to_owned() })?;
    for field in kind.fields {
        let wrong = || RecordRejected::EntrySchema {
            what: kind.what,
            field: field.name,
            wanted: field.form.word(),
        };
        match entry.field(field.name) {
            None | Some(Value::Nothing) if field.needed && !entry.is_refusal() => return Err(wrong()),
            None | Some(Value::Nothing) => {}
            Some(value) if field.form.fits(value) => {}
            Some(_) => return Err(wrong()),
        }
    }
    Ok(())
}
