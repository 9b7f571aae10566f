//! Logs made by hand, right and wrong, and the verdict on the box that sends one.

use crate::paper_tpm::{NOW, PaperBox};
use freehold_trust::Sha256Digest;
use freehold_verify::boot::{BootDescription, Manifest, generate};
use freehold_verify::event_log::efi::Variable;
use freehold_verify::event_log::{EventKind, EventLog};
use freehold_verify::evidence::{Claims, verify_evidence};

/// One event on its way into a log of one SHA-256 bank.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) pcr: u32,
    pub(crate) kind: u32,
    pub(crate) digest: Sha256Digest,
    pub(crate) data: Vec<u8>,
}

pub(crate) fn demonstration() -> (Vec<u8>, Manifest) {
    generate(&BootDescription::demonstration("freehold", "1.0.0"))
}

pub(crate) fn events(log: &[u8]) -> Vec<Made> {
    let parsed = EventLog::parse(log).unwrap();
    let made = parsed.events().iter().skip(1).map(|e| Made {
        pcr: e.pcr.into(),
        kind: e.kind.0,
        digest: Sha256Digest::from_bytes(*e.sha256().unwrap()),
        data: e.data.to_vec(),
    });
    made.collect()
}

pub(crate) fn write(events: &[Made]) -> Vec<u8> {
    let (log, _) = demonstration();
    let mut out = log[..32 + 33].to_vec();
    for event in events {
        out.extend(event.pcr.to_le_bytes());
        out.extend(event.kind.to_le_bytes());
        out.extend([1, 0, 0, 0, 11, 0]);
        out.extend(event.digest.as_bytes());
        out.extend(u32::try_from(event.data.len()).unwrap().to_le_bytes());
        out.extend(&event.data);
    }
    out
}

/// The verdict on a box that extended what `log` says, or `quoted` when its log is a lie.
pub(crate) fn verdict(log: Vec<u8>, quoted: Option<&[u8]>) -> Claims {
    let mut box_ = PaperBox::new("amber-fox-1");
    if let Some(truth) = quoted {
        box_.log = truth.to_vec();
    } else {
        box_.log = log.clone();
    }
    let pcrs = box_.pcrs();
    box_.log = log;
    let evidence = box_.evidence_with(box_.bound(), pcrs, |_| ());
    verify_evidence(&evidence.encode(), &box_.expectation(), NOW)
        .unwrap()
        .into_inner()
}

pub(crate) fn codes(claims: &Claims) -> Vec<&str> {
    claims.reasons.iter().map(|reason| reason.code.as_str()).collect()
}

pub(crate) fn place(events: &[Made], pcr: u32, kind: EventKind) -> usize {
    events.iter().position(|e| e.pcr == pcr && e.kind == kind.0).unwrap()
}

pub(crate) fn efi_name(event: &Made) -> Option<String> {
    let variable = event.kind & 0x8000_0001 == 0x8000_0001 || event.kind == 0x8000_00e0;
    Variable::parse(&event.data)
        .ok()
        .filter(|_| variable && event.pcr == 7)
        .map(|v| v.name())
}
