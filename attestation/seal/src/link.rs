//! Bytes to the TPM and back: the kernel's device, or a software TPM on loopback.
//!
//! Refuses answers longer than a TPM gives, and waits for a software TPM no longer than the limit. (The kernel's driver
//! bounds every command by itself.) Invariant: one command, one answer.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::fault::TpmFault;

/// Longest answer: TPMs have buffers of 4 KiB.
const MAX_ANSWER: usize = 4096;
/// How long a software TPM may take for one command; making a key takes some 100 ms on a slow machine.
const LIMIT: Duration = Duration::from_secs(30);
/// Length of a response header: tag, size, code.
const HEADER: usize = 10;

enum Way {
    Device(File),
    Stream(TcpStream),
}

/// An open way to a TPM.
pub(crate) struct Link {
    way: Way,
    address: String,
}

impl Link {
    /// Opens `device:PATH` or `swtpm:host=IP,port=N`.
    pub(crate) fn open(address: &str) -> Result<Self, TpmFault> {
        let away = |detail: String| TpmFault::Unavailable {
            address: address.to_owned(),
            detail,
        };
        let way = match address.split_once(':') {
            Some(("device", path)) => {
                let file = OpenOptions::new().read(true).write(true).open(path);
                Way::Device(file.map_err(|error| away(error.to_string()))?)
            }
            Some(("swtpm", rest)) => {
                let to = socket(rest).ok_or_else(|| away("not `swtpm:host=IP,port=N`".to_owned()))?;
                let stream = TcpStream::connect_timeout(&to, LIMIT).map_err(|error| away(error.to_string()))?;
                stream
                    .set_read_timeout(Some(LIMIT))
                    .and_then(|()| stream.set_nodelay(true))
                    .map_err(|error| away(error.to_string()))?;
                Way::Stream(stream)
            }
            _ => return Err(away("neither `device:` nor `swtpm:`".to_owned())),
        };
        Ok(Self {
            way,
            address: address.to_owned(),
        })
    }

    /// One command, one answer, header included.
    pub(crate) fn transmit(&mut self, bytes: &[u8]) -> Result<Vec<u8>, TpmFault> {
        let answer = match &mut self.way {
            Way::Device(file) => file.write_all(bytes).and_then(|()| {
                let mut answer = vec![0; MAX_ANSWER];
                let length = file.read(&mut answer)?;
                answer.truncate(length);
                Ok(answer)
            }),
            Way::Stream(stream) => stream.write_all(bytes).and_then(|()| {
                let mut answer = vec![0; HEADER];
                stream.read_exact(&mut answer)?;
                let size = answer
                    .get(2..6)
                    .and_then(|size| size.try_into().ok())
                    .map_or(0, |size| u32::from_be_bytes(size) as usize);
                if (HEADER..=MAX_ANSWER).contains(&size) {
                    answer.resize(size, 0);
                    if let Some(rest) = answer.get_mut(HEADER..) {
                        stream.read_exact(rest)?;
                    }
                }
                Ok(answer)
            }),
        };
        answer.map_err(|error| TpmFault::Unavailable {
            address: self.address.clone(),
            detail: error.to_string(),
        })
    }
}

fn socket(text: &str) -> Option<SocketAddr> {
    let (mut host, mut port) = (None, None);
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("host", value)) => host = value.parse::<IpAddr>().ok(),
            Some(("port", value)) => port = value.parse::<u16>().ok(),
            _ => return None,
        }
    }
    Some(SocketAddr::new(host?, port?))
}
