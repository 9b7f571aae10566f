//! What a person does at the box: reads the screen, types what it asks for.
//!
//! Refuses to know more than the screen shows. Invariant: every key goes through the serial line.

use anyhow::{Context as _, Result};

use crate::machine::Machine;
use crate::site::{BOX, CONSOLE, NETWORK, Site};

/// What no boot may say.
pub const TROUBLE: &[&str] = &["Start again: this boot failed", "Kernel panic", "stays closed"];

/// Writes down the recovery key of a first boot, and types the block that is asked for. Answers the key.
///
/// # Errors
/// When it is not shown.
pub fn write_down_the_recovery_key(machine: &mut Machine) -> Result<String> {
    let (key, number) = machine.wait("the recovery key and the question after it", |said, _| {
        let number = said.rsplit_once("Type block ")?.1.chars().next()?.to_digit(10)?;
        said.contains(" to go on:").then_some(())?;
        Some((recovery_key(said)?, number))
    })?;
    let block = key
        .split('-')
        .nth(number as usize - 1)
        .context("the key has no such block")?;
    machine.press(&format!("{block}\n"))?;
    Ok(key)
}

/// Eight blocks of six letters, as the last line that looks so.
fn recovery_key(said: &str) -> Option<String> {
    let mut words = said.split(|letter: char| !(letter.is_ascii_lowercase() || letter == '-'));
    let key = |word: &&str| {
        let blocks: Vec<&str> = word.split('-').collect();
        blocks.len() == 8 && blocks.iter().all(|block| block.len() == 6)
    };
    words.rfind(key).map(str::to_owned)
}

/// Waits for the box's own screen.
///
/// # Errors
/// When the boot fails.
pub fn wait_for_the_screen(machine: &mut Machine) -> Result<()> {
    let trouble = machine.wait("the box's screen", |said, screen| {
        if let Some(text) = TROUBLE.iter().find(|text| said.contains(**text)) {
            return Some(Err((*text).to_owned()));
        }
        (screen.shows("Freehold ") && screen.shows("F fingerprints")).then_some(Ok(()))
    })?;
    trouble.map_err(|text| anyhow::anyhow!("the machine said `{text}`\n{}", machine.end()))
}

/// Types the settings of the site's console, a fixed address and the site's clients, reads the review, applies.
///
/// # Errors
/// When a field is refused.
pub fn type_the_settings(machine: &mut Machine, site: &Site) -> Result<()> {
    machine.wait("the offer of settings", |_, screen| {
        screen.shows("N settings").then_some(())
    })?;
    machine.press("n")?;
    let fields = [
        ("Console address", format!("https://{CONSOLE}:9443")),
        ("Console fingerprint", site.fleet_ca_blocks()?),
        ("Interface", String::new()),
        ("Network", format!("{BOX}/24")),
        ("Gateway", String::new()),
        ("Clients", NETWORK.to_owned()),
        ("Time zone", String::new()),
    ];
    for (name, text) in fields {
        machine.wait(&format!("the field {name}"), |_, screen| {
            screen.shows(&format!(">{name}")).then_some(())
        })?;
        machine.press(&format!("{text}\r"))?;
    }
    machine.wait("the review", |_, screen| screen.shows("Type apply").then_some(()))?;
    machine.press("apply\r")
}

/// Compares the console's fingerprint with what the console shows, and confirms it.
///
/// # Errors
/// When the box shows another one.
pub fn confirm_the_console(machine: &mut Machine, site: &Site) -> Result<()> {
    let hex = site.fleet_ca()?.to_hex();
    let row: Vec<&str> = (0..8).map(|block| &hex[block * 4..block * 4 + 4]).collect();
    let row = row.join(" ");
    machine.wait("the console's keys to compare", |_, screen| {
        (screen.shows("C confirm console") && screen.shows(&row)).then_some(())
    })?;
    machine.press("c")?;
    machine.wait("the question for the last digits", |_, screen| {
        screen.shows("the last four digits").then_some(())
    })?;
    machine.press(&format!("{}\r", &hex[60..]))
}

/// Approves the box at the console, comparing what its screen shows. Answers its identifier.
///
/// # Errors
/// When it never asks, or the console refuses.
pub fn approve_the_box(machine: &mut Machine, site: &Site) -> Result<String> {
    machine.wait("the box to wait for approval", |_, screen| {
        screen.shows("F fingerprints").then_some(())
    })?;
    machine.press("f")?;
    let shown = machine.wait("the box's fingerprint", |_, screen| fingerprint(&screen.text()))?;
    let id = machine.wait("the box at the console", |_, _| {
        let boxes = site.boxes().ok()?;
        Some(boxes.first()?["id"].as_str()?.to_owned())
    })?;
    site.operate(&["box", "approve", &id, "--fingerprint", &shown])?;
    Ok(id)
}

/// Sixteen groups of four digits in two rows, below the line that says what they are.
fn fingerprint(screen: &str) -> Option<String> {
    let below = screen.split_once("This box. The console's Approvals page")?.1;
    let own = below.split("Its console").next()?;
    let digits = own
        .split_whitespace()
        .filter(|word| word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let hex: String = digits.collect();
    (hex.len() == 64).then_some(hex)
}

/// Turns the box off by its screen.
///
/// # Errors
/// When it stays on.
pub fn shut_down(machine: &mut Machine) -> Result<()> {
    machine.press("h")?;
    machine.wait("the offer to shut down", |_, screen| {
        screen.shows("Q shut down").then_some(())
    })?;
    machine.press("q")?;
    machine.wait("the question before it", |_, screen| {
        screen.shows("Type off").then_some(())
    })?;
    machine.press("off\r")?;
    machine.until_off()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recovery_key_is_the_line_that_looks_like_one() {
        let key = ["abcdef"; 8].join("-");
        let said = format!("systemd-cryptsetup starts\r\n  {key}\r\n\r\nType block 3 to go on: ");
        assert_eq!(recovery_key(&said).as_deref(), Some(&*key));
        assert_eq!(recovery_key("a-b-c and abcdef-abcdef"), None);
    }

    #[test]
    fn a_fingerprint_is_read_only_where_all_of_it_stands() {
        let row = ["2e35"; 8].join(" ");
        let whole = format!("This box. The console's Approvals page shows\n  {row}\n  {row}\nIts console, known by\n");
        assert_eq!(fingerprint(&whole), Some("2e35".repeat(16)));
        assert_eq!(
            fingerprint(&format!(
                "This box. The console's Approvals page shows\n {row}\nIts console"
            )),
            None
        );
    }
}
