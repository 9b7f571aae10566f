//! Showing evidence: the console's nonce, bound to what this box is and runs, quoted by the AK.
//!
//! Refuses a challenge of another form. Invariant: what the evidence says about the record and the models is what they are
//! when the quote is made.

use std::path::Path;

use freehold_collect::Tpm;
use freehold_protocol::report::{Challenge, VerdictAnswer};
use freehold_trust::Sha256Digest;
use freehold_verify::evidence::{Bound, Checkpoint, Evidence, qualifying_data};
use freehold_verify::quote::PcrValues;

use crate::boot::Boot;
use crate::chronicle::{Chronicle, origin};
use crate::console::Console;
use crate::enrol::blocking;
use crate::fault::Fault;
use crate::identity::Identity;

/// What the box says about itself beside its keys.
pub(crate) struct Shown<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) boot: &'a Boot,
    pub(crate) chronicle: &'a Chronicle,
    /// Root digests of the running models.
    pub(crate) models: Vec<Sha256Digest>,
    /// Where what user space measured stands, and whether this box adds to it.
    pub(crate) runtime_log: (&'a Path, bool),
}

/// What came of it.
pub(crate) struct Proved {
    /// What the console said.
    pub(crate) answer: VerdictAnswer,
    /// The nonce, for the console's signed time.
    pub(crate) nonce: [u8; 32],
    /// The TPM's count of resets in the quote: which boot this is.
    pub(crate) reset_count: u32,
}

/// Asks for a challenge and answers it.
pub(crate) async fn attest(shown: Shown<'_>, tpm: &Tpm, console: &Console) -> Result<Proved, Fault> {
    let challenge = console.challenge().await?;
    let (evidence, nonce, reset_count) = evidence(shown, tpm, &challenge).await?;
    let answer = console.evidence(evidence).await?;
    Ok(Proved {
        answer,
        nonce,
        reset_count,
    })
}

/// Evidence that answers a challenge, its nonce, and the TPM's count of resets.
pub(crate) async fn evidence(
    shown: Shown<'_>,
    tpm: &Tpm,
    challenge: &Challenge,
) -> Result<(Vec<u8>, [u8; 32], u32), Fault> {
    let nonce: [u8; 32] = challenge
        .nonce
        .0
        .as_slice()
        .try_into()
        .map_err(|_| Fault::of("console.answer", "the challenge has not 32 bytes"))?;
    let head = shown.chronicle.head();
    let mut models = shown.models;
    models.sort_unstable();
    models.dedup();
    let bound = Bound {
        nonce,
        box_id: shown.identity.box_id.clone(),
        tls: shown.identity.tls,
        checkpoint: (head.size > 0).then(|| Checkpoint {
            origin: origin(&shown.identity.box_id),
            size: head.size,
            root: head.root,
        }),
        models,
        supervisor: env!("CARGO_PKG_VERSION").to_owned(),
        boot: Evidence::boot_claim(&shown.boot.release, &shown.boot.version, &shown.boot.log),
    };
    let qualifying = *qualifying_data(&bound).as_bytes();
    let (tpm, wanted) = (tpm.clone(), challenge.pcrs.clone());
    let (values, quote) = blocking(move || Ok((tpm.read_pcrs(&wanted)?, tpm.quote(&wanted, qualifying)?))).await?;
    let pcrs = PcrValues::of(values.into_iter().collect())
        .ok_or_else(|| Fault::of("console.answer", "the challenge names PCRs that there are not"))?;
    let boot_log = shown.boot.log.clone();
    // After the quote: what is measured in between stands in the log and is not covered, instead of missing.
    let runtime_log = shown.boot.read_runtime(shown.runtime_log.0, shown.runtime_log.1);
    let reset_count = quote.clock.reset_count;
    let evidence = Evidence {
        bound,
        attest: quote.attest,
        signature: quote.signature,
        pcrs,
        boot_log,
        runtime_log,
    };
    Ok((evidence.encode(), nonce, reset_count))
}
