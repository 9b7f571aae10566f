//! The pages: a view, and what was typed since, as rows.
//!
//! Refuses to hide a fault behind a page: whatever is shown, the head says who this is and whether the supervisor answers.
//! Invariant: every page fits [`crate::ROWS`] rows, however much there is to say; what is left out is counted.

mod compare;
mod overview;
mod refusals;
mod type_in;

use freehold_protocol::screen::View;

use crate::frame::{COLUMNS, Row};
use crate::text;

pub(crate) use compare::{confirm, fingerprints};
pub(crate) use overview::overview;
pub(crate) use refusals::{count as refusal_pages, refusals};
pub(crate) use type_in::{recovery, review, settings, shut_down};

/// Rows between the head and the foot.
pub(crate) const BODY: usize = 20;

/// The first three rows: who this is, and whether what stands below is from now.
pub(crate) fn head(view: Option<&View>, away: Option<&str>) -> Vec<Row> {
    let Some(view) = view else {
        return vec![
            Row::reversed(" Freehold"),
            Row::empty(),
            Row::strong(away.map_or_else(
                || "Waiting for the supervisor.".to_owned(),
                |why| format!("The supervisor does not answer: {why}. Trying again."),
            )),
        ];
    };
    let name = if view.label.is_empty() {
        view.box_id.clone()
    } else {
        format!("{} - {}", view.label, view.box_id)
    };
    let place = match (view.fleet.as_str(), view.site.as_str()) {
        ("", _) => "no fleet yet".to_owned(),
        (fleet, "") => format!("fleet {fleet}"),
        (fleet, site) => format!("fleet {fleet}, site {site}"),
    };
    let mut rows = vec![
        Row::reversed(text::ends(
            &format!(" Freehold {}", view.program),
            &format!("{name} "),
            COLUMNS,
        )),
        Row::light(text::ends(&place, &format!("as of {}", text::moment(view.at)), COLUMNS)),
    ];
    rows.push(match away {
        Some(why) => Row::strong(format!("THE SUPERVISOR DOES NOT ANSWER: {why}. All this is old.")),
        None => Row::empty(),
    });
    rows
}

/// A sentence over as many rows as it needs.
pub(crate) fn prose(text: &str) -> Vec<Row> {
    text::wrap(text, COLUMNS, BODY).into_iter().map(Row::light).collect()
}

/// `Name      text`, the text in at most `most` lines, the name in front of the first.
pub(crate) fn named(name: &str, text: &str, most: usize) -> Vec<Row> {
    const NAME: usize = 10;
    text::wrap(text, COLUMNS.saturating_sub(NAME), most)
        .into_iter()
        .enumerate()
        .map(|(line, text)| Row::light(format!("{:<NAME$}{text}", if line == 0 { name } else { "" })))
        .collect()
}
