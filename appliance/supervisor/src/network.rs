//! Makes the box's network what its settings say: the packet filter first, then the interface.
//!
//! Refuses to open an interface before its filter is in the kernel, and to widen anything by itself: two files are written, and
//! systemd is asked to have `nft` and networkd read them. Invariant: what nft refuses leaves the closed filter where it was, and the
//! interface down.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use freehold_engine::unit::Bus;
use freehold_execute::write_atomic;
use freehold_network::{NetworkSettings, link, rules};
use freehold_verify::RefusalReport;
use freehold_verify::milestone::{Milestone, MilestoneKind};
use freehold_verify::rejection::Refusal;

use crate::milestones::Milestones;
use crate::site::Site;

/// The unit that loads the packet filter.
const FILTER_UNIT: &str = "freehold-nftables.service";
/// The filter's file below the folder of the network, as that unit's `ExecReload=` names it.
const RULES: &str = "freehold/network/rules.nft";
/// Where networkd looks; before `10-freehold-closed.network`, which keeps every interface down.
const LINK: &str = "systemd/network/05-freehold.network";
/// How long until the next try: an interface may come late, and a person may plug one in.
const RETRY: Duration = Duration::from_secs(5);

/// Why the network is not what the settings say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApplyRejection {
    /// The packet filter was not loaded, so the interface stays down.
    #[error("the packet filter was not loaded: {why}")]
    Filter {
        /// What systemd or nft said.
        why: String,
    },
    /// The filter is loaded, and networkd did not take the interface's file.
    #[error("the interface was not configured: {why}")]
    Links {
        /// What was said.
        why: String,
    },
}

impl ApplyRejection {
    /// Every code of this enum.
    pub(crate) const CODES: &[&str] = &["settings.filter_not_loaded", "settings.links_not_taken"];
}

impl Refusal for ApplyRejection {
    fn code(&self) -> &'static str {
        let place = match self {
            Self::Filter { .. } => 0,
            Self::Links { .. } => 1,
        };
        Self::CODES.get(place).copied().unwrap_or_default()
    }
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// This supervisor configures no network: a box that is a process.
    NotOurs,
    /// No settings yet: nothing in, nothing out.
    Closed,
    /// It is being applied.
    Applying,
    /// It is what the settings say.
    Applied,
    /// It could not be done; it is tried again.
    Refused(RefusalReport),
}

impl Standing {
    /// A word for the status.
    pub(crate) fn word(&self) -> String {
        match self {
            Self::NotOurs => String::new(),
            Self::Closed => "closed".to_owned(),
            Self::Applying => "being applied".to_owned(),
            Self::Applied => "applied".to_owned(),
            Self::Refused(report) => report.code.clone(),
        }
    }
}

/// The network of this machine. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    folder: Option<PathBuf>,
    bus: Option<String>,
    milestones: Milestones,
    standing: Arc<Mutex<Standing>>,
}

impl Network {
    /// A network below `folder`, or none of ours.
    pub(crate) fn new(folder: Option<&Path>, bus: Option<&str>, milestones: Milestones) -> Self {
        let standing = if folder.is_some() {
            Standing::Closed
        } else {
            Standing::NotOurs
        };
        Self {
            folder: folder.map(Path::to_owned),
            bus: bus.map(str::to_owned),
            milestones,
            standing: Arc::new(Mutex::new(standing)),
        }
    }

    /// How far it is.
    pub(crate) fn standing(&self) -> Standing {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn stands(&self, standing: Standing) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    /// Measures settings and applies them, as often as it takes, beside everything else.
    pub(crate) fn begin(&self, site: &Site) {
        if self.folder.is_none() {
            return;
        }
        self.stands(Standing::Applying);
        let (network, site) = (self.clone(), site.clone());
        tokio::spawn(async move {
            while let Err(report) = network.measure_and_apply(&site).await {
                tracing::warn!(code = %report.code, message = %report.message, "the network is not what the settings say");
                network.stands(Standing::Refused(report));
                tokio::time::sleep(RETRY).await;
            }
            match &site.network {
                Some(settings) => {
                    tracing::info!(interface = %settings.interface, "the network is what the settings say");
                    network.stands(Standing::Applied);
                }
                None => network.stands(Standing::Closed),
            }
        });
    }

    async fn measure_and_apply(&self, site: &Site) -> Result<(), RefusalReport> {
        let settings = Milestone::new(MilestoneKind::Settings, site.source.word(), site.digest);
        self.milestones
            .reach(settings)
            .await
            .map_err(|refused| refused.report())?;
        match &site.network {
            Some(network) => self.apply(network).await.map_err(|refused| refused.report()),
            None => Ok(()),
        }
    }

    async fn apply(&self, settings: &NetworkSettings) -> Result<(), ApplyRejection> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let filter = |why: String| ApplyRejection::Filter { why };
        let links = |why: String| ApplyRejection::Links { why };
        // Asked again although they were checked: this is where text becomes rules.
        settings.check().map_err(|rejection| filter(rejection.to_string()))?;
        write(&folder.join(RULES), &rules(settings), 0o600).map_err(filter)?;
        let bus = Bus::connect(self.bus.as_deref())
            .await
            .map_err(|fault| filter(fault.to_string()))?;
        bus.reload_unit(FILTER_UNIT)
            .await
            .map_err(|fault| filter(fault.to_string()))?;
        // networkd is a user of its own, and reads it.
        write(&folder.join(LINK), &link(settings), 0o644).map_err(links)?;
        bus.reload_links().await.map_err(|fault| links(fault.to_string()))
    }
}

/// A whole file of just this mode, whatever the process' mask.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), String> {
    write_atomic(path, text.as_bytes(), mode).map_err(|error| error.to_string())?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|error| format!("`{}`: {error}", path.display()))
}

/// The machine's own addresses, version 4, without the loopback's.
pub(crate) fn own_addresses() -> Vec<String> {
    std::fs::read_to_string("/proc/net/fib_trie")
        .map(|trie| addresses(&trie))
        .unwrap_or_default()
}

/// The addresses in `/proc/net/fib_trie`: leaves that are followed by `/32 host LOCAL`.
fn addresses(trie: &str) -> Vec<String> {
    let lines: Vec<&str> = trie.lines().map(str::trim).collect();
    let mut found: Vec<String> = lines
        .windows(2)
        .filter_map(|pair| match pair {
            [leaf, "/32 host LOCAL"] => leaf.strip_prefix("|-- "),
            _ => None,
        })
        .filter(|address| !address.starts_with("127."))
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_found_in_the_kernels_table() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.17\n        \
                    /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n";
        assert_eq!(addresses(trie), ["10.0.0.17"]);
        assert!(addresses("").is_empty());
    }

    fn settings() -> NetworkSettings {
        serde_json::from_str(
            r#"{"interface":"eth0","addressing":{"static":{"address":"192.0.2.20/24"}},
            "console":{"address":"192.0.2.10","port":7443},"clients":[],"gateway_port":8443}"#,
        )
        .unwrap()
    }

    #[tokio::test]
    async fn without_systemd_the_filter_is_not_loaded_and_no_link_is_opened() {
        let world = tempfile::tempdir().unwrap();
        for folder in ["freehold/network", "systemd/network"] {
            std::fs::create_dir_all(world.path().join(folder)).unwrap();
        }
        let bus = format!("unix:path={}", world.path().join("no-bus").display());
        let network = Network::new(Some(world.path()), Some(&bus), Milestones::new(None, Path::new("/")));
        assert_eq!(network.standing(), Standing::Closed);
        let refused = network.apply(&settings()).await.unwrap_err();
        assert_eq!(refused.code(), "settings.filter_not_loaded");
        assert!(world.path().join(RULES).exists());
        assert!(!world.path().join(LINK).exists(), "the interface waits for its filter");
        // Settings that would generate unsound rules are not even written.
        let mut bad = settings();
        bad.interface = "eth0\"".to_owned();
        assert!(
            network
                .apply(&bad)
                .await
                .unwrap_err()
                .to_string()
                .contains("no network interface")
        );
    }

    #[tokio::test]
    async fn a_process_box_leaves_the_network_alone() {
        let network = Network::new(None, None, Milestones::new(None, Path::new("/")));
        assert_eq!(network.standing(), Standing::NotOurs);
        network.apply(&settings()).await.unwrap();
    }
}
