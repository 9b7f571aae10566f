//! An engine's own messages, kept within bounds.
//!
//! Refuses to grow: at the limit the file becomes the older part and a new one begins. Invariant: at most twice
//! [`MAX_PART_BYTES`] on disk, one line of at most [`MAX_LINE_BYTES`], and no control characters.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Bounds the disk that an engine can fill with messages.
pub const MAX_PART_BYTES: u64 = 256 << 10;

/// Longer lines are cut: nobody reads them, and they could hold what should not be there.
pub const MAX_LINE_BYTES: usize = 400;

/// Lines that are kept in memory, to say why an engine ended.
const LAST_LINES: usize = 12;

/// The last lines, shared between the thread that reads and whoever asks.
#[derive(Debug, Clone, Default)]
pub struct LastWords(Arc<Mutex<VecDeque<String>>>);

impl LastWords {
    /// The last lines, oldest first.
    pub fn lines(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }

    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// Copies `from` to the log at `path` until it ends. A log that cannot be written is no reason to stop an engine: reading
/// goes on, so that the engine never waits for its reader.
pub fn keep(mut from: impl Read, path: &Path, last: &LastWords) {
    let mut part = Part::open(path);
    let mut line = Vec::new();
    let mut buffer = [0u8; 4096];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        for byte in buffer.get(..read).unwrap_or_default() {
            if *byte == b'\n' {
                part.write(&line, last);
                line.clear();
            } else if line.len() < MAX_LINE_BYTES {
                line.push(*byte);
            }
        }
    }
    if !line.is_empty() {
        part.write(&line, last);
    }
}

struct Part {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
}

impl Part {
    fn open(path: &Path) -> Self {
        let file = File::options().create(true).append(true).open(path).ok();
        let bytes = file
            .as_ref()
            .and_then(|file| file.metadata().ok())
            .map_or(0, |meta| meta.len());
        Self {
            path: path.to_owned(),
            file,
            bytes,
        }
    }

    fn write(&mut self, line: &[u8], last: &LastWords) {
        let mut text: String = String::from_utf8_lossy(line)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        last.push(text.clone());
        text.push('\n');
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if self.bytes.saturating_add(length) > MAX_PART_BYTES {
            let mut older = self.path.clone().into_os_string();
            older.push(".1");
            let _ = std::fs::rename(&self.path, older);
            *self = Self::open(&self.path);
        }
        if let Some(file) = &mut self.file
            && file.write_all(text.as_bytes()).is_ok()
        {
            self.bytes = self.bytes.saturating_add(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_talkative_engine_fills_two_parts_and_no_more() {
        let world = tempfile::tempdir().unwrap();
        let path = world.path().join("engine.log");
        let mut noise = "x\u{1b}[31m".repeat(500).into_bytes();
        noise.push(b'\n');
        let last = LastWords::default();
        keep(noise.repeat(3000).as_slice(), &path, &last);
        let size = |name: &str| std::fs::metadata(world.path().join(name)).unwrap().len();
        assert!(size("engine.log") <= MAX_PART_BYTES && size("engine.log.1") <= MAX_PART_BYTES);
        assert_eq!(std::fs::read_dir(world.path()).unwrap().count(), 2);
        assert_eq!(last.lines().len(), LAST_LINES);
        assert!(!std::fs::read_to_string(&path).unwrap().contains('\u{1b}'));
    }
}
