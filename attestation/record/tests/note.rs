//! Notes, checkpoints and cosignatures: what is accepted, and what is almost. Case I05.

use freehold_record::witness::Seen;
use freehold_record::{
    Checkpoint, NoteSigner, RecordRejected, SignedNote, VerifierKey, cosign, cosignatures, empty_root, leaf_hash,
};
use freehold_trust::{KeyKind, SigningKey};

fn signer(name: &str) -> NoteSigner {
    NoteSigner::new(name, SigningKey::generate(KeyKind::Ed25519).unwrap()).unwrap()
}

fn code<T>(result: Result<T, RecordRejected>) -> &'static str {
    result.map(|_| ()).expect_err("refused").code()
}

/// The example of the Go implementation of signed notes (golang.org/x/mod/sumdb/note), whose key and signature are public.
#[test]
fn i05_note_of_another_implementation_verifies() {
    let key = VerifierKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").unwrap();
    assert_eq!(
        key.to_string(),
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    );
    let text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    let note = format!(
        "{text}\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    );
    let parsed = SignedNote::parse(note.as_bytes()).unwrap();
    assert_eq!(parsed.verify(&key).unwrap(), text);
    assert_eq!(parsed.to_string(), note);
}

#[test]
fn i05_verifier_key_text() {
    let log = signer("example.org/box/amber-fox");
    let text = log.verifier().to_string();
    assert_eq!(&VerifierKey::parse(&text).unwrap(), log.verifier());
    assert_eq!(VerifierKey::parse(&log.witness().to_string()).unwrap(), log.witness());
    for bad in [
        "",
        "a",
        "a+00000000",
        "a+00000000+",
        "a+00000000+AA==",
        &text.replace("amber", "other"),
        &format!("{text}A"),
    ] {
        assert_eq!(code(VerifierKey::parse(bad)), "record.key_malformed", "{bad}");
    }
    for name in ["", "with space", "with+plus", "with\nnewline"] {
        assert!(VerifierKey::new(name, &log.verifier().public().unwrap()).is_err());
    }
}

#[test]
fn i05_checkpoint_signed_and_verified() {
    let log = signer("example.org/log");
    let checkpoint = Checkpoint::new("example.org/log", 1, leaf_hash(b"x"));
    let note = checkpoint.sign(&log).unwrap().to_string();
    let (back, _) = Checkpoint::verify(note.as_bytes(), "example.org/log", log.verifier()).unwrap();
    assert_eq!(back, checkpoint);
    assert_eq!(
        code(Checkpoint::verify(note.as_bytes(), "example.org/other", log.verifier())),
        "record.other_origin"
    );
    assert_eq!(
        code(Checkpoint::verify(
            note.as_bytes(),
            "example.org/log",
            signer("other").verifier()
        )),
        "record.unsigned"
    );
    // A stranger who calls himself like the log has another key id, and is ignored.
    let stranger = signer("example.org/log");
    assert_eq!(
        code(Checkpoint::verify(
            note.as_bytes(),
            "example.org/log",
            stranger.verifier()
        )),
        "record.unsigned"
    );
    let mut both = SignedNote::parse(note.as_bytes()).unwrap();
    let theirs = checkpoint.sign(&stranger).unwrap();
    both.push(stranger.verifier(), &theirs.signatures()[0].bytes);
    assert!(Checkpoint::verify(both.to_string().as_bytes(), "example.org/log", log.verifier()).is_ok());
}

#[test]
fn i05_every_changed_byte_of_a_signed_checkpoint_is_refused() {
    let log = signer("l");
    let note = Checkpoint::new("l", 300, leaf_hash(b"x"))
        .sign(&log)
        .unwrap()
        .to_string()
        .into_bytes();
    for at in 0..note.len() {
        for flip in [1u8, 0x20, 0x80] {
            let mut changed = note.clone();
            changed[at] ^= flip;
            assert!(
                Checkpoint::verify(&changed, "l", log.verifier()).is_err(),
                "byte {at} ^ {flip:#x}"
            );
        }
    }
    for cut in 0..note.len() {
        assert!(
            Checkpoint::verify(&note[..cut], "l", log.verifier()).is_err(),
            "cut at {cut}"
        );
    }
}

#[test]
fn i05_malformed_notes() {
    let line = "\u{2014} l AAAAAAA=\n";
    for (what, note) in [
        ("empty", String::new()),
        ("no blank line", format!("text\n{line}")),
        ("no newline at the end", format!("text\n\n{}", line.trim_end())),
        ("no signature", "text\n\n".to_owned()),
        ("control character", format!("te\u{1b}xt\n\n{line}")),
        ("carriage return", format!("text\r\n\n{line}")),
        ("hyphen for a dash", "text\n\n- l AAAAAAA=\n".to_owned()),
        ("two spaces", "text\n\n\u{2014} l  AAAAAAA=\n".to_owned()),
        ("not base64", "text\n\n\u{2014} l A*AAAAA=\n".to_owned()),
        ("base64 without padding", "text\n\n\u{2014} l AAAAAAA\n".to_owned()),
        ("only a key id", "text\n\n\u{2014} l AAAAAA==\n".to_owned()),
        ("plus in the name", "text\n\n\u{2014} l+m AAAAAAA=\n".to_owned()),
        ("something after the signatures", format!("text\n\n{line}more\n")),
        ("too many signatures", format!("text\n\n{}", line.repeat(101))),
        ("too long", format!("{}\n\n{line}", "x".repeat(70_000))),
    ] {
        assert_eq!(
            code(SignedNote::parse(note.as_bytes())),
            "record.note_malformed",
            "{what}"
        );
    }
    assert_eq!(code(SignedNote::parse(b"\xff\n\n")), "record.note_malformed");
    assert!(SignedNote::parse(format!("text\n\nwith a blank line\n\n{line}").as_bytes()).is_ok());
}

#[test]
fn i05_malformed_checkpoints() {
    let root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    for (what, text) in [
        ("no newline", format!("l\n1\n{root}")),
        ("no origin", format!("\n1\n{root}\n")),
        ("leading zero", format!("l\n01\n{root}\n")),
        ("sign", format!("l\n+1\n{root}\n")),
        ("negative", format!("l\n-1\n{root}\n")),
        ("hexadecimal", format!("l\n0x1\n{root}\n")),
        ("space", format!("l\n1 \n{root}\n")),
        ("2^63", format!("l\n9223372036854775808\n{root}\n")),
        ("beyond 64 bits", format!("l\n99999999999999999999\n{root}\n")),
        ("no root", "l\n1\n".to_owned()),
        ("short root", "l\n1\nAAAA\n".to_owned()),
        (
            "root without padding",
            format!("l\n1\n{}\n", root.trim_end_matches('=')),
        ),
        ("empty extension line", format!("l\n1\n{root}\n\nx\n")),
    ] {
        assert_eq!(code(Checkpoint::parse(&text)), "record.checkpoint_malformed", "{what}");
    }
    assert_eq!(Checkpoint::parse(&format!("l\n0\n{root}\n")).unwrap().size, 0);
    // Extension lines are allowed, kept, and covered by the signature.
    let extended = Checkpoint::parse(&format!("l\n1\n{root}\nsome extension\n")).unwrap();
    assert_eq!(extended.extensions, ["some extension"]);
    assert_eq!(extended.text(), format!("l\n1\n{root}\nsome extension\n"));
}

#[test]
fn i05_cosignatures_below_the_quorum() {
    let log = signer("l");
    let (one, two, unknown) = (signer("w1"), signer("w2"), signer("w3"));
    let mut note = Checkpoint::new("l", 0, empty_root()).sign(&log).unwrap();
    cosign(&mut note, &one, 1_795_000_000);
    cosign(&mut note, &one, 1_795_000_060);
    cosign(&mut note, &unknown, 1_795_000_000);
    let note = SignedNote::parse(note.to_string().as_bytes()).unwrap();
    let known = [one.witness(), two.witness(), log.verifier().clone()];
    assert_eq!(
        code(cosignatures(&note, &known, 2)),
        "record.quorum",
        "one witness twice is one"
    );
    let seen = cosignatures(&note, &known, 1).unwrap();
    assert_eq!(
        seen.iter().map(|(key, at)| (key.name(), *at)).collect::<Vec<_>>(),
        [("w1", 1_795_000_060)]
    );

    let mut both = note.clone();
    cosign(&mut both, &two, 1_795_000_000);
    assert_eq!(cosignatures(&both, &known, 2).unwrap().len(), 2);
    // Another time than the signed one.
    let mut forged = Checkpoint::new("l", 0, empty_root()).sign(&log).unwrap();
    let mut bytes = both.signatures().last().unwrap().bytes.clone();
    bytes[7] ^= 1;
    forged.push(&two.witness(), &bytes);
    assert_eq!(code(cosignatures(&forged, &known, 0)), "record.signature");
}

#[test]
fn i06_witness_moves_forward_only() {
    let log = signer("l");
    let roots = [
        leaf_hash(b"a"),
        freehold_record::node_hash(&leaf_hash(b"a"), &leaf_hash(b"b")),
    ];
    let note = |size: usize| {
        Checkpoint::new("l", u64::try_from(size).unwrap(), roots[size - 1])
            .sign(&log)
            .unwrap()
            .to_string()
            .into_bytes()
    };
    let mut seen = Seen::default();
    seen.advance(&note(1), "l", log.verifier(), &[]).unwrap();
    assert_eq!(code(seen.advance(&note(2), "l", log.verifier(), &[])), "record.proof");
    assert_eq!(
        code(seen.advance(&note(2), "l", log.verifier(), &[leaf_hash(b"c")])),
        "record.proof"
    );
    seen.advance(&note(2), "l", log.verifier(), &[leaf_hash(b"b")]).unwrap();
    assert_eq!(
        code(seen.advance(&note(1), "l", log.verifier(), &[])),
        "record.truncated"
    );
    let fork = Checkpoint::new("l", 2, empty_root()).sign(&log).unwrap().to_string();
    assert_eq!(
        code(seen.advance(fork.as_bytes(), "l", log.verifier(), &[])),
        "record.forked"
    );
    assert_eq!(seen.size, 2);
}

#[test]
fn signer_shows_no_private_key() {
    let log = signer("l");
    assert!(!format!("{log:?}").to_lowercase().contains("private_key"));
}
