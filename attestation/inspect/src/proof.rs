//! `proof FILE --entry FILE --key KEY`: whether an entry is in a record.
//!
//! Refuses to answer without the record's key: a proof under nobody's key proves nothing. Invariant: the entry's exact bytes
//! are what is looked for.

use freehold_record::tile::ENTRY_LIMIT;
use freehold_record::tlog_proof::TLOG_PROOF_LIMIT;
use freehold_record::{EntryView, RecordRejected, TlogProof};

use crate::answer::{Answer, Ending, visible};
use crate::arguments::Proof;
use crate::input::read;
use crate::record::{key_of, report_of};

/// Checks the proof.
pub fn inspect(arguments: &Proof) -> anyhow::Result<Answer> {
    let key = key_of(&arguments.key)?;
    let mut entry = read(&arguments.entry, ENTRY_LIMIT.saturating_add(1))?;
    // An editor's newline at the end is no part of the entry, which has none.
    if entry.last() == Some(&b'\n') {
        entry.pop();
    }
    let bytes = read(&arguments.file, TLOG_PROOF_LIMIT)?;
    let checked = || -> Result<_, RecordRejected> {
        let proof = TlogProof::parse(&bytes)?;
        let checkpoint = proof.verify(&entry, key.name(), &key)?;
        Ok((proof.index, checkpoint))
    };
    let (index, checkpoint) = match checked() {
        Ok(checked) => checked,
        Err(rejected) => return Ok(Answer::refused(&report_of(&rejected))),
    };
    let said = EntryView::parse(&entry)
        .map(|view| format!("{}  {} {}", visible(&view.at), visible(&view.who), visible(&view.what)))
        .unwrap_or_else(|_| visible(&String::from_utf8_lossy(&entry)));
    Ok(Answer::new(
        Ending::Yes,
        format!("● included  entry {index} of {}", visible(&checkpoint.origin)),
    )
    .fact("entry", said)
    .fact("log", format!("{} entries, root {}", checkpoint.size, checkpoint.root))
    .with("index", index)
    .with("size", checkpoint.size)
    .with("root", checkpoint.root.to_hex()))
}
