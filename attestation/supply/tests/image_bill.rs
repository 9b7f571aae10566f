//! The bill of materials of the image, made as the build makes it (`image/nix/sbom.py`), from packages that are built here. Cases H01
//! and H02.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn put(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let to = root.join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, text).unwrap();
    }
}

/// A .deb with these files.
fn package(folder: &Path, name: &str, version: &str, source: &str, files: &[(&str, &str)]) -> PathBuf {
    let root = folder.join(name);
    put(&root, files);
    let control = format!(
        "Package: {name}\nVersion: {version}\n{source}Architecture: amd64\nMaintainer: nobody\nDescription: made for a test\n"
    );
    put(&root, &[("DEBIAN/control", &control)]);
    let to = folder.join(format!("{name}_{}_amd64.deb", version.replace(':', "_")));
    let made = Command::new("dpkg-deb")
        .args(["-Zxz", "-b"])
        .arg(&root)
        .arg(&to)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", said(&made));
    to
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("out")).unwrap();
        std::fs::create_dir_all(at("debs")).unwrap();
        let copyright = "Files: *\nLicense: GPL-2+\n\nFiles: x\nLicense: Expat or mine\n";
        let one = [
            ("usr/lib/libone.so", "one"),
            ("usr/share/doc/libone/copyright", copyright),
        ];
        let one = package(&at("build"), "libone", "1:2.0-1+b2", "Source: one\n", &one);
        let two = package(&at("build"), "two", "3.0", "", &[("usr/bin/two", "two")]);
        let mut packages = Vec::new();
        for (path, name, version) in [(one, "libone", "1:2.0-1+b2"), (two, "two", "3.0")] {
            let bytes = std::fs::read(&path).unwrap();
            let file = path.file_name().unwrap().to_str().unwrap().to_owned();
            std::fs::write(at("debs").join(&file), &bytes).unwrap();
            packages.push(serde_json::json!({
                "name": name, "version": version, "architecture": "amd64", "suite": "trixie", "sets": ["os"],
                "path": format!("pool/main/{file}"), "size": bytes.len(), "sha256": freehold_trust::sha256(&bytes).to_hex(),
            }));
        }
        std::fs::write(
            at("lock"),
            serde_json::json!({ "v": 1, "packages": packages }).to_string(),
        )
        .unwrap();
        put(
            &at("system"),
            &[
                ("usr/lib/libone.so", "one"),
                ("usr/bin/two", "two"),
                ("etc/hostname", "box"),
            ],
        );
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, system: bool) -> Output {
        let mut command = Command::new("python3");
        command
            .arg(repository().join("image/nix/sbom.py"))
            .arg(self.path("lock"));
        command.arg(repository().join("Cargo.lock")).arg("1.2.3");
        command.arg(self.path("out")).arg(self.path("debs"));
        if system {
            command.arg(self.path("system"));
        }
        command.output().unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path("out").join("freehold.cdx.json")).unwrap()
    }
}

fn component<'a>(bill: &'a Value, name: &str) -> &'a Value {
    let mut all = bill["components"].as_array().unwrap().iter();
    all.find(|one| one["name"] == name)
        .unwrap_or_else(|| panic!("no component `{name}`"))
}

// promise S-264
#[test]
fn h02_every_file_of_the_system_belongs_to_a_component() {
    let world = World::new();
    let made = world.run(true);
    assert!(made.status.success(), "{}", said(&made));
    let bill: Value = serde_json::from_slice(&world.bytes()).unwrap();
    let one = component(&bill, "libone");
    assert_eq!(
        one["purl"],
        "pkg:deb/debian/libone@1%3A2.0-1%2Bb2?arch=amd64&distro=trixie"
    );
    assert_eq!(
        one["properties"][0]["value"], "one 1:2.0-1",
        "a rebuild has the source's version"
    );
    let licence = |one: &Value| -> String {
        let choice = &one["license"];
        choice["id"].as_str().or(choice["name"].as_str()).unwrap().to_owned()
    };
    let licences: Vec<String> = one["licenses"].as_array().unwrap().iter().map(licence).collect();
    assert_eq!(licences, ["GPL-2.0-or-later", "MIT", "mine"]);
    assert_eq!(one["components"][0]["name"], "/usr/lib/libone.so");
    assert_eq!(
        licence(&component(&bill, "two")["licenses"][0]),
        "see /usr/share/doc/two/copyright"
    );
    assert_eq!(
        component(&bill, "freehold-settings")["components"][0]["name"],
        "/etc/hostname"
    );
    // A file that nobody brought, in a place where the build writes nothing.
    put(&world.path("system"), &[("usr/bin/stranger", "x")]);
    let refused = world.run(true);
    assert!(
        !refused.status.success() && said(&refused).contains("usr/bin/stranger"),
        "{}",
        said(&refused)
    );
}

#[test]
fn h02_a_program_that_does_not_say_its_crates_ends_the_build() {
    let world = World::new();
    put(&world.path("system"), &[("usr/bin/freehold-thing", "#!/bin/true")]);
    let refused = world.run(true);
    assert!(
        !refused.status.success() && said(&refused).contains("usr/bin/freehold-thing"),
        "{}",
        said(&refused)
    );
}

#[test]
fn h02_a_package_that_the_lock_does_not_name_is_refused() {
    let world = World::new();
    let extra = package(&world.path("build"), "three", "1.0", "", &[("usr/bin/three", "three")]);
    std::fs::copy(&extra, world.path("debs").join(extra.file_name().unwrap())).unwrap();
    let refused = world.run(false);
    assert!(
        !refused.status.success() && said(&refused).contains("three"),
        "{}",
        said(&refused)
    );
}

#[test]
fn h01_the_bill_of_the_image_passes_the_strict_validator_and_is_read_here() {
    let world = World::new();
    assert!(world.run(true).status.success());
    let bytes = world.bytes();
    let bill = freehold_supply::Bill::parse(&bytes).unwrap();
    assert_eq!((bill.about.kind.as_str(), bill.files), ("operating-system", 3));
    let one = bill.components.iter().find(|one| one.name == "libone").unwrap();
    assert_eq!(one.source, Some(("one".to_owned(), "1:2.0-1".to_owned())));
    assert!(world.run(true).status.success());
    assert_eq!(world.bytes(), bytes, "the same inputs give the same bytes");
    let python = repository().join("target/judges/bin/python");
    if !python.exists() {
        println!("skipped: target/judges is not made (tests/judges.sh)");
        return;
    }
    let script = "import sys\n\
        from cyclonedx.schema import SchemaVersion\n\
        from cyclonedx.validation.json import JsonStrictValidator\n\
        print('fault:', JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read()))\n";
    // Without a system's tree too: then every crate of the lock is listed.
    for system in [true, false] {
        assert!(world.run(system).status.success());
        let bill = world.path("out").join("freehold.cdx.json");
        let judged = Command::new(&python).args(["-c", script]).arg(bill).output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&judged.stdout).trim(),
            "fault: None",
            "{}",
            said(&judged)
        );
    }
}
