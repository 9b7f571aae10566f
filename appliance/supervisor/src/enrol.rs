//! Becoming a member of the fleet: the proof that EK, AK and TLS key live in one TPM, then a person's approval.
//!
//! Refuses a console that shows another director or TUF root than the box was paired with. Invariant: enrolling again with
//! the same keys changes nothing.

use std::path::Path;

use freehold_collect::{Endorsement, Tpm};
use freehold_protocol::enrol::{EnrolActivate, EnrolBegin, EnrolState, EnrolStatus, Pairing};
use freehold_protocol::fingerprint::Fingerprint;
use freehold_protocol::{Base64, V1};
use freehold_trust::certificate::Certificate;

use crate::chronicle::Chronicle;
use crate::console::Console;
use crate::fault::Fault;
use crate::identity::Identity;
use crate::pairing::Fleet;
use crate::state::State;

/// Bounds the file of intermediate certificates.
const MAX_CHAIN: usize = 64 * 1024;

/// What enrolling needs of the box.
pub(crate) struct Candidate<'a> {
    pub(crate) tpm: &'a Tpm,
    pub(crate) identity: &'a Identity,
    pub(crate) pairing: &'a Pairing,
    pub(crate) label: &'a str,
    pub(crate) ek_chain: Option<&'a Path>,
}

/// Whether the console has refused this enrolment since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Not yet.
    First,
    /// It has, and is asked again.
    Again,
}

/// Where an enrolment stands after a look.
pub(crate) struct Standing {
    /// The state.
    pub(crate) state: EnrolState,
    /// What a person compares on both screens, as computed here.
    pub(crate) fingerprint: String,
    /// The fleet's keys, when the console has shown the right ones.
    pub(crate) fleet: Option<Fleet>,
}

/// Asks how the enrolment stands and moves it on by one step.
pub(crate) async fn advance(
    candidate: &Candidate<'_>,
    console: &Console,
    state: &State,
    chronicle: &Chronicle,
    known: &mut Option<Endorsement>,
    attempt: Attempt,
) -> Result<Standing, Fault> {
    let mut status = console.enrol_status().await?;
    // A discrete TPM takes seconds to make this key: once a start is enough.
    let endorsement = match known.clone() {
        Some(endorsement) => endorsement,
        None => {
            let tpm = candidate.tpm.clone();
            known.insert(blocking(move || tpm.endorsement(None)).await?).clone()
        }
    };
    let fingerprint = Fingerprint::over(
        &endorsement.public,
        &candidate.identity.ak_public,
        &candidate.identity.tls_public,
    )
    .to_string();
    if status.state == EnrolState::Unknown {
        let begin = EnrolBegin {
            v: V1,
            fleet: candidate.pairing.fleet.clone(),
            site: candidate.pairing.site.clone(),
            box_id: candidate.identity.box_id.clone(),
            label: candidate.label.to_owned(),
            ek_public: Base64(endorsement.public.clone()),
            ek_certificate: endorsement.certificate.clone().map(Base64),
            ek_chain: chain(candidate.ek_chain)?,
            ak_public: Base64(candidate.identity.ak_public.clone()),
            tls_public: Base64(candidate.identity.tls_public.clone()),
            record_key: chronicle.public_key().map(Base64),
        };
        // Asking again and again must not fill the record.
        if attempt == Attempt::First {
            chronicle
                .entry("enrol.begin")
                .with("fingerprint", fingerprint.as_str())
                .write()
                .await?;
        }
        let challenge = console.enrol_begin(&begin).await?;
        let nonce: [u8; 32] = challenge
            .certify_nonce
            .0
            .as_slice()
            .try_into()
            .map_err(|_| Fault::of("console.answer", "the nonce of the certification has not 32 bytes"))?;
        let tpm = candidate.tpm.clone();
        let kind = endorsement.kind;
        let (activated, certified) = blocking(move || {
            let activated = tpm.activate(kind, &challenge.credential.0, &challenge.secret.0)?;
            Ok((activated, tpm.certify_tls(nonce)?))
        })
        .await?;
        status = console
            .enrol_activate(&EnrolActivate {
                v: V1,
                session: challenge.session,
                activated: Base64(activated),
                certify_attest: Base64(certified.attest),
                certify_signature: Base64(certified.signature),
            })
            .await?;
        chronicle.entry("enrol.proven").write().await?;
    }
    if let Some(shown) = &status.fingerprint
        && *shown != fingerprint
    {
        return Err(Fault::Coded {
            code: "console.answer".to_owned(),
            message: "the console shows another fingerprint than this box".to_owned(),
            expected: Some(fingerprint),
            found: Some(shown.clone()),
        });
    }
    let fleet = take_fleet(&status, state, candidate.pairing)?;
    Ok(Standing {
        state: status.state,
        fingerprint,
        fleet,
    })
}

fn take_fleet(status: &EnrolStatus, state: &State, pairing: &Pairing) -> Result<Option<Fleet>, Fault> {
    match (&status.director, &status.tuf_root) {
        (Some(director), Some(root)) => Fleet::take(state, pairing, &director.0, root.0.clone()).map(Some),
        _ => Ok(None),
    }
}

/// Intermediate certificates from a file, nearest the leaf first.
fn chain(path: Option<&Path>) -> Result<Vec<Base64>, Fault> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let malformed = |detail: String| Fault::of("box.settings", format!("`{}`: {detail}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| malformed(error.to_string()))?;
    if text.len() > MAX_CHAIN {
        return Err(malformed(format!("{} bytes", text.len())));
    }
    let certificates = Certificate::all_from_pem(&text).map_err(|error| malformed(error.to_string()))?;
    Ok(certificates
        .into_iter()
        .map(|certificate| Base64(certificate.der().to_vec()))
        .collect())
}

/// Runs TPM commands beside the tasks.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, freehold_collect::TpmError> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(error) => Err(Fault::of("tpm.garbage", error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_file_that_cannot_be_read_is_named() {
        let world = tempfile::tempdir().unwrap();
        let file = world.path().join("chain.pem");
        assert!(chain(None).unwrap().is_empty());
        assert_eq!(chain(Some(&file)).unwrap_err().code(), "box.settings");
        std::fs::write(&file, "x".repeat(MAX_CHAIN + 1)).unwrap();
        assert_eq!(chain(Some(&file)).unwrap_err().code(), "box.settings");
    }
}
