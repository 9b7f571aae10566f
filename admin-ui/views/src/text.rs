//! How values become text: the one escaper, times, numbers, digests.
//!
//! Refuses to pass on what a terminal or a browser would obey. Invariant: text from outside can neither add markup, nor
//! hide or reorder other text, nor fill the page.

use std::fmt::{self, Write};

use askama::Template;
use askama::filters::{Escaper, Safe};
use freehold_protocol::status::{ModelPhase, VerdictWord};
use time::{OffsetDateTime, UtcOffset};

use crate::overview::VerdictCounts;
use crate::shell::Shell;

/// Characters of one value that a page shows; bounds a 10 MB label sent by a box.
const LONGEST: usize = 600;

/// The escaper of every template: HTML-escapes, shows control characters and direction overrides as what they are, and cuts
/// what is longer than 600 characters.
#[derive(Debug, Clone, Copy, Default)]
pub struct Careful;

impl Escaper for Careful {
    fn write_escaped_str<W: Write>(&self, mut dest: W, string: &str) -> fmt::Result {
        for (number, c) in string.chars().enumerate() {
            if number == LONGEST {
                let rest = string.chars().count().saturating_sub(LONGEST);
                return write!(dest, "… ({} more characters)", grouped(rest));
            }
            match c {
                '<' => dest.write_str("&#60;")?,
                '>' => dest.write_str("&#62;")?,
                '&' => dest.write_str("&#38;")?,
                '"' => dest.write_str("&#34;")?,
                '\'' => dest.write_str("&#39;")?,
                '\n' | '\t' => dest.write_char(' ')?,
                c if hides(c) => write!(dest, "‹{:04X}›", u32::from(c))?,
                c => dest.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Control characters, and format characters that reorder or hide text (Unicode 16, bidirectional controls, zero-width
/// characters, tags, variation selectors beyond the first sixteen).
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e01ef}')
}

/// Renders a template. Writing into a string cannot fail; should a template ever refuse, the page says so.
pub(crate) fn page(template: &impl Template) -> String {
    template
        .render()
        .unwrap_or_else(|error| format!("<!doctype html><title>page</title><p>this page could not be made: {error:?}"))
}

/// Cuts `text` to `most` characters with an ellipsis.
pub(crate) fn short(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A sentence with things named in backticks: those are shown as code. A digest is shown by its ends. Everything is escaped; longer text than `most` is cut.
pub(crate) fn prose(text: &str, most: usize) -> Safe<String> {
    let text = shorter(text, most);
    let mut out = String::with_capacity(text.len() + 32);
    // A backtick without its other half stays what it is.
    let closed = text.matches('`').count() / 2 * 2;
    for (number, part) in text.split('`').enumerate() {
        let tag = match (number, number % 2) {
            (0, _) => "",
            _ if number > closed => "`",
            (_, 1) => "<code>",
            _ => "</code>",
        };
        out.push_str(tag);
        for (place, word) in part.split(' ').enumerate() {
            if place > 0 {
                out.push(' ');
            }
            let written = if is_hex(word) {
                out.write_str(&digest(word).0)
            } else {
                Careful.write_escaped_str(&mut out, word)
            };
            debug_assert!(written.is_ok(), "writing into a string cannot fail");
        }
    }
    Safe(out)
}

/// A digest or a fingerprint in the middle of a sentence: 32 hexadecimal digits or more.
fn is_hex(word: &str) -> bool {
    word.len() >= 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Cuts `text` at about `most` characters, between words where there are words, so that no digest is cut in two.
fn shorter(text: &str, most: usize) -> String {
    let cut = short(text, most);
    if cut == text {
        return cut;
    }
    match cut.rfind(' ') {
        // A word longer than half of what is shown is no word.
        Some(place) if place > cut.len() / 2 => format!("{} …", cut.get(..place).unwrap_or_default()),
        _ => cut,
    }
}

/// `8431` → `8,431`.
pub(crate) fn grouped(number: impl fmt::Display) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count of bytes with a unit of 1,000s, for example `9.1 MB`.
pub(crate) fn bytes(count: &u64) -> String {
    let count = *count;
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    if value < 100.0 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// One decimal, for tokens per second.
pub(crate) fn decimal(number: &f64) -> String {
    if number.is_finite() {
        format!("{number:.1}")
    } else {
        "–".to_owned()
    }
}

/// A count with its word: `1 box`, `1,204 boxes`.
#[must_use]
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), plural(count, one, many))
}

/// The word that goes with a count.
pub(crate) fn plural<'a>(count: impl fmt::Display, one: &'a str, many: &'a str) -> &'a str {
    if count.to_string() == "1" { one } else { many }
}

/// A share of 0 to 1 as whole hundredths, for the `value` of a progress bar.
pub(crate) fn hundredths(share: &f64) -> u8 {
    // Saturating by the language; a share that is not a number is 0.
    (share.clamp(0.0, 1.0) * 100.0) as u8
}

/// A share of 0 to 1, `41 %`.
pub(crate) fn percent(share: &f64) -> String {
    format!("{} %", hundredths(share))
}

/// The explanation of a refusal code, when there is one.
pub(crate) fn explain(code: &str) -> Option<freehold_explain::Explanation> {
    freehold_explain::explain(code)
}

/// Hex in groups of four, so that an eye can hold its place; other text is returned as it is.
pub(crate) fn in_groups(hex: &str) -> String {
    if hex.len() < 8 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return hex.to_owned();
    }
    let mut out = String::with_capacity(hex.len() * 5 / 4);
    for (place, c) in hex.chars().enumerate() {
        if place > 0 && place.is_multiple_of(4) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// First and last four characters of a digest, `7f3a…91c2`; the whole stands in the element's title.
pub(crate) fn digest(hex: &str) -> Safe<String> {
    let mut out = String::new();
    let written = if hex.len() < 16 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Careful.write_escaped_str(&mut out, hex)
    } else {
        let (head, tail) = (&hex[..8], &hex[hex.len() - 4..]);
        write!(out, "<code class=\"digest\" title=\"{hex}\">{head}…{tail}</code>")
    };
    debug_assert!(written.is_ok(), "writing into a string cannot fail");
    Safe(out)
}

/// The verdict's shape and word in its colour.
pub(crate) fn verdict(word: &VerdictWord) -> Safe<String> {
    Safe(format!(
        "<span class=\"verdict {}\"><span class=\"shape\" aria-hidden=\"true\">{}</span> {}</span>",
        tone(word),
        word.shape(),
        word.word()
    ))
}

/// The class that colours a verdict.
pub(crate) const fn tone(word: &VerdictWord) -> &'static str {
    match word {
        VerdictWord::Trusted => "trusted",
        VerdictWord::TrustedSimulated => "simulated",
        VerdictWord::Attention => "attention",
        VerdictWord::Refused => "refused",
        VerdictWord::Unknown => "unknown",
    }
}

/// The verdict's value in an address.
pub(crate) const fn slug(word: &VerdictWord) -> &'static str {
    crate::boxes::verdict_slug(*word)
}

/// The words of a model's phase.
pub(crate) const fn phase(phase: &ModelPhase) -> &'static str {
    match phase {
        ModelPhase::Fetching => "being fetched",
        ModelPhase::Verifying => "being verified",
        ModelPhase::Admitted => "admitted, not running",
        ModelPhase::Starting => "starting",
        ModelPhase::Serving => "serving",
        ModelPhase::Stopped => "stopped",
        ModelPhase::Refused => "refused",
    }
}

/// The class that colours a model's phase.
pub(crate) const fn phase_tone(phase: &ModelPhase) -> &'static str {
    match phase {
        ModelPhase::Serving => "trusted",
        ModelPhase::Fetching | ModelPhase::Verifying | ModelPhase::Starting | ModelPhase::Admitted => "unknown",
        ModelPhase::Stopped => "attention",
        ModelPhase::Refused => "refused",
    }
}

/// The shape of a model's phase.
pub(crate) const fn phase_shape(phase: &ModelPhase) -> &'static str {
    match phase {
        ModelPhase::Serving => "●",
        ModelPhase::Fetching | ModelPhase::Verifying | ModelPhase::Starting | ModelPhase::Admitted => "○",
        ModelPhase::Stopped => "▲",
        ModelPhase::Refused => "■",
    }
}

/// A bar of the fleet by verdict, widths in proportion; shapes and words stand beside it, so that colour is never alone.
pub(crate) fn strip(counts: &VerdictCounts, class: &str) -> Safe<String> {
    const WIDTH: u64 = 1000;
    let total = u64::from(counts.total());
    let mut bars = String::new();
    let mut label = Vec::new();
    let mut sum = 0_u64;
    for (word, count) in counts.each() {
        if count == 0 || total == 0 {
            continue;
        }
        let left = sum * WIDTH / total;
        sum += u64::from(count);
        // At least 4 of 1,000, so that one refused box among 500 is seen.
        let width = (sum * WIDTH / total - left).max(4);
        let left = left.min(WIDTH - width);
        bars.push_str(&format!(
            "<rect class=\"{}\" x=\"{left}\" y=\"0\" width=\"{width}\" height=\"12\"/>",
            tone(&word)
        ));
        label.push(format!("{} {}", grouped(count), word.word()));
    }
    Safe(format!(
        "<svg class=\"{class}\" viewBox=\"0 0 1000 12\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\"><rect class=\"track\" width=\"1000\" height=\"12\"/>{bars}</svg>",
        label.join(", ")
    ))
}

impl Shell {
    /// A time, absolute and relative: `09:14, 3 min ago`; the day stands before it when it is another one.
    pub(crate) fn when(&self, at: &i64) -> Safe<String> {
        let at = *at;
        let Some(wall) = self.wall(at) else {
            return Safe(format!("unix {at}"));
        };
        let clock = format!("{:02}:{:02}", wall.hour(), wall.minute());
        let today = self.wall(self.now).is_some_and(|now| now.date() == wall.date());
        let day = if today {
            String::new()
        } else {
            format!("{} ", date(wall))
        };
        Safe(format!(
            "<time datetime=\"{}\">{day}{clock}, <span class=\"ago\" data-at=\"{at}\">{}</span></time>",
            iso(at),
            relative(self.now, at)
        ))
    }

    /// A short time for dense tables: `3 min ago`, the absolute time in the title.
    pub(crate) fn ago(&self, at: &i64) -> Safe<String> {
        let at = *at;
        let Some(wall) = self.wall(at) else {
            return Safe(format!("unix {at}"));
        };
        Safe(format!(
            "<time datetime=\"{}\" title=\"{} {:02}:{:02}:{:02}\"><span class=\"clock\">{:02}:{:02}</span> <span class=\"ago\" data-at=\"{at}\">{}</span></time>",
            iso(at),
            date(wall),
            wall.hour(),
            wall.minute(),
            wall.second(),
            wall.hour(),
            wall.minute(),
            relative(self.now, at)
        ))
    }

    /// A date with its distance: `19 Feb 2027, in 90 d`.
    pub(crate) fn day(&self, at: &i64) -> Safe<String> {
        let at = *at;
        let Some(wall) = self.wall(at) else {
            return Safe(format!("unix {at}"));
        };
        Safe(format!(
            "<time datetime=\"{}\">{}, <span class=\"ago\" data-at=\"{at}\">{}</span></time>",
            iso(at),
            date(wall),
            relative(self.now, at)
        ))
    }

    /// How many minutes UTC is behind, as people write it: `UTC`, `UTC+01:00`.
    pub(crate) fn zone(&self) -> String {
        let minutes = i32::from(self.utc_offset_minutes);
        if minutes == 0 {
            return "UTC".to_owned();
        }
        let sign = if minutes < 0 { '-' } else { '+' };
        format!("UTC{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }

    fn wall(&self, at: i64) -> Option<OffsetDateTime> {
        let offset = UtcOffset::from_whole_seconds(i32::from(self.utc_offset_minutes) * 60).unwrap_or(UtcOffset::UTC);
        OffsetDateTime::from_unix_timestamp(at).ok()?.checked_to_offset(offset)
    }
}

fn date(wall: OffsetDateTime) -> String {
    let month = wall.month().to_string();
    format!("{} {} {}", wall.day(), &month[..3], wall.year())
}

fn iso(at: i64) -> String {
    OffsetDateTime::from_unix_timestamp(at)
        .ok()
        .and_then(|time| time.format(&time::format_description::well_known::Rfc3339).ok())
        .unwrap_or_default()
}

/// `3 min ago`, `in 2 h`; the same words as `assets/console.js`, which keeps them true while a page stays open.
pub(crate) fn relative(now: i64, at: i64) -> String {
    let distance = now.saturating_sub(at);
    let span = match distance.unsigned_abs() {
        0..5 => return "now".to_owned(),
        s @ 5..60 => format!("{s} s"),
        s @ 60..3_600 => format!("{} min", s / 60),
        s @ 3_600..172_800 => format!("{} h", s / 3_600),
        s @ 172_800..63_072_000 => format!("{} d", s / 86_400),
        s => format!("{} years", s / 31_536_000),
    };
    if distance > 0 {
        format!("{span} ago")
    } else {
        format!("in {span}")
    }
}
