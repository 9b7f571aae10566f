//! States of the remaining pages.
//!
//! Invariant: made up, and the same on every run.

use freehold_protocol::status::{ModelPhase, VerdictWord};
use freehold_views::approvals::{Decided, Enrolment, WaitingPlan};
use freehold_views::models::{ModelFile, ModelRow, Place};
use freehold_views::one_box::Tpm;
use freehold_views::plan::{Line, PlanState};
use freehold_views::record::{BoxRecord, Checkpoint};
use freehold_views::releases::{Revocation, Role, Target};
use freehold_views::search::Hit;
use freehold_views::settings::*;
use freehold_views::shell::{Fault, Fingerprint, Notice, Outcome, Parts, Waiting};
use freehold_views::*;

use super::{NOW, hex, one_box, shell};

fn outside() -> Shell {
    Shell {
        person: None,
        path: "/sign-in".into(),
        waiting: Waiting::default(),
        ..shell("/sign-in")
    }
}

pub fn finger(of: &str, seed: u64, words: &str) -> Fingerprint {
    Fingerprint {
        of: of.into(),
        hex: hex(seed),
        words: words.into(),
    }
}

pub fn sign_in() -> SignInPage {
    SignInPage {
        shell: outside(),
        next: "/".into(),
        fingerprints: vec![finger("Fleet CA", 500, "willow copper anchor raven")],
        ..Default::default()
    }
}

pub fn sign_in_first() -> SignInPage {
    let mut page = SignInPage {
        first_time: true,
        ..sign_in()
    };
    page.shell.development_keys = true;
    page
}

pub fn sign_in_refused() -> SignInPage {
    SignInPage {
        name: "mira.okafor".into(),
        fault: Some("Name or password is not right.".into()),
        ..sign_in()
    }
}

pub fn password() -> PasswordPage {
    PasswordPage {
        shell: shell("/password"),
        must_change: true,
        least_length: 12,
        fault: Some("The two new passwords differ.".into()),
    }
}

pub fn approvals() -> ApprovalsPage {
    ApprovalsPage {
        shell: shell("/approvals"),
        enrolments: vec![
            Enrolment {
                id: "delta-wren-41c0".into(),
                label: "box4".into(),
                site: "North Clinic".into(),
                fingerprint: finger("Identity", 510, "harbor violet lantern otter cobalt maple"),
                tpm: Tpm::Software,
                ek_root: "trusted by the swtpm root CA of this fleet".into(),
                since: NOW - 2_220,
                warning: String::new(),
            },
            Enrolment {
                id: "ivory-hare-08e4".into(),
                label: "spare".into(),
                site: "Archive".into(),
                fingerprint: finger("Identity", 511, "meadow saffron bridge falcon indigo cedar"),
                tpm: Tpm::Hardware,
                ek_root: "trusted by Infineon OPTIGA TPM 2.0 ECC Root CA".into(),
                since: NOW - 400,
                warning: "This endorsement key was a member before, as ivory-hare-7712, and was retired on 2 Nov 2026."
                    .into(),
            },
        ],
        plans: vec![WaitingPlan {
            id: "p-0042".into(),
            title: "Assign triage-8b 2.1.0 to amber-fox-9d1e".into(),
            proposed_by: "mira.okafor".into(),
            since: NOW - 2_200,
            digest: hex(512),
        }],
        decided: vec![Decided {
            title: "Approve box cedar-owl-77a2".into(),
            by: "mira.okafor".into(),
            at: NOW - 86_000,
            outcome: "approved".into(),
            href: "/boxes/cedar-owl-77a2".into(),
        }],
        may_decide: true,
        pair_command: String::new(),
    }
}

pub fn approvals_empty() -> ApprovalsPage {
    ApprovalsPage {
        shell: shell("/approvals"),
        pair_command: "freehold box pair --file pairing.json".into(),
        ..Default::default()
    }
}

pub fn plan() -> PlanPage {
    let line = |what: &str, before: &str, after: &str| Line {
        what: what.into(),
        before: before.into(),
        after: after.into(),
    };
    PlanPage {
        shell: shell("/plans/p-0042"),
        id: "p-0042".into(),
        title: "Approve box delta-wren-41c0".into(),
        verb: "Approve this box".into(),
        lines: vec![
            line(
                "membership of delta-wren-41c0",
                "waits for approval",
                "member of Riverside Hospitals, North Clinic",
            ),
            line("certificate of its TLS key", "", "24 h, renewed with each proof"),
            line("record", "1,482 entries", "1,483 entries: enrol.approved"),
        ],
        consequences: vec![
            "It may ask for assignments and serve clients.".into(),
            "Its TPM is software: its verdict is never more than trusted (simulated).".into(),
        ],
        undo: "Retire the box at any time; its keys may then not join again without a new approval.".into(),
        compare: vec![finger(
            "Identity (EK, AK and TLS key)",
            510,
            "harbor violet lantern otter cobalt maple",
        )],
        digest: finger("Plan", 520, "7f3a·91c2: granite linen otter plum"),
        proposed_by: "mira.okafor".into(),
        proposed: NOW - 30,
        may_confirm: true,
        subject: "delta-wren-41c0".into(),
        subject_href: "/boxes/delta-wren-41c0".into(),
        ..Default::default()
    }
}

pub fn plan_refused() -> PlanPage {
    PlanPage {
        title: "Assign freehold-guide 0.9.0 to amber-fox-9d1e".into(),
        state: PlanState::Refused,
        lines: vec![Line {
            what: "model".into(),
            before: "freehold-guide 1.0.0".into(),
            after: "freehold-guide 0.9.0".into(),
        }],
        faults: vec![Fault {
            code: "release.rollback".into(),
            message: "release `freehold-guide` has counter 9, the box has 10".into(),
            expected: Some("10 or more".into()),
            found: Some("9".into()),
            since: None,
            ..Fault::default()
        }],
        compare: Vec::new(),
        decided_by: "mira.okafor".into(),
        decided: Some(NOW - 5),
        may_confirm: false,
        ..plan()
    }
}

pub fn secret() -> SecretPage {
    SecretPage {
        shell: shell("/plans/p-0043"),
        title: "Token for \"ward assistant\"".into(),
        secret: "fh_7f3a_EXAMPLE0EXAMPLE0EXAMPLE0EXAMPLE0EXAMPLE".into(),
        facts: vec![
            ("Box".into(), "amber-fox-9d1e".into()),
            ("Valid until".into(), "19 Feb 2027".into()),
            ("Models".into(), "all of this box".into()),
        ],
        command: "freehold ask --box https://10.20.4.17:8443 --token-file token \"What is a box?\"".into(),
        back_href: "/boxes/amber-fox-9d1e/models".into(),
        back: "Back to the box".into(),
    }
}

fn model_row() -> ModelRow {
    ModelRow {
        name: "freehold-guide".into(),
        version: "1.0.0".into(),
        digest: hex(300),
        signer: "publisher 2026".into(),
        signer_fingerprint: hex(301),
        licence: "Apache-2.0".into(),
        bytes: 9_104_233,
        released: Some(NOW - 900_000),
        revoked: None,
        serving: 2,
        assigned: 3,
        refused: 0,
    }
}

pub fn models() -> ModelsPage {
    let revoked = ModelRow {
        version: "0.9.0".into(),
        digest: hex(302),
        revoked: Some("answers name people from the training text".into()),
        serving: 0,
        assigned: 0,
        refused: 3,
        released: Some(NOW - 5_000_000),
        ..model_row()
    };
    let large = ModelRow {
        name: "triage-8b".into(),
        version: "2.1.0".into(),
        digest: hex(304),
        bytes: 8_540_000_000,
        licence: "LicenseRef-Riverside".into(),
        serving: 481,
        assigned: 485,
        ..model_row()
    };
    ModelsPage {
        shell: shell("/models"),
        rows: vec![model_row(), revoked, large],
        publish_command: String::new(),
    }
}

pub fn models_empty() -> ModelsPage {
    ModelsPage {
        shell: shell("/models"),
        publish_command: "freehold release publish --model DIR".into(),
        ..Default::default()
    }
}

pub fn model() -> ModelPage {
    ModelPage {
        shell: shell("/models/freehold-guide/1.0.0"),
        row: model_row(),
        fingerprints: vec![
            finger("Signer's key", 301, "north pebble iris falcon"),
            finger("Root digest of the signature", 300, ""),
        ],
        signature_kind: "OpenSSF Model Signing, key (P-256)".into(),
        files: vec![
            ModelFile {
                path: "freehold-guide.gguf".into(),
                bytes: 9_090_112,
                sha256: hex(601),
            },
            ModelFile {
                path: "model-card.md".into(),
                bytes: 11_204,
                sha256: hex(602),
            },
            ModelFile {
                path: "bom.cdx.json".into(),
                bytes: 2_917,
                sha256: hex(603),
            },
        ],
        bom: vec![
            ("Component".into(), "freehold-guide 1.0.0".into()),
            ("Architecture".into(), "llama, 4.2 million parameters".into()),
            ("Trained on".into(), "text that the project wrote itself".into()),
            ("Licence".into(), "Apache-2.0".into()),
        ],
        bom_digest: hex(603),
        places: vec![
            Place {
                box_id: "amber-fox-9d1e".into(),
                label: "box1".into(),
                site: "site-1".into(),
                verdict: VerdictWord::TrustedSimulated,
                phase: Some(ModelPhase::Serving),
                reason: String::new(),
            },
            Place {
                box_id: "cedar-owl-77a2".into(),
                label: "box3".into(),
                site: "site-1".into(),
                verdict: VerdictWord::Refused,
                phase: Some(ModelPhase::Stopped),
                reason: "no verdict lease".into(),
            },
        ],
        verify_command: "freehold model verify DIR --bundle model.sig --key publisher.pub".into(),
        ..Default::default()
    }
}

pub fn model_revoked() -> ModelPage {
    let mut page = model();
    page.row.version = "0.9.0".into();
    page.row.revoked = Some("answers name people from the training text".into());
    page.bom_digest = String::new();
    page.places = Vec::new();
    page
}

pub fn releases() -> ReleasesPage {
    let role = |name: &str, version, days: i64, threshold, keys: &[u64], custody: &str| Role {
        name: name.into(),
        version,
        expires: NOW + days * 86_400,
        threshold,
        keys: keys.iter().map(|seed| hex(*seed)).collect(),
        custody: custody.into(),
    };
    let target = |name: &str, kind: &str, bytes, seed, revoked| Target {
        name: name.into(),
        kind: kind.into(),
        bytes,
        sha256: hex(seed),
        here: true,
        revoked,
    };
    ReleasesPage {
        shell: shell("/releases"),
        faults: Vec::new(),
        roles: vec![
            role("root", 1, 365, 2, &[700, 701, 702], "offline"),
            role("targets", 14, 90, 1, &[703], "offline"),
            role("snapshot", 14, 90, 1, &[703], "offline"),
            role("timestamp", 2_188, 1, 1, &[704], "this console"),
        ],
        targets: vec![
            target("models/freehold-guide/1.0.0/release.json", "model", 1_822, 710, false),
            target(
                "models/freehold-guide/1.0.0/freehold-guide.gguf",
                "",
                9_090_112,
                711,
                false,
            ),
            target("models/freehold-guide/0.9.0/release.json", "model", 1_811, 712, true),
            target("policies/baseline/3.json", "policy", 6_120, 713, false),
            target("revocations.json", "revocations", 412, 714, false),
        ],
        revocations: vec![Revocation {
            what: "models/freehold-guide/0.9.0".into(),
            reason: "answers name people from the training text".into(),
            at: Some(NOW - 400_000),
        }],
        first_root: hex(720),
        publish_command: String::new(),
    }
}

pub fn releases_empty() -> ReleasesPage {
    ReleasesPage {
        shell: shell("/releases"),
        publish_command: "freehold release publish --model DIR".into(),
        ..Default::default()
    }
}

pub fn record() -> RecordPage {
    let entries = (0..3_u64)
        .flat_map(|round| {
            one_box::entries().into_iter().map(move |mut entry| {
                entry.index -= round * 300;
                entry.at -= round as i64 * 86_400;
                entry
            })
        })
        .collect();
    RecordPage {
        shell: shell("/record"),
        kinds: vec![
            "assignment.signed".into(),
            "enrol.approved".into(),
            "enrol.proved".into(),
            "verdict.changed".into(),
        ],
        entries,
        size: 1_483,
        older: Some(587),
        checkpoint: Some(Checkpoint {
            origin: "freehold/riverside/console".into(),
            size: 1_483,
            root: hex(800),
            at: Some(NOW - 21),
            cosigned_by: Vec::new(),
        }),
        key: Some(finger("Key of this record", 801, "slate orchid tower heron")),
        verify_commands: vec!["freehold-inspect record ./record --key console-record.pub".into()],
        boxes: vec![
            BoxRecord {
                box_id: "amber-fox-9d1e".into(),
                size: 1_204,
                root: hex(802),
                cosigned: NOW - 61,
                fault: None,
            },
            BoxRecord {
                box_id: "cedar-owl-77a2".into(),
                size: 88,
                root: hex(803),
                cosigned: NOW - 4_000,
                fault: Some("record.forked".into()),
            },
        ],
        ..Default::default()
    }
}

pub fn reports() -> ReportsPage {
    ReportsPage {
        shell: Shell {
            parts: Parts {
                reports: true,
                ..Parts::default()
            },
            ..shell("/reports")
        },
        boxes: vec![freehold_views::reports::Subject {
            value: "amber-fox-9d1e".into(),
            label: "Radiology B (amber-fox-9d1e)".into(),
        }],
        models: vec![freehold_views::reports::Subject {
            value: hex(5),
            label: "triage-8b 2.1.0".into(),
        }],
        made: vec![freehold_views::reports::Made {
            at: NOW - 86_400,
            by: "ines.audit".into(),
            text: format!("scope the fleet · sha256 {}", hex(9)),
            index: 18_204,
        }],
        verify_command: "freehold-inspect report FILE.fhz --key 'freehold/console/f1+0badc0de+AQID'".into(),
    }
}

pub fn reports_empty() -> ReportsPage {
    ReportsPage {
        shell: shell("/reports"),
        verify_command: "freehold-inspect report FILE.fhz --key 'freehold/console/f1+0badc0de+AQID'".into(),
        ..ReportsPage::default()
    }
}

pub fn record_empty() -> RecordPage {
    RecordPage {
        shell: shell("/record"),
        ..Default::default()
    }
}

pub fn settings() -> SettingsPage {
    let key = |name: &str, worth: &str, seed, words: &str, development, days: Option<i64>| Key {
        name: name.into(),
        worth: worth.into(),
        kind: "P-256".into(),
        fingerprint: finger(name, seed, words),
        development,
        not_after: days.map(|days| NOW + days * 86_400),
    };
    let mut page = SettingsPage {
        shell: shell("/settings"),
        fleet: FleetFacts {
            settings_digest: hex(900),
            id: "riverside-4f21".into(),
            made: Some(NOW - 900_000),
            accepts_simulated: true,
            sites: vec!["Main House".into(), "North Clinic".into()],
            people_address: "https://console.example:8443".into(),
            boxes_address: "https://console.example:8444".into(),
            proof_every_s: Some(60),
        },
        keys: vec![
            key(
                "director",
                "Moves boxes among signed, unrevoked, not older releases; nothing else.",
                900,
                "willow copper anchor raven",
                true,
                None,
            ),
            key(
                "timestamp",
                "Says that the repository is fresh.",
                901,
                "juniper clay sparrow mint",
                true,
                None,
            ),
            key(
                "fleet CA",
                "Lets boxes and console speak TLS; proves no identity.",
                902,
                "basil flint comet dune",
                false,
                Some(3_650),
            ),
            key(
                "record",
                "Signs checkpoints of this console's record.",
                903,
                "slate orchid tower heron",
                false,
                None,
            ),
        ],
        roots: vec![
            Root {
                name: "Infineon OPTIGA TPM 2.0 ECC Root CA".into(),
                software: false,
                fingerprint: hex(910),
                not_after: Some(NOW + 400_000_000),
            },
            Root {
                name: "swtpm local CA of the demonstration".into(),
                software: true,
                fingerprint: hex(911),
                not_after: None,
            },
        ],
        policies: vec![
            Policy {
                name: "accept-simulated".into(),
                effect: "permit".into(),
                says: "Evidence of a software TPM is taken, as trusted (simulated) at most.".into(),
                release: "policies/baseline/3".into(),
            },
            Policy {
                name: "model-signed".into(),
                effect: "forbid".into(),
                says: "A model without a signature by a named key.".into(),
                release: "built in".into(),
            },
        ],
        sessions: vec![Session {
            factor: "password".into(),
            id: "s-1".into(),
            account: "mira.okafor".into(),
            since: NOW - 4_000,
            last: NOW - 2,
            until: NOW + 24_000,
            from: "10.20.1.7".into(),
            current: true,
        }],
        accounts: vec![
            Account {
                name: "admin".into(),
                role: "administrator".into(),
                created: Some(NOW - 900_000),
                last_sign_in: None,
                one_time_password: true,
            },
            Account {
                name: "mira.okafor".into(),
                role: "operator".into(),
                created: Some(NOW - 800_000),
                last_sign_in: Some(NOW - 4_000),
                one_time_password: false,
            },
        ],
        pair_command: "freehold box pair --file pairing.json".into(),
        may_administer: true,
    };
    page.shell.notice = Some(Notice {
        text: "The password was changed.".into(),
        outcome: Outcome::Done,
    });
    page.shell.development_keys = true;
    page
}

pub fn search() -> SearchPage {
    let mut page = SearchPage {
        shell: shell("/search?q=release.rollback"),
        hits: vec![Hit {
            kind: "box".into(),
            verdict: Some(VerdictWord::TrustedSimulated),
            title: "amber-fox-9d1e".into(),
            detail: "refused freehold-guide 0.9.0 with release.rollback".into(),
            href: "/boxes/amber-fox-9d1e".into(),
        }],
    };
    page.shell.query = "release.rollback".into();
    page
}

pub fn search_empty() -> SearchPage {
    let mut page = SearchPage {
        shell: shell("/search?q=zebra"),
        hits: Vec::new(),
    };
    page.shell.query = "zebra".into();
    page
}

pub fn failure() -> FailurePage {
    FailurePage {
        shell: shell("/boxes/amber-fox-9d1e/propose"),
        status: 403,
        code: "console.forbidden_example".into(),
        request_id: "01JD4X9Q2M".into(),
        what: "Your role may not do this".into(),
        not_done: "The box was not approved.".into(),
        next: "Ask an operator or an administrator of this site.".into(),
    }
}

/// Findings: open, open again, accepted, not affected.
pub fn advisories() -> AdvisoriesPage {
    use freehold_views::advisories::{FindingRow, PlaceRow};
    let row = |advisory: &str, severity: &str, package: &str, state: &str| FindingRow {
        advisory: advisory.into(),
        aliases: vec!["CVE-2026-31337".into()],
        summary: "a certificate that is made for it makes the parser read past its end".into(),
        severity: severity.into(),
        package: package.into(),
        version: "3.5.4-1~deb13u1".into(),
        fixed: vec!["3.5.4-1~deb13u2".into()],
        boxes: 212,
        state: state.into(),
        open: state.starts_with("open"),
    };
    AdvisoriesPage {
        shell: shell("/releases/advisories?package=openssl"),
        faults: vec![],
        known: 51_204,
        modified: Some(NOW - 86_400),
        stale: String::new(),
        without_bill: vec!["engines/llama/1.0.0/release.json".into()],
        rows: vec![
            row("DSA-6012-1", "critical", "pkg:deb/debian/libssl3t64", "open"),
            row("DSA-6009-1", "high", "pkg:deb/debian/libzstd1", "open again: expired"),
            row(
                "RUSTSEC-2026-0107",
                "medium",
                "pkg:cargo/rustls",
                "accepted by mira.okafor: no box is a server to strangers",
            ),
            row(
                "CVE-2026-20001",
                "low",
                "pkg:deb/debian/systemd",
                "not affected: vulnerable_code_not_present",
            ),
        ],
        total: 4,
        package: "openssl".into(),
        places: vec![PlaceRow {
            box_id: "amber-fox-9d1e".into(),
            part: "systems/freehold/1.0.0/release.json".into(),
            component: "pkg:deb/debian/libssl3t64@3.5.4-1~deb13u1?arch=amd64&distro=trixie".into(),
        }],
        may_accept: true,
        publish_command: "freehold release publish".into(),
    }
}

/// No advisories have come yet.
pub fn advisories_empty() -> AdvisoriesPage {
    AdvisoriesPage {
        shell: shell("/releases/advisories"),
        stale: "no advisories have been imported: nothing is known, which is not that nothing is wrong".into(),
        publish_command: "freehold release publish publisher --kind advisories --file osv.jsonl".into(),
        ..Default::default()
    }
}
