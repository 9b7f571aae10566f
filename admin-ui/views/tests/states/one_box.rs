//! States of one box: trusted (simulated), waiting, refused with its event, unknown; each tab.
//!
//! Invariant: made up, and the same on every run.

use freehold_protocol::status::{ModelPhase, VerdictWord};
use freehold_views::BoxPage;
use freehold_views::one_box::*;
use freehold_views::record::Entry;
use freehold_views::shell::{Fault, Fingerprint, Standing};
use serde_json::json;

use super::{NOW, hex, shell};

fn fingerprints() -> Vec<Fingerprint> {
    vec![
        Fingerprint {
            of: "Identity (EK, AK and TLS key)".into(),
            hex: hex(1),
            words: "harbor violet lantern otter cobalt maple".into(),
        },
        Fingerprint {
            of: "EK public".into(),
            hex: hex(2),
            words: String::new(),
        },
        Fingerprint {
            of: "AK public".into(),
            hex: hex(3),
            words: String::new(),
        },
        Fingerprint {
            of: "TLS key (SPKI)".into(),
            hex: hex(4),
            words: String::new(),
        },
    ]
}

fn claim(name: &str, value: &str, holds: Holds, source: &str) -> Claim {
    Claim {
        name: name.into(),
        value: value.into(),
        holds,
        source: source.into(),
    }
}

pub fn entries() -> Vec<Entry> {
    let entry = |index, ago, kind: &str, actor: &str, text: &str, code: Option<&str>| Entry {
        index,
        at: NOW - ago,
        kind: kind.into(),
        actor: actor.into(),
        subject: "amber-fox-9d1e".into(),
        href: "/boxes/amber-fox-9d1e".into(),
        text: text.into(),
        code: code.map(Into::into),
    };
    vec![
        entry(
            1_482,
            5_100,
            "verdict.changed",
            "console",
            "amber-fox-9d1e: trusted (simulated) became refused",
            Some("boot.event"),
        ),
        entry(
            1_407,
            9_000,
            "assignment.signed",
            "mira.okafor",
            "freehold-guide 1.0.0 assigned to amber-fox-9d1e",
            None,
        ),
        entry(
            1_188,
            90_000,
            "enrol.approved",
            "mira.okafor",
            "amber-fox-9d1e approved after comparing the fingerprint",
            None,
        ),
        entry(
            1_187,
            90_300,
            "enrol.proved",
            "box amber-fox-9d1e",
            "keys proved by credential activation",
            None,
        ),
    ]
}

pub fn trusted() -> BoxPage {
    let mut page = BoxPage {
        shell: shell("/boxes/amber-fox-9d1e"),
        tab: Tab::Summary,
        id: "amber-fox-9d1e".into(),
        label: "Radiology B, rack 3".into(),
        site: "Main House".into(),
        membership: Membership::Approved,
        verdict: VerdictWord::TrustedSimulated,
        since: Some(NOW - 88_000),
        because: vec![
            "The TPM is software, so this is never more than simulated.".into(),
            "Boot, keys and models are as release 1.4.2 expects.".into(),
        ],
        policies: vec!["accept-simulated".into(), "boot-as-manifest".into()],
        doing: "serving freehold-guide 1.0.0".into(),
        last_proof: Some(NOW - 42),
        last_heard: Some(NOW - 6),
        version: "freehold-supervisor 0.1.0".into(),
        boot_kind: BootKind::Simulated,
        identity: Identity {
            tpm: Tpm::Software,
            tpm_says: "IBM, SW TPM, firmware 8217.4131".into(),
            ek_root: "swtpm root CA of this fleet (software root)".into(),
            fingerprints: fingerprints(),
            enrolled: Some(NOW - 90_300),
            approved_by: "mira.okafor".into(),
            approved: Some(NOW - 90_000),
            certificate_until: Some(NOW + 61_000),
        },
        claims: vec![
            claim(
                "Quote",
                "fresh, signed by the enrolled AK",
                Holds::Yes,
                "nonce of 09:16:18, AK fingerprint above",
            ),
            claim(
                "Secure Boot",
                "on",
                Holds::Yes,
                "event 2 of PCR 7, variable `SecureBoot`",
            ),
            claim(
                "Boot",
                "OS 1.4.2",
                Holds::Yes,
                "PCRs 0 to 9 and 11 against the manifest",
            ),
            claim("Kernel command line", "none from outside", Holds::Yes, "PCR 12 is zero"),
            claim("TPM", "software", Holds::NotAsked, "EK certificate's root"),
            claim("TLS key", "lives in the same TPM", Holds::Yes, "TPM2_Certify by the AK"),
            claim(
                "Record",
                "1,204 entries, extends the one seen before",
                Holds::Yes,
                "checkpoint in the quote",
            ),
            claim(
                "Firmware version",
                "could not be read",
                Holds::CouldNotTell,
                "no event says it",
            ),
        ],
        gateway: Some(Door {
            url: "https://10.20.4.17:8443".into(),
            spki: hex(9),
        }),
        entries: entries().split_off(1),
        actions: Actions {
            attest: true,
            token: true,
            retire: true,
            assign: vec![
                AssignOption {
                    target: "models/freehold-guide/1.0.0/release.json".into(),
                    title: "freehold-guide 1.0.0, 9.1 MB".into(),
                    current: true,
                },
                AssignOption {
                    target: "models/freehold-guide/1.1.0/release.json".into(),
                    title: "freehold-guide 1.1.0, 9.1 MB".into(),
                    current: false,
                },
            ],
            ..Default::default()
        },
        ..Default::default()
    };
    page.shell.simulated = true;
    page
}

pub fn waiting() -> BoxPage {
    BoxPage {
        membership: Membership::WaitingForApproval,
        verdict: VerdictWord::Unknown,
        since: None,
        because: vec!["Its keys are proved: EK certificate, credential activation, certified TLS key.".into()],
        policies: Vec::new(),
        claims: Vec::new(),
        last_proof: None,
        gateway: None,
        entries: entries().split_off(3),
        identity: Identity {
            approved: None,
            approved_by: String::new(),
            certificate_until: None,
            enrolled: None,
            ..trusted().identity
        },
        actions: Actions {
            approve: true,
            refuse: true,
            ..Default::default()
        },
        ..trusted()
    }
}

pub fn refused() -> BoxPage {
    let mut page = trusted();
    page.verdict = VerdictWord::Refused;
    page.since = Some(NOW - 5_100);
    page.faults = vec![Fault {
        code: "boot.event".into(),
        message: "event 23 of PCR 7, variable `db`: 1 certificate added, \"CN=Unknown Vendor\", at the boot of 07:49"
            .into(),
        expected: Some(hex(20)),
        found: Some(hex(21)),
        since: Some(NOW - 5_100),
        ..Fault::default()
    }];
    page.refused_there = vec![
        Fault {
            code: "release.rollback".into(),
            message: "release `freehold-guide` has counter 9, the box has 10".into(),
            ..Fault::default()
        },
        Fault {
            code: "model.bom_missing".into(),
            message: "`triage-8b` comes without a bill of materials".into(),
            standing: Standing::Past,
            ..Fault::default()
        },
    ];
    page.claims[1] = claim(
        "Secure Boot keys",
        "db: 1 certificate added",
        Holds::No,
        "event 23 of PCR 7, variable `db`",
    );
    page.claims[2] = claim("Boot", "not OS 1.4.2", Holds::No, "PCR 7 against the manifest");
    page.entries = entries();
    page
}

pub fn refused_boot() -> BoxPage {
    let mut page = refused();
    page.tab = Tab::Boot;
    page.shell.path = "/boxes/amber-fox-9d1e/boot".into();
    let pcr = |index: u8| {
        let differs = index == 7;
        let asked = !matches!(index, 1 | 3 | 5 | 6);
        Pcr {
            index,
            expected: if asked {
                hex(40 + u64::from(index))
            } else {
                String::new()
            },
            found: if differs { hex(99) } else { hex(40 + u64::from(index)) },
            agreement: match (differs, asked) {
                (true, _) => Agreement::Differs,
                (_, true) => Agreement::Same,
                _ => Agreement::NotAsked,
            },
            fault: if differs {
                "event 23, variable `db`: 1 certificate added".into()
            } else {
                String::new()
            },
        }
    };
    let kinds = [
        (0, "EV_S_CRTM_VERSION", "firmware version \"2.14.1\""),
        (0, "EV_EFI_PLATFORM_FIRMWARE_BLOB2", "main firmware volume, 12 MB"),
        (7, "EV_EFI_VARIABLE_DRIVER_CONFIG", "variable `SecureBoot`: 1"),
        (7, "EV_EFI_VARIABLE_DRIVER_CONFIG", "variable `PK`: 1 certificate"),
        (7, "EV_EFI_VARIABLE_DRIVER_CONFIG", "variable `KEK`: 2 certificates"),
        (7, "EV_EFI_VARIABLE_DRIVER_CONFIG", "variable `db`: 4 certificates"),
        (7, "EV_EFI_VARIABLE_DRIVER_CONFIG", "variable `dbx`: 431 hashes"),
        (2, "EV_SEPARATOR", "end of firmware's own"),
        (4, "EV_EFI_BOOT_SERVICES_APPLICATION", "freehold-1.4.2.efi"),
        (11, "EV_IPL", "section .linux of the kernel image"),
        (11, "EV_IPL", "section .initrd of the kernel image"),
    ];
    let events = (0_u32..34)
        .map(|number| {
            let (pcr, kind, says) = kinds[if number == 23 { 5 } else { number as usize % kinds.len() }];
            let differs = number == 23;
            BootEvent {
                number,
                pcr,
                kind: kind.into(),
                says: says.into(),
                digest: hex(200 + u64::from(number)),
                agreement: if differs { Agreement::Differs } else { Agreement::Same },
                expected: differs.then(|| "3 certificates: Freehold db 2026, Vendor CA 2023, Vendor CA 2011".into()),
                found: differs.then(|| "4 certificates: the same and \"CN=Unknown Vendor\"".into()),
            }
        })
        .collect();
    page.boot = Some(Boot {
        manifest: "OS 1.4.2 on this hardware".into(),
        manifest_digest: hex(77),
        booted: Some(NOW - 5_280),
        reset_count: Some(41),
        restart_count: Some(0),
        log_format: "TCG PC Client".into(),
        log_agrees: Agreement::Same,
        pcrs: (0..=15).filter(|index| *index != 10).map(pcr).collect(),
        events,
        events_left_out: 61,
    });
    page
}

pub fn boot_empty() -> BoxPage {
    let mut page = waiting();
    page.tab = Tab::Boot;
    page
}

pub fn models() -> BoxPage {
    let mut page = trusted();
    page.tab = Tab::Models;
    page.models = vec![
        BoxModel {
            name: "freehold-guide".into(),
            version: "1.0.0".into(),
            digest: hex(300),
            signer: hex(301),
            phase: Some(ModelPhase::Serving),
            memory_bound: "cgroup".into(),
            bytes: Some(9_104_233),
            ..Default::default()
        },
        BoxModel {
            name: "freehold-guide".into(),
            version: "0.9.0".into(),
            digest: hex(302),
            signer: hex(301),
            phase: Some(ModelPhase::Refused),
            reason: "release.rollback".into(),
            bytes: Some(9_101_002),
            ..Default::default()
        },
    ];
    page.assignment = Some(Assignment {
        counter: 12,
        signed: Some(NOW - 9_000),
        not_after: NOW + 600_000,
        targets: vec!["models/freehold-guide/1.0.0/release.json".into()],
        achieved: Some(12),
        pursuing: None,
        settings_digest: hex(310),
    });
    page.tokens = vec![Token {
        id: "tk_7f3a".into(),
        name: "ward assistant".into(),
        created: Some(NOW - 86_400),
        expires: Some(NOW + 7_776_000),
        ..Default::default()
    }];
    page
}

pub fn hardware() -> BoxPage {
    let mut page = trusted();
    page.tab = Tab::Hardware;
    let document = json!({
        "v": 1,
        "processor": {
            "model": {"value": "AMD EPYC 9354P 32-Core Processor", "source": "/proc/cpuinfo"},
            "logical_processors": {"value": 64, "source": "/sys/devices/system/cpu/online"},
            "engine_features": {"value": ["avx2", "avx512f", "avx512_vnni", "avx512_bf16", "f16c", "fma"], "source": "/proc/cpuinfo"},
        },
        "memory": {
            "total_bytes": {"value": 405_600_000_000_u64, "source": "/proc/meminfo"},
            "available_bytes": {"value": 371_900_000_000_u64, "source": "/proc/meminfo"},
        },
        "accelerators": [{
            "name": {"value": "NVIDIA H100 PCIe", "source": "NVML"},
            "memory_bytes": {"value": 85_520_809_984_u64, "source": "NVML"},
            "power_watts": {"missing": "NVML: not supported"},
            "driver": {"value": "nvidia", "source": "/sys/bus/pci/devices/0000:41:00.0/driver"},
        }],
        "disks": [{
            "name": {"value": "nvme0n1", "source": "/sys/block/nvme0n1"},
            "size_bytes": {"value": 3_840_755_982_336_u64, "source": "/sys/block/nvme0n1/size"},
            "rotational": {"value": false, "source": "/sys/block/nvme0n1/queue/rotational"},
        }],
    });
    page.hardware = Some(Hardware::from_inventory(&document, Some(NOW - 88_000)));
    page
}

pub fn record() -> BoxPage {
    let mut page = refused();
    page.tab = Tab::Record;
    page.record_head = Some(RecordHead {
        size: 1_204,
        root: hex(400),
        cosigned: NOW - 61,
    });
    page
}

pub fn unknown() -> BoxPage {
    let mut page = trusted();
    page.verdict = VerdictWord::Unknown;
    page.since = Some(NOW - 11_000);
    page.because = vec!["Its last proof is older than the policy allows: 3 h.".into()];
    page.last_heard = Some(NOW - 11_000);
    page.last_proof = Some(NOW - 11_030);
    page.actions = Actions {
        why_not: "Your role `viewer` may look, not change.".into(),
        ..Default::default()
    };
    page
}
