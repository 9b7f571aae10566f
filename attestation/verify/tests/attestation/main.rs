//! Attestation against its attacks: quotes, keys, enrolment, boot logs and evidence, by the cases of the trust catalogue.
//!
//! Refuses to count a refusal that has another code than expected. Fixtures: a TPM on paper, a real software TPM, logs made
//! by hand, and what others recorded (`../shared/vectors`, where it is there).

mod boots;
mod certified;
mod endorsement;
mod enrolment;
mod evidence;
mod firmware;
mod keys;
mod logs;
mod made_log;
#[path = "../support/paper_tpm.rs"]
mod paper_tpm;
mod quotes;
mod real_tpm;
