//! Entries in the forms that other programs read: JSON lines, CSV (RFC 4180), syslog (RFC 5424).
//!
//! Refuses to let an entry's text become another line, column or header. Invariant: one entry, one line.

use freehold_record::{EntryView, Value};

use super::Format;

/// Facility 13 (log audit) and severity 6 (informational), or 4 (warning) for a refusal: RFC 5424, section 6.2.1.
const INFORMATIONAL: u8 = 13 * 8 + 6;
const WARNING: u8 = 13 * 8 + 4;
/// Our structured data's name. 32473 is the number that RFC 5612 keeps for documentation: this project has none of its own.
const STRUCTURED: &str = "freehold@32473";

/// What stands before the entries.
pub(super) const fn head(format: Format) -> &'static str {
    match format {
        Format::Csv => "index,at,who,what,about,refusal,fields\r\n",
        Format::Jsonl | Format::Rfc5424 => "",
    }
}

/// An entry as a line.
pub(super) fn line(format: Format, index: u64, bytes: &[u8]) -> Vec<u8> {
    let view = match (format, EntryView::parse(bytes)) {
        (Format::Jsonl, _) | (_, Err(_)) => return [bytes, b"\n"].concat(),
        (_, Ok(view)) => view,
    };
    match format {
        Format::Rfc5424 => syslog(index, &view).into_bytes(),
        _ => csv(index, &view).into_bytes(),
    }
}

fn rest(view: &EntryView) -> String {
    let mut fields = view.fields.clone();
    fields.remove("about");
    serde_json::Value::from(&Value::Map(fields)).to_string()
}

fn csv(index: u64, view: &EntryView) -> String {
    let code = view
        .refusal
        .as_ref()
        .map(|refusal| refusal.code.as_str())
        .unwrap_or_default();
    let about = view.text("about").unwrap_or_default();
    let cells = [view.at.as_str(), &view.who, &view.what, about, code, &rest(view)].map(cell);
    format!("{index},{}\r\n", cells.join(","))
}

/// A cell: quoted, and never the beginning of a formula in a spreadsheet.
fn cell(text: &str) -> String {
    let mut safe: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if safe.starts_with(['=', '+', '-', '@']) {
        safe.insert(0, '\'');
    }
    format!("\"{}\"", safe.replace('"', "\"\""))
}

fn syslog(index: u64, view: &EntryView) -> String {
    let priority = if view.refusal.is_some() { WARNING } else { INFORMATIONAL };
    let code = view.refusal.as_ref().map(|refusal| refusal.code.as_str());
    let mut data = format!("[{STRUCTURED} index=\"{index}\" who=\"{}\"", parameter(&view.who));
    for (name, value) in [("about", view.text("about")), ("refusal", code)] {
        if let Some(value) = value {
            data.push_str(&format!(" {name}=\"{}\"", parameter(value)));
        }
    }
    data.push(']');
    let message: String = rest(view)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    // VERSION 1; host and process are not known to a record: NILVALUE. The message identifier is at most 32 characters.
    let kind: String = view.what.chars().take(32).collect();
    format!(
        "<{priority}>1 {} - freehold - {kind} {data} \u{feff}{message}\n",
        view.at
    )
}

/// A parameter's value: quotation marks, backslashes and closing brackets are escaped (RFC 5424, section 6.3.3).
fn parameter(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' | '\\' | ']' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> Vec<u8> {
        freehold_record::Entry::new(1_795_000_000_123, "box:\"a]\\\n", "verdict.reached")
            .with("about", "=cmd")
            .with("evidence", "x\ny")
            .encode()
            .unwrap_or_default()
    }

    #[test]
    fn jsonl_is_the_entry_itself() {
        assert_eq!(line(Format::Jsonl, 7, &bytes()), [bytes().as_slice(), b"\n"].concat());
    }

    #[test]
    fn csv_has_one_line_and_no_formula() {
        let text = String::from_utf8(line(Format::Csv, 7, &bytes())).unwrap_or_default();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(
            text.starts_with("7,\"2026-11-18T11:06:40.123Z\",\"box:\"\"a]\\ \",\"verdict.reached\",\"'=cmd\",\"\","),
            "{text}"
        );
    }

    #[test]
    fn syslog_lines_are_escaped_and_end_once() {
        let text = String::from_utf8(line(Format::Rfc5424, 7, &bytes())).unwrap_or_default();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(
            text.starts_with("<110>1 2026-11-18T11:06:40.123Z - freehold - verdict.reached [freehold@32473 index=\"7\" who=\"box:\\\"a\\]\\\\ \""),
            "{text}"
        );
    }
}
