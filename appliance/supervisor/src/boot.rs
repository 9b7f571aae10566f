//! What was booted: the log that goes with the evidence, and its replay into a software TPM.
//!
//! Refuses to judge the log: a log that does not fit is shown all the same, and the verdict says so. Invariant: replaying
//! happens at most once a power cycle of the TPM, and goes on where it was cut off.

use std::path::{Path, PathBuf};

use freehold_collect::{BootEvent, Replayed, Tpm};
use freehold_trust::Sha256Digest;
use freehold_verify::boot::Manifest;
use freehold_verify::event_log::EventLog;
use freehold_verify::evidence::codec::{MAX_BOOT_LOG, MAX_RUNTIME_LOG};

use crate::fault::Fault;

/// Where Linux shows the firmware's log.
const FIRMWARE_LOG: &str = "/sys/kernel/security/tpm0/binary_bios_measurements";
/// Where a system says which image it is (os-release(5)); in the verified root.
const OS_RELEASE: &str = "/usr/lib/os-release";
/// Bounds the manifest file.
const MAX_MANIFEST: u64 = 1 << 20;

/// The boot as the box can show it.
#[derive(Debug, Clone)]
pub(crate) struct Boot {
    /// The log's bytes; empty when there is none.
    pub(crate) log: Vec<u8>,
    /// Name of the OS release that the box says it booted.
    pub(crate) release: String,
    /// Its version.
    pub(crate) version: String,
    /// `simulated` when the log is one to be replayed, else `measured`.
    pub(crate) word: &'static str,
}

impl Boot {
    /// Reads the log: the given one, or the firmware's.
    pub(crate) fn read(log: Option<&Path>, manifest: Option<&Path>) -> Result<Self, Fault> {
        let (path, word) = match log {
            Some(path) => (path.to_owned(), "simulated"),
            None => (PathBuf::from(FIRMWARE_LOG), "measured"),
        };
        let malformed =
            |path: &Path, detail: String| Fault::of("box.boot_log", format!("`{}`: {detail}", path.display()));
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && log.is_none() => Vec::new(),
            Err(error) => return Err(malformed(&path, error.to_string())),
        };
        if bytes.len() > MAX_BOOT_LOG {
            return Err(malformed(
                &path,
                format!("{} bytes, at most {MAX_BOOT_LOG}", bytes.len()),
            ));
        }
        let beside = path.with_extension("manifest.json");
        let manifest = manifest
            .map(Path::to_owned)
            .or_else(|| beside.exists().then_some(beside));
        let (release, version) = match manifest {
            // A machine that measured its boot says which image it is; the verifier compares with that image's manifest.
            None if word == "measured" => image_of(&std::fs::read_to_string(OS_RELEASE).unwrap_or_default()),
            None => (String::new(), String::new()),
            Some(path) => {
                let length = std::fs::metadata(&path)
                    .map_err(|error| malformed(&path, error.to_string()))?
                    .len();
                if length > MAX_MANIFEST {
                    return Err(malformed(&path, format!("{length} bytes")));
                }
                let text = std::fs::read(&path).map_err(|error| malformed(&path, error.to_string()))?;
                let manifest = Manifest::parse(&text).map_err(|error| malformed(&path, error.to_string()))?;
                (manifest.release, manifest.version)
            }
        };
        Ok(Self {
            log: bytes,
            release,
            version,
            word,
        })
    }

    /// What user space has measured so far; empty when nothing did, or when the boot is not this machine's own. A log that cannot be
    /// read is left out: the verdict then says which PCR it does not lead to.
    pub(crate) fn read_runtime(&self, path: &Path, measures: bool) -> Vec<u8> {
        if self.word != "measured" && !measures {
            return Vec::new();
        }
        let log = std::fs::read(path).unwrap_or_default();
        if log.len() > MAX_RUNTIME_LOG {
            tracing::warn!(
                length = log.len(),
                path = %path.display(),
                "what user space measured is longer than {MAX_RUNTIME_LOG} bytes and is left out"
            );
            return Vec::new();
        }
        log
    }

    /// Replays the log into the TPM when that is still to be done; answers what was done, or why nothing was.
    pub(crate) fn replay(&self, tpm: &Tpm) -> Result<Option<Replayed>, Fault> {
        if self.word != "simulated" {
            return Ok(None);
        }
        let log = EventLog::parse(&self.log).map_err(|error| Fault::refusal(&error))?;
        let events: Vec<BootEvent> = log
            .events()
            .iter()
            .filter(|event| event.extends())
            .filter_map(|event| {
                Some(BootEvent {
                    pcr: event.pcr,
                    sha256: Sha256Digest::from_bytes(*event.sha256()?),
                })
            })
            .collect();
        Ok(Some(tpm.replay(&events)?))
    }
}

/// `IMAGE_ID` and `IMAGE_VERSION` of an os-release file; empty where it names none.
pub(crate) fn image_of(os_release: &str) -> (String, String) {
    let field = |name: &str| {
        let value = os_release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_default().trim_matches(['"', '\'']).to_owned()
    };
    (field("IMAGE_ID"), field("IMAGE_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_says_which_image_it_is() {
        let text = "ID=freehold\nIMAGE_ID=freehold\nIMAGE_VERSION=\"1.4.2\"\n";
        assert_eq!(image_of(text), ("freehold".to_owned(), "1.4.2".to_owned()));
        assert_eq!(image_of("ID=debian\n"), (String::new(), String::new()));
    }
    use freehold_verify::boot::{BootDescription, generate};

    #[test]
    fn a_log_names_its_release_by_the_manifest_beside_it() {
        let world = tempfile::tempdir().unwrap();
        let (log, manifest) = (world.path().join("boot.log"), world.path().join("boot.manifest.json"));
        assert_eq!(Boot::read(Some(&log), None).unwrap_err().code(), "box.boot_log");
        let (bytes, made) = generate(&BootDescription::demonstration("demo", "1.0.0"));
        std::fs::write(&log, &bytes).unwrap();
        assert_eq!(Boot::read(Some(&log), None).unwrap().release, "");
        std::fs::write(&manifest, made.to_json()).unwrap();
        let boot = Boot::read(Some(&log), None).unwrap();
        assert_eq!(
            (boot.release.as_str(), boot.version.as_str(), boot.word),
            ("demo", "1.0.0", "simulated")
        );
        std::fs::write(&manifest, "{}").unwrap();
        assert_eq!(Boot::read(Some(&log), None).unwrap_err().code(), "box.boot_log");
        std::fs::write(&log, vec![0; MAX_BOOT_LOG + 1]).unwrap();
        assert_eq!(Boot::read(Some(&log), None).unwrap_err().code(), "box.boot_log");
    }
}
