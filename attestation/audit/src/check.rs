//! Checks: questions with yes, no and could not tell, each about one box or about the fleet as a whole.
//!
//! Refuses to answer yes about a box that has shown no fresh evidence, or whose TPM or boot is simulated: nothing that such a
//! box says shows anything. Invariant: a check reads nothing but the [`World`], and says why in one sentence when it is not yes.

use freehold_decide::Verdict;
use freehold_verify::boot::PcrOutcome;
use freehold_verify::evidence::{BootShown, Claims, Shown};
use freehold_verify::identity::TpmKind;
use serde::{Deserialize, Serialize};

use crate::world::{BoxSeen, Seen, World};

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is so, and the evidence shows it.
    Yes,
    /// It is not so.
    No(String),
    /// Nothing shows it.
    Unknown(String),
}

impl Outcome {
    /// One word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No(_) => "no",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Why it is not yes.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Self::Yes => "",
            Self::No(why) | Self::Unknown(why) => why,
        }
    }
}

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Check {
    /// Firmware, boot loader, kernel and system are those of a signed release.
    #[serde(rename = "boot.matches")]
    BootMatches,
    /// Secure Boot is on.
    #[serde(rename = "boot.secure")]
    BootSecure,
    /// No development signing keys.
    #[serde(rename = "boot.release_keys")]
    ReleaseKeys,
    /// The TPM is a chip of a known vendor.
    #[serde(rename = "identity.hardware")]
    Hardware,
    /// The evidence is bound to the enrolled key of the box's connections.
    #[serde(rename = "identity.bound")]
    Bound,
    /// A person approved the box, and the record tells of it.
    #[serde(rename = "identity.approved")]
    Approved,
    /// Each running model is a signed release that was not taken back.
    #[serde(rename = "models.signed")]
    ModelsSigned,
    /// The assignment was approved by somebody who did not make it.
    #[serde(rename = "models.approved")]
    ModelsApproved,
    /// The box keeps a record and ties its head into its evidence.
    #[serde(rename = "record.kept")]
    RecordKept,
    /// The console's record tells of the verdict over this very evidence.
    #[serde(rename = "record.told")]
    RecordTold,
    /// The console's record of the period is whole.
    #[serde(rename = "record.whole")]
    RecordWhole,
    /// The record in the report begins with its first entry.
    #[serde(rename = "record.from_start")]
    RecordFromStart,
    /// Sign-ins are in the record.
    #[serde(rename = "access.recorded")]
    AccessRecorded,
    /// Only the console and clients are reached: the packet filter of the measured system.
    #[serde(rename = "network.closed")]
    NetworkClosed,
    /// The data volume was opened by the TPM's seal.
    #[serde(rename = "disk.sealed")]
    DiskSealed,
    /// The inventory of the box is in the report.
    #[serde(rename = "inventory.known")]
    InventoryKnown,
    /// Known weaknesses were looked for, with fresh advisories.
    #[serde(rename = "advisories.known")]
    AdvisoriesKnown,
    /// The cryptographic module is a validated one.
    #[serde(rename = "crypto.validated")]
    CryptoValidated,
}

/// The answers to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// The question.
    pub check: Check,
    /// By box, or `fleet`.
    pub answers: Vec<(String, Outcome)>,
}

/// The subject of a check about the fleet.
pub const FLEET: &str = "fleet";

impl Check {
    /// Every check.
    pub const ALL: [Self; 18] = [
        Self::BootMatches,
        Self::BootSecure,
        Self::ReleaseKeys,
        Self::Hardware,
        Self::Bound,
        Self::Approved,
        Self::ModelsSigned,
        Self::ModelsApproved,
        Self::RecordKept,
        Self::RecordTold,
        Self::RecordWhole,
        Self::RecordFromStart,
        Self::AccessRecorded,
        Self::NetworkClosed,
        Self::DiskSealed,
        Self::InventoryKnown,
        Self::AdvisoriesKnown,
        Self::CryptoValidated,
    ];

    /// Its name in the controls' file.
    #[must_use]
    pub fn word(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// The question for a person.
    #[must_use]
    pub const fn asks(self) -> &'static str {
        match self {
            Self::BootMatches => "Did each box boot exactly what a signed release says?",
            Self::BootSecure => "Is Secure Boot on?",
            Self::ReleaseKeys => "Was everything signed with release keys, none for development?",
            Self::Hardware => "Is each TPM a chip of a known vendor?",
            Self::Bound => "Does each box speak with the key that its TPM holds?",
            Self::Approved => "Did a person approve each box?",
            Self::ModelsSigned => "Is each running model signed, and not taken back?",
            Self::ModelsApproved => "Did somebody else approve what each box runs?",
            Self::RecordKept => "Does each box keep a record that its evidence ties down?",
            Self::RecordTold => "Does the console's record tell of each verdict?",
            Self::RecordWhole => "Is the console's record of the period whole?",
            Self::RecordFromStart => "Does the record in this report begin with its first entry?",
            Self::AccessRecorded => "Are sign-ins recorded?",
            Self::NetworkClosed => "Does the measured system let nothing out but to console and clients?",
            Self::DiskSealed => "Was each disk opened by its TPM's seal?",
            Self::InventoryKnown => "Is the inventory of each box known?",
            Self::AdvisoriesKnown => "Were known weaknesses looked for, with fresh advisories?",
            Self::CryptoValidated => "Is the cryptographic module a validated one?",
        }
    }

    /// Answers it.
    #[must_use]
    pub fn answer(self, world: &World<'_>) -> CheckResult {
        let answers = match self {
            Self::RecordWhole => whole(Outcome::Yes),
            Self::RecordFromStart if world.range.first == 0 => whole(Outcome::Yes),
            Self::RecordFromStart => whole(Outcome::Unknown(format!(
                "the report begins with entry {}",
                world.range.first
            ))),
            Self::AccessRecorded if world.range.count("session.sign_in") > 0 => whole(Outcome::Yes),
            Self::AccessRecorded => whole(Outcome::Unknown("nobody signed in during the period".to_owned())),
            Self::AdvisoriesKnown => whole(Outcome::Unknown("there are no findings in this report".to_owned())),
            Self::CryptoValidated => whole(Outcome::Unknown(
                "nothing in the evidence shows that the library is a validated module".to_owned(),
            )),
            _ => (world.boxes.iter())
                .map(|one| (one.line.box_id.clone(), self.of_box(one, world)))
                .collect(),
        };
        CheckResult { check: self, answers }
    }

    fn of_box(self, one: &BoxSeen<'_>, world: &World<'_>) -> Outcome {
        let seen = match worth(one, world) {
            Ok(seen) => seen,
            Err(outcome) => return outcome,
        };
        let claims = &seen.claims;
        match self {
            // `worth` has looked at boot and TPM already.
            Self::BootMatches | Self::Bound | Self::NetworkClosed => Outcome::Yes,
            Self::BootSecure => shown(claims.secure_boot, Shown::Yes, "Secure Boot is off"),
            Self::ReleaseKeys => shown(claims.development_keys, Shown::No, "development keys are used"),
            Self::Hardware if claims.tpm == TpmKind::Hardware => Outcome::Yes,
            Self::Hardware => Outcome::Unknown("nobody vouches for its TPM".to_owned()),
            Self::Approved => {
                let told = world.range.entries.iter().any(|entry| {
                    entry.what == "enrol.approved"
                        && entry.refusal.is_none()
                        && entry.text("about") == Some(one.line.box_id.as_str())
                });
                if told {
                    Outcome::Yes
                } else {
                    Outcome::Unknown("its approval is not in the period of this report".to_owned())
                }
            }
            Self::ModelsSigned => models_signed(claims, world),
            Self::ModelsApproved if seen.approved => Outcome::Yes,
            Self::ModelsApproved => Outcome::Unknown("no approval was asked for".to_owned()),
            Self::RecordKept if claims.checkpoint.is_some() => Outcome::Yes,
            Self::RecordKept => Outcome::No("its evidence speaks of no record".to_owned()),
            Self::RecordTold if seen.told.is_some() => Outcome::Yes,
            Self::RecordTold => Outcome::Unknown("the proof of the entry is not in the report".to_owned()),
            Self::DiskSealed => disk_sealed(claims),
            Self::InventoryKnown if one.line.inventory => Outcome::Yes,
            Self::InventoryKnown => Outcome::Unknown("it has not sent its inventory".to_owned()),
            Self::RecordWhole
            | Self::RecordFromStart
            | Self::AccessRecorded
            | Self::AdvisoriesKnown
            | Self::CryptoValidated => Outcome::Unknown("not a question about one box".to_owned()),
        }
    }
}

fn whole(outcome: Outcome) -> Vec<(String, Outcome)> {
    vec![(FLEET.to_owned(), outcome)]
}

/// Evidence that something can rest on: fresh, accepted, measured by a TPM that is not simulated.
fn worth<'w>(one: &'w BoxSeen<'_>, world: &World<'_>) -> Result<&'w Seen, Outcome> {
    let seen = match &one.seen {
        None => return Err(Outcome::Unknown("it has shown no evidence".to_owned())),
        Some(Err(report)) => return Err(Outcome::No(format!("its evidence is refused ({})", report.code))),
        Some(Ok(seen)) => seen,
    };
    let age = world.document.at.saturating_sub(seen.at);
    if age > world.document.max_age {
        return Err(Outcome::Unknown(format!(
            "its evidence is {age} seconds old, more than {} show nothing",
            world.document.max_age
        )));
    }
    if age < 0 {
        return Err(Outcome::Unknown(
            "its evidence is of a time after the report".to_owned(),
        ));
    }
    match seen.verdict {
        Verdict::Refused => {
            let code = seen.code.as_deref().unwrap_or("refused");
            Err(Outcome::No(format!("its verdict is refused ({code})")))
        }
        Verdict::Unknown => Err(Outcome::Unknown("its evidence does not show what it booted".to_owned())),
        Verdict::TrustedSimulated => Err(Outcome::Unknown(
            "its TPM or its boot is simulated, and proves nothing".to_owned(),
        )),
        Verdict::Attention => Err(Outcome::Unknown("its verdict asks for a person's attention".to_owned())),
        Verdict::Trusted if seen.claims.boot != BootShown::Measured => {
            Err(Outcome::Unknown("its boot was not measured".to_owned()))
        }
        Verdict::Trusted => Ok(seen),
    }
}

fn shown(found: Shown, wanted: Shown, otherwise: &str) -> Outcome {
    match found {
        found if found == wanted => Outcome::Yes,
        Shown::NotShown => Outcome::Unknown("nothing shows it".to_owned()),
        _ => Outcome::No(otherwise.to_owned()),
    }
}

fn models_signed(claims: &Claims, world: &World<'_>) -> Outcome {
    for digest in &claims.models {
        match world.document.models.iter().find(|model| model.digest == *digest) {
            None => return Outcome::Unknown(format!("model {digest} is not among the releases of this report")),
            Some(model) if model.revoked => {
                return Outcome::No(format!("{} {} was taken back", model.name, model.version));
            }
            Some(model) if model.signer_key.is_empty() => {
                return Outcome::No(format!("{} {} has no signature that counts", model.name, model.version));
            }
            Some(_) => {}
        }
    }
    Outcome::Yes
}

/// PCR 7, 12 and 13 are those that the seal asks for, and a volume was measured into PCR 15.
fn disk_sealed(claims: &Claims) -> Outcome {
    let find = |index: u8| claims.pcrs.iter().find(|pcr| pcr.index == index);
    let matches = |index: u8| find(index).is_some_and(|pcr| matches!(pcr.outcome, PcrOutcome::Matches));
    let zero = |index: u8| find(index).is_some_and(|pcr| pcr.value.as_bytes().iter().all(|byte| *byte == 0));
    if !matches(7) || !zero(12) || !zero(13) {
        return Outcome::Unknown("the registers that the seal asks for are not shown".to_owned());
    }
    if find(15).is_none() || zero(15) {
        return Outcome::Unknown("no volume was measured into PCR 15".to_owned());
    }
    Outcome::Yes
}
