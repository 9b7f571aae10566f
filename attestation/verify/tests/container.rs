//! `.fhz`: what is written is read back, and every fault is refused by its code.

use std::collections::BTreeMap;

use freehold_trust::sha256;
use freehold_verify::Refusal;
use freehold_verify::container::{
    CHUNK, Container, ContainerCheck, ContainerRejection, ContentHasher, Digests, Draft, HEAD, Head, Index, Kind,
    MAGIC, MAX_ENTRIES, MAX_INDEX, PartSet, write,
};
use proptest::prelude::*;

fn contents(files: &[(&str, &[u8])]) -> BTreeMap<String, Vec<u8>> {
    files
        .iter()
        .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
        .collect()
}

fn small() -> Vec<u8> {
    let files = contents(&[("a/one", b"first"), ("a/two", b""), ("b", &[7; 300])]);
    write(Kind::Report, sha256(b"set"), &files).unwrap()
}

fn refused(bytes: &[u8]) -> &'static str {
    Container::parse(bytes, Kind::Report).expect_err("it is refused").code()
}

/// A container around any index, with a head that fits it: what somebody with an editor makes.
fn forged(index: &[u8], contents: &[u8]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&u32::try_from(index.len()).unwrap().to_be_bytes());
    out.extend_from_slice(sha256(index).as_bytes());
    out.extend_from_slice(index);
    out.extend_from_slice(contents);
    out
}

/// The few items of CBOR that a forger needs; minimal heads, as the format wants them.
#[derive(Default)]
struct Cbor(Vec<u8>);

impl Cbor {
    fn head(mut self, major: u8, number: u64) -> Self {
        let wide = number.to_be_bytes();
        match number {
            0..=23 => self.0.push(major << 5 | wide[7]),
            24..=0xff => self.0.extend([major << 5 | 24, wide[7]]),
            0x100..=0xffff => self.0.extend([&[major << 5 | 25], &wide[6..]].concat()),
            0x1_0000..=0xffff_ffff => self.0.extend([&[major << 5 | 26], &wide[4..]].concat()),
            _ => self.0.extend([&[major << 5 | 27], &wide[..]].concat()),
        }
        self
    }
    fn uint(self, number: u64) -> Self {
        self.head(0, number)
    }
    fn bytes(self, bytes: &[u8]) -> Self {
        let mut out = self.head(2, bytes.len() as u64);
        out.0.extend_from_slice(bytes);
        out
    }
    fn text(self, text: &str) -> Self {
        let mut out = self.head(3, text.len() as u64);
        out.0.extend_from_slice(text.as_bytes());
        out
    }
    /// The fields before the entries.
    fn index(version: u64, kind: &str, part: u64, parts: u64) -> Self {
        Self::default()
            .head(5, 6)
            .uint(0)
            .uint(version)
            .uint(1)
            .text(kind)
            .uint(2)
            .bytes(&[1; 32])
            .uint(3)
            .uint(part)
            .uint(4)
            .uint(parts)
            .uint(5)
    }
    fn entry(self, name: &str, whole: u64, start: u64, length: u64, chunks: usize) -> Self {
        let mut out = self
            .head(4, 6)
            .text(name)
            .uint(whole)
            .uint(start)
            .uint(length)
            .bytes(sha256(b"").as_bytes())
            .head(4, chunks as u64);
        for _ in 0..chunks {
            out = out.bytes(&[2; 32]);
        }
        out
    }
}

/// The code for an index of empty files of these names.
fn named(names: &[&str]) -> &'static str {
    let mut index = Cbor::index(1, "report", 1, 1).head(4, names.len() as u64);
    for name in names {
        index = index.entry(name, 0, 0, 0, 0);
    }
    refused(&forged(&index.0, b""))
}

fn one_entry(whole: u64, start: u64, length: u64, chunks: usize) -> &'static str {
    let index = Cbor::index(1, "report", 1, 1)
        .head(4, 1)
        .entry("a", whole, start, length, chunks);
    refused(&forged(&index.0, b""))
}

#[test]
fn what_is_written_is_read_back() {
    let bytes = small();
    let container = Container::parse(&bytes, Kind::Report).unwrap();
    let names: Vec<(&str, usize)> = container.entries().map(|(name, bytes)| (name, bytes.len())).collect();
    assert_eq!(names, [("a/one", 5), ("a/two", 0), ("b", 300)]);
    assert_eq!(container.need("a/one").unwrap(), b"first");
    assert_eq!(container.get("a"), None);
    assert_eq!(container.need("c").unwrap_err().code(), "container.missing");
    let entry = container.index().entry("b").unwrap();
    assert_eq!(entry.sha256(), sha256(&[7; 300]));
    assert_eq!(container.index().length(), bytes.len() as u64);
    assert_eq!((container.index().part(), container.index().parts()), (1, 1));
}

#[test]
fn the_same_content_has_one_container_and_the_forger_of_this_test_writes_it_too() {
    let files = contents(&[("a", b"")]);
    let ours = write(Kind::Report, freehold_trust::Sha256Digest::from_bytes([1; 32]), &files).unwrap();
    let theirs = Cbor::index(1, "report", 1, 1).head(4, 1).entry("a", 0, 0, 0, 0);
    assert_eq!(ours, forged(&theirs.0, b""));
}

// promise S-220
#[test]
fn every_flipped_bit_of_a_container_is_refused() {
    let bytes = small();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert!(Container::parse(&changed, Kind::Report).is_err(), "byte {at} bit {bit}");
        }
    }
}

// promise S-220
#[test]
fn a_container_that_ends_early_or_goes_on_is_refused() {
    let bytes = small();
    for length in 0..bytes.len() {
        assert_eq!(refused(&bytes[..length]), "container.truncated", "{length}");
    }
    let longer = [&bytes[..], b"x"].concat();
    assert_eq!(refused(&longer), "container.trailing");
}

// promise S-221
#[test]
fn every_fault_of_an_index_has_its_code() {
    assert_eq!(
        refused(b"PK\x03\x04 a zip file, as somebody renamed it to fool us"),
        "container.magic"
    );
    let version = Cbor::index(2, "report", 1, 1).head(4, 0);
    assert_eq!(refused(&forged(&version.0, b"")), "container.version");
    let kind = Cbor::index(1, "program", 1, 1).head(4, 0);
    assert_eq!(refused(&forged(&kind.0, b"")), "container.kind");
    let bundle = write(Kind::Bundle, sha256(b"set"), &contents(&[("a", b"x")])).unwrap();
    assert_eq!(refused(&bundle), "container.kind");

    let mut huge = small();
    huge[8..12].copy_from_slice(&u32::MAX.to_be_bytes());
    assert_eq!(refused(&huge), "container.index_too_large");

    for names in [
        "/etc/passwd",
        "../up",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        "",
        "a\\b",
        "a\nb",
        "\0",
        &"n".repeat(300),
        &"n/".repeat(600),
    ] {
        assert_eq!(named(&[names]), "container.path", "{names:?}");
    }
    assert_eq!(named(&["a", "a/b"]), "container.path");
    assert_eq!(named(&["a", "a"]), "container.duplicate");
    assert_eq!(named(&["A", "a"]), "container.duplicate");
    assert_eq!(named(&["e\u{301}", "\u{e9}"]), "container.duplicate");
    assert_eq!(named(&["b", "a"]), "container.malformed");

    let parts = Cbor::index(1, "report", 1, 1_000_000).head(4, 0);
    assert_eq!(refused(&forged(&parts.0, b"")), "container.too_many");
    for (part, parts) in [(0, 1), (2, 1), (0, 0)] {
        let index = Cbor::index(1, "report", part, parts).head(4, 0);
        assert_eq!(
            refused(&forged(&index.0, b"")),
            "container.malformed",
            "{part} of {parts}"
        );
    }
    assert_eq!(refused(&forged(b"not cbor", b"")), "container.malformed");
    let more = [&Cbor::index(1, "report", 1, 1).head(4, 0).0[..], b"\0"].concat();
    assert_eq!(refused(&forged(&more, b"")), "container.malformed");
    // The version written in two bytes: the same number, not its one form.
    let long = [
        &[0xa6, 0x00, 0x18, 0x01][..],
        &Cbor::index(1, "report", 1, 1).head(4, 0).0[3..],
    ]
    .concat();
    assert_eq!(refused(&forged(&long, b"")), "container.malformed");
}

// promise S-221
#[test]
fn a_million_entries_and_lengths_that_lie_are_refused_before_anything_is_reserved() {
    let million = Cbor::index(1, "report", 1, 1).head(4, 1_000_000);
    assert_eq!(refused(&forged(&million.0, b"")), "container.too_many");
    const { assert!(MAX_ENTRIES < 1_000_000) };
    // A petabyte that would need more chunk digests than any index holds.
    assert_eq!(one_entry(1 << 50, 0, 1 << 50, 0), "container.too_many");
    assert_eq!(one_entry(u64::MAX, 0, 5, 0), "container.truncated");
    assert_eq!(one_entry(10, 0, 11, 0), "container.length");
    assert_eq!(one_entry(u64::MAX, u64::MAX, 1, 0), "container.length");
    assert_eq!(one_entry(u64::MAX, 5, 10, 0), "container.length");
    assert_eq!(one_entry(5, 0, 0, 0), "container.length");
    assert_eq!(one_entry(CHUNK + 1, 0, CHUNK + 1, 1), "container.length");
    assert_eq!(one_entry(CHUNK, 0, CHUNK, 1), "container.length");
    // Declared, and not there.
    assert_eq!(one_entry(CHUNK + 1, 0, CHUNK + 1, 2), "container.truncated");
}

#[test]
fn a_large_file_is_read_from_any_place_and_each_step_is_checked() {
    let file: Vec<u8> = (0..2 * CHUNK + 17).map(|at| (at % 251) as u8).collect();
    let bytes = write(Kind::Bundle, sha256(b"set"), &contents(&[("a", b"x"), ("big", &file)])).unwrap();
    let head = Head::parse(&bytes).unwrap();
    let index = Index::parse(&head, &bytes[HEAD..HEAD + head.index_length()]).unwrap();
    let entry = index.entry("big").unwrap();
    assert_eq!((entry.steps(), entry.is_whole()), (3, true));
    for step in [2, 0, 1] {
        let range = entry.step(step).unwrap();
        let piece = &bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
        entry.check(step, piece).unwrap();
        let mut changed = piece.to_vec();
        changed[3] ^= 1;
        assert_eq!(entry.check(step, &changed).unwrap_err().code(), "container.digest");
        assert_eq!(
            entry.check(step, &piece[1..]).unwrap_err().code(),
            "container.truncated"
        );
    }
    assert_eq!(entry.step(3), None);

    // A changed byte of the first chunk is found at the end of that chunk, not at the end of the file.
    let mut changed = bytes.clone();
    let at = usize::try_from(entry.position()).unwrap();
    changed[at] ^= 1;
    let mut check = ContainerCheck::new();
    let outcome = changed.chunks(100_000).try_for_each(|piece| check.update(piece));
    assert_eq!(outcome.unwrap_err().code(), "container.digest");
    assert!(check.seen() < entry.position() + CHUNK + 200_000);
}

#[test]
fn a_digest_of_the_whole_that_does_not_fit_its_chunks_is_refused() {
    let file = vec![3; usize::try_from(CHUNK + 5).unwrap()];
    let mut digests = Digests::of(&file);
    digests.sha256 = sha256(b"another file");
    let mut draft = Draft::new(Kind::Report, sha256(b"set"), 1, 1);
    draft.file("a", file.len() as u64);
    draft.digests("a", digests).unwrap();
    let bytes = [draft.to_bytes().unwrap(), file].concat();
    assert_eq!(refused(&bytes), "container.digest");
}

#[test]
fn the_writer_refuses_what_the_reader_would() {
    let mut draft = Draft::new(Kind::Report, sha256(b"set"), 1, 1);
    draft.file("../a", 0);
    assert_eq!(draft.to_bytes().unwrap_err().code(), "container.path");
    assert_eq!(
        draft.digests("b", Digests::of(b"")).unwrap_err().code(),
        "container.missing"
    );
    let mut draft = Draft::new(Kind::Report, sha256(b"set"), 1, 1);
    draft.file("a", 4);
    assert_eq!(
        draft.digests("a", Digests::of(b"five!")).unwrap_err().code(),
        "container.length"
    );
    draft.file("big", u64::try_from(MAX_INDEX).unwrap() * CHUNK / 32);
    assert_eq!(draft.to_bytes().unwrap_err().code(), "container.index_too_large");
}

#[test]
fn head_and_index_have_their_length_before_the_contents_are_hashed() {
    let file = vec![9; usize::try_from(CHUNK * 2).unwrap()];
    let mut draft = Draft::new(Kind::Bundle, sha256(b"set"), 1, 1);
    draft.file("a", file.len() as u64);
    let early = draft.early().unwrap();
    let position = draft.index().unwrap().entry("a").unwrap().position();
    draft.digests("a", Digests::of(&file)).unwrap();
    let bytes = draft.to_bytes().unwrap();
    assert_eq!((bytes.len() as u64, position), (early, early));
    // Zeros where head and index belong: a copy that was cut off is no container.
    let cut = [vec![0; bytes.len()], file].concat();
    assert_eq!(
        Container::parse(&cut, Kind::Bundle).unwrap_err().code(),
        "container.magic"
    );
}

/// A file of two chunks and a bit, in three parts; and a file that stands in each.
fn three_parts(set: &[u8], file: &[u8]) -> Vec<Index> {
    let cut = usize::try_from(CHUNK).unwrap();
    let parts = file.chunks(cut).zip(1..).map(|(piece, part)| {
        let mut draft = Draft::new(Kind::Bundle, sha256(set), part, 3);
        draft.file("note", 4);
        draft.digests("note", Digests::of(b"note")).unwrap();
        draft.piece(
            "big",
            file.len() as u64,
            u64::from(part - 1) * CHUNK,
            piece.len() as u64,
        );
        draft.digests("big", Digests::of(piece)).unwrap();
        draft.index().unwrap()
    });
    parts.collect()
}

fn gathered(parts: &[&Index]) -> Result<PartSet, ContainerRejection> {
    let mut set = PartSet::begin(Kind::Bundle, parts[0].clone())?;
    for part in &parts[1..] {
        set.add((*part).clone())?;
    }
    set.complete()?;
    Ok(set)
}

// promise S-222
#[test]
fn parts_that_are_missing_exchanged_or_doubled_are_named() {
    let file = vec![1; usize::try_from(2 * CHUNK + 10).unwrap()];
    let parts = three_parts(b"set", &file);
    let [one, two, three] = &parts[..] else {
        panic!("three parts")
    };
    let set = gathered(&[three, one, two, one]).unwrap();
    let pieces: Vec<(u32, u64)> = set
        .pieces("big")
        .iter()
        .map(|(part, piece)| (*part, piece.start()))
        .collect();
    assert_eq!(pieces, [(1, 0), (2, CHUNK), (3, 2 * CHUNK)]);
    assert_eq!(set.pieces("note").len(), 1);

    let fault = gathered(&[one, three]).unwrap_err();
    assert_eq!(
        (fault.code(), fault.to_string().as_str()),
        ("container.part_missing", "part 2 of 3 is not here")
    );
    let other = &three_parts(b"other", &file)[1];
    assert_eq!(
        gathered(&[one, other, three]).unwrap_err().code(),
        "container.part_other"
    );
    let twice = &three_parts(b"set", &vec![2; file.len()])[1];
    assert_eq!(
        gathered(&[one, two, twice, three]).unwrap_err().code(),
        "container.part_twice"
    );
    let report = Container::parse(&small(), Kind::Report).unwrap().index().clone();
    assert_eq!(
        PartSet::begin(Kind::Bundle, report.clone()).unwrap_err().code(),
        "container.kind"
    );
    let mut set = PartSet::begin(Kind::Bundle, one.clone()).unwrap();
    assert_eq!(set.add(report).unwrap_err().code(), "container.kind");
}

// promise S-222
#[test]
fn pieces_that_do_not_make_the_file_are_refused() {
    let part = |part: u32, whole: u64, start: u64, length: u64, note: &[u8]| {
        let bytes = vec![0; usize::try_from(length).unwrap()];
        let mut draft = Draft::new(Kind::Bundle, sha256(b"set"), part, 2);
        draft.piece("big", whole, start, length);
        draft.digests("big", Digests::of(&bytes)).unwrap();
        draft.file("note", note.len() as u64);
        draft.digests("note", Digests::of(note)).unwrap();
        draft.index().unwrap()
    };
    let first = part(1, 2 * CHUNK, 0, CHUNK, b"n");
    gathered(&[&first, &part(2, 2 * CHUNK, CHUNK, CHUNK, b"n")]).unwrap();
    for (why, second) in [
        ("overlap", part(2, 2 * CHUNK, 0, CHUNK, b"n")),
        ("another length", part(2, 2 * CHUNK + 1, CHUNK, CHUNK + 1, b"n")),
        ("the end is missing", part(2, 2 * CHUNK, CHUNK, 5, b"n")),
        ("two notes", part(2, 2 * CHUNK, CHUNK, CHUNK, b"m")),
    ] {
        assert_eq!(
            gathered(&[&first, &second]).unwrap_err().code(),
            "container.pieces",
            "{why}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_are_answered_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Container::parse(&bytes, Kind::Bundle);
        let _ = Container::parse(&forged(&bytes, b"contents"), Kind::Bundle);
    }

    #[test]
    fn any_changed_byte_of_an_index_with_a_head_that_fits_is_answered_without_panic(
        at in any::<prop::sample::Index>(), value in any::<u8>(),
    ) {
        let bytes = small();
        let head = Head::parse(&bytes).unwrap();
        let (index, rest) = bytes[HEAD..].split_at(head.index_length());
        let mut index = index.to_vec();
        let at = at.index(index.len());
        index[at] = value;
        let _ = Container::parse(&forged(&index, rest), Kind::Report);
    }

    #[test]
    fn pieces_of_any_size_give_the_same_answer(
        files in prop::collection::btree_map("[a-z]{1,3}", prop::collection::vec(any::<u8>(), 0..40), 0..6),
        sizes in prop::collection::vec(1_usize..50, 1..40),
    ) {
        let bytes = write(Kind::Return, sha256(b"set"), &files).unwrap();
        let mut check = ContainerCheck::new();
        let (mut rest, mut sizes) = (&bytes[..], sizes.into_iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(sizes.next().unwrap().min(rest.len()));
            check.update(now).unwrap();
            rest = later;
        }
        let index = check.finish().unwrap();
        prop_assert_eq!(index.entries().len(), files.len());
        for (name, content) in &files {
            prop_assert_eq!(Container::parse(&bytes, Kind::Return).unwrap().get(name).unwrap(), &content[..]);
        }
    }

    #[test]
    fn digests_do_not_depend_on_how_bytes_arrive(length in 0_usize..200, cut in 0_usize..200) {
        let bytes: Vec<u8> = (0..length).map(|at| (at % 256) as u8).collect();
        let mut hasher = ContentHasher::default();
        let (first, second) = bytes.split_at(cut.min(length));
        hasher.update(first);
        hasher.update(second);
        prop_assert_eq!(hasher.finish(), Digests::of(&bytes));
    }
}
