//! A client that would send ten gigabytes.
//!
//! Refuses to stop by itself: it goes on until the server answers or breaks off. Invariant: what it sent is counted.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::Server;

/// What it would send.
const WHOLE: u64 = 10_000_000_000;
/// How long a server may take to refuse.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the length is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// `Content-Length: 10000000000`.
    Announced,
    /// `Transfer-Encoding: chunked`.
    Unknown,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The status, when the server answered before it broke off.
    pub status: Option<u16>,
    /// The answer's body as far as it came.
    pub body: String,
    /// Bytes of the body that were sent.
    pub sent: u64,
}

/// Sends the head of a request and then zeros, until the server has had enough.
///
/// # Errors
/// When no connection comes about, or the server takes ten gigabytes or the whole patience.
pub async fn flood(server: &Server, method: &str, path: &str, kind: &str, length: Length) -> Result<Refused> {
    let (mut read, mut write) = tokio::io::split(server.connect().await?);
    let said = match length {
        Length::Announced => format!("content-length: {WHOLE}"),
        Length::Unknown => "transfer-encoding: chunked".to_owned(),
    };
    let authorization =
        (server.authorization.as_ref()).map_or_else(String::new, |shown| format!("authorization: {shown}\r\n"));
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\naccept: application/json\r\n{authorization}content-type: {kind}\r\n{said}\r\n\r\n",
        server.address
    );
    write.write_all(head.as_bytes()).await?;
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = sent.clone();
    let sending = tokio::spawn(async move {
        let block = vec![b'0'; 64 << 10];
        while counted.load(std::sync::atomic::Ordering::Relaxed) < WHOLE {
            let framed = match length {
                Length::Announced => write.write_all(&block).await,
                Length::Unknown => {
                    let size = format!("{:x}\r\n", block.len());
                    match write.write_all(size.as_bytes()).await {
                        Ok(()) => match write.write_all(&block).await {
                            Ok(()) => write.write_all(b"\r\n").await,
                            other => other,
                        },
                        other => other,
                    }
                }
            };
            if framed.is_err() {
                return;
            }
            counted.fetch_add(block.len() as u64, std::sync::atomic::Ordering::Relaxed);
        }
    });
    let began = Instant::now();
    let mut answer = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    loop {
        anyhow::ensure!(
            began.elapsed() < PATIENCE,
            "`{method} {path}` was not refused in {PATIENCE:?}"
        );
        let more = tokio::time::timeout(Duration::from_secs(1), read.read(&mut buffer)).await;
        match more {
            Ok(Ok(count @ 1..)) => answer.extend_from_slice(&buffer[..count]),
            Ok(_) => break,
            // The whole answer is there, and the server waits for us to hang up.
            Err(_) if answer.windows(4).any(|four| four == b"\r\n\r\n") => break,
            Err(_) => {}
        }
    }
    sending.abort();
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    Ok(Refused {
        status,
        body: body.unwrap_or_default(),
        sent: sent.load(std::sync::atomic::Ordering::Relaxed),
    })
}
