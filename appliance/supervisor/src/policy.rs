//! The policy of this box: the newest policy release that the offline keys signed.
//!
//! Refuses to let the console choose among versions: the highest counter counts. A release of several policies is one the
//! assignment has to name. Invariant: without a usable policy nothing is admitted.
//!
//! A policy release has one `.json` file, the Cedar bundle, `.pem` files: public keys and roots of model signers, and, where
//! people have to approve, `approvers.json`.

use std::collections::BTreeMap;

use freehold_decide::{
    AssignmentStanding, BomStanding, Decision, FilesStanding, FormatStanding, ModelFacts, OrderStanding, Permission,
    PolicySet, ReleaseStanding, RevocationStanding, RunFacts, SignatureStanding,
};
use freehold_trust::certificate::Certificate;
use freehold_trust::{PublicKey, Sha256Digest};
use freehold_verify::approval::Approvers;
use freehold_verify::bom::ModelBom;
use freehold_verify::model::SignerTrust;
use freehold_verify::release::{InstalledReleases, MAX_DESCRIPTOR, Release, ReleaseKind, Revocations, select_release};
use freehold_verify::{RefusalReport, Verified};
use serde::{Deserialize, Serialize};

use crate::console::Console;
use crate::fault::Fault;
use crate::repository::{Listing, target};
use crate::state::State;

const FILE: &str = "policy.json";
/// The policy before it, for the version that may be gone back to.
const BEFORE: &str = "policy-before.json";
/// Bounds one file of a policy release.
const MAX_FILE: usize = 1 << 20;
/// Most files of a policy release.
const MAX_FILES: usize = 256;

// A field of the version after this one is passed over: a system that was gone back from may have written it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stored {
    v: u32,
    release: Sha256Digest,
    target: String,
    counter: u64,
    bundle: String,
    signers: BTreeMap<String, String>,
    /// Absent where nobody has to approve: then a box of the version before reads this document, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    approvers: Option<String>,
}

/// The policy in force.
#[derive(Debug)]
pub(crate) struct Policy {
    release: Sha256Digest,
    target: String,
    set: PolicySet,
    keys: Vec<PublicKey>,
    roots: Vec<Certificate>,
    approvers: Option<Approvers>,
}

/// The line of policies that a target's name belongs to: `ward` in `policies/ward/3/release.json`.
fn line_of(name: &str) -> Option<&str> {
    name.strip_prefix(ReleaseKind::Policy.folder())?
        .strip_prefix('/')?
        .split('/')
        .next()
}

impl Policy {
    /// What an earlier run has taken. A system that was gone back from may have left a policy that this version cannot use:
    /// then the one before it counts, and without that none, which lets nothing new in and nothing run.
    pub(crate) fn stored(state: &State) -> Result<Option<Self>, Fault> {
        for file in [FILE, BEFORE] {
            match state.json::<Stored>(file)?.map(|stored| Self::of(&stored)).transpose() {
                Ok(policy) => return Ok(policy),
                Err(fault) => tracing::error!(%fault, file, "a stored policy cannot be used"),
            }
        }
        Ok(None)
    }

    fn of(stored: &Stored) -> Result<Self, Fault> {
        let set = PolicySet::from_bundle(stored.bundle.as_bytes()).map_err(|error| Fault::refusal(&error))?;
        let (mut keys, mut roots) = (Vec::new(), Vec::new());
        for (name, pem) in &stored.signers {
            let unusable = |detail: String| Fault::of("policy.unusable", format!("`{name}`: {detail}"));
            if pem.contains("BEGIN CERTIFICATE") {
                roots.extend(Certificate::all_from_pem(pem).map_err(|error| unusable(error.to_string()))?);
            } else {
                keys.push(PublicKey::from_spki_pem(pem).map_err(|error| unusable(error.to_string()))?);
            }
        }
        let approvers = stored.approvers.as_ref().map(|text| Approvers::parse(text.as_bytes()));
        Ok(Self {
            release: stored.release,
            target: stored.target.clone(),
            set,
            keys,
            roots,
            approvers: approvers.transpose().map_err(|error| Fault::refusal(&error))?,
        })
    }

    /// SHA-256 of the policy release's descriptor.
    pub(crate) fn release(&self) -> Sha256Digest {
        self.release
    }

    /// The policy release's target name.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// Who has to approve what; `None` when nobody has to.
    pub(crate) fn approvers(&self) -> Option<&Approvers> {
        self.approvers.as_ref()
    }

    /// Whether a target is a release of this very policy.
    pub(crate) fn is_line_of(&self, name: &str) -> bool {
        line_of(name) == line_of(&self.target)
    }

    /// Whose model signatures are looked at; whether a signer counts is the policy's own question.
    pub(crate) fn signers(&self, revocations: &Revocations) -> SignerTrust {
        SignerTrust {
            keys: self.keys.clone(),
            roots: self.roots.clone(),
            revoked_keys: revocations.revoked_keys(),
            ..SignerTrust::default()
        }
    }

    /// Whether a model whose checks all passed may be admitted; the policies that say so.
    pub(crate) fn admit(&self, facts: &ModelFacts) -> Result<Vec<String>, RefusalReport> {
        answered(self.set.admit_model(facts))
    }

    /// Whether an admitted model may run now.
    pub(crate) fn run(&self, facts: &RunFacts) -> Result<(), RefusalReport> {
        answered(self.set.run_model(facts)).map(|_| ())
    }
}

/// The policies that said yes, or the first reason for no.
fn answered(decision: Decision<Permission>) -> Result<Vec<String>, RefusalReport> {
    if decision.is_allowed() {
        return Ok(decision.because.into_iter().map(|reason| reason.policy).collect());
    }
    let first = decision.denied_by.first();
    Err(RefusalReport {
        code: decision.code.unwrap_or_else(|| "policy.no_permit".to_owned()),
        message: first.map_or_else(|| "no policy permits it".to_owned(), |reason| reason.why.clone()),
        expected: None,
        found: first.map(|reason| format!("policy {}", reason.policy)),
    })
}

/// The facts about a model that passed every check of the verifier.
pub(crate) fn facts(
    release: &Release,
    signer: String,
    bom: &ModelBom,
    hardware: &[String],
    engine: &str,
) -> ModelFacts {
    ModelFacts {
        assignment: AssignmentStanding::Assigned,
        release: ReleaseStanding::Signed,
        order: OrderStanding::NotOlder,
        revocation: RevocationStanding::Clear,
        signature: SignatureStanding::Verified,
        signer,
        files: FilesStanding::Match,
        format: FormatStanding::Known,
        bom: BomStanding::Matches,
        // The bill's own words, all of them: a second licence must not hide behind the one that the release repeats.
        licence: bom.licences.join(" AND "),
        base_models: bom.base_models.iter().cloned().collect(),
        engine: engine.to_owned(),
        hardware_needed: release.descriptor.hardware.iter().cloned().collect(),
        hardware_present: hardware.iter().cloned().collect(),
    }
}

/// Takes the policy that counts now, when it is another than the one at hand. `assigned` are the assignment's targets.
pub(crate) async fn update(
    at_hand: Option<&Policy>,
    console: &Console,
    state: &State,
    listing: &Listing,
    assigned: &[String],
    installed: &InstalledReleases,
    now: i64,
) -> Result<Option<(Policy, Verified<Release>)>, Fault> {
    let named = assigned.iter().find_map(|name| line_of(name));
    let mut lines: Vec<&str> = listing
        .targets
        .releases()
        .filter_map(|(name, _)| line_of(name))
        .collect();
    lines.dedup();
    let line = match (named, at_hand, lines.as_slice()) {
        (Some(named), _, _) => named,
        // A second line that appears changes nothing for a box that has one.
        (None, Some(policy), _) => line_of(policy.target()).unwrap_or_default(),
        (None, None, [only]) => *only,
        (None, None, _) => return Ok(None),
    };
    let mut newest: Option<Verified<Release>> = None;
    for (name, _) in listing
        .targets
        .releases()
        .filter(|(name, _)| line_of(name) == Some(line))
    {
        let bytes = descriptor(state, console, listing, name).await?;
        match select_release(&listing.targets, name, &bytes, &listing.revocations, installed, now) {
            Ok(release) => {
                let newer = newest
                    .as_ref()
                    .is_none_or(|best| release.descriptor.counter > best.descriptor.counter);
                if newer {
                    newest = Some(release);
                }
            }
            Err(rejection) => tracing::debug!(name, %rejection, "a policy release does not count"),
        }
    }
    let Some(release) = newest else { return Ok(None) };
    if at_hand.is_some_and(|policy| policy.release == release.digest) {
        return Ok(None);
    }
    let unusable = |detail: &str| Fault::of("policy.unusable", format!("`{}`: {detail}", release.target));
    if release.descriptor.files.len() > MAX_FILES {
        return Err(unusable("too many files"));
    }
    let (mut bundle, mut signers, mut approvers) = (None, BTreeMap::new(), None);
    for file in &release.descriptor.files {
        let bytes = target(
            console,
            &listing.targets,
            &release.descriptor.target_of(&file.path),
            MAX_FILE,
        )
        .await?;
        let text = String::from_utf8(bytes).map_err(|_| unusable("a file is not text"))?;
        if file.path == Approvers::FILE {
            approvers = Some(text);
        } else if file.path.ends_with(".json") {
            if bundle.replace(text).is_some() {
                return Err(unusable("two `.json` files"));
            }
        } else if file.path.ends_with(".pem") {
            signers.insert(file.path.clone(), text);
        }
    }
    let stored = Stored {
        v: 1,
        release: release.digest,
        target: release.target.clone(),
        counter: release.descriptor.counter,
        bundle: bundle.ok_or_else(|| unusable("no `.json` file"))?,
        signers,
        approvers,
    };
    let policy = Policy::of(&stored)?;
    if let Some(before) = state.bytes(FILE)?.filter(|_| at_hand.is_some()) {
        state.put(BEFORE, &before)?;
    }
    state.put_json(FILE, &stored)?;
    Ok(Some((policy, release)))
}

/// A release's descriptor: the copy in the state folder, or fetched; checked against the verified targets either way.
pub(crate) async fn descriptor(
    state: &State,
    console: &Console,
    listing: &Listing,
    name: &str,
) -> Result<Vec<u8>, Fault> {
    let info = listing.targets.target(name)?;
    let copy = format!("releases/{}.json", info.sha256);
    if let Some(bytes) = state.bytes(&copy)?
        && listing.targets.check(name, &bytes).is_ok()
    {
        return Ok(bytes);
    }
    let bytes = target(console, &listing.targets, name, MAX_DESCRIPTOR).await?;
    state.put(&copy, &bytes)?;
    Ok(bytes)
}
