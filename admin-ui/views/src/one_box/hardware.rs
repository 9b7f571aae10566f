//! What was found in a box: each value with its source, each missing one with the reason.
//!
//! Refuses to guess: a value that was not found is shown as missing. Invariant: every row says where it comes from.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Rows shown of one inventory; bounds a box that sends a million of them.
const ROWS: usize = 300;

/// Fields of the inventory's document in the order in which people look for them.
const ORDER: [&str; 32] = [
    "processor",
    "memory",
    "accelerators",
    "disks",
    "name",
    "vendor",
    "model",
    "logical_processors",
    "memory_nodes",
    "engine_features",
    "total_bytes",
    "available_bytes",
    "swap_bytes",
    "kind",
    "id",
    "address",
    "driver",
    "driver_version",
    "nodes",
    "memory_bytes",
    "memory_used_bytes",
    "power_watts",
    "temperature_celsius",
    "link",
    "memory_node",
    "size_bytes",
    "rotational",
    "removable",
    "write_cache",
    "v",
    "value",
    "source",
];

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
            for (name, part) in in_order(parts) {
                match part {
                    Value::Object(_) => groups.extend(group(&title(name), part, &mut left)),
                    Value::Array(items) => {
                        for (number, item) in items.iter().enumerate() {
                            let own = item
                                .pointer("/name/value")
                                .and_then(Value::as_str)
                                .map_or(number.to_string(), str::to_owned);
                            groups.extend(group(&format!("{} {own}", singular(&title(name))), item, &mut left));
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
    for (name, value) in in_order(part.as_object()?) {
        if *left == 0 {
            break;
        }
        if let Some(row) = row(name, value) {
            *left = left.saturating_sub(1);
            rows.push(row);
        }
    }
    (!rows.is_empty()).then(|| HardwareGroup {
        title: title.to_owned(),
        rows,
    })
}

/// A leaf is `{"value": …, "source": …}` or `{"missing": reason}`; its name may end in `_bytes`, `_mhz`, `_watts`, `_celsius`.
fn row(name: &str, leaf: &Value) -> Option<HardwareRow> {
    let leaf = leaf.as_object()?;
    if let Some(reason) = leaf.get("missing").and_then(Value::as_str) {
        return Some(HardwareRow {
            name: title(name),
            reason: reason.to_owned(),
            ..Default::default()
        });
    }
    let value = leaf.get("value")?;
    let source = leaf
        .get("source")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    Some(HardwareRow {
        name: title(name),
        value: Some(shown(name, value)),
        source,
        reason: String::new(),
    })
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
    let name = name
        .strip_suffix("_bytes")
        .or(name.strip_suffix("_mhz"))
        .unwrap_or(name);
    let name = name
        .strip_suffix("_watts")
        .or(name.strip_suffix("_celsius"))
        .unwrap_or(name);
    let name = name.replace('_', " ");
    let mut letters = name.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The order of the inventory's own document, whatever order the JSON came in; what it does not know comes last, by name.
fn in_order(fields: &serde_json::Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
    fields.sort_by_key(|(name, _)| {
        (
            ORDER.iter().position(|known| known == name).unwrap_or(ORDER.len()),
            *name,
        )
    });
    fields
}

fn singular(title: &str) -> &str {
    title.strip_suffix('s').unwrap_or(title)
}
