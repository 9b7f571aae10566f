//! The publisher's repository as boxes fetch it: metadata whole, targets with `Range`.
//!
//! Refuses every path that the verified metadata does not name. Invariant: a path from outside is only ever looked up in a
//! list, never joined to a folder.

use std::io::SeekFrom;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use crate::console::Console;
use crate::refused::Refused;

/// Bytes read at once.
const BLOCK: usize = 256 * 1024;

/// `GET /box/v1/repository/metadata/{file}`.
///
/// # Errors
/// 404.
pub async fn metadata(State(console): State<Console>, Path(name): Path<String>) -> Result<Response, Refused> {
    if !is_metadata(&name) {
        return Err(Refused::not_found("metadata file"));
    }
    if name == "timestamp.json" {
        let timestamp = console.shelf().timestamp.clone();
        if timestamp.is_empty() {
            return Err(Refused::not_found("metadata file"));
        }
        return Ok(([(header::CONTENT_TYPE, "application/json")], timestamp).into_response());
    }
    let path = console.0.dir.path("repository/metadata").join(&name);
    let bytes = tokio::fs::read(&path)
        .await
        .map_err(|_| Refused::not_found("metadata file"))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}

/// `timestamp.json`, or `<version>.<role>.json`.
fn is_metadata(name: &str) -> bool {
    let versioned = |name: &str| {
        let (version, role) = name.split_once('.')?;
        let number = !version.is_empty() && version.len() <= 10 && version.bytes().all(|byte| byte.is_ascii_digit());
        (number && matches!(role, "root.json" | "snapshot.json" | "targets.json")).then_some(())
    };
    name == "timestamp.json" || versioned(name).is_some()
}

/// `GET /box/v1/repository/targets/{path}`, whole or one range.
///
/// # Errors
/// 404, and 416 for a range that is not in the file.
pub async fn target(
    State(console): State<Console>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let shelf = console.shelf();
    let (file, length) = shelf.served(&path).ok_or_else(|| Refused::not_found("target"))?;
    let path = console.0.dir.path("repository/targets").join(file);
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let wanted = match range {
        None => None,
        Some(text) => Some(parse_range(text, length).ok_or_else(|| {
            Refused::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "console.bad_range",
                format!("the file has {length} bytes"),
            )
        })?),
    };
    let mut opened = tokio::fs::File::open(&path)
        .await
        .map_err(|_| Refused::not_found("target"))?;
    let (status, first, count) = match wanted {
        None => (StatusCode::OK, 0, length),
        Some((first, last)) => (
            StatusCode::PARTIAL_CONTENT,
            first,
            last.saturating_sub(first).saturating_add(1),
        ),
    };
    opened
        .seek(SeekFrom::Start(first))
        .await
        .map_err(|error| Refused::inside(&error))?;
    let body = Body::from_stream(ReaderStream::with_capacity(opened.take(count), BLOCK));
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CONTENT_LENGTH, count);
    if wanted.is_some() {
        let last = first.saturating_add(count).saturating_sub(1);
        response = response.header(header::CONTENT_RANGE, format!("bytes {first}-{last}/{length}"));
    }
    response.body(body).map_err(|error| Refused::inside(&error))
}

/// `bytes=first-`, `bytes=first-last` or `bytes=-count`, as first and last byte (RFC 9110, section 14.1.2).
pub(crate) fn parse_range(text: &str, length: u64) -> Option<(u64, u64)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let end = length.checked_sub(1)?;
    match (first, last) {
        ("", count) => {
            let count: u64 = count.parse().ok()?;
            (count > 0).then(|| (length.saturating_sub(count), end))
        }
        (first, "") => first
            .parse()
            .ok()
            .filter(|first| *first <= end)
            .map(|first| (first, end)),
        (first, last) => {
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            (first <= last && first <= end).then_some((first, last.min(end)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(parse_range("bytes=0-", 10), Some((0, 9)));
        assert_eq!(parse_range("bytes=4-5", 10), Some((4, 5)));
        assert_eq!(parse_range("bytes=4-99", 10), Some((4, 9)));
        assert_eq!(parse_range("bytes=-3", 10), Some((7, 9)));
        assert_eq!(parse_range("bytes=-99", 10), Some((0, 9)));
        for bad in [
            "bytes=10-",
            "bytes=5-4",
            "bytes=-0",
            "bytes=a-b",
            "bytes=0-1,3-4",
            "items=0-1",
            "",
        ] {
            assert_eq!(parse_range(bad, 10), None, "{bad}");
        }
        assert_eq!(parse_range("bytes=0-", 0), None);
    }

    #[test]
    fn metadata_names() {
        for good in ["timestamp.json", "1.root.json", "12.snapshot.json", "3.targets.json"] {
            assert!(is_metadata(good), "{good}");
        }
        for bad in [
            "../keys/director.pem",
            ".root.json",
            "x.root.json",
            "1.root.json/..",
            "1.other.json",
            "root.json",
        ] {
            assert!(!is_metadata(bad), "{bad}");
        }
    }
}
