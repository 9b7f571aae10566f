//! The settings that a person types: seven fields, each checked by itself and beside the others, then one document.
//!
//! Refuses names where an address is needed (a box asks no DNS), and settings of which a part is wrong. Invariant: what
//! [`check`] answers is the settings document that also comes signed on a stick, with the same names in `values`.

use std::net::{Ipv4Addr, SocketAddrV4};

use freehold_network::{Addressing, Console, NetworkRejection, NetworkSettings, Subnet};
use freehold_protocol::fingerprint::{BlocksRejection, read_typed_blocks, typed_blocks, words_of};
use freehold_trust::Sha256Digest;
use freehold_verify::document::Settings;
use freehold_verify::rejection::Refusal;
use serde_json::{Map, Value, json};

/// Longest text of a field; bounds a stuck key. Sixteen blocks with wide gaps are below it.
pub const MAX_FIELD: usize = 160;

/// Where the gateway listens, as its unit says.
pub const GATEWAY_PORT: u16 = 8443;

/// A field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `https://ADDRESS:PORT`.
    Console,
    /// Sixteen blocks.
    Fingerprint,
    /// A name such as `eno1`; may be left empty where there is only one.
    Interface,
    /// `dhcp`, or `ADDRESS/PREFIX`.
    Network,
    /// An address, or nothing.
    Gateway,
    /// Networks, parted by blanks, or nothing.
    Clients,
    /// A name such as `Europe/Berlin`, or nothing for UTC.
    TimeZone,
}

impl Field {
    /// In the order in which they are asked.
    pub const ALL: [Self; 7] = [
        Self::Console,
        Self::Fingerprint,
        Self::Interface,
        Self::Network,
        Self::Gateway,
        Self::Clients,
        Self::TimeZone,
    ];

    /// Its name on the screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Console => "Console address",
            Self::Fingerprint => "Console fingerprint",
            Self::Interface => "Interface",
            Self::Network => "Network",
            Self::Gateway => "Gateway",
            Self::Clients => "Clients",
            Self::TimeZone => "Time zone",
        }
    }

    /// What to type.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Console => "The port for boxes, as the console prints it: https://10.0.0.5:8443",
            Self::Fingerprint => "16 blocks as the console shows them for its fleet CA, with or without check letters",
            Self::Interface => "The plug that is used, as the kernel names it; empty where there is only one",
            Self::Network => "`dhcp`, or this machine's address and prefix: 10.0.0.17/24",
            Self::Gateway => "Only with an address of your own, and only if the console is in another network",
            Self::Clients => "Networks whose computers may use the models: 10.1.0.0/16 10.2.0.0/16; empty means none",
            Self::TimeZone => "Only for times on this screen: Europe/Berlin. Empty means UTC",
        }
    }
}

/// Why a field is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingRejection {
    /// Not `https://ADDRESS:PORT`.
    #[error("this is no console address: {why}")]
    Console {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The blocks do not check.
    #[error(transparent)]
    Fingerprint(#[from] BlocksRejection),
    /// Neither `dhcp` nor an address with its prefix.
    #[error("this is no network setting: {why}")]
    Network {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A gateway that cannot be reached.
    #[error("this is no gateway: {why}")]
    Gateway {
        /// What is wrong with it.
        why: &'static str,
    },
    /// What network settings as such must hold.
    #[error(transparent)]
    Settings(#[from] NetworkRejection),
    /// No time zone of this machine.
    #[error("there is no time zone `{found}`")]
    TimeZone {
        /// What was typed.
        found: String,
    },
}

impl SettingRejection {
    /// Every code of this enum.
    pub const CODES: &[&str] = &[
        "screen.console_address",
        "screen.console_fingerprint",
        "screen.network",
        "screen.gateway",
        "screen.time_zone",
    ];
}

impl Refusal for SettingRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Console { .. } => "screen.console_address",
            Self::Fingerprint(_) => "screen.console_fingerprint",
            Self::Network { .. } => "screen.network",
            Self::Gateway { .. } => "screen.gateway",
            Self::Settings(rejection) => rejection.code(),
            Self::TimeZone { .. } => "screen.time_zone",
        }
    }
}

/// What this machine has to choose from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// Names of time zones.
    pub zones: Vec<String>,
    /// Names of network interfaces.
    pub interfaces: Vec<String>,
}

/// What was typed so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Typed {
    /// One text a field, in the order of [`Field::ALL`].
    pub texts: [String; 7],
}

impl Typed {
    /// The text of a field.
    #[must_use]
    pub fn text(&self, field: Field) -> &str {
        let place = Field::ALL.iter().position(|known| *known == field);
        place.and_then(|place| self.texts.get(place)).map_or("", String::as_str)
    }

    pub(crate) fn text_mut(&mut self, field: Field) -> Option<&mut String> {
        let place = Field::ALL.iter().position(|known| *known == field)?;
        self.texts.get_mut(place)
    }
}

/// Settings that were checked as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Where the console's port for boxes listens.
    pub console: SocketAddrV4,
    /// SHA-256 of its fleet CA certificate.
    pub fleet_ca: Sha256Digest,
    /// The network, as everything else on the box reads it.
    pub network: NetworkSettings,
    /// A time zone, `UTC` when none was typed.
    pub time_zone: String,
}

fn console(text: &str) -> Result<SocketAddrV4, SettingRejection> {
    let wrong = |why| SettingRejection::Console { why };
    let rest = text
        .strip_prefix("https://")
        .ok_or_else(|| wrong("it begins with https://"))?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains('/') {
        return Err(wrong("nothing stands behind the port"));
    }
    let (host, port) = rest
        .rsplit_once(':')
        .ok_or_else(|| wrong("its port is missing, for example :8443"))?;
    let host: Ipv4Addr = host
        .parse()
        .map_err(|_| wrong("a box asks no DNS, so the host is four numbers such as 10.0.0.5"))?;
    let port: u16 = (port.parse().ok())
        .filter(|port| *port != 0)
        .ok_or_else(|| wrong("the port is a number from 1 to 65535"))?;
    if host.is_unspecified() || host.is_multicast() {
        return Err(wrong("nobody answers at that address"));
    }
    Ok(SocketAddrV4::new(host, port))
}

/// An address that a machine can have in a network of `prefix` bits.
fn usable(address: Ipv4Addr, prefix: u8) -> bool {
    let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    let bits = address.to_bits();
    let ends = prefix < 31 && (bits & host == 0 || bits & host == host);
    !(ends || address.is_unspecified() || address.is_multicast() || address.is_loopback() || address.is_broadcast())
}

fn addressing(text: &str, gateway: &str) -> Result<Addressing, SettingRejection> {
    let wrong = |why| SettingRejection::Network { why };
    if text.eq_ignore_ascii_case("dhcp") {
        return if gateway.is_empty() {
            Ok(Addressing::Dhcp)
        } else {
            let why = "with dhcp the gateway comes from the DHCP server; leave it empty";
            Err(SettingRejection::Gateway { why })
        };
    }
    let address: Subnet = text
        .parse()
        .map_err(|_| wrong("type dhcp, or an address with its prefix such as 10.0.0.17/24"))?;
    if !(8..=31).contains(&address.prefix) {
        return Err(wrong("the prefix is a number from 8 to 31"));
    }
    if !usable(address.address, address.prefix) {
        return Err(wrong("no machine can have this address in a network of this size"));
    }
    let wrong = |why| SettingRejection::Gateway { why };
    let router = match gateway {
        "" => None,
        text => {
            let router: Ipv4Addr = text
                .parse()
                .map_err(|_| wrong("it is an address, four numbers from 0 to 255"))?;
            if !address.holds(router) {
                return Err(wrong("it is not in this machine's network"));
            }
            if router == address.address || !usable(router, address.prefix) {
                return Err(wrong(
                    "it is this machine's own address, or none that a machine can have",
                ));
            }
            Some(router)
        }
    };
    Ok(Addressing::Static { address, router })
}

fn interface(text: &str, known: &[String]) -> Result<String, SettingRejection> {
    let name = match (text, known) {
        ("", [only]) => only.clone(),
        (text, _) => text.to_owned(),
    };
    // Where the machine's interfaces are known, a name that is none of them is a slip of the finger.
    if name.is_empty() || !(known.is_empty() || known.contains(&name)) {
        return Err(NetworkRejection::Interface { found: name }.into());
    }
    Ok(name)
}

fn clients(text: &str) -> Result<Vec<Subnet>, SettingRejection> {
    let networks = text.split([' ', ',']).filter(|network| !network.is_empty());
    Ok(networks.map(str::parse).collect::<Result<_, NetworkRejection>>()?)
}

fn time_zone(text: &str, known: &[String]) -> Result<String, SettingRejection> {
    let wrong = || SettingRejection::TimeZone { found: text.to_owned() };
    if text.is_empty() {
        return Ok("UTC".to_owned());
    }
    let shape = (text.bytes()).all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte));
    if !shape || text.len() > 64 || text.starts_with('/') {
        return Err(wrong());
    }
    match known.iter().find(|name| name.eq_ignore_ascii_case(text)) {
        Some(name) => Ok(name.clone()),
        None => Err(wrong()),
    }
}

/// Checks one field, as far as it can be alone.
///
/// # Errors
/// [`SettingRejection`].
pub fn check_field(typed: &Typed, field: Field, known: &Known) -> Result<(), SettingRejection> {
    let text = typed.text(field).trim();
    match field {
        Field::Console => console(text).map(|_| ()),
        Field::Fingerprint => Ok(read_typed_blocks(text).map(|_| ())?),
        Field::Interface => interface(text, &known.interfaces).map(|_| ()),
        Field::Network => addressing(text, "").map(|_| ()),
        Field::Gateway => addressing(typed.text(Field::Network).trim(), text).map(|_| ()),
        Field::Clients => clients(text).map(|_| ()),
        Field::TimeZone => time_zone(text, &known.zones).map(|_| ()),
    }
}

/// The field at which a fault of the whole is mended.
const fn place(rejection: &NetworkRejection) -> Field {
    match rejection {
        NetworkRejection::Interface { .. } => Field::Interface,
        NetworkRejection::Router { .. } | NetworkRejection::Unreachable { .. } => Field::Gateway,
        NetworkRejection::Subnet { .. } | NetworkRejection::TooMany { .. } => Field::Clients,
        NetworkRejection::Port { .. } => Field::Console,
        NetworkRejection::Address { .. } => Field::Network,
    }
}

/// Checks the whole.
///
/// # Errors
/// The first field that is wrong, and why.
pub fn check(typed: &Typed, known: &Known) -> Result<Checked, (Field, SettingRejection)> {
    for field in Field::ALL {
        check_field(typed, field, known).map_err(|rejection| (field, rejection))?;
    }
    let at = |field| move |rejection| (field, rejection);
    let text = |field| typed.text(field).trim();
    let console = console(text(Field::Console)).map_err(at(Field::Console))?;
    let network = NetworkSettings {
        interface: interface(text(Field::Interface), &known.interfaces).map_err(at(Field::Interface))?,
        addressing: addressing(text(Field::Network), text(Field::Gateway)).map_err(at(Field::Gateway))?,
        console: Some(Console {
            address: *console.ip(),
            port: console.port(),
        }),
        clients: clients(text(Field::Clients)).map_err(at(Field::Clients))?,
        gateway_port: GATEWAY_PORT,
    };
    network
        .check()
        .map_err(|rejection| (place(&rejection), rejection.into()))?;
    Ok(Checked {
        console,
        fleet_ca: read_typed_blocks(text(Field::Fingerprint))
            .map_err(|rejection| (Field::Fingerprint, rejection.into()))?,
        network,
        time_zone: time_zone(text(Field::TimeZone), &known.zones).map_err(at(Field::TimeZone))?,
    })
}

impl Checked {
    /// The settings document. The fleet is not known before the console was reached: it is empty.
    #[must_use]
    pub fn document(&self) -> Settings {
        let mut values = Map::new();
        values.insert(
            "console".to_owned(),
            json!({ "address": format!("https://{}", self.console), "fleet_ca": self.fleet_ca.to_hex() }),
        );
        values.insert("network".to_owned(), json!(self.network));
        values.insert("time_zone".to_owned(), Value::String(self.time_zone.clone()));
        Settings {
            v: 1,
            fleet: String::new(),
            values,
        }
    }

    /// The whole as a person reads it before it is applied: names and values.
    #[must_use]
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let blocks = typed_blocks(&self.fleet_ca);
        let row = |from: usize| {
            let blocks: Vec<&str> = blocks.iter().skip(from).take(8).map(String::as_str).collect();
            blocks.join(" ")
        };
        let mut lines = vec![
            ("Console address", format!("https://{}", self.console)),
            ("Console fingerprint", words_of(self.fleet_ca.as_bytes(), 8)),
            ("", row(0)),
            ("", row(8)),
        ];
        lines.push(("Interface", self.network.interface.clone()));
        match &self.network.addressing {
            Addressing::Dhcp => lines.push(("Network", "an address from the site's DHCP server".to_owned())),
            Addressing::Static { address, router } => {
                lines.push(("Network", address.to_string()));
                let router = router.map_or_else(
                    || "none: only this network is reached".to_owned(),
                    |router| router.to_string(),
                );
                lines.push(("Gateway", router));
            }
        }
        let clients: Vec<String> = self.network.clients.iter().map(Subnet::to_string).collect();
        let clients = if clients.is_empty() {
            "none: no computer may use the models".to_owned()
        } else {
            clients.join(" ")
        };
        lines.push(("Clients", clients));
        lines.push(("Time zone", self.time_zone.clone()));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freehold_trust::sha256;

    fn good() -> Typed {
        let blocks = typed_blocks(&sha256(b"a console")).join(" ");
        let texts = [
            "https://10.0.0.5:8443",
            &blocks,
            "eno1",
            "10.0.0.17/24",
            "10.0.0.1",
            "10.1.0.0/16",
            "europe/berlin",
        ];
        Typed {
            texts: texts.map(str::to_owned),
        }
    }

    fn known() -> Known {
        Known {
            zones: vec!["Europe/Berlin".to_owned()],
            interfaces: vec!["eno1".to_owned(), "eno2".to_owned()],
        }
    }

    fn refused(field: Field, text: &str) -> (Field, SettingRejection) {
        let mut typed = good();
        typed.text_mut(field).unwrap().replace_range(.., text);
        check(&typed, &known()).unwrap_err()
    }

    #[test]
    fn good_settings_become_the_document_that_everything_else_reads() {
        let checked = check(&good(), &known()).unwrap();
        let document = serde_json::to_value(checked.document()).unwrap();
        assert_eq!(
            document,
            json!({ "v": 1, "fleet": "", "values": {
                "console": { "address": "https://10.0.0.5:8443", "fleet_ca": sha256(b"a console").to_hex() },
                "network": {
                    "interface": "eno1",
                    "addressing": { "static": { "address": "10.0.0.17/24", "router": "10.0.0.1" } },
                    "console": { "address": "10.0.0.5", "port": 8443 },
                    "clients": ["10.1.0.0/16"],
                    "gateway_port": 8443,
                },
                "time_zone": "Europe/Berlin",
            } })
        );
        let read: NetworkSettings = serde_json::from_value(document["values"]["network"].clone()).unwrap();
        assert_eq!(read, checked.network);
        let mut typed = good();
        for (place, text) in [(2, ""), (3, "DHCP"), (4, ""), (5, ""), (6, "")] {
            text.clone_into(&mut typed.texts[place]);
        }
        let one = Known {
            interfaces: vec!["eno1".to_owned()],
            ..Known::default()
        };
        let checked = check(&typed, &one).unwrap();
        assert_eq!(checked.network.addressing, Addressing::Dhcp);
        assert_eq!(
            (checked.network.interface.as_str(), checked.time_zone.as_str()),
            ("eno1", "UTC")
        );
        // Of two plugs nobody guesses.
        assert_eq!(check(&typed, &known()).unwrap_err().1.code(), "settings.interface");
    }

    #[test]
    fn each_field_says_what_is_wrong_with_it() {
        for (field, text, code, says) in [
            (Field::Console, "10.0.0.5:8443", "screen.console_address", "https://"),
            (
                Field::Console,
                "https://console.ward:8443",
                "screen.console_address",
                "no DNS",
            ),
            (
                Field::Console,
                "https://10.0.0.5",
                "screen.console_address",
                "port is missing",
            ),
            (Field::Console, "https://10.0.0.5:0", "screen.console_address", "65535"),
            (
                Field::Console,
                "https://10.0.0.5:1/x",
                "screen.console_address",
                "behind the port",
            ),
            (
                Field::Console,
                "https://0.0.0.0:1",
                "screen.console_address",
                "nobody answers",
            ),
            (
                Field::Fingerprint,
                "3f2a",
                "screen.console_fingerprint",
                "1 blocks were typed",
            ),
            (Field::Fingerprint, "3f2a zzzz", "screen.console_fingerprint", "block 2"),
            (Field::Network, "10.0.0.17", "screen.network", "prefix"),
            (Field::Network, "10.0.0/24", "screen.network", "10.0.0.17/24"),
            (Field::Interface, "eno3", "settings.interface", "eno3"),
            (Field::Interface, "lo; reboot", "settings.interface", "reboot"),
            (Field::Gateway, "", "settings.unreachable", "10.1.0.0/16"),
            (Field::Clients, "everybody", "settings.subnet", "everybody"),
            (Field::Clients, "0.0.0.0/1", "settings.subnet", "0.0.0.0/1"),
            (Field::Network, "10.0.0.17/32", "screen.network", "8 to 31"),
            (Field::Network, "10.0.0.255/24", "screen.network", "no machine"),
            (Field::Network, "127.0.0.1/24", "screen.network", "no machine"),
            (Field::Network, "dhcp", "screen.gateway", "leave it empty"),
            (Field::Gateway, "router", "screen.gateway", "four numbers"),
            (
                Field::Gateway,
                "10.0.1.1",
                "screen.gateway",
                "not in this machine's network",
            ),
            (Field::Gateway, "10.0.0.17", "screen.gateway", "own address"),
            (Field::TimeZone, "Mars/Base", "screen.time_zone", "Mars/Base"),
            (Field::TimeZone, "../../etc/shadow", "screen.time_zone", "shadow"),
        ] {
            let (at, rejection) = refused(field, text);
            assert_eq!(rejection.code(), code, "{text}");
            assert!(rejection.to_string().contains(says), "{text}: {rejection}");
            if code != "screen.gateway" {
                assert_eq!(at, field, "{text}");
            }
        }
    }
}
