//! What a person at the machine can have done: one function for each wish.
//!
//! Refuses a console that differs from the typed or confirmed one, a second document of settings, and settings of a stick whose
//! director is not the one that the same stick's pairing names. Invariant: settings and pairing are each taken once.

use std::path::{Path, PathBuf};

use freehold_engine::unit::Bus;
use freehold_protocol::enrol::Pairing;
use freehold_trust::digest::ct_eq;
use freehold_trust::{PublicKey, sha256};
use freehold_verify::RefusalReport;
use freehold_verify::document::{Settings as Document, settings_digest, verify_settings};
use freehold_verify::rejection::Refusal as _;
use serde::{Deserialize, Serialize};

use super::stick::Stick;
use super::{Granted, ScreenRejection};
use crate::fault::Fault;
use crate::network::Network;
use crate::pairing;
use crate::site::{Site, Source, digest_of_typed};
use crate::state::State;

/// A pairing that was named and waits for the comparison.
const OFFERED: &str = "pairing.offered.json";
/// Settings that came with it.
const OFFERED_SETTINGS: &str = "settings.offered.json";
/// Bounds each file that is read from a stick.
const MAX_FILE: u64 = 16 * 1024;

/// Settings that a stick brought, verified, not yet taken.
#[derive(Debug, Serialize, Deserialize)]
struct Brought {
    v: u32,
    /// The fleet CA of the pairing that came with them.
    fleet_ca: String,
    digest: freehold_trust::Sha256Digest,
    document: Document,
}

/// What wishes act on.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pub(crate) state: State,
    pub(crate) network: Network,
    pub(crate) stick: Stick,
    pub(crate) bus: Option<String>,
    pub(crate) recovery_key: PathBuf,
}

impl Desk {
    /// The console that was named and not confirmed yet.
    pub(crate) fn offered(&self) -> Result<Option<Pairing>, Fault> {
        self.state.json(OFFERED)
    }

    /// Keeps a console as named, where it does not contradict what was typed.
    pub(crate) fn offer(&self, named: &Pairing) -> Result<(), RefusalReport> {
        self.as_typed(named)?;
        self.state.put_json(OFFERED, named).map_err(|fault| fault.report())
    }

    /// Makes the offered console ours, and takes the settings that came with it.
    pub(crate) fn confirm(&self, offered: Option<&Pairing>, fingerprint: &str) -> Result<Pairing, RefusalReport> {
        let offered = offered.ok_or_else(|| ScreenRejection::NothingOffered.report())?;
        if !ct_eq(offered.fleet_ca.as_bytes(), fingerprint.as_bytes()) {
            return Err(ScreenRejection::OtherConsole {
                expected: offered.fleet_ca.clone(),
                found: fingerprint.to_owned(),
            }
            .report());
        }
        self.as_typed(offered)?;
        // The settings first: a power cut between the two leaves a console that is still to be confirmed.
        let brought = (self.state.json::<Brought>(OFFERED_SETTINGS)).map_err(|fault| fault.report())?;
        if let Some(brought) = brought.filter(|brought| brought.fleet_ca == offered.fleet_ca)
            && !Site::is_locked(&self.state)
        {
            self.lock(Source::Signed, &brought.document, brought.digest)?;
        }
        pairing::lock(&self.state, offered).map_err(|fault| fault.report())
    }

    /// Whether a pairing is of the console whose fingerprint was typed, where one was.
    fn as_typed(&self, offered: &Pairing) -> Result<(), RefusalReport> {
        let site = Site::locked(&self.state).map_err(|fault| fault.report())?;
        match site.and_then(|site| site.console) {
            Some(typed) if typed.fleet_ca.to_hex() != offered.fleet_ca => Err(ScreenRejection::OtherConsole {
                expected: typed.fleet_ca.to_hex(),
                found: offered.fleet_ca.clone(),
            }
            .report()),
            _ => Ok(()),
        }
    }

    /// Takes typed settings and applies them. `ours` is the console that was confirmed, if one was.
    pub(crate) fn take(&self, document: &Document, ours: Option<&Pairing>) -> Result<Site, RefusalReport> {
        if Site::is_locked(&self.state) {
            return Err(ScreenRejection::SettingsLocked.report());
        }
        let digest = digest_of_typed(document);
        let site = Site::read(Source::Typed, document, digest).map_err(|rejection| rejection.report())?;
        if let (Some(typed), Some(ours)) = (&site.console, ours)
            && typed.fleet_ca.to_hex() != ours.fleet_ca
        {
            return Err(ScreenRejection::OtherConsole {
                expected: ours.fleet_ca.clone(),
                found: typed.fleet_ca.to_hex(),
            }
            .report());
        }
        self.lock(Source::Typed, document, digest)
    }

    fn lock(
        &self,
        source: Source,
        document: &Document,
        digest: freehold_trust::Sha256Digest,
    ) -> Result<Site, RefusalReport> {
        let site = Site::lock(&self.state, source, document, digest).map_err(|fault| fault.report())?;
        self.network.begin(&site);
        Ok(site)
    }

    /// Reads the stick: the console that it names, and a sentence for the person.
    pub(crate) async fn import(&self) -> Result<(Pairing, String), RefusalReport> {
        let folder = self.stick.mount().await.map_err(|rejection| rejection.report())?;
        let read = self.read_stick(&folder);
        self.stick.unmount().await;
        read
    }

    fn read_stick(&self, folder: &Path) -> Result<(Pairing, String), RefusalReport> {
        let path = file(folder, "pairing.json").ok_or_else(|| ScreenRejection::NoStick.report())?;
        let named = pairing::read(&path).map_err(|fault| fault.report())?;
        let brought = self.settings_of(folder, &named)?;
        self.offer(&named)?;
        let mut said = format!("The stick names the console of fleet {}", named.fleet);
        if let Some(network) = brought {
            said.push_str(&format!(" and brings settings: {network}"));
        }
        said.push_str(". Compare it now.");
        Ok((named, said))
    }

    /// The signed settings of a stick, kept until its console is confirmed; what they say of the network, in a few words.
    fn settings_of(&self, folder: &Path, named: &Pairing) -> Result<Option<String>, RefusalReport> {
        let Some(path) = file(folder, "settings.json") else {
            return Ok(None);
        };
        if Site::is_locked(&self.state) {
            return Err(ScreenRejection::SettingsLocked.report());
        }
        let malformed = |why: String| ScreenRejection::SettingsMalformed { why }.report();
        let envelope = std::fs::read(&path).map_err(|error| malformed(error.to_string()))?;
        let key =
            file(folder, "director.der").ok_or_else(|| malformed("`director.der` is not on the stick".to_owned()))?;
        let key = std::fs::read(&key).map_err(|error| malformed(error.to_string()))?;
        if sha256(&key).to_hex() != named.director {
            return Err(malformed(
                "`director.der` is not the key that the pairing names".to_owned(),
            ));
        }
        let director = PublicKey::from_spki_der(&key).map_err(|error| malformed(error.to_string()))?;
        let digest = settings_digest(&envelope).unwrap_or_default();
        let document = verify_settings(&envelope, &director, &named.fleet, digest)
            .map_err(|rejection| malformed(rejection.to_string()))?
            .into_inner();
        let site = Site::read(Source::Signed, &document, digest).map_err(|rejection| rejection.report())?;
        if let Some(console) = &site.console
            && console.fleet_ca.to_hex() != named.fleet_ca
        {
            return Err(malformed(
                "the settings name another console than the pairing".to_owned(),
            ));
        }
        let words = site.network.as_ref().map_or_else(
            || "no network".to_owned(),
            |network| match &network.addressing {
                freehold_network::Addressing::Dhcp => format!("{} by DHCP", network.interface),
                freehold_network::Addressing::Static { address, .. } => format!("{} {address}", network.interface),
            },
        );
        let brought = Brought {
            v: 1,
            fleet_ca: named.fleet_ca.clone(),
            digest,
            document,
        };
        let kept = self.state.put_json(OFFERED_SETTINGS, &brought);
        kept.map(|()| Some(words)).map_err(|fault| fault.report())
    }

    /// The recovery key, while it waits to be written down.
    pub(crate) fn show_key(&self) -> Result<Granted, RefusalReport> {
        self.blocks().map(Granted::RecoveryKey)
    }

    fn blocks(&self) -> Result<Vec<String>, RefusalReport> {
        let text = std::fs::read_to_string(&self.recovery_key).map_err(|_| ScreenRejection::NoRecoveryKey.report())?;
        let blocks: Vec<String> = text.trim().split('-').map(str::to_owned).collect();
        // Eight blocks of six letters; anything else is not a key that somebody should copy.
        if blocks.len() == 8 && blocks.iter().all(|block| block.len() == 6) {
            Ok(blocks)
        } else {
            Err(ScreenRejection::NoRecoveryKey.report())
        }
    }

    /// Removes the key once somebody has it on paper.
    pub(crate) fn forget_key(&self, last_block: &str) -> Result<Granted, RefusalReport> {
        let blocks = self.blocks()?;
        if !(blocks.last()).is_some_and(|last| ct_eq(last.as_bytes(), last_block.as_bytes())) {
            return Err(ScreenRejection::RecoveryBlock.report());
        }
        std::fs::remove_file(&self.recovery_key).map_err(|_| ScreenRejection::NoRecoveryKey.report())?;
        Ok(Granted::Said(
            "The recovery key is on paper now, and gone from here.".to_owned(),
        ))
    }

    /// Asks systemd to shut the machine down.
    pub(crate) async fn shut_down(&self) -> Result<Granted, RefusalReport> {
        let asked = async { Bus::connect(self.bus.as_deref()).await?.power_off().await };
        match asked.await {
            Ok(()) => Ok(Granted::Said("The machine shuts down.".to_owned())),
            Err(fault) => Err(ScreenRejection::Power { why: fault.to_string() }.report()),
        }
    }
}

/// A file of the stick: a real one, and small. Links are not followed: there is nothing on a stick that they may lead to.
fn file(folder: &Path, name: &str) -> Option<PathBuf> {
    let path = folder.join(name);
    let found = std::fs::symlink_metadata(&path).ok()?;
    (found.is_file() && found.len() <= MAX_FILE).then_some(path)
}
