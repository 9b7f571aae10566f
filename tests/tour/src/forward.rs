//! A door from this machine's loopback into the console's namespace, for the person's browser.
//!
//! Bytes are copied between two sockets; no frame crosses a namespace. Refuses to listen anywhere but on 127.0.0.1.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;

use anyhow::Context as _;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Listens on a free port of 127.0.0.1 and connects each caller to `target` as seen from the namespace `handle` names.
/// Returns the port; the door closes with the process.
pub fn open(handle: PathBuf, target: String) -> anyhow::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("opening a port on 127.0.0.1")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        // The listener stays in the namespace where it was made; only connections made from here on are inside.
        let Ok(namespace) = std::fs::File::open(&handle) else {
            return;
        };
        if move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(LinkNameSpaceType::Network)).is_err() {
            return;
        }
        for caller in listener.incoming().flatten() {
            if let Ok(inside) = TcpStream::connect(&target) {
                join(caller, inside);
            }
        }
    });
    Ok(port)
}

fn join(caller: TcpStream, inside: TcpStream) {
    let (Ok(caller_read), Ok(inside_read)) = (caller.try_clone(), inside.try_clone()) else {
        return;
    };
    std::thread::spawn(move || copy(caller_read, inside));
    std::thread::spawn(move || copy(inside_read, caller));
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
