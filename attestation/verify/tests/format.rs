//! D18: the format gate.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use freehold_verify::Refusal;
use freehold_verify::format::{Gate, MAX_HEADER, ModelHeader, WeightsFormat, gate};
use proptest::prelude::*;

/// Writes GGUF.
#[derive(Clone, Default)]
struct Gguf {
    entries: Vec<(String, u32, Vec<u8>)>,
    tensors: Vec<(String, Vec<u64>, u32, u64)>,
    data: usize,
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

impl Gguf {
    fn small() -> Self {
        let mut gguf = Self::default();
        gguf.entries.push(("general.architecture".to_owned(), 8, text("llama")));
        gguf.entries.push(("general.name".to_owned(), 8, text("guide")));
        gguf.entries
            .push(("llama.context_length".to_owned(), 4, 512_u32.to_le_bytes().to_vec()));
        gguf.entries
            .push(("tokenizer.chat_template".to_owned(), 8, text("{{ messages }}")));
        let tokens = [&8_u32.to_le_bytes()[..], &2_u64.to_le_bytes(), &text("a"), &text("b")].concat();
        gguf.entries.push(("tokenizer.ggml.tokens".to_owned(), 9, tokens));
        gguf.tensors.push(("output".to_owned(), vec![32, 2], 8, 0));
        gguf.tensors.push(("norm".to_owned(), vec![8], 0, 96));
        gguf.data = 128;
        gguf
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF\x03\0\0\0".to_vec();
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.entries.len() as u64).to_le_bytes());
        for (key, kind, value) in &self.entries {
            out.extend(text(key));
            out.extend(kind.to_le_bytes());
            out.extend(value);
        }
        for (name, dimensions, kind, offset) in &self.tensors {
            out.extend(text(name));
            out.extend((dimensions.len() as u32).to_le_bytes());
            for size in dimensions {
                out.extend(size.to_le_bytes());
            }
            out.extend(kind.to_le_bytes());
            out.extend(offset.to_le_bytes());
        }
        out.resize(out.len().next_multiple_of(32) + self.data, 0);
        out
    }
}

fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend(header.as_bytes());
    out.resize(out.len() + data, 0);
    out
}

fn whole(path: &str, bytes: &[u8]) -> Result<Option<ModelHeader>, &'static str> {
    match gate(path, bytes, bytes.len() as u64) {
        Ok(Gate::Passed(header)) => Ok(header),
        Ok(Gate::NeedMore) => Err("more"),
        Err(rejection) => Err(rejection.code()),
    }
}

#[test]
fn a_good_gguf_passes_and_says_what_it_is() {
    let header = whole("model.gguf", &Gguf::small().bytes()).unwrap().unwrap();
    assert_eq!(header.format, WeightsFormat::Gguf);
    assert_eq!(header.architecture.as_deref(), Some("llama"));
    assert_eq!(
        (header.parameters, header.tensors, header.context_length),
        (72, 2, Some(512))
    );
    assert_eq!(header.quantisation.as_deref(), Some("Q8_0"));
    assert!(header.chat_template);
}

#[test]
fn a_good_safetensors_passes_and_says_what_it_is() {
    let header = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"F16","shape":[1],"data_offsets":[24,26]}}   "#;
    let header = whole("sub/model.safetensors", &safetensors(header, 26))
        .unwrap()
        .unwrap();
    assert_eq!(
        (header.format, header.parameters, header.tensors),
        (WeightsFormat::Safetensors, 7, 2)
    );
    assert_eq!(header.quantisation.as_deref(), Some("F32"));
}

#[test]
fn text_beside_the_weights_passes() {
    for (path, bytes) in [
        ("config.json", &b"{}"[..]),
        ("README.md", b"# x"),
        ("LICENSE", b"x"),
        ("tokenizer.model", b"\x0a\x0e"),
        ("empty", b""),
    ] {
        assert_eq!(whole(path, bytes), Ok(None), "{path}");
    }
}

#[test]
fn d18_renamed_and_oversized_headers_are_refused() {
    let kinds: [&[u8]; 7] = [
        b"PK\x03\x04rest",
        b"\x80\x02}q",
        b"\x80\x04\x95",
        b"\x80\x05",
        b"\x7fELF\x02",
        b"\x1f\x8b\x08",
        b"#!/bin/sh",
    ];
    for bytes in kinds {
        for path in [
            "m.gguf",
            "m.safetensors",
            "config.json",
            "weights",
            "m.GGUF",
            "tokenizer.model",
        ] {
            let padded = [bytes, &[0; 64]].concat();
            assert_eq!(whole(path, &padded), Err("model.format"), "{path} {bytes:?}");
        }
    }
    for path in [
        "model.bin",
        "model.pt",
        "a/model.PTH",
        "x.pkl",
        "modeling_x.py",
        "lib.so",
        "x.ckpt",
        "x.h5",
        "x.npz",
    ] {
        assert_eq!(whole(path, b"harmless"), Err("model.format"), "{path}");
    }
}

#[test]
fn d18_gguf_lengths_and_counts_that_cannot_be_are_refused() {
    let huge = 1_u64 << 63;
    let at = |offset: usize, value: u64| {
        let mut bytes = Gguf::small().bytes();
        bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        whole("m.gguf", &bytes)
    };
    // Tensors, metadata entries, the first key's length, the first value's length.
    for offset in [8, 16, 24, 24 + 8 + 20 + 4] {
        for value in [huge, u64::MAX, 1 << 40] {
            assert_eq!(at(offset, value), Err("model.format"), "{offset} {value}");
        }
    }
    let with = |change: &dyn Fn(&mut Gguf)| {
        let mut gguf = Gguf::small();
        change(&mut gguf);
        whole("m.gguf", &gguf.bytes())
    };
    let list = |kind: u32, count: u64| [&kind.to_le_bytes()[..], &count.to_le_bytes()].concat();
    for (kind, count) in [
        (8, huge),
        (0, huge),
        (10, u64::MAX / 8 + 1),
        (9, 1 << 32),
        (12, 1 << 40),
    ] {
        assert_eq!(
            with(&|gguf| gguf.entries.push(("x".to_owned(), 9, list(kind, count)))),
            Err("model.format"),
            "{kind} {count}"
        );
    }
    let nested = [list(9, 1), list(9, 1), list(9, 1), list(0, 0)].concat();
    assert_eq!(
        with(&|gguf| gguf.entries.push(("x".to_owned(), 9, nested.clone()))),
        Err("model.format")
    );
    assert_eq!(
        with(&|gguf| gguf.entries.push(("x".to_owned(), 99, vec![]))),
        Err("model.format")
    );
    assert_eq!(
        with(&|gguf| gguf.entries.push(("x".to_owned(), 7, vec![2]))),
        Err("model.format")
    );
    assert_eq!(
        with(&|gguf| gguf.entries.push(gguf.entries[0].clone())),
        Err("model.format")
    );
}

#[test]
fn d18_gguf_tensors_that_do_not_fit_are_refused() {
    let with = |change: &dyn Fn(&mut Gguf)| {
        let mut gguf = Gguf::small();
        change(&mut gguf);
        whole("m.gguf", &gguf.bytes())
    };
    assert_eq!(
        with(&|gguf| gguf.tensors[0].1 = vec![1 << 32, 1 << 32]),
        Err("model.format")
    );
    assert_eq!(with(&|gguf| gguf.tensors[0].1 = vec![u64::MAX]), Err("model.format"));
    assert_eq!(with(&|gguf| gguf.tensors[0].1 = vec![]), Err("model.format"));
    assert_eq!(
        with(&|gguf| gguf.tensors[0].1 = vec![32, 1, 1, 1, 1]),
        Err("model.format")
    );
    assert_eq!(
        with(&|gguf| gguf.tensors[0].1 = vec![31, 2]),
        Err("model.format"),
        "rows fill their blocks"
    );
    assert_eq!(
        with(&|gguf| gguf.tensors[0].2 = 4),
        Err("model.format"),
        "a retired type"
    );
    assert_eq!(with(&|gguf| gguf.tensors[1].3 = 0), Err("model.format"), "an overlap");
    assert_eq!(with(&|gguf| gguf.tensors[1].3 = 97), Err("model.format"), "alignment");
    assert_eq!(with(&|gguf| gguf.tensors[1].3 = u64::MAX - 31), Err("model.format"));
    assert_eq!(
        with(&|gguf| gguf.tensors[1].0 = "output".to_owned()),
        Err("model.format")
    );
    assert_eq!(with(&|gguf| gguf.data = 96), Err("model.format"), "cut off");
}

#[test]
fn d18_other_gguf_versions_are_refused() {
    for version in [0_u32, 1, 4, 0x0300_0000] {
        let mut bytes = Gguf::small().bytes();
        bytes[4..8].copy_from_slice(&version.to_le_bytes());
        assert_eq!(whole("m.gguf", &bytes), Err("model.format"), "{version}");
    }
}

#[test]
fn d18_safetensors_headers_that_lie_are_refused() {
    for length in [1_u64 << 63, u64::MAX, 1 << 40, 3] {
        let mut bytes = safetensors("{}", 0);
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        assert_eq!(whole("m.safetensors", &bytes), Err("model.format"), "{length}");
    }
    for (header, data) in [
        (r#"[]"#, 0),
        (r#" {}"#, 0),
        (r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4),
        (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8),
        (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 5),
        (
            r#"{"a":{"dtype":"F32","shape":[9223372036854775808,2],"data_offsets":[0,4]}}"#,
            4,
        ),
        (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}}"#, 4),
        (r#"{"a":{"dtype":"OBJECT","shape":[1],"data_offsets":[0,4]}}"#, 4),
        (
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            8,
        ),
        (r#"{"__metadata__":{"x":1}}"#, 0),
        (
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"code":"x"}}"#,
            4,
        ),
    ] {
        assert_eq!(
            whole("m.safetensors", &safetensors(header, data)),
            Err("model.format"),
            "{header}"
        );
    }
}

#[test]
fn a_short_prefix_asks_for_more_until_the_bound() {
    let bytes = Gguf::small().bytes();
    for cut in 0..bytes.len() - 160 {
        let answer = gate("m.gguf", &bytes[..cut], bytes.len() as u64);
        assert_eq!(answer.unwrap(), Gate::NeedMore, "{cut}");
        assert_eq!(whole("m.gguf", &bytes[..cut]), Err("model.format"), "{cut}");
    }
    let mut endless = Gguf::small();
    endless.entries.push((
        "x".to_owned(),
        9,
        [&0_u32.to_le_bytes()[..], &(MAX_HEADER as u64).to_le_bytes()].concat(),
    ));
    let mut prefix = endless.bytes();
    prefix.resize(MAX_HEADER, 0);
    assert_eq!(gate("m.gguf", &prefix, 1 << 40).unwrap_err().code(), "model.format");
}

proptest! {
    #[test]
    fn any_bytes_are_answered_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), length in any::<u64>()) {
        let _ = gate("m.gguf", &bytes, length);
        let _ = gate("m.safetensors", &bytes, length);
        let gguf = [b"GGUF\x03\0\0\0".as_slice(), &bytes].concat();
        let _ = gate("m.gguf", &gguf, length);
    }

    #[test]
    fn any_changed_byte_of_a_header_is_answered_without_panic(at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut bytes = Gguf::small().bytes();
        let at = at.index(bytes.len());
        bytes[at] = value;
        let _ = whole("m.gguf", &bytes);
    }
}
