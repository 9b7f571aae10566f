//! `log FILE`: a TCG event log for people and programs.
//!
//! Refuses to judge it: a log alone proves nothing. Invariant: one line per event, in the log's order.

use freehold_verify::Refusal as _;
use freehold_verify::event_log::EventLog;
use serde_json::json;

use crate::answer::{Answer, Ending};
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
    let mut answer = Answer::new(
        Ending::Yes,
        format!("{} events, banks {}", report.events.len(), report.banks.join(", ")),
    );
    for (bank, pcrs) in &report.pcrs {
        for (pcr, value) in pcrs {
            answer = answer.line(format!("  {bank:<7} PCR {pcr:<2} {value}"));
        }
    }
    for event in &report.events {
        let mark = if event.verified == Some(false) { "■" } else { " " };
        answer = answer.line(format!(
            "{mark} {:>4}  PCR {:<2} {:<34} {}",
            event.index, event.pcr, event.kind, event.description
        ));
    }
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
