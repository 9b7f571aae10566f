//! The network part of a box's settings.
//!
//! Refuses what is no interface name, no usable address, no real network. Invariant: [`NetworkSettings::check`] is asked before
//! anything is generated, and nothing that passes it can hold a space, a quote or a line end.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest interface name, without its final zero (`IFNAMSIZ`, linux/if.h).
const MAX_INTERFACE: usize = 15;

/// Client networks that are taken: more are a mistake, and bound the length of a rule.
const MAX_CLIENTS: usize = 64;

/// Which interface, which address, and who may be spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSettings {
    /// The interface, as the kernel names it.
    pub interface: String,
    /// Its address.
    pub addressing: Addressing,
    /// The console; without it the box speaks to none (its documents come on a stick).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<Console>,
    /// Networks whose computers may reach the gateway.
    #[serde(default)]
    pub clients: Vec<Subnet>,
    /// The gateway's port.
    pub gateway_port: u16,
}

/// How the box gets its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Addressing {
    /// It asks for one.
    Dhcp,
    /// It has one.
    Static {
        /// The address and the length of its network's prefix.
        address: Subnet,
        /// Where packets for other networks go.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        router: Option<Ipv4Addr>,
    },
}

/// Where the console listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// Its address; a name would need somebody to ask.
    pub address: Ipv4Addr,
    /// Its port.
    pub port: u16,
}

/// An IPv4 network, or an address in one: `192.0.2.7/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subnet {
    /// The address.
    pub address: Ipv4Addr,
    /// Bits of the prefix, 1 to 32.
    pub prefix: u8,
}

impl Subnet {
    fn mask(self) -> u32 {
        u32::MAX
            .checked_shl(32u32.saturating_sub(u32::from(self.prefix)))
            .unwrap_or(0)
    }

    /// The network that it lies in.
    #[must_use]
    pub fn network(self) -> Self {
        Self {
            address: Ipv4Addr::from(u32::from(self.address) & self.mask()),
            prefix: self.prefix,
        }
    }

    /// Whether an address lies in it.
    #[must_use]
    pub fn holds(self, address: Ipv4Addr) -> bool {
        u32::from(address) & self.mask() == u32::from(self.address) & self.mask()
    }

    /// Whether any address lies in both.
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        self.holds(other.network().address) || other.holds(self.network().address)
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = NetworkRejection;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || NetworkRejection::Subnet {
            found: text.chars().take(40).filter(|c| !c.is_control()).collect(),
        };
        let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
        let prefix: u8 = prefix.parse().map_err(|_| bad())?;
        if !(1..=32).contains(&prefix) {
            return Err(bad());
        }
        Ok(Self {
            address: address.parse().map_err(|_| bad())?,
            prefix,
        })
    }
}

impl Serialize for Subnet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subnet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Why network settings are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkRejection {
    /// No name of an interface that may be used.
    #[error("`{found}` is no network interface of a box")]
    Interface {
        /// The name, shortened.
        found: String,
    },
    /// Not an IPv4 network.
    #[error("`{found}` is no IPv4 network such as 192.0.2.0/24")]
    Subnet {
        /// What stood there, shortened.
        found: String,
    },
    /// An address that no single computer has.
    #[error("`{found}` is not the address of one computer")]
    Address {
        /// The address.
        found: Ipv4Addr,
    },
    /// The router is in another network than the box.
    #[error("the router {found} is not in the network {network}")]
    Router {
        /// The router.
        found: Ipv4Addr,
        /// The box's network.
        network: Subnet,
    },
    /// Somebody who cannot be reached: in another network, and there is no router.
    #[error("{found} is in another network, and there is no router")]
    Unreachable {
        /// Who.
        found: Subnet,
    },
    /// Port 0.
    #[error("the port of the {whose} is 0")]
    Port {
        /// Whose.
        whose: &'static str,
    },
    /// More client networks than are taken.
    #[error("{found} client networks, at most {MAX_CLIENTS}")]
    TooMany {
        /// How many.
        found: usize,
    },
}

impl NetworkRejection {
    /// Every code of this enum.
    pub const CODES: &[&str] = &[
        "settings.interface",
        "settings.subnet",
        "settings.address",
        "settings.router",
        "settings.unreachable",
        "settings.port",
        "settings.too_many",
    ];

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Interface { .. } => "settings.interface",
            Self::Subnet { .. } => "settings.subnet",
            Self::Address { .. } => "settings.address",
            Self::Router { .. } => "settings.router",
            Self::Unreachable { .. } => "settings.unreachable",
            Self::Port { .. } => "settings.port",
            Self::TooMany { .. } => "settings.too_many",
        }
    }
}

impl NetworkSettings {
    /// Refuses what would generate rules that hold nothing, or files that say something else.
    ///
    /// # Errors
    /// [`NetworkRejection`].
    pub fn check(&self) -> Result<(), NetworkRejection> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name = &self.interface;
        let usable = !name.is_empty()
            && name.len() <= MAX_INTERFACE
            && name.chars().all(plain)
            && !matches!(name.as_str(), "lo" | "." | "..")
            && !name.starts_with('-');
        if !usable {
            return Err(NetworkRejection::Interface {
                found: name.chars().take(40).filter(|c| !c.is_control()).collect(),
            });
        }
        if self.gateway_port == 0 {
            return Err(NetworkRejection::Port { whose: "gateway" });
        }
        if self.clients.len() > MAX_CLIENTS {
            return Err(NetworkRejection::TooMany {
                found: self.clients.len(),
            });
        }
        if let Some(console) = self.console {
            single(console.address)?;
            if console.port == 0 {
                return Err(NetworkRejection::Port { whose: "console" });
            }
        }
        for client in &self.clients {
            // A whole network of loopback, multicast or nobody is no client.
            single_or_network(*client)?;
        }
        let Addressing::Static { address, router } = &self.addressing else {
            return Ok(());
        };
        single(address.address)?;
        if let Some(router) = router {
            single(*router)?;
            if !address.holds(*router) {
                return Err(NetworkRejection::Router {
                    found: *router,
                    network: address.network(),
                });
            }
            return Ok(());
        }
        let console = self.console.map(|console| Subnet {
            address: console.address,
            prefix: 32,
        });
        for wanted in self.clients.iter().copied().chain(console) {
            if !(address.prefix <= wanted.prefix && address.holds(wanted.address)) {
                return Err(NetworkRejection::Unreachable { found: wanted });
            }
        }
        Ok(())
    }
}

fn single(address: Ipv4Addr) -> Result<(), NetworkRejection> {
    let [first, ..] = address.octets();
    if address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_broadcast()
        || first == 0
        || first >= 240
    {
        return Err(NetworkRejection::Address { found: address });
    }
    Ok(())
}

fn single_or_network(subnet: Subnet) -> Result<(), NetworkRejection> {
    // At least 8 bits: "everybody" is no client network.
    if subnet.prefix < 8 {
        return Err(NetworkRejection::Subnet {
            found: subnet.to_string(),
        });
    }
    single(subnet.address)
}
