//! What leaves a box, and what comes in: counted on the wire.
//!
//! Refuses to count nothing as nothing where the card was never up: each case first sees a frame that must be there.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};
use freehold_harness::wait_for;

use super::{Ground, Outcome};
use crate::frames::{self, Kind};
use crate::machine::patience;
use crate::site::{BOX, CONSOLE};
use crate::{member, person};

/// Tries of the console that are waited for.
const TRIES: usize = 5;
/// Ports that are knocked at together.
const TOGETHER: u16 = 1024;

/// A box whose console is away speaks to the console's address and to nobody else. (That one without settings sends nothing
/// is seen in boots-and-attests, before any are typed.)
pub fn sends_nothing(ground: &Ground) -> Result<Outcome> {
    let mut member = member::take(&ground.shared, &ground.image, &ground.folder)?;
    member.site.stop_console()?;
    let mut machine = member.start()?;
    person::wait_for_the_screen(&mut machine)?;
    let file = member.wish.folder.join("frames.pcap");
    let (console, own): (std::net::Ipv4Addr, std::net::Ipv4Addr) = (CONSOLE.parse()?, BOX.parse()?);
    let to_console = |kind: &Kind| matches!(kind, Kind::Tcp { to, port: 9443, .. } if *to == console);
    let sent = wait_for("the box to try its console", patience(), || {
        machine.still_on()?;
        std::thread::park_timeout(Duration::from_secs(1));
        let sent = frames::sent(&file)?;
        Ok((sent.iter().filter(|kind| to_console(kind)).count() >= TRIES).then_some(sent))
    })?;
    let foreign = sent
        .iter()
        .find(|kind| !to_console(kind) && !matches!(kind, Kind::Arp(about) if *about == console || *about == own));
    if let Some(kind) = foreign {
        anyhow::bail!("it sent {kind}");
    }
    Ok(Outcome::Seen(format!(
        "{} frames, all of them ARP or TCP to its console",
        sent.len()
    )))
}

/// Every TCP port is knocked at: only the gateway's opens.
pub fn nothing_listens(ground: &Ground) -> Result<Outcome> {
    let member = member::take(&ground.shared, &ground.image, &ground.folder)?;
    let mut machine = member.join()?;
    let mut open = Vec::new();
    for first in (1..=u16::MAX).step_by(usize::from(TOGETHER)) {
        machine.still_on()?;
        let last = first.saturating_add(TOGETHER - 1);
        let knocks: Vec<_> = (first..=last)
            .map(|port| std::thread::spawn(move || (port, knock(port))))
            .collect();
        for one in knocks {
            let (port, answered) = one.join().map_err(|_| anyhow::anyhow!("a knock ended"))?;
            open.extend(answered?.then_some(port));
        }
    }
    ensure!(open == [8443], "these ports are open: {open:?}");
    Ok(Outcome::Seen(
        "of 65,535 TCP ports only the gateway's is open".to_owned(),
    ))
}

/// Whether somebody answers at a port of the box.
fn knock(port: u16) -> Result<bool> {
    let address: SocketAddr = format!("{BOX}:{port}").parse()?;
    match TcpStream::connect_timeout(&address, Duration::from_secs(3)) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::ConnectionRefused) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Keys that elsewhere open a menu, a shell or a debugger, from the first second on: the boot is the same, and behind the
/// screen there is nothing.
pub fn no_shell_anywhere(ground: &Ground) -> Result<Outcome> {
    let member = member::take(&ground.shared, &ground.image, &ground.folder)?;
    let mut machine = member.start()?;
    // Boot loader: space, e, Escape, arrows. Kernel and systemd: Ctrl-C, Ctrl-D, Ctrl-\, Enter.
    for _ in 0..20 {
        machine.press(" e\u{1b}[B\u{3}\u{4}\u{1c}\r")?;
        wait_for("a moment of the boot", Duration::from_secs(20), || {
            machine.still_on()?;
            std::thread::park_timeout(Duration::from_millis(500));
            Ok(Some(()))
        })?;
    }
    person::wait_for_the_screen(&mut machine)?;
    machine.press("\u{3}\u{1a}\u{1c}\u{4}root\r\u{1b}")?;
    machine.press("h")?;
    machine.wait("the screen to be the same", |_, screen| {
        screen.shows("F fingerprints").then_some(())
    })?;
    let said = machine.said();
    for prompt in [
        "login:",
        "Password:",
        "sh-5",
        "# ",
        "emergency mode",
        "(initramfs)",
        "Give root password",
    ] {
        ensure!(!said.contains(prompt), "the machine said `{prompt}`\n{}", machine.end());
    }
    Ok(Outcome::Seen("every key ends at the screen".to_owned()))
}
