//! `log FILE`: a TCG event log for people and programs.
//!
//! Refuses to judge it: a log alone proves nothing. Invariant: one line per event, in the log's order.

use freehold_verify::Refusal as _;
use freehold_verify::event_log::EventLog;
use serde_json::json;

use crate::answer::{Answer, Ending, Mark, Row, visible};
use crate::arguments::Log;
use crate::input::read;

/// The largest log that is read: real ones have some hundred kilobytes.
const LOG_LIMIT: usize = 16 * 1024 * 1024;

/// Reads the log.
pub fn inspect(arguments: &Log) -> anyhow::Result<Answer> {
    let bytes = read(&arguments.file, LOG_LIMIT)?;
    let log = match EventLog::parse(&bytes) {
        Ok(log) => log,
        Err(rejection) => return Ok(Answer::refused(&rejection.report())),
    };
    let report = log.report();
    let differing = report
        .events
        .iter()
        .filter(|event| event.verified == Some(false))
        .count();
    let mut pcrs: Vec<Row> = Vec::new();
    for (bank, values) in &report.pcrs {
        for (pcr, value) in values {
            pcrs.push((
                Mark::Plain,
                vec![bank.to_string(), format!("PCR {pcr}"), value.to_string()],
            ));
        }
    }
    let events: Vec<Row> = report
        .events
        .iter()
        .map(|event| {
            let mark = if event.verified == Some(false) {
                Mark::Bad
            } else {
                Mark::Plain
            };
            let cells = vec![
                event.index.to_string(),
                format!("PCR {}", event.pcr),
                event.kind.to_string(),
                visible(&event.description),
            ];
            (mark, cells)
        })
        .collect();
    let mut answer = Answer::new(
        Ending::Yes,
        format!("{} events, banks {}", report.events.len(), report.banks.join(", ")),
    )
    .table("Replayed registers", &["bank", "register", "value"], pcrs)
    .table("Events", &["number", "register", "type", "data"], events);
    if differing > 0 {
        answer = answer.line(format!(
            "▲ {differing} events whose data is not what their digest covers"
        ));
    }
    Ok(answer
        .with("banks", json!(report.banks))
        .with("pcrs", json!(report.pcrs))
        .with("events", json!(report.events))
        .with("differing", differing))
}
