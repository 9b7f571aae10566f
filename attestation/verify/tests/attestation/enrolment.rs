//! Enrolment, right and wrong: a real software TPM from first word to verdict, and cases B04 to B06, B09, B10.

use crate::certified::Certified;
use crate::endorsement::{Roots, ek_world, paper_ek};
use std::collections::BTreeSet;

use crate::paper_tpm::{NOW, PaperBox, TLS, ec_public};
use crate::real_tpm::{EK_P384, EK_RSA, RealTpm};
use freehold_trust::certificate::Certificate;
use freehold_trust::{KeyKind, PublicKey, Sha256Digest, SigningKey, sha256};
use freehold_verify::Refusal as _;
use freehold_verify::boot::generate::extends;
use freehold_verify::boot::{BootDescription, generate};
use freehold_verify::event_log::EventLog;
use freehold_verify::evidence::{
    BootShown, Bound, Challenge, Evidence, Expectation, Shown, qualifying_data, verify_evidence,
};
use freehold_verify::identity::enrolment::check_id;
use freehold_verify::identity::{
    AttestationKey, Candidate, EkTrust, Enrolling, KnownBox, Novelty, Proof, TpmKind, check_activation, check_novelty,
    make_credential, verify_endorsement,
};
use freehold_verify::quote::{ClockStep, PcrValues};
use freehold_verify::tpm::public::{Public, PublicParameters};
use freehold_verify::tpm::{PcrSet, algorithm};

/// Random bytes of a test: different on each call, the same in each run.
pub(crate) fn random() -> impl FnMut(&mut [u8]) {
    let mut count = 0_u32;
    move |out: &mut [u8]| {
        for chunk in out.chunks_mut(32) {
            count += 1;
            chunk.copy_from_slice(&sha256(&count.to_be_bytes()).as_bytes()[..chunk.len()]);
        }
    }
}

#[test]
fn a_real_tpm_enrols_and_attests() {
    let tpm = RealTpm::start();
    let (roots, chain) = tpm.roots();
    let software = roots.iter().map(Certificate::fingerprint).collect();
    let trust = Roots {
        roots,
        software,
        ..Roots::none()
    };
    let (ak_public, tls_public) = (tpm.public(crate::real_tpm::AK), tpm.public(crate::real_tpm::TLS));
    let session = Public::parse(&tls_public).unwrap().public_key().unwrap();
    let mut identity = None;
    for (ek, index) in [(EK_RSA, "0x1c00002"), (EK_P384, "0x1c00016")] {
        let (ek_public, certificate) = (tpm.public(ek), tpm.ek_certificate(index));
        let candidate = Candidate {
            ek_public: &ek_public,
            ek_certificate: Some(&certificate),
            ek_chain: &chain,
            ak_public: &ak_public,
            tls_public: &tls_public,
            session: &session,
        };
        let enrolling = Enrolling::begin(&candidate, &trust.policy(), &mut random()).unwrap();
        let credential = enrolling.credential().clone();
        let activated = tpm
            .activate(ek, &credential.id_object, &credential.encrypted_secret)
            .expect("the TPM opens it");
        let (certify_attest, certify_signature) = tpm.certify(enrolling.challenge());
        let proof = Proof {
            activated: &activated,
            certify_attest: &certify_attest,
            certify_signature: &certify_signature,
        };
        let complete = enrolling.complete(&proof).unwrap();
        assert_eq!(complete.tpm, TpmKind::Software);
        assert!(matches!(&complete.trust, EkTrust::Chain { subject, .. } if subject.contains("swtpm-localca-rootca")));
        assert_eq!(complete.tls, session);

        // A changed credential does not open, one for another AK does not open.
        let mut bad = credential.id_object.clone();
        *bad.last_mut().unwrap() ^= 1;
        assert!(tpm.activate(ek, &bad, &credential.encrypted_secret).is_none());
        let public = Public::parse(&ek_public).unwrap();
        let other = PaperBox::new("other").ak;
        let foreign = make_credential(&public, other.name(), &[9; 32], &mut random()).unwrap();
        assert!(
            tpm.activate(ek, &foreign.id_object, &foreign.encrypted_secret)
                .is_none()
        );
        // The same key declared from a root that is not named a software root would be hardware: the root decides.
        let elsewhere = Roots {
            software: BTreeSet::new(),
            roots: trust.roots.clone(),
            ..Roots::none()
        };
        let found = verify_endorsement(&ek_public, Some(&certificate), &chain, &elsewhere.policy()).unwrap();
        assert_eq!(found.tpm, TpmKind::Hardware);
        identity = Some(complete.into_inner());
    }
    attests(&tpm, &identity.unwrap().ak, &session);
}

/// Replays a generated boot into the TPM and checks what its quotes show, before, at and after `ready`.
pub(crate) fn attests(tpm: &RealTpm, ak: &AttestationKey, session: &PublicKey) {
    let (log, manifest) = generate(&BootDescription::demonstration("freehold", "1.0.0"));
    let parsed = EventLog::parse(&log).unwrap();
    let manifests = [manifest];
    let challenge = Challenge::issue([5; 32], NOW);
    let required = PcrSet::of(&crate::paper_tpm::REQUIRED);
    let ask = |previous| -> freehold_verify::evidence::Claims {
        let bound = Bound {
            nonce: challenge.nonce,
            box_id: "real".to_owned(),
            tls: session.fingerprint(),
            checkpoint: None,
            models: vec![],
            supervisor: "test".to_owned(),
            boot: Evidence::boot_claim("freehold", "1.0.0", &log),
        };
        let (attest, signature) = tpm.quote(&required.to_string(), qualifying_data(&bound).as_bytes());
        tpm.tool("tpm2_pcrread", &[&format!("sha256:{required}"), "-o", "pcrs.out"]);
        let values = tpm.read("pcrs.out");
        let values = required
            .iter()
            .zip(values.chunks(32))
            .map(|(pcr, value)| (pcr, Sha256Digest::from_slice(value).unwrap()));
        let evidence = Evidence {
            bound,
            attest,
            signature,
            pcrs: PcrValues::of(values.collect()).unwrap(),
            boot_log: log.clone(),
            runtime_log: Vec::new(),
        };
        let expectation = Expectation {
            box_id: "real",
            challenge: &challenge,
            ak,
            tpm: TpmKind::Software,
            tls: session.fingerprint(),
            selection: required,
            manifests: &manifests,
            previous,
            volume: None,
        };
        verify_evidence(&evidence.encode(), &expectation, NOW)
            .unwrap()
            .into_inner()
    };
    let all = extends(&parsed);
    let extend = |(pcr, digest): &(u8, Sha256Digest)| tpm.tool("tpm2_pcrextend", &[&format!("{pcr}:sha256={digest}")]);
    // A19: at enter-initrd, with the log of a whole boot.
    let ready = all.len() - 3;
    all[..ready].iter().for_each(extend);
    let early = ask(None);
    assert_eq!(early.boot, BootShown::NotShown);
    assert_eq!(
        early.reasons.iter().map(|r| r.code.as_str()).collect::<Vec<_>>(),
        ["boot.log_mismatch"]
    );
    assert!(early.reasons[0].message.contains("PCR 11"));
    all[ready..].iter().for_each(extend);
    let booted = ask(Some(early.clock));
    assert_eq!(booted.reasons, []);
    assert_eq!((booted.boot, booted.secure_boot), (BootShown::Simulated, Shown::Yes));
    assert_eq!(booted.step, ClockStep::SameBoot);
    // One more extend: not the boot that the log tells.
    tpm.tool("tpm2_pcrextend", &[&format!("7:sha256={}", sha256(b"evil"))]);
    let after = ask(Some(booted.clock));
    assert_eq!(after.boot, BootShown::NotShown);
    assert_eq!(after.reasons[0].code, "boot.log_mismatch");
}

#[test]
fn b04_wrong_secrets_are_refused() {
    let secret = [0x5a; 32];
    check_activation(&secret, &secret).unwrap();
    let mut other = secret;
    other[0] ^= 1;
    for answer in [
        &other[..],
        &secret[..31],
        &[],
        &[secret.as_slice(), &[0]].concat(),
        &[0; 32],
    ] {
        let refused = check_activation(&secret, answer).unwrap_err();
        assert_eq!(refused.code(), "identity.activation");
        let shown = format!("{refused:?} {refused} {:?}", refused.report());
        assert!(!shown.contains(&hex::encode(secret)) && !shown.contains("5a5a") && !shown.contains("90, 90"));
        assert_eq!((refused.expected(), refused.found()), (None, None));
    }
    assert!(check_activation(&[], &[]).is_err(), "an empty secret proves nothing");
}

#[test]
fn b05_reenrolment_with_another_ek_is_refused() {
    let (mine, other) = (sha256(b"ek"), sha256(b"other ek"));
    let known = [
        KnownBox {
            id: "amber-fox-1",
            ek: mine,
        },
        KnownBox {
            id: "blue-hen-2",
            ek: sha256(b"third"),
        },
    ];
    assert_eq!(
        check_novelty("amber-fox-1", other, known).unwrap_err().code(),
        "enrol.other_ek"
    );
    assert_eq!(check_novelty("amber-fox-1", mine, known), Ok(Novelty::Again));
    assert_eq!(check_novelty("new-box-3", other, known), Ok(Novelty::New));
}

#[test]
fn b06_one_ek_has_one_identifier() {
    let mine = sha256(b"ek");
    let known = [KnownBox {
        id: "amber-fox-1",
        ek: mine,
    }];
    let refused = check_novelty("green-owl-9", mine, known).unwrap_err();
    assert_eq!(refused.code(), "enrol.same_ek");
    assert_eq!(refused.expected().as_deref(), Some("amber-fox-1"));
}

#[test]
fn b09_identifiers_carry_no_log_lines() {
    check_id("amber-fox-9d1e").unwrap();
    for id in [
        "",
        "a\nb",
        "a\u{1b}[31m",
        "Amber",
        "a b",
        "../a",
        "ä",
        &"a".repeat(65),
        &"a".repeat(1 << 20),
    ] {
        let refused = check_id(id).unwrap_err();
        assert_eq!(refused.code(), "enrol.id");
        assert!(refused.to_string().len() < 100, "the id is not repeated");
    }
}

#[test]
fn b10_a_failed_proof_leaves_no_identity() {
    let world = ek_world(2040);
    let c = Certified::new();
    let approved = Roots {
        approved: BTreeSet::from([world.digest]),
        ..Roots::none()
    };
    let (ak_public, tls) = (c.ak.public().to_bytes(), ec_public(&c.tls_key, TLS));
    let tls_public = tls.to_bytes();
    let candidate = Candidate {
        ek_public: &world.public,
        ek_certificate: None,
        ek_chain: &[],
        ak_public: &ak_public,
        tls_public: &tls_public,
        session: c.tls_key.public(),
    };
    let enrolling = Enrolling::begin(&candidate, &approved.policy(), &mut random()).unwrap();
    let secret = *sha256(&1_u32.to_be_bytes()).as_bytes();
    assert!(!format!("{enrolling:?}").contains(&hex::encode(secret)));
    let (attest, signature) = c.certify(&tls, enrolling.challenge(), |_| ());
    let code = |activated: &[u8], attest: &[u8], signature: &[u8]| {
        let proof = Proof {
            activated,
            certify_attest: attest,
            certify_signature: signature,
        };
        enrolling.complete(&proof).err().map_or("accepted", |e| e.code())
    };
    assert_eq!(code(&[0; 32], &attest, &signature), "identity.activation");
    assert_eq!(code(&secret, &attest, &signature[..10]), "identity.certify");
    let (other, other_signature) = c.certify(&tls, &[3; 32], |_| ());
    assert_eq!(code(&secret, &other, &other_signature), "identity.challenge");
    assert_eq!(code(&secret, &attest, &signature), "accepted");
    // Another session's secret.
    let again = Enrolling::begin(&candidate, &approved.policy(), &mut {
        let mut r = random();
        let mut x = [0; 32];
        r(&mut x);
        r
    })
    .unwrap();
    let proof = Proof {
        activated: &secret,
        certify_attest: &attest,
        certify_signature: &signature,
    };
    assert_eq!(again.complete(&proof).unwrap_err().code(), "identity.activation");
}

#[test]
fn credentials_are_made_only_for_storage_keys() {
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    let ek = paper_ek(&key);
    make_credential(&ek, &[0, 11], &[1; 32], &mut random()).unwrap();
    let code = |ek: &Public, secret: &[u8]| make_credential(ek, &[0, 11], secret, &mut random()).unwrap_err().code();
    assert_eq!(code(&ek, &[1; 33]), "identity.ek_attributes");
    assert_eq!(
        code(
            &Public {
                symmetric: None,
                ..ek.clone()
            },
            &[1; 32]
        ),
        "identity.ek_attributes"
    );
    assert_eq!(
        code(
            &Public {
                name_hash: algorithm::SHA1,
                ..ek.clone()
            },
            &[1; 16]
        ),
        "identity.ek_attributes"
    );
    let PublicParameters::Ecc { x, .. } = ek.parameters.clone() else {
        unreachable!()
    };
    let off = PublicParameters::Ecc {
        curve: 3,
        kdf: None,
        x: x.clone(),
        y: x,
    };
    assert_eq!(
        code(&Public { parameters: off, ..ek }, &[1; 32]),
        "identity.ek_attributes"
    );
}
