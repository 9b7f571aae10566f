//! `record DIR`: a record's folder, checked entry by entry.
//!
//! Refuses to call a record somebody's without that somebody's key: it says where the key came from. Invariant: any finding
//! makes the answer no.

use std::path::Path;

use anyhow::Context as _;
use freehold_record::{EntryView, RecordRejected, VerifierKey};
use freehold_record_files::{FolderReport, KeySource, RecordFault, RecordReader, verify_folder};
use freehold_verify::RefusalReport;
use serde_json::json;

use crate::answer::{Answer, Ending, visible};
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
    let mut answer = answer_of(&report, other_origin);
    if arguments.entries {
        answer = entries(answer, &arguments.folder)?;
    }
    Ok(answer)
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
        answer = answer.line(format!("  also      {} ({})", visible(&finding.message), finding.code));
    }
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|finding| json!({"code": finding.code, "message": finding.message}))
        .collect();
    answer
        .line(format!("  origin    {}", visible(&report.origin)))
        .line(format!(
            "  size      {} ({} of them only in the journal)",
            report.entries, report.in_journal
        ))
        .line(format!("  root      {}", report.root))
        .line(format!("  checked   with {source}"))
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

fn entries(mut answer: Answer, folder: &Path) -> anyhow::Result<Answer> {
    let reader = RecordReader::open(folder);
    let (_, checkpoint) = reader.checkpoint()?;
    let mut all = Vec::new();
    let mut at = 0;
    while at < checkpoint.size {
        for bytes in reader.entries(at, at.saturating_add(256), checkpoint.size)? {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Ok(view) = EntryView::parse(&bytes) {
                let code = view
                    .refusal
                    .map(|refusal| format!("  ■ {}", refusal.code))
                    .unwrap_or_default();
                let (who, what) = (visible(&view.who), visible(&view.what));
                answer = answer.line(format!("  {at:>8}  {}  {who:<24} {what}{code}", visible(&view.at)));
            } else {
                answer = answer.line(format!("  {at:>8}  {}", visible(&text)));
            }
            all.push(serde_json::from_str(&text).unwrap_or(json!(text)));
            at = at.saturating_add(1);
        }
    }
    Ok(answer.with("entries", all))
}

fn report_of(rejected: &RecordRejected) -> RefusalReport {
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

fn key_of(text: &str) -> anyhow::Result<VerifierKey> {
    if let Ok(key) = VerifierKey::parse(text) {
        return Ok(key);
    }
    let content = read_text(Path::new(text), 4096).context("the key is neither `name+hash+base64` nor a file")?;
    VerifierKey::parse(content.trim()).with_context(|| format!("`{text}`"))
}
