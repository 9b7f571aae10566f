//! Endorsement keys and their certificates: cases B01 to B03.

use std::collections::BTreeSet;

use crate::paper_tpm::{AK, NOW, ec_public};
use freehold_trust::certificate::Certificate;
use freehold_trust::{KeyKind, Sha256Digest, SigningKey};
use freehold_verify::Refusal as _;
use freehold_verify::identity::quirk::{Quirk, Quirks};
use freehold_verify::identity::{EkPolicy, EkTrust, TpmKind, verify_endorsement};
use freehold_verify::tpm::algorithm;
use freehold_verify::tpm::public::{Attributes, Public, Symmetric};

pub(crate) struct Roots {
    pub(crate) roots: Vec<Certificate>,
    pub(crate) software: BTreeSet<Sha256Digest>,
    pub(crate) approved: BTreeSet<Sha256Digest>,
    pub(crate) revoked: BTreeSet<Vec<u8>>,
}

impl Roots {
    pub(crate) fn none() -> Self {
        Self {
            roots: vec![],
            software: BTreeSet::new(),
            approved: BTreeSet::new(),
            revoked: BTreeSet::new(),
        }
    }

    pub(crate) fn policy(&self) -> EkPolicy<'_> {
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

pub(crate) mod made {
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

pub(crate) const EK_OID: &[u64] = &[2, 23, 133, 8, 1];

/// An EK on paper: P-256, template L-2.
pub(crate) fn paper_ek(key: &SigningKey) -> Public {
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

pub(crate) struct EkWorld {
    pub(crate) authority: made::Authority,
    pub(crate) pair: rcgen::KeyPair,
    pub(crate) public: Vec<u8>,
    pub(crate) digest: Sha256Digest,
    pub(crate) roots: Roots,
}

pub(crate) fn ek_world(until: i32) -> EkWorld {
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
