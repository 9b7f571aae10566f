//! `record DIR`: a record's folder, checked entry by entry.
//!
//! Refuses to call a record somebody's without that somebody's key: it says where the key came from. Invariant: any finding
//! makes the answer no.

use std::path::Path;

use anyhow::Context as _;
use freehold_record::{Checkpoint, EntryView, Frontier, RecordRejected, SignedNote, VerifierKey, cosignatures};
use freehold_record_files::{FolderReport, KeySource, RecordFault, RecordReader, verify_folder};
use freehold_verify::RefusalReport;
use serde_json::json;

use crate::answer::{Answer, Ending, Mark, Row, visible};
use crate::arguments::Record;
use crate::input::read_text;

/// Checks the record.
pub fn inspect(arguments: &Record) -> anyhow::Result<Answer> {
    let key = arguments.key.as_deref().map(key_of).transpose()?;
    anyhow::ensure!(
        arguments.folder.is_dir(),
        "`{}` is not a folder",
        arguments.folder.display()
    );
    let report = match verify_folder(&arguments.folder, key.as_ref()) {
        Ok(report) => report,
        Err(RecordFault::Rejected(rejected)) => return Ok(Answer::refused(&report_of(&rejected))),
        Err(other) => return Err(other).context(format!("`{}`", arguments.folder.display())),
    };
    let other_origin = arguments
        .origin
        .as_ref()
        .filter(|origin| **origin != report.origin)
        .map(|origin| {
            report_of(&RecordRejected::OtherOrigin {
                expected: origin.clone(),
                found: report.origin.clone(),
            })
        });
    let mut answer = match witnessed(arguments, &report)? {
        Ok(seen) => answer_of(&report, other_origin).table("Seen by others", &["who", "what"], seen),
        Err(rejected) => answer_of(&report, other_origin.or(Some(report_of(&rejected)))),
    };
    if arguments.entries {
        answer = entries(answer, &arguments.folder)?;
    }
    Ok(answer)
}

/// What others saw of this log: cosignatures on its checkpoint, and checkpoints that they kept, which must be its beginnings.
fn witnessed(arguments: &Record, report: &FolderReport) -> anyhow::Result<Result<Vec<Row>, RecordRejected>> {
    let reader = RecordReader::open(&arguments.folder);
    let mut known = Vec::new();
    for witness in &arguments.witness {
        known.push(key_of(witness)?);
    }
    let mut rows: Vec<Row> = Vec::new();
    let mut cosigned = 0usize;
    for path in &arguments.seen {
        let bytes = crate::input::read(path, freehold_record::note::NOTE_LIMIT)?;
        let seen = SignedNote::parse(&bytes).and_then(|note| Ok((Checkpoint::parse(note.text())?, note)));
        let (seen, note) = match seen {
            Ok(seen) => seen,
            Err(rejected) => return Ok(Err(rejected)),
        };
        let by = match cosignatures(&note, &known, 0) {
            Ok(by) => by,
            Err(rejected) => return Ok(Err(rejected)),
        };
        if seen.origin != report.origin {
            return Ok(Err(RecordRejected::OtherOrigin {
                expected: report.origin.clone(),
                found: seen.origin,
            }));
        }
        // The tree of that size must be the beginning of this one: its root is computed from the entries that are here.
        let published = reader.checkpoint().map(|(_, checkpoint)| checkpoint.size)?;
        if seen.size > report.entries || (seen.size > published && seen.size != report.entries) {
            return Ok(Err(RecordRejected::Truncated {
                known: seen.size,
                shown: report.entries,
            }));
        }
        let root = if seen.size == report.entries {
            report.root
        } else {
            Frontier::read(seen.size, &reader.tree(published))?.root()
        };
        if root != seen.root {
            return Ok(Err(RecordRejected::Forked {
                size: seen.size,
                known: seen.root,
                shown: root,
            }));
        }
        cosigned = cosigned.max(by.len());
        for (key, at) in by {
            let at = crate::input::shown(i64::try_from(at).unwrap_or(i64::MAX));
            rows.push((
                Mark::Good,
                vec![visible(key.name()), format!("{} entries at {at}", seen.size)],
            ));
        }
    }
    if let (Ok((note, _)), false) = (reader.checkpoint(), known.is_empty()) {
        match SignedNote::parse(&note).and_then(|note| Ok(cosignatures(&note, &known, 0)?.len())) {
            Ok(count) => cosigned = cosigned.max(count),
            Err(rejected) => return Ok(Err(rejected)),
        }
    }
    if cosigned < arguments.quorum {
        return Ok(Err(RecordRejected::Quorum {
            expected: arguments.quorum,
            found: cosigned,
        }));
    }
    Ok(Ok(rows))
}

fn answer_of(report: &FolderReport, other_origin: Option<RefusalReport>) -> Answer {
    let source = match report.key {
        KeySource::Given => "the key that was given",
        KeySource::Folder => "the folder's own key: it hangs together; give --key to know whose it is",
    };
    let first = report.findings.first().map(|finding| RefusalReport {
        code: finding.code.to_owned(),
        message: finding.message.clone(),
        expected: None,
        found: None,
    });
    let mut answer = match other_origin.or(first) {
        Some(refused) => Answer::refused(&refused),
        None => Answer::new(
            Ending::Yes,
            format!("● whole  {} entries of {}", report.entries, visible(&report.origin)),
        ),
    };
    for finding in report.findings.iter().skip(1) {
        answer = answer.fact("also", format!("{} ({})", visible(&finding.message), finding.code));
    }
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|finding| json!({"code": finding.code, "message": finding.message}))
        .collect();
    answer
        .fact("origin", visible(&report.origin))
        .fact(
            "size",
            format!("{} ({} of them only in the journal)", report.entries, report.in_journal),
        )
        .fact("root", report.root.to_hex())
        .fact("checked", format!("with {source}"))
        .with("origin", report.origin.as_str())
        .with("size", report.entries)
        .with("in_journal", report.in_journal)
        .with("root", report.root.to_hex())
        .with(
            "key",
            if report.key == KeySource::Given {
                "given"
            } else {
                "folder"
            },
        )
        .with("findings", findings)
}

fn entries(answer: Answer, folder: &Path) -> anyhow::Result<Answer> {
    let reader = RecordReader::open(folder);
    let (_, checkpoint) = reader.checkpoint()?;
    let (mut all, mut rows): (Vec<serde_json::Value>, Vec<Row>) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < checkpoint.size {
        for bytes in reader.entries(at, at.saturating_add(256), checkpoint.size)? {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let cells = match EntryView::parse(&bytes) {
                Ok(view) => {
                    let code = view.refusal.map(|refusal| refusal.code);
                    let mark = if code.is_some() { Mark::Bad } else { Mark::Plain };
                    let (who, what) = (visible(&view.who), visible(&view.what));
                    let code = code.map(|code| visible(&code)).unwrap_or_default();
                    (mark, vec![at.to_string(), visible(&view.at), who, what, code])
                }
                Err(_) => (Mark::Unknown, vec![at.to_string(), visible(&text)]),
            };
            rows.push(cells);
            all.push(serde_json::from_str(&text).unwrap_or(json!(text)));
            at = at.saturating_add(1);
        }
    }
    let heads = &["number", "when", "who", "what", "refused"];
    Ok(answer.table("Entries", heads, rows).with("entries", all))
}

/// A refusal of the record as data.
pub fn report_of(rejected: &RecordRejected) -> RefusalReport {
    let (expected, found) = match rejected {
        RecordRejected::OtherOrigin { expected, found } => (Some(expected.clone()), Some(found.clone())),
        _ => (None, None),
    };
    RefusalReport {
        code: rejected.code().to_owned(),
        message: rejected.to_string(),
        expected,
        found,
    }
}

/// A record's key as text, or a file that holds it.
pub fn key_of(text: &str) -> anyhow::Result<VerifierKey> {
    if let Ok(key) = VerifierKey::parse(text) {
        return Ok(key);
    }
    let content = read_text(Path::new(text), 4096).context("the key is neither `name+hash+base64` nor a file")?;
    VerifierKey::parse(content.trim()).with_context(|| format!("`{text}`"))
}
