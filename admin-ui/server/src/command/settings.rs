//! `freehold-console settings`: what a new box needs, written into a folder, for example a stick's.
//!
//! Refuses network settings that a box would refuse. Invariant: what is written is for one fleet and is believed by a box only
//! after a person compared its console's three keys at the box's screen.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use freehold_network::{Addressing, Console, NetworkSettings, Subnet};
use freehold_protocol::enrol::Pairing;
use freehold_verify::document::{Settings, sign_settings};
use serde_json::{Map, json};

use super::{PairingArgs, pairing_of};
use crate::state::StateDir;

/// How a box gets its address.
#[derive(Debug, Clone)]
enum Wanted {
    Dhcp,
    Static(Subnet),
}

fn wanted(text: &str) -> Result<Wanted, String> {
    if text.eq_ignore_ascii_case("dhcp") {
        return Ok(Wanted::Dhcp);
    }
    let address = text
        .parse()
        .map_err(|_| "neither `dhcp` nor an address with its prefix, such as 10.0.0.17/24")?;
    Ok(Wanted::Static(address))
}

fn subnet(text: &str) -> Result<Subnet, String> {
    text.parse()
        .map_err(|error: freehold_network::NetworkRejection| error.to_string())
}

/// What is typed.
#[derive(Debug, Args)]
pub(super) struct SettingsArgs {
    #[command(flatten)]
    pairing: PairingArgs,
    /// The folder that is written to: the top of a stick (FAT).
    #[arg(long)]
    to: PathBuf,
    /// The box's network interface, as its kernel names it.
    #[arg(long)]
    interface: String,
    /// `dhcp`, or the box's address with its prefix: 10.0.0.17/24.
    #[arg(long, value_parser = wanted)]
    network: Wanted,
    /// Where packets for other networks go; only with an address of its own.
    #[arg(long)]
    router: Option<Ipv4Addr>,
    /// A network whose computers may use the box's models; give as often as needed.
    #[arg(long = "client", value_parser = subnet)]
    clients: Vec<Subnet>,
    /// The port at which the box's gateway listens, as its unit says.
    #[arg(long, default_value_t = 8443)]
    gateway_port: u16,
    /// For times on the box's screen.
    #[arg(long, default_value = "UTC")]
    time_zone: String,
}

fn settings_of(typed: &SettingsArgs, pairing: &Pairing) -> anyhow::Result<Settings> {
    let at = pairing.console.strip_prefix("https://").unwrap_or(&pairing.console);
    let (address, port) = at
        .rsplit_once(':')
        .context("the boxes' address has no port; hint: --boxes-url")?;
    let console = Console {
        address: address.parse().context(
            "a box asks no names, so the boxes' address must be a number; hint: --boxes-url https://10.0.0.5:9443",
        )?,
        port: port.parse().context("the boxes' address has no port")?,
    };
    let addressing = match &typed.network {
        Wanted::Dhcp => {
            anyhow::ensure!(
                typed.router.is_none(),
                "with dhcp the router comes from the DHCP server"
            );
            Addressing::Dhcp
        }
        Wanted::Static(address) => Addressing::Static {
            address: *address,
            router: typed.router,
        },
    };
    let network = NetworkSettings {
        interface: typed.interface.clone(),
        addressing,
        console: Some(console),
        clients: typed.clients.clone(),
        gateway_port: typed.gateway_port,
    };
    network
        .check()
        .map_err(|rejection| anyhow::anyhow!("{}: {rejection}", rejection.code()))?;
    let mut values = Map::new();
    let address = format!("https://{}:{}", console.address, console.port);
    values.insert(
        "console".to_owned(),
        json!({ "address": address, "fleet_ca": pairing.fleet_ca }),
    );
    values.insert("network".to_owned(), json!(network));
    values.insert("time_zone".to_owned(), json!(typed.time_zone));
    Ok(Settings {
        v: 1,
        fleet: pairing.fleet.clone(),
        values,
    })
}

/// Writes the three files.
pub(super) fn write(typed: &SettingsArgs) -> anyhow::Result<ExitCode> {
    let pairing = pairing_of(&typed.pairing)?;
    let settings = settings_of(typed, &pairing)?;
    let keys = StateDir::new(&typed.pairing.state).keys()?;
    let director = keys.director.public().spki_der().to_vec();
    for (name, bytes) in [
        ("pairing.json", serde_json::to_vec_pretty(&pairing)?),
        ("director.der", director),
        ("settings.json", sign_settings(&settings, &keys.director)),
    ] {
        let path = typed.to.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("`{}`", path.display()))?;
    }
    println!(
        "wrote pairing.json, director.der and settings.json to {}",
        typed.to.display()
    );
    println!("at the box: I imports them, F shows the keys to compare, C confirms the console");
    Ok(ExitCode::SUCCESS)
}
