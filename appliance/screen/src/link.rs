//! The screen's end of the supervisor's socket.
//!
//! Refuses frames that the protocol refuses, by ending the connection and taking it up again. Invariant: the screen hears of
//! a lost supervisor once for each try that failed in another way, and never blocks on it.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use freehold_protocol::local::{FrameRejection, HEADER_BYTES, check_version, decode, encode, frame_length};
use freehold_protocol::screen::{Deed, FromScreen, ToScreen, VERSION};

/// Between two tries to connect.
const TRY_EVERY: Duration = Duration::from_secs(1);
/// A supervisor that does not take a wish within this time is away.
const WRITE_LIMIT: Duration = Duration::from_secs(5);

/// What the link says.
#[derive(Debug)]
pub enum Heard {
    /// The supervisor said this.
    Said(ToScreen),
    /// It is away, and why in a few words.
    Lost(String),
}

/// The way to the supervisor; cheap to clone.
#[derive(Debug, Clone)]
pub struct Link {
    stream: Arc<Mutex<Option<UnixStream>>>,
}

impl Link {
    /// Starts the conversation in a thread of its own; it is taken up again whenever it breaks. `heard` gets everything.
    pub fn start<T: From<Heard> + Send + 'static>(socket: PathBuf, heard: Sender<T>) -> Self {
        let stream = Arc::new(Mutex::new(None));
        let link = Self {
            stream: Arc::clone(&stream),
        };
        std::thread::spawn(move || {
            loop {
                let why = match converse(&socket, &stream, &heard) {
                    Ok(()) => return,
                    Err(error) => reason(&error),
                };
                *stream.lock().unwrap_or_else(PoisonError::into_inner) = None;
                if heard.send(Heard::Lost(why).into()).is_err() {
                    return;
                }
                std::thread::sleep(TRY_EVERY);
            }
        });
        link
    }

    /// Asks for something. A supervisor that is away is heard of by the thread that reads.
    pub fn ask(&self, id: u64, deed: Deed) -> bool {
        let mut place = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stream) = place.as_mut() else { return false };
        let sent = encode(&FromScreen::Do { id, deed })
            .map_err(bad)
            .and_then(|frame| stream.write_all(&frame));
        if sent.is_err() {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        sent.is_ok()
    }
}

fn bad(rejection: FrameRejection) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, rejection)
}

/// A few words without paths and numbers of the operating system.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "its socket is not there".to_owned(),
        io::ErrorKind::ConnectionRefused => "it does not listen".to_owned(),
        io::ErrorKind::PermissionDenied => "this screen may not speak to it".to_owned(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "it closed the connection".to_owned()
        }
        io::ErrorKind::InvalidData => error.to_string(),
        kind => kind.to_string(),
    }
}

/// Ends well only when nobody listens any more.
fn converse<T: From<Heard>>(socket: &Path, place: &Mutex<Option<UnixStream>>, heard: &Sender<T>) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_write_timeout(Some(WRITE_LIMIT))?;
    let program = env!("CARGO_PKG_VERSION").to_owned();
    stream.write_all(&encode(&FromScreen::Hello { v: VERSION, program }).map_err(bad)?)?;
    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream.try_clone()?);
    let mut generation = None;
    loop {
        let mut header = [0; HEADER_BYTES];
        stream.read_exact(&mut header)?;
        let mut frame = vec![0; frame_length(header).map_err(bad)?];
        stream.read_exact(&mut frame)?;
        let message: ToScreen = decode(&frame).map_err(bad)?;
        if let ToScreen::View { view } = &message {
            check_version(view.v).map_err(bad)?;
            if generation.is_some_and(|last| view.generation <= last) {
                continue;
            }
            generation = Some(view.generation);
        }
        if heard.send(Heard::Said(message).into()).is_err() {
            return Ok(());
        }
    }
}
