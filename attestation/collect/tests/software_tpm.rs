//! The crate against real software TPMs: keys, statements, credentials, replays, and TPMs that misbehave.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use freehold_collect::{BootEvent, EkKind, Keys, Limits, Replayed, Tpm, TpmError};
use freehold_harness::Swtpm;
use freehold_trust::sha256;
use freehold_verify::Refusal as _;

const QUICK: Limits = Limits {
    command: Duration::from_millis(1500),
    first_pause: Duration::from_millis(5),
    longest_pause: Duration::from_millis(20),
};

struct World {
    _folder: tempfile::TempDir,
    swtpm: Swtpm,
    tpm: Tpm,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let swtpm = Swtpm::start(folder.path()).unwrap();
    let tpm = Tpm::new(&swtpm.tcti(), None, Limits::default()).unwrap();
    World {
        _folder: folder,
        swtpm,
        tpm,
    }
}

/// The SPKI of a P-256 key in a TPMT_PUBLIC: its last two sized numbers.
fn p256_of(public: &[u8]) -> freehold_trust::PublicKey {
    let y = &public[public.len() - 32..];
    let x = &public[public.len() - 66..public.len() - 34];
    freehold_trust::PublicKey::from_ec_point(freehold_trust::KeyKind::P256, x, y).unwrap()
}

fn check(key: &freehold_trust::PublicKey, message: &[u8], signature: &freehold_collect::EcdsaNumbers) {
    key.verify_ecdsa_numbers(
        freehold_trust::HashAlgorithm::Sha256,
        message,
        &signature.r,
        &signature.s,
    )
    .unwrap();
}

#[test]
fn keys_survive_a_restart_and_sign_for_tls() {
    let mut world = world();
    let keys = world.tpm.keys().unwrap();
    let again = Keys::from_text(&keys.to_text()).unwrap();
    assert_eq!(keys, again);
    let key = p256_of(&keys.tls.public);
    check(&key, b"hello", &world.tpm.sign_tls(b"hello").unwrap());
    let before = world.tpm.clock().unwrap();

    world.swtpm.restart().unwrap();
    // The same handle goes on over a new connection ...
    check(&key, b"again", &world.tpm.sign_tls(b"again").unwrap());
    let after = world.tpm.clock().unwrap();
    assert_eq!(after.reset_count, before.reset_count + 1);
    drop(world.tpm);
    // ... and so does a new one with the stored keys.
    let tpm = Tpm::new(&world.swtpm.tcti(), Some(again), Limits::default()).unwrap();
    check(&key, b"third", &tpm.sign_tls(b"third").unwrap());
    assert_eq!(tpm.keys().unwrap(), keys);
}

#[test]
fn endorsement_keys_are_those_that_were_certified() {
    let world = world();
    let found = world.tpm.endorsement(None).unwrap();
    assert_eq!(found.kind, EkKind::Rsa2048);
    let certificate =
        freehold_trust::certificate::Certificate::from_der(found.certificate.as_deref().unwrap()).unwrap();
    let modulus = &found.public[found.public.len() - 256..];
    assert_eq!(
        *certificate.public_key(),
        freehold_trust::PublicKey::from_rsa(modulus, 65537).unwrap()
    );

    let p384 = world.tpm.endorsement(Some(EkKind::EccP384)).unwrap();
    let certificate = freehold_trust::certificate::Certificate::from_der(p384.certificate.as_deref().unwrap()).unwrap();
    let (x, y) = certificate.public_key().ec_point().unwrap();
    assert_eq!(p384.public[p384.public.len() - 98..p384.public.len() - 50], x);
    assert_eq!(p384.public[p384.public.len() - 48..], y);

    let p256 = world.tpm.endorsement(Some(EkKind::EccP256)).unwrap();
    assert_eq!(p256.certificate, None);
}

#[test]
fn statements_carry_what_was_asked() {
    let world = world();
    let quote = world.tpm.quote(&[0, 4, 7, 11], [7; 32]).unwrap();
    assert!(
        quote.attest.starts_with(&[0xff, 0x54, 0x43, 0x47, 0x80, 0x18]),
        "{}",
        hex::encode(&quote.attest)
    );
    assert!(quote.attest.windows(32).any(|window| window == [7; 32]));
    let certify = world.tpm.certify_tls([9; 32]).unwrap();
    assert!(certify.attest.starts_with(&[0xff, 0x54, 0x43, 0x47, 0x80, 0x17]));
    // The name of the TLS key: its hash algorithm and the digest of its public area.
    let name = sha256(&world.tpm.keys().unwrap().tls.public);
    assert!(certify.attest.windows(32).any(|window| window == name.as_bytes()));
    assert_eq!(world.tpm.quote(&[24], [0; 32]).unwrap_err().code(), "tpm.argument");
}

#[test]
fn a_boot_log_is_replayed_once_a_boot() {
    let mut world = world();
    let event = |pcr, text: &str| BootEvent {
        pcr,
        sha256: sha256(text.as_bytes()),
    };
    let events = [
        event(0, "firmware"),
        event(4, "loader"),
        event(0, "more"),
        event(11, "kernel"),
    ];
    let pcrs = [0, 1, 2, 3, 4, 5, 6, 7, 11, 14];
    let zero = world.tpm.read_pcrs(&pcrs).unwrap();
    assert!(zero.values().all(|value| *value.as_bytes() == [0; 32]));
    assert_eq!(world.tpm.replay(&events[..2]).unwrap(), Replayed::Extended(2));
    assert_eq!(world.tpm.replay(&events).unwrap(), Replayed::Extended(2));
    assert_eq!(world.tpm.replay(&events).unwrap(), Replayed::Already);
    let values = world.tpm.read_pcrs(&pcrs).unwrap();
    let mut expected = [0; 32];
    for event in events.iter().filter(|event| event.pcr == 0) {
        expected = *sha256(&[expected, *event.sha256.as_bytes()].concat()).as_bytes();
    }
    assert_eq!(values[&0].as_bytes(), &expected);
    assert_eq!(
        world.tpm.replay(&[event(4, "another loader")]).unwrap(),
        Replayed::Foreign { pcr: 4 }
    );
    world.swtpm.restart().unwrap();
    assert_eq!(world.tpm.replay(&events).unwrap(), Replayed::Extended(4));
    assert_eq!(world.tpm.read_pcrs(&pcrs).unwrap(), values);
    let _: BTreeMap<_, _> = values;
}

#[test]
fn j01_an_absent_tpm_is_said_at_once_and_taken_when_it_comes() {
    let mut world = world();
    let key = p256_of(&world.tpm.keys().unwrap().tls.public);
    world.swtpm.kill();
    let start = Instant::now();
    for _ in 0..3 {
        assert_eq!(world.tpm.sign_tls(b"x").unwrap_err().code(), "tpm.unavailable");
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    world.swtpm.power_on().unwrap();
    let signature = freehold_harness::wait_for("the TPM to be taken", Duration::from_secs(10), || {
        Ok(world.tpm.sign_tls(b"x").ok())
    });
    check(&key, b"x", &signature.unwrap());
}

#[test]
fn j01_a_tpm_of_another_box_is_named() {
    let (first, second) = (world(), world());
    let keys = first.tpm.keys().unwrap();
    let other = Tpm::new(&second.swtpm.tcti(), Some(keys), QUICK).unwrap();
    assert_eq!(other.keys().unwrap_err().code(), "tpm.other_chip");
}

#[test]
fn j01_a_tpm_that_does_not_answer_is_an_error_and_later_a_tpm_again() {
    let folder = tempfile::tempdir().unwrap();
    let swtpm = Swtpm::start(folder.path()).unwrap();
    let tpm = Tpm::new(&swtpm.tcti(), None, QUICK).unwrap();
    let key = p256_of(&tpm.keys().unwrap().tls.public);
    swtpm.freeze().unwrap();
    assert_eq!(tpm.sign_tls(b"x").unwrap_err().code(), "tpm.slow");
    let start = Instant::now();
    assert_eq!(tpm.sign_tls(b"x").unwrap_err().code(), "tpm.slow");
    assert!(
        start.elapsed() < Duration::from_millis(500),
        "a stuck TPM must not be waited for twice"
    );
    swtpm.thaw().unwrap();
    let signature = freehold_harness::wait_for("the TPM to go on", Duration::from_secs(10), || {
        Ok(tpm.sign_tls(b"x").ok())
    });
    check(&key, b"x", &signature.unwrap());
}

#[test]
fn j01_a_tpm_that_talks_nonsense_is_an_error() {
    // Two neighbouring ports, as the client library wants them.
    let (data, control) = loop {
        let data = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = data.local_addr().unwrap().port();
        if let Some(control) = port
            .checked_add(1)
            .and_then(|next| TcpListener::bind(("127.0.0.1", next)).ok())
        {
            break (data, control);
        }
    };
    let port = data.local_addr().unwrap().port();
    for (listener, answer) in [(data, [0xa5_u8; 64].as_slice()), (control, [0_u8; 4].as_slice())] {
        let answer = answer.to_vec();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let answer = answer.clone();
                std::thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
                        if stream.write_all(&answer).is_err() {
                            return;
                        }
                    }
                });
            }
        });
    }
    let tpm = Tpm::new(&format!("swtpm:host=127.0.0.1,port={port}"), None, QUICK).unwrap();
    let error = tpm.sign_tls(b"x").unwrap_err();
    assert!(
        matches!(
            error,
            TpmError::Garbage { .. } | TpmError::Unavailable { .. } | TpmError::Slow { .. }
        ),
        "{error:?}"
    );
}

/// Begins an HMAC session as a program does that is killed before it ends it (TPM2_StartAuthSession, TPM 2.0 part 3, 11.1).
fn leave_a_session(swtpm: &Swtpm) {
    let port = swtpm.tcti().rsplit_once('=').unwrap().1.parse().unwrap();
    let mut line = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut command = vec![0x80, 0x01, 0, 0, 0, 43, 0, 0, 0x01, 0x76];
    // No key, no other object; a nonce of 16 bytes, no salt; HMAC, no cipher, SHA-256.
    command.extend([0x40, 0, 0, 7, 0x40, 0, 0, 7, 0, 16]);
    command.extend([7; 16]);
    command.extend([0, 0, 0, 0, 0x10, 0, 0x0b]);
    line.write_all(&command).unwrap();
    let mut head = [0; 10];
    line.read_exact(&mut head).unwrap();
    assert_eq!(head[6..], [0; 4], "the session began");
}

#[test]
fn j01_sessions_of_killed_programs_are_ended_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let swtpm = Swtpm::start(folder.path()).unwrap();
    // A bare swtpm has room for three.
    for _ in 0..3 {
        leave_a_session(&swtpm);
    }
    let tpm = Tpm::new(&swtpm.tcti(), None, QUICK).unwrap();
    tpm.quote(&[0], [1; 32]).unwrap();
}

#[test]
fn j01_hundreds_of_commands_leak_no_handle() {
    let world = world();
    let kind = world.tpm.endorsement(None).unwrap().kind;
    for n in 0..200_u16 {
        world.tpm.quote(&[0], [n as u8; 32]).unwrap();
        if n % 50 == 0 {
            world.tpm.endorsement(None).unwrap();
            // Credentials for another key are refused and leave nothing loaded.
            assert_eq!(
                world.tpm.activate(kind, &[0, 1, 0], &[0, 1, 0]).unwrap_err().code(),
                "tpm.command"
            );
        }
    }
    // A bare swtpm has three slots; that this still works means that none was lost.
    world.tpm.endorsement(Some(EkKind::EccP384)).unwrap();
    assert_eq!(
        world.tpm.activate(kind, &[0], &[0, 0]).unwrap_err().code(),
        "tpm.argument"
    );
}

#[test]
fn keys_want_their_authorisation_and_older_ones_still_load() {
    let mut world = world();
    let keys = world.tpm.keys().unwrap();
    assert!(keys.to_text().starts_with("freehold-tpm-keys 2\n"));
    drop(world.tpm);
    // The wrapped keys alone are not enough: without the value the TPM does not use them.
    let mut lines: Vec<String> = keys.to_text().lines().map(str::to_owned).collect();
    lines[0] = "freehold-tpm-keys 1".to_owned();
    let without = Keys::from_text(&lines[..5].join("\n")).unwrap();
    let thief = Tpm::new(&world.swtpm.tcti(), Some(without), QUICK).unwrap();
    for refused in [
        thief.quote(&[0], [0; 32]).unwrap_err(),
        thief.certify_tls([0; 32]).unwrap_err(),
        thief.sign_tls(b"x").unwrap_err(),
    ] {
        assert_eq!(refused.code(), "tpm.command", "{refused}");
    }
    drop(thief);
    lines[0] = "freehold-tpm-keys 2".to_owned();
    lines[5] = "00".repeat(31) + "01";
    let guessed = Keys::from_text(&lines.join("\n")).unwrap();
    let thief = Tpm::new(&world.swtpm.tcti(), Some(guessed), QUICK).unwrap();
    assert_eq!(thief.sign_tls(b"x").unwrap_err().code(), "tpm.command");
    drop(thief);

    // A TPM that has an owner by now, as on a box with a sealed volume: the storage key is kept in it.
    let signing = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign";
    let make = |name: &str, attributes: &str| {
        format!("tpm2_create -C 0x81020001 -G ecc256:ecdsa-sha256:null -a {attributes} -u {name}.pub -r {name}.priv")
    };
    for line in [
        "tpm2_createprimary -C o -g sha256 -G ecc256:aes128cfb -c storage.ctx \
         -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt",
        "tpm2_evictcontrol -C o -c storage.ctx 0x81020001",
        "tpm2_flushcontext -t",
        &make("ak", &format!("{signing}|restricted")),
        &make("tls", signing),
        "tpm2_changeauth -c o somebody",
    ] {
        let mut words = line.split_whitespace();
        let ran = std::process::Command::new(words.next().unwrap())
            .args(words)
            .env("TPM2TOOLS_TCTI", world.swtpm.tcti())
            .current_dir(world._folder.path())
            .output()
            .unwrap();
        assert!(ran.status.success(), "{line}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    // Keys of a box that was set up before there were such values.
    let blob = |name: &str| hex::encode(&std::fs::read(world._folder.path().join(name)).unwrap()[2..]);
    let blobs = ["ak.pub", "ak.priv", "tls.pub", "tls.priv"].map(blob).join("\n");
    let older = Keys::from_text(&format!("freehold-tpm-keys 1\n{blobs}\n")).unwrap();
    let tpm = Tpm::new(&world.swtpm.tcti(), Some(older.clone()), Limits::default()).unwrap();
    check(&p256_of(&older.tls.public), b"older", &tpm.sign_tls(b"older").unwrap());
    assert!(tpm.quote(&[0], [0; 32]).is_ok() && tpm.certify_tls([0; 32]).is_ok());
    drop(tpm);
    world.swtpm.restart().unwrap();
    let tpm = Tpm::new(&world.swtpm.tcti(), Some(keys.clone()), Limits::default()).unwrap();
    check(&p256_of(&keys.tls.public), b"owned", &tpm.sign_tls(b"owned").unwrap());
    assert!(tpm.quote(&[0], [0; 32]).is_ok() && tpm.certify_tls([0; 32]).is_ok());
    // And a hundred times: no session is left behind in the TPM's few slots.
    for _ in 0..100 {
        tpm.sign_tls(b"again").unwrap();
    }
}
