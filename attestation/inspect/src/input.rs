//! Files and times from the command line.
//!
//! Refuses files larger than their kind can be. Invariant: an error names the file.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The bytes of a file of at most `limit` bytes.
pub fn read(path: &Path, limit: usize) -> anyhow::Result<Vec<u8>> {
    let named = || format!("cannot read `{}`", path.display());
    let file = std::fs::File::open(path).with_context(named)?;
    let mut bytes = Vec::new();
    file.take(u64::try_from(limit)?.saturating_add(1))
        .read_to_end(&mut bytes)
        .with_context(named)?;
    anyhow::ensure!(
        bytes.len() <= limit,
        "`{}` is larger than {limit} bytes, which is more than such a file can be",
        path.display()
    );
    Ok(bytes)
}

/// The text of a file of at most `limit` bytes.
pub fn read_text(path: &Path, limit: usize) -> anyhow::Result<String> {
    String::from_utf8(read(path, limit)?).with_context(|| format!("`{}` is not text", path.display()))
}

/// RFC 3339 or unix seconds.
pub fn time(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    OffsetDateTime::parse(text, &Rfc3339)
        .map(OffsetDateTime::unix_timestamp)
        .map_err(|_| "neither RFC 3339 (2026-11-21T09:14:00Z) nor unix seconds".to_owned())
}

/// The system's time, for verbs that need one and were given none.
pub fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// RFC 3339 of unix seconds, for people.
pub fn shown(unix: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(unix)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok());
    at.unwrap_or_else(|| unix.to_string())
}
