//! The sealed volume without TPM and disk: recovery blocks, escrow, what lies on a partition, and who may open what.

use std::collections::BTreeMap;
use std::process::Command;

use freehold_trust::hpke::OpeningKey;
use freehold_trust::{KeyKind, Sha256Digest, SigningKey, sha256};
use freehold_verify::Refusal as _;
use freehold_verify::sealing::partition::{DATA_PARTITION_NAME, TABLE};
use freehold_verify::sealing::policy::to_be_signed;
use freehold_verify::sealing::volume::{HEAD, LABEL, LABEL_MAKING, MAKING, SUBSYSTEM, SealParts, TAIL, slot_of};
use freehold_verify::sealing::{
    BootState, Contents, DATA_PARTITION_TYPE, Escrow, Floor, Level, PcrPolicies, PcrPolicy, Pin, RecoveryKey,
    RecoverySlot, SEALING_PHASE, SealRejection, SealedKey, Share, contents, image_policy, may_make, may_open,
    parse_gpt, volume_measurement,
};
use proptest::prelude::*;

const LETTERS: &str = "cbdefghijklnrtuv";
const VOLUME: &str = "b7c4b9d7-4c7f-4a90-ba26-67a8ffec2334";

fn level(number: u8) -> Level {
    Level::new(number).unwrap()
}

// Recovery blocks.

#[test]
fn a_recovery_key_is_eight_blocks_of_six_letters() {
    let key = RecoveryKey::from_random([0x5a; 16]);
    let text = key.text();
    assert_eq!(text.len(), 55);
    assert!(text.split('-').all(|block| block.len() == 6));
    assert!(text.chars().all(|c| c == '-' || LETTERS.contains(c)));
    assert!(!format!("{key:?}").contains(&text));
    // However a person types it.
    for typed in [
        text.clone(),
        text.to_uppercase(),
        text.replace('-', " "),
        text.replace('-', ""),
        format!("  {}\r\n", text.replace('-', "  ")),
    ] {
        assert_eq!(
            RecoveryKey::parse(&typed).unwrap().as_bytes(),
            key.as_bytes(),
            "{typed}"
        );
    }
}

// promise S-96
#[test]
fn typing_errors_name_their_blocks() {
    let key = RecoveryKey::from_random(*b"0123456789abcdef");
    let text = key.text();
    let blocks: Vec<&str> = text.split('-').collect();
    let parse = |blocks: &[String]| RecoveryKey::parse(&blocks.join("-")).unwrap_err();
    let owned: Vec<String> = blocks.iter().map(|block| (*block).to_owned()).collect();
    // Every single wrong letter, and every pair of neighbours exchanged.
    for (number, block) in blocks.iter().enumerate() {
        for at in 0..6 {
            for letter in LETTERS.chars().filter(|letter| *letter != block.as_bytes()[at] as char) {
                let mut changed = owned.clone();
                changed[number].replace_range(at..=at, &letter.to_string());
                let refusal = parse(&changed);
                assert_eq!(refusal.code(), "seal.recovery_block");
                assert_eq!(refusal, SealRejection::Blocks(vec![u8::try_from(number + 1).unwrap()]));
            }
        }
        for at in 0..5 {
            let mut letters: Vec<u8> = block.bytes().collect();
            letters.swap(at, at + 1);
            if letters == block.as_bytes() {
                continue;
            }
            let mut changed = owned.clone();
            changed[number] = String::from_utf8(letters).unwrap();
            assert_eq!(
                parse(&changed),
                SealRejection::Blocks(vec![u8::try_from(number + 1).unwrap()])
            );
        }
    }
    // Two blocks exchanged are both named; a letter outside the alphabet, too.
    let mut changed = owned.clone();
    changed.swap(2, 5);
    assert_eq!(parse(&changed), SealRejection::Blocks(vec![3, 6]));
    let mut changed = owned.clone();
    changed[7].replace_range(0..1, "ä");
    let refusal = parse(&changed);
    assert_eq!(refusal, SealRejection::Blocks(vec![8]));
    assert_eq!(refusal.to_string(), "mistyped: block 8");
    // A block too few, or one letter too few without breaks.
    assert_eq!(parse(&owned[..7]).code(), "seal.recovery_length");
    assert_eq!(RecoveryKey::parse("").unwrap_err().code(), "seal.recovery_length");
    assert!(RecoveryKey::parse(&"c".repeat(100_000)).is_err());
}

proptest! {
    #[test]
    fn any_two_wrong_letters_of_a_block_are_found(bytes: [u8; 16], block in 0_usize..8, a in 0_usize..6, b in 0_usize..6,
                                                  x in 1_usize..16, y in 1_usize..16) {
        prop_assume!(a != b);
        let mut text = RecoveryKey::from_random(bytes).text().into_bytes();
        for (at, by) in [(a, x), (b, y)] {
            let letter = &mut text[block * 7 + at];
            let place = LETTERS.bytes().position(|known| known == *letter).unwrap();
            *letter = LETTERS.as_bytes()[(place + by) % 16];
        }
        let refusal = RecoveryKey::parse(std::str::from_utf8(&text).unwrap()).unwrap_err();
        prop_assert_eq!(refusal, SealRejection::Blocks(vec![u8::try_from(block + 1).unwrap()]));
    }

    #[test]
    fn any_text_is_a_key_or_a_refusal(text: String) {
        let _ = RecoveryKey::parse(&text);
        let _ = Share::parse(&text);
    }

    #[test]
    fn any_bytes_are_contents_or_a_table_or_neither(head in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let _ = contents(&head, &head);
        let _ = parse_gpt(&head);
        let _ = PcrPolicies::parse(&head);
        let _ = SealedKey::parse(&head);
        let _ = Escrow::parse(&head);
    }
}

// Escrow.

fn persons(count: usize) -> (Vec<OpeningKey>, Vec<(String, freehold_trust::PublicKey)>) {
    let keys: Vec<OpeningKey> = (0..count).map(|_| OpeningKey::generate().unwrap()).collect();
    let named = keys
        .iter()
        .zip(["ada", "grace", "mary", "radia", "rosa"])
        .map(|(key, name)| (name.to_owned(), key.public().clone()))
        .collect();
    (keys, named)
}

fn counter() -> impl FnMut() -> [u8; 16] {
    let mut next = 0_u8;
    move || {
        next += 1;
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&sha256(&[next]).as_bytes()[..16]);
        bytes
    }
}

// promise S-96
#[test]
fn two_persons_open_an_escrow_and_one_does_not() {
    let key = RecoveryKey::from_random(*b"sixteen bytes!!!");
    let (keys, named) = persons(3);
    let escrow = Escrow::seal(VOLUME, &key, &named, counter()).unwrap();
    let escrow = Escrow::parse(&escrow.to_json()).unwrap();
    assert_eq!(escrow.volume(), VOLUME);
    assert!(escrow.to_json().len() < 8192);
    let name = |at: usize| Some(named[at].0.as_str());
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let one = escrow.share(&keys[a], name(b)).unwrap();
        let other = escrow.share(&keys[b], name(a)).unwrap();
        // A share is a text to be read out, and is not mistaken for a key.
        let read = Share::parse(&one.to_string()).unwrap();
        assert_eq!(
            RecoveryKey::parse(&one.to_string()).unwrap_err().code(),
            "seal.recovery_kind"
        );
        assert_eq!(Share::parse(&key.text()).unwrap_err().code(), "seal.recovery_kind");
        assert_eq!(escrow.combine(&read, &other).unwrap().as_bytes(), key.as_bytes());
        assert_ne!(one.as_bytes(), key.as_bytes());
        assert_eq!(escrow.combine(&one, &one).unwrap_err().code(), "seal.escrow_shares");
    }
    // Shares of two different pairs do not fit together.
    let one = escrow.share(&keys[0], name(1)).unwrap();
    let other = escrow.share(&keys[1], name(2)).unwrap();
    assert_eq!(escrow.combine(&one, &other).unwrap_err().code(), "seal.escrow_shares");
    // Three persons: it has to be said with whom. And a stranger has none.
    assert_eq!(escrow.share(&keys[0], None).unwrap_err().code(), "seal.escrow_person");
    let stranger = OpeningKey::generate().unwrap();
    assert_eq!(
        escrow.share(&stranger, name(0)).unwrap_err().code(),
        "seal.escrow_person"
    );
    // Two persons: it need not.
    let two = Escrow::seal(VOLUME, &key, &named[..2], counter()).unwrap();
    assert!(two.share(&keys[0], None).is_ok());
}

#[test]
fn an_escrow_for_one_or_twice_the_same_is_refused_and_so_is_a_changed_one() {
    let key = RecoveryKey::from_random([7; 16]);
    let (keys, named) = persons(2);
    let twice = [named[0].clone(), named[0].clone()];
    for wrong in [&named[..0], &named[..1], &twice] {
        assert_eq!(
            Escrow::seal(VOLUME, &key, wrong, counter()).unwrap_err().code(),
            "seal.escrow"
        );
    }
    let escrow = Escrow::seal(VOLUME, &key, &named, counter()).unwrap();
    let text = String::from_utf8(escrow.to_json()).unwrap();
    let other = text.replace(VOLUME, "00000000-4c7f-4a90-ba26-67a8ffec2334");
    let other = Escrow::parse(other.as_bytes()).unwrap();
    assert_eq!(other.share(&keys[0], None).unwrap_err().code(), "seal.escrow");
    assert_eq!(Escrow::parse(b"{}").unwrap_err().code(), "seal.escrow");
    assert_eq!(Escrow::parse(&vec![b' '; 100_000]).unwrap_err().code(), "seal.escrow");
}

// What lies on a partition.

fn luks2(label: &str, subsystem: &str) -> Vec<u8> {
    let mut head = vec![0; 4096];
    head[..8].copy_from_slice(b"LUKS\xba\xbe\x00\x02");
    head[24..24 + label.len()].copy_from_slice(label.as_bytes());
    head[168..204].copy_from_slice(VOLUME.as_bytes());
    head[208..208 + subsystem.len()].copy_from_slice(subsystem.as_bytes());
    head
}

#[test]
fn what_is_not_exactly_ours_is_foreign() {
    let zeros = vec![0; TAIL];
    let mut making = zeros.clone();
    making[..32].copy_from_slice(MAKING);
    let uuid = VOLUME.to_owned();
    assert_eq!(contents(&vec![0; HEAD], &zeros), Contents::Empty);
    assert_eq!(
        contents(&luks2(LABEL, SUBSYSTEM), &zeros),
        Contents::Volume { uuid: uuid.clone() }
    );
    // A finished volume stays one, whatever lies behind it.
    assert_eq!(contents(&luks2(LABEL, SUBSYSTEM), &making), Contents::Volume { uuid });
    assert_eq!(contents(&luks2(LABEL_MAKING, SUBSYSTEM), &zeros), Contents::HalfMade);
    assert_eq!(contents(&vec![0; HEAD], &making), Contents::HalfMade);
    assert_eq!(contents(&[0xaa; 4096], &making), Contents::HalfMade);

    let mut ext4 = vec![0; 4096];
    ext4[1080..1082].copy_from_slice(&[0x53, 0xef]);
    let mut last = zeros.clone();
    last[4000] = 1;
    for (what, head, tail) in [
        ("an ext4 file system", ext4, &zeros),
        ("a LUKS2 volume of somebody else", luks2("data", ""), &zeros),
        ("a LUKS2 volume of somebody else", luks2(LABEL, "other"), &zeros),
        (
            "a LUKS2 volume of somebody else",
            luks2("freehold-data2", SUBSYSTEM),
            &zeros,
        ),
        ("data of an unknown kind", vec![1; 4096], &zeros),
        ("data of an unknown kind", vec![0; 4096], &last),
    ] {
        assert_eq!(contents(&head, tail), Contents::Foreign(what.to_owned()));
        assert_eq!(SealRejection::Foreign(what.to_owned()).code(), "seal.foreign_partition");
    }
}

#[test]
fn partitions_are_read_as_systemd_repart_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    let definitions = folder.path().join("repart.d");
    std::fs::create_dir(&definitions).unwrap();
    std::fs::write(
        definitions.join("10.conf"),
        "[Partition]\nType=esp\nSizeMinBytes=1M\nSizeMaxBytes=1M\n",
    )
    .unwrap();
    let data = format!(
        "[Partition]\nType={DATA_PARTITION_TYPE}\nLabel={DATA_PARTITION_NAME}\nSizeMinBytes=8M\nSizeMaxBytes=8M\n"
    );
    std::fs::write(definitions.join("40.conf"), data).unwrap();
    let disk = folder.path().join("disk");
    let made = Command::new("systemd-repart")
        .args(["--empty=create", "--size=32M", "--dry-run=no", "--no-pager"])
        .arg(format!("--definitions={}", definitions.display()))
        .arg(&disk)
        .output();
    let Ok(made) = made else {
        eprintln!("skipped: systemd-repart is not here");
        return;
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut bytes = std::fs::read(&disk).unwrap();
    bytes.truncate(TABLE);
    let partitions = parse_gpt(&bytes).unwrap();
    let data: Vec<_> = partitions.iter().filter(|partition| partition.is_data()).collect();
    assert_eq!(partitions.len(), 2);
    assert_eq!(data.len(), 1);
    assert_eq!(data[0].number, 2);
    // One changed bit of header or entries, and there is no table.
    for at in [512 + 16, 512 + 72, 1024, 1024 + 128 + 60] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert_eq!(parse_gpt(&changed), None, "byte {at}");
    }
}

// Who may open what.

struct Scene {
    key: SigningKey,
    state: BootState,
    policies: PcrPolicies,
    sealed: SealedKey,
}

fn policy(key: &SigningKey, level: Level, pcr11: Sha256Digest) -> PcrPolicy {
    let policy = image_policy(level, pcr11);
    PcrPolicy {
        key: key.public().fingerprint(),
        phase: SEALING_PHASE.to_owned(),
        level,
        pcr11,
        policy,
        signature: key.sign_p256_fixed(&to_be_signed(&policy)).unwrap().to_vec(),
    }
}

fn scene() -> Scene {
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let (pcr7, pcr11) = (sha256(b"firmware"), sha256(b"image"));
    let zero = Sha256Digest::default();
    let parts = SealParts {
        public: vec![1],
        private: vec![2],
        storage: vec![3],
    };
    Scene {
        state: BootState {
            pcrs: BTreeMap::from([(7, pcr7), (11, pcr11), (12, zero), (13, zero)]),
            floor: Floor::At(level(2)),
            secure_boot: true,
        },
        policies: PcrPolicies {
            v: 1,
            policies: vec![policy(&key, level(2), pcr11)],
        },
        sealed: SealedKey::new(3, parts, key.public(), pcr7, Pin::None, level(1)),
        key,
    }
}

impl Scene {
    fn open(&self) -> Result<Level, SealRejection> {
        may_open(&self.state, &self.policies, &self.sealed).map(|policy| policy.level)
    }
    fn make(&self) -> Result<Level, SealRejection> {
        may_make(&self.state, &self.policies, self.key.public()).map(|policy| policy.level)
    }
}

#[test]
fn each_reason_to_refuse_has_its_code() {
    let good = scene();
    assert_eq!(good.open(), Ok(level(2)));
    assert_eq!(good.make(), Ok(level(2)));
    let other = sha256(b"other");
    type Change = fn(&mut Scene, Sha256Digest);
    let cases: [(&str, bool, Change); 8] = [
        ("seal.command_line", false, |scene, other| {
            scene.state.pcrs.insert(12, other);
        }),
        ("seal.extension", false, |scene, other| {
            scene.state.pcrs.insert(13, other);
        }),
        ("seal.image", false, |scene, other| {
            scene.state.pcrs.insert(11, other);
        }),
        ("seal.floor", false, |scene, _| scene.state.floor = Floor::At(level(3))),
        ("seal.floor", false, |scene, _| scene.sealed.floor = level(3)),
        ("seal.floor_index", true, |scene, _| scene.state.floor = Floor::Foreign),
        ("seal.other_tpm", true, |scene, _| scene.state.floor = Floor::Missing),
        ("seal.firmware", true, |scene, other| {
            scene.state.pcrs.insert(7, other);
        }),
    ];
    for (code, recoverable, change) in cases {
        let mut scene = scene();
        change(&mut scene, other);
        let refusal = scene.open().unwrap_err();
        assert_eq!(refusal.code(), code);
        assert_eq!(refusal.recoverable(), recoverable, "{code}");
    }
    let mut scene = good;
    scene.state.secure_boot = false;
    assert_eq!(scene.make().unwrap_err().code(), "seal.secure_boot");
    scene.state.secure_boot = true;
    scene.state.floor = Floor::Foreign;
    assert_eq!(scene.make().unwrap_err().code(), "seal.floor_index");
    // A cleared TPM has no floor, and the volume's own note still knows it.
    scene.state.floor = Floor::Missing;
    assert!(scene.make().is_ok());
}

#[test]
fn a_policy_file_is_taken_only_as_it_was_signed() {
    let scene = scene();
    let pcr11 = scene.state.pcr(11);
    let good = scene.policies.to_json();
    let mut padded = good.clone();
    padded.extend_from_slice(&[0; 200]);
    assert!(
        PcrPolicies::parse(&padded)
            .unwrap()
            .select(scene.key.public(), pcr11)
            .is_ok()
    );
    let change = |change: &dyn Fn(&mut PcrPolicy)| {
        let mut file = PcrPolicies::parse(&good).unwrap();
        change(&mut file.policies[0]);
        file.select(scene.key.public(), pcr11).unwrap_err().code()
    };
    assert_eq!(change(&|policy| policy.level = level(9)), "seal.signature");
    assert_eq!(change(&|policy| policy.signature[5] ^= 1), "seal.signature");
    assert_eq!(change(&|policy| policy.signature.truncate(63)), "seal.signature");
    assert_eq!(change(&|policy| policy.pcr11 = sha256(b"x")), "seal.image");
    assert_eq!(change(&|policy| policy.key = sha256(b"x")), "seal.signature");
    // A level that is raised with its policy digest still wants the key's signature.
    assert_eq!(
        change(&|policy| {
            policy.level = level(9);
            policy.policy = image_policy(level(9), policy.pcr11);
        }),
        "seal.signature"
    );
    for bad in [
        &b""[..],
        b"{}",
        b"{\"v\":2,\"policies\":[]}",
        b"{\"v\":1,\"policies\":[],\"x\":1}",
    ] {
        assert_eq!(PcrPolicies::parse(bad).unwrap_err().code(), "seal.signature");
    }
}

#[test]
fn tokens_are_read_as_they_were_written_and_nothing_else_is() {
    let sealed = scene().sealed;
    assert_eq!(SealedKey::parse(&sealed.to_json()).unwrap(), sealed);
    assert_eq!(slot_of(&sealed.keyslots), Ok(3));
    let recovery = RecoverySlot::new(1, None);
    assert_eq!(RecoverySlot::parse(&recovery.to_json()).unwrap(), recovery);
    let text = String::from_utf8(sealed.to_json()).unwrap();
    for (from, to) in [
        ("\"v\":1", "\"v\":2"),
        ("freehold-seal", "freehold-recovery"),
        ("[\"3\"]", "[]"),
        ("[\"3\"]", "[\"3\",\"4\"]"),
        ("[\"3\"]", "[\"99\"]"),
        ("\"floor\":1", "\"floor\":64"),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        assert_eq!(SealedKey::parse(changed.as_bytes()).unwrap_err().code(), "seal.seal");
    }
}

#[test]
fn a_measurement_names_the_volume_key_and_the_volume() {
    let one = volume_measurement(b"key", VOLUME);
    assert_ne!(one, volume_measurement(b"other", VOLUME));
    assert_ne!(one, volume_measurement(b"key", "00000000-4c7f-4a90-ba26-67a8ffec2334"));
    assert_ne!(one, sha256(b"key"));
}

#[test]
fn what_a_person_is_told_has_a_code_each() {
    for (refusal, code) in [
        (SealRejection::NoPartition, "seal.no_partition"),
        (SealRejection::ManyPartitions(2), "seal.many_partitions"),
        (SealRejection::Refused(String::new()), "seal.refused"),
        (SealRejection::OtherVolume, "seal.other_volume"),
        (SealRejection::Owned, "seal.owned"),
        (SealRejection::PinMissing, "seal.pin_missing"),
        (SealRejection::PinWrong { tries_left: 3 }, "seal.pin_wrong"),
        (SealRejection::Lockout { recovery_s: 600 }, "seal.lockout"),
        (SealRejection::RecoveryWrong, "seal.recovery_wrong"),
        (SealRejection::RecoveryMissing, "seal.recovery_missing"),
        (SealRejection::Unconfirmed, "seal.unconfirmed"),
    ] {
        assert_eq!(refusal.code(), code);
        assert!(SealRejection::CODES.contains(&code));
    }
}
