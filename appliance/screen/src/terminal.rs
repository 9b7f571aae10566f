//! The terminal: raw bytes in, painted cells or plain lines out.
//!
//! Refuses to let the terminal act by itself: no echo, no signals from keys, no flow control from keys. Invariant: the
//! terminal's own settings come back when the value is dropped.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ratatui_core::buffer::{Buffer, Cell};
use ratatui_core::style::Modifier;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::frame::Frame;
use crate::text;

/// How a picture gets onto a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Cells are placed where they belong (VT100: cursor address, bold, reverse).
    Placed,
    /// The whole picture, line after line, whenever it changed: for a line that knows nothing.
    Plain,
}

impl Way {
    /// For the value of `TERM`.
    #[must_use]
    pub fn of(term: &str) -> Self {
        match term {
            "" | "dumb" | "unknown" | "network" => Self::Plain,
            _ => Self::Placed,
        }
    }
}

/// After so long the picture is painted whole: the system's own messages may have been written over it meanwhile.
const WHOLE: Duration = Duration::from_secs(10);

/// Letters that a terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letters {
    /// Seven bits.
    Ascii,
    /// UTF-8; only Latin-1 letters are sent.
    Utf8,
}

/// A terminal in our hands.
#[derive(Debug)]
pub struct Terminal {
    file: File,
    before: Option<Termios>,
    way: Way,
    letters: Letters,
    shown: Option<Buffer>,
    painted: Instant,
    told: Vec<String>,
}

impl Terminal {
    /// Takes a terminal: `path`, or the standard input, which systemd opens for reading and writing.
    ///
    /// # Errors
    /// When it cannot be opened, or is none.
    pub fn open(path: Option<&Path>, way: Way, letters: Letters) -> io::Result<Self> {
        let file = match path {
            Some(path) => OpenOptions::new().read(true).write(true).open(path)?,
            None => File::from(io::stdin().as_fd().try_clone_to_owned()?),
        };
        let before = tcgetattr(&file)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&file, OptionalActions::Now, &raw)?;
        Ok(Self {
            file,
            before: Some(before),
            way,
            letters,
            shown: None,
            painted: Instant::now(),
            told: Vec::new(),
        })
    }

    /// Another handle on it, to read keys from.
    ///
    /// # Errors
    /// When the system has no room.
    pub fn keyboard(&self) -> io::Result<Keyboard> {
        Ok(Keyboard {
            file: self.file.try_clone()?,
        })
    }

    /// Shows a picture; what is there already is not sent again.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn show(&mut self, frame: &Frame) -> io::Result<()> {
        if self.painted.elapsed() > WHOLE {
            self.painted = Instant::now();
            self.shown = self.shown.take().map(|shown| unlike(&shown));
        }
        let out = match self.way {
            Way::Placed => placed(frame, &mut self.shown),
            Way::Plain => plain(frame, &mut self.told),
        };
        let out = match self.letters {
            Letters::Ascii => text::ascii(&out),
            Letters::Utf8 => out,
        };
        self.file.write_all(out.as_bytes())?;
        self.file.flush()
    }

    /// Forgets what was shown: the next picture is sent whole.
    pub fn forget(&mut self) {
        self.shown = None;
        self.told.clear();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.way == Way::Placed {
            let _ = self.file.write_all(b"\x1b[0m\x1b[?25h\x1b[2J\x1b[H");
        }
        if let Some(before) = &self.before {
            let _ = tcsetattr(&self.file, OptionalActions::Now, before);
        }
    }
}

/// Where keys come from.
#[derive(Debug)]
pub struct Keyboard {
    file: File,
}

impl Keyboard {
    /// The next bytes; waits for them. Empty when the terminal is gone.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 256];
        let length = self.file.read(&mut bytes)?;
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// A picture of the same size in which every cell is another one: what comes next is painted whole, and nothing flickers.
fn unlike(shown: &Buffer) -> Buffer {
    Buffer::filled(shown.area, Cell::new("\u{fffd}"))
}

/// Only what differs from the last picture, each run of cells at its place.
fn placed(frame: &Frame, shown: &mut Option<Buffer>) -> String {
    let next = frame.cells();
    let mut out = String::new();
    if shown.is_none() {
        // Attributes off, no cursor, an empty screen.
        out.push_str("\x1b[0m\x1b[?25l\x1b[2J");
    }
    let before = shown.take().unwrap_or_else(|| Buffer::empty(next.area));
    let (mut at, mut modifier) = (None, Modifier::empty());
    for (x, y, cell) in before.diff(&next) {
        if at != Some((x, y)) {
            out.push_str(&format!("\x1b[{};{}H", y + 1, x + 1));
        }
        if cell.modifier != modifier {
            modifier = cell.modifier;
            out.push_str("\x1b[0m");
            if modifier.contains(Modifier::BOLD) {
                out.push_str("\x1b[1m");
            }
            if modifier.contains(Modifier::REVERSED) {
                out.push_str("\x1b[7m");
            }
        }
        out.push_str(cell.symbol());
        at = Some((x + 1, y));
    }
    if !modifier.is_empty() {
        out.push_str("\x1b[0m");
    }
    match frame.cursor {
        Some((x, y)) => out.push_str(&format!("\x1b[{};{}H\x1b[?25h", y + 1, x + 1)),
        None => out.push_str("\x1b[?25l"),
    }
    *shown = Some(next);
    out
}

/// The whole picture when more than its time changed; nothing otherwise. While something is typed, only that line.
fn plain(frame: &Frame, told: &mut Vec<String>) -> String {
    let lines = frame.lines();
    let changed: Vec<usize> = (lines.iter().zip(told.iter()))
        .enumerate()
        .filter(|(_, (now, before))| now != before)
        .map(|(row, _)| row)
        .collect();
    let typed = frame.cursor.map(|(_, row)| usize::from(row));
    let first = told.is_empty();
    *told = lines;
    let line = |row: usize| told.get(row).map_or("", String::as_str);
    if !first && changed.iter().all(|row| *row == 1) {
        return String::new();
    }
    if let Some(row) = typed
        && !first
        && changed.iter().all(|changed| *changed == row || *changed == 1)
    {
        // Over the line that stands there: a carriage return is all that a dumb line knows, and a blank wipes a letter.
        return format!("\r{} \r{}", line(row), line(row));
    }
    let mut out = String::from("\r\n");
    for row in 0..told.len() {
        out.push_str(line(row));
        out.push_str("\r\n");
    }
    if let Some(row) = typed {
        out.push_str(line(row));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Row;

    #[test]
    fn only_differences_are_sent() {
        let mut shown = None;
        let first = placed(&Frame::new(vec![Row::light("one"), Row::strong("two")]), &mut shown);
        assert_eq!(
            first,
            "\x1b[0m\x1b[?25l\x1b[2J\x1b[1;1Hone\x1b[2;1H\x1b[0m\x1b[1mtwo\x1b[0m\x1b[?25l"
        );
        let next = placed(&Frame::new(vec![Row::light("one"), Row::strong("twp")]), &mut shown);
        assert_eq!(next, "\x1b[2;3H\x1b[0m\x1b[1mp\x1b[0m\x1b[?25l");
        // Painted whole, each line stands in it from its first cell to its last, and the screen is not emptied before.
        let mut over = shown.as_ref().map(unlike);
        let whole = placed(&Frame::new(vec![Row::light("one"), Row::strong("twp")]), &mut over);
        assert!(
            whole.starts_with("\x1b[1;1Hone     ") && whole.contains("twp"),
            "{whole:?}"
        );
        assert!(!whole.contains("\x1b[2J"));
    }

    #[test]
    fn a_dumb_line_gets_lines_and_no_escape() {
        let mut told = Vec::new();
        let rows = |clock: &str, body: &str| Frame::new(vec![Row::strong("head"), Row::light(clock), Row::light(body)]);
        let first = plain(&rows("09:14", "trusted"), &mut told);
        assert!(first.starts_with("\r\nhead\r\n09:14\r\ntrusted\r\n"), "{first:?}");
        assert!(!first.contains('\x1b'));
        assert_eq!(
            plain(&rows("09:15", "trusted"), &mut told),
            "",
            "the time alone is no news"
        );
        assert_ne!(plain(&rows("09:16", "refused"), &mut told), "");
    }

    #[test]
    fn the_name_of_a_terminal_decides_the_way() {
        assert_eq!((Way::of("linux"), Way::of("vt220")), (Way::Placed, Way::Placed));
        assert_eq!((Way::of("dumb"), Way::of("")), (Way::Plain, Way::Plain));
    }
}
