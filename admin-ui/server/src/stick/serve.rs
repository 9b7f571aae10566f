//! Handing out the parts of a bundle: the stored head, then pieces of files, from any byte on.
//!
//! Refuses numbers that were not made. Invariant: the bytes of a part are the same each time, so that a fetch that broke off goes
//! on where it was.

use std::io::SeekFrom;
use std::path::PathBuf;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use super::layout::Piece;
use crate::boxes::files::parse_range;
use crate::console::Console;
use crate::refused::Refused;

/// What waits in memory between the disk and a slow reader.
const PIPE: usize = 256 * 1024;

/// Bytes `start..start + length` of a file.
struct Segment {
    path: PathBuf,
    start: u64,
    length: u64,
}

impl Console {
    /// A part, whole or from a range on.
    ///
    /// # Errors
    /// 404, 416.
    pub(crate) async fn bundle_part(&self, number: u64, part: u32, headers: &HeaderMap) -> Result<Response, Refused> {
        let segments = self.segments(number, part).await?;
        let length = segments
            .iter()
            .fold(0_u64, |sum, segment| sum.saturating_add(segment.length));
        let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
        let wanted = match range {
            None => None,
            Some(text) => Some(parse_range(text, length).ok_or_else(|| {
                Refused::new(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    "console.bad_range",
                    format!("the part has {length} bytes"),
                )
            })?),
        };
        let (first, last) = wanted.unwrap_or((0, length.saturating_sub(1)));
        let count = last.saturating_sub(first).saturating_add(1).min(length);
        let (mut write, read) = tokio::io::duplex(PIPE);
        tokio::spawn(async move {
            // A reader that went away, or a file that cannot be read: the length that was promised shows it.
            if let Err(error) = pour(segments, first, count, &mut write).await {
                tracing::debug!(%error, "a part was not read to its end");
            }
        });
        let mut response = Response::builder()
            .header(header::CONTENT_TYPE, "application/vnd.freehold.fhz")
            .header(header::ACCEPT_RANGES, "bytes")
            .header(header::CONTENT_LENGTH, count)
            .header(
                header::CONTENT_DISPOSITION,
                format!("attachment; filename=\"freehold-bundle-{number}-{part}.fhz\""),
            );
        if wanted.is_some() {
            response = response
                .status(StatusCode::PARTIAL_CONTENT)
                .header(header::CONTENT_RANGE, format!("bytes {first}-{last}/{length}"));
        }
        response
            .body(Body::from_stream(ReaderStream::with_capacity(read, PIPE)))
            .map_err(|error| Refused::inside(&error))
    }

    async fn segments(&self, number: u64, part: u32) -> Result<Vec<Segment>, Refused> {
        let missing = || Refused::not_found("part");
        let folder = format!("bundles/{number}");
        let known = self.0.store.bundle(i64::try_from(number).unwrap_or(i64::MAX)).await;
        if known.map_err(|error| Refused::inside(&error))?.is_none() {
            return Err(missing());
        }
        let layout = tokio::fs::read(self.0.dir.path(&format!("{folder}/layout.json"))).await;
        let parts: Vec<Vec<Piece>> =
            serde_json::from_slice(&layout.map_err(|_| missing())?).map_err(|error| Refused::inside(&error))?;
        let place = usize::try_from(part).ok().and_then(|part| part.checked_sub(1));
        let pieces = place
            .and_then(|place| parts.into_iter().nth(place))
            .ok_or_else(missing)?;
        let head = self.0.dir.path(&format!("{folder}/{part}.head"));
        let length = tokio::fs::metadata(&head).await.map_err(|_| missing())?.len();
        let mut segments = vec![Segment {
            path: head,
            start: 0,
            length,
        }];
        segments.extend(pieces.into_iter().map(|piece| Segment {
            path: self.0.dir.path(&piece.file),
            start: piece.start,
            length: piece.length,
        }));
        Ok(segments)
    }
}

async fn pour(
    segments: Vec<Segment>,
    mut skip: u64,
    mut count: u64,
    to: &mut tokio::io::DuplexStream,
) -> std::io::Result<()> {
    for segment in segments {
        if count == 0 {
            break;
        }
        if skip >= segment.length {
            skip = skip.saturating_sub(segment.length);
            continue;
        }
        let take = segment.length.saturating_sub(skip).min(count);
        let mut file = tokio::fs::File::open(&segment.path).await?;
        file.seek(SeekFrom::Start(segment.start.saturating_add(skip))).await?;
        let copied = tokio::io::copy(&mut file.take(take), to).await?;
        if copied != take {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        (skip, count) = (0, count.saturating_sub(take));
    }
    Ok(())
}
