//! D03–D06, D19, D20: a folder on disk against its signature.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use freehold_model_files::{FilesError, Watch, check_folder, gate_files, hash_folder, store_file};
use freehold_sign::model::{ModelSigner, sign_model};
use freehold_trust::digest::sha256;
use freehold_verify::Refusal;
use freehold_verify::model::{CheckedFile, ModelCheck, ModelFile, verify_bundle};

use crate::world::{NOW, key, manifest, trust, write_files};

fn code(folder: &Path) -> String {
    match check_folder(folder, &manifest(), Watch::nobody()) {
        Ok(_) => "accepted".to_owned(),
        Err(FilesError::Refused(rejection)) => rejection.code().to_owned(),
        Err(other) => format!("{other:?}"),
    }
}

fn after(change: impl FnOnce(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path());
    change(folder.path());
    code(folder.path())
}

#[test]
fn d03_the_signed_folder_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path());
    let files = check_folder(folder.path(), &manifest(), Watch::nobody()).unwrap();
    assert_eq!((files.total, files.files.len()), (14, 3));
    assert_eq!(gate_files(folder.path(), &files).unwrap(), []);
}

#[test]
fn d03_changed_files_are_refused() {
    let write = |name: &'static str, bytes: &'static [u8]| {
        after(move |folder| std::fs::write(folder.join(name), bytes).unwrap())
    };
    assert_eq!(write("weights.txt", b"weightz"), "model.file_digest");
    assert_eq!(write("weights.txt", b"weights!"), "model.file_digest");
    assert_eq!(write("weights.txt", b""), "model.file_digest");
    let sparse = after(|folder| {
        let file = std::fs::File::create(folder.join("weights.txt")).unwrap();
        file.set_len(7).unwrap();
    });
    assert_eq!(sparse, "model.file_digest");
}

#[test]
fn d03_two_files_of_equal_size_exchanged_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<ModelFile> = [("a.txt", b"1111"), ("b.txt", b"2222")]
        .into_iter()
        .map(|(path, bytes)| ModelFile {
            path: path.to_owned(),
            sha256: sha256(bytes),
        })
        .collect();
    std::fs::write(folder.path().join("a.txt"), b"2222").unwrap();
    std::fs::write(folder.path().join("b.txt"), b"1111").unwrap();
    let bundle = sign_model("m", &files, &[], ModelSigner::Key(key())).unwrap();
    let manifest = verify_bundle(&bundle, &trust(), NOW).unwrap();
    let found = check_folder(folder.path(), &manifest, Watch::nobody());
    assert!(matches!(found, Err(FilesError::Refused(rejection)) if rejection.code() == "model.file_digest"));
}

#[test]
fn d03_a_check_that_was_cut_short_is_refused() {
    let manifest = manifest();
    let mut check = ModelCheck::new(&manifest);
    let file = &manifest.files[0];
    check.digest(&file.path, 2, file.sha256).unwrap();
    assert_eq!(check.finish().unwrap_err().code(), "model.incomplete");
    let mut check = ModelCheck::new(&manifest);
    assert_eq!(
        check.digest("other", 2, file.sha256).unwrap_err().code(),
        "model.file_unlisted"
    );
}

#[test]
fn d03_a_missing_file_is_refused() {
    assert_eq!(
        after(|folder| std::fs::remove_file(folder.join("sub/notes.txt")).unwrap()),
        "model.file_missing"
    );
}

#[test]
fn d04_unlisted_files_are_refused() {
    let add = |name: &'static str| after(move |folder| std::fs::write(folder.join(name), "").unwrap());
    assert_eq!(add("extra"), "model.file_unlisted");
    assert_eq!(add("sub/.hidden"), "model.file_unlisted");
    assert_eq!(add("Config.json"), "model.file_unlisted");
    assert_eq!(add("conﬁg.json"), "model.file_unlisted");
    assert_eq!(add("weights.txt "), "model.file_unlisted");
    assert_eq!(
        after(|folder| std::fs::create_dir(folder.join("empty")).unwrap()),
        "model.file_unlisted"
    );
    assert_eq!(
        after(|folder| std::fs::create_dir(folder.join("sub/.git")).unwrap()),
        "model.file_unlisted"
    );
}

#[test]
fn d05_links_pipes_and_sockets_are_refused() {
    let replaced = |make: &dyn Fn(&Path)| {
        after(|folder| {
            let path = folder.join("weights.txt");
            std::fs::remove_file(&path).unwrap();
            make(&path);
        })
    };
    assert_eq!(
        replaced(&|path| symlink("/etc/passwd", path).unwrap()),
        "model.file_kind"
    );
    assert_eq!(
        replaced(&|path| symlink("config.json", path).unwrap()),
        "model.file_kind"
    );
    assert_eq!(
        replaced(&|path| rustix::fs::mkfifoat(rustix::fs::CWD, path, 0o600.into()).unwrap()),
        "model.file_kind"
    );
    assert_eq!(
        replaced(&|path| drop(std::os::unix::net::UnixListener::bind(path).unwrap())),
        "model.file_kind"
    );
    let linked_folder = after(|folder| {
        std::fs::rename(folder.join("sub"), folder.join("../moved")).ok();
        let elsewhere = tempfile::tempdir().unwrap().keep();
        std::fs::write(elsewhere.join("notes.txt"), "notes").unwrap();
        let _ = std::fs::remove_dir_all(folder.join("sub"));
        symlink(elsewhere, folder.join("sub")).unwrap();
    });
    assert_eq!(linked_folder, "model.file_kind");
    assert_eq!(
        after(|folder| symlink("/", folder.join("root")).unwrap()),
        "model.file_kind"
    );
}

#[test]
fn d05_a_second_hard_link_is_refused() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    let found = after(|folder| {
        std::fs::write(&secret, "weights").unwrap();
        std::fs::remove_file(folder.join("weights.txt")).unwrap();
        // Another file system would make it a copy, and the case void.
        if std::fs::hard_link(&secret, folder.join("weights.txt")).is_err() {
            std::fs::hard_link(folder.join("config.json"), folder.join("weights.txt")).unwrap();
        }
    });
    assert_eq!(found, "model.hard_link");
}

#[test]
fn d05_a_mount_point_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path());
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("notes.txt"), "notes").unwrap();
    // A private mount namespace; without the right to make one the case cannot be shown here.
    let script = format!(
        "mount --bind {} {} && exec {} --exact folder::d05_a_mount_point_is_refused --nocapture",
        elsewhere.path().display(),
        folder.path().join("sub").display(),
        std::env::current_exe().unwrap().display(),
    );
    if let Some(inner) = std::env::var_os("FREEHOLD_MOUNTED_FOLDER") {
        assert_eq!(code(Path::new(&inner)), "model.file_kind");
        return;
    }
    let ran = std::process::Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", &script])
        .env("FREEHOLD_MOUNTED_FOLDER", folder.path())
        .output();
    match ran {
        Ok(output) if output.status.success() => assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed")),
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("unshare") => {
            println!("skipped: no mount namespaces here")
        }
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stdout)),
        Err(_) => println!("skipped: no unshare here"),
    }
}

#[test]
fn d06_what_hides_below_ignored_paths_is_never_part_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    write_files(folder.path());
    std::fs::create_dir_all(folder.path().join(".git/hooks")).unwrap();
    std::fs::write(folder.path().join(".git/hooks/payload"), "x").unwrap();
    std::fs::write(folder.path().join(".gitattributes"), "x").unwrap();
    let files = check_folder(folder.path(), &manifest(), Watch::nobody()).unwrap();
    assert_eq!(files.files.len(), 3);
    assert!(files.files.iter().all(|file| !file.path.starts_with(".git")));
}

#[test]
fn d16_a_store_takes_the_bytes_that_were_hashed_or_nothing() {
    let store = tempfile::tempdir().unwrap();
    let file = |bytes: &[u8]| CheckedFile {
        path: "w".to_owned(),
        sha256: sha256(bytes),
        length: bytes.len() as u64,
    };
    let put = |mut source: &[u8], expected: &CheckedFile| {
        store_file(&mut source, &store.path().join("stored"), expected, Watch::nobody())
    };
    put(b"weights", &file(b"weights")).unwrap();
    put(b"weights", &file(b"weights")).unwrap();
    assert_eq!(std::fs::read(store.path().join("stored")).unwrap(), b"weights");
    std::fs::remove_file(store.path().join("stored")).unwrap();
    for source in [&b"weightz"[..], b"weight", b"weights!", b""] {
        let refused = put(source, &file(b"weights"));
        assert!(matches!(refused, Err(FilesError::Refused(_))), "{source:?}");
        assert_eq!(std::fs::read_dir(store.path()).unwrap().count(), 0);
    }
    let endless = store_file(
        &mut std::io::repeat(0),
        &store.path().join("stored"),
        &file(b"weights"),
        Watch::nobody(),
    );
    assert!(matches!(endless, Err(FilesError::Refused(rejection)) if rejection.code() == "model.file_changed"));
}

#[test]
fn d20_a_leftover_of_an_earlier_import_does_not_matter() {
    let store = tempfile::tempdir().unwrap();
    std::fs::write(store.path().join(".partial-stored"), "half").unwrap();
    let expected = CheckedFile {
        path: "w".to_owned(),
        sha256: sha256(b"weights"),
        length: 7,
    };
    store_file(
        &mut &b"weights"[..],
        &store.path().join("stored"),
        &expected,
        Watch::nobody(),
    )
    .unwrap();
    assert_eq!(std::fs::read_dir(store.path()).unwrap().count(), 1);
}

#[test]
fn d21_hashing_tells_its_progress_and_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), vec![1; 3 << 20]).unwrap();
    std::fs::write(folder.path().join("b"), vec![2; 2 << 20]).unwrap();
    let (seen, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let progress = |bytes| {
        seen.fetch_add(bytes, Ordering::Relaxed);
    };
    let watch = Watch {
        progress: &progress,
        cancelled: &stop,
    };
    let files = hash_folder(folder.path(), &[], watch).unwrap();
    assert_eq!((seen.load(Ordering::Relaxed), files.len()), (5 << 20, 2));
    assert_eq!(files[0].sha256, sha256(&vec![1; 3 << 20]));
    stop.store(true, Ordering::Relaxed);
    assert!(matches!(
        hash_folder(folder.path(), &[], watch),
        Err(FilesError::Cancelled)
    ));
}

#[test]
fn d19_adapters_templates_and_tokenizers_that_nobody_signed_are_refused_beside_a_signed_base() {
    for name in [
        "adapter_model.safetensors",
        "adapter_config.json",
        "lora.gguf",
        "tokenizer.json",
        "chat_template.jinja",
        "Modelfile",
        "sub/generation_config.json",
    ] {
        assert_eq!(
            after(|folder| std::fs::write(folder.join(name), "{}").unwrap()),
            "model.file_unlisted",
            "{name}"
        );
        // Renamed to a name that was signed, it is not what was signed.
        assert_eq!(
            after(|folder| {
                std::fs::write(folder.join(name), "an adapter").unwrap();
                std::fs::rename(folder.join(name), folder.join("config.json")).unwrap();
            }),
            "model.file_digest",
            "{name}"
        );
    }
}
