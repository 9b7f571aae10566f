//! A boot log and its manifest from a small description: for machines that have no measured boot of their own.
//!
//! Refuses to pass for a real boot: the manifest says `simulated`. Invariant: deterministic, and the log replays to what
//! the manifest expects. Source: TCG PC Client Platform Firmware Profile 1.06 (order of events), `uki` (PCR 11).

use std::collections::BTreeMap;

use freehold_trust::Sha256Digest;
use freehold_trust::digest::sha256;

use super::manifest::{ExpectedEvent, Manifest, PcrRule};
use super::uki::{Section, measurements};
use crate::event_log::EventKind;
use crate::event_log::EventLog;
use crate::event_log::efi::{CERT_SHA256, CERT_X509, GLOBAL_VARIABLE, SECURITY_DATABASE};
use crate::tpm::algorithm;

/// What a made-up machine boots. Texts stand for contents: their digests are measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootDescription {
    /// Name of the OS release.
    pub release: String,
    /// Its version.
    pub version: String,
    /// Firmware version text.
    pub firmware: String,
    /// Firmware volumes, by name and contents.
    pub volumes: Vec<(String, Vec<u8>)>,
    /// Whether Secure Boot is on.
    pub secure_boot: bool,
    /// Whether development signing keys are used.
    pub development_keys: bool,
    /// Certificates (DER) in PK, KEK and db.
    pub platform_key: Vec<u8>,
    /// See `platform_key`.
    pub exchange_key: Vec<u8>,
    /// See `platform_key`.
    pub signer: Vec<u8>,
    /// SHA-256 hashes in dbx.
    pub forbidden: Vec<Sha256Digest>,
    /// Boot loader image.
    pub loader: Vec<u8>,
    /// Sections of the unified kernel image.
    pub sections: Vec<(String, Vec<u8>)>,
    /// Boot phases that were reached, in order; the last one is what the manifest requires.
    pub phases: Vec<String>,
}

impl BootDescription {
    /// The machine of `make demo` and of tests: everything small and made up, development keys, Secure Boot on.
    #[must_use]
    pub fn demonstration(release: &str, version: &str) -> Self {
        let text = |what: &str| format!("freehold demonstration {what}, release {release} {version}").into_bytes();
        Self {
            release: release.to_owned(),
            version: version.to_owned(),
            firmware: "Freehold demonstration firmware 1.0".to_owned(),
            volumes: vec![
                ("PEI".to_owned(), text("PEI volume")),
                ("DXE".to_owned(), text("DXE volume")),
            ],
            secure_boot: true,
            development_keys: true,
            platform_key: b"freehold demonstration platform key".to_vec(),
            exchange_key: b"freehold demonstration key exchange key".to_vec(),
            signer: b"freehold demonstration image signer".to_vec(),
            forbidden: vec![
                sha256(b"a loader that was revoked"),
                sha256(b"another loader that was revoked"),
            ],
            loader: text("boot loader"),
            sections: [".linux", ".osrel", ".cmdline", ".initrd", ".uname", ".sbat", ".pcrpkey"]
                .iter()
                .map(|name| ((*name).to_owned(), text(name)))
                .collect(),
            phases: super::uki::PHASES.iter().map(|phase| (*phase).to_owned()).collect(),
        }
    }
}

/// A log in the making: one SHA-256 bank.
struct Builder {
    bytes: Vec<u8>,
    expected: BTreeMap<u8, Vec<ExpectedEvent>>,
}

impl Builder {
    fn new() -> Self {
        let mut spec = b"Spec ID Event03\0".to_vec();
        spec.extend_from_slice(&[0, 0, 0, 0]); // platform class: client
        spec.extend_from_slice(&[0, 2, 106, 2]); // version 2.0, errata 106, UINTN of 8 bytes
        spec.extend_from_slice(&1_u32.to_le_bytes());
        spec.extend_from_slice(&algorithm::SHA256.to_le_bytes());
        spec.extend_from_slice(&32_u16.to_le_bytes());
        spec.push(0);
        let mut bytes = Vec::with_capacity(16 * 1024);
        bytes.extend_from_slice(&0_u32.to_le_bytes());
        bytes.extend_from_slice(&EventKind::NO_ACTION.0.to_le_bytes());
        bytes.extend_from_slice(&[0; 20]);
        sized(&mut bytes, &spec);
        Self {
            bytes,
            expected: BTreeMap::new(),
        }
    }

    /// An event whose digest is that of its data.
    fn data(&mut self, pcr: u8, kind: EventKind, data: &[u8], description: &str) {
        self.event(pcr, kind, sha256(data), data, description);
    }

    fn event(&mut self, pcr: u8, kind: EventKind, digest: Sha256Digest, data: &[u8], description: &str) {
        self.bytes.extend_from_slice(&u32::from(pcr).to_le_bytes());
        self.bytes.extend_from_slice(&kind.0.to_le_bytes());
        self.bytes.extend_from_slice(&1_u32.to_le_bytes());
        self.bytes.extend_from_slice(&algorithm::SHA256.to_le_bytes());
        self.bytes.extend_from_slice(digest.as_bytes());
        sized(&mut self.bytes, data);
        let expected = ExpectedEvent {
            kind: kind.to_string(),
            digest,
            description: description.to_owned(),
        };
        self.expected.entry(pcr).or_default().push(expected);
    }

    fn variable(&mut self, kind: EventKind, vendor: &[u8; 16], name: &str, value: &[u8], description: &str) {
        let mut data = vendor.to_vec();
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        data.extend_from_slice(&(name.len() as u64 / 2).to_le_bytes());
        data.extend_from_slice(&(value.len() as u64).to_le_bytes());
        data.extend_from_slice(&name);
        data.extend_from_slice(value);
        let pcr = if kind == EventKind::EFI_VARIABLE_BOOT { 1 } else { 7 };
        self.data(pcr, kind, &data, description);
    }

    fn image(&mut self, path: &str, contents: &[u8], at: u64) {
        let text: Vec<u8> = path.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        let size = u16::try_from(text.len().saturating_add(4)).unwrap_or(u16::MAX);
        let mut device = vec![4, 4];
        device.extend_from_slice(&size.to_le_bytes());
        device.extend_from_slice(&text);
        device.extend_from_slice(&[0x7f, 0xff, 4, 0]);
        let mut data = Vec::new();
        for number in [at, contents.len() as u64, 0, device.len() as u64] {
            data.extend_from_slice(&number.to_le_bytes());
        }
        data.extend_from_slice(&device);
        let description = format!("image {path}");
        self.event(
            4,
            EventKind::EFI_BOOT_SERVICES_APPLICATION,
            sha256(contents),
            &data,
            &description,
        );
    }
}

fn sized(out: &mut Vec<u8>, data: &[u8]) {
    out.extend_from_slice(&u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(data);
}

fn signature_list(kind: &[u8; 16], owner: &[u8; 16], entries: &[&[u8]]) -> Vec<u8> {
    let each = entries.first().map_or(0, |entry| entry.len()).saturating_add(16);
    let total = each.saturating_mul(entries.len()).saturating_add(28);
    let mut out = kind.to_vec();
    for number in [total, 0, each] {
        out.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
    }
    for entry in entries {
        out.extend_from_slice(owner);
        out.extend_from_slice(entry);
    }
    out
}

/// Makes the log and the manifest that goes with it.
#[must_use]
pub fn generate(boot: &BootDescription) -> (Vec<u8>, Manifest) {
    let owner = &SECURITY_DATABASE;
    let mut b = Builder::new();
    let version: Vec<u8> = boot
        .firmware
        .encode_utf16()
        .chain([0])
        .flat_map(u16::to_le_bytes)
        .collect();
    b.data(
        0,
        EventKind::S_CRTM_VERSION,
        &version,
        &format!("firmware version {}", boot.firmware),
    );
    for (place, (name, contents)) in boot.volumes.iter().enumerate() {
        let mut data = vec![u8::try_from(name.len()).unwrap_or(u8::MAX)];
        data.extend_from_slice(name.as_bytes().get(..name.len().min(255)).unwrap_or_default());
        data.extend_from_slice(&(0xff00_0000_u64.saturating_add(place as u64 * 0x10_0000)).to_le_bytes());
        data.extend_from_slice(&(contents.len() as u64).to_le_bytes());
        b.event(
            0,
            EventKind::EFI_PLATFORM_FIRMWARE_BLOB2,
            sha256(contents),
            &data,
            &format!("firmware volume {name}"),
        );
    }
    let config = EventKind::EFI_VARIABLE_DRIVER_CONFIG;
    let on = u8::from(boot.secure_boot);
    b.variable(
        config,
        &GLOBAL_VARIABLE,
        "SecureBoot",
        &[on],
        &format!("variable SecureBoot: {on}"),
    );
    for (name, vendor, contents) in [
        ("PK", &GLOBAL_VARIABLE, &boot.platform_key),
        ("KEK", &GLOBAL_VARIABLE, &boot.exchange_key),
        ("db", &SECURITY_DATABASE, &boot.signer),
    ] {
        let list = signature_list(&CERT_X509, owner, &[contents]);
        b.variable(config, vendor, name, &list, &format!("variable {name}: 1 signatures"));
    }
    let forbidden: Vec<&[u8]> = boot
        .forbidden
        .iter()
        .map(|digest| digest.as_bytes().as_slice())
        .collect();
    let dbx = if forbidden.is_empty() {
        Vec::new()
    } else {
        signature_list(&CERT_SHA256, owner, &forbidden)
    };
    let count = forbidden.len();
    let said = if count == 0 {
        "variable dbx: empty".to_owned()
    } else {
        format!("variable dbx: {count} signatures")
    };
    b.variable(config, &SECURITY_DATABASE, "dbx", &dbx, &said);
    b.variable(
        EventKind::EFI_VARIABLE_BOOT,
        &GLOBAL_VARIABLE,
        "BootOrder",
        &[0, 0],
        "variable BootOrder: 2 bytes",
    );
    for pcr in 0..8 {
        b.data(pcr, EventKind::SEPARATOR, &[0; 4], "separator");
    }
    b.data(
        4,
        EventKind::EFI_ACTION,
        b"Calling EFI Application from Boot Option",
        "Calling EFI Application from Boot Option",
    );
    let mut authority = owner.to_vec();
    authority.extend_from_slice(&boot.signer);
    let said = format!("variable db: authority, {} bytes", authority.len());
    b.variable(
        EventKind::EFI_VARIABLE_AUTHORITY,
        &SECURITY_DATABASE,
        "db",
        &authority,
        &said,
    );
    b.image("\\EFI\\BOOT\\BOOTX64.EFI", &boot.loader, 0x6000_0000);
    let mut uki = Vec::new();
    boot.sections
        .iter()
        .for_each(|(_, contents)| uki.extend_from_slice(contents));
    b.image(
        &format!("\\EFI\\Linux\\freehold-{}.efi", boot.version),
        &uki,
        0x6100_0000,
    );
    let sections: Vec<Section> = boot
        .sections
        .iter()
        .map(|(name, contents)| Section::of(name, contents))
        .collect();
    for m in measurements(&sections, &[]) {
        let word: Vec<u8> = m.word.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        b.event(11, EventKind::IPL, m.digest, &word, &m.description);
    }
    for text in [
        "Exit Boot Services Invocation",
        "Exit Boot Services Returned with Success",
    ] {
        b.data(5, EventKind::EFI_ACTION, text.as_bytes(), text);
    }
    let phases: Vec<&str> = boot.phases.iter().map(String::as_str).collect();
    for m in measurements(&[], &phases) {
        b.event(11, EventKind::IPL, m.digest, m.word.as_bytes(), &m.description);
    }
    let mut pcrs: BTreeMap<u8, PcrRule> = b
        .expected
        .into_iter()
        .map(|(pcr, events)| (pcr, PcrRule::Events(events)))
        .collect();
    // No command line, credential, or extension slipped in beside the kernel image.
    for untouched in [12, 13] {
        pcrs.entry(untouched).or_insert(PcrRule::Value(Sha256Digest::default()));
    }
    let manifest = Manifest {
        v: 1,
        release: boot.release.clone(),
        version: boot.version.clone(),
        simulated: true,
        development_keys: boot.development_keys,
        secure_boot: boot.secure_boot,
        phase: boot.phases.last().cloned().unwrap_or_default(),
        pcrs,
        forbidden: Vec::new(),
    };
    (b.bytes, manifest)
}

/// The extends that replaying a log into a TPM takes, in order: PCR and SHA-256 digest.
#[must_use]
pub fn extends(log: &EventLog<'_>) -> Vec<(u8, Sha256Digest)> {
    let extending = log.events().iter().filter(|event| event.extends());
    extending
        .filter_map(|event| Some((event.pcr, Sha256Digest::from_bytes(*event.sha256()?))))
        .collect()
}
