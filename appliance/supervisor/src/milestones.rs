//! Measures what the box reached into PCR 15 before it happens, through systemd-pcrextend, which keeps the log.
//!
//! Refuses to go on where something could not be measured: an engine whose model is not measured is not started. Invariant: each
//! milestone is measured once a boot; the log says which were, also after a restart of the supervisor.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use freehold_verify::event_log::canonical::CanonicalLog;
use freehold_verify::milestone::{Milestone, PCR};
use freehold_verify::rejection::Refusal;
use serde_json::{Value, json};

/// How long a TPM may take to extend its banks; a firmware TPM takes some ten milliseconds each.
const LIMIT: Duration = Duration::from_secs(10);
/// Bounds the answer: an empty object, or an error's name.
const MAX_ANSWER: u64 = 16 * 1024;

/// Why a milestone was not measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MilestoneRejection {
    /// It was not measured.
    #[error("`{words}` was not measured: {why}")]
    NotMeasured {
        /// The milestone.
        words: String,
        /// What was in the way.
        why: String,
    },
}

impl MilestoneRejection {
    /// Every code of this enum.
    pub(crate) const CODES: &[&str] = &["milestone.not_measured"];
}

impl Refusal for MilestoneRejection {
    fn code(&self) -> &'static str {
        let place = match self {
            Self::NotMeasured { .. } => 0,
        };
        Self::CODES.get(place).copied().unwrap_or_default()
    }
}

/// Where milestones are measured, or nowhere: a box that is a process has no measured boot to go on from.
#[derive(Debug, Clone)]
pub(crate) struct Milestones {
    socket: Option<PathBuf>,
    log: PathBuf,
}

impl Milestones {
    /// Through the socket of systemd-pcrextend, whose log is at `log`.
    pub(crate) fn new(socket: Option<&Path>, log: &Path) -> Self {
        Self {
            socket: socket.map(Path::to_owned),
            log: log.to_owned(),
        }
    }

    /// Measures a milestone, unless it was in this boot.
    ///
    /// # Errors
    /// [`MilestoneRejection`].
    pub(crate) async fn reach(&self, milestone: Milestone) -> Result<(), MilestoneRejection> {
        let Some(socket) = self.socket.clone() else {
            return Ok(());
        };
        let log = self.log.clone();
        let words = milestone.words();
        let failed = |why: String| MilestoneRejection::NotMeasured {
            words: words.clone(),
            why,
        };
        let work = move || {
            if was_measured(&log, &milestone) {
                return Ok(());
            }
            extend(&socket, &milestone.words())?;
            tracing::info!(words = %milestone.words(), "measured");
            // What is in the TPM and not in the log would make every later quote unexplained: then it was not reached.
            was_measured(&log, &milestone)
                .then_some(())
                .ok_or_else(|| format!("it is not in `{}`", log.display()))
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done.map_err(failed),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

/// Whether the log of this boot has the milestone, as it was measured.
fn was_measured(log: &Path, milestone: &Milestone) -> bool {
    let Ok(bytes) = std::fs::read(log) else { return false };
    let Ok(log) = CanonicalLog::parse(&bytes) else {
        return false;
    };
    let measured = milestone.measured();
    (log.records.iter()).any(|record| record.pcr == PCR && record.sha256() == Some(measured))
}

/// `io.systemd.PCRExtend.Extend`, as systemd-pcrextend(8) answers it: one JSON object each way, ended by a zero byte (varlink.org).
fn extend(socket: &Path, words: &str) -> Result<(), String> {
    let said = |error: std::io::Error| format!("`{}`: {error}", socket.display());
    let mut stream = UnixStream::connect(socket).map_err(said)?;
    stream.set_read_timeout(Some(LIMIT)).map_err(said)?;
    stream.set_write_timeout(Some(LIMIT)).map_err(said)?;
    let call = json!({ "method": "io.systemd.PCRExtend.Extend", "parameters": { "pcr": PCR, "text": words } });
    stream.write_all(format!("{call}\0").as_bytes()).map_err(said)?;
    let mut answer = Vec::new();
    let mut bounded = stream.take(MAX_ANSWER);
    let mut byte = [0];
    loop {
        match bounded.read(&mut byte).map_err(said)? {
            0 => return Err("no answer".to_owned()),
            _ if byte == [0] => break,
            _ => answer.extend_from_slice(&byte),
        }
    }
    let answer: Value = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
    match answer.get("error").and_then(Value::as_str) {
        Some(error) => Err(format!("systemd-pcrextend answered `{}`", error.escape_debug())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freehold_trust::sha256;
    use freehold_verify::milestone::MilestoneKind;
    use std::os::unix::net::UnixListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Answers as systemd-pcrextend does: writes the record, or says an error.
    fn stand_in(socket: &Path, log: PathBuf, error: Option<&'static str>, writes: bool) -> Arc<AtomicUsize> {
        let listener = UnixListener::bind(socket).unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut call = Vec::new();
                let mut byte = [0];
                while stream.read(&mut byte).unwrap() == 1 && byte != [0] {
                    call.push(byte[0]);
                }
                let call: Value = serde_json::from_slice(&call).unwrap();
                assert_eq!(call["method"], "io.systemd.PCRExtend.Extend");
                assert_eq!(call["parameters"]["pcr"], 15);
                count.fetch_add(1, Ordering::SeqCst);
                let words = call["parameters"]["text"].as_str().unwrap();
                if writes {
                    let record = json!({
                        "pcr": 15, "content_type": "systemd", "content": { "string": words },
                        "digests": [{ "hashAlg": "sha256", "digest": sha256(words.as_bytes()).to_hex() }]
                    });
                    let mut file = std::fs::OpenOptions::new()
                        .append(true)
                        .create(true)
                        .open(&log)
                        .unwrap();
                    file.write_all(format!("\u{1e}{record}\n").as_bytes()).unwrap();
                }
                let answer = match error {
                    Some(error) => json!({ "error": error, "parameters": {} }),
                    None => json!({ "parameters": {} }),
                };
                stream.write_all(format!("{answer}\0").as_bytes()).unwrap();
            }
        });
        asked
    }

    fn model(name: &str) -> Milestone {
        Milestone::new(MilestoneKind::Model, name, sha256(name.as_bytes()))
    }

    // promise S-144
    #[tokio::test]
    async fn a_milestone_is_measured_once_a_boot_and_what_is_not_measured_is_not_reached() {
        let world = tempfile::tempdir().unwrap();
        let at = |name: &str| world.path().join(name);
        let asked = stand_in(&at("socket"), at("log"), None, true);
        let milestones = Milestones::new(Some(&at("socket")), &at("log"));
        for _ in 0..2 {
            milestones.reach(model("guide 1.0.0")).await.unwrap();
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        // A supervisor that starts again reads the log.
        let again = Milestones::new(Some(&at("socket")), &at("log"));
        again.reach(model("guide 1.0.0")).await.unwrap();
        again.reach(model("guide 2.0.0")).await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 2);

        stand_in(&at("refusing"), at("log"), Some("io.systemd.System"), false);
        stand_in(&at("lying"), at("log"), None, false);
        for socket in ["refusing", "lying", "absent"] {
            let milestones = Milestones::new(Some(&at(socket)), &at("log"));
            let refused = milestones.reach(model("other 1.0.0")).await.unwrap_err();
            assert_eq!(refused.code(), "milestone.not_measured", "{socket}");
        }
        // A box that is a process measures nothing, and says so nowhere.
        Milestones::new(None, &at("log"))
            .reach(model("other 1.0.0"))
            .await
            .unwrap();
    }
}
