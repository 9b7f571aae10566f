//! `report FILE`: an auditor's report, checked file by file and conclusion by conclusion.
//!
//! Refuses to repeat what the report says about itself: verdicts and statuses are reached again. Invariant: yes means that the
//! report holds, not that every control is satisfied; the statuses are listed.

use freehold_audit::{AuditRejection, Status, check_report};
use freehold_verify::Refusal as _;
use freehold_verify::container::{Container, Kind};
use serde_json::json;

use crate::answer::{Answer, Ending, Mark, Row, visible};
use crate::arguments::Report;
use crate::input::{read, shown};
use crate::record::key_of;

/// The largest report that is read: ten thousand boxes with sixty kilobytes of evidence each.
const REPORT_LIMIT: usize = 2 * 1024 * 1024 * 1024;

/// Checks the report.
pub fn inspect(arguments: &Report) -> anyhow::Result<Answer> {
    let key = arguments.key.as_deref().map(key_of).transpose()?;
    let bytes = read(&arguments.file, REPORT_LIMIT)?;
    let checked = Container::parse(&bytes, Kind::Report)
        .map_err(AuditRejection::Container)
        .and_then(|container| check_report(&container.entries().collect(), key.as_ref()));
    let report = match checked {
        Ok(report) => report,
        Err(rejection) => return Ok(Answer::refused(&rejection.report())),
    };
    let document = &report.document;
    let count = |status: Status| {
        report
            .findings
            .iter()
            .filter(|finding| finding.status == status)
            .count()
    };
    let source = if key.is_some() {
        "with the key that was given"
    } else {
        "with the report's own key: it hangs together; give --key to know whose it is"
    };
    let boxes: Vec<Row> = report
        .boxes
        .iter()
        .map(|one| {
            let mark = match one.verdict.as_str() {
                "trusted" => Mark::Good,
                "refused" => Mark::Bad,
                _ => Mark::Unknown,
            };
            let cells = vec![
                visible(&one.box_id),
                visible(&one.label),
                one.verdict.replace('_', " "),
                one.code.clone().unwrap_or_default(),
                one.at.map(shown).unwrap_or_default(),
                one.told.map(|index| format!("entry {index}")).unwrap_or_default(),
            ];
            (mark, cells)
        })
        .collect();
    let controls: Vec<Row> = report
        .findings
        .iter()
        .map(|finding| {
            let mark = match finding.status {
                Status::Satisfied => Mark::Good,
                Status::NotSatisfied => Mark::Bad,
                Status::Unknown => Mark::Unknown,
            };
            let cells = vec![
                visible(&finding.control.id),
                finding.status.word().to_owned(),
                visible(&finding.control.title),
                finding.why.as_deref().map(visible).unwrap_or_default(),
            ];
            (mark, cells)
        })
        .collect();
    let statuses: Vec<_> = report
        .findings
        .iter()
        .map(|finding| json!({"control": finding.control.id, "status": finding.status.word(), "why": finding.why}))
        .collect();
    Ok(Answer::new(
        Ending::Yes,
        format!(
            "● holds  the report about {} of fleet {}",
            visible(&document.scope.words()),
            visible(&document.name)
        ),
    )
    .fact("period", format!("{} to {}", shown(document.from), shown(document.at)))
    .fact("asked by", visible(&document.made_by))
    .fact("files", format!("{}, each as it was signed", report.files))
    .fact(
        "record",
        format!("{} entries up to {}, root {}", report.entries, report.size, report.root),
    )
    .fact(
        "controls",
        format!(
            "{} satisfied, {} not satisfied, {} unknown",
            count(Status::Satisfied),
            count(Status::NotSatisfied),
            count(Status::Unknown)
        ),
    )
    .fact("checked", source)
    .table("Boxes", &["box", "label", "verdict", "code", "as of", "told in"], boxes)
    .table("Controls", &["control", "status", "title", "why not"], controls)
    .with("fleet", document.fleet.as_str())
    .with("scope", json!(document.scope))
    .with("boxes", report.boxes.len())
    .with("controls", statuses)
    .with("entries", report.entries)
    .with("root", report.root.to_hex())
    .with("key", if key.is_some() { "given" } else { "report" }))
}
