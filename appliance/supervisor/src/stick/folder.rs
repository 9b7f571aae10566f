//! A folder with the parts of one bundle.
//!
//! Refuses links, devices and pipes without opening them for reading, more names than a stick of ours has, parts of two sets,
//! and every part whose list is not signed by our director. Invariant: files are opened once and read by position, so that what
//! was checked is what is read, whatever happens to the names.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use freehold_trust::{Sha256Digest, sha256};
use freehold_verify::container::{CHUNK, ContainerRejection, Entry, HEAD, Head, Index, Kind, PartSet};
use freehold_verify::stick::{Bundle, BundleExpectation, DIRECTOR, MANIFEST, verify_bundle};
use freehold_verify::{Refusal, Verified};
use rustix::fs::{FileType, Mode, OFlags};

use super::ImportRejection;
use crate::fault::Fault;

/// Most names in a folder that are looked at: a stick has a handful. Bounds a folder of a million files.
const MAX_NAMES: usize = 4096;
/// Bounds a director's key on a stick.
const MAX_KEY: u64 = 4096;
/// Bounds a bundle's list on a stick.
const MAX_LIST: u64 = 32 << 20;

/// The parts of one bundle, open.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) folder: PathBuf,
    pub(crate) bundle: Verified<Bundle>,
    pub(crate) digest: Sha256Digest,
    /// Director's key (SPKI, DER), found to be ours.
    pub(crate) director: Vec<u8>,
    set: PartSet,
    files: BTreeMap<u32, File>,
}

fn refuse(fault: &dyn Refusal) -> Fault {
    Fault::refusal(fault)
}

fn harmless(name: &std::ffi::OsStr) -> String {
    name.to_string_lossy()
        .chars()
        .take(96)
        .flat_map(char::escape_default)
        .collect()
}

/// Opens a plain file of the folder, never through a link, never waiting for a pipe.
fn open_plain(folder: &File, name: &std::ffi::OsStr) -> Result<File, Fault> {
    let plain = || Fault::from(ImportRejection::NotPlain(harmless(name)));
    // What it is is asked before it is opened for reading: opening a device can do things.
    let about = rustix::fs::statat(folder, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).map_err(|_| plain())?;
    if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
        return Err(plain());
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(folder, name, flags, Mode::empty()).map_err(|_| plain())?);
    // And asked again of what was opened: the name may have been given to something else in between.
    match file.metadata() {
        Ok(about) if about.is_file() => Ok(file),
        _ => Err(plain()),
    }
}

fn read_at(file: &File, position: u64, length: usize) -> Result<Vec<u8>, Fault> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, position).map_err(|error| {
        refuse(&match error.kind() {
            std::io::ErrorKind::UnexpectedEof => ContainerRejection::Truncated {
                expected: position.saturating_add(length as u64),
                found: file.metadata().map_or(0, |about| about.len()),
            },
            _ => {
                return Fault::from(ImportRejection::Unreadable {
                    path: "a part".to_owned(),
                    detail: error.to_string(),
                });
            }
        })
    })?;
    Ok(bytes)
}

/// Head and index of a part; the length of the file has to be the one of its index.
fn index_of(file: &File) -> Result<Index, Fault> {
    let length = file.metadata().map_or(0, |about| about.len());
    let early = usize::try_from(length).unwrap_or(HEAD).min(HEAD);
    let head = Head::parse(&read_at(file, 0, early)?).map_err(|fault| refuse(&fault))?;
    let end = (HEAD as u64).saturating_add(head.index_length() as u64);
    if length < end {
        return Err(refuse(&ContainerRejection::Truncated {
            expected: end,
            found: length,
        }));
    }
    let bytes = read_at(file, HEAD as u64, head.index_length())?;
    let index = Index::parse(&head, &bytes).map_err(|fault| refuse(&fault))?;
    index.check_length(length).map_err(|fault| refuse(&fault))?;
    Ok(index)
}

/// All of a small entry, checked.
fn content(file: &File, entry: &Entry, limit: u64) -> Result<Vec<u8>, Fault> {
    if entry.length() > limit {
        return Err(refuse(&ContainerRejection::Length {
            name: harmless(entry.name().as_ref()),
            reason: "it is larger than any real one",
        }));
    }
    let mut all = Vec::new();
    for step in 0..entry.steps() {
        let Some(range) = entry.step(step) else { break };
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
        let bytes = read_at(file, range.start, length)?;
        entry.check(step, &bytes).map_err(|fault| refuse(&fault))?;
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

impl Parts {
    /// Opens the parts in `folder`, and verifies the list with the director that the box was paired with.
    pub(crate) fn open(folder: &Path, expectation: &BundleExpectation, now: i64) -> Result<Self, Fault> {
        let (set, files) = gather(folder)?;
        let (first, file) = match (set.parts().next(), files.values().next()) {
            (Some((_, first)), Some(file)) => (first, file),
            _ => return Err(ImportRejection::Empty(folder.display().to_string()).into()),
        };
        let need = |name: &str, limit| match first.entry(name).filter(|entry| entry.is_whole()) {
            Some(entry) => content(file, entry, limit),
            None => Err(refuse(&ContainerRejection::Missing { name: name.to_owned() })),
        };
        let (envelope, director) = (need(MANIFEST, MAX_LIST)?, need(DIRECTOR, MAX_KEY)?);
        let bundle = verify_bundle(&envelope, &director, expectation, now).map_err(|fault| refuse(&fault))?;
        let digest = sha256(&envelope);
        for (number, part) in set.parts() {
            bundle.check_part(part, digest).map_err(|fault| refuse(&fault))?;
            // Each part carries the list: the very same one.
            let same = part.entry(MANIFEST).map(Entry::sha256) == Some(digest);
            if !same {
                return Err(refuse(&ContainerRejection::PartTwice { part: number }));
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            bundle,
            digest,
            director,
            set,
            files,
        })
    }

    /// The numbers of parts that are not here.
    pub(crate) fn missing(&self) -> Vec<u32> {
        self.set.missing()
    }

    /// A small file, whole and compared with the signed list; `None` when the bundle has no such file.
    pub(crate) fn read(&self, name: &str, limit: usize) -> Result<Option<Vec<u8>>, Fault> {
        let Some(listed) = self.bundle.file(name) else {
            return Ok(None);
        };
        if listed.length > limit as u64 {
            return Err(refuse(&ContainerRejection::Length {
                name: harmless(name.as_ref()),
                reason: "it is larger than any real one",
            }));
        }
        let mut all = Vec::new();
        for (number, entry) in self.set.pieces(name) {
            let file = self.file(number)?;
            all.extend_from_slice(&content(file, entry, limit as u64)?);
        }
        if all.len() as u64 != listed.length {
            return Err(self.not_here(name));
        }
        let found = sha256(&all);
        if found != listed.sha256 {
            return Err(refuse(&ContainerRejection::Digest {
                what: format!("`{}`", harmless(name.as_ref())),
                expected: listed.sha256,
                found,
            }));
        }
        Ok(Some(all))
    }

    /// The bytes `start..end` of a file. Whoever asks compares them with what the publisher signed.
    pub(crate) fn range(&self, name: &str, start: u64, end: u64) -> Result<Vec<u8>, Fault> {
        if self.bundle.file(name).is_none() {
            return Err(ImportRejection::Lacks(harmless(name.as_ref())).into());
        }
        let wanted = end.saturating_sub(start);
        if wanted > 16 * CHUNK {
            return Err(ImportRejection::Lacks(harmless(name.as_ref())).into());
        }
        let (mut at, mut all) = (start, Vec::new());
        for (number, entry) in self.set.pieces(name) {
            let piece_end = entry.start().saturating_add(entry.length());
            if at < entry.start() || at >= piece_end || at >= end {
                continue;
            }
            let take = piece_end.min(end).saturating_sub(at);
            let position = entry.position().saturating_add(at.saturating_sub(entry.start()));
            all.extend(read_at(
                self.file(number)?,
                position,
                usize::try_from(take).unwrap_or(usize::MAX),
            )?);
            at = at.saturating_add(take);
        }
        if at < end {
            return Err(self.not_here(name));
        }
        Ok(all)
    }

    fn not_here(&self, name: &str) -> Fault {
        let missing = self.missing();
        if missing.is_empty() {
            return ImportRejection::Lacks(harmless(name.as_ref())).into();
        }
        let parts = self.set.parts().next().map_or(0, |(_, part)| part.parts());
        refuse(&ContainerRejection::PartMissing { missing, parts })
    }

    fn file(&self, number: u32) -> Result<&File, Fault> {
        self.files.get(&number).ok_or_else(|| {
            refuse(&ContainerRejection::PartMissing {
                missing: vec![number],
                parts: 0,
            })
        })
    }
}

/// Opens every `.fhz` of the folder that is a part of a bundle.
fn gather(folder: &Path) -> Result<(PartSet, BTreeMap<u32, File>), Fault> {
    let unreadable = |error: std::io::Error| {
        Fault::from(ImportRejection::Unreadable {
            path: folder.display().to_string(),
            detail: error.to_string(),
        })
    };
    let opened = rustix::fs::open(
        folder,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    );
    let opened = File::from(opened.map_err(|error| unreadable(error.into()))?);
    let mut names = Vec::new();
    for (count, entry) in std::fs::read_dir(folder).map_err(unreadable)?.enumerate() {
        if count >= MAX_NAMES {
            return Err(ImportRejection::Crowded(MAX_NAMES).into());
        }
        let name = entry.map_err(unreadable)?.file_name();
        if Path::new(&name).extension().is_some_and(|end| end == "fhz") {
            names.push(name);
        }
    }
    names.sort();
    let (mut set, mut files): (Option<PartSet>, BTreeMap<u32, File>) = (None, BTreeMap::new());
    for name in names {
        let file = open_plain(&opened, &name)?;
        let index = index_of(&file)?;
        // Returns of other boxes travel on the same stick, and reports may.
        if index.kind() != Kind::Bundle {
            continue;
        }
        let number = index.part();
        match &mut set {
            None => set = Some(PartSet::begin(Kind::Bundle, index).map_err(|fault| refuse(&fault))?),
            Some(set) => set.add(index).map_err(|fault| refuse(&fault))?,
        }
        files.entry(number).or_insert(file);
    }
    match set {
        Some(set) => Ok((set, files)),
        None => Err(ImportRejection::Empty(folder.display().to_string()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freehold_trust::hpke::OpeningKey;
    use freehold_trust::{KeyKind, SigningKey};
    use freehold_verify::container::{Digests, Draft};
    use freehold_verify::stick::{Listed, sign_bundle};

    const NOW: i64 = 1_900_000_000;
    const TARGET: &str = "targets/models/guide/1.0.0/model.gguf";

    /// A console that writes sticks, and the folder that it writes to.
    struct Writer {
        world: tempfile::TempDir,
        director: SigningKey,
        number: u64,
    }

    impl Writer {
        fn new() -> Self {
            Self {
                world: tempfile::tempdir().unwrap(),
                director: SigningKey::generate(KeyKind::P256).unwrap(),
                number: 1,
            }
        }

        fn folder(&self) -> &Path {
            self.world.path()
        }

        fn expectation(&self) -> BundleExpectation {
            BundleExpectation {
                fleet: "ward".to_owned(),
                director: sha256(self.director.public().spki_der()),
                last: None,
            }
        }

        /// A model of two chunks and a bit over two parts, and a letter in the first; answers the bytes of each part.
        fn parts(&self) -> Vec<Vec<u8>> {
            let (model, letter) = (vec![5; usize::try_from(2 * CHUNK + 9).unwrap()], b"{}".to_vec());
            let listed = |name: &str, bytes: &[u8]| Listed {
                name: name.to_owned(),
                length: bytes.len() as u64,
                sha256: sha256(bytes),
            };
            let key = OpeningKey::generate().unwrap();
            let bundle = Bundle {
                v: 1,
                fleet: "ward".to_owned(),
                site: "here".to_owned(),
                number: self.number,
                at: NOW,
                not_after: NOW + 10,
                return_key: serde_json::to_value(freehold_protocol::Base64(key.public().spki_der().to_vec()))
                    .unwrap()
                    .as_str()
                    .unwrap()
                    .to_owned(),
                boxes: Vec::new(),
                files: vec![listed(TARGET, &model), listed("boxes/a.json", &letter)],
            };
            let envelope = sign_bundle(&bundle, &self.director);
            let set = sha256(&envelope);
            let director = self.director.public().spki_der().to_vec();
            let cut = usize::try_from(CHUNK).unwrap();
            let (first, second) = model.split_at(cut);
            let mut made = Vec::new();
            for (part, start, piece) in [(1, 0, first), (2, CHUNK, second)] {
                let mut draft = Draft::new(Kind::Bundle, set, part, 2);
                let mut contents = BTreeMap::from([(MANIFEST, &envelope[..]), (DIRECTOR, &director[..])]);
                if part == 1 {
                    contents.insert("boxes/a.json", &letter);
                }
                for (name, bytes) in &contents {
                    draft.file(name, bytes.len() as u64);
                    draft.digests(name, Digests::of(bytes)).unwrap();
                }
                draft.piece(TARGET, model.len() as u64, start, piece.len() as u64);
                draft.digests(TARGET, Digests::of(piece)).unwrap();
                contents.insert(TARGET, piece);
                let mut bytes = draft.to_bytes().unwrap();
                contents.values().for_each(|content| bytes.extend_from_slice(content));
                made.push(bytes);
            }
            made
        }

        fn put(&self, name: &str, bytes: &[u8]) {
            std::fs::write(self.folder().join(name), bytes).unwrap();
        }

        fn code(&self) -> String {
            let opened = Parts::open(self.folder(), &self.expectation(), NOW);
            opened.expect_err("it is refused").code().to_owned()
        }
    }

    #[test]
    fn a_bundle_over_two_parts_is_read_from_any_place() {
        let writer = Writer::new();
        let parts = writer.parts();
        writer.put("one.fhz", &parts[0]);
        writer.put("two.fhz", &parts[1]);
        writer.put("readme.txt", b"not ours");
        let open = Parts::open(writer.folder(), &writer.expectation(), NOW).unwrap();
        assert_eq!(open.missing(), Vec::<u32>::new());
        assert_eq!(open.read("boxes/a.json", 100).unwrap().unwrap(), b"{}");
        assert_eq!(open.read("boxes/b.json", 100).unwrap(), None);
        assert_eq!(open.read("boxes/a.json", 1).unwrap_err().code(), "container.length");
        // Across the cut between the parts.
        assert_eq!(open.range(TARGET, CHUNK - 3, CHUNK + 3).unwrap(), [5; 6]);
        assert_eq!(open.range("targets/other", 0, 1).unwrap_err().code(), "import.lacks");
        assert_eq!(
            open.range(TARGET, 2 * CHUNK, 3 * CHUNK).unwrap_err().code(),
            "import.lacks"
        );
    }

    #[test]
    fn with_one_part_what_is_there_is_read_and_the_other_part_is_named() {
        let writer = Writer::new();
        writer.put("one.fhz", &writer.parts()[0]);
        let open = Parts::open(writer.folder(), &writer.expectation(), NOW).unwrap();
        assert_eq!(open.missing(), [2]);
        assert_eq!(open.range(TARGET, 0, 10).unwrap().len(), 10);
        let fault = open.range(TARGET, CHUNK, CHUNK + 1).unwrap_err();
        assert_eq!(
            (fault.code(), fault.to_string().as_str()),
            ("container.part_missing", "part 2 of 2 is not here")
        );
    }

    // promise S-225
    #[test]
    fn links_devices_and_pipes_are_not_opened() {
        use std::os::unix::fs::symlink;
        for target in ["one.bin", "/dev/zero", "/etc/passwd", "nowhere"] {
            let writer = Writer::new();
            writer.put("one.bin", &writer.parts()[0]);
            symlink(target, writer.folder().join("one.fhz")).unwrap();
            assert_eq!(writer.code(), "import.not_plain", "{target}");
        }
        let pipe = Writer::new();
        let (path, mode) = (pipe.folder().join("one.fhz"), Mode::from_raw_mode(0o600));
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, mode, 0).unwrap();
        assert_eq!(pipe.code(), "import.not_plain");
        let folder = Writer::new();
        std::fs::create_dir(folder.folder().join("one.fhz")).unwrap();
        assert_eq!(folder.code(), "import.not_plain");
        let device = Writer::new();
        let (path, zero) = (device.folder().join("one.fhz"), rustix::fs::makedev(1, 5));
        match rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::CharacterDevice, mode, zero) {
            Ok(()) => assert_eq!(device.code(), "import.not_plain"),
            Err(_) => println!("skipped: a device file needs root"),
        }
    }

    // promise S-225
    #[test]
    fn hostile_sticks_are_refused_by_their_codes() {
        let writer = Writer::new();
        assert_eq!(writer.code(), "import.empty");
        let gone = Parts::open(&writer.folder().join("gone"), &writer.expectation(), NOW);
        assert_eq!(gone.unwrap_err().code(), "import.unreadable");
        let parts = writer.parts();

        // A copy that was cut off, in the head, in the index and in the contents; one that grew, by a byte and by a terabyte.
        for length in [10, 60, parts[0].len() - 1] {
            writer.put("one.fhz", &parts[0][..length]);
            assert_eq!(writer.code(), "container.truncated", "{length}");
        }
        writer.put("one.fhz", &[&parts[0][..], b"x"].concat());
        assert_eq!(writer.code(), "container.trailing");
        writer.put("one.fhz", &parts[0]);
        let file = File::options()
            .write(true)
            .open(writer.folder().join("one.fhz"))
            .unwrap();
        file.set_len(1 << 40).unwrap();
        assert_eq!(writer.code(), "container.trailing");

        // A changed byte in the list, and a file that is none of ours.
        let mut changed = parts[0].clone();
        changed[100] ^= 1;
        writer.put("one.fhz", &changed);
        assert_eq!(writer.code(), "container.digest");
        writer.put(
            "one.fhz",
            b"MZ a program that somebody renamed, and that is long enough to be read",
        );
        assert_eq!(writer.code(), "container.magic");

        // The second part of another bundle, and the same part twice with two contents.
        let other = Writer {
            world: tempfile::tempdir().unwrap(),
            director: SigningKey::from_pkcs8_pem(&writer.director.to_pkcs8_pem().unwrap()).unwrap(),
            number: 2,
        };
        writer.put("one.fhz", &parts[0]);
        writer.put("two.fhz", &other.parts()[1]);
        assert_eq!(writer.code(), "container.part_other");

        // Another fleet's stick, an old one, and one whose time is over.
        let foreign = Writer::new();
        foreign.put("one.fhz", &foreign.parts()[0]);
        let refused = |expectation: &BundleExpectation, now| {
            let opened = Parts::open(foreign.folder(), expectation, now);
            opened.unwrap_err().code().to_owned()
        };
        assert_eq!(refused(&writer.expectation(), NOW), "stick.other_director");
        let newer = BundleExpectation {
            last: Some((9, sha256(b"a newer list"))),
            ..foreign.expectation()
        };
        assert_eq!(refused(&newer, NOW), "stick.replayed");
        assert_eq!(refused(&foreign.expectation(), NOW + 11), "stick.expired");
    }

    // promise S-225
    #[test]
    fn a_folder_of_thousands_of_files_is_not_looked_through() {
        let writer = Writer::new();
        for number in 0..=MAX_NAMES {
            writer.put(&format!("{number}"), b"");
        }
        assert_eq!(writer.code(), "import.crowded");
    }

    #[test]
    fn a_changed_byte_of_a_letter_is_found_when_it_is_read() {
        let writer = Writer::new();
        let mut bytes = writer.parts()[0].clone();
        let at = bytes.windows(2).rposition(|pair| pair == b"{}").unwrap();
        bytes[at] = b'[';
        writer.put("one.fhz", &bytes);
        let open = Parts::open(writer.folder(), &writer.expectation(), NOW).unwrap();
        assert_eq!(open.read("boxes/a.json", 100).unwrap_err().code(), "container.digest");
    }
}
