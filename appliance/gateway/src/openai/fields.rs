//! Fields whose JSON has more than one shape, and limits on their values.
//!
//! Refuses parts of a message that are not text. Invariant: a value that passed is one that an engine takes.

use crate::refusal::GatewayRejection;
use freehold_engine::Role;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use std::fmt;

/// Bounds work per request; a conversation of more messages is a document.
pub const MAX_MESSAGES: usize = 1024;

/// As OpenAI's own limit.
pub const MAX_STOPS: usize = 16;

/// Bounds the texts of one embeddings request, as OpenAI's own limit.
pub const MAX_TEXTS: usize = 2048;

/// A message's text: a string, or a list of text parts that belong together.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Content(pub String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TextPart {
    r#type: TextKind,
    text: String,
}

#[derive(Deserialize)]
enum TextKind {
    #[serde(rename = "text")]
    Text,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shapes;
        impl<'de> Visitor<'de> for Shapes {
            type Value = Content;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of text parts")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content(text.to_owned()))
            }
            fn visit_string<E: Error>(self, text: String) -> Result<Content, E> {
                Ok(Content(text))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Content, A::Error> {
                let mut all = String::new();
                while let Some(TextPart {
                    r#type: TextKind::Text,
                    text,
                }) = parts.next_element()?
                {
                    all.push_str(&text);
                }
                Ok(Content(all))
            }
        }
        deserializer.deserialize_any(Shapes)
    }
}

/// One text, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl OneOrMany {
    /// As a list.
    pub fn into_list(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

/// Who says a message; `developer` is OpenAI's newer word for `system`.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub enum WireRole {
    /// Instructions.
    System,
    /// Instructions.
    Developer,
    /// The caller.
    User,
    /// The model.
    Assistant,
}

impl From<WireRole> for Role {
    fn from(role: WireRole) -> Self {
        match role {
            WireRole::System | WireRole::Developer => Self::System,
            WireRole::User => Self::User,
            WireRole::Assistant => Self::Assistant,
        }
    }
}

/// Refuses a number outside its range, and what is not a number.
pub fn number(
    field: &'static str,
    value: Option<f32>,
    low: f32,
    high: f32,
    expected: &'static str,
) -> Result<Option<f32>, GatewayRejection> {
    match value {
        Some(number) if !(number >= low && number <= high) => Err(GatewayRejection::Field { field, expected }),
        other => Ok(other),
    }
}

/// Any whole number becomes one of the engine's 32-bit seeds; the same number always the same one.
pub fn seed(value: Option<i64>) -> Option<u32> {
    value.map(|seed| u32::try_from(seed.rem_euclid(1 << 32)).unwrap_or(0))
}

/// Refuses too many stop texts, and empty ones.
pub fn stops(value: Option<OneOrMany>) -> Result<Vec<String>, GatewayRejection> {
    let stops = value.map(OneOrMany::into_list).unwrap_or_default();
    if stops.len() > MAX_STOPS || stops.iter().any(String::is_empty) {
        return Err(GatewayRejection::Field {
            field: "stop",
            expected: "at most 16 texts, none of them empty",
        });
    }
    Ok(stops)
}

/// Refuses no texts, empty ones and too many.
pub fn texts(value: OneOrMany) -> Result<Vec<String>, GatewayRejection> {
    let texts = value.into_list();
    if texts.is_empty() || texts.len() > MAX_TEXTS || texts.iter().any(String::is_empty) {
        return Err(GatewayRejection::Field {
            field: "input",
            expected: "1 to 2048 texts, none of them empty",
        });
    }
    Ok(texts)
}

/// Refuses a flag that is set; `false`, `null` and absence are the same.
pub fn unset(field: &'static str, value: Option<bool>) -> Result<(), GatewayRejection> {
    if value == Some(true) {
        Err(GatewayRejection::Field {
            field,
            expected: "false",
        })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_text_in_either_shape_and_nothing_else() {
        let read = |json: &str| serde_json::from_str::<Content>(json).ok().map(|content| content.0);
        assert_eq!(read(r#""a""#).as_deref(), Some("a"));
        assert_eq!(
            read(r#"[{"type":"text","text":"a"},{"type":"text","text":"b"}]"#).as_deref(),
            Some("ab")
        );
        for refused in [
            r#"[{"type":"image_url","image_url":{"url":"http://x.invalid"}}]"#,
            "7",
            "null",
            "{}",
        ] {
            assert_eq!(read(refused), None, "{refused}");
        }
    }

    #[test]
    fn numbers_outside_their_range_are_refused() {
        assert!(number("temperature", Some(0.0), 0.0, 5.0, "0 to 5").is_ok());
        for bad in [-0.1, 5.1, f32::NAN, f32::INFINITY] {
            let refused = number("temperature", Some(bad), 0.0, 5.0, "0 to 5").unwrap_err();
            assert_eq!(refused.code(), "gateway.field");
        }
        assert_eq!(seed(Some(-1)), Some(u32::MAX));
        assert!(stops(Some(OneOrMany::One(String::new()))).is_err());
    }
}
