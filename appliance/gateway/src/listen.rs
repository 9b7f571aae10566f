//! The TLS port: accepting, handshakes, HTTP/1.1, and the end of connections.
//!
//! Refuses HTTP/2, plain HTTP, large heads, and handshakes or heads that take too long. Invariant: accepting never waits for a
//! connection; what a connection may hold while it has not shown a known token is bounded by [`crate::seats`].

use crate::seats::{Seat, Seats};
use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt as _;

/// Connections that the kernel completes while we are busy (it may use less: `net.core.somaxconn`).
const BACKLOG: u32 = 4096;

/// Bounds a handshake that is never finished.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Bounds a head that trickles, and how long a connection is kept alive without a request.
const HEAD_TIME: Duration = Duration::from_secs(60);

/// Bounds the memory of one head.
const MAX_HEAD_BYTES: usize = 32 << 10;

/// Bounds the work of one head.
const MAX_HEADERS: usize = 64;

/// After an answer to a request whose body was not read: how long and how much is still taken and thrown away, so that the
/// client gets to see the answer rather than a reset.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 << 20;

/// After a failed accept (no descriptor left): long enough for one to come free.
const PAUSE: Duration = Duration::from_millis(20);

/// Opens the port.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Allows as many descriptors as the system lets this process have.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )
    .is_err()
    {
        tracing::warn!("the limit of open files could not be raised");
    }
}

/// Serves until the future is dropped.
pub async fn serve(listener: TcpListener, tls: Arc<rustls::ServerConfig>, router: Router) {
    let acceptor = TlsAcceptor::from(tls);
    let seats = Seats::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (acceptor, router, seat) = (acceptor.clone(), router.clone(), seats.take());
                tokio::spawn(async move {
                    tokio::select! {
                        () = seat.lost() => tracing::debug!("a connection lost its seat"),
                        () = connection(stream, acceptor, router, seat.clone()) => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, router: Router, seat: Seat) {
    // An answer is many small writes, each wanted at once.
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await else {
        return;
    };
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(seat.clone());
        router.clone().oneshot(request.map(Body::new))
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .without_shutdown()
        .await;
    if let Ok(parts) = served {
        let _ = tokio::time::timeout(LINGER_TIME, linger(parts.io.into_inner())).await;
    }
}

async fn linger(mut stream: TlsStream<TcpStream>) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut thrown = 0usize;
    let mut buffer = vec![0; 64 << 10];
    while thrown < LINGER_BYTES {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => thrown = thrown.saturating_add(read),
        }
    }
}
