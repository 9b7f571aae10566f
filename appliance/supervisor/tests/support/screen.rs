//! The box's screen as another program would write it: frames on a socket.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use freehold_harness::{PATIENCE, wait_for};
use freehold_protocol::local::{HEADER_BYTES, decode, encode, frame_length};
use freehold_protocol::screen::{Deed, FromScreen, ToScreen, VERSION, View};

/// A connection.
pub struct Screen {
    stream: UnixStream,
    /// What is shown.
    pub view: View,
    id: u64,
}

impl Screen {
    pub fn open(socket: &Path) -> Self {
        let stream = wait_for("the screen's socket", PATIENCE, || Ok(UnixStream::connect(socket).ok())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut screen = Self {
            stream,
            view: View::default(),
            id: 0,
        };
        let program = "test".to_owned();
        screen.say(&FromScreen::Hello { v: VERSION, program });
        screen
    }

    fn say(&mut self, message: &FromScreen) {
        self.stream.write_all(&encode(message).unwrap()).unwrap();
    }

    fn hear(&mut self) -> ToScreen {
        let mut header = [0; HEADER_BYTES];
        self.stream.read_exact(&mut header).unwrap();
        let mut frame = vec![0; frame_length(header).unwrap()];
        self.stream.read_exact(&mut frame).unwrap();
        decode(&frame).unwrap()
    }

    pub fn ask(&mut self, deed: Deed) -> String {
        self.id += 1;
        self.say(&FromScreen::Do { id: self.id, deed });
        loop {
            match self.hear() {
                ToScreen::View { view } => self.view = *view,
                ToScreen::Done { said, .. } => return said,
                ToScreen::RecoveryKey { blocks, .. } => return blocks.join("-"),
                ToScreen::Refused { report, .. } => return report.code,
            }
        }
    }

    pub fn until(&mut self, wanted: impl Fn(&View) -> bool) {
        while !wanted(&self.view) {
            if let ToScreen::View { view } = self.hear() {
                self.view = *view;
            }
        }
    }
}
