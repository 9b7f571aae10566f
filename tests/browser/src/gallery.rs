//! Serves rendered pages on a loopback port with the real headers, the real files, and an event stream that the test feeds.
//!
//! Refuses to be a console: it answers `GET` with what the test put there. Invariant: headers are those of `freehold-views`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use freehold_views::assets::{HEADERS, asset};

/// A running gallery; its threads end with the process of the test.
pub struct Gallery {
    address: SocketAddr,
    shelf: Arc<Mutex<Shelf>>,
}

#[derive(Default)]
struct Shelf {
    pages: BTreeMap<String, String>,
    listeners: Vec<TcpStream>,
}

impl Gallery {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shelf = Arc::new(Mutex::new(Shelf::default()));
        let shared = Arc::clone(&shelf);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shelf = Arc::clone(&shared);
                std::thread::spawn(move || answer(stream, &shelf));
            }
        });
        Ok(Self { address, shelf })
    }

    /// Puts a page at `path` (with its query), replacing what was there.
    pub fn put(&self, path: &str, html: &str) {
        if let Ok(mut shelf) = self.shelf.lock() {
            shelf.pages.insert(path.to_owned(), html.to_owned());
        }
    }

    /// The address of `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends a live event to every page that listens; returns how many do.
    #[must_use]
    pub fn say(&self, event: &str) -> usize {
        let Ok(mut shelf) = self.shelf.lock() else { return 0 };
        let message = format!("event: {event}\ndata: 1\n\n");
        shelf
            .listeners
            .retain_mut(|stream| stream.write_all(message.as_bytes()).is_ok());
        shelf.listeners.len()
    }
}

fn answer(mut stream: TcpStream, shelf: &Mutex<Shelf>) {
    let Ok(clone) = stream.try_clone() else { return };
    let mut first = String::new();
    let mut reader = BufReader::new(clone);
    if reader.read_line(&mut first).is_err() {
        return;
    }
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
        line.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or("/").to_owned();
    if path == freehold_views::address::EVENTS {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n: open\n\n";
        if stream.write_all(head.as_bytes()).is_ok()
            && let Ok(mut shelf) = shelf.lock()
        {
            shelf.listeners.push(stream);
        }
        return;
    }
    let file = path.strip_prefix(freehold_views::address::ASSETS).and_then(asset);
    let page = shelf.lock().ok().and_then(|shelf| shelf.pages.get(&path).cloned());
    let (status, kind, bytes) = match (file, page) {
        (Some(file), _) => ("200 OK", file.content_type, file.bytes.to_vec()),
        (None, Some(html)) => ("200 OK", "text/html; charset=utf-8", html.into_bytes()),
        (None, None) => ("404 Not Found", "text/plain", b"no such page".to_vec()),
    };
    let mut head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n",
        bytes.len()
    );
    for (name, value) in HEADERS {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(&bytes));
}
