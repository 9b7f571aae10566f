//! Clients that send too much, too slowly, or nothing at all, while others are served.
//!
//! Refuses nothing itself. Invariant: the gateway's memory stays below a bound, whatever is sent.

use crate::world::{Body, Gateway, Supervisor, TOKEN, code, config};
use http_body_util::{BodyExt, StreamBody};
use hyper::Method;
use hyper::body::{Bytes, Frame};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// 10 GB.
const HUGE: u64 = 10 << 30;

fn endless() -> Body {
    let piece = Bytes::from(vec![b' '; 1 << 20]);
    let pieces = futures::stream::repeat_with(move || Ok::<_, std::io::Error>(Frame::data(piece.clone())));
    BodyExt::boxed(StreamBody::new(pieces))
}

async fn gateway(folder: &Path) -> (Gateway, Supervisor) {
    let supervisor = Supervisor::start(
        &folder.join("supervisor.sock"),
        config(Path::new("/nowhere/engine.sock"), None),
    );
    (Gateway::start(folder).await, supervisor)
}

fn peak_megabytes(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test]
async fn ten_gigabytes_at_any_route_are_refused_at_once_and_in_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, _supervisor) = gateway(folder.path()).await;
    let routes = [
        "/v1/chat/completions",
        "/v1/embeddings",
        "/v1/models",
        "/api/chat",
        "/api/generate",
        "/api/show",
        "/nowhere",
    ];
    for path in routes {
        for token in [Some(TOKEN), None] {
            let begun = Instant::now();
            let response = gateway.send(Method::POST, path, token, endless(), Some(HUGE)).await;
            assert_eq!(response.status().as_u16(), 413, "{path}");
            let text = String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
            assert!(text.contains("gateway.body_too_large"), "{text}");
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "{path} took {:?}",
                begun.elapsed()
            );
        }
    }
    // Without an announced length the limit is met while reading; without a token nothing is read.
    let response = gateway
        .send(Method::POST, "/v1/chat/completions", Some(TOKEN), endless(), None)
        .await;
    assert_eq!(response.status().as_u16(), 413);
    let response = gateway
        .send(Method::POST, "/v1/chat/completions", None, endless(), None)
        .await;
    assert_eq!(response.status().as_u16(), 401);
    assert!(peak_megabytes(&gateway) < 150, "{} MB", peak_megabytes(&gateway));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_half_open_connections_keep_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    freehold_gateway::listen::raise_descriptor_limit();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .unwrap_or(u64::MAX);
    let wanted = 10_000.min(usize::try_from(limit / 2).unwrap_or(10_000));
    if wanted < 10_000 {
        println!("only {wanted} connections: this process may have no more than {limit} files open");
    }
    let (gateway, _supervisor) = gateway(folder.path()).await;
    let kept = gateway.connect().await;
    let mut held = Vec::with_capacity(wanted);
    while held.len() < wanted {
        held.push(TcpStream::connect(gateway.address).await.unwrap());
    }
    let begun = Instant::now();
    let (status, list) = gateway.json(Method::GET, "/v1/models", Some(TOKEN), "").await;
    assert_eq!(status, 200, "{list}");
    assert!(begun.elapsed() < Duration::from_secs(5), "took {:?}", begun.elapsed());
    assert!(peak_megabytes(&gateway) < 300, "{} MB", peak_megabytes(&gateway));
    let (status, refused) = gateway
        .json(Method::POST, "/v1/chat/completions", Some(TOKEN), "{}")
        .await;
    assert_eq!((status, code(&refused)), (400, "gateway.malformed"));
    drop((held, kept));
}
