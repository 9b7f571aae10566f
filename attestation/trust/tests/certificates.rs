//! Certificate chains, on real swtpm EK certificates and on hostile ones made for the purpose.

use std::collections::BTreeSet;
use std::process::Command;

use freehold_trust::certificate::{Certificate, CertificateRejection as Rejection, Purpose, verify_chain};

const NOW: i64 = 1_800_000_000;

struct World {
    roots: Vec<Certificate>,
    between: Vec<Certificate>,
    leaves: Vec<Certificate>,
}

/// A local EK authority and two EK certificates (RSA-2048, P-384), as swtpm's own tools make them.
fn swtpm_world(dir: &std::path::Path) -> World {
    let d = dir.display();
    std::fs::create_dir_all(dir.join("tpm")).unwrap();
    std::fs::write(dir.join("ca.conf"), format!("statedir = {d}/ca\nsigningkey = {d}/ca/key.pem\nissuercert = {d}/ca/issuer.pem\ncertserial = {d}/ca/serial\n")).unwrap();
    std::fs::write(
        dir.join("ca.options"),
        "--platform-manufacturer Freehold\n--platform-version 1\n--platform-model test\n",
    )
    .unwrap();
    std::fs::write(dir.join("setup.conf"), format!("create_certs_tool = /usr/bin/swtpm_localca\ncreate_certs_tool_config = {d}/ca.conf\ncreate_certs_tool_options = {d}/ca.options\nactive_pcr_banks = sha256\n")).unwrap();
    let made = Command::new("swtpm_setup")
        .args([
            "--tpm2",
            "--create-ek-cert",
            "--tpmstate",
            &format!("{d}/tpm"),
            "--config",
            &format!("{d}/setup.conf"),
            "--write-ek-cert-files",
            &d.to_string(),
        ])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
    let read = |name: &str| std::fs::read_to_string(dir.join("ca").join(name)).unwrap();
    let leaf = |name: &str| Certificate::from_der(&std::fs::read(dir.join(name)).unwrap()).unwrap();
    World {
        roots: Certificate::all_from_pem(&read("swtpm-localca-rootca-cert.pem")).unwrap(),
        between: Certificate::all_from_pem(&read("issuer.pem")).unwrap(),
        leaves: vec![leaf("ek-rsa2048.crt"), leaf("ek-secp384r1.crt")],
    }
}

#[test]
fn b01_swtpm_ek_certificates_chain_and_their_faults_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let world = swtpm_world(dir.path());
    let none = BTreeSet::new();
    for leaf in &world.leaves {
        let chain = verify_chain(leaf, &world.between, &world.roots, Purpose::TpmEk, NOW, &none).unwrap();
        assert_eq!(chain.root, world.roots[0].fingerprint());
        assert_eq!(chain.path.len(), 2);
        let refused = |between: &[Certificate], roots: &[Certificate], purpose, now, revoked: &BTreeSet<Vec<u8>>| {
            verify_chain(leaf, between, roots, purpose, now, revoked).unwrap_err()
        };
        assert!(matches!(
            refused(&world.between, &[], Purpose::TpmEk, NOW, &none),
            Rejection::UnknownIssuer { .. }
        ));
        assert!(matches!(
            refused(&[], &world.roots, Purpose::TpmEk, NOW, &none),
            Rejection::UnknownIssuer { .. }
        ));
        assert!(matches!(
            refused(&world.between, &world.roots, Purpose::ClientAuth, NOW, &none),
            Rejection::Purpose { .. }
        ));
        assert!(matches!(
            refused(&world.between, &world.roots, Purpose::TpmEk, 1_000_000, &none),
            Rejection::Expired { .. }
        ));
        let revoked = BTreeSet::from([leaf.serial().to_vec()]);
        assert!(matches!(
            refused(&world.between, &world.roots, Purpose::TpmEk, NOW, &revoked),
            Rejection::Revoked { .. }
        ));
    }
    let chain = verify_chain(&world.leaves[0], &[], &world.between, Purpose::TpmEk, NOW, &none);
    assert!(chain.is_ok(), "the issuer itself may be a root");
}

mod made {
    use rcgen::{
        BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
        KeyUsagePurpose,
    };

    pub(super) fn ca(name: &str) -> (CertificateParams, KeyPair) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        (params, KeyPair::generate().unwrap())
    }

    pub(super) fn leaf(purposes: Vec<ExtendedKeyUsagePurpose>) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "leaf");
        params.extended_key_usages = purposes;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        params
    }

    pub(super) fn issue(leaf: &CertificateParams, ca: &(CertificateParams, KeyPair)) -> super::Certificate {
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&ca.0, &ca.1);
        super::Certificate::from_der(leaf.signed_by(&key, &issuer).unwrap().der()).unwrap()
    }

    pub(super) fn root(ca: &(CertificateParams, KeyPair)) -> super::Certificate {
        super::Certificate::from_der(ca.0.self_signed(&ca.1).unwrap().der()).unwrap()
    }

    pub(super) fn critical() -> CustomExtension {
        let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        extension.set_criticality(true);
        extension
    }
}

#[test]
fn hostile_leaves_and_issuers_are_refused() {
    use rcgen::{ExtendedKeyUsagePurpose as Eku, IsCa, KeyPair};
    let none = BTreeSet::new();
    let ca = made::ca("root");
    let roots = [made::root(&ca)];
    let check =
        |leaf: &Certificate, roots: &[Certificate]| verify_chain(leaf, &[], roots, Purpose::CodeSigning, NOW, &none);
    let good = made::leaf(vec![Eku::CodeSigning]);
    check(&made::issue(&good, &ca), &roots).unwrap();
    assert!(matches!(
        check(&made::issue(&made::leaf(vec![Eku::ServerAuth]), &ca), &roots),
        Err(Rejection::Purpose { .. })
    ));
    assert!(matches!(
        check(&made::issue(&made::leaf(vec![]), &ca), &roots),
        Err(Rejection::Purpose { .. })
    ));

    let mut usage = good.clone();
    usage.key_usages = vec![rcgen::KeyUsagePurpose::KeyAgreement];
    assert!(matches!(
        check(&made::issue(&usage, &ca), &roots),
        Err(Rejection::KeyUsage(_))
    ));

    let mut is_ca = good.clone();
    is_ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    assert!(matches!(
        check(&made::issue(&is_ca, &ca), &roots),
        Err(Rejection::LeafIsCa { .. })
    ));

    let mut unknown = good.clone();
    unknown.custom_extensions = vec![made::critical()];
    assert!(matches!(
        check(&made::issue(&unknown, &ca), &roots),
        Err(Rejection::Path(_))
    ));

    let mut expired = made::ca("root");
    expired.0.not_after = rcgen::date_time_ymd(2021, 1, 1);
    assert!(
        matches!(
            check(&made::issue(&good, &expired), &[made::root(&expired)]),
            Err(Rejection::Expired { .. })
        ),
        "expired root"
    );

    let mut may_not = made::ca("root");
    may_not.0.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    assert!(matches!(
        check(&made::issue(&good, &may_not), &[made::root(&may_not)]),
        Err(Rejection::IssuerIsNoCa { .. })
    ));

    let own = Certificate::from_der(good.self_signed(&KeyPair::generate().unwrap()).unwrap().der()).unwrap();
    assert!(matches!(check(&own, &roots), Err(Rejection::UnknownIssuer { .. })));
    assert!(
        matches!(
            check(&made::issue(&good, &made::ca("root")), &roots),
            Err(Rejection::Path(_) | Rejection::UnknownIssuer { .. })
        ),
        "same name, other key"
    );
}

#[test]
fn any_flipped_byte_of_a_certificate_is_refused() {
    let none = BTreeSet::new();
    let ca = made::ca("root");
    let roots = [made::root(&ca)];
    let leaf = made::issue(&made::leaf(vec![rcgen::ExtendedKeyUsagePurpose::CodeSigning]), &ca);
    for at in 0..leaf.der().len() {
        let mut bad = leaf.der().to_vec();
        bad[at] ^= 1;
        let taken =
            Certificate::from_der(&bad).and_then(|c| verify_chain(&c, &[], &roots, Purpose::CodeSigning, NOW, &none));
        assert!(taken.is_err(), "byte {at}");
    }
}
