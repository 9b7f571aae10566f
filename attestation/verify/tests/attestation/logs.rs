//! Boot logs: cases C01, C04 to C07, C12 to C16, C19, C23.

use crate::made_log::{Made, codes, demonstration, efi_name, events, place, verdict, write};
use std::time::{Duration, Instant};

use crate::real_tpm::vector;
use freehold_trust::{HashAlgorithm, Sha256Digest, sha256};
use freehold_verify::Refusal as _;
use freehold_verify::boot::manifest::extend;
use freehold_verify::event_log::canonical::CanonicalLog;
use freehold_verify::event_log::efi::{self, Variable, image_path, parse_gpt, parse_signature_lists};
use freehold_verify::event_log::{DataCheck, EventKind, EventLog, SecureBoot};
use freehold_verify::evidence::{BootShown, Shown};

#[test]
fn c01_published_logs_replay() {
    let Some(path) = vector("tpm-event-logs/expected-pcrs.json") else {
        return;
    };
    let list: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let mut checked = 0;
    for entry in list.as_array().unwrap() {
        let name = entry["log"].as_str().unwrap();
        let bytes = std::fs::read(path.with_file_name(name)).unwrap();
        let log = EventLog::parse(&bytes).unwrap();
        let hash = match entry["bank"].as_str().unwrap() {
            "sha1" => HashAlgorithm::Sha1,
            "sha256" => HashAlgorithm::Sha256,
            "sha384" => HashAlgorithm::Sha384,
            other => panic!("bank {other}"),
        };
        let replay = log.replay(hash).unwrap();
        for (pcr, value) in entry["pcrs"].as_object().unwrap() {
            let pcr: u8 = pcr.parse().unwrap();
            assert_eq!(
                hex::encode(replay.value(pcr).unwrap()),
                value.as_str().unwrap(),
                "{name} PCR {pcr}"
            );
            checked += 1;
        }
        if hash == HashAlgorithm::Sha256 {
            let fast = log.replay_sha256();
            assert!((0..24).all(|pcr| replay.value(pcr).unwrap() == fast[usize::from(pcr)].as_bytes()));
        }
        // Real firmware keeps the rule that C04 rests on.
        for event in log.events() {
            assert_ne!(
                event.check_data(),
                DataCheck::Differs,
                "{name} event {} {}",
                event.index,
                event.describe()
            );
        }
        let report = log.report();
        assert_eq!(report.events.len(), log.events().len());
        assert!(
            report
                .events
                .iter()
                .all(|e| !e.description.chars().any(char::is_control))
        );
        println!(
            "{name} {hash:?}: {:?}, {} events",
            log.secure_boot(),
            log.events().len()
        );
    }
    println!("{checked} values");
    assert!(checked > 80);
}

#[test]
fn c04_changed_event_data_is_found() {
    let (log, _) = demonstration();
    let count = events(&log).len();
    let mut found = 0;
    for at in 0..count {
        let mut list = events(&log);
        if !EventKind(list[at].kind).digest_is_of_data() {
            continue;
        }
        let last = list[at].data.len() - 1;
        list[at].data[last] ^= 1;
        let changed = write(&list);
        let parsed = EventLog::parse(&changed).unwrap();
        assert_eq!(parsed.events()[at + 1].check_data(), DataCheck::Differs);
        assert_eq!(parsed.report().events[at + 1].verified, Some(false));
        let claims = verdict(changed, None);
        assert_eq!(claims.boot, BootShown::NotShown, "event {at}");
        assert!(codes(&claims).contains(&"boot.event_data"));
        found += 1;
    }
    assert!(found > 15);
}

#[test]
fn c05_separators_are_one_and_zero() {
    let (log, _) = demonstration();
    let at = |list: &[Made]| place(list, 7, EventKind::SEPARATOR);
    let code = |list: &[Made]| {
        EventLog::parse(&write(list))
            .unwrap()
            .secure_boot()
            .map_err(|e| e.code())
    };
    assert_eq!(code(&events(&log)), Ok(SecureBoot::On));
    let mut list = events(&log);
    let separator = list[at(&list)].clone();
    list.push(separator.clone());
    assert_eq!(code(&list), Err("log.separator"));
    let mut list = events(&log);
    list.remove(at(&list));
    assert_eq!(code(&list), Err("log.separator"));
    for data in [[0xff; 4], [1, 0, 0, 0], [2, 0, 0, 0]] {
        let mut list = events(&log);
        let place = at(&list);
        list[place] = Made {
            digest: sha256(&data),
            data: data.to_vec(),
            ..separator.clone()
        };
        assert_eq!(code(&list), Err("log.separator"), "{data:?}");
        // Under another type (go-eventlog b9c4e7a: the error value was not recognised).
        list[place].kind = 5;
        assert_ne!(code(&list), Ok(SecureBoot::On));
        let mut both = events(&log);
        both.insert(
            at(&both),
            Made {
                kind: 5,
                digest: sha256(&data),
                data: data.to_vec(),
                ..separator.clone()
            },
        );
        if data != [2, 0, 0, 0] {
            assert_eq!(code(&both), Err("log.separator"), "{data:?} relabelled");
        }
    }
}

#[test]
fn c06_c07_secure_boot_is_measured_once_before_the_separator() {
    let (log, _) = demonstration();
    let secure = |list: &[Made]| {
        list.iter()
            .position(|e| efi_name(e).as_deref() == Some("SecureBoot"))
            .unwrap()
    };
    let code = |list: &[Made]| {
        EventLog::parse(&write(list))
            .unwrap()
            .secure_boot()
            .map_err(|e| e.code())
    };
    let with_value = |value: &[u8]| {
        let mut list = events(&log);
        let at = secure(&list);
        let end = list[at].data.len() - 1;
        list[at].data.truncate(end);
        list[at].data.extend(value);
        list[at].data[24..32].copy_from_slice(&(value.len() as u64).to_le_bytes());
        list[at].digest = sha256(&list[at].data);
        list
    };
    assert_eq!(code(&with_value(&[1])), Ok(SecureBoot::On));
    assert_eq!(code(&with_value(&[0])), Ok(SecureBoot::Off));
    for value in [&[][..], &[1, 0], &[2]] {
        assert_eq!(code(&with_value(value)), Err("log.secure_boot"));
    }
    let mut twice = events(&log);
    twice.insert(0, twice[secure(&twice)].clone());
    assert_eq!(code(&twice), Err("log.secure_boot"));
    let mut late = events(&log);
    let event = late.remove(secure(&late));
    late.push(event);
    assert_eq!(code(&late), Err("log.secure_boot"));
    for name in ["PK", "KEK", "db", "SecureBoot"] {
        let mut list = events(&log);
        list.retain(|e| efi_name(e).as_deref() != Some(name) || e.kind == 0x8000_00e0);
        assert_eq!(code(&list), Err("log.secure_boot"), "{name}");
    }
    let mut list = events(&log);
    list.retain(|e| e.kind != 0x8000_00e0);
    assert_eq!(code(&list), Err("log.secure_boot"), "no authority");
    // A box whose release demands it and whose firmware has it off.
    let claims = verdict(write(&with_value(&[0])), None);
    assert_eq!((claims.secure_boot, claims.boot), (Shown::No, BootShown::NotShown));
    assert!(codes(&claims).contains(&"boot.secure_boot"));
}

#[test]
fn c12_startup_locality_sets_the_first_value_of_pcr_0() {
    let (log, manifest) = demonstration();
    let locality = |byte: u8| Made {
        pcr: 0,
        kind: 3,
        digest: Sha256Digest::default(),
        data: [b"StartupLocality\0".as_slice(), &[byte]].concat(),
    };
    let first = events(&log).iter().find(|e| e.pcr == 0).unwrap().digest;
    for byte in [0, 3, 4, 9] {
        let list = [vec![locality(byte)], events(&log)].concat();
        let mut start = [0; 32];
        start[31] = byte;
        let one = write(&list[..2]);
        let replay = EventLog::parse(&one).unwrap();
        assert_eq!(replay.startup_locality(), Some(byte));
        assert_eq!(
            replay.replay_sha256()[0],
            extend(&Sha256Digest::from_bytes(start), first.as_bytes())
        );
        assert_eq!(
            replay.replay(HashAlgorithm::Sha256).unwrap().value(0),
            Some(replay.replay_sha256()[0].as_bytes().as_slice())
        );
        // A locality that the TPM was not started from: mismatch.
        let claims = verdict(write(&list), Some(&log));
        let expected = if byte == 0 { vec![] } else { vec!["boot.log_mismatch"] };
        assert_eq!(codes(&claims), expected, "locality {byte}");
    }
    // After an event of PCR 0 it says nothing any more.
    let late = write(&[events(&log), vec![locality(3)]].concat());
    assert_eq!(EventLog::parse(&late).unwrap().startup_locality(), None);
    assert!(manifest.simulated);
}

#[test]
fn c13_no_action_changes_nothing() {
    let (log, _) = demonstration();
    let before = EventLog::parse(&log).unwrap().replay_sha256();
    let mut list = events(&log);
    for pcr in [0, 5, 7, 16] {
        let data = b"Spec ID Event03\0 and whatever follows".to_vec();
        list.insert(
            3,
            Made {
                pcr,
                kind: 3,
                digest: sha256(&data),
                data,
            },
        );
    }
    let noted = write(&list);
    let parsed = EventLog::parse(&noted).unwrap();
    assert_eq!(parsed.replay_sha256(), before);
    assert_eq!(parsed.banks().len(), 1);
    assert_eq!(verdict(noted, None).reasons, []);
}

#[test]
fn c14_hostile_lengths_end_early() {
    let (log, _) = demonstration();
    let code = |bytes: &[u8]| {
        let started = Instant::now();
        let found = EventLog::parse(bytes).err().map_or("accepted", |e| e.code());
        assert!(started.elapsed() < Duration::from_millis(10 * 20), "{found}"); // 10 ms, and a busy machine
        found
    };
    let at = 65; // the first event after the Spec ID event
    let patched = |offset: usize, bytes: &[u8]| {
        let mut bad = log.clone();
        bad[offset..offset + bytes.len()].copy_from_slice(bytes);
        bad
    };
    assert_eq!(code(&log), "accepted");
    assert_eq!(code(&patched(at + 8, &[0, 0, 0, 0])), "log.algorithms");
    assert_eq!(code(&patched(at + 8, &[0xff; 4])), "log.algorithms");
    assert_eq!(code(&patched(at + 8, &[2, 0, 0, 0])), "log.algorithms");
    assert_eq!(code(&patched(at + 12, &[4, 0])), "log.algorithms");
    assert_eq!(code(&patched(at + 12, &[0x99, 0x99])), "log.algorithms");
    assert_eq!(
        code(&patched(at + 46, &3_000_000_000_u32.to_le_bytes())),
        "log.truncated"
    );
    assert_eq!(code(&patched(28, &[0xff; 4])), "log.truncated");
    assert_eq!(code(&patched(32 + 24, &[0; 4])), "log.field", "no bank at all");
    assert_eq!(code(&patched(32 + 24, &[0xff; 4])), "log.field");
    assert_eq!(
        code(&patched(32 + 30, &[20, 0])),
        "log.field",
        "a bank with a false length"
    );
    assert_eq!(code(&[]), "log.truncated");
    assert_eq!(code(&vec![1; 5 << 20]), "log.too_large");
    // An event without data.
    let empty = Made {
        pcr: 5,
        kind: 5,
        digest: sha256(b""),
        data: vec![],
    };
    assert_eq!(code(&write(&[empty])), "accepted");
    for cut in 33..log.len() {
        // Whole events, or whole events and a few zeros of the next, which look like padding: never part of an event.
        let parsed = EventLog::parse(&log[..cut]);
        let whole = parsed.as_ref().is_ok_and(|p| {
            let events = write(&events(&log)[..p.events().len() - 1]);
            log[..cut].starts_with(&events) && log[events.len()..cut].iter().all(|b| *b == 0)
        });
        assert!(whole || parsed.is_err(), "cut at {cut}");
    }
}

#[test]
fn c15_signature_lists_must_add_up() {
    let list = |size: u32, header: u32, each: u32, body: usize| {
        let mut out = efi::CERT_SHA256.to_vec();
        for number in [size, header, each] {
            out.extend(number.to_le_bytes());
        }
        out.extend(vec![7; body]);
        out
    };
    assert_eq!(parse_signature_lists(&list(28 + 96, 0, 48, 96)).unwrap().len(), 2);
    assert_eq!(parse_signature_lists(&list(28 + 8 + 48, 8, 48, 56)).unwrap().len(), 1);
    assert_eq!(parse_signature_lists(&[]).unwrap().len(), 0);
    for bad in [
        list(28 + 48, 0, 0, 48),
        list(28 + 48, 0, 15, 48),
        list(28 + 48, 0, 49, 48),
        list(28 + 48, 0, u32::MAX, 48),
        list(0, 0, 48, 48),
        list(27, 0, 48, 48),
        list(u32::MAX, 0, 48, 48),
        list(28 + 48, 1000, 48, 48),
        list(28 + 48, u32::MAX, 48, 48),
        list(28 + 48, 0, 48, 40),
    ] {
        assert_eq!(parse_signature_lists(&bad).unwrap_err().code(), "log.data");
    }
    assert_eq!(Variable::parse(&[0xff; 40]).unwrap_err().code(), "log.data");
    assert!(image_path(&[0xff; 40]).is_err() && parse_gpt(&[0xff; 120]).is_err());
}

#[test]
fn c16_padding_is_tolerated_garbage_is_not() {
    let (log, _) = demonstration();
    let count = EventLog::parse(&log).unwrap().events().len();
    for padding in [vec![0; 256 * 1024], vec![0xff; 256 * 1024], vec![0], vec![0xff; 3]] {
        assert_eq!(
            EventLog::parse(&[log.clone(), padding].concat())
                .unwrap()
                .events()
                .len(),
            count
        );
    }
    for garbage in [
        vec![1],
        vec![0, 0, 1],
        vec![0xff; 40].into_iter().chain([0]).collect(),
        b"garbage".to_vec(),
    ] {
        assert!(EventLog::parse(&[log.clone(), garbage].concat()).is_err());
    }
}

#[test]
fn c19_pcr_indices_end_at_23() {
    let (log, _) = demonstration();
    for pcr in [24, 25, 255, 256, u32::MAX] {
        let mut list = events(&log);
        list[2].pcr = pcr;
        assert_eq!(
            EventLog::parse(&write(&list)).unwrap_err().code(),
            "log.pcr_index",
            "{pcr}"
        );
        let old = [pcr.to_le_bytes().as_slice(), &[0; 28]].concat();
        assert_eq!(EventLog::parse(&old).unwrap_err().code(), "log.pcr_index");
    }
}

#[test]
fn canonical_logs_of_user_space_replay() {
    let digest = sha256(b"ready");
    let json = format!(
        "\u{1e}{{\"pcr\":11,\"digests\":[{{\"hashAlg\":\"sha256\",\"digest\":\"{digest}\"}}],\"content_type\":\"systemd\",\"content\":{{\"eventType\":\"phase\",\"string\":\"ready\"}}}}\n"
    );
    let log = CanonicalLog::parse(json.as_bytes()).unwrap();
    assert_eq!(
        (
            log.records[0].pcr,
            log.records[0].kind.as_str(),
            log.records[0].description.as_str()
        ),
        (11, "phase", "ready")
    );
    let mut pcrs = [Sha256Digest::default(); 24];
    log.replay_sha256(&mut pcrs);
    assert_eq!(pcrs[11], extend(&Sha256Digest::default(), digest.as_bytes()));
    let field = |kind: u8, value: &[u8]| {
        [
            &[kind],
            u32::try_from(value.len()).unwrap().to_be_bytes().as_slice(),
            value,
        ]
        .concat()
    };
    let tlv = [
        field(0, &[0]),
        field(1, &[11]),
        field(3, &field(11, digest.as_bytes())),
        field(80, b"ready"),
    ]
    .concat();
    let log = CanonicalLog::parse(&tlv).unwrap();
    let mut same = [Sha256Digest::default(); 24];
    log.replay_sha256(&mut same);
    assert_eq!(same, pcrs);
    for cut in 1..tlv.len() {
        assert!(CanonicalLog::parse(&tlv[..cut]).is_err());
    }
    assert_eq!(
        CanonicalLog::parse(json.replace("11", "24").as_bytes())
            .unwrap_err()
            .code(),
        "log.pcr_index"
    );
    assert_eq!(
        CanonicalLog::parse(json.replace("sha256", "sha3").as_bytes())
            .unwrap_err()
            .code(),
        "log.algorithms"
    );
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn c23_mutated_logs_never_panic(changes in proptest::collection::vec((0_usize..6000, proptest::num::u8::ANY), 1..6), cut in 0_usize..8000) {
        thread_local!(static LOG: Vec<u8> = demonstration().0);
        LOG.with(|log| {
            let mut bytes = log.clone();
            for (at, value) in changes {
                if let Some(byte) = bytes.get_mut(at) { *byte = value; }
            }
            bytes.truncate(cut.max(40));
            if let Ok(log) = EventLog::parse(&bytes) {
                let _ = (log.report(), log.secure_boot());
                assert!(log.events().len() * 32 <= bytes.len());
            }
        });
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let _ = EventLog::parse(&bytes).map(|log| log.report());
        let _ = CanonicalLog::parse(&bytes);
        let _ = (Variable::parse(&bytes).map(|v| v.name()), parse_signature_lists(&bytes), image_path(&bytes), parse_gpt(&bytes));
    }
}
