//! The boot manifest: what a verifier must see of a machine that booted this image under these keys.
//!
//! Refuses to expect firmware: PCR 0 to 3 are not covered, they are the machine's. Invariant: every digest is computed from
//! the signed files and the certificates themselves, never copied from a log. Source: TCG PC Client Platform Firmware
//! Profile 1.06, sections 3.3.4.5 (PCR 4) and 3.3.4.8 (PCR 7).

use freehold_trust::Sha256Digest;
use freehold_trust::digest::sha256;
use freehold_verify::boot::uki::{self, PHASES};
use freehold_verify::boot::{ExpectedEvent, Manifest, PcrRule, PhaseValue};
use freehold_verify::event_log::efi::{CERT_X509, GLOBAL_VARIABLE, SECURITY_DATABASE};
use std::collections::BTreeMap;

/// Who put the certificates into the variables: `6b6f9b1e-8a3c-4f43-9c2f-0e5b6ff6d8ff`, as it lies in memory.
const OWNER: [u8; 16] = [
    0x1e, 0x9b, 0x6f, 0x6b, 0x3c, 0x8a, 0x43, 0x4f, 0x9c, 0x2f, 0x0e, 0x5b, 0x6f, 0xf6, 0xd8, 0xff,
];
/// The same for programs that want it as text.
pub const OWNER_TEXT: &str = "6b6f9b1e-8a3c-4f43-9c2f-0e5b6ff6d8ff";

/// What was signed.
#[derive(Debug)]
pub struct Signed<'a> {
    /// The version of the image.
    pub version: &'a str,
    /// Whether the keys are a development set.
    pub development: bool,
    /// DER certificates of PK, KEK and db.
    pub certificates: [&'a [u8]; 3],
    /// Digest of the boot loader as firmware measures it.
    pub loader: Sha256Digest,
    /// The same of the kernel image.
    pub kernel_image: Sha256Digest,
    /// The same of the kernel inside it, which the stub starts as a program of its own.
    pub kernel: Sha256Digest,
    /// The measured sections of the kernel image.
    pub sections: &'a [uki::Section],
}

/// The manifest.
#[must_use]
pub fn manifest(signed: &Signed<'_>) -> Manifest {
    let phases = (1..=PHASES.len())
        .filter_map(|count| {
            let reached = PHASES.get(..count)?;
            Some(PhaseValue {
                phase: (*reached.last()?).to_owned(),
                value: uki::predict(signed.sections, reached),
            })
        })
        .collect();
    let pcrs = BTreeMap::from([
        (4, PcrRule::Events(images(signed))),
        (7, PcrRule::Events(secure_boot(&signed.certificates))),
        (11, PcrRule::Phases(phases)),
        // No command line, credential, or extension slipped in beside the kernel image.
        (12, PcrRule::Value(Sha256Digest::default())),
        (13, PcrRule::Value(Sha256Digest::default())),
    ]);
    Manifest {
        v: 1,
        release: "freehold".to_owned(),
        version: signed.version.to_owned(),
        simulated: false,
        development_keys: signed.development,
        secure_boot: true,
        phase: PHASES.last().copied().unwrap_or_default().to_owned(),
        pcrs,
        forbidden: Vec::new(),
    }
}

fn event(kind: &str, digest: Sha256Digest, description: &str) -> ExpectedEvent {
    ExpectedEvent {
        kind: kind.to_owned(),
        digest,
        description: description.to_owned(),
    }
}

fn separator() -> ExpectedEvent {
    event("EV_SEPARATOR", sha256(&[0; 4]), "separator")
}

fn images(signed: &Signed<'_>) -> Vec<ExpectedEvent> {
    let action = "Calling EFI Application from Boot Option";
    let image = "EV_EFI_BOOT_SERVICES_APPLICATION";
    vec![
        event("EV_EFI_ACTION", sha256(action.as_bytes()), action),
        separator(),
        event(image, signed.loader, "the boot loader"),
        event(image, signed.kernel_image, "the kernel image"),
        event(image, signed.kernel, "the kernel inside it"),
    ]
}

fn secure_boot([platform, exchange, signer]: &[&[u8]; 3]) -> Vec<ExpectedEvent> {
    let config = "EV_EFI_VARIABLE_DRIVER_CONFIG";
    let list = |certificate: &[u8]| {
        let size = u32::try_from(certificate.len().saturating_add(16)).unwrap_or(u32::MAX);
        let mut list = CERT_X509.to_vec();
        for number in [size.saturating_add(28), 0, size] {
            list.extend_from_slice(&number.to_le_bytes());
        }
        list.extend_from_slice(&OWNER);
        list.extend_from_slice(certificate);
        list
    };
    let set = |vendor, name: &str, value: &[u8]| {
        event(
            config,
            sha256(&variable(vendor, name, value)),
            &format!("variable {name}"),
        )
    };
    let mut authority = OWNER.to_vec();
    authority.extend_from_slice(signer);
    vec![
        set(&GLOBAL_VARIABLE, "SecureBoot", &[1]),
        set(&GLOBAL_VARIABLE, "PK", &list(platform)),
        set(&GLOBAL_VARIABLE, "KEK", &list(exchange)),
        set(&SECURITY_DATABASE, "db", &list(signer)),
        set(&SECURITY_DATABASE, "dbx", &[]),
        separator(),
        event(
            "EV_EFI_VARIABLE_AUTHORITY",
            sha256(&variable(&SECURITY_DATABASE, "db", &authority)),
            "the certificate that vouched",
        ),
    ]
}

/// UEFI_VARIABLE_DATA.
fn variable(vendor: &[u8; 16], name: &str, value: &[u8]) -> Vec<u8> {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut data = vendor.to_vec();
    data.extend_from_slice(&(name.len() as u64 / 2).to_le_bytes());
    data.extend_from_slice(&(value.len() as u64).to_le_bytes());
    data.extend_from_slice(&name);
    data.extend_from_slice(value);
    data
}
