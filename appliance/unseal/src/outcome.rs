//! What follows from an open volume: its key is measured, its TPM gets an owner, the running system gets what it needs.
//!
//! Refuses to map a volume that could not be measured. Invariant: PCR 15 is extended once for each boot, before the volume
//! is mapped, and the log has what was extended.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use freehold_seal::{AuthValue, SealingTpm};
use freehold_trust::Sha256Digest;
use freehold_verify::sealing::volume::volume_secret;
use freehold_verify::sealing::{Escrow, Floor, Level, volume_measurement};
use serde::Serialize;

use crate::arguments::Places;
use crate::console::Console;
use crate::luks::Luks;
use crate::stop::Stop;

/// The PCR of what user space measures about this box.
const VOLUME_PCR: u8 = 15;

/// The file that says what was opened, in the runtime folder.
pub const VOLUME_FILE: &str = "volume.json";
/// The file with the TPM owner's authorisation, readable by its owner only.
pub const OWNER_FILE: &str = "tpm-owner";
/// The file that says why nothing was opened.
const CLOSED_FILE: &str = "closed.json";
/// The file with the escrow of the recovery key, for the console to keep.
const ESCROW_FILE: &str = "escrow.json";

/// How the volume was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// By the TPM.
    Tpm,
    /// By a person with the recovery key.
    Recovery,
}

/// What the running system is told.
#[derive(Serialize)]
struct Report<'a> {
    v: u8,
    volume: &'a str,
    opened_by: By,
    /// What was extended into PCR 15, to be pinned at enrolment.
    measured: Sha256Digest,
    /// The running image's level.
    level: Level,
    /// The floor, as the TPM has it.
    floor: Level,
}

/// The TPM's authorisations that belong to the volume.
pub struct Authorisations {
    owner: Sha256Digest,
    lockout: Sha256Digest,
}

impl Authorisations {
    /// Those of the volume with this key.
    pub fn of(volume_key: &[u8], uuid: &str) -> Self {
        Self {
            owner: volume_secret(volume_key, uuid, "tpm owner"),
            lockout: volume_secret(volume_key, uuid, "tpm lockout"),
        }
    }

    /// The owner's.
    pub fn owner(&self) -> AuthValue {
        AuthValue::from_digest(&self.owner)
    }

    fn lockout(&self) -> AuthValue {
        AuthValue::from_digest(&self.lockout)
    }
}

/// A volume whose key is known.
pub struct Opened<'a> {
    pub luks: &'a Luks,
    pub uuid: &'a str,
    pub key: &'a [u8],
    pub by: By,
    pub level: Level,
    pub escrow: Option<&'a Escrow>,
}

/// Measures, owns, leaves the files, maps.
pub fn finish(places: &Places, console: &mut Console, tpm: &mut SealingTpm, opened: &Opened<'_>) -> Result<(), Stop> {
    let volume_key = opened.luks.volume_key(opened.key)?;
    let measured = volume_measurement(&volume_key, opened.uuid);
    let report = places.runtime.join(VOLUME_FILE);
    // Started a second time in one boot: what was measured stays measured.
    if !report.exists() {
        tpm.extend(VOLUME_PCR, measured)?;
        log(&places.log, opened.uuid, measured)?;
    }
    let authorisations = Authorisations::of(&volume_key, opened.uuid);
    if let Err(fault) = tpm.own(&authorisations.owner(), &authorisations.lockout()) {
        if fault.reason().is_none() {
            return Err(fault.into());
        }
        // The volume is ours all the same; the floor waits until this is mended.
        console.say(&format!(
            "warning: the TPM's owner could not be set, so its floor cannot rise: {fault}"
        ));
    }
    let words = serde_json::to_vec_pretty(&Report {
        v: 1,
        volume: opened.uuid,
        opened_by: opened.by,
        measured,
        level: opened.level,
        floor: match tpm.floor()? {
            Floor::At(floor) => floor,
            Floor::Missing | Floor::Foreign => Level::default(),
        },
    })
    .unwrap_or_default();
    leave(&places.runtime, OWNER_FILE, authorisations.owner.to_hex().as_bytes())?;
    if let Some(escrow) = opened.escrow {
        leave(&places.runtime, ESCROW_FILE, &escrow.to_json())?;
    }
    leave(&places.runtime, VOLUME_FILE, &words)?;
    if places.no_mapping {
        return Ok(());
    }
    if opened.luks.map(opened.key, &places.name)? {
        Ok(())
    } else {
        Err(freehold_verify::sealing::SealRejection::OtherVolume.into())
    }
}

/// Says to the running system why the volume is closed. Without a runtime folder nobody reads it.
pub fn closed(runtime: &Path, stop: &Stop) {
    let words = serde_json::json!({ "v": 1, "code": stop.code(), "message": stop.to_string() });
    let _ = leave(runtime, CLOSED_FILE, words.to_string().as_bytes());
}

/// A file in the runtime folder, readable by its owner only, whole or not there.
fn leave(runtime: &Path, name: &str, bytes: &[u8]) -> Result<(), Stop> {
    let (partial, path) = (runtime.join(format!(".{name}")), runtime.join(name));
    fs::create_dir_all(runtime)
        .and_then(|()| {
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&partial)
        })
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&partial, &path))
        .map_err(Stop::file(&path))
}

/// One record of the canonical event log, in the form that systemd-pcrextend writes.
fn log(path: &Path, uuid: &str, measured: Sha256Digest) -> Result<(), Stop> {
    let record = serde_json::json!({
        "pcr": VOLUME_PCR,
        "digests": [{"hashAlg": "sha256", "digest": measured.to_hex()}],
        "content_type": "systemd",
        "content": {"eventType": "volume-key", "string": format!("freehold-data:{uuid}")},
    });
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)
        .and_then(|()| OpenOptions::new().append(true).create(true).mode(0o600).open(path))
        .and_then(|mut file| file.write_all(format!("\u{1e}{record}\n").as_bytes()))
        .map_err(Stop::file(path))
}
