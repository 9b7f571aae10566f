//! Boots against their manifest: cases A19, C02, C03, C18, C20, C21.

use crate::made_log::{Made, codes, demonstration, efi_name, events, place, verdict, write};

use crate::paper_tpm::{NOW, PaperBox, REQUIRED};
use freehold_trust::{Sha256Digest, sha256};
use freehold_verify::Refusal as _;
use freehold_verify::boot::manifest::extend;
use freehold_verify::boot::uki::{PHASES, SECTIONS, Section, predict};
use freehold_verify::boot::{BootDescription, Manifest, PcrOutcome, PcrRule, PhaseValue, appraise, generate};
use freehold_verify::event_log::canonical::CanonicalLog;
use freehold_verify::event_log::{EventKind, EventLog, SecureBoot};
use freehold_verify::evidence::{BootShown, Evidence, Shown, verify_evidence};
use freehold_verify::quote::PcrValues;

#[test]
fn generated_boots_match_their_manifest() {
    let (log, manifest) = demonstration();
    assert_eq!(demonstration().0, log, "deterministic");
    assert_eq!(write(&events(&log)), log);
    let again = Manifest::parse(&manifest.to_json()).unwrap();
    assert_eq!(again, manifest);
    let parsed = EventLog::parse(&log).unwrap();
    assert_eq!(parsed.secure_boot(), Ok(SecureBoot::On));
    let replay = parsed.replay_sha256();
    for (pcr, rule) in &manifest.pcrs {
        assert_eq!(
            rule.value(&manifest.phase),
            Some(replay[usize::from(*pcr)]),
            "PCR {pcr}"
        );
    }
    assert_eq!(Vec::<u8>::from(manifest.covered()), REQUIRED);
    let claims = verdict(log.clone(), None);
    assert_eq!((claims.boot, claims.reasons.len()), (BootShown::Simulated, 0));
    // The manifest's words are those of the log, where a digest covers them.
    let report = parsed.report();
    for (pcr, rule) in &manifest.pcrs {
        let PcrRule::Events(expected) = rule else { continue };
        let found = report
            .events
            .iter()
            .filter(|e| e.pcr == *pcr && e.kind != "EV_NO_ACTION");
        for (expected, found) in expected.iter().zip(found) {
            assert_eq!(expected.kind, found.kind);
            // systemd's events hold a bare word; the manifest says in full what it stands for.
            let covered = found.verified == Some(true) && found.kind != "EV_IPL";
            assert!(
                !covered || expected.description == found.description,
                "{expected:?} {found:?}"
            );
        }
    }
    assert_eq!(Manifest::parse(b"{}").unwrap_err().code(), "boot.manifest");
    let newer = String::from_utf8(manifest.to_json())
        .unwrap()
        .replace("\"v\": 1", "\"v\": 2");
    assert_eq!(Manifest::parse(newer.as_bytes()).unwrap_err().code(), "boot.manifest");
}

#[test]
fn a_changed_event_is_named() {
    let (log, _) = demonstration();
    let mut list = events(&log);
    // db gets another key: the box really booted with it.
    let at = list.iter().position(|e| efi_name(e).as_deref() == Some("db")).unwrap();
    list[at].data.push(0);
    let length = (list[at].data.len() - 32 - 4) as u64;
    list[at].data[24..32].copy_from_slice(&length.to_le_bytes());
    list[at].digest = sha256(&list[at].data);
    let claims = verdict(write(&list), None);
    assert_eq!(claims.boot, BootShown::NotShown);
    assert_eq!(codes(&claims), ["boot.event", "boot.secure_boot"]);
    let seven = claims.pcrs.iter().find(|pcr| pcr.index == 7).unwrap();
    let PcrOutcome::Differs(difference) = &seven.outcome else {
        panic!()
    };
    assert_eq!(difference.event, Some(at + 1));
    assert_eq!(difference.kind.as_deref(), Some("EV_EFI_VARIABLE_DRIVER_CONFIG"));
    assert!(difference.description.as_deref().unwrap().starts_with("variable db"));
    assert_eq!(difference.found, Some(list[at].digest));
    assert!(
        claims.reasons[0]
            .message
            .contains(&format!("event {} in PCR 7", at + 1)),
        "{}",
        claims.reasons[0].message
    );
    // Every other PCR still matches.
    assert!(
        claims
            .pcrs
            .iter()
            .filter(|pcr| pcr.index != 7)
            .all(|pcr| pcr.outcome == PcrOutcome::Matches)
    );

    // One byte of the log changed, the PCRs as they were: mismatch, and the event is named all the same.
    let mut list = events(&log);
    let at = place(&list, 4, EventKind::EFI_BOOT_SERVICES_APPLICATION);
    let mut digest = *list[at].digest.as_bytes();
    digest[0] ^= 1;
    list[at].digest = Sha256Digest::from_bytes(digest);
    let claims = verdict(write(&list), Some(&log));
    assert_eq!(codes(&claims), ["boot.log_mismatch", "boot.event"]);
    let four = claims.pcrs.iter().find(|pcr| pcr.index == 4).unwrap();
    let PcrOutcome::Differs(difference) = &four.outcome else {
        panic!()
    };
    assert_eq!(
        (difference.code.as_str(), difference.event),
        ("boot.event", Some(at + 1))
    );
    assert!(difference.description.as_deref().unwrap().contains("BOOTX64.EFI"));
}

#[test]
fn c02_relabelled_events_are_refused() {
    // An attacker with the running system relabels every real event of PCR 7 and appends copies that look right, really
    // extended. The type is not covered, so it replays.
    let (log, _) = demonstration();
    let mut list = events(&log);
    let real: Vec<Made> = list.iter().filter(|e| e.pcr == 7).cloned().collect();
    for event in list.iter_mut().filter(|e| e.pcr == 7) {
        event.kind = 2;
    }
    list.extend(real);
    let forged = write(&list);
    assert_ne!(EventLog::parse(&forged).unwrap().secure_boot(), Ok(SecureBoot::On));
    let claims = verdict(forged, None);
    assert_eq!(claims.boot, BootShown::NotShown);
    assert_ne!(claims.secure_boot, Shown::Yes);
    assert!(codes(&claims).contains(&"boot.event_extra"));
    // The same with a manifest that leaves PCR 7 to interpretation.
    let (parsed, mut manifest) = (write(&list), demonstration().1);
    manifest.pcrs.remove(&7);
    let log = EventLog::parse(&parsed).unwrap();
    let quoted = PcrValues::of(vec![(7, log.replay_sha256()[7])]).unwrap();
    let appraisal = appraise(&log, &CanonicalLog::default(), &quoted, &manifest);
    assert_ne!(appraisal.secure_boot, Shown::Yes);
    assert!(appraisal.reasons.iter().any(|r| r.code() == "boot.secure_boot"));
}

#[test]
fn c03_relabelled_boot_loader_is_refused() {
    let (log, manifest) = demonstration();
    let mut list = events(&log);
    let at = place(&list, 4, EventKind::EFI_BOOT_SERVICES_APPLICATION);
    let good = list[at].clone();
    list[at] = Made {
        kind: 0x8000_0008,
        digest: sha256(b"evil loader"),
        ..good.clone()
    };
    list.push(good);
    let claims = verdict(write(&list), None);
    assert_eq!(claims.boot, BootShown::NotShown);
    assert!(codes(&claims).contains(&"boot.event"));
    // Types alone change nothing that is believed: the digests decide.
    let mut list = events(&log);
    list[at].kind = 1;
    let parsed = write(&list);
    let log = EventLog::parse(&parsed).unwrap();
    let quoted = PcrValues::of(vec![(4, log.replay_sha256()[4])]).unwrap();
    assert_eq!(
        appraise(&log, &CanonicalLog::default(), &quoted, &manifest).pcrs[0].outcome,
        PcrOutcome::Matches
    );
}

#[test]
fn c18_another_boot_or_another_order_is_a_mismatch() {
    let (log, _) = demonstration();
    let mut list = events(&log);
    let at = place(&list, 0, EventKind::EFI_PLATFORM_FIRMWARE_BLOB2);
    list.swap(at, at + 1);
    let claims = verdict(write(&list), Some(&log));
    assert_eq!(codes(&claims), ["boot.log_mismatch", "boot.event"]);
    let (other, _) = generate(&BootDescription::demonstration("freehold", "0.9.0"));
    assert!(codes(&verdict(other, Some(&log))).contains(&"boot.log_mismatch"));
    let mut short = events(&log);
    short.pop();
    let claims = verdict(write(&short), None);
    assert_eq!(codes(&claims), ["boot.event_missing"]);
    assert!(claims.reasons[0].message.contains("boot phase ready"));
}

#[test]
fn c20_a_byte_in_any_section_or_phase_moves_pcr_11() {
    let sections: Vec<Section> = SECTIONS.iter().map(|name| Section::of(name, name.as_bytes())).collect();
    let all = predict(&sections, &PHASES);
    let mut reversed = sections.clone();
    reversed.reverse();
    assert_eq!(predict(&reversed, &PHASES), all, "the stub's order, not the caller's");
    let mut seen = vec![all];
    for at in 0..sections.len() {
        let mut other = sections.clone();
        other[at] = Section::of(SECTIONS[at], b"another byte");
        seen.push(predict(&other, &PHASES));
        other.remove(at);
        seen.push(predict(&other, &PHASES));
    }
    for phases in 0..PHASES.len() {
        seen.push(predict(&sections, &PHASES[..phases]));
    }
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count);
    // By the rule, computed step by step: SHA-256(name, NUL), then SHA-256(contents).
    let mut value = Sha256Digest::default();
    for digest in [sha256(b".linux\0"), sha256(b"kernel"), sha256(b"ready")] {
        value = extend(&value, digest.as_bytes());
    }
    assert_eq!(predict(&[Section::of(".linux", b"kernel")], &["ready"]), value);
}

#[test]
fn c21_command_lines_and_extensions_beside_the_image_are_refused() {
    let (log, _) = demonstration();
    for pcr in [12, 13] {
        let mut list = events(&log);
        let data = b"init=/bin/sh".to_vec();
        list.push(Made {
            pcr,
            kind: 0x0d,
            digest: sha256(&data),
            data,
        });
        let claims = verdict(write(&list), None);
        assert_eq!(codes(&claims), ["boot.value"], "PCR {pcr}");
        assert_eq!(claims.boot, BootShown::NotShown);
    }
    let mut list = events(&log);
    list.push(Made {
        pcr: 4,
        kind: 0x8000_0003,
        digest: sha256(b"more"),
        data: vec![],
    });
    assert_eq!(codes(&verdict(write(&list), None)), ["boot.event_extra"]);
}

/// The demonstration, with PCR 11 by its phases, as a real release's manifest has it.
fn by_phases() -> (Vec<u8>, Manifest) {
    let (log, mut manifest) = demonstration();
    let sections: Vec<Section> = BootDescription::demonstration("freehold", "1.0.0")
        .sections
        .iter()
        .map(|(name, data)| Section::of(name, data))
        .collect();
    let values = (1..=PHASES.len()).map(|n| PhaseValue {
        phase: PHASES[n - 1].to_owned(),
        value: predict(&sections, &PHASES[..n]),
    });
    manifest.pcrs.insert(11, PcrRule::Phases(values.collect()));
    (log, manifest)
}

#[test]
fn a19_an_early_phase_is_not_the_required_one() {
    let (log, manifest) = by_phases();
    let parsed = EventLog::parse(&log).unwrap();
    let ready = PcrValues::of(vec![(11, parsed.replay_sha256()[11])]).unwrap();
    assert_eq!(
        appraise(&parsed, &CanonicalLog::default(), &ready, &manifest).pcrs[0].outcome,
        PcrOutcome::Matches
    );
    let mut early = events(&log);
    early.truncate(early.len() - 3);
    let early = write(&early);
    let early = EventLog::parse(&early).unwrap();
    let quoted = PcrValues::of(vec![(11, early.replay_sha256()[11])]).unwrap();
    let appraisal = appraise(&early, &CanonicalLog::default(), &quoted, &manifest);
    let phase = appraisal.reasons.iter().find(|r| r.code() == "boot.phase").unwrap();
    assert_eq!(
        (phase.expected().as_deref(), phase.found().as_deref()),
        (Some("ready"), Some("enter-initrd"))
    );
    let other = PcrValues::of(vec![(11, sha256(b"other"))]).unwrap();
    assert!(
        appraise(&early, &CanonicalLog::default(), &other, &manifest)
            .reasons
            .iter()
            .any(|r| r.code() == "boot.log_mismatch")
    );
    // Everything that the manifest has a rule for must be quoted.
    assert!(appraisal.reasons.iter().any(|r| r.code() == "boot.not_quoted"));
}

/// A record as systemd-pcrextend writes it.
fn record(pcr: u8, word: &str) -> String {
    let digest = sha256(word.as_bytes());
    format!(
        "\u{1e}{{\"pcr\":{pcr},\"digests\":[{{\"hashAlg\":\"sha256\",\"digest\":\"{digest}\"}}],\
         \"content_type\":\"systemd\",\"content\":{{\"string\":\"{word}\",\"eventType\":\"phase\"}}}}\n"
    )
}

// promise S-87
#[test]
fn what_user_space_measures_counts_as_far_as_the_quote_covers_it() {
    let (log, manifest) = by_phases();
    let whole = EventLog::parse(&log).unwrap().replay_sha256();
    let quoted = PcrValues::of(REQUIRED.map(|pcr| (pcr, whole[usize::from(pcr)])).to_vec()).unwrap();
    // The firmware's log ends in the initrd; the phases after it are systemd's to measure.
    let mut firmware = events(&log);
    firmware.truncate(firmware.len() - 3);
    let firmware = write(&firmware);
    let firmware = EventLog::parse(&firmware).unwrap();
    let read = |records: &[String]| CanonicalLog::parse(records.concat().as_bytes()).unwrap();
    let phases: Vec<String> = PHASES[1..].iter().map(|word| record(11, word)).collect();

    let runtime = read(&phases);
    assert_eq!(appraise(&firmware, &runtime, &quoted, &manifest).reasons, []);
    assert_eq!(
        runtime.not_covered(&firmware.replay_sha256(), &quoted),
        Vec::<String>::new()
    );

    // Measured between the quote and the reading of the log: not covered, and no reason against the box.
    let later = read(&[phases.clone(), vec![record(11, "shutdown"), record(15, "a model")]].concat());
    assert_eq!(appraise(&firmware, &later, &quoted, &manifest).reasons, []);
    assert_eq!(
        later.not_covered(&firmware.replay_sha256(), &quoted),
        ["PCR 11: phase shutdown", "PCR 15: phase a model"]
    );

    // Left out, exchanged or invented: the log does not lead to the quote.
    let mut swapped = phases.clone();
    swapped.swap(0, 1);
    let invented = [vec![record(11, "invented")], phases.clone()].concat();
    for wrong in [&phases[1..], &swapped, &invented, &[]] {
        let appraisal = appraise(&firmware, &read(wrong), &quoted, &manifest);
        let codes: Vec<_> = appraisal.reasons.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes, ["boot.log_mismatch"], "{wrong:?}");
    }
}

#[test]
fn the_log_of_user_space_travels_with_the_evidence() {
    let (log, _) = by_phases();
    let claims = |runtime: &[u8]| {
        let mut firmware = events(&log);
        firmware.truncate(firmware.len() - 3);
        let paper = PaperBox {
            log: write(&firmware),
            manifests: vec![by_phases().1],
            ..PaperBox::new("amber-fox-9d1e")
        };
        let whole = EventLog::parse(&log).unwrap().replay_sha256();
        let pcrs = PcrValues::of(REQUIRED.map(|pcr| (pcr, whole[usize::from(pcr)])).to_vec()).unwrap();
        let mut evidence = paper.evidence_with(paper.bound(), pcrs, |_| ());
        evidence.runtime_log = runtime.to_vec();
        let bytes = evidence.encode();
        assert_eq!(Evidence::decode(&bytes).unwrap(), evidence);
        verify_evidence(&bytes, &paper.expectation(), NOW).unwrap().into_inner()
    };
    let phases: String = PHASES[1..].iter().map(|word| record(11, word)).collect();
    assert_eq!(claims(phases.as_bytes()).boot, BootShown::Simulated);
    assert_eq!(claims(b"").boot, BootShown::NotShown);
    assert_eq!(codes(&claims(b"")), ["boot.log_mismatch"]);
    // Nonsense in it leaves the boot not shown; the quote itself stands.
    assert_eq!(claims(b"{").boot, BootShown::NotShown);
}
