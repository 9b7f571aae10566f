//! An entry: one line of canonical JSON that says when, who, what, and why not.
//!
//! Refuses fields that are named like secrets, raw control characters (they are escaped), and texts without end (they are
//! cut, and say so). Invariant: parsing an entry and encoding it again gives the same bytes.

use std::collections::BTreeMap;

use freehold_trust::Sha256Digest;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::entry::write::write_value;
use crate::rejection::RecordRejected;
use crate::tile::ENTRY_LIMIT;

mod write;

/// The version of the entry schema.
pub const ENTRY_VERSION: u64 = 1;

/// The longest text in an entry, bytes; a host name of a megabyte does not fill the record.
pub const TEXT_LIMIT: usize = 2048;

/// Names of fields that no entry may have: what they would hold does not belong in a record.
const SECRETS: &[&str] = &[
    "authorization",
    "cookie",
    "password",
    "private_key",
    "prompt",
    "recovery_key",
    "reply",
    "secret",
    "session",
    "token",
];

/// Names of fields that the schema itself uses.
const OWN: &[&str] = &["at", "refusal", "v", "what", "who"];

/// A value in an entry. There are no fractions, so that equal values are equal bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Nothing,
    /// Yes or no.
    Flag(bool),
    /// A whole number.
    Number(i128),
    /// A text; cut at [`TEXT_LIMIT`] when written.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// Named values, in the order of their names.
    Map(BTreeMap<String, Value>),
}

/// A refusal in an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalNote {
    /// The stable code.
    pub code: String,
    /// One line for a person.
    pub message: String,
    /// What would have been accepted.
    pub expected: Option<String>,
    /// What was found.
    pub found: Option<String>,
}

/// An entry to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    at_ms: i64,
    who: String,
    what: String,
    refusal: Option<RefusalNote>,
    fields: BTreeMap<String, Value>,
}

impl Entry {
    /// An entry of `at_ms` (unix milliseconds): `who` did `what` (a dotted code such as `model.admitted`).
    #[must_use]
    pub fn new(at_ms: i64, who: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            at_ms,
            who: who.into(),
            what: what.into(),
            refusal: None,
            fields: BTreeMap::new(),
        }
    }

    /// Adds a field; a later value of the same name replaces the earlier one.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// Says that it was refused, and why.
    #[must_use]
    pub fn refused(mut self, refusal: RefusalNote) -> Self {
        self.refusal = Some(refusal);
        self
    }

    /// What happened, the dotted code.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Whether it tells of a refusal.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        self.refusal.is_some()
    }

    /// A field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    /// The entry as one line of canonical JSON: names sorted, no spaces, every control, format and line-separating character
    /// escaped.
    ///
    /// # Errors
    /// `record.secret_field`, `record.entry_malformed` (a field or code of the wrong form, a time out of range),
    /// `record.entry_too_large`.
    pub fn encode(&self) -> Result<Vec<u8>, RecordRejected> {
        let malformed = |fault: &str| RecordRejected::EntryMalformed {
            fault: fault.to_owned(),
        };
        if !is_code(&self.what) {
            return Err(malformed(
                "`what` is a dotted code of lower-case letters, digits and underscores",
            ));
        }
        let mut all = self.fields.clone();
        for name in all.keys() {
            if SECRETS.contains(&name.as_str()) {
                return Err(RecordRejected::SecretField { field: name.clone() });
            }
            if OWN.contains(&name.as_str()) || !is_name(name) {
                return Err(malformed(
                    "a field's name has lower-case letters, digits and underscores, and is not ours",
                ));
            }
        }
        all.insert("v".to_owned(), Value::from(ENTRY_VERSION));
        all.insert(
            "at".to_owned(),
            Value::Text(instant(self.at_ms).ok_or_else(|| malformed("its time is out of range"))?),
        );
        all.insert("who".to_owned(), Value::from(self.who.as_str()));
        all.insert("what".to_owned(), Value::from(self.what.as_str()));
        if let Some(refusal) = &self.refusal {
            let mut map = BTreeMap::new();
            map.insert("code".to_owned(), Value::from(refusal.code.as_str()));
            map.insert("message".to_owned(), Value::from(refusal.message.as_str()));
            let optional = [("expected", &refusal.expected), ("found", &refusal.found)];
            for (name, text) in optional {
                if let Some(text) = text {
                    map.insert(name.to_owned(), Value::from(text.as_str()));
                }
            }
            all.insert("refusal".to_owned(), Value::Map(map));
        }
        let mut text = String::new();
        write_value(&mut text, &Value::Map(all));
        if text.len() > ENTRY_LIMIT {
            return Err(RecordRejected::EntryTooLarge {
                found: text.len(),
                limit: ENTRY_LIMIT,
            });
        }
        Ok(text.into_bytes())
    }
}

/// An entry that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryView {
    /// When, RFC 3339 in UTC with milliseconds.
    pub at: String,
    /// Who.
    pub who: String,
    /// What, a dotted code.
    pub what: String,
    /// Why not, when it was refused.
    pub refusal: Option<RefusalNote>,
    /// Everything else.
    pub fields: BTreeMap<String, Value>,
}

impl EntryView {
    /// A field that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.fields.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A field that is a number and not negative.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        match self.fields.get(name) {
            Some(Value::Number(number)) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// `record.entry_malformed` when it is not of our schema or not canonical, `record.entry_too_large`.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordRejected> {
        let malformed = |fault: &str| RecordRejected::EntryMalformed {
            fault: fault.to_owned(),
        };
        if bytes.len() > ENTRY_LIMIT {
            return Err(RecordRejected::EntryTooLarge {
                found: bytes.len(),
                limit: ENTRY_LIMIT,
            });
        }
        let json: serde_json::Value = serde_json::from_slice(bytes).map_err(|_| malformed("not json"))?;
        let Value::Map(mut fields) = Value::from(&json) else {
            return Err(malformed("not an object"));
        };
        let mut text = String::new();
        write_value(&mut text, &Value::Map(fields.clone()));
        if text.as_bytes() != bytes {
            return Err(malformed("not canonical"));
        }
        if fields.remove("v") != Some(Value::from(ENTRY_VERSION)) {
            return Err(malformed("a version that is not known here"));
        }
        let refusal = match fields.remove("refusal") {
            None => None,
            Some(Value::Map(mut map)) => Some(RefusalNote {
                code: text_of(map.remove("code")).ok_or_else(|| malformed("a refusal without code"))?,
                message: text_of(map.remove("message")).ok_or_else(|| malformed("a refusal without message"))?,
                expected: text_of(map.remove("expected")),
                found: text_of(map.remove("found")),
            }),
            Some(_) => return Err(malformed("a refusal that is not an object")),
        };
        Ok(Self {
            at: text_of(fields.remove("at")).ok_or_else(|| malformed("no time"))?,
            who: text_of(fields.remove("who")).ok_or_else(|| malformed("no `who`"))?,
            what: text_of(fields.remove("what")).ok_or_else(|| malformed("no `what`"))?,
            refusal,
            fields,
        })
    }
}

/// Writes a value as entries are written: sorted names, no spaces, one line.
pub fn write_canonical(out: &mut String, value: &Value) {
    write_value(out, value);
}

fn text_of(value: Option<Value>) -> Option<String> {
    match value {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

/// RFC 3339, UTC, milliseconds.
fn instant(ms: i64) -> Option<String> {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms).checked_mul(1_000_000)?).ok()?;
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    at.format(form).ok()
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn is_code(code: &str) -> bool {
    code.len() <= 64 && code.split('.').all(is_name)
}

impl From<&serde_json::Value> for Value {
    /// Fractions become texts: there are none in an entry.
    fn from(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Nothing,
            serde_json::Value::Bool(flag) => Self::Flag(*flag),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Self::Number(number.into()),
                (None, Some(number)) => Self::Number(number.into()),
                (None, None) => Self::Text(number.to_string()),
            },
            serde_json::Value::String(text) => Self::Text(text.clone()),
            serde_json::Value::Array(list) => Self::List(list.iter().map(Self::from).collect()),
            serde_json::Value::Object(map) => Self::Map(map.iter().map(|(k, v)| (k.clone(), Self::from(v))).collect()),
        }
    }
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        Self::from(&json)
    }
}

impl From<&Value> for serde_json::Value {
    fn from(value: &Value) -> Self {
        match value {
            Value::Nothing => Self::Null,
            Value::Flag(flag) => Self::Bool(*flag),
            Value::Number(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => number.into(),
                (Err(_), Ok(number)) => number.into(),
                (Err(_), Err(_)) => Self::String(number.to_string()),
            },
            Value::Text(text) => Self::String(text.clone()),
            Value::List(list) => Self::Array(list.iter().map(Self::from).collect()),
            Value::Map(map) => Self::Object(map.iter().map(|(k, v)| (k.clone(), Self::from(v))).collect()),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

macro_rules! numbers {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Value {
            fn from(number: $kind) -> Self {
                Self::Number(number.into())
            }
        }
    )*};
}
numbers!(u8, u16, u32, u64, i32, i64);

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(i128::try_from(number).unwrap_or(i128::MAX))
    }
}

impl From<Sha256Digest> for Value {
    fn from(digest: Sha256Digest) -> Self {
        Self::Text(digest.to_hex())
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(list: Vec<T>) -> Self {
        Self::List(list.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nothing, Into::into)
    }
}
