//! Puts a hostile string into every place of a page that takes one.
//!
//! Invariant: no field is forgotten, because none is named: the model is walked as data.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Markup, an attribute's end, a right-to-left override, an escape sequence of a terminal, a zero byte, and 10 kB of the letter a.
#[must_use]
pub fn string() -> String {
    format!(
        "\"'><script>alert(1)</script>\u{202e}txt.exe\u{1b}[31m\0{}",
        "a".repeat(10_000)
    )
}

/// `model` with [`string`] in every string that may hold any text; strings that are words of an enum stay.
#[must_use]
pub fn everywhere<T: Serialize + DeserializeOwned>(model: &T) -> T {
    let mut value = serde_json::to_value(model).expect("a model is data");
    let mut places = Vec::new();
    strings(&value, String::new(), &mut places);
    for place in places {
        let before = value.pointer(&place).cloned().expect("a place that was found");
        *value.pointer_mut(&place).expect("a place that was found") = Value::String(string());
        if T::deserialize(&value).is_err() {
            *value.pointer_mut(&place).expect("a place that was found") = before;
        }
    }
    T::deserialize(&value).expect("each step was checked")
}

fn strings(value: &Value, here: String, places: &mut Vec<String>) {
    match value {
        Value::String(_) => places.push(here),
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                strings(item, format!("{here}/{number}"), places);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                strings(
                    field,
                    format!("{here}/{}", name.replace('~', "~0").replace('/', "~1")),
                    places,
                );
            }
        }
        _ => {}
    }
}
