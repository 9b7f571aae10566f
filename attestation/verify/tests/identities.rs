//! Enrolment, right and wrong: cases B01 to B06 and B10 of the trust catalogue, with a real software TPM wherever one can
//! be made to play along.

#[path = "support/paper_tpm.rs"]
mod paper_tpm;
#[path = "support/real_tpm.rs"]
mod real_tpm;

use std::collections::BTreeSet;

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
use freehold_verify::identity::quirk::{Quirk, Quirks};
use freehold_verify::identity::{
    AttestationKey, Candidate, EkPolicy, EkTrust, Enrolling, KnownBox, Novelty, Proof, TpmKind, check_activation,
    check_novelty, make_credential, verify_certified_key, verify_endorsement,
};
use freehold_verify::quote::{ClockStep, PcrValues};
use freehold_verify::tpm::public::{Attributes, Public, PublicParameters, Symmetric};
use freehold_verify::tpm::{PcrSet, algorithm};
use paper_tpm::{AK, NOW, PaperBox, Statement, TLS, ec_public, sign, sized};
use real_tpm::{EK_P384, EK_RSA, RealTpm};

/// Random bytes of a test: different on each call, the same in each run.
fn random() -> impl FnMut(&mut [u8]) {
    let mut count = 0_u32;
    move |out: &mut [u8]| {
        for chunk in out.chunks_mut(32) {
            count += 1;
            chunk.copy_from_slice(&sha256(&count.to_be_bytes()).as_bytes()[..chunk.len()]);
        }
    }
}

struct Roots {
    roots: Vec<Certificate>,
    software: BTreeSet<Sha256Digest>,
    approved: BTreeSet<Sha256Digest>,
    revoked: BTreeSet<Vec<u8>>,
}

impl Roots {
    fn none() -> Self {
        Self {
            roots: vec![],
            software: BTreeSet::new(),
            approved: BTreeSet::new(),
            revoked: BTreeSet::new(),
        }
    }

    fn policy(&self) -> EkPolicy<'_> {
        EkPolicy {
            roots: &self.roots,
            software_roots: &self.software,
            approved: &self.approved,
            revoked: &self.revoked,
            quirks: Quirks::default(),
            now: NOW,
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
    let (ak_public, tls_public) = (tpm.public(real_tpm::AK), tpm.public(real_tpm::TLS));
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
fn attests(tpm: &RealTpm, ak: &AttestationKey, session: &PublicKey) {
    let (log, manifest) = generate(&BootDescription::demonstration("freehold", "1.0.0"));
    let parsed = EventLog::parse(&log).unwrap();
    let manifests = [manifest];
    let challenge = Challenge::issue([5; 32], NOW);
    let required = PcrSet::of(&paper_tpm::REQUIRED);
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

mod made {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    };

    pub struct Authority {
        pub params: CertificateParams,
        pub key: KeyPair,
    }

    pub fn authority(name: &str, until: i32) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        Authority {
            params,
            key: KeyPair::generate().unwrap(),
        }
    }

    pub fn ek(oid: &[u64]) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(oid.to_vec())];
        params.key_usages = vec![KeyUsagePurpose::KeyAgreement];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        params
    }

    pub fn issue(params: &CertificateParams, key: &KeyPair, by: &Authority) -> Vec<u8> {
        params
            .signed_by(key, &Issuer::from_params(&by.params, &by.key))
            .unwrap()
            .der()
            .to_vec()
    }
}

const EK_OID: &[u64] = &[2, 23, 133, 8, 1];

/// An EK on paper: P-256, template L-2.
fn paper_ek(key: &SigningKey) -> Public {
    let attributes = Attributes::FIXED_TPM
        | Attributes::FIXED_PARENT
        | Attributes::SENSITIVE_DATA_ORIGIN
        | Attributes::RESTRICTED
        | Attributes::DECRYPT;
    Public {
        symmetric: Some(Symmetric {
            algorithm: algorithm::AES,
            bits: 128,
            mode: algorithm::CFB,
        }),
        scheme: None,
        ..ec_public(key, attributes)
    }
}

struct EkWorld {
    authority: made::Authority,
    pair: rcgen::KeyPair,
    public: Vec<u8>,
    digest: Sha256Digest,
    roots: Roots,
}

fn ek_world(until: i32) -> EkWorld {
    let authority = made::authority("maker", until);
    let pair = rcgen::KeyPair::generate().unwrap();
    let key = SigningKey::from_pkcs8_pem(&pair.serialize_pem()).unwrap();
    let root = authority.params.self_signed(&authority.key).unwrap();
    let roots = Roots {
        roots: vec![Certificate::from_der(root.der()).unwrap()],
        ..Roots::none()
    };
    EkWorld {
        authority,
        pair,
        public: paper_ek(&key).to_bytes(),
        digest: key.public().fingerprint(),
        roots,
    }
}

#[test]
fn b01_untrusted_certificates_are_refused() {
    let world = ek_world(2040);
    let code = |certificate: &[u8], roots: &Roots| {
        verify_endorsement(&world.public, Some(certificate), &[], &roots.policy())
            .err()
            .map_or("accepted", |e| e.code())
    };
    let good = made::issue(&made::ek(EK_OID), &world.pair, &world.authority);
    assert_eq!(code(&good, &world.roots), "accepted");
    assert_eq!(code(&good, &Roots::none()), "identity.ek_unknown_issuer");
    let stranger = made::authority("stranger", 2040);
    assert_eq!(
        code(&made::issue(&made::ek(EK_OID), &world.pair, &stranger), &world.roots),
        "identity.ek_unknown_issuer"
    );
    let namesake = made::authority("maker", 2040);
    assert_ne!(
        code(&made::issue(&made::ek(EK_OID), &world.pair, &namesake), &world.roots),
        "accepted"
    );
    let own = made::ek(EK_OID).self_signed(&world.pair).unwrap();
    assert_eq!(code(own.der(), &world.roots), "identity.ek_unknown_issuer");
    let server = made::ek(&[1, 3, 6, 1, 5, 5, 7, 3, 1]);
    assert_eq!(
        code(&made::issue(&server, &world.pair, &world.authority), &world.roots),
        "identity.ek_purpose"
    );
    let mut is_ca = made::ek(EK_OID);
    is_ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    assert_eq!(
        code(&made::issue(&is_ca, &world.pair, &world.authority), &world.roots),
        "identity.ek_purpose"
    );
    let mut old = made::ek(EK_OID);
    old.not_after = rcgen::date_time_ymd(2021, 1, 1);
    assert_eq!(
        code(&made::issue(&old, &world.pair, &world.authority), &world.roots),
        "identity.ek_expired"
    );
    let serial = Certificate::from_der(&good).unwrap().serial().to_vec();
    let revoked = Roots {
        revoked: BTreeSet::from([serial]),
        roots: world.roots.roots.clone(),
        ..Roots::none()
    };
    assert_eq!(code(&good, &revoked), "identity.ek_revoked");
    let mut no_issuer = made::authority("maker", 2040);
    no_issuer.params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    let root = Certificate::from_der(no_issuer.params.self_signed(&no_issuer.key).unwrap().der()).unwrap();
    let may_not = Roots {
        roots: vec![root],
        ..Roots::none()
    };
    assert_eq!(
        code(&made::issue(&made::ek(EK_OID), &world.pair, &no_issuer), &may_not),
        "identity.ek_certificate"
    );

    let expired = ek_world(2021);
    let certificate = made::issue(&made::ek(EK_OID), &expired.pair, &expired.authority);
    let refused = verify_endorsement(&expired.public, Some(&certificate), &[], &expired.roots.policy()).unwrap_err();
    assert_eq!(refused.code(), "identity.ek_expired");

    // Without a certificate: only what a person approved.
    let refused = verify_endorsement(&world.public, None, &[], &world.roots.policy()).unwrap_err();
    assert_eq!(refused.code(), "identity.ek_unknown");
    assert_eq!(refused.found(), Some(world.digest.to_hex()));
    let approved = Roots {
        approved: BTreeSet::from([world.digest]),
        ..Roots::none()
    };
    let found = verify_endorsement(&world.public, None, &[], &approved.policy()).unwrap();
    assert_eq!((found.tpm, &found.trust), (TpmKind::Unproven, &EkTrust::ApprovedDigest));
    // A key that is no storage key of its TPM is no EK, whoever certified it.
    let signing = ec_public(&SigningKey::generate(KeyKind::P256).unwrap(), AK).to_bytes();
    assert_eq!(
        verify_endorsement(&signing, None, &[], &approved.policy())
            .unwrap_err()
            .code(),
        "identity.ek_attributes"
    );
    assert_eq!(
        verify_endorsement(&signing[1..], None, &[], &approved.policy())
            .unwrap_err()
            .code(),
        "identity.malformed"
    );
}

#[test]
fn b02_certificate_of_another_key_is_refused() {
    let world = ek_world(2040);
    let other = rcgen::KeyPair::generate().unwrap();
    let certificate = made::issue(&made::ek(EK_OID), &other, &world.authority);
    let refused = verify_endorsement(&world.public, Some(&certificate), &[], &world.roots.policy()).unwrap_err();
    assert_eq!(refused.code(), "identity.ek_mismatch");
    assert_eq!(refused.found(), Some(world.digest.to_hex()));
}

#[test]
fn b03_odd_certificates_need_a_named_quirk() {
    let world = ek_world(2040);
    let good = made::issue(&made::ek(EK_OID), &world.pair, &world.authority);
    let length = u16::try_from(good.len()).unwrap().to_be_bytes();
    let wrapped = [&[0x04, 0x82, length[0], length[1]], good.as_slice()].concat();
    assert_eq!(good[..2], [0x30, 0x82]);
    let long = [&[0x30, 0x83, 0], &good[2..]].concat();
    let quirk = |padding, octet_string, long_length| Quirks {
        padding,
        octet_string,
        long_length,
    };
    for (bytes, allow, quirks) in [
        (
            [good.clone(), vec![0xff; 200]].concat(),
            quirk(true, false, false),
            vec![Quirk::Padding],
        ),
        (
            [good.clone(), vec![0; 8]].concat(),
            quirk(true, false, false),
            vec![Quirk::Padding],
        ),
        (wrapped.clone(), quirk(false, true, false), vec![Quirk::OctetString]),
        (
            [wrapped, vec![0xff; 9]].concat(),
            quirk(true, true, false),
            vec![Quirk::Padding, Quirk::OctetString],
        ),
        (long, quirk(false, false, true), vec![Quirk::LongLength]),
    ] {
        let mut policy = world.roots.policy();
        let refused = verify_endorsement(&world.public, Some(&bytes), &[], &policy).unwrap_err();
        assert_eq!(refused.code(), "identity.ek_certificate_form");
        policy.quirks = allow;
        let found = verify_endorsement(&world.public, Some(&bytes), &[], &policy).unwrap();
        assert_eq!(found.quirks, quirks);
    }
    let mut policy = world.roots.policy();
    policy.quirks = Quirks::ALL;
    for bytes in [
        [good.clone(), vec![0xff, 0]].concat(),
        vec![],
        vec![0x30],
        vec![0xff; 100],
        vec![0; 20_000],
        good[..50].to_vec(),
    ] {
        let refused = verify_endorsement(&world.public, Some(&bytes), &[], &policy).unwrap_err();
        assert_eq!(refused.code(), "identity.ek_certificate_form");
    }
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

/// An AK and a TLS key on paper, and what TPM2_Certify would say about the TLS key.
struct Certified {
    ak_key: SigningKey,
    ak: AttestationKey,
    tls_key: SigningKey,
}

impl Certified {
    fn new() -> Self {
        let ak_key = SigningKey::generate(KeyKind::P256).unwrap();
        let ak = AttestationKey::from_public(&ec_public(&ak_key, AK).to_bytes()).unwrap();
        Self {
            ak_key,
            ak,
            tls_key: SigningKey::generate(KeyKind::P256).unwrap(),
        }
    }

    fn certify(&self, public: &Public, challenge: &[u8], change: impl FnOnce(&mut Statement)) -> (Vec<u8>, Vec<u8>) {
        let mut statement = Statement::over(&PcrValues::default(), challenge);
        statement.tag = 0x8017;
        change(&mut statement);
        let mut attest = statement.head();
        sized(&mut attest, &public.name().unwrap());
        sized(&mut attest, &[0, 11, 1]);
        let signature = sign(&self.ak_key, &attest);
        (attest, signature)
    }

    fn code(&self, public: &Public, change: impl FnOnce(&mut Statement)) -> &'static str {
        let (attest, signature) = self.certify(public, &[3; 32], change);
        self.code_of(public, &attest, &signature)
    }

    fn code_of(&self, public: &Public, attest: &[u8], signature: &[u8]) -> &'static str {
        verify_certified_key(
            attest,
            signature,
            &public.to_bytes(),
            &self.ak,
            self.tls_key.public(),
            &[3; 32],
        )
        .err()
        .map_or("accepted", |e| e.code())
    }
}

#[test]
fn tls_keys_that_the_ak_does_not_vouch_for_are_refused() {
    let c = Certified::new();
    let good = ec_public(&c.tls_key, TLS);
    assert_eq!(c.code(&good, |_| ()), "accepted");
    assert_eq!(
        c.code(
            &Public {
                scheme: None,
                ..good.clone()
            },
            |_| ()
        ),
        "accepted"
    );
    assert_eq!(c.code(&good, |s| s.extra = vec![4; 32]), "identity.challenge");
    assert_eq!(c.code(&good, |s| s.extra = vec![3; 31]), "identity.challenge");
    assert_eq!(c.code(&good, |s| s.magic = 1), "identity.certify");
    assert_eq!(c.code(&good, |s| s.tag = 0x8018), "identity.certify");
    for attributes in [
        TLS & !Attributes::FIXED_TPM,
        TLS & !Attributes::SENSITIVE_DATA_ORIGIN,
        TLS & !Attributes::SIGN,
        TLS & !Attributes::FIXED_PARENT,
        TLS | Attributes::DECRYPT,
        TLS | Attributes::RESTRICTED,
        TLS | Attributes::ENCRYPTED_DUPLICATION,
    ] {
        assert_eq!(
            c.code(&ec_public(&c.tls_key, attributes), |_| ()),
            "identity.tls_attributes",
            "{attributes:#x}"
        );
    }
    let p384 = SigningKey::generate(KeyKind::P384).unwrap();
    assert_eq!(c.code(&ec_public(&p384, TLS), |_| ()), "identity.tls_attributes");
    let other = SigningKey::generate(KeyKind::P256).unwrap();
    assert_eq!(c.code(&ec_public(&other, TLS), |_| ()), "identity.tls_mismatch");
    // Certified is one description of the key, shown another: another policy, so another Name.
    let (attest, signature) = c.certify(&good, &[3; 32], |_| ());
    let other_name = Public {
        auth_policy: vec![1; 32],
        ..good.clone()
    };
    assert_eq!(c.code_of(&other_name, &attest, &signature), "identity.name");
    for at in 0..attest.len() {
        let mut bad = attest.clone();
        bad[at] ^= 1;
        assert_ne!(c.code_of(&good, &bad, &signature), "accepted", "byte {at}");
        assert_ne!(c.code_of(&good, &attest[..at], &signature), "accepted", "cut at {at}");
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
