//! Frames that crossed a machine's network card, from the file that QEMU writes of them.
//!
//! Refuses to skip a frame that it cannot read: what is unknown is told as such. Invariant: every frame of the file is there
//! (pcap, `draft-ietf-opsawg-pcap`; Ethernet, ARP RFC 826, IPv4 RFC 791).

use std::fmt;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// The address of the machine's network card.
pub const MAC: [u8; 6] = [0x52, 0x54, 0x00, 0xfe, 0x77, 0x02];
/// The same as QEMU takes it.
pub const MAC_TEXT: &str = "52:54:00:fe:77:02";

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Who sent it.
    pub from: [u8; 6],
    /// What it is.
    pub kind: Kind,
}

/// What a frame is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A question or an answer about this address.
    Arp(Ipv4Addr),
    /// A TCP segment.
    Tcp {
        /// To whom.
        to: Ipv4Addr,
        /// At which port.
        port: u16,
        /// From which port.
        own: u16,
    },
    /// Anything else: its type, and for IPv4 its protocol and target.
    Other(u16, Option<(u8, Ipv4Addr)>),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arp(address) => write!(f, "ARP about {address}"),
            Self::Tcp { to, port, own } => write!(f, "TCP from port {own} to {to}:{port}"),
            Self::Other(kind, None) => write!(f, "type {kind:#06x}"),
            Self::Other(_, Some((protocol, to))) => write!(f, "IPv4 protocol {protocol} to {to}"),
        }
    }
}

/// Reads the file.
///
/// # Errors
/// When it is no such file.
pub fn read(path: &Path) -> Result<Vec<Frame>> {
    parse(&std::fs::read(path).with_context(|| format!("reading `{}`", path.display()))?)
}

/// Frames that the machine sent.
///
/// # Errors
/// As [`read`].
pub fn sent(path: &Path) -> Result<Vec<Kind>> {
    Ok(read(path)?
        .into_iter()
        .filter(|frame| frame.from == MAC)
        .map(|frame| frame.kind)
        .collect())
}

fn parse(bytes: &[u8]) -> Result<Vec<Frame>> {
    let magic = bytes.get(..4).context("no header")?;
    ensure!(
        magic == 0xa1b2_c3d4_u32.to_le_bytes(),
        "not a pcap file in this machine's byte order"
    );
    let mut rest = bytes.get(24..).context("a short header")?;
    let mut frames = Vec::new();
    // The last record may be cut: the machine's power was.
    while let Some((head, after)) = rest.split_at_checked(16) {
        let length = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        let Some((frame, after)) = after.split_at_checked(usize::try_from(length)?) else {
            break;
        };
        frames.push(one(frame).context("a frame without an Ethernet header")?);
        rest = after;
    }
    Ok(frames)
}

fn one(frame: &[u8]) -> Option<Frame> {
    let from = frame.get(6..12)?.try_into().ok()?;
    let kind = u16::from_be_bytes(frame.get(12..14)?.try_into().ok()?);
    let payload = frame.get(14..)?;
    Some(Frame {
        from,
        kind: kind_of(kind, payload).unwrap_or(Kind::Other(kind, None)),
    })
}

fn kind_of(kind: u16, payload: &[u8]) -> Option<Kind> {
    let address = |at: usize| -> Option<Ipv4Addr> {
        let four: [u8; 4] = payload.get(at..at + 4)?.try_into().ok()?;
        Some(four.into())
    };
    match kind {
        0x0806 => Some(Kind::Arp(address(24)?)),
        0x0800 => {
            let (to, protocol) = (address(16)?, *payload.get(9)?);
            if protocol != 6 {
                return Some(Kind::Other(kind, Some((protocol, to))));
            }
            let head = usize::from(payload.first()? & 0x0f) * 4;
            let port = |at: usize| Some(u16::from_be_bytes(payload.get(at..at + 2)?.try_into().ok()?));
            Some(Kind::Tcp {
                to,
                port: port(head + 2)?,
                own: port(head)?,
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
        bytes.resize(24, 0);
        for frame in frames {
            let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
            bytes.extend([0; 8]);
            bytes.extend(length);
            bytes.extend(length);
            bytes.extend(frame);
        }
        bytes
    }

    fn frame(kind: u16, payload: &[u8]) -> Vec<u8> {
        [&[0xff; 6][..], &MAC, &kind.to_be_bytes(), payload].concat()
    }

    #[test]
    fn each_kind_is_told_by_its_bytes() {
        let mut arp = vec![0; 28];
        arp[24..28].copy_from_slice(&[10, 77, 0, 1]);
        let mut tcp = vec![0; 40];
        (tcp[0], tcp[9]) = (0x45, 6);
        tcp[16..20].copy_from_slice(&[10, 77, 0, 1]);
        tcp[20..24].copy_from_slice(&[0xc3, 0x50, 0x24, 0xe3]);
        let mut udp = tcp.clone();
        udp[9] = 17;
        let frames = parse(&file(&[
            frame(0x0806, &arp),
            frame(0x0800, &tcp),
            frame(0x0800, &udp),
            frame(0x86dd, &[]),
        ]))
        .unwrap();
        let kinds: Vec<Kind> = frames.into_iter().map(|frame| frame.kind).collect();
        let console = Ipv4Addr::new(10, 77, 0, 1);
        assert_eq!(
            kinds,
            [
                Kind::Arp(console),
                Kind::Tcp {
                    to: console,
                    port: 9443,
                    own: 50000
                },
                Kind::Other(0x0800, Some((17, console))),
                Kind::Other(0x86dd, None),
            ]
        );
    }

    #[test]
    fn a_cut_record_is_the_end_and_a_strange_frame_is_told() {
        let mut bytes = file(&[frame(0x0800, &[0x45])]);
        bytes.extend([0; 10]);
        assert_eq!(parse(&bytes).unwrap()[0].kind, Kind::Other(0x0800, None));
        assert!(parse(b"nothing").is_err());
    }
}
