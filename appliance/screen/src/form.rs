//! The settings that a person types: six fields, each checked by itself and beside the others, then one document.
//!
//! Refuses names where an address is needed (a box asks no DNS), and settings of which a part is wrong. Invariant: what
//! [`check`] answers is the settings document that also comes signed on a stick, with the same names in `values`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use freehold_protocol::fingerprint::{BlocksRejection, read_typed_blocks, typed_blocks, words_of};
use freehold_trust::Sha256Digest;
use freehold_verify::document::Settings;
use freehold_verify::rejection::Refusal;
use serde_json::{Map, Value, json};

/// Longest text of a field; bounds a stuck key. Sixteen blocks with wide gaps are below it.
pub const MAX_FIELD: usize = 160;

/// A field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `https://ADDRESS:PORT`.
    Console,
    /// Sixteen blocks.
    Fingerprint,
    /// `dhcp`, or `ADDRESS/PREFIX`.
    Network,
    /// An address, or nothing.
    Gateway,
    /// A name such as `Europe/Berlin`, or nothing for UTC.
    TimeZone,
}

impl Field {
    /// In the order in which they are asked.
    pub const ALL: [Self; 5] = [
        Self::Console,
        Self::Fingerprint,
        Self::Network,
        Self::Gateway,
        Self::TimeZone,
    ];

    /// Its name on the screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Console => "Console address",
            Self::Fingerprint => "Console fingerprint",
            Self::Network => "Network",
            Self::Gateway => "Gateway",
            Self::TimeZone => "Time zone",
        }
    }

    /// What to type.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Console => "The port for boxes, as the console prints it: https://10.0.0.5:8443",
            Self::Fingerprint => "16 blocks as the console shows them for its fleet CA, with or without check letters",
            Self::Network => "`dhcp`, or this machine's address and prefix: 10.0.0.17/24",
            Self::Gateway => "Only with an address of your own, and only if the console is in another network",
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
            Self::TimeZone { .. } => "screen.time_zone",
        }
    }
}

/// What was typed so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Typed {
    /// One text a field, in the order of [`Field::ALL`].
    pub texts: [String; 5],
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

/// How the machine gets its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// From a DHCP server of the site.
    Dhcp,
    /// Its own.
    Static {
        /// The address.
        address: Ipv4Addr,
        /// Bits of the network.
        prefix: u8,
        /// The way to other networks.
        gateway: Option<Ipv4Addr>,
    },
}

/// Settings that were checked as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Where the console's port for boxes listens.
    pub console: SocketAddr,
    /// SHA-256 of its fleet CA certificate.
    pub fleet_ca: Sha256Digest,
    /// The network.
    pub network: Network,
    /// A time zone, `UTC` when none was typed.
    pub time_zone: String,
}

fn console(text: &str) -> Result<SocketAddr, SettingRejection> {
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
    let host: IpAddr = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .map_err(|_| wrong("a box asks no DNS, so the host is a number such as 10.0.0.5"))?;
    let port: u16 = (port.parse().ok())
        .filter(|port| *port != 0)
        .ok_or_else(|| wrong("the port is a number from 1 to 65535"))?;
    if host.is_unspecified() || host.is_multicast() {
        return Err(wrong("nobody answers at that address"));
    }
    Ok(SocketAddr::new(host, port))
}

/// An address that a machine can have in a network of `prefix` bits.
fn usable(address: Ipv4Addr, prefix: u8) -> bool {
    let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    let bits = address.to_bits();
    let ends = prefix < 31 && (bits & host == 0 || bits & host == host);
    !(ends || address.is_unspecified() || address.is_multicast() || address.is_loopback() || address.is_broadcast())
}

fn network(text: &str, gateway: &str) -> Result<Network, SettingRejection> {
    let wrong = |why| SettingRejection::Network { why };
    if text.eq_ignore_ascii_case("dhcp") {
        return if gateway.is_empty() {
            Ok(Network::Dhcp)
        } else {
            let why = "with dhcp the gateway comes from the DHCP server; leave it empty";
            Err(SettingRejection::Gateway { why })
        };
    }
    let (address, prefix) = text
        .split_once('/')
        .ok_or_else(|| wrong("type dhcp, or an address with its prefix such as 10.0.0.17/24"))?;
    let address: Ipv4Addr = address
        .parse()
        .map_err(|_| wrong("the address is four numbers from 0 to 255"))?;
    let prefix: u8 = (prefix.parse().ok())
        .filter(|prefix| (8..=31).contains(prefix))
        .ok_or_else(|| wrong("the prefix is a number from 8 to 31"))?;
    if !usable(address, prefix) {
        return Err(wrong("no machine can have this address in a network of this size"));
    }
    let wrong = |why| SettingRejection::Gateway { why };
    let gateway = match gateway {
        "" => None,
        text => {
            let gateway: Ipv4Addr = text
                .parse()
                .map_err(|_| wrong("it is an address, four numbers from 0 to 255"))?;
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0);
            if gateway.to_bits() & mask != address.to_bits() & mask {
                return Err(wrong("it is not in this machine's network"));
            }
            if gateway == address || !usable(gateway, prefix) {
                return Err(wrong(
                    "it is this machine's own address, or none that a machine can have",
                ));
            }
            Some(gateway)
        }
    };
    Ok(Network::Static {
        address,
        prefix,
        gateway,
    })
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
pub fn check_field(typed: &Typed, field: Field, zones: &[String]) -> Result<(), SettingRejection> {
    let text = typed.text(field).trim();
    match field {
        Field::Console => console(text).map(|_| ()),
        Field::Fingerprint => Ok(read_typed_blocks(text).map(|_| ())?),
        Field::Network => network(text, "").map(|_| ()),
        Field::Gateway => network(typed.text(Field::Network).trim(), text).map(|_| ()),
        Field::TimeZone => time_zone(text, zones).map(|_| ()),
    }
}

/// Checks the whole.
///
/// # Errors
/// The first field that is wrong, and why.
pub fn check(typed: &Typed, zones: &[String]) -> Result<Checked, (Field, SettingRejection)> {
    for field in Field::ALL {
        check_field(typed, field, zones).map_err(|rejection| (field, rejection))?;
    }
    let at = |field| move |rejection| (field, rejection);
    let text = |field| typed.text(field).trim();
    Ok(Checked {
        console: console(text(Field::Console)).map_err(at(Field::Console))?,
        fleet_ca: read_typed_blocks(text(Field::Fingerprint))
            .map_err(|rejection| (Field::Fingerprint, rejection.into()))?,
        network: network(text(Field::Network), text(Field::Gateway)).map_err(at(Field::Gateway))?,
        time_zone: time_zone(text(Field::TimeZone), zones).map_err(at(Field::TimeZone))?,
    })
}

impl Checked {
    /// The settings document. The fleet is not known before the console was reached: it is empty.
    #[must_use]
    pub fn document(&self) -> Settings {
        let network = match self.network {
            Network::Dhcp => json!({ "mode": "dhcp" }),
            Network::Static {
                address,
                prefix,
                gateway,
            } => {
                let mut values = json!({ "mode": "static", "address": format!("{address}/{prefix}") });
                if let (Some(gateway), Some(values)) = (gateway, values.as_object_mut()) {
                    values.insert("gateway".to_owned(), Value::String(gateway.to_string()));
                }
                values
            }
        };
        let mut values = Map::new();
        values.insert(
            "console".to_owned(),
            json!({ "address": format!("https://{}", self.console), "fleet_ca": self.fleet_ca.to_hex() }),
        );
        values.insert("network".to_owned(), network);
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
        match self.network {
            Network::Dhcp => lines.push(("Network", "an address from the site's DHCP server".to_owned())),
            Network::Static {
                address,
                prefix,
                gateway,
            } => {
                lines.push(("Network", format!("{address}/{prefix}")));
                let gateway = gateway.map_or_else(
                    || "none: only this network is reached".to_owned(),
                    |gateway| gateway.to_string(),
                );
                lines.push(("Gateway", gateway));
            }
        }
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
            "10.0.0.17/24",
            "10.0.0.1",
            "europe/berlin",
        ];
        Typed {
            texts: texts.map(str::to_owned),
        }
    }

    fn refused(field: Field, text: &str) -> (Field, SettingRejection) {
        let mut typed = good();
        typed.text_mut(field).unwrap().replace_range(.., text);
        check(&typed, &["Europe/Berlin".to_owned()]).unwrap_err()
    }

    #[test]
    fn good_settings_become_the_document() {
        let checked = check(&good(), &["Europe/Berlin".to_owned()]).unwrap();
        let document = serde_json::to_value(checked.document()).unwrap();
        assert_eq!(
            document,
            json!({ "v": 1, "fleet": "", "values": {
                "console": { "address": "https://10.0.0.5:8443", "fleet_ca": sha256(b"a console").to_hex() },
                "network": { "mode": "static", "address": "10.0.0.17/24", "gateway": "10.0.0.1" },
                "time_zone": "Europe/Berlin",
            } })
        );
        let mut typed = good();
        typed.texts[2] = "DHCP".to_owned();
        typed.texts[3].clear();
        typed.texts[4].clear();
        let checked = check(&typed, &[]).unwrap();
        assert_eq!((checked.network, checked.time_zone.as_str()), (Network::Dhcp, "UTC"));
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
            (Field::Network, "10.0.0/24", "screen.network", "four numbers"),
            (Field::Network, "10.0.0.17/33", "screen.network", "8 to 31"),
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
