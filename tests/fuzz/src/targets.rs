//! The parsers of outside bytes, each as one function over bytes, with seeds that they accept.
//!
//! Refuses a target whose every seed is refused: then its mutations would only knock at the door. Invariant: a new parser of
//! outside bytes is a new line here; a test counts the seeds.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use freehold_sign::model::{ModelSigner, sign_model};
use freehold_trust::certificate::Certificate;
use freehold_trust::dsse::Envelope;
use freehold_trust::{KeyKind, PublicKey, Sha256Digest, SigningKey, sha256};
use freehold_verify::boot::{BootDescription, Manifest, generate};
use freehold_verify::event_log::EventLog;
use freehold_verify::event_log::canonical::CanonicalLog;
use freehold_verify::event_log::efi::{Variable, image_path, parse_gpt, parse_signature_lists};
use freehold_verify::evidence::{BootClaim, Bound, Checkpoint, Evidence};
use freehold_verify::model::{ModelFile, SignerTrust, verify_bundle};
use freehold_verify::quote::PcrValues;
use freehold_verify::release::{ReleaseDescriptor, RevocationList, TrustedRepository, check_target_name};
use freehold_verify::tpm::{Attest, Public, TpmSignature};
use serde_json::json;

/// 2026-11-21, noon: where a parser wants a time.
const NOW: i64 = 1_795_262_400;

/// A parser.
pub struct Target {
    /// Its name: the folder of its corpus.
    pub name: &'static str,
    /// What it does with bytes; whether it accepts them.
    pub read: fn(&[u8]) -> bool,
    /// Bytes to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate(KeyKind::P256).unwrap_or_else(|_| unreachable()));

/// Key generation is aws-lc's and does not fail; a fuzzer without a key has nothing to do.
fn unreachable() -> ! {
    std::process::abort()
}

fn keys() -> &'static [PublicKey] {
    static KEYS: LazyLock<Vec<PublicKey>> = LazyLock::new(|| vec![KEY.public().clone()]);
    &KEYS
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn boot() -> (Vec<u8>, Manifest) {
    generate(&BootDescription::demonstration("freehold", "1.0.0"))
}

fn boot_log(bytes: &[u8]) -> bool {
    let Ok(log) = EventLog::parse(bytes) else { return false };
    let _ = (
        log.report(),
        log.secure_boot(),
        log.replay_sha256(),
        log.firmware_notes(),
        log.forbidden(),
    );
    for event in log.events() {
        let _ = (event.describe(), event.check_data());
    }
    true
}

fn uefi(bytes: &[u8]) -> bool {
    let _ = (image_path(bytes), parse_gpt(bytes), parse_signature_lists(bytes));
    Variable::parse(bytes).is_ok()
}

fn evidence(bytes: &[u8]) -> bool {
    Evidence::decode(bytes).is_ok_and(|evidence| {
        // One form for each message: what is read is written the same way.
        assert_eq!(evidence.encode(), bytes, "evidence has two forms");
        true
    })
}

fn evidence_seeds() -> Vec<Vec<u8>> {
    let (log, _) = boot();
    let values = (0..12).map(|pcr| (pcr, sha256(&[pcr]))).collect();
    let evidence = Evidence {
        bound: Bound {
            nonce: [7; 32],
            box_id: "amber-fox-9d1e".to_owned(),
            tls: sha256(b"tls"),
            checkpoint: Some(Checkpoint {
                origin: "freehold/amber-fox-9d1e".to_owned(),
                size: 9,
                root: sha256(b"root"),
            }),
            models: vec![Sha256Digest::default(), sha256(b"model")],
            supervisor: "0.1.0".to_owned(),
            boot: BootClaim {
                release: "freehold".to_owned(),
                version: "1.0.0".to_owned(),
                log: sha256(&log),
            },
        },
        attest: attest(),
        signature: vec![0, 24, 0, 11],
        pcrs: PcrValues::of(values).unwrap_or_default(),
        boot_log: log.get(..900).unwrap_or_default().to_vec(),
        runtime_log: Vec::new(),
    };
    let mut later = evidence.clone();
    later.runtime_log = runtime_log_seed();
    later.bound.checkpoint = None;
    vec![evidence.encode(), later.encode()]
}

fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(bytes);
}

/// A TPMS_ATTEST of a quote.
fn attest() -> Vec<u8> {
    let mut out = 0xff54_4347_u32.to_be_bytes().to_vec();
    out.extend(0x8018_u16.to_be_bytes());
    sized(&mut out, &[0, 11, 1, 2, 3]);
    sized(&mut out, &[7; 32]);
    out.extend([0; 8 + 4 + 4 + 1 + 8]);
    out.extend(1_u32.to_be_bytes());
    out.extend([0, 11, 3, 0xff, 0x0f, 0]);
    sized(&mut out, sha256(b"pcrs").as_bytes());
    out
}

/// A TPMT_PUBLIC of a restricted ECDSA P-256 key.
fn public() -> Vec<u8> {
    let mut out = vec![0, 0x23, 0, 0x0b];
    out.extend(0x0005_0072_u32.to_be_bytes());
    sized(&mut out, &[]);
    out.extend([0, 0x10, 0, 0x18, 0, 0x0b, 0, 3, 0, 0x10]);
    sized(&mut out, &[3; 32]);
    sized(&mut out, &[4; 32]);
    out
}

fn signature() -> Vec<u8> {
    let mut out = vec![0, 0x18, 0, 0x0b];
    sized(&mut out, &[5; 32]);
    sized(&mut out, &[6; 32]);
    out
}

fn runtime_log_seed() -> Vec<u8> {
    let digest = sha256(b"ready");
    format!(
        "\u{1e}{{\"pcr\":11,\"digests\":[{{\"hashAlg\":\"sha256\",\"digest\":\"{digest}\"}}],\
         \"content_type\":\"systemd\",\"content\":{{\"string\":\"ready\",\"eventType\":\"phase\"}}}}\n"
    )
    .into_bytes()
}

fn model_bundle(bytes: &[u8]) -> bool {
    let trust = SignerTrust {
        keys: keys().to_vec(),
        ..SignerTrust::default()
    };
    verify_bundle(bytes, &trust, NOW).is_ok()
}

fn model_bundle_seeds() -> Vec<Vec<u8>> {
    let files: Vec<ModelFile> = ["a.gguf", "sub/b.txt"]
        .iter()
        .map(|path| ModelFile {
            path: (*path).to_owned(),
            sha256: sha256(path.as_bytes()),
        })
        .collect();
    sign_model("guide", &files, &[], ModelSigner::Key(&KEY))
        .into_iter()
        .collect()
}

fn weights(bytes: &[u8]) -> bool {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let gguf = freehold_verify::format::gate("m.gguf", bytes, length).is_ok();
    let other = freehold_verify::format::gate("m.safetensors", bytes, length).is_ok();
    gguf || other
}

fn weights_seeds() -> Vec<Vec<u8>> {
    let mut gguf = b"GGUF".to_vec();
    gguf.extend(3_u32.to_le_bytes());
    gguf.extend(1_u64.to_le_bytes());
    gguf.extend(1_u64.to_le_bytes());
    let string = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    };
    string(&mut gguf, "general.architecture");
    gguf.extend(8_u32.to_le_bytes());
    string(&mut gguf, "llama");
    string(&mut gguf, "token_embd.weight");
    gguf.extend(1_u32.to_le_bytes());
    gguf.extend(32_u64.to_le_bytes());
    gguf.extend(0_u32.to_le_bytes());
    gguf.extend(0_u64.to_le_bytes());
    gguf.resize(gguf.len().next_multiple_of(32) + 128, 0);
    let header = br#"{"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#;
    let mut tensors = (header.len() as u64).to_le_bytes().to_vec();
    tensors.extend(header);
    tensors.extend([0; 16]);
    vec![gguf, tensors]
}

fn descriptor_seeds() -> Vec<Vec<u8>> {
    let file = |path: &str| json!({ "path": path, "length": 5, "sha256": sha256(b"x"), "chunk_size": 4_194_304, "chunks": [sha256(b"x")] });
    let release = json!({
        "v": 1, "kind": "model", "name": "guide", "version": "1.0.0", "counter": 1, "files": [file("a.gguf")],
        "bundle": file("model.sigstore.json"), "bom": file("model.cdx.json"), "root": sha256(b"r"), "hardware": ["cpu"],
    });
    vec![release.to_string().into_bytes()]
}

fn note(bytes: &[u8]) -> bool {
    let _ = freehold_record::Checkpoint::parse(&text(bytes));
    let _ = freehold_record::VerifierKey::parse(&text(bytes));
    freehold_record::SignedNote::parse(bytes).is_ok()
}

fn tiles(bytes: &[u8]) -> bool {
    let _ = freehold_record::tile::decode_bundle(bytes, 1, "fuzz");
    freehold_record::tile::decode_tile(bytes, 1, "fuzz").is_ok()
}

fn bundle_of_policies(bytes: &[u8]) -> bool {
    freehold_decide::PolicySet::from_bundle(bytes).is_ok()
}

fn frames(bytes: &[u8]) -> bool {
    use freehold_protocol::{enrol, local, report, screen};
    let _ = local::decode::<local::ToGateway>(bytes);
    let _ = local::decode::<screen::ToScreen>(bytes);
    let _ = local::decode::<screen::FromScreen>(bytes);
    let _ = serde_json::from_slice::<enrol::EnrolBegin>(bytes);
    let _ = serde_json::from_slice::<enrol::EnrolActivate>(bytes);
    let _ = serde_json::from_slice::<report::BoxReport>(bytes);
    let _ = serde_json::from_slice::<report::RecordCheckpoint>(bytes);
    local::decode::<local::ToSupervisor>(bytes).is_ok()
}

fn certificate(bytes: &[u8]) -> bool {
    let _ = Certificate::from_pem(&text(bytes));
    let _ = PublicKey::from_spki_der(bytes);
    let _ = PublicKey::from_spki_pem(&text(bytes));
    Certificate::from_der(bytes).is_ok()
}

fn certificate_seeds() -> Vec<Vec<u8>> {
    let validity = freehold_sign::certificate::Validity {
        from: NOW,
        until: NOW + 1_000_000,
    };
    let made = freehold_sign::certificate::signer_root("fuzz", &KEY, validity);
    made.map(|one| one.der().to_vec()).into_iter().collect()
}

fn sealing(bytes: &[u8]) -> bool {
    use freehold_verify::sealing::{Escrow, PcrPolicies, RecoveryKey, RecoverySlot, SealedKey, Share};
    let _ = (
        Escrow::parse(bytes),
        SealedKey::parse(bytes),
        RecoverySlot::parse(bytes),
    );
    let _ = (RecoveryKey::parse(&text(bytes)), Share::parse(&text(bytes)));
    let _ = freehold_verify::sealing::parse_gpt(bytes);
    PcrPolicies::parse(bytes).is_ok()
}

fn supply(bytes: &[u8]) -> bool {
    use freehold_supply::{Advisories, Bill, Purl, VexBook, provenance};
    let _ = text(bytes).parse::<Purl>();
    let _ = Bill::parse(bytes);
    let _ = VexBook::default().add(bytes, keys());
    let _ = provenance::verify_provenance(bytes, keys(), &[], &BTreeMap::new());
    Advisories::parse(bytes).is_ok()
}

fn supply_seeds() -> Vec<Vec<u8>> {
    let advisory = json!({
        "id": "A-1", "modified": "2026-11-20T00:00:00Z", "aliases": ["CVE-1"], "summary": "s",
        "severity": [{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H" }],
        "affected": [{ "package": { "ecosystem": "Debian:13", "name": "openssl" },
                       "ranges": [{ "type": "ECOSYSTEM", "events": [{ "introduced": "0" }, { "fixed": "3.5.4-1~deb13u2" }] }] }],
    });
    let bill = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6",
        "metadata": { "component": { "type": "operating-system", "name": "freehold" } },
        "components": [{ "type": "library", "bom-ref": "a", "name": "serde", "purl": "pkg:cargo/serde@1.0.0?a=b",
                         "components": [{ "type": "file", "name": "/x" }] }],
    });
    let vex = json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "timestamp": "2026-11-20T00:00:00Z",
        "statements": [{ "vulnerability": { "name": "A-1" }, "products": [{ "@id": "pkg:cargo/serde@1.0.0" }],
                         "status": "not_affected", "justification": "component_not_present" }],
    });
    let envelope = Envelope::sign(freehold_supply::vex::VEX_TYPE, vex.to_string().as_bytes(), &[&*KEY]).to_json();
    vec![
        advisory.to_string().into_bytes(),
        bill.to_string().into_bytes(),
        envelope,
        b"pkg:deb/debian/openssl@3.5.4-1~deb13u1?arch=amd64&distro=trixie".to_vec(),
    ]
}

fn medium(bytes: &[u8]) -> bool {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let _ = freehold_install::gpt::Table::read(bytes, length);
    let _ = freehold_image::pe::image_digest(bytes);
    freehold_image::pe::sections(bytes).is_ok()
}

fn lock(bytes: &[u8]) -> bool {
    freehold_image::lock::Lock::parse(bytes).is_ok()
}

fn medium_seeds() -> Vec<Vec<u8>> {
    let mut pe = vec![0; 1024];
    let put = |pe: &mut Vec<u8>, at: usize, bytes: &[u8]| {
        for (place, byte) in bytes.iter().enumerate() {
            if let Some(slot) = pe.get_mut(at + place) {
                *slot = *byte;
            }
        }
    };
    put(&mut pe, 0, b"MZ");
    put(&mut pe, 0x3c, &64_u32.to_le_bytes());
    put(&mut pe, 64, b"PE\0\0");
    put(&mut pe, 68, &[0x64, 0x86, 1, 0]);
    put(&mut pe, 84, &240_u16.to_le_bytes());
    put(&mut pe, 88, &[0x0b, 0x02]);
    put(&mut pe, 88 + 108, &16_u32.to_le_bytes());
    put(&mut pe, 88 + 240, b".linux\0\0");
    put(&mut pe, 88 + 248, &[0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0]);
    let mut table = vec![0; 1024 + 128 * 128];
    put(&mut table, 512, b"EFI PART");
    vec![pe, table]
}

fn settings(bytes: &[u8]) -> bool {
    serde_json::from_slice::<freehold_network::NetworkSettings>(bytes).is_ok_and(|settings| settings.check().is_ok())
}

fn documents(bytes: &[u8]) -> bool {
    let _ = freehold_verify::document::settings_digest(bytes);
    let _ = freehold_verify::evidence::EvidencePackage::parse(bytes);
    let _ = check_target_name(&text(bytes));
    Envelope::parse(bytes, 1 << 20).is_ok()
}

fn documents_seeds() -> Vec<Vec<u8>> {
    let assignment = json!({
        "v": 1, "fleet": "f", "site": "s", "box": "amber-fox-9d1e", "counter": 1, "not_after": NOW,
        "targets": [{ "name": "models/guide/1/release.json", "length": 5, "sha256": sha256(b"x"), "hardware": [] }],
        "settings_digest": sha256(b"s"), "approvals": [],
    });
    let kind = freehold_verify::document::ASSIGNMENT_TYPE;
    vec![Envelope::sign(kind, assignment.to_string().as_bytes(), &[&*KEY]).to_json()]
}

/// Every target.
#[must_use]
pub fn targets() -> Vec<Target> {
    vec![
        Target {
            name: "boot-log",
            read: boot_log,
            seeds: || vec![boot().0],
        },
        Target {
            name: "runtime-log",
            read: |bytes| CanonicalLog::parse(bytes).is_ok(),
            seeds: || vec![runtime_log_seed(), runtime_log_seed().repeat(3)],
        },
        Target {
            name: "uefi-data",
            read: uefi,
            seeds: || {
                let (log, _) = boot();
                let parsed = EventLog::parse(&log);
                let events = parsed.iter().flat_map(|log| log.events());
                events
                    .map(|event| event.data.to_vec())
                    .filter(|data| data.len() > 32)
                    .collect()
            },
        },
        Target {
            name: "boot-manifest",
            read: |bytes| Manifest::parse(bytes).is_ok(),
            seeds: || vec![boot().1.to_json()],
        },
        Target {
            name: "evidence",
            read: evidence,
            seeds: evidence_seeds,
        },
        Target {
            name: "tpm-attest",
            read: |bytes| Attest::parse(bytes).is_ok(),
            seeds: || vec![attest()],
        },
        Target {
            name: "tpm-public",
            read: |bytes| Public::parse(bytes).is_ok_and(|public| public.name().is_some()),
            seeds: || vec![public()],
        },
        Target {
            name: "tpm-signature",
            read: |bytes| TpmSignature::parse(bytes).is_ok(),
            seeds: || vec![signature()],
        },
        Target {
            name: "certificate",
            read: certificate,
            seeds: certificate_seeds,
        },
        Target {
            name: "model-bundle",
            read: model_bundle,
            seeds: model_bundle_seeds,
        },
        Target {
            name: "weights",
            read: weights,
            seeds: weights_seeds,
        },
        Target {
            name: "release-descriptor",
            read: |bytes| ReleaseDescriptor::parse(bytes).is_ok(),
            seeds: descriptor_seeds,
        },
        Target {
            name: "revocations",
            read: |bytes| RevocationList::parse(bytes).is_ok(),
            seeds: || vec![serde_json::to_vec(&RevocationList::empty(1)).unwrap_or_default()],
        },
        Target {
            name: "release-root",
            read: |bytes| TrustedRepository::new(bytes, None).is_ok(),
            seeds: release_root_seeds,
        },
        Target {
            name: "documents",
            read: documents,
            seeds: documents_seeds,
        },
        Target {
            name: "note",
            read: note,
            seeds: || vec![format!("origin\n1\n{}\n\n\u{2014} origin AAAAAQA=\n", "A".repeat(43) + "=").into_bytes()],
        },
        Target {
            name: "tiles",
            read: tiles,
            seeds: || vec![vec![7; 64], [&[0, 3][..], b"abc"].concat()],
        },
        Target {
            name: "entry",
            read: |bytes| freehold_record::EntryView::parse(bytes).is_ok(),
            seeds: || {
                let entry =
                    freehold_record::Entry::new(1_795_262_400_000, "box:a", "model.admitted").with("model", "guide");
                entry.encode().into_iter().collect()
            },
        },
        Target {
            name: "policies",
            read: bundle_of_policies,
            seeds: || {
                let bundle = freehold_decide::Bundle::shipped("t", "1", freehold_decide::BundleData::default());
                vec![bundle.to_bytes()]
            },
        },
        Target {
            name: "frames",
            read: frames,
            seeds: || {
                vec![
                    br#"{"Hello":{"v":1}}"#.to_vec(),
                    br#"{"hello":{"v":1,"pid":3}}"#.to_vec(),
                ]
            },
        },
        Target {
            name: "sealing",
            read: sealing,
            seeds: || vec![br#"{"sha256":[{"pcrs":[11],"pkfp":"00","pol":"00","sig":"AA=="}]}"#.to_vec()],
        },
        Target {
            name: "supply",
            read: supply,
            seeds: supply_seeds,
        },
        Target {
            name: "medium",
            read: medium,
            seeds: medium_seeds,
        },
        Target {
            name: "lock",
            read: lock,
            seeds: || vec![br#"{"v":1,"seed":null,"suites":[],"packages":[]}"#.to_vec()],
        },
        Target {
            name: "network-settings",
            read: settings,
            seeds: || {
                vec![br#"{"v":1,"interface":"eth0","addressing":"dhcp","console":{"address":"10.0.0.2","port":8443},"clients":[]}"#.to_vec()]
            },
        },
    ]
}

fn release_root_seeds() -> Vec<Vec<u8>> {
    use freehold_verify::release::{RoleSigners, RootDescription, root_metadata};
    let key = KEY.public();
    let role = || RoleSigners {
        keys: vec![key],
        threshold: 1,
    };
    let description = RootDescription {
        version: 1,
        expires: NOW + 1_000_000,
        root: role(),
        targets: role(),
        snapshot: role(),
        timestamp: role(),
    };
    root_metadata(&description)
        .and_then(|root| root.sign(&[&*KEY]))
        .into_iter()
        .collect()
}
