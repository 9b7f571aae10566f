//! The two doors: TCP, TLS, HTTP, with a bound on everything a stranger can hold open.
//!
//! Refuses to let many cheap connections crowd out one real one: when a room is full its *oldest* guest leaves, so that
//! whoever completes a handshake in milliseconds always gets through. Invariant: each stage has a limit in number and time.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use freehold_channel::{FleetRoot, PeerIdentity};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// A TLS handshake takes milliseconds; a stranger who sends one byte a second is gone after this.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a request's headers, and for the next request of a kept-alive connection (boxes report every 30 s).
const HEADER_TIMEOUT: Duration = Duration::from_secs(90);
/// Largest request head in bytes.
const MAX_HEAD: usize = 32 * 1024;
/// Requests that one HTTP/2 connection may have open at once.
const MAX_STREAMS: u32 = 64;
/// Connections of one guest (a key on the boxes' door, an address on the people's).
const PER_GUEST: usize = 64;

/// Who is at the other end of a TCP connection.
#[derive(Debug, Clone, Copy)]
pub struct RemoteAddress(pub SocketAddr);

/// The limits of a door.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Handshakes that may be open at once.
    pub handshakes: usize,
    /// Connections of strangers: keys that nobody approved, people who have not signed in.
    pub strangers: usize,
    /// Connections of known keys.
    pub known: usize,
}

impl Limits {
    /// From the number of files that this process may open.
    #[must_use]
    pub fn from_files(files: usize) -> Self {
        let share = (files / 8).clamp(32, 4096);
        Self {
            handshakes: share,
            strangers: share,
            known: (files / 2).clamp(64, 65_536),
        }
    }
}

/// A room with a limited number of places; the oldest guest leaves when it is full.
#[derive(Debug, Default)]
struct Room(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    next: u64,
    guests: BTreeMap<u64, (String, AbortHandle)>,
    by_name: HashMap<String, usize>,
}

impl Places {
    fn leave(&mut self, place: u64) -> Option<AbortHandle> {
        let (name, handle) = self.guests.remove(&place)?;
        if let Some(count) = self.by_name.get_mut(&name) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_name.remove(&name);
            }
        }
        Some(handle)
    }
}

impl Room {
    fn enter(&self, name: &str, handle: AbortHandle, limit: usize, per_guest: usize) -> u64 {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.by_name.get(name).is_some_and(|count| *count >= per_guest) {
            let own = places
                .guests
                .iter()
                .find(|(_, (guest, _))| guest == name)
                .map(|(place, _)| *place);
            if let Some(oldest) = own.and_then(|place| places.leave(place)) {
                oldest.abort();
            }
        }
        while places.guests.len() >= limit.max(1) {
            let oldest = places.guests.keys().next().copied();
            match oldest.and_then(|place| places.leave(place)) {
                Some(handle) => handle.abort(),
                None => break,
            }
        }
        let place = places.next;
        places.next = places.next.wrapping_add(1);
        places.guests.insert(place, (name.to_owned(), handle));
        *places.by_name.entry(name.to_owned()).or_default() += 1;
        place
    }

    fn leave(&self, place: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).leave(place);
    }
}

/// Leaves its room when dropped, abort included.
struct Place<'a>(&'a Room, u64);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.leave(self.1);
    }
}

/// Which peers are known, asked after the handshake.
pub type Known = Arc<dyn Fn(&PeerIdentity) -> bool + Send + Sync>;

/// One door.
pub struct Door {
    /// Accepts connections.
    pub listener: TcpListener,
    /// TLS, on every connection.
    pub tls: Arc<ServerConfig>,
    /// The routes.
    pub router: Router,
    /// The fleet's CA, on the boxes' door.
    pub fleet: Option<FleetRoot>,
    /// Whose connections count as known.
    pub known: Known,
    /// The limits.
    pub limits: Limits,
}

struct Shared {
    acceptor: TlsAcceptor,
    router: Router,
    fleet: Option<FleetRoot>,
    known: Known,
    limits: Limits,
    handshakes: Room,
    strangers: Room,
    members: Room,
    stop: watch::Receiver<bool>,
}

/// Serves a door until `stop` turns true; running requests get a moment to end.
pub async fn serve(door: Door, mut stop: watch::Receiver<bool>) {
    let shared = Arc::new(Shared {
        acceptor: TlsAcceptor::from(door.tls),
        router: door.router,
        fleet: door.fleet,
        known: door.known,
        limits: door.limits,
        handshakes: Room::default(),
        strangers: Room::default(),
        members: Room::default(),
        stop: stop.clone(),
    });
    loop {
        tokio::select! {
            accepted = door.listener.accept() => match accepted {
                Ok((stream, from)) => admit(&shared, stream, from),
                // Out of files, or the peer is gone already: wait a moment instead of spinning.
                Err(error) => {
                    tracing::warn!(%error, "accept");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
            _ = stop.changed() => return,
        }
    }
}

fn admit(shared: &Arc<Shared>, stream: TcpStream, from: SocketAddr) {
    let _ = stream.set_nodelay(true);
    let (started, go) = tokio::sync::oneshot::channel();
    let inner = shared.clone();
    let task = tokio::spawn(async move {
        let Ok(place) = go.await else { return };
        connection(&inner, stream, from, place).await;
    });
    // The place is taken before the task runs, so that a burst of connections is bounded at once.
    let limit = shared.limits.handshakes;
    let place = shared
        .handshakes
        .enter(&from.ip().to_string(), task.abort_handle(), limit, limit);
    let _ = started.send((place, task.abort_handle()));
}

async fn connection(shared: &Arc<Shared>, stream: TcpStream, from: SocketAddr, (place, handle): (u64, AbortHandle)) {
    let handshake = Place(&shared.handshakes, place);
    let Ok(Ok(tls)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, shared.acceptor.accept(stream)).await else {
        return;
    };
    drop(handshake);
    let peer = shared
        .fleet
        .as_ref()
        .and_then(|fleet| PeerIdentity::from_certificates(tls.get_ref().1.peer_certificates()?, fleet));
    let known = peer.as_ref().is_some_and(|peer| (shared.known)(peer));
    let name = peer
        .as_ref()
        .map_or_else(|| from.ip().to_string(), |peer| peer.spki.to_string());
    let (room, limit) = if known {
        (&shared.members, shared.limits.known)
    } else {
        (&shared.strangers, shared.limits.strangers)
    };
    // Strangers share addresses (a hospital's proxy, a test), so only keys are counted one by one.
    let per_guest = if peer.is_some() { PER_GUEST } else { limit };
    let _place = Place(room, room.enter(&name, handle, limit, per_guest));

    let router = shared.router.clone();
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(RemoteAddress(from));
        if let Some(peer) = &peer {
            request.extensions_mut().insert(peer.clone());
        }
        router.clone().oneshot(request.map(axum::body::Body::new))
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(tls), service);
    tokio::pin!(connection);
    let mut stop = shared.stop.clone();
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = stop.changed() => None,
    };
    if ended.is_none() {
        connection.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(Duration::from_secs(5), connection).await;
    }
}

/// Raises the number of files that this process may open to the hard limit, and answers it.
#[must_use]
pub fn raise_file_limit() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum;
    if limit.current != wanted {
        limit.current = wanted;
        let _ = setrlimit(Resource::Nofile, limit);
    }
    let current = getrlimit(Resource::Nofile).current.unwrap_or(1024);
    usize::try_from(current).unwrap_or(1024)
}
