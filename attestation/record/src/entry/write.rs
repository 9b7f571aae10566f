//! Canonical JSON: sorted names, no spaces, one line, only what a terminal shows.
//!
//! Refuses to pass on a character that could move a cursor, end a line, or turn the direction of text: it writes `\uXXXX`.
//! Invariant: the output has no byte below 0x20 and parses to the value that was written (texts cut at the limit).

use std::fmt::Write as _;

use freehold_trust::sha256;

use super::{TEXT_LIMIT, Value};

/// Writes `value` to `out`.
pub(super) fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Nothing => out.push_str("null"),
        Value::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => {
            let _ = write!(out, "{number}");
        }
        Value::Text(text) => write_text(out, text),
        Value::List(list) => {
            out.push('[');
            for (at, item) in list.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (at, (name, item)) in map.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_text(out, name);
                out.push(':');
                write_value(out, item);
            }
            out.push('}');
        }
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    let (kept, note) = cut(text);
    for c in kept.chars().chain(note.chars()) {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if is_hidden(c) => {
                let mut units = [0u16; 2];
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A text of at most [`TEXT_LIMIT`] bytes, and what to write in place of the rest. A text that was cut before is short enough
/// not to be cut again.
fn cut(text: &str) -> (&str, String) {
    if text.len() <= TEXT_LIMIT {
        return (text, String::new());
    }
    // Room for the note, so that the result is within the limit itself.
    let kept = text
        .get(..text.floor_char_boundary(TEXT_LIMIT.saturating_sub(128)))
        .unwrap_or_default();
    (
        kept,
        format!("… [{} bytes, sha-256 {}]", text.len(), sha256(text.as_bytes())),
    )
}

/// Controls (C0, DEL, C1), line and paragraph separators, directional and other invisible format characters, and what is not
/// a character at all.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0x00ad | 0x034f | 0x061c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f
            | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0 | 0xfff0..=0xfffb
            | 0xe0000..=0xe0fff)
}
