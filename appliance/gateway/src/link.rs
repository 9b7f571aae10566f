//! The gateway's end of the supervisor's socket: what is served comes in, entries of the record go out.
//!
//! Refuses to let a request begin while the supervisor is away for longer than [`GRACE`]: what could not be recorded is not
//! answered. Invariant: an entry whose answer was finished was acknowledged as durable; entries that were not acknowledged
//! when a connection broke are sent again on the next one (they carry the request's id, by which doubles can be told).

mod talk;

use crate::quota::Quotas;
use crate::refusal::GatewayRejection;
use crate::served::Served;
use freehold_protocol::local::RequestEntry;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// How long a new request waits for a supervisor that is away: enough for a restart of the process.
pub const GRACE: Duration = Duration::from_secs(2);

/// How long an answer waits for its entry to be durable. A disk that takes longer is as bad as one that is full.
pub const RECORD_LIMIT: Duration = Duration::from_secs(10);

/// Bounds the entries that wait for the supervisor: more than the requests that can be running.
const MAX_WAITING: usize = 4096;

/// What the supervisor answered for one entry: its index, or a code.
type Acknowledgement = Result<u64, String>;

struct Outgoing {
    entry: RequestEntry,
    done: Option<oneshot::Sender<Acknowledgement>>,
}

/// A handle on the supervisor; cheap to clone.
#[derive(Debug, Clone)]
pub struct Link {
    outgoing: mpsc::Sender<Outgoing>,
    served: watch::Receiver<Arc<Served>>,
    connected: watch::Receiver<bool>,
    stopped: watch::Receiver<Option<String>>,
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing")
            .field("request", &self.entry.request)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// Starts the conversation; it is taken up again whenever it breaks.
    pub fn start(socket: PathBuf, quotas: Quotas) -> Self {
        let (outgoing, entries) = mpsc::channel(MAX_WAITING);
        let (served_in, served) = watch::channel(Arc::new(Served::default()));
        let (connected_in, connected) = watch::channel(false);
        let (stopped_in, stopped) = watch::channel(None);
        let talk = talk::Talk::new(socket, quotas, served_in, connected_in, stopped_in);
        tokio::spawn(talk.run(entries));
        Self {
            outgoing,
            served,
            connected,
            stopped,
        }
    }

    /// What is served, after waiting for a supervisor that was never or is not now there, at most [`GRACE`].
    pub async fn served(&self) -> Result<Arc<Served>, GatewayRejection> {
        let mut connected = self.connected.clone();
        let there = tokio::time::timeout(GRACE, connected.wait_for(|there| *there)).await;
        match there {
            Ok(Ok(_)) => Ok(Arc::clone(&self.served.borrow())),
            _ => Err(GatewayRejection::SupervisorAway),
        }
    }

    /// What was last said to be served, whether or not the supervisor is there.
    pub fn last_served(&self) -> Arc<Served> {
        Arc::clone(&self.served.borrow())
    }

    /// Sends an entry and waits until it is durable.
    pub async fn record(&self, entry: RequestEntry) -> Result<(), GatewayRejection> {
        let not_durable = || GatewayRejection::NotDurable {
            code: "record.not_durable".to_owned(),
        };
        let (done, acknowledged) = oneshot::channel();
        self.outgoing
            .try_send(Outgoing {
                entry,
                done: Some(done),
            })
            .map_err(|_| not_durable())?;
        match tokio::time::timeout(RECORD_LIMIT, acknowledged).await {
            Ok(Ok(Ok(_index))) => Ok(()),
            Ok(Ok(Err(code))) => Err(GatewayRejection::NotDurable { code }),
            Ok(Err(_)) | Err(_) => Err(not_durable()),
        }
    }

    /// Sends an entry without waiting.
    pub fn send(&self, entry: RequestEntry) {
        if self.outgoing.try_send(Outgoing { entry, done: None }).is_err() {
            tracing::warn!("an entry of the record was dropped: too many are waiting for the supervisor");
        }
    }

    /// Waits until the supervisor says that the gateway should end, and why.
    pub async fn stopped(&self) -> String {
        let mut stopped = self.stopped.clone();
        match stopped.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "the link ended".to_owned(),
        }
    }
}
