//! Hashes, roots and proofs against the vectors of RFC 6962's reference and against a second, plain implementation. Case I01.

use freehold_record::tile::{bundle_path, decode_bundle, decode_tile, push_entry, tile_path, width_at};
use freehold_record::{
    Frontier, HashSource, RecordRejected, consistency, empty_root, inclusion, leaf_hash, node_hash, verify_consistency,
    verify_inclusion,
};
use freehold_trust::Sha256Digest;

/// The eight leaves that the reference implementations of RFC 6962 test with.
const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];

/// The roots over the first 1..=8 of them.
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/// All leaves in memory; subtree hashes by the definition of the RFC.
struct Leaves(Vec<Sha256Digest>);

impl HashSource for Leaves {
    type Error = std::convert::Infallible;
    fn subtree(&self, level: u8, index: u64) -> Result<Sha256Digest, Self::Error> {
        let start = usize::try_from(index << level).unwrap();
        Ok(plain_root(&self.0[start..start + (1usize << level)]))
    }
}

/// MTH of RFC 6962, 2.1, word for word.
fn plain_root(leaves: &[Sha256Digest]) -> Sha256Digest {
    match leaves {
        [] => empty_root(),
        [one] => *one,
        many => {
            let mut k = 1;
            while k * 2 < many.len() {
                k *= 2;
            }
            node_hash(&plain_root(&many[..k]), &plain_root(&many[k..]))
        }
    }
}

fn leaves(count: u64) -> Leaves {
    Leaves((0..count).map(|i| leaf_hash(format!("entry {i}").as_bytes())).collect())
}

#[test]
fn i01_roots_of_the_reference_leaves() {
    assert_eq!(
        empty_root().to_string(),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    let mut frontier = Frontier::new();
    assert_eq!(frontier.root(), empty_root());
    for (leaf, root) in LEAVES.iter().zip(ROOTS) {
        frontier.push(leaf_hash(&hex::decode(leaf).unwrap()));
        assert_eq!(frontier.root().to_string(), root);
    }
}

#[test]
fn i01_proofs_of_the_reference_leaves() {
    let source = Leaves(
        LEAVES
            .iter()
            .map(|leaf| leaf_hash(&hex::decode(leaf).unwrap()))
            .collect(),
    );
    let path: Vec<String> = inclusion(5, 8, &source)
        .unwrap()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        path,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
    let path: Vec<String> = consistency(6, 8, &source)
        .unwrap()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        path,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
}

#[test]
fn i01_every_proof_of_small_trees_verifies_and_no_broken_one_does() {
    let source = leaves(40);
    let roots: Vec<Sha256Digest> = (0..=40).map(|n| plain_root(&source.0[..n])).collect();
    let mut broken = 0;
    for size in 1..=40u64 {
        let root = roots[usize::try_from(size).unwrap()];
        for index in 0..size {
            let leaf = source.0[usize::try_from(index).unwrap()];
            let path = inclusion(index, size, &source).unwrap().unwrap();
            verify_inclusion(&leaf, index, size, &path, &root).unwrap();
            for (what, leaf, index, size, path, root) in [
                ("other leaf", empty_root(), index, size, path.clone(), root),
                ("other root", leaf, index, size, path.clone(), empty_root()),
                ("outside", leaf, size, size, path.clone(), root),
                ("longer", leaf, index, size, [path.clone(), vec![root]].concat(), root),
                (
                    "longer in front",
                    leaf,
                    index,
                    size,
                    [vec![root], path.clone()].concat(),
                    root,
                ),
                (
                    "shorter",
                    leaf,
                    index,
                    size,
                    path.get(1..).unwrap_or(&[root]).to_vec(),
                    root,
                ),
            ] {
                let refused = verify_inclusion(&leaf, index, size, &path, &root);
                assert_eq!(
                    refused,
                    Err(RecordRejected::Proof { kind: "inclusion" }),
                    "{what} at {index} of {size}"
                );
                broken += 1;
            }
            for flipped in 0..path.len() {
                let mut path = path.clone();
                path[flipped] = empty_root();
                assert!(verify_inclusion(&leaf, index, size, &path, &root).is_err());
                broken += 1;
            }
        }
        assert_eq!(inclusion(size, size, &source).unwrap(), None);
        for old in 0..=size {
            let old_root = roots[usize::try_from(old).unwrap()];
            let path = consistency(old, size, &source).unwrap().unwrap();
            verify_consistency(old, &old_root, size, &root, &path).unwrap();
            if old > 0 && old < size {
                assert!(verify_consistency(old, &empty_root(), size, &root, &path).is_err());
                assert!(verify_consistency(old, &old_root, size, &empty_root(), &path).is_err());
                assert!(verify_consistency(old, &old_root, size, &root, &path[1..]).is_err());
                assert!(verify_consistency(old, &old_root, size, &root, &[path.clone(), vec![root]].concat()).is_err());
                for flipped in 0..path.len() {
                    let mut path = path.clone();
                    path[flipped] = empty_root();
                    assert!(
                        verify_consistency(old, &old_root, size, &root, &path).is_err(),
                        "{old} of {size}"
                    );
                    broken += 1;
                }
            }
        }
        assert_eq!(consistency(size + 1, size, &source).unwrap(), None);
    }
    assert!(broken > 5000, "{broken}");
}

#[test]
fn i04_same_size_with_another_root_is_a_fork_and_a_smaller_size_is_a_truncation() {
    let (one, two) = (leaf_hash(b"a"), leaf_hash(b"b"));
    assert_eq!(
        verify_consistency(1, &one, 1, &two, &[]).unwrap_err().code(),
        "record.forked"
    );
    assert_eq!(
        verify_consistency(2, &one, 1, &two, &[]).unwrap_err().code(),
        "record.truncated"
    );
}

#[test]
fn places_and_widths_are_those_of_the_specification() {
    assert_eq!(tile_path(0, 0, 256), "tile/0/000");
    assert_eq!(tile_path(1, 1_234_067, 256), "tile/1/x001/x234/067");
    assert_eq!(tile_path(0, 273, 112), "tile/0/273.p/112");
    assert_eq!(bundle_path(1000, 1), "tile/entries/x001/000.p/1");
    // The example of the specification: 70,000 leaves.
    assert_eq!(
        (
            width_at(0, 272, 70_000),
            width_at(0, 273, 70_000),
            width_at(0, 274, 70_000)
        ),
        (256, 112, 0)
    );
    assert_eq!((width_at(1, 0, 70_000), width_at(1, 1, 70_000)), (256, 17));
    assert_eq!((width_at(2, 0, 70_000), width_at(3, 0, 70_000)), (1, 0));
    assert_eq!(width_at(255, u64::MAX, u64::MAX), 0);
}

proptest::proptest! {
    #[test]
    fn frontier_agrees_with_the_definition_and_survives_reading(count in 0u64..700) {
        let source = leaves(count);
        let mut frontier = Frontier::new();
        source.0.iter().for_each(|leaf| frontier.push(*leaf));
        proptest::prop_assert_eq!(frontier.root(), plain_root(&source.0));
        proptest::prop_assert_eq!(Frontier::read(count, &source).unwrap(), frontier);
    }

    #[test]
    fn bundles_give_back_what_was_put_in(entries in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..300), 0..40)) {
        let mut bundle = Vec::new();
        for entry in &entries {
            push_entry(&mut bundle, entry).unwrap();
        }
        let width = u64::try_from(entries.len()).unwrap();
        let back: Vec<Vec<u8>> = decode_bundle(&bundle, width, "b").unwrap().into_iter().map(<[u8]>::to_vec).collect();
        proptest::prop_assert_eq!(&back, &entries);
        proptest::prop_assert!(decode_bundle(&bundle, width + 1, "b").is_err());
        bundle.push(0);
        proptest::prop_assert!(decode_bundle(&bundle, width, "b").is_err());
    }

    #[test]
    fn any_bytes_are_no_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000)) {
        let _ = decode_bundle(&bytes, 3, "b");
        let _ = decode_tile(&bytes, 3, "t");
        let _ = freehold_record::SignedNote::parse(&bytes);
        let _ = freehold_record::EntryView::parse(&bytes);
        let _ = freehold_record::Checkpoint::parse(&String::from_utf8_lossy(&bytes));
        let _ = freehold_record::VerifierKey::parse(&String::from_utf8_lossy(&bytes));
    }
}
