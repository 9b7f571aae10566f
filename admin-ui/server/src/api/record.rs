//! The console's record over the API: checkpoint, entries, tiles.
//!
//! Refuses paths that are not tiles. Invariant: a tile goes out as it lies on the disk, so that a stranger's tools check it.

use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use freehold_record_files::RecordFault;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::console::Console;
use crate::people::session::Visitor;
use crate::refused::Refused;

/// Most entries in one answer.
const ENTRIES: u64 = 1000;

/// `GET /api/v1/record/checkpoint`.
///
/// # Errors
/// 503 when the record cannot be brought into tiles.
pub async fn checkpoint(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Refused> {
    let read = console.entry("record.read", &visitor.account.name);
    console.record(read.fact("as_file", "checkpoint")).await?;
    let recorder = console.0.book.recorder().clone();
    let note = blocking(move || recorder.publish().and_then(|_| recorder.reader().checkpoint()))
        .await?
        .0;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], note).into_response())
}

/// Which entries.
#[derive(Debug, Deserialize)]
pub struct Range {
    from: Option<u64>,
    limit: Option<u64>,
}

/// `GET /api/v1/record/entries`; without `from`, the last ones.
///
/// # Errors
/// 500 when the record cannot be read.
pub async fn entries(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Query(range): Query<Range>,
) -> Result<Json<Value>, Refused> {
    let limit = range.limit.unwrap_or(100).min(ENTRIES);
    let (size, found) = console.entries(range.from, limit).await?;
    console.record_read(&visitor.account.name, &found).await?;
    let shown: Vec<Value> = found
        .into_iter()
        .map(|(index, bytes)| json!({ "index": index, "entry": serde_json::from_slice::<Value>(&bytes).unwrap_or_default() }))
        .collect();
    Ok(Json(json!({ "size": size, "entries": shown })))
}

/// `GET /api/v1/record/tile/{*path}`.
///
/// # Errors
/// 404.
pub async fn tile(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(path): Path<String>,
) -> Result<Response, Refused> {
    let path = format!("tile/{path}");
    if !is_tile(&path) {
        return Err(Refused::not_found("tile"));
    }
    let file = console.0.book.recorder().folder().join(&path);
    let bytes = tokio::fs::read(file).await.map_err(|_| Refused::not_found("tile"))?;
    let read = console.entry("record.read", &visitor.account.name);
    console.record(read.fact("as_file", path)).await?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}

/// `GET /api/v1/record/proof/{index}`: the entry as text, and the proof as a C2SP tlog-proof.
///
/// # Errors
/// 404 when there is no such entry.
pub async fn proof(
    State(console): State<Console>,
    Extension(visitor): Extension<Visitor>,
    Path(index): Path<u64>,
) -> Result<Json<Value>, Refused> {
    if index >= console.0.book.recorder().head().size {
        return Err(Refused::not_found("entry"));
    }
    let prover = console.clone();
    let (entry, proof) = blocking(move || prover.prove_entry(index)).await?;
    console
        .record_read(&visitor.account.name, &[(index, entry.clone())])
        .await?;
    Ok(Json(json!({
        "index": index, "entry": String::from_utf8_lossy(&entry), "proof": proof.to_string(), "key": console.0.book.verifier(),
    })))
}

/// C2SP tlog-tiles: digits, `x`, `.p`, `entries` and nothing else between slashes.
fn is_tile(path: &str) -> bool {
    let part = |part: &str| {
        let digits = |text: &str| !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
        part == "tile" || part == "entries" || digits(part.trim_start_matches('x').trim_end_matches(".p"))
    };
    path.len() <= 128 && path.split('/').all(part)
}

impl Console {
    /// Says in the record who read which entries of it.
    pub(crate) async fn record_read(&self, who: &str, entries: &[(u64, Vec<u8>)]) -> Result<(), Refused> {
        let mut read = self.entry("record.read", who).fact("entries", entries.len());
        if let Some((from, _)) = entries.first() {
            read = read.fact("from", *from);
        }
        self.record(read).await
    }

    /// Entries from `from`, or the last `limit` ones, with the size of the record.
    pub(crate) async fn entries(&self, from: Option<u64>, limit: u64) -> Result<(u64, Vec<(u64, Vec<u8>)>), Refused> {
        let recorder = self.0.book.recorder().clone();
        blocking(move || {
            let size = recorder.head().size;
            let from = from.unwrap_or(size.saturating_sub(limit));
            Ok((size, recorder.entries(from, from.saturating_add(limit))?))
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RecordFault> + Send + 'static,
) -> Result<T, Refused> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Refused::inside(&error))?
        .map_err(|error| Refused::inside(&error))
}

#[cfg(test)]
mod tests {
    use super::is_tile;

    #[test]
    fn only_tiles() {
        for good in [
            "tile/0/000",
            "tile/0/000.p/12",
            "tile/entries/x001/234",
            "tile/1/000.p/3",
        ] {
            assert!(is_tile(good), "{good}");
        }
        for bad in [
            "tile/../key",
            "tile//0",
            "tile/0/",
            "journal",
            "tile/0/.p",
            "tile/0/00000",
        ] {
            assert!(!is_tile(bad), "{bad}");
        }
    }
}
