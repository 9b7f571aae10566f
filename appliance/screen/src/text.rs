//! How values become text on a screen that may be a serial line.
//!
//! Refuses to pass on what a terminal would obey: control characters, and everything beyond Latin-1. Invariant: one
//! character of the result is one cell.

use freehold_protocol::status::{ModelPhase, VerdictWord};
use time::OffsetDateTime;
use time::macros::format_description;

/// Characters of one value that are looked at; bounds a label of 10 MB.
const LONGEST: usize = 2000;

/// Text that is one cell a character: typographic signs in ASCII, Latin-1 letters as they are, the rest as `?`.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(LONGEST) {
        match c {
            '\t' | '\n' | '\r' | '\u{a0}' => out.push(' '),
            '·' | '–' | '—' => out.push('-'),
            '…' => out.push_str("..."),
            '×' => out.push('x'),
            '≤' => out.push_str("<="),
            '→' => out.push_str("->"),
            '“' | '”' => out.push('"'),
            '‘' | '’' => out.push('\''),
            '`' | ' '..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{ff}' => out.push(c),
            _ => out.push('?'),
        }
    }
    out
}

/// The same without letters that a line of seven bits does not carry.
pub(crate) fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

/// The text in lines of at most `width` characters, broken between words where there are any; at most `most` lines, the
/// last of which says so when something is left out.
pub(crate) fn wrap(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in clean(text).split(' ').filter(|word| !word.is_empty()) {
        let mut word: &str = word;
        loop {
            let room = width.saturating_sub(if line.is_empty() { 0 } else { line.chars().count() + 1 });
            let length = word.chars().count();
            if length <= room {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
                break;
            }
            if line.is_empty() {
                // A word longer than a line: a digest, a path.
                let (head, tail) = word.split_at(word.char_indices().nth(width).map_or(word.len(), |(at, _)| at));
                lines.push(head.to_owned());
                word = tail;
            } else {
                lines.push(std::mem::take(&mut line));
            }
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = last.chars().take(width.saturating_sub(3)).collect();
            last.truncate(last.trim_end().len());
            last.push_str("...");
        }
    }
    lines
}

/// At most `width` characters, three dots at the end where something was left out.
pub(crate) fn cut(text: &str, width: usize) -> String {
    let text = clean(text);
    if text.chars().count() <= width {
        return text;
    }
    let mut short: String = text.chars().take(width.saturating_sub(3)).collect();
    short.push_str("...");
    short
}

/// Left and right at the two ends of `width`; the left one gives way.
pub(crate) fn ends(left: &str, right: &str, width: usize) -> String {
    let right = cut(right, width * 2 / 3);
    let room = width.saturating_sub(right.chars().count() + 2);
    let left = cut(left, room);
    let gap = width.saturating_sub(left.chars().count() + right.chars().count());
    format!("{left}{}{right}", " ".repeat(gap))
}

/// `2026-11-21 09:14 UTC`.
pub(crate) fn moment(at: i64) -> String {
    OffsetDateTime::from_unix_timestamp(at)
        .ok()
        .and_then(|at| {
            at.format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC"))
                .ok()
        })
        .unwrap_or_else(|| "at an unknown time".to_owned())
}

/// Bytes as people read them on a disk: `412 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    for (unit, of) in UNITS {
        if let (Some(whole), Some(tenths)) = (bytes.checked_div(of), bytes.saturating_mul(10).checked_div(of))
            && whole > 0
        {
            return if whole < 10 {
                format!("{whole}.{} {unit}", tenths % 10)
            } else {
                format!("{whole} {unit}")
            };
        }
    }
    format!("{bytes} bytes")
}

/// A number in groups of three.
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Hexadecimal digits in groups of four, `groups` on a line.
pub(crate) fn in_groups(hex: &str, groups: usize) -> Vec<String> {
    let all: Vec<String> = clean(hex)
        .chars()
        .collect::<Vec<char>>()
        .chunks(4)
        .map(|group| group.iter().collect())
        .collect();
    all.chunks(groups.max(1)).map(|line| line.join(" ")).collect()
}

/// The shape of a verdict in ASCII: a line of seven bits has no circles.
pub(crate) const fn shape(verdict: VerdictWord) -> &'static str {
    match verdict {
        VerdictWord::Trusted => "(*)",
        VerdictWord::TrustedSimulated => "(~)",
        VerdictWord::Attention => "/!\\",
        VerdictWord::Refused => "[#]",
        VerdictWord::Unknown => "( )",
    }
}

/// The word of a model's phase.
pub(crate) const fn phase(phase: ModelPhase) -> &'static str {
    match phase {
        ModelPhase::Fetching => "fetching",
        ModelPhase::Verifying => "verifying",
        ModelPhase::Admitted => "admitted",
        ModelPhase::Starting => "starting",
        ModelPhase::Serving => "serving",
        ModelPhase::Stopped => "stopped",
        ModelPhase::Refused => "refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_not_passed_on() {
        assert_eq!(clean("a\x1b[2Jb\u{9b}31m\u{202e}c·d…"), "a?[2Jb?31m?c-d...");
        assert_eq!(clean("Süd"), "Süd");
        assert_eq!(ascii("Süd"), "S?d");
    }

    #[test]
    fn text_fits() {
        assert_eq!(wrap("one two three", 7, 9), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij", 4, 9), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("one two three four", 7, 1), ["one..."]);
        assert_eq!(ends("left", "right", 12), "left   right");
        assert_eq!(ends("a long left side", "right", 12), "a ...  right");
        assert_eq!(
            (size(999), size(1536), size(412 << 30)),
            ("999 bytes".to_owned(), "1.5 KiB".to_owned(), "412 GiB".to_owned())
        );
        assert_eq!((number(18_204), number(7)), ("18,204".to_owned(), "7".to_owned()));
    }
}
