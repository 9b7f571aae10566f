//! What the box refused: each by its code, what it means, what to do.
//!
//! Refuses to leave a code without its sentences; one that this version does not know says so. Invariant: the newest first.

use freehold_explain::explain;
use freehold_protocol::screen::View;

use super::{BODY, named};
use crate::frame::Row;

/// Refusals on a page.
const PAGE: usize = 2;

/// How many pages there are, at least one.
pub(crate) fn count(view: &View) -> usize {
    view.refusals.len().div_ceil(PAGE).max(1)
}

pub(crate) fn refusals(view: &View, page: usize) -> Vec<Row> {
    if view.refusals.is_empty() {
        return vec![
            Row::strong("Nothing was refused."),
            Row::empty(),
            Row::light("Here stands what this box said no to, with the reason and the next step: an"),
            Row::light("unsigned model, an older release, a console that is not its own."),
        ];
    }
    let pages = count(view);
    let mut rows = vec![Row::strong(format!(
        "Refused: {}, the newest first. Page {} of {pages}.",
        view.refusals.len(),
        page + 1
    ))];
    for report in view.refusals.iter().rev().skip(page.saturating_mul(PAGE)).take(PAGE) {
        rows.push(Row::empty());
        rows.push(Row::strong(&report.code));
        let exactly = match (&report.expected, &report.found) {
            (Some(expected), Some(found)) => format!("{} (expected {expected}, found {found})", report.message),
            _ => report.message.clone(),
        };
        match explain(&report.code) {
            Some(explained) => {
                rows.extend(named("What", &explained.what, 2));
                rows.extend(named("Exactly", &exactly, 2));
                rows.extend(named("Means", &explained.means, 2));
                rows.extend(named("Do", &explained.next, 2));
            }
            None => {
                rows.extend(named("What", &exactly, 4));
                rows.extend(named(
                    "Do",
                    "This version has no sentence for it: look it up at the console.",
                    1,
                ));
            }
        }
    }
    rows.truncate(BODY);
    rows
}
