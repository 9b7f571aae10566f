//! What independent programs say: PyPI model-signing, CycloneDX's strict validator, python-tuf. Skipped without
//! `tests/judges.sh`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use freehold_model_files::{Watch, check_folder, hash_folder};
use freehold_sign::bom::make_bom;
use freehold_sign::certificate::{Validity, signer_leaf, signer_root, to_pem};
use freehold_sign::files::write_new_key;
use freehold_sign::model::{ModelSigner, sign_model};
use freehold_trust::key::KeyKind;
use freehold_trust::signing::SigningKey;
use freehold_verify::model::{ModelFile, SignerTrust, verify_bundle};

use crate::bom::description;
use crate::publisher::World;
use crate::world::{code_of, files, write_files};

fn judge(program: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/judges/bin")
        .join(program);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: no judges here, tests/judges.sh makes them");
    None
}

fn run(program: &Path, arguments: &[&str], folder: &Path) -> Output {
    Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap()
}

fn accepts(program: &Path, arguments: &[&str], folder: &Path) {
    let output = run(program, arguments, folder);
    assert!(
        output.status.success(),
        "{arguments:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn today() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// A model whose file order differs between the two sortings.
fn model(folder: &Path) -> Vec<ModelFile> {
    let model = folder.join("guide");
    write_files(&model);
    std::fs::write(model.join("sub.txt"), "beside sub/").unwrap();
    std::fs::write(model.join("empty"), "").unwrap();
    let hashed = hash_folder(&model, &[], Watch::nobody()).unwrap();
    hashed
        .into_iter()
        .map(|file| ModelFile {
            path: file.path,
            sha256: file.sha256,
        })
        .collect()
}

#[test]
fn d01_bundles_interoperate_with_the_reference() {
    let Some(model_signing) = judge("model_signing") else {
        return;
    };
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521] {
        let home = tempfile::tempdir().unwrap();
        let files = model(home.path());
        let key = SigningKey::generate(kind).unwrap();
        write_new_key(&home.path().join("key.pem"), &key).unwrap();
        let bundle = sign_model("guide", &files, &[], ModelSigner::Key(&key)).unwrap();
        std::fs::write(home.path().join("ours.json"), bundle).unwrap();
        accepts(
            &model_signing,
            &[
                "verify",
                "key",
                "guide",
                "--signature",
                "ours.json",
                "--public_key",
                "key.pub.pem",
            ],
            home.path(),
        );
        for signature in ["theirs.json", "guide/model.sig"] {
            accepts(
                &model_signing,
                &[
                    "sign",
                    "key",
                    "guide",
                    "--signature",
                    signature,
                    "--private_key",
                    "key.pem",
                ],
                home.path(),
            );
            let trust = SignerTrust {
                keys: vec![key.public().clone()],
                ..SignerTrust::default()
            };
            let theirs = std::fs::read(home.path().join(signature)).unwrap();
            let manifest = verify_bundle(&theirs, &trust, today()).unwrap();
            check_folder(&home.path().join("guide"), &manifest, Watch::nobody()).unwrap();
        }
    }
}

#[test]
fn d01_certificate_bundles_interoperate_with_the_reference() {
    let Some(model_signing) = judge("model_signing") else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let files = model(home.path());
    let (root_key, key) = (
        SigningKey::generate(KeyKind::P256).unwrap(),
        SigningKey::generate(KeyKind::P384).unwrap(),
    );
    let validity = Validity {
        from: today() - 3600,
        until: today() + 3600,
    };
    let root = signer_root("site", &root_key, validity).unwrap();
    let leaf = signer_leaf(&root, &root_key, "site signer", &key, validity).unwrap();
    write_new_key(&home.path().join("key.pem"), &key).unwrap();
    std::fs::write(home.path().join("root.pem"), to_pem(&root)).unwrap();
    std::fs::write(home.path().join("leaf.pem"), to_pem(&leaf)).unwrap();
    let bundle = sign_model(
        "guide",
        &files,
        &[],
        ModelSigner::Certificate {
            key: &key,
            chain: &[leaf],
        },
    )
    .unwrap();
    std::fs::write(home.path().join("ours.json"), bundle).unwrap();
    let verify = [
        "verify",
        "certificate",
        "guide",
        "--signature",
        "ours.json",
        "--certificate_chain",
        "root.pem",
    ];
    accepts(&model_signing, &verify, home.path());
    let sign = [
        "sign",
        "certificate",
        "guide",
        "--signature",
        "theirs.json",
        "--private_key",
        "key.pem",
        "--signing_certificate",
        "leaf.pem",
        "--certificate_chain",
        "root.pem",
    ];
    accepts(&model_signing, &sign, home.path());
    let trust = SignerTrust {
        roots: vec![root],
        ..SignerTrust::default()
    };
    let theirs = std::fs::read(home.path().join("theirs.json")).unwrap();
    let manifest = verify_bundle(&theirs, &trust, today()).unwrap();
    check_folder(&home.path().join("guide"), &manifest, Watch::nobody()).unwrap();
    // A day later the certificate has run out; the reference implementation would still take it.
    assert_eq!(
        code_of(verify_bundle(&theirs, &trust, today() + 86_400)),
        "model.certificate_time"
    );
}

#[test]
fn d01_other_digests_and_shards_are_refused_by_name() {
    let Some(python) = judge("python") else { return };
    let home = tempfile::tempdir().unwrap();
    model(home.path());
    let key = SigningKey::generate(KeyKind::P256).unwrap();
    write_new_key(&home.path().join("key.pem"), &key).unwrap();
    let trust = SignerTrust {
        keys: vec![key.public().clone()],
        ..SignerTrust::default()
    };
    for (call, expected) in [
        (
            "use_file_serialization(hashing_algorithm='blake3')",
            "model.digest_algorithm",
        ),
        (
            "use_file_serialization(hashing_algorithm='blake2')",
            "model.digest_algorithm",
        ),
        ("use_shard_serialization(shard_size=4)", "model.shards"),
    ] {
        let script = format!(
            "import model_signing as m; m.signing.Config().use_elliptic_key_signer(private_key='key.pem')\
             .set_hashing_config(m.hashing.Config().{call}).sign('guide', 'theirs.json')"
        );
        accepts(&python, &["-c", &script], home.path());
        let theirs = std::fs::read(home.path().join("theirs.json")).unwrap();
        assert_eq!(code_of(verify_bundle(&theirs, &trust, today())), expected, "{call}");
    }
}

#[test]
fn d01_our_bundles_fit_the_specifications_schemas() {
    let Some(python) = judge("python") else { return };
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors/oms/schemas/v1.0");
    if !schemas.exists() {
        println!("skipped: ../shared/vectors is not here");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("ours.json"), crate::world::signed()).unwrap();
    let script = "import base64, json, pathlib, sys\n\
        from jsonschema import Draft202012Validator\n\
        from referencing import Registry, Resource\n\
        schemas = [json.loads(p.read_text()) for p in pathlib.Path(sys.argv[1]).glob('*.json')]\n\
        registry = Registry().with_resources((s['$id'], Resource.from_contents(s)) for s in schemas)\n\
        by_id = {s['$id']: s for s in schemas}\n\
        bundle = json.load(open('ours.json'))\n\
        check = lambda name, value: Draft202012Validator(by_id[f'https://model_signing/{name}/v1.0/schema'], registry=registry).validate(value)\n\
        check('bundle', bundle)\n\
        check('statement', json.loads(base64.b64decode(bundle['dsseEnvelope']['payload'])))\n";
    accepts(&python, &["-c", script, schemas.to_str().unwrap()], home.path());
}

#[test]
fn h01_our_bills_pass_the_strict_validator() {
    let Some(python) = judge("python") else { return };
    let home = tempfile::tempdir().unwrap();
    let headers = crate::world::header();
    for (name, licence) in [
        ("id", "Apache-2.0"),
        ("expression", "MIT OR Apache-2.0"),
        ("name", "our own licence"),
    ] {
        let mut description = description();
        description.licence = Some(licence.to_owned());
        let bom = make_bom(&description, &files(), &headers, today()).unwrap();
        std::fs::write(home.path().join(format!("{name}.json")), bom).unwrap();
        let script = "import sys\n\
            from cyclonedx.validation.json import JsonStrictValidator\n\
            from cyclonedx.schema import SchemaVersion\n\
            fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())\n\
            sys.exit(str(fault) if fault else 0)\n";
        accepts(&python, &["-c", script, &format!("{name}.json")], home.path());
    }
}

#[test]
fn the_reference_implementation_of_tuf_reads_our_export() {
    let Some(python) = judge("python") else { return };
    let mut world = World::new();
    let published = world.publish("1.0.0", None);
    let script = "import pathlib, sys\n\
        from datetime import datetime, timezone\n\
        from tuf.api.metadata import Metadata\n\
        from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet\n\
        from tuf.ngclient.config import EnvelopeType\n\
        read = lambda name: (pathlib.Path('metadata') / name).read_bytes()\n\
        trusted = TrustedMetadataSet(read('1.root.json'), EnvelopeType.METADATA)\n\
        trusted.reference_time = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)\n\
        trusted.update_timestamp(read('timestamp.json'))\n\
        trusted.update_snapshot(read(f'{trusted.timestamp.snapshot_meta.version}.snapshot.json'))\n\
        version = trusted.snapshot.meta['targets.json'].version\n\
        targets = trusted.update_delegated_targets(read(f'{version}.targets.json'), 'targets', 'root')\n\
        info = targets.targets[sys.argv[1]]\n\
        folder, _, file = sys.argv[1].rpartition('/')\n\
        info.verify_length_and_hashes((pathlib.Path('targets') / folder / f\"{info.hashes['sha256']}.{file}\").read_bytes())\n";
    accepts(&python, &["-c", script, &published.target], &world.exported());
}
