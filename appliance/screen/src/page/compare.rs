//! What a person compares by eye: the box's fingerprint, and the console's.
//!
//! Refuses to shorten one: all digits are there beside the words. Invariant: words and digits are those that the console
//! shows; both call the same function over the same bytes.

use freehold_protocol::fingerprint::words_of;
use freehold_protocol::screen::{Stage, View};
use freehold_trust::Sha256Digest;

use super::{BODY, named, prose};
use crate::frame::Row;
use crate::text;

/// The box's fingerprint, large, and the console's below.
pub(crate) fn fingerprints(view: &View) -> Vec<Row> {
    let mut rows = Vec::with_capacity(BODY);
    match &view.fingerprint {
        Some(fingerprint) if view.stage != Stage::Offered => {
            rows.push(Row::strong(
                "This box. The console's Approvals page shows the same, or do not approve:",
            ));
            rows.push(Row::empty());
            let (words, hex) = fingerprint.split_once(" · ").unwrap_or(("", fingerprint));
            large(words, &mut rows);
            for line in text::in_groups(hex, 8) {
                rows.push(Row::light(format!("          {line}")));
            }
            rows.push(Row::empty());
        }
        _ if view.stage != Stage::Offered => {
            rows.push(Row::light(
                "This box has no fingerprint yet: its keys are made when a console is known.",
            ));
            rows.push(Row::empty());
        }
        _ => {}
    }
    if view.console.fleet_ca.is_empty() {
        rows.push(Row::light("No console is known."));
    } else if view.stage == Stage::Offered {
        rows.push(Row::strong(
            "A console was named. Its Settings page shows the same keys, or do not go on:",
        ));
        rows.push(Row::light(format!(
            "{:<10}{}, {}",
            "", view.fleet, view.console.address
        )));
        rows.push(Row::empty());
        for (name, hex) in keys(view) {
            let lines = text::in_groups(hex, 8);
            rows.push(Row::strong(format!("{name:<10}{}", words(hex))));
            rows.extend(lines.iter().map(|line| Row::light(format!("          {line}"))));
        }
        rows.push(Row::empty());
        rows.push(Row::light(
            "All three the same? C confirms this console; Esc goes back and changes nothing.",
        ));
    } else {
        rows.push(Row::light("Its console, known by (words of the first eight bytes):"));
        for (name, hex) in keys(view) {
            rows.extend(named(name, &words(hex), 1));
        }
    }
    rows.truncate(BODY);
    rows
}

/// The question before a console becomes ours.
pub(crate) fn confirm(view: &View, typed: &str) -> (Vec<Row>, (usize, usize)) {
    let mut rows = vec![Row::strong("Make this console the console of this box?"), Row::empty()];
    rows.extend(named("Console", &view.console.address, 1));
    rows.extend(named("Fleet", &format!("{}, site {}", view.fleet, view.site), 1));
    rows.extend(named("Words", &words(&view.console.fleet_ca), 2));
    rows.push(Row::empty());
    rows.extend(prose(
        "From then on the box listens to this console only. To undo it, the box has to be wiped by two persons.",
    ));
    rows.push(Row::empty());
    rows.push(Row::light("Read it from the CONSOLE'S screen, not from this one:"));
    let ask = "the last four digits of the fleet CA's fingerprint: ";
    rows.push(Row::strong(format!("{ask}{typed}")));
    let cursor = (ask.len() + typed.len(), rows.len() - 1);
    (rows, cursor)
}

fn keys(view: &View) -> [(&'static str, &str); 3] {
    [
        ("Fleet CA", &view.console.fleet_ca),
        ("TUF root", &view.console.tuf_root),
        ("Director", &view.console.director),
    ]
}

/// The eight words that the console shows for a digest.
fn words(hex: &str) -> String {
    hex.parse::<Sha256Digest>()
        .map_or_else(|_| String::new(), |digest| words_of(digest.as_bytes(), 8))
}

/// Eight words in two rows, spaced, so that they are read from a step away.
fn large(words: &str, rows: &mut Vec<Row>) {
    let all: Vec<String> = (words.split(' ')).map(|word| format!("{:<14}", word)).collect();
    for line in all.chunks(4) {
        rows.push(Row::strong(format!("          {}", line.join("").trim_end())));
        rows.push(Row::empty());
    }
}
