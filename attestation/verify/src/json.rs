//! Strict JSON: what every signed JSON document here is read with.
//!
//! Refuses duplicate keys (two readers would see two documents), trailing bytes, over-long input and deep nesting.
//! Invariant: a value that comes out of [`parse`] has exactly one meaning.

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why bytes are not acceptable JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// Longer than the caller's limit, which bounds memory against endless input.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// Not JSON, a duplicate key, or not of the expected shape; the text says where.
    #[error("{0}")]
    Form(String),
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            out.push(item);
        }
        Ok(Value::Array(out))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if out.contains_key(&key) {
                return Err(A::Error::custom(format_args!(
                    "duplicate key `{}`",
                    crate::text::shown(&key)
                )));
            }
            let value = entries.next_value_seed(Strict)?;
            out.insert(key, value);
        }
        Ok(Value::Object(out))
    }
}

/// Parses `bytes` (at most `limit` of them) as one JSON value without duplicate keys. Nesting is bounded by the parser (128).
pub fn parse(bytes: &[u8], limit: usize) -> Result<Value, JsonFault> {
    if bytes.len() > limit {
        return Err(JsonFault::TooLong { limit });
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict
        .deserialize(&mut reader)
        .map_err(|error| JsonFault::Form(error.to_string()))?;
    reader.end().map_err(|error| JsonFault::Form(error.to_string()))?;
    Ok(value)
}

/// Parses strictly, then reads the value as `T`.
pub fn typed<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, JsonFault> {
    serde_json::from_value(parse(bytes, limit)?).map_err(|error| JsonFault::Form(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_keys_are_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"x":[{"b":1,"b":2}]}"#, r#"{"a":1,"\u0061":2}"#] {
            assert!(
                matches!(parse(text.as_bytes(), 1000), Err(JsonFault::Form(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn trailing_bytes_and_long_input_are_refused() {
        assert!(parse(b"{} x", 100).is_err());
        assert_eq!(parse(b"{}", 1), Err(JsonFault::TooLong { limit: 1 }));
        assert!(parse(&[b'['; 5000], 10_000).is_err());
    }

    #[test]
    fn ordinary_documents_are_read_as_serde_json_reads_them() {
        let text = br#"{"a":[1,-2,3.5,true,null,"\u00e9"],"b":{}}"#;
        let expected: Value = serde_json::from_slice(text).unwrap();
        assert_eq!(parse(text, 1000).unwrap(), expected);
    }
}
