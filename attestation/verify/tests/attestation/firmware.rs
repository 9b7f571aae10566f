//! What firmware does and says before the boot loader: cases C08 to C11, C17, C22.

use crate::made_log::{Made, codes, demonstration, efi_name, events, place, verdict, write};
use crate::paper_tpm::{NOW, PaperBox};
use freehold_trust::sha256;
use freehold_verify::Refusal as _;
use freehold_verify::boot::{PcrOutcome, PcrRule, appraise};
use freehold_verify::event_log::canonical::CanonicalLog;
use freehold_verify::event_log::{EventKind, EventLog, FirmwareNote};
use freehold_verify::evidence::{BootShown, verify_evidence};
use freehold_verify::quote::PcrValues;

fn action(pcr: u32, words: &[u8]) -> Made {
    Made {
        pcr,
        kind: EventKind::EFI_ACTION.0,
        digest: sha256(words),
        data: words.to_vec(),
    }
}

/// What the demonstration's manifest would say of PCR 7 when a person took this firmware as it is.
fn taken_as_it_is(list: &[Made]) -> (Vec<u8>, freehold_verify::boot::Manifest) {
    let (_, mut manifest) = demonstration();
    manifest.pcrs.remove(&7);
    (write(list), manifest)
}

#[test]
fn c08_debug_mode_and_open_memory_are_shown_under_any_type() {
    let (log, _) = demonstration();
    assert!(EventLog::parse(&log).unwrap().firmware_notes().is_empty());
    for (words, note) in [
        (&b"UEFI Debug Mode"[..], FirmwareNote::DebugMode),
        (&b"UEFI Debug Mode\0"[..], FirmwareNote::DebugMode),
        (&b"DMA Protection Disabled"[..], FirmwareNote::DmaProtectionOff),
    ] {
        let mut list = events(&log);
        list.insert(place(&list, 7, EventKind::SEPARATOR), action(7, words));
        let changed = write(&list);
        assert_eq!(EventLog::parse(&changed).unwrap().firmware_notes(), [note].into());
        // Relabelled, its words taken away: the digest still says it.
        let at = list.iter().position(|event| event.digest == sha256(words)).unwrap();
        list[at].kind = 2;
        list[at].data.clear();
        assert_eq!(
            EventLog::parse(&write(&list)).unwrap().firmware_notes(),
            [note].into(),
            "relabelled"
        );
        // A manifest that names PCR 7 event by event refuses it anyway; the claims carry the note for the policy.
        let claims = verdict(changed, None);
        assert_eq!(
            (claims.boot, claims.firmware_notes),
            (BootShown::NotShown, [note].into())
        );
    }
}

#[test]
fn c09_an_authority_before_the_separator_is_shown() {
    let (log, _) = demonstration();
    let mut list = events(&log);
    let authority = list.iter().find(|event| event.kind == 0x8000_00e0).unwrap().clone();
    let at = place(&list, 7, EventKind::SEPARATOR);
    assert!(
        list.iter().position(|event| event.kind == 0x8000_00e0).unwrap() > at,
        "the demonstration's stands behind it"
    );
    list.insert(at, authority);
    let claims = verdict(write(&list), None);
    assert_eq!(claims.firmware_notes, [FirmwareNote::OptionRom].into());
    assert_eq!(claims.boot, BootShown::NotShown, "and the manifest does not know it");
}

#[test]
fn c10_what_the_machine_itself_forbids_is_refused_and_its_list_may_not_be_old() {
    // The boot loader that runs is on the measured list: the firmware does not keep it, or the list came later.
    let (log, _) = demonstration();
    let mut list = events(&log);
    let loader = list[place(&list, 4, EventKind::EFI_BOOT_SERVICES_APPLICATION)].digest;
    let at = list
        .iter()
        .position(|event| efi_name(event).as_deref() == Some("dbx"))
        .unwrap();
    let end = list[at].data.len();
    list[at].data[end - 32..].copy_from_slice(loader.as_bytes());
    list[at].digest = sha256(&list[at].data);
    let (bytes, manifest) = taken_as_it_is(&list);
    let judged = |bytes: &[u8], manifest: &freehold_verify::boot::Manifest| -> Vec<&'static str> {
        let log = EventLog::parse(bytes).unwrap();
        let replayed = log.replay_sha256();
        let covered: Vec<u8> = manifest.covered().into();
        let quoted = PcrValues::of(covered.iter().map(|pcr| (*pcr, replayed[usize::from(*pcr)])).collect()).unwrap();
        appraise(&log, &CanonicalLog::default(), &quoted, manifest)
            .reasons
            .iter()
            .map(|reason| reason.code())
            .filter(|code| code.starts_with("boot.forbidden"))
            .collect()
    };
    assert_eq!(judged(&bytes, &manifest), ["boot.forbidden"]);
    // The same under the type of a firmware volume.
    let mut hidden = list.clone();
    let loader_at = place(&hidden, 4, EventKind::EFI_BOOT_SERVICES_APPLICATION);
    hidden[loader_at].kind = 0x8000_0008;
    assert_eq!(judged(&write(&hidden), &manifest), ["boot.forbidden"]);
    // A list that was edited and not measured forbids nothing, and the edit is a reason of its own.
    let mut edited = events(&log);
    edited[at].data = list[at].data.clone();
    assert_eq!(judged(&write(&edited), &manifest), Vec::<&str>::new());
    assert!(codes(&verdict(write(&edited), None)).contains(&"boot.event_data"));

    // The release demands hashes that a list of 2021 has and one of 2014 has not.
    let (log, mut manifest) = taken_as_it_is(&events(&log));
    manifest.forbidden = vec![sha256(b"a loader that was revoked")];
    assert_eq!(judged(&log, &manifest), Vec::<&str>::new());
    manifest.forbidden.push(sha256(b"a loader that was revoked in 2021"));
    assert_eq!(judged(&log, &manifest), ["boot.forbidden_list"]);
}

#[test]
fn c11_the_hand_over_happens_once_and_nothing_is_loaded_before_it() {
    let (log, _) = demonstration();
    let call = b"Calling EFI Application from Boot Option";
    let list = events(&log);
    let first = list.iter().position(|event| event.pcr == 4).unwrap();
    // Twice: an attempt that returned, and another program after it.
    let mut twice = list.clone();
    twice.insert(first, action(4, call));
    twice.insert(first + 1, action(4, call));
    assert_eq!(verdict(write(&twice), None).boot, BootShown::NotShown);
    // A program before the hand-over: the first event that is not the expected one is named.
    let mut before = list.clone();
    before.insert(
        first,
        Made {
            pcr: 4,
            kind: EventKind::EFI_BOOT_SERVICES_APPLICATION.0,
            digest: sha256(b"a shell of the firmware"),
            data: Vec::new(),
        },
    );
    let claims = verdict(write(&before), None);
    assert!(codes(&claims).contains(&"boot.event"), "{:?}", claims.reasons);
    let four = claims.pcrs.iter().find(|claim| claim.index == 4).unwrap();
    let PcrOutcome::Differs(difference) = &four.outcome else {
        panic!("PCR 4 {four:?}")
    };
    assert_eq!(difference.event, Some(first + 1));
}

#[test]
fn c17_a_log_without_the_exit_from_boot_services_is_refused_in_pcr_5_only() {
    // Some firmware forgets to log what it measures when the system takes over. No exception exists here: it is refused, by name.
    let (log, mut manifest) = demonstration();
    let exit = [
        action(5, b"Exit Boot Services Invocation"),
        action(5, b"Exit Boot Services Returned with Success"),
    ];
    let whole = write(&[events(&log), exit.to_vec()].concat());
    let replayed = EventLog::parse(&whole).unwrap().replay_sha256();
    manifest.pcrs.insert(5, PcrRule::Value(replayed[5]));
    let covered: Vec<u8> = manifest.covered().into();
    let quoted = PcrValues::of(covered.iter().map(|pcr| (*pcr, replayed[usize::from(*pcr)])).collect()).unwrap();
    let judge = |bytes: &[u8]| {
        let log = EventLog::parse(bytes).unwrap();
        appraise(&log, &CanonicalLog::default(), &quoted, &manifest)
    };
    assert_eq!(judge(&whole).reasons, []);
    let appraisal = judge(&log);
    let [reason] = appraisal.reasons.as_slice() else {
        panic!("{:?}", appraisal.reasons)
    };
    assert_eq!(reason.code(), "boot.log_mismatch");
    let differing: Vec<u8> = appraisal
        .pcrs
        .iter()
        .filter(|claim| matches!(claim.outcome, PcrOutcome::Differs(_)))
        .map(|claim| claim.index)
        .collect();
    assert_eq!(differing, [5]);
}

/// A record of the kernel's integrity measurements, as `binary_runtime_measurements` has it: PCR, digest, template, data.
fn kernel_record(digest: [u8; 20], template: &str, data: &[u8]) -> Vec<u8> {
    let mut out = 10_u32.to_le_bytes().to_vec();
    out.extend(digest);
    out.extend(u32::try_from(template.len()).unwrap().to_le_bytes());
    out.extend(template.as_bytes());
    out.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    out.extend(data);
    out
}

#[test]
fn c22_lists_of_the_kernels_own_measurements_are_not_believed() {
    // The root is verified whole, so no list of single files is read. One that is sent all the same, whole or broken, is refused
    // or says nothing; PCR 10 is in no selection.
    let good = kernel_record([7; 20], "ima-ng", b"\x0a\0\0\0sha256:\0abc");
    let lists = [
        good.clone(),
        kernel_record([0xff; 20], "ima-ng", b"violation"),
        kernel_record([0; 20], "ima-ng", b"violation"),
        kernel_record([7; 20], "a template that nobody knows", b"x"),
        good[..good.len() - 3].to_vec(),
        [
            good.clone(),
            kernel_record([9; 20], "ima-ng", b"appended, and it looks good"),
        ]
        .concat(),
        b"10 0000000000000000000000000000000000000000 ima-ng sha1:00 boot_aggregate\n".to_vec(),
    ];
    let (log, _) = demonstration();
    for list in lists {
        // As the boot log.
        assert_eq!(verdict(list.clone(), Some(&log)).boot, BootShown::NotShown);
        // As user space's log.
        let paper = PaperBox {
            log: log.clone(),
            ..PaperBox::new("amber-fox-1")
        };
        let mut evidence = paper.evidence_with(paper.bound(), paper.pcrs(), |_| ());
        evidence.runtime_log = list;
        let claims = verify_evidence(&evidence.encode(), &paper.expectation(), NOW).unwrap();
        assert_eq!(claims.boot, BootShown::NotShown);
        let code = claims.reasons[0].code.as_str();
        assert!(code.starts_with("log."), "{code}");
        assert!(claims.pcrs.iter().all(|claim| claim.index != 10));
    }
}
