//! The end of patience: after the limit the program ends, whatever it waits for.
//!
//! Refuses to clean up: a program that ends here is as one whose power was cut, and the next start goes on from there.

use std::process::exit;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// Ends the program with 2 when this value still lives after the limit.
pub struct Watchdog {
    _alive: Sender<()>,
}

impl Watchdog {
    /// Starts counting.
    pub fn start(limit: Duration) -> Self {
        let (alive, ended): (Sender<()>, Receiver<()>) = channel();
        thread::spawn(move || {
            if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                eprintln!(
                    "error: seal.tool: not finished after {} s; the volume stays closed",
                    limit.as_secs()
                );
                exit(2);
            }
        });
        Self { _alive: alive }
    }
}
