//! Proofs as files, thousands of valid and broken ones generated, and the schema of entries. Cases I01, I05.

use freehold_record::schema::{self, Form, KINDS};
use freehold_record::{
    Checkpoint, Entry, HashSource, NoteSigner, SignedNote, TlogProof, Value, empty_root, inclusion, leaf_hash,
    node_hash,
};
use freehold_trust::{KeyKind, Sha256Digest, SigningKey};

struct Leaves(Vec<Sha256Digest>);

impl HashSource for Leaves {
    type Error = std::convert::Infallible;
    fn subtree(&self, level: u8, index: u64) -> Result<Sha256Digest, Self::Error> {
        let start = usize::try_from(index << level).unwrap();
        Ok(root(&self.0[start..start + (1usize << level)]))
    }
}

/// RFC 6962, 2.1, word for word.
fn root(leaves: &[Sha256Digest]) -> Sha256Digest {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        many => {
            let mut k = 1;
            while k * 2 < many.len() {
                k *= 2;
            }
            node_hash(&root(&many[..k]), &root(&many[k..]))
        }
    }
}

fn entry(n: u64) -> Vec<u8> {
    format!("entry {n}").into_bytes()
}

struct World {
    signer: NoteSigner,
    leaves: Leaves,
}

impl World {
    fn new(size: u64) -> Self {
        Self {
            signer: NoteSigner::new("example.org/log", SigningKey::generate(KeyKind::Ed25519).unwrap()).unwrap(),
            leaves: Leaves((0..size).map(|n| leaf_hash(&entry(n))).collect()),
        }
    }

    fn head(&self, size: u64) -> SignedNote {
        let root = root(&self.leaves.0[..usize::try_from(size).unwrap()]);
        Checkpoint::new("example.org/log", size, root)
            .sign(&self.signer)
            .unwrap()
    }

    fn proof(&self, index: u64, size: u64, head: &SignedNote) -> TlogProof {
        TlogProof {
            extra: None,
            index,
            path: inclusion(index, size, &self.leaves).unwrap().unwrap(),
            checkpoint: head.clone(),
        }
    }

    fn verify(&self, proof: &TlogProof, bytes: &[u8]) -> Result<Checkpoint, &'static str> {
        proof
            .verify(bytes, "example.org/log", self.signer.verifier())
            .map_err(|rejected| rejected.code())
    }
}

/// Every proof of every tree up to 72 leaves, each broken in seven ways: more than 15,000 vectors.
#[test]
fn i01_thousands_of_proof_files_verify_and_no_broken_one_does() {
    let world = World::new(72);
    let (mut valid, mut broken) = (0, 0);
    for size in 1..=72u64 {
        let head = world.head(size);
        for index in 0..size {
            let proof = world.proof(index, size, &head);
            let text = proof.to_string();
            let again = TlogProof::parse(text.as_bytes()).unwrap();
            assert_eq!(again, proof);
            assert_eq!(again.to_string(), text);
            world.verify(&again, &entry(index)).unwrap();
            valid += 1;
            let other_index = TlogProof {
                index: (index + 1) % (size + 1),
                ..proof.clone()
            };
            let mut longer = proof.clone();
            longer.path.push(empty_root());
            let mut shorter = proof.clone();
            let had = shorter.path.pop().is_some();
            let mut flipped = proof.clone();
            let changed = flipped.path.first_mut().map(|hash| *hash = empty_root()).is_some();
            let mut reversed = proof.clone();
            reversed.path.reverse();
            let turned = reversed.path != proof.path;
            for (what, applies, proof, bytes) in [
                ("another entry", true, proof.clone(), entry(index + 1)),
                ("another index", true, other_index, entry(index)),
                ("longer", true, longer, entry(index)),
                ("shorter", had, shorter, entry(index)),
                ("a changed hash", changed, flipped, entry(index)),
                ("reversed", turned, reversed, entry(index)),
            ] {
                if applies {
                    assert_eq!(
                        world.verify(&proof, &bytes),
                        Err("record.proof"),
                        "{what}: {index} of {size}"
                    );
                    broken += 1;
                }
            }
        }
    }
    println!("{valid} valid and {broken} broken proofs");
    assert!(valid > 2_500 && broken > 12_000);
}

#[test]
fn i05_a_proof_of_another_log_key_or_form_is_refused() {
    let world = World::new(9);
    let head = world.head(9);
    let proof = world.proof(4, 9, &head);
    let refused = |name: &str, signer: &NoteSigner| {
        proof
            .verify(&entry(4), name, signer.verifier())
            .map_err(|rejected| rejected.code())
    };
    assert_eq!(refused("example.org/other", &world.signer), Err("record.other_origin"));
    let stranger = NoteSigner::new("example.org/log", SigningKey::generate(KeyKind::Ed25519).unwrap()).unwrap();
    assert_eq!(refused("example.org/log", &stranger), Err("record.unsigned"));
    let text = proof.to_string();
    for (what, bytes) in [
        ("another header", text.replacen("@v1", "@v2", 1)),
        ("no index", text.replacen("index 4\n", "", 1)),
        ("leading zero", text.replacen("index 4", "index 04", 1)),
        ("a sign", text.replacen("index 4", "index +4", 1)),
        ("a word", text.replacen("index 4", "index four", 1)),
        ("an unknown line", text.replacen("index 4", "other 1\nindex 4", 1)),
        ("no blank line", text.replacen("\n\n", "\n", 1)),
        ("a short hash", text.replacen("index 4\n", "index 4\nAAAA\n", 1)),
        ("spaces", text.replacen("index 4", "index 4 ", 1)),
        (
            "a path without end",
            text.replacen(
                "index 4\n",
                &format!("index 4\n{}", format!("{}\n", "A".repeat(43) + "=").repeat(64)),
                1,
            ),
        ),
    ] {
        let refused = TlogProof::parse(bytes.as_bytes()).unwrap_err();
        assert_eq!(refused.code(), "record.tlog_proof_malformed", "{what}");
    }
    let extra = text.replacen("index 4", "extra aGVsbG8=\nindex 4", 1);
    let with_extra = TlogProof::parse(extra.as_bytes()).unwrap();
    assert_eq!(with_extra.extra.as_deref(), Some(b"hello".as_slice()));
    assert_eq!(with_extra.to_string(), extra);
    world.verify(&with_extra, &entry(4)).unwrap();
}

proptest::proptest! {
    #[test]
    fn i01_any_flipped_byte_of_a_proof_file_is_refused(index in 0u64..9, at in 0usize..400, bit in 0u8..8) {
        let world = World::new(9);
        let mut bytes = world.proof(index, 9, &world.head(9)).to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(proof) = TlogProof::parse(&bytes) {
            // What is left of the signature's name and key id decides whether it counts; it never counts as something else.
            proptest::prop_assert!(world.verify(&proof, &entry(index)).is_err());
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000)) {
        let _ = TlogProof::parse(&bytes);
    }
}

// promise S-240
#[test]
fn entries_of_unknown_kinds_and_without_their_fields_are_refused() {
    let code = |entry: &Entry| schema::check(entry).map_err(|rejected| rejected.code());
    assert_eq!(code(&Entry::new(0, "a", "model.flown")), Err("record.entry_unknown"));
    let made = || Entry::new(0, "a", "account.made");
    assert_eq!(code(&made()), Err("record.entry_schema"));
    assert_eq!(code(&made().with("role", 7u64)), Err("record.entry_schema"));
    assert_eq!(code(&made().with("role", "viewer")), Ok(()));
    assert_eq!(code(&made().with("role", "viewer").with("later", true)), Ok(()));
    let refused = made().refused(freehold_record::RefusalNote {
        code: "console.bad_role".into(),
        message: "no such role".into(),
        expected: None,
        found: None,
    });
    assert_eq!(code(&refused), Ok(()), "what was refused may not have had its fields");
    let digest = |text: &str| Entry::new(0, "a", "plan.begun").with("steps", 1u64).with("plan", text);
    assert_eq!(code(&digest("abc")), Err("record.entry_schema"));
    assert_eq!(code(&digest(&"a".repeat(64))), Ok(()));
    let list = Entry::new(0, "a", "assignment.made").with("targets", vec!["x"]);
    assert_eq!(code(&list), Ok(()));
    let wrong = Entry::new(0, "a", "assignment.made").with("targets", Value::List(vec![Value::from(1u64)]));
    assert_eq!(code(&wrong), Err("record.entry_schema"));
}

#[test]
fn kinds_are_sorted_and_the_document_lists_them() {
    assert!(
        KINDS.is_sorted_by(|a, b| a.what < b.what),
        "kinds are in the order of their names"
    );
    let page = include_str!("../../../docs/record.md");
    for kind in KINDS {
        let fields: Vec<String> = kind
            .fields
            .iter()
            .map(|field| {
                let optional = if field.needed { "" } else { "?" };
                format!("{}{optional} ({})", field.name, field.form.word())
            })
            .collect();
        let row = format!("| `{}` | {} | {} |", kind.what, kind.says, fields.join(", "));
        assert!(page.contains(&row), "docs/record.md lacks this row:\n{row}");
    }
    assert!(
        KINDS
            .iter()
            .all(|kind| kind.fields.iter().all(|field| field.form.word() != ""))
    );
    assert_eq!(Form::Digest.word(), "sha-256");
}
