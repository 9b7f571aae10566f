//! Bundles and returns: what is taken, and every hostile stick by its code.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freehold_trust::hpke::{self, OpeningKey};
use freehold_trust::{KeyKind, PublicKey, Sha256Digest, SigningKey, sha256};
use freehold_verify::Refusal as _;
use freehold_verify::container::{Container, Digests, Draft, Index, Kind, write};
use freehold_verify::stick::{
    Bundle, BundleExpectation, DIRECTOR, INFO, Listed, MANIFEST, Return, SEALED, STATEMENT, StickRejection, TO,
    return_payload, seal_return, sign_bundle, signed_return, verify_bundle, verify_return,
};

const NOW: i64 = 1_800_000_000;

fn key() -> SigningKey {
    SigningKey::generate(KeyKind::P256).unwrap()
}

fn listed(name: &str, bytes: &[u8]) -> Listed {
    Listed {
        name: name.to_owned(),
        length: bytes.len() as u64,
        sha256: sha256(bytes),
    }
}

struct Console {
    director: SigningKey,
    returns: OpeningKey,
}

impl Console {
    fn new() -> Self {
        Self {
            director: key(),
            returns: OpeningKey::generate().unwrap(),
        }
    }

    fn bundle(&self) -> Bundle {
        Bundle {
            v: 1,
            fleet: "ward".to_owned(),
            site: "here".to_owned(),
            number: 7,
            at: NOW,
            not_after: NOW + 86_400,
            return_key: STANDARD.encode(self.returns.public().spki_der()),
            boxes: vec!["amber-fox-9d1e".to_owned()],
            files: vec![listed("boxes/amber-fox-9d1e.json", b"{}")],
        }
    }

    fn director(&self) -> &[u8] {
        self.director.public().spki_der()
    }

    fn expectation(&self) -> BundleExpectation {
        BundleExpectation {
            fleet: "ward".to_owned(),
            director: sha256(self.director()),
            last: None,
        }
    }

    /// The code for a bundle as this box sees it.
    fn code(&self, bundle: &Bundle, expectation: &BundleExpectation, now: i64) -> &'static str {
        let envelope = sign_bundle(bundle, &self.director);
        match verify_bundle(&envelope, self.director(), expectation, now) {
            Ok(_) => "",
            Err(rejection) => rejection.code(),
        }
    }
}

// promise S-223
#[test]
fn a_bundle_of_another_fleet_an_older_one_and_a_changed_one_are_refused() {
    let (ours, theirs) = (Console::new(), Console::new());
    let (bundle, expectation) = (ours.bundle(), ours.expectation());
    assert_eq!(ours.code(&bundle, &expectation, NOW), "");
    assert_eq!(theirs.code(&theirs.bundle(), &expectation, NOW), "stick.other_director");

    // Our director's key beside a list that somebody else signed.
    let envelope = sign_bundle(&bundle, &theirs.director);
    let refused = verify_bundle(&envelope, ours.director(), &expectation, NOW).unwrap_err();
    assert_eq!(refused.code(), "stick.signature");
    assert_eq!(
        verify_bundle(b"{}", ours.director(), &expectation, NOW)
            .unwrap_err()
            .code(),
        "stick.malformed"
    );

    let other = Bundle {
        fleet: "other".to_owned(),
        ..bundle.clone()
    };
    assert_eq!(ours.code(&other, &expectation, NOW), "stick.other_fleet");
    let version = Bundle { v: 2, ..bundle.clone() };
    assert_eq!(ours.code(&version, &expectation, NOW), "stick.version");
    assert_eq!(ours.code(&bundle, &expectation, NOW + 86_401), "stick.expired");

    // Taken: again is no fault, another one of the number or an older one is.
    let digest = sha256(&sign_bundle(&bundle, &ours.director));
    let last = |number, digest| BundleExpectation {
        last: Some((number, digest)),
        ..expectation.clone()
    };
    assert_eq!(ours.code(&bundle, &last(8, digest), NOW), "stick.replayed");
    assert_eq!(
        ours.code(&bundle, &last(7, sha256(b"another list")), NOW),
        "stick.replayed"
    );
    assert_eq!(ours.code(&bundle, &last(6, sha256(b"an older list")), NOW), "");
}

#[test]
fn an_import_that_was_begun_is_brought_to_its_end_although_its_time_is_over() {
    let ours = Console::new();
    let envelope = sign_bundle(&ours.bundle(), &ours.director);
    let expectation = BundleExpectation {
        last: Some((7, sha256(&envelope))),
        ..ours.expectation()
    };
    assert!(verify_bundle(&envelope, ours.director(), &expectation, NOW + 1_000_000).is_ok());
}

fn part(set: Sha256Digest, files: &[(&str, &[u8])]) -> Index {
    let mut draft = Draft::new(Kind::Bundle, set, 1, 1);
    for (name, bytes) in files {
        draft.file(name, bytes.len() as u64);
        draft.digests(name, Digests::of(bytes)).unwrap();
    }
    draft.index().unwrap()
}

// promise S-223
#[test]
fn what_the_signed_list_does_not_name_is_refused() {
    let ours = Console::new();
    let envelope = sign_bundle(&ours.bundle(), &ours.director);
    let digest = sha256(&envelope);
    let bundle = verify_bundle(&envelope, ours.director(), &ours.expectation(), NOW).unwrap();
    let letter = ("boxes/amber-fox-9d1e.json", &b"{}"[..]);
    let own = [(MANIFEST, &envelope[..]), (DIRECTOR, ours.director())];
    let code = |set, more: &[(&str, &[u8])]| {
        let files: Vec<(&str, &[u8])> = own.iter().chain(more).copied().collect();
        bundle
            .check_part(&part(set, &files), digest)
            .map_err(|fault| fault.code())
    };
    assert_eq!(code(digest, &[letter]), Ok(()));
    assert_eq!(code(sha256(b"another list"), &[letter]), Err("stick.other_set"));
    assert_eq!(code(digest, &[letter, ("more", b"x")]), Err("stick.unlisted"));
    assert_eq!(code(digest, &[(letter.0, b"[]")]), Err("stick.unlisted"));
    assert_eq!(code(digest, &[(letter.0, b"{} ")]), Err("stick.unlisted"));
    // A piece of another length than the file has.
    let mut draft = Draft::new(Kind::Bundle, digest, 1, 1);
    draft.piece(letter.0, 100, 0, 2);
    draft.digests(letter.0, Digests::of(b"{}")).unwrap();
    let piece = draft.index().unwrap();
    assert_eq!(
        bundle.check_part(&piece, digest),
        Err(StickRejection::Unlisted {
            name: letter.0.to_owned()
        })
    );
}

/// A return as a box with this TLS key writes it.
fn returned(
    tls: &SigningKey,
    to: &PublicKey,
    change: impl FnOnce(&mut Return, &mut BTreeMap<String, Vec<u8>>),
) -> Vec<u8> {
    let mut messages = BTreeMap::from([("report.json".to_owned(), b"{}".to_vec())]);
    let set = sha256(b"the list of bundle 7");
    let mut statement = Return {
        v: 1,
        fleet: "ward".to_owned(),
        box_id: "amber-fox-9d1e".to_owned(),
        key: STANDARD.encode(tls.public().spki_der()),
        number: 7,
        set,
        sequence: 1,
        at: NOW,
        files: vec![listed("report.json", b"{}")],
    };
    change(&mut statement, &mut messages);
    let (payload, message) = return_payload(&statement);
    let envelope = signed_return(payload, tls.sign(&message));
    seal_return(envelope, messages, to, "ward", 7, set).unwrap()
}

// promise S-224
#[test]
fn a_return_is_opened_by_its_console_alone_and_says_who_signed_it() {
    let (ours, theirs, tls) = (Console::new(), Console::new(), key());
    let bytes = returned(&tls, ours.returns.public(), |_, _| {});
    let (statement, signer, messages) = verify_return(&bytes, &ours.returns, "ward").unwrap();
    assert_eq!(
        (statement.sequence, signer.fingerprint()),
        (1, tls.public().fingerprint())
    );
    assert_eq!(messages, BTreeMap::from([("report.json".to_owned(), b"{}".to_vec())]));
    // Whoever finds the stick sees neither the box nor the report.
    let text = String::from_utf8_lossy(&bytes);
    assert!(!text.contains("amber-fox") && !text.contains("report"));

    let code = |bytes: &[u8], key: &OpeningKey, fleet: &str| verify_return(bytes, key, fleet).unwrap_err().code;
    assert_eq!(code(&bytes, &theirs.returns, "ward"), "stick.sealed");
    assert_eq!(code(&bytes, &ours.returns, "other"), "stick.other_fleet");
    for at in (0..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x20;
        assert!(verify_return(&changed, &ours.returns, "ward").is_err(), "byte {at}");
    }
}

// promise S-224
#[test]
fn a_return_whose_contents_are_not_those_of_its_statement_is_refused() {
    let (ours, tls) = (Console::new(), key());
    let to = ours.returns.public();
    let code = |bytes: &[u8]| verify_return(bytes, &ours.returns, "ward").unwrap_err().code;
    let made = |change: fn(&mut Return, &mut BTreeMap<String, Vec<u8>>)| code(&returned(&tls, to, change));
    assert_eq!(
        made(|_, messages| {
            messages.insert("more.json".to_owned(), b"{}".to_vec());
        }),
        "stick.unlisted"
    );
    assert_eq!(
        made(|_, messages| {
            messages.insert("report.json".to_owned(), b"[]".to_vec());
        }),
        "stick.unlisted"
    );
    assert_eq!(
        made(|_, messages| {
            messages.clear();
        }),
        "container.missing"
    );
    assert_eq!(made(|statement, _| statement.v = 2), "stick.version");
    assert_eq!(
        made(|statement, _| statement.fleet = "other".to_owned()),
        "stick.other_fleet"
    );
    assert_eq!(made(|statement, _| statement.number = 8), "stick.other_set");
    assert_eq!(
        made(|statement, _| statement.set = sha256(b"another")),
        "stick.other_set"
    );
    // Signed by another key than the one that the statement names.
    let other = key();
    let wrong = returned(&other, to, |statement, _| {
        statement.key = STANDARD.encode(tls.public().spki_der());
    });
    assert_eq!(code(&wrong), "stick.signature");
}

#[test]
fn a_seal_around_something_else_is_refused() {
    let ours = Console::new();
    let to = ours.returns.public();
    let clear = br#"{"v":1,"fleet":"ward","key":"0000000000000000000000000000000000000000000000000000000000000000","number":7}"#;
    let sealed = |inner: &[u8]| {
        let sealed = hpke::seal(to, INFO, clear, inner).unwrap();
        let files = BTreeMap::from([(TO.to_owned(), clear.to_vec()), (SEALED.to_owned(), sealed)]);
        let bytes = write(Kind::Return, sha256(b"set"), &files).unwrap();
        verify_return(&bytes, &ours.returns, "ward").unwrap_err().code
    };
    assert_eq!(sealed(b"no container"), "container.magic");
    let empty = write(Kind::Return, sha256(b"set"), &BTreeMap::new()).unwrap();
    assert_eq!(sealed(&empty), "container.missing");
    let junk = BTreeMap::from([(STATEMENT.to_owned(), b"{}".to_vec())]);
    let junk = write(Kind::Return, sha256(b"set"), &junk).unwrap();
    assert_eq!(sealed(&junk), "stick.malformed");
    let bundle = write(Kind::Bundle, sha256(b"set"), &BTreeMap::new()).unwrap();
    assert!(Container::parse(&bundle, Kind::Return).is_err());
    assert_eq!(
        verify_return(&bundle, &ours.returns, "ward").unwrap_err().code,
        "container.kind"
    );
}
