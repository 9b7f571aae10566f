//! The person at the box: what is shown, what is asked, and how long that waits.
//!
//! Refuses to show a secret anywhere else: the recovery key goes to the console alone, never to standard error, which ends in
//! the journal. Invariant: no question waits longer than the patience that it was made with.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::termios::{LocalModes, OptionalActions, isatty, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::stop::Stop;

/// Longest line that is read; bounds a stuck key.
const MAX_LINE: u64 = 1024;

/// Whether what a person types is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// It is.
    Shown,
    /// It is not, where the terminal can do that.
    Hidden,
}

/// The console.
pub struct Console {
    out: Box<dyn Write>,
    terminal: Option<File>,
    lines: Receiver<Zeroizing<String>>,
    patience: Duration,
}

impl Console {
    /// Opens the terminal at `path`, or standard input and output for `-`.
    pub fn open(path: &Path, patience: Duration) -> Result<Self, Stop> {
        let (out, input, terminal): (Box<dyn Write>, Box<dyn Read + Send>, _) = if path == Path::new("-") {
            (Box::new(io::stdout()), Box::new(io::stdin()), None)
        } else {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .map_err(Stop::file(path))?;
            let clone = || file.try_clone().map_err(Stop::file(path));
            (Box::new(clone()?), Box::new(clone()?), Some(clone()?))
        };
        let (sender, lines) = channel();
        thread::spawn(move || {
            let mut input = BufReader::new(input);
            loop {
                let mut line = Zeroizing::new(String::new());
                match input.by_ref().take(MAX_LINE).read_line(&mut line) {
                    Ok(1..) if sender.send(line).is_ok() => {}
                    _ => return,
                }
            }
        });
        Ok(Self {
            out,
            terminal,
            lines,
            patience,
        })
    }

    /// Shows text. A console that is away is no reason to stop.
    pub fn say(&mut self, text: &str) {
        let _ = writeln!(self.out, "{text}");
        let _ = self.out.flush();
    }

    /// Asks; `None` when nobody answered in time, or an empty answer.
    pub fn ask(&mut self, question: &str, echo: Echo) -> Option<Zeroizing<String>> {
        let _ = write!(self.out, "{question} ");
        let _ = self.out.flush();
        // Only what is typed from now on.
        if self.terminal.is_some() {
            while self.lines.try_recv().is_ok() {}
        }
        let silent = (echo == Echo::Hidden)
            .then(|| Silence::on(self.terminal.as_ref()))
            .flatten();
        let line = self.lines.recv_timeout(self.patience).ok();
        if silent.is_some() {
            drop(silent);
            self.say("");
        }
        let line = line?;
        let trimmed = Zeroizing::new(line.trim().to_owned());
        (!trimmed.is_empty()).then_some(trimmed)
    }
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silence<'a> {
    terminal: &'a File,
    before: rustix::termios::Termios,
}

impl<'a> Silence<'a> {
    fn on(terminal: Option<&'a File>) -> Option<Self> {
        let terminal = terminal.filter(|terminal| isatty(terminal))?;
        let before = tcgetattr(terminal).ok()?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(terminal, OptionalActions::Now, &quiet).ok()?;
        Some(Self { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}
