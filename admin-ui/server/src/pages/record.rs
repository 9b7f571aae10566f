//! The record's page: the last entries, filtered, and how to check them without this console.
//!
//! Refuses to search without end: it looks back over a bounded number of entries and says where it stopped. Invariant: an
//! entry is shown by its index.

use std::collections::BTreeSet;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Html;
use freehold_record::{Checkpoint, EntryView, SignedNote, Value};
use freehold_views::one_box::Tab;
use freehold_views::record::{BoxRecord, Checkpoint as Shown, ENTRIES_PER_PAGE, Entry};
use freehold_views::{RecordPage, address};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::fragment;
use super::shell::fingerprint;
use crate::console::Console;
use crate::people::session::Visitor;
use crate::refused::Refused;

/// Entries that one request looks through.
const LOOKED_THROUGH: u64 = 5_000;
/// Boxes' records shown.
const BOXES: usize = 100;

/// The query of the address.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    q: String,
    kind: String,
    before: Option<u64>,
}

/// `GET /record`.
///
/// # Errors
/// 500 when the record cannot be read.
pub async fn show(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Html<String>, Refused> {
    let path = uri.path_and_query().map_or(address::RECORD, |path| path.as_str());
    let head = console.0.book.recorder().head();
    let end = asked.before.unwrap_or(head.size).min(head.size);
    let start = end.saturating_sub(LOOKED_THROUGH);
    let (size, found) = console.entries(Some(start), end.saturating_sub(start)).await?;
    // A page that follows the record reads it once: else each entry about reading would be read again.
    if fragment(&headers).is_none() {
        console.record_read(&visitor.account.name, &found).await?;
    }
    let mut kinds = BTreeSet::new();
    let mut entries = Vec::new();
    let mut older = (start > 0).then_some(start);
    let most = usize::try_from(ENTRIES_PER_PAGE).unwrap_or(usize::MAX);
    for (index, bytes) in found.iter().rev() {
        let Some(entry) = entry(*index, bytes) else { continue };
        kinds.insert(entry.kind.clone());
        if entries.len() == most {
            older = older.max(Some(index.saturating_add(1)));
            continue;
        }
        if matches(&entry, &asked) {
            entries.push(entry);
        }
    }
    // A head is signed when its last entry is on the disk; notes themselves carry no time.
    let signed = match head.size.checked_sub(1) {
        Some(last) => {
            let (_, found) = console.entries(Some(last), 1).await?;
            found
                .first()
                .and_then(|(index, bytes)| entry(*index, bytes))
                .map(|entry| entry.at)
        }
        None => None,
    };
    let page = RecordPage {
        shell: console.shell(Some(&visitor), path),
        q: asked.q,
        kind: asked.kind,
        kinds: kinds.into_iter().collect(),
        entries,
        size,
        older,
        faults: console
            .0
            .book
            .recorder()
            .trouble()
            .map(|fault| freehold_views::shell::Fault {
                code: fault.code().to_owned(),
                message: fault.to_string(),
                ..Default::default()
            })
            .into_iter()
            .collect(),
        checkpoint: checkpoint(&head.note, signed, &console.cosigned_by()),
        key: Some(fingerprint(
            "record key (SHA-256 of its SubjectPublicKeyInfo)",
            &console.0.keys.record.public().fingerprint().to_hex(),
        )),
        verify_commands: vec![format!(
            "freehold-inspect record record/ --key '{}'",
            console.0.book.verifier()
        )],
        boxes: boxes(&console),
    };
    Ok(Html(match fragment(&headers) {
        Some(id) => page.render_fragment(id),
        None => page.render(),
    }))
}

fn boxes(console: &Console) -> Vec<BoxRecord> {
    let fleet = console.fleet();
    let seen = fleet
        .boxes()
        .values()
        .filter_map(|member| member.cosigned.as_ref().map(|head| (member, head)));
    seen.take(BOXES)
        .map(|(member, head)| BoxRecord {
            box_id: member.box_id.clone(),
            size: head.size,
            root: head.root.clone(),
            cosigned: head.at,
            fault: None,
        })
        .collect()
}

fn checkpoint(note: &str, at: Option<i64>, cosigned: &(u64, Vec<String>)) -> Option<Shown> {
    let signed = SignedNote::parse(note.as_bytes()).ok()?;
    let checkpoint = Checkpoint::parse(signed.text()).ok()?;
    Some(Shown {
        origin: checkpoint.origin,
        size: checkpoint.size,
        root: checkpoint.root.to_hex(),
        at,
        cosigned_by: cosigned
            .1
            .iter()
            .map(|name| format!("{name} (its first {} entries)", cosigned.0))
            .collect(),
    })
}

fn matches(entry: &Entry, asked: &Asked) -> bool {
    let wanted = asked.q.trim().to_lowercase();
    let code = entry.code.clone().unwrap_or_default();
    let texts = [&entry.kind, &entry.actor, &entry.subject, &entry.text, &code];
    (asked.kind.is_empty() || asked.kind == entry.kind)
        && (wanted.is_empty() || texts.iter().any(|text| text.to_lowercase().contains(&wanted)))
}

/// An entry for a page.
#[must_use]
pub fn entry(index: u64, bytes: &[u8]) -> Option<Entry> {
    let view = EntryView::parse(bytes).ok()?;
    let at = OffsetDateTime::parse(&view.at, &Rfc3339).map_or(0, OffsetDateTime::unix_timestamp);
    let about = match view.fields.get("about") {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    };
    let facts: Vec<String> = view
        .fields
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "about" | "site"))
        .map(|(name, value)| format!("{} {}", name.replace('_', " "), said(value)))
        .collect();
    Some(Entry {
        index,
        at,
        kind: view.what,
        actor: view
            .who
            .strip_prefix("box:")
            .map_or(view.who.clone(), |id| format!("box {id}")),
        href: if freehold_fleet::enrolment::is_box_id(&about) {
            address::one_box(&about, Tab::Summary)
        } else {
            String::new()
        },
        subject: about,
        text: facts.join(" · "),
        code: view.refusal.map(|refusal| refusal.code),
    })
}

fn said(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        other => serde_json::Value::from(other).to_string(),
    }
}

/// The last entries about one subject, newest first.
///
/// # Errors
/// 500 when the record cannot be read.
pub async fn entries_about(console: &Console, about: &str, most: usize) -> Result<Vec<Entry>, Refused> {
    let size = console.0.book.recorder().head().size;
    let start = size.saturating_sub(LOOKED_THROUGH);
    let (_, found) = console.entries(Some(start), size.saturating_sub(start)).await?;
    let of_it = found
        .iter()
        .rev()
        .filter_map(|(index, bytes)| entry(*index, bytes))
        .filter(|entry| entry.subject == about);
    Ok(of_it.take(most).collect())
}
