//! D13: signers by certificate.

use freehold_sign::certificate::{Validity, signer_leaf, signer_root};
use freehold_sign::model::{ModelSigner, sign_model};
use freehold_trust::certificate::Certificate;
use freehold_trust::key::KeyKind;
use freehold_trust::signing::SigningKey;
use freehold_verify::model::{Signer, SignerTrust, verify_bundle};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use time::OffsetDateTime;

use crate::world::{NOW, code_of, files};

const DAY: i64 = 86_400;

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

fn key_of(pair: &KeyPair) -> SigningKey {
    SigningKey::from_pkcs8_pem(&pair.serialize_pem()).unwrap()
}

fn params(name: &str, from: i64, until: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = OffsetDateTime::from_unix_timestamp(from).unwrap();
    params.not_after = OffsetDateTime::from_unix_timestamp(until).unwrap();
    params
}

fn leaf_params(from: i64, until: i64) -> CertificateParams {
    let mut params = params("signer", from, until);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    params
}

fn ca_params(name: &str, constraint: BasicConstraints, from: i64, until: i64) -> CertificateParams {
    let mut params = params(name, from, until);
    params.is_ca = IsCa::Ca(constraint);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

impl Authority {
    fn root() -> Self {
        Self::root_with(ca_params(
            "root",
            BasicConstraints::Unconstrained,
            NOW - 100 * DAY,
            NOW + 100 * DAY,
        ))
    }

    fn root_with(params: CertificateParams) -> Self {
        Self {
            issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap(),
        }
    }

    fn below(&self, params: CertificateParams) -> Self {
        Self {
            issuer: CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.issuer).unwrap(),
        }
    }

    fn certificate(&self) -> Certificate {
        Certificate::from_der(self.issuer.der()).unwrap()
    }

    fn leaf(&self, params: CertificateParams) -> (SigningKey, Certificate) {
        let pair = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&pair, &self.issuer).unwrap();
        (key_of(&pair), Certificate::from_der(leaf.der()).unwrap())
    }
}

fn code(key: &SigningKey, chain: &[Certificate], trust: &SignerTrust) -> &'static str {
    let bundle = sign_model("guide", &files(), &[], ModelSigner::Certificate { key, chain }).unwrap();
    code_of(verify_bundle(&bundle, trust, NOW))
}

fn trusting(root: &Authority) -> SignerTrust {
    SignerTrust {
        roots: vec![root.certificate()],
        ..SignerTrust::default()
    }
}

fn leaf_with(change: impl FnOnce(&mut CertificateParams)) -> &'static str {
    let root = Authority::root();
    let mut params = leaf_params(NOW - DAY, NOW + DAY);
    change(&mut params);
    let (key, leaf) = root.leaf(params);
    code(&key, &[leaf], &trusting(&root))
}

fn time(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

#[test]
fn d13_a_good_chain_is_accepted_with_and_without_its_root() {
    let root = Authority::root();
    let between = root.below(ca_params(
        "between",
        BasicConstraints::Constrained(0),
        NOW - DAY,
        NOW + DAY,
    ));
    let (key, leaf) = between.leaf(leaf_params(NOW - DAY, NOW + DAY));
    let trust = trusting(&root);
    let short = [leaf.clone(), between.certificate()];
    let long = [leaf.clone(), between.certificate(), root.certificate()];
    assert_eq!(code(&key, &short, &trust), "accepted");
    assert_eq!(code(&key, &long, &trust), "accepted");
    let bundle = sign_model(
        "guide",
        &files(),
        &[],
        ModelSigner::Certificate {
            key: &key,
            chain: &short,
        },
    )
    .unwrap();
    let manifest = verify_bundle(&bundle, &trust, NOW).unwrap();
    let Signer::Certificate {
        fingerprint,
        root: found,
        ..
    } = &manifest.signer
    else {
        panic!("{:?}", manifest.signer)
    };
    assert_eq!(
        (*fingerprint, *found),
        (key.public().fingerprint(), root.certificate().fingerprint())
    );
}

#[test]
fn d13_our_own_authority_makes_what_our_verifier_takes() {
    let (root_key, key) = (
        SigningKey::generate(KeyKind::P256).unwrap(),
        SigningKey::generate(KeyKind::P384).unwrap(),
    );
    let validity = Validity {
        from: NOW - DAY,
        until: NOW + DAY,
    };
    let root = signer_root("site", &root_key, validity).unwrap();
    let leaf = signer_leaf(&root, &root_key, "site signer", &key, validity).unwrap();
    let trust = SignerTrust {
        roots: vec![root],
        ..SignerTrust::default()
    };
    assert_eq!(code(&key, &[leaf], &trust), "accepted");
}

#[test]
fn d13_expired_and_not_yet_valid_certificates_are_refused() {
    // The reference implementation accepts the first of these.
    assert_eq!(
        leaf_with(|params| params.not_after = time(NOW - 1)),
        "model.certificate_time"
    );
    assert_eq!(
        leaf_with(|params| params.not_before = time(NOW + 1)),
        "model.certificate_time"
    );
    let root = Authority::root();
    let between = root.below(ca_params(
        "between",
        BasicConstraints::Constrained(0),
        NOW - 2 * DAY,
        NOW - DAY,
    ));
    let (key, leaf) = between.leaf(leaf_params(NOW - DAY, NOW + DAY));
    assert_eq!(
        code(&key, &[leaf, between.certificate()], &trusting(&root)),
        "model.certificate_time"
    );
    let old = Authority::root_with(ca_params(
        "root",
        BasicConstraints::Unconstrained,
        NOW - 2 * DAY,
        NOW - DAY,
    ));
    let (key, leaf) = old.leaf(leaf_params(NOW - DAY, NOW + DAY));
    assert_eq!(code(&key, &[leaf], &trusting(&old)), "model.certificate_time");
}

#[test]
fn d13_path_length_and_name_constraints_are_kept() {
    let root = Authority::root_with(ca_params(
        "root",
        BasicConstraints::Constrained(0),
        NOW - DAY,
        NOW + DAY,
    ));
    let between = root.below(ca_params(
        "between",
        BasicConstraints::Constrained(0),
        NOW - DAY,
        NOW + DAY,
    ));
    let second = between.below(ca_params(
        "second",
        BasicConstraints::Constrained(0),
        NOW - DAY,
        NOW + DAY,
    ));
    let (key, leaf) = second.leaf(leaf_params(NOW - DAY, NOW + DAY));
    let chain = [leaf, second.certificate(), between.certificate()];
    assert_eq!(code(&key, &chain, &trusting(&root)), "model.certificate");

    let root = Authority::root();
    let mut params = ca_params("between", BasicConstraints::Constrained(0), NOW - DAY, NOW + DAY);
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("example.org".to_owned())],
        excluded_subtrees: vec![],
    });
    let between = root.below(params);
    let mut params = leaf_params(NOW - DAY, NOW + DAY);
    params.subject_alt_names = vec![SanType::DnsName("elsewhere.example.com".try_into().unwrap())];
    let (key, leaf) = between.leaf(params);
    assert_eq!(
        code(&key, &[leaf, between.certificate()], &trusting(&root)),
        "model.certificate"
    );
}

#[test]
fn d13_certificates_for_other_purposes_are_refused() {
    assert_eq!(leaf_with(|_| {}), "accepted");
    assert_eq!(
        leaf_with(|params| params.key_usages = vec![]),
        "model.certificate_purpose"
    );
    assert_eq!(
        leaf_with(|params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment]),
        "model.certificate_purpose"
    );
    // The reference implementation accepts a server's certificate.
    let server =
        |params: &mut CertificateParams| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    assert_eq!(leaf_with(server), "model.certificate_purpose");
    assert_eq!(
        leaf_with(|params| params.extended_key_usages = vec![]),
        "model.certificate_purpose"
    );
    assert_eq!(
        leaf_with(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]),
        "model.certificate_purpose"
    );
    assert_eq!(
        leaf_with(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        "model.certificate_purpose"
    );
}

#[test]
fn d13_a_root_that_only_the_bundle_carries_gives_no_trust() {
    // An impostor of the same name, and a stranger.
    let stranger = ca_params("stranger", BasicConstraints::Unconstrained, NOW - DAY, NOW + DAY);
    let (ours, impostor, theirs) = (Authority::root(), Authority::root(), Authority::root_with(stranger));
    let (key, leaf) = impostor.leaf(leaf_params(NOW - DAY, NOW + DAY));
    assert_eq!(
        code(&key, &[leaf, impostor.certificate()], &trusting(&ours)),
        "model.certificate"
    );
    let (key, leaf) = theirs.leaf(leaf_params(NOW - DAY, NOW + DAY));
    let chain = [leaf, theirs.certificate()];
    assert_eq!(code(&key, &chain, &trusting(&ours)), "model.signer_unknown");
    assert_eq!(code(&key, &chain, &SignerTrust::default()), "model.signer_unknown");
    // A certificate that signed itself and nothing more.
    let pair = KeyPair::generate().unwrap();
    let lonely = leaf_params(NOW - DAY, NOW + DAY).self_signed(&pair).unwrap();
    let lonely = Certificate::from_der(lonely.der()).unwrap();
    assert_eq!(
        code(&key_of(&pair), &[lonely], &trusting(&ours)),
        "model.signer_unknown"
    );
}

#[test]
fn d13_a_certificate_that_the_path_does_not_use_is_refused() {
    let (root, other) = (Authority::root(), Authority::root());
    let (key, leaf) = root.leaf(leaf_params(NOW - DAY, NOW + DAY));
    assert_eq!(
        code(&key, &[leaf, other.certificate()], &trusting(&root)),
        "model.certificate"
    );
}

#[test]
fn d13_revoked_serials_and_keys_are_refused() {
    let root = Authority::root();
    let (key, leaf) = root.leaf(leaf_params(NOW - DAY, NOW + DAY));
    let mut trust = trusting(&root);
    trust.revoked_serials.insert(leaf.serial().to_vec());
    assert_eq!(code(&key, std::slice::from_ref(&leaf), &trust), "model.signer_revoked");
    let mut trust = trusting(&root);
    trust.revoked_keys.insert(key.public().fingerprint());
    assert_eq!(code(&key, &[leaf], &trust), "model.signer_revoked");
}

#[test]
fn d13_the_key_must_be_the_certificates() {
    let root = Authority::root();
    let (_, leaf) = root.leaf(leaf_params(NOW - DAY, NOW + DAY));
    let other = SigningKey::generate(KeyKind::P256).unwrap();
    assert!(
        sign_model(
            "guide",
            &files(),
            &[],
            ModelSigner::Certificate {
                key: &other,
                chain: &[leaf]
            }
        )
        .is_err()
    );
}

#[test]
fn d13_every_flipped_byte_of_a_chain_bundle_is_refused() {
    let root = Authority::root();
    let between = root.below(ca_params(
        "between",
        BasicConstraints::Constrained(0),
        NOW - DAY,
        NOW + DAY,
    ));
    let (key, leaf) = between.leaf(leaf_params(NOW - DAY, NOW + DAY));
    let chain = [leaf, between.certificate(), root.certificate()];
    let bundle = sign_model(
        "guide",
        &files(),
        &[],
        ModelSigner::Certificate {
            key: &key,
            chain: &chain,
        },
    )
    .unwrap();
    let trust = trusting(&root);
    assert_eq!(code_of(verify_bundle(&bundle, &trust, NOW)), "accepted");
    for at in 0..bundle.len() {
        let mut changed = bundle.clone();
        changed[at] ^= 1;
        assert_ne!(code_of(verify_bundle(&changed, &trust, NOW)), "accepted", "byte {at}");
    }
}
