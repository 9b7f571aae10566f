//! The sealed key and the floor on real software TPMs, with tpm2-tools as the judge of policy digests.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use freehold_harness::Swtpm;
use freehold_seal::{AuthValue, Opening, SealingTpm, TpmFault};
use freehold_sign::pcr_policy;
use freehold_trust::{KeyKind, PublicKey, Sha256Digest, SigningKey, sha256};
use freehold_verify::Refusal as _;
use freehold_verify::sealing::policy::{EO_BITCLEAR, POLICY_REF, PolicyDigest, policy_key_public, to_be_signed};
use freehold_verify::sealing::volume::literal;
use freehold_verify::sealing::{
    FLOOR_INDEX, Floor, Level, PcrPolicies, Pin, SealRejection, SealedKey, image_policy, volume_policy,
};

struct World {
    folder: tempfile::TempDir,
    swtpm: Swtpm,
    key: SigningKey,
}

const SECRET: &[u8; 32] = b"a volume key of thirty-two bytes";

fn level(number: u8) -> Level {
    Level::new(number).unwrap()
}

fn word(text: &str) -> Sha256Digest {
    sha256(text.as_bytes())
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let swtpm = Swtpm::start(folder.path()).unwrap();
        let key = SigningKey::generate(KeyKind::P256).unwrap();
        Self { folder, swtpm, key }
    }

    fn open(&self) -> SealingTpm {
        SealingTpm::open(&self.swtpm.tcti()).unwrap()
    }

    /// A power cycle, then the firmware and the stub: PCR 7 and PCR 11 get their values, then what `extra` says.
    fn boot(&mut self, firmware: &str, image: &str, extra: &[(u8, &str)]) -> SealingTpm {
        self.swtpm.restart().unwrap();
        let mut tpm = self.open();
        tpm.extend(7, word(firmware)).unwrap();
        tpm.extend(11, word(image)).unwrap();
        for (pcr, text) in extra {
            tpm.extend(*pcr, word(text)).unwrap();
        }
        tpm
    }

    fn policies(&self, tpm: &mut SealingTpm, level: Level) -> PcrPolicies {
        let pcr11 = tpm.pcrs(&[11]).unwrap()[&11];
        pcr_policy::sign(&self.key, level, &[pcr11]).unwrap()
    }

    fn seal(&self, tpm: &mut SealingTpm, pin: Option<&AuthValue>) -> SealedKey {
        tpm.prepare(&AuthValue::empty(), level(0)).unwrap();
        let pcr7 = tpm.pcrs(&[7]).unwrap()[&7];
        let asked = if pin.is_some() { Pin::Asked } else { Pin::None };
        let name = policy_key_public(self.key.public()).unwrap().name().unwrap();
        let policy = volume_policy(&name, &literal(pcr7), asked);
        let parts = tpm.seal(SECRET, &policy, pin).unwrap();
        let sealed = SealedKey::new(0, parts, self.key.public(), pcr7, asked, level(0));
        SealedKey::parse(&sealed.to_json()).unwrap()
    }
}

fn unseal(
    tpm: &mut SealingTpm,
    sealed: &SealedKey,
    policies: &PcrPolicies,
    pin: Option<&AuthValue>,
) -> Result<Vec<u8>, SealRejection> {
    let policy = &policies.policies[0];
    tpm.unseal(&Opening { sealed, policy, pin })
        .map(|secret| secret.to_vec())
        .map_err(|fault| {
            let state = tpm.state().unwrap();
            SealingTpm::refusal(&fault, &state).unwrap_or_else(|| panic!("{fault}"))
        })
}

fn tool(folder: &Path, tcti: &str, line: &str) -> Vec<u8> {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap())
        .args(words)
        .env("TPM2TOOLS_TCTI", tcti)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[test]
fn policy_digests_are_those_of_a_trial_session() {
    let mut world = World::new();
    let mut tpm = world.boot("firmware", "image", &[]);
    tpm.prepare(&AuthValue::empty(), level(2)).unwrap();
    let values = tpm.pcrs(&[7, 11, 12, 13]).unwrap();
    drop(tpm);
    let image = level(3);
    let approved = image_policy(image, values[&11]);

    let folder = world.folder.path().to_owned();
    let tcti = world.swtpm.tcti();
    let run = |line: &str| tool(&folder, &tcti, line);
    fs::write(folder.join("operand"), image.forbidden().to_be_bytes()).unwrap();
    fs::write(folder.join("key.pem"), world.key.public().to_spki_pem()).unwrap();
    fs::write(folder.join("message"), to_be_signed(&approved)).unwrap();
    fs::write(folder.join("signature"), world.key.sign(&to_be_signed(&approved))).unwrap();

    run("tpm2_startauthsession -S trial");
    run(&format!(
        "tpm2_policynv -S trial -i operand -C {FLOOR_INDEX:#x} -L nv.policy {FLOOR_INDEX:#x} bc"
    ));
    let nv = PolicyDigest::START.nv(&Floor::name(), &image.forbidden().to_be_bytes(), 0, EO_BITCLEAR);
    assert_eq!(fs::read(folder.join("nv.policy")).unwrap(), nv.digest().as_bytes());
    run("tpm2_policypcr -S trial -l sha256:11 -L image.policy");
    assert_eq!(fs::read(folder.join("image.policy")).unwrap(), approved.as_bytes());

    run("tpm2_loadexternal -C o -G ecc:ecdsa-sha256 -u key.pem -c key.ctx -n key.name");
    run("tpm2_verifysignature -c key.ctx -g sha256 -f ecdsa -m message -s signature -t ticket");
    let name = fs::read(folder.join("key.name")).unwrap();
    fs::write(folder.join("reference"), POLICY_REF).unwrap();
    run("tpm2_policyauthorize -S trial -i image.policy -q reference -n key.name -t ticket -L authorised.policy");
    let authorised = PolicyDigest::authorize(&name, POLICY_REF);
    assert_eq!(
        fs::read(folder.join("authorised.policy")).unwrap(),
        authorised.digest().as_bytes()
    );
    run("tpm2_policypcr -S trial -l sha256:7,12,13 -L volume.policy");
    let literal: BTreeMap<u8, Sha256Digest> = values.into_iter().filter(|(pcr, _)| *pcr != 11).collect();
    assert_eq!(
        fs::read(folder.join("volume.policy")).unwrap(),
        volume_policy(&name, &literal, Pin::None).as_bytes()
    );
    run("tpm2_policyauthvalue -S trial -L pin.policy");
    assert_eq!(
        fs::read(folder.join("pin.policy")).unwrap(),
        volume_policy(&name, &literal, Pin::Asked).as_bytes()
    );
    // The name that we give the key is the one that a TPM gives the same attributes.
    let public = PublicKey::from_spki_der(world.key.public().spki_der()).unwrap();
    let ours = policy_key_public(&public).unwrap().to_bytes();
    run("tpm2_readpublic -c key.ctx -o key.public");
    let theirs = fs::read(folder.join("key.public")).unwrap();
    assert_eq!(theirs[2..], ours[..], "TPM2B_PUBLIC and TPMT_PUBLIC");
}

// promise S-90
#[test]
fn what_was_sealed_opens_on_the_same_boot_only() {
    let mut world = World::new();
    let mut tpm = world.boot("firmware", "image", &[]);
    let policies = world.policies(&mut tpm, level(0));
    let sealed = world.seal(&mut tpm, None);
    assert_eq!(unseal(&mut tpm, &sealed, &policies, None).unwrap(), SECRET);
    drop(tpm);

    // The same boot again, twice in one connection: nothing is left behind in the TPM's three slots.
    let mut tpm = world.boot("firmware", "image", &[]);
    for _ in 0..5 {
        assert_eq!(unseal(&mut tpm, &sealed, &policies, None).unwrap(), SECRET);
    }
    drop(tpm);

    for (what, firmware, image, extra) in [
        ("other Secure Boot keys", "other", "image", &[][..]),
        ("another image", "firmware", "other", &[]),
        ("the next boot phase", "firmware", "image", &[(11, "leave-initrd")]),
        ("a changed command line", "firmware", "image", &[(12, "init=/bin/sh")]),
        ("a system extension", "firmware", "image", &[(13, "extension")]),
    ] {
        let mut tpm = world.boot(firmware, image, extra);
        let refusal = unseal(&mut tpm, &sealed, &policies, None).unwrap_err();
        assert_eq!(refusal.code(), "seal.refused", "{what}: {refusal}");
    }
    let mut tpm = world.boot("firmware", "image", &[]);
    assert_eq!(unseal(&mut tpm, &sealed, &policies, None).unwrap(), SECRET);
}

// promise S-91
#[test]
fn another_image_opens_when_the_same_key_signed_it_and_no_other_key_counts() {
    let mut world = World::new();
    let mut tpm = world.boot("firmware", "image 1", &[]);
    let sealed = world.seal(&mut tpm, None);
    drop(tpm);
    let mut tpm = world.boot("firmware", "image 2", &[]);
    let policies = world.policies(&mut tpm, level(0));
    assert_eq!(unseal(&mut tpm, &sealed, &policies, None).unwrap(), SECRET);

    let pcr11 = tpm.pcrs(&[11]).unwrap()[&11];
    let thief = SigningKey::generate(KeyKind::P256).unwrap();
    let forged = pcr_policy::sign(&thief, level(0), &[pcr11]).unwrap();
    assert_eq!(
        forged.select(world.key.public(), pcr11).unwrap_err().code(),
        "seal.signature"
    );
    // The TPM says so too: with the signature passed off as the right key's, and with a seal that names the thief's key.
    let refusal = unseal(&mut tpm, &sealed, &forged, None).unwrap_err();
    assert_eq!(refusal.code(), "seal.refused");
    let mut swapped = sealed.clone();
    swapped.key = thief.public().spki_der().to_vec();
    let refusal = unseal(&mut tpm, &swapped, &forged, None).unwrap_err();
    assert_eq!(refusal.code(), "seal.refused");
}

// promise S-90
#[test]
fn another_tpm_and_a_cleared_one_refuse() {
    let mut world = World::new();
    let mut tpm = world.boot("firmware", "image", &[]);
    let policies = world.policies(&mut tpm, level(0));
    let sealed = world.seal(&mut tpm, None);
    drop(tpm);

    let mut other = World::new();
    let mut tpm = other.boot("firmware", "image", &[]);
    assert_eq!(
        unseal(&mut tpm, &sealed, &policies, None).unwrap_err().code(),
        "seal.other_tpm"
    );
    tpm.prepare(&AuthValue::empty(), level(0)).unwrap();
    assert_eq!(
        unseal(&mut tpm, &sealed, &policies, None).unwrap_err().code(),
        "seal.other_tpm"
    );
    // Also when the disk's note is changed to name the other TPM's storage key.
    let mut moved = sealed.clone();
    moved.storage = other.seal(&mut tpm, None).storage;
    assert_eq!(
        unseal(&mut tpm, &moved, &policies, None).unwrap_err().code(),
        "seal.other_tpm"
    );
    drop(tpm);

    tool(world.folder.path(), &world.swtpm.tcti(), "tpm2_clear -c p");
    let mut tpm = world.boot("firmware", "image", &[]);
    assert_eq!(tpm.floor().unwrap(), Floor::Missing);
    tpm.prepare(&AuthValue::empty(), level(0)).unwrap();
    assert_eq!(
        unseal(&mut tpm, &sealed, &policies, None).unwrap_err().code(),
        "seal.other_tpm"
    );
}

// promise S-92
#[test]
fn an_image_below_the_floor_does_not_open_on_a_tpm_whose_counters_have_run() {
    let mut world = World::new();
    // A counter that is defined anew starts at the highest value that any counter of this TPM has had; bits do not.
    for line in [
        "tpm2_nvdefine 0x1800001 -C o -a nt=counter|ownerread|ownerwrite|authread",
        "tpm2_nvincrement 0x1800001 -C o",
        "tpm2_nvincrement 0x1800001 -C o",
        "tpm2_nvundefine 0x1800001 -C o",
    ] {
        tool(world.folder.path(), &world.swtpm.tcti(), line);
    }
    let mut tpm = world.boot("firmware", "image", &[]);
    let owner = AuthValue::from_digest(&word("owner"));
    let old = world.policies(&mut tpm, level(1));
    let new = world.policies(&mut tpm, level(2));
    let sealed = world.seal(&mut tpm, None);
    assert_eq!(tpm.floor().unwrap(), Floor::At(level(0)));
    tpm.own(&owner, &AuthValue::from_digest(&word("lockout"))).unwrap();
    assert!(tpm.state().unwrap().owned && tpm.state().unwrap().lockout_owned);
    assert_eq!(unseal(&mut tpm, &sealed, &old, None).unwrap(), SECRET);

    // Only the owner raises it.
    let refused = tpm.raise_floor(&AuthValue::empty(), level(2)).unwrap_err();
    assert_eq!(refused.code(), "seal.tpm_command");
    assert_eq!(tpm.floor().unwrap(), Floor::At(level(0)));
    assert_eq!(tpm.raise_floor(&owner, level(2)).unwrap(), Floor::At(level(2)));
    // Down is no direction.
    assert_eq!(tpm.raise_floor(&owner, level(1)).unwrap(), Floor::At(level(2)));

    // The old image is correctly signed, for this very PCR 11.
    let refusal = unseal(&mut tpm, &sealed, &old, None).unwrap_err();
    assert_eq!(refusal.code(), "seal.refused");
    assert_eq!(unseal(&mut tpm, &sealed, &new, None).unwrap(), SECRET);
    drop(tpm);
    let mut tpm = world.boot("firmware", "image", &[]);
    assert_eq!(tpm.floor().unwrap(), Floor::At(level(2)));
    assert!(unseal(&mut tpm, &sealed, &old, None).is_err());
    drop(tpm);
    // Without the owner's authorisation the index cannot be taken away and made anew.
    let output = Command::new("tpm2_nvundefine")
        .args([&format!("{FLOOR_INDEX:#x}"), "-C", "o"])
        .env("TPM2TOOLS_TCTI", world.swtpm.tcti())
        .output()
        .unwrap();
    assert!(!output.status.success());
}

#[test]
fn a_wrong_pin_is_counted_and_locks_the_tpm() {
    let mut world = World::new();
    let mut tpm = world.boot("firmware", "image", &[]);
    let policies = world.policies(&mut tpm, level(0));
    let right = AuthValue::of_pin("314159");
    let wrong = AuthValue::of_pin("271828");
    let sealed = world.seal(&mut tpm, Some(&right));
    tpm.own(
        &AuthValue::from_digest(&word("owner")),
        &AuthValue::from_digest(&word("lockout")),
    )
    .unwrap();
    assert_eq!(unseal(&mut tpm, &sealed, &policies, Some(&right)).unwrap(), SECRET);
    let first = tpm.state().unwrap();
    assert_eq!((first.tries_left, first.recovery_s), (10, 600));
    for left in (0..10).rev() {
        let refusal = unseal(&mut tpm, &sealed, &policies, Some(&wrong)).unwrap_err();
        match refusal {
            SealRejection::PinWrong { tries_left } => assert_eq!(tries_left, left),
            SealRejection::Lockout { .. } => assert_eq!(left, 0),
            other => panic!("{other}"),
        }
    }
    // Locked: now not even the right one.
    let refusal = unseal(&mut tpm, &sealed, &policies, Some(&right)).unwrap_err();
    assert_eq!(refusal.code(), "seal.lockout");
    assert!(refusal.to_string().contains("600 s"), "{refusal}");
    assert!(tpm.state().unwrap().locked);
}

// promise S-93
#[test]
fn nothing_secret_crosses_the_bus_in_clear() {
    let mut world = World::new();
    let tcti = world.swtpm.tcti();
    let tap = Tap::before(&tcti);
    drop(world.boot("firmware", "image", &[]));
    let mut tpm = SealingTpm::open(&tap.tcti()).unwrap();
    let policies = world.policies(&mut tpm, level(0));
    let (pin, owner) = (AuthValue::of_pin("314159"), word("owner"));
    let sealed = world.seal(&mut tpm, Some(&pin));
    tpm.own(
        &AuthValue::from_digest(&owner),
        &AuthValue::from_digest(&word("lockout")),
    )
    .unwrap();
    assert_eq!(unseal(&mut tpm, &sealed, &policies, Some(&pin)).unwrap(), SECRET);
    drop(tpm);
    let seen = tap.seen();
    assert!(seen.len() > 2000, "the tap saw {} bytes", seen.len());
    let pin_value = sha256(b"freehold boot pin v1\x00314159");
    for secret in [
        &SECRET[..],
        pin_value.as_bytes(),
        owner.as_bytes(),
        word("lockout").as_bytes(),
    ] {
        assert!(
            !seen.windows(8).any(|window| secret.starts_with(window)),
            "a secret is in clear"
        );
    }
}

// promise S-93
#[test]
fn an_answer_changed_on_the_bus_is_refused() {
    let mut world = World::new();
    let mut tpm = world.boot("firmware", "image", &[]);
    let policies = world.policies(&mut tpm, level(0));
    let sealed = world.seal(&mut tpm, None);
    drop(tpm);
    let tap = Tap::flipping(&world.swtpm.tcti(), 0x15e);
    let mut tpm = SealingTpm::open(&tap.tcti()).unwrap();
    let fault = tpm
        .unseal(&Opening {
            sealed: &sealed,
            policy: &policies.policies[0],
            pin: None,
        })
        .unwrap_err();
    assert_eq!(fault.code(), "seal.tpm_garbage", "{fault}");
}

#[test]
fn a_tpm_that_is_away_is_not_a_tpm_that_refuses() {
    for address in [
        "swtpm:host=127.0.0.1,port=1",
        "device:/nonexistent",
        "swtpm:port=5",
        "serial",
    ] {
        let fault = SealingTpm::open(address).err().unwrap();
        assert_eq!(fault.code(), "seal.tpm_unavailable");
        assert!(matches!(fault, TpmFault::Unavailable { .. }));
    }
}

/// A wire between program and TPM that keeps what it carries, and can change one answer.
struct Tap {
    port: u16,
    seen: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
}

impl Tap {
    fn before(tcti: &str) -> Self {
        Self::start(tcti, None)
    }

    fn flipping(tcti: &str, command: u32) -> Self {
        Self::start(tcti, Some(command))
    }

    fn start(tcti: &str, flip: Option<u32>) -> Self {
        use std::io::{Read as _, Write as _};
        let port: u16 = tcti.rsplit('=').next().unwrap().parse().unwrap();
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let own = listener.local_addr().unwrap().port();
        let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let kept = seen.clone();
        std::thread::spawn(move || {
            let (mut program, _) = listener.accept().unwrap();
            let mut tpm = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            let mut buffer = [0; 4096];
            loop {
                let Ok(length @ 1..) = program.read(&mut buffer) else {
                    return;
                };
                kept.lock().unwrap().extend_from_slice(&buffer[..length]);
                let command = u32::from_be_bytes(buffer[6..10].try_into().unwrap());
                tpm.write_all(&buffer[..length]).unwrap();
                let mut answer = vec![0; 10];
                tpm.read_exact(&mut answer).unwrap();
                let size = u32::from_be_bytes(answer[2..6].try_into().unwrap()) as usize;
                answer.resize(size, 0);
                tpm.read_exact(&mut answer[10..]).unwrap();
                if flip == Some(command) && size > 20 {
                    answer[18] ^= 1;
                }
                kept.lock().unwrap().extend_from_slice(&answer);
                if program.write_all(&answer).is_err() {
                    return;
                }
            }
        });
        Self { port: own, seen }
    }

    fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    fn seen(&self) -> Vec<u8> {
        self.seen.lock().unwrap().clone()
    }
}
