//! Pages on which something is typed: settings, their review, the recovery key, shutting down.
//!
//! Refuses to apply what was not shown as a whole. Invariant: each page says what happens before it asks, and Escape leaves
//! it without doing anything.

use super::{named, prose};
use crate::form::{Checked, Field, SettingRejection, Typed};
use crate::frame::{COLUMNS, Row};
use crate::text;

/// Columns before a field's text.
const NAME: usize = 21;

/// The form. The cursor stands behind the text of the current field.
pub(crate) fn settings(
    typed: &Typed,
    current: Field,
    fault: Option<&(Field, SettingRejection)>,
) -> (Vec<Row>, (usize, usize)) {
    let mut rows = vec![
        Row::strong("Settings of this box. They are shown as a whole before anything is done."),
        Row::empty(),
    ];
    let mut cursor = (0, 0);
    for field in Field::ALL {
        // Blocks of five with their blanks: eight on a line.
        let width = if field == Field::Fingerprint {
            48
        } else {
            COLUMNS.saturating_sub(NAME + 1)
        };
        let mark = if field == current { ">" } else { " " };
        let mut lines: Vec<String> = text::clean(typed.text(field))
            .chars()
            .collect::<Vec<char>>()
            .chunks(width)
            .map(|line| line.iter().collect())
            .collect();
        if lines.is_empty() {
            lines.push(String::new());
        }
        for (number, line) in lines.iter().enumerate() {
            let name = if number == 0 { field.name() } else { "" };
            let row = format!("{mark}{name:<20}{line}");
            if field == current {
                cursor = (NAME + line.chars().count(), rows.len());
                rows.push(Row::strong(row));
            } else {
                rows.push(Row::light(row));
            }
        }
    }
    rows.push(Row::empty());
    rows.extend(named("", current.hint(), 2));
    if let Some((field, rejection)) = fault {
        rows.push(Row::empty());
        for line in text::wrap(&format!("{}: {rejection}", field.name()), COLUMNS, 2) {
            rows.push(Row::strong(line));
        }
        if let Some(explained) = freehold_explain::explain(freehold_verify::rejection::Refusal::code(rejection)) {
            rows.extend(named("Do", &explained.next, 2));
        }
    }
    (rows, cursor)
}

/// The whole before it is applied.
pub(crate) fn review(checked: &Checked, typed: &str) -> (Vec<Row>, (usize, usize)) {
    let mut rows = vec![Row::strong("This is what will be applied."), Row::empty()];
    for (name, value) in checked.lines() {
        rows.push(Row::light(format!("  {name:<20}{value}")));
    }
    rows.push(Row::empty());
    rows.extend(prose(
        "The eight words stand beside the fleet CA on the console's Settings page: compare them. Afterwards the \
         settings are locked: only a wipe by two persons changes them.",
    ));
    rows.push(Row::empty());
    let ask = "Type apply and Enter, or Esc to change something: ";
    rows.push(Row::strong(format!("{ask}{typed}")));
    let cursor = (ask.len() + typed.len(), rows.len() - 1);
    (rows, cursor)
}

/// The recovery key, and the proof that it stands on paper.
pub(crate) fn recovery(blocks: &[String], typed: &str) -> (Vec<Row>, (usize, usize)) {
    let mut rows = vec![
        Row::strong("The recovery key of this box's disk. Write it on paper; it is not shown again."),
        Row::empty(),
    ];
    for (line, four) in blocks.chunks(4).enumerate() {
        let shown: Vec<String> = four
            .iter()
            .enumerate()
            .map(|(place, block)| format!("{}: {:<10}", line * 4 + place + 1, block))
            .collect();
        rows.push(Row::strong(format!("     {}", shown.join("  "))));
        rows.push(Row::empty());
    }
    rows.extend(prose(
        "Who has it and the disk reads the models and the record. Keep it away from the box. Each block checks itself: \
         a slip of the pen is found when it is typed.",
    ));
    rows.push(Row::empty());
    let ask = "Type its last block from the paper, or Esc to see it again later: ";
    rows.push(Row::strong(format!("{ask}{typed}")));
    let cursor = (ask.len() + typed.len(), rows.len() - 1);
    (rows, cursor)
}

/// The question before the machine goes off.
pub(crate) fn shut_down(typed: &str) -> (Vec<Row>, (usize, usize)) {
    let ask = "Type off and Enter, or Esc: ";
    let mut rows = vec![Row::strong("Shut this machine down?"), Row::empty()];
    rows.extend(prose(
        "Running answers are cut off. The record is whole: what was answered is in it. The box starts again when \
         somebody presses its button, or through its management controller.",
    ));
    rows.push(Row::empty());
    rows.push(Row::strong(format!("{ask}{typed}")));
    let cursor = (ask.len() + typed.len(), rows.len() - 1);
    (rows, cursor)
}
