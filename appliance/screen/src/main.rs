//! `freehold-screen`: the box's own screen on one terminal, until the terminal is gone.
//!
//! Refuses to end for any key: SIGTERM ends it, and what starts it again is systemd.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use clap::Parser;
use freehold_screen::link::{Heard, Link};
use freehold_screen::terminal::{Letters, Terminal, Way};
use freehold_screen::{Key, Keys, Screen, time_zones};

/// How long an Escape waits for the rest of a sequence: more than a 9600 baud line needs for four bytes.
const ESCAPE: Duration = Duration::from_millis(100);

/// The box's own screen.
#[derive(Debug, Parser)]
#[command(name = "freehold-screen", version, about)]
struct Arguments {
    /// The supervisor's socket for this screen.
    #[arg(long, default_value = "/run/freehold/screen.sock")]
    supervisor: PathBuf,
    /// The terminal; without it, the one it was started on.
    #[arg(long)]
    terminal: Option<PathBuf>,
    /// Print the whole picture line by line, without placing the cursor. Chosen by itself where TERM is `dumb` or empty.
    #[arg(long)]
    plain: bool,
    /// The terminal shows UTF-8; without it, ASCII only.
    #[arg(long)]
    utf8: bool,
    /// Where the time zones are.
    #[arg(long, default_value = "/usr/share/zoneinfo")]
    zones: PathBuf,
}

enum Event {
    Heard(Heard),
    Typed(Vec<u8>),
    Gone,
}

impl From<Heard> for Event {
    fn from(heard: Heard) -> Self {
        Self::Heard(heard)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: the terminal cannot be used: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> std::io::Result<()> {
    let way = if arguments.plain {
        Way::Plain
    } else {
        Way::of(&std::env::var("TERM").unwrap_or_default())
    };
    let letters = if arguments.utf8 { Letters::Utf8 } else { Letters::Ascii };
    let mut terminal = Terminal::open(arguments.terminal.as_deref(), way, letters)?;
    let mut keyboard = terminal.keyboard()?;
    let (events, queue) = channel();
    let link = Link::start::<Event>(arguments.supervisor.clone(), events.clone());
    std::thread::spawn(move || {
        loop {
            let event = match keyboard.read() {
                Ok(bytes) if !bytes.is_empty() => Event::Typed(bytes),
                _ => Event::Gone,
            };
            let gone = matches!(event, Event::Gone);
            if events.send(event).is_err() || gone {
                return;
            }
        }
    });
    let mut screen = Screen::new(time_zones(&arguments.zones));
    let mut keys = Keys::default();
    loop {
        terminal.show(&screen.frame())?;
        let event = if keys.waits() {
            queue.recv_timeout(ESCAPE)
        } else {
            queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        let pressed = match event {
            Ok(Event::Heard(Heard::Said(message))) => {
                screen.hear(message);
                continue;
            }
            Ok(Event::Heard(Heard::Lost(why))) => {
                screen.lost(&why);
                continue;
            }
            Ok(Event::Typed(bytes)) => keys.read(&bytes),
            Err(RecvTimeoutError::Timeout) => keys.pause().into_iter().collect(),
            // The line was hung up: systemd starts the next one on it.
            Ok(Event::Gone) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
        for key in pressed {
            if key == Key::Redraw {
                terminal.forget();
            }
            if let Some((id, deed)) = screen.press(key)
                && !link.ask(id, deed)
            {
                screen.lost("it closed the connection");
            }
        }
    }
}
