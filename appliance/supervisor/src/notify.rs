//! Telling systemd that the supervisor is up, goes round, and ends (sd_notify(3)).
//!
//! Refuses to say that all is well for another: it speaks only while rounds go on. Invariant: without `NOTIFY_SOCKET` nothing is
//! said, so that a process box is the same program.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What takes long goes on beside the rounds; a round itself waits for its console's answers, each with a limit. One that takes longer
/// hangs.
const LONGEST_ROUND: Duration = Duration::from_secs(15 * 60);

/// The way to systemd, if there is one.
#[derive(Debug, Clone)]
pub(crate) struct Notify {
    socket: Option<Arc<(UnixDatagram, SocketAddr)>>,
    beats: Arc<AtomicU64>,
    begun: Instant,
}

impl Notify {
    /// The socket that systemd named, if it did.
    pub(crate) fn from_environment() -> Self {
        Self::to(std::env::var("NOTIFY_SOCKET").ok().as_deref())
    }

    fn to(name: Option<&str>) -> Self {
        let socket = name.and_then(|name| {
            let address = match name.strip_prefix('@') {
                Some(hidden) => SocketAddr::from_abstract_name(hidden),
                None => SocketAddr::from_pathname(name),
            };
            Some(Arc::new((UnixDatagram::unbound().ok()?, address.ok()?)))
        });
        Self {
            socket,
            beats: Arc::new(AtomicU64::new(0)),
            begun: Instant::now(),
        }
    }

    fn say(&self, words: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.0.send_to_addr(words.as_bytes(), &socket.1)
        {
            tracing::warn!(%error, "systemd does not hear");
        }
    }

    /// The supervisor is up.
    pub(crate) fn ready(&self) {
        self.say("READY=1");
    }

    /// It ends because it was told to.
    pub(crate) fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// A round has begun or ended.
    pub(crate) fn beat(&self) {
        self.beats.store(self.begun.elapsed().as_secs(), Ordering::Relaxed);
    }

    fn alive(&self, now: Duration) -> bool {
        let last = Duration::from_secs(self.beats.load(Ordering::Relaxed));
        now.saturating_sub(last) < LONGEST_ROUND
    }

    /// Feeds systemd's watchdog at a third of its time, for as long as rounds go on.
    pub(crate) fn guard(&self) {
        let wanted = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
        let Some(every) = wanted.map(Duration::from_micros) else {
            return;
        };
        let own = self.clone();
        tokio::spawn(async move {
            loop {
                if own.alive(own.begun.elapsed()) {
                    own.say("WATCHDOG=1");
                } else {
                    tracing::error!("a round does not end; systemd will start the supervisor again");
                }
                tokio::time::sleep(every / 3).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_hears_that_the_supervisor_is_up_and_that_it_ends() {
        let world = tempfile::tempdir().unwrap();
        let path = world.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let notify = Notify::to(path.to_str());
        notify.ready();
        notify.stopping();
        let mut bytes = [0; 64];
        for words in ["READY=1", "STOPPING=1"] {
            let read = socket.recv(&mut bytes).unwrap();
            assert_eq!(&bytes[..read], words.as_bytes());
        }
        // Without a name, and with one that nobody hears, it goes on.
        Notify::to(None).ready();
        Notify::to(Some("@nobody-hears-this")).ready();
    }

    #[test]
    fn a_round_that_hangs_is_not_called_well() {
        let notify = Notify::to(None);
        notify.beat();
        assert!(notify.alive(Duration::from_secs(600)));
        assert!(!notify.alive(Duration::from_secs(3600)));
    }
}
