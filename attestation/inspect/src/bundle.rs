//! `bundle FILE`: a container that travels by stick, read to its last byte.
//!
//! Refuses to say who made it: digests show that nothing changed on the way, signatures inside say by whom. Invariant: the file
//! is read once, piece by piece, whatever its size.

use std::io::Read as _;

use anyhow::Context as _;
use freehold_verify::Refusal as _;
use freehold_verify::container::ContainerCheck;
use serde_json::json;

use crate::answer::{Answer, Ending, Mark, Row, visible};
use crate::arguments::Bundle;

/// Bytes that are read at once.
const PIECE: usize = 1024 * 1024;

/// Checks the container.
pub fn inspect(arguments: &Bundle) -> anyhow::Result<Answer> {
    let named = || format!("cannot read `{}`", arguments.file.display());
    let mut file = std::fs::File::open(&arguments.file).with_context(named)?;
    let mut check = ContainerCheck::new();
    let mut piece = vec![0u8; PIECE];
    loop {
        let count = file.read(&mut piece).with_context(named)?;
        if count == 0 {
            break;
        }
        if let Err(rejection) = check.update(piece.get(..count).unwrap_or_default()) {
            return Ok(Answer::refused(&rejection.report()));
        }
    }
    let index = match check.finish() {
        Ok(index) => index,
        Err(rejection) => return Ok(Answer::refused(&rejection.report())),
    };
    let entries: Vec<Row> = index
        .entries()
        .iter()
        .map(|entry| {
            let part = if entry.is_whole() {
                String::new()
            } else {
                format!("from {} of {}", entry.start(), entry.whole())
            };
            let cells = vec![
                entry.sha256().to_hex(),
                entry.length().to_string(),
                visible(entry.name()),
                part,
            ];
            (Mark::Plain, cells)
        })
        .collect();
    let listed: Vec<_> = index
        .entries()
        .iter()
        .map(|entry| json!({"name": entry.name(), "length": entry.length(), "sha256": entry.sha256()}))
        .collect();
    Ok(Answer::new(
        Ending::Yes,
        format!(
            "● whole  a {} of {} entries",
            index.kind().word(),
            index.entries().len()
        ),
    )
    .fact("set", index.set().to_hex())
    .fact("part", format!("{} of {}", index.part(), index.parts()))
    .table("Entries", &["sha-256", "bytes", "name", "piece"], entries)
    .with("kind", index.kind().word())
    .with("set", index.set().to_hex())
    .with("part", index.part())
    .with("parts", index.parts())
    .with("entries", listed))
}
