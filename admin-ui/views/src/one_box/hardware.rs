//! What was found in a box: each value with its source, each missing one with the reason.
//!
//! Refuses to guess: a value that was not found is shown as missing. Invariant: every row says where it comes from.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Rows shown of one inventory; bounds a box that sends a million of them.
const ROWS: usize = 300;

/// The inventory of one box.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hardware {
    /// When it was reported, unix seconds.
    pub at: Option<i64>,
    /// Groups such as `processor`, `memory`, `accelerator 0`, `disk nvme0n1`.
    pub groups: Vec<HardwareGroup>,
}

/// One part of the hardware.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HardwareGroup {
    /// Its title.
    pub title: String,
    /// Its values.
    pub rows: Vec<HardwareRow>,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HardwareRow {
    /// Its name, for example `memory total`.
    pub name: String,
    /// The value with its unit; `None` when it is missing.
    pub value: Option<String>,
    /// Where it was read, for example `/proc/meminfo`.
    pub source: String,
    /// Why it is missing.
    pub reason: String,
}

impl Hardware {
    /// Reads the document of `freehold-inventory` as a box reports it (`BoxReport::inventory`). Anything that is not such a
    /// document gives no rows; what is there is shown, at most 300 values.
    #[must_use]
    pub fn from_inventory(document: &Value, at: Option<i64>) -> Self {
        let mut left = ROWS;
        let mut groups = Vec::new();
        if let Some(parts) = document.as_object() {
            for (name, part) in parts {
                match part {
                    Value::Object(_) => groups.extend(group(&title(name), part, &mut left)),
                    Value::Array(items) => {
                        for (number, item) in items.iter().enumerate() {
                            let name = format!("{} {number}", singular(&title(name)));
                            groups.extend(group(&name, item, &mut left));
                        }
                    }
                    _ => {}
                }
            }
        }
        Self { at, groups }
    }
}

fn group(title: &str, part: &Value, left: &mut usize) -> Option<HardwareGroup> {
    let mut rows = Vec::new();
    for (name, value) in part.as_object()? {
        if *left == 0 {
            break;
        }
        if let Some(row) = row(name, value) {
            *left = left.saturating_sub(1);
            rows.push(row);
        }
    }
    (!rows.is_empty()).then(|| HardwareGroup { title: title.to_owned(), rows })
}

/// A leaf is `{"value": …, "source": …}` or `{"missing": reason}`; its name may end in `_bytes`, `_mhz`, `_watts`, `_celsius`.
fn row(name: &str, leaf: &Value) -> Option<HardwareRow> {
    let leaf = leaf.as_object()?;
    if let Some(reason) = leaf.get("missing").and_then(Value::as_str) {
        return Some(HardwareRow { name: title(name), reason: reason.to_owned(), ..Default::default() });
    }
    let value = leaf.get("value")?;
    let source = leaf.get("source").and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(HardwareRow { name: title(name), value: Some(shown(name, value)), source, reason: String::new() })
}

fn shown(name: &str, value: &Value) -> String {
    let plain = match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(items) => items.iter().map(|item| shown("", item)).collect::<Vec<_>>().join(", "),
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    };
    match (name.rsplit_once('_').map(|(_, unit)| unit), value.as_u64()) {
        (Some("bytes"), Some(bytes)) => crate::text::bytes(&bytes),
        (Some("mhz"), _) => format!("{plain} MHz"),
        (Some("watts"), _) => format!("{plain} W"),
        (Some("celsius"), _) => format!("{plain} °C"),
        _ => plain,
    }
}

fn title(name: &str) -> String {
    let name = name.strip_suffix("_bytes").or(name.strip_suffix("_mhz")).unwrap_or(name);
    let name = name.strip_suffix("_watts").or(name.strip_suffix("_celsius")).unwrap_or(name);
    name.replace('_', " ")
}

fn singular(title: &str) -> &str {
    title.strip_suffix('s').unwrap_or(title)
}
