//! Entries: canonical, bounded, without control characters, without secrets. Case B09.

use freehold_record::{Entry, EntryView, RefusalNote, Value, commitment};
use freehold_trust::sha256;

const AT: i64 = 1_795_000_000_123;

#[test]
fn entry_is_one_line_with_sorted_names() {
    let entry = Entry::new(AT, "operator:anna", "model.admitted")
        .with("tokens", 12u64)
        .with("model", sha256(b"m"))
        .with("hardware", vec!["cpu", "vulkan"])
        .with("lease", None::<u64>);
    let line = String::from_utf8(entry.encode().unwrap()).unwrap();
    assert_eq!(
        line,
        "{\"at\":\"2026-11-18T11:06:40.123Z\",\"hardware\":[\"cpu\",\"vulkan\"],\"lease\":null,\"model\":\
         \"62c66a7a5dd70c3146618063c344e531e6d4b59e379808443ce962b3abd63c5a\",\"tokens\":12,\"v\":1,\
         \"what\":\"model.admitted\",\"who\":\"operator:anna\"}"
    );
    let view = EntryView::parse(line.as_bytes()).unwrap();
    assert_eq!(
        (view.who.as_str(), view.what.as_str()),
        ("operator:anna", "model.admitted")
    );
    assert_eq!(view.fields.get("tokens"), Some(&Value::from(12u64)));
}

#[test]
fn refusal_is_part_of_the_entry() {
    let refusal = RefusalNote {
        code: "release.rollback".into(),
        message: "version 3 is older than 4".into(),
        expected: Some("4".into()),
        found: None,
    };
    let bytes = Entry::new(AT, "box:amber-fox", "model.refused")
        .refused(refusal.clone())
        .encode()
        .unwrap();
    assert_eq!(EntryView::parse(&bytes).unwrap().refusal, Some(refusal));
}

#[test]
fn b09_newline_ansi_and_direction_marks_are_escaped() {
    let hostile = "box\n{\"who\":\"root\"}\r\u{1b}[2J\u{7f}\u{9b}31m\u{202e}\u{2028}\u{200b}\u{e0041}\t\0";
    let bytes = Entry::new(AT, hostile, "enrol.begun")
        .with("host", hostile)
        .encode()
        .unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(
        text.chars()
            .all(|c| !c.is_control() && c != '\u{202e}' && c != '\u{2028}' && c != '\u{200b}'),
        "{text}"
    );
    assert!(text.contains("\\u001b[2J") && text.contains("\\u202e") && text.contains("\\udb40\\udc41"));
    let view = EntryView::parse(&bytes).unwrap();
    assert_eq!(view.who, hostile, "nothing is lost");
}

#[test]
fn b09_a_megabyte_of_host_name_is_cut_and_says_so() {
    let long = "ä".repeat(500_000);
    let bytes = Entry::new(AT, long.as_str(), "enrol.begun").encode().unwrap();
    assert!(bytes.len() < 4096);
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(text.contains("… [1000000 bytes, sha-256 "), "{text}");
    assert!(EntryView::parse(&bytes).is_ok());
}

#[test]
fn b09_an_entry_that_does_not_fit_is_refused() {
    let list: Vec<String> = (0..100).map(|_| "x".repeat(2000)).collect();
    let refused = Entry::new(AT, "a", "b").with("list", list).encode().unwrap_err();
    assert_eq!(refused.code(), "record.entry_too_large");
}

#[test]
fn secrets_and_foreign_names_are_refused() {
    for name in [
        "password",
        "token",
        "prompt",
        "reply",
        "private_key",
        "recovery_key",
        "authorization",
    ] {
        assert_eq!(
            Entry::new(AT, "a", "b").with(name, "x").encode().unwrap_err().code(),
            "record.secret_field"
        );
    }
    for name in ["who", "v", "Upper", "with space", "", "a\nb"] {
        assert_eq!(
            Entry::new(AT, "a", "b").with(name, "x").encode().unwrap_err().code(),
            "record.entry_malformed"
        );
    }
    for what in ["", "Upper.case", "a..b", "a b", ".a"] {
        assert_eq!(
            Entry::new(AT, "a", what).encode().unwrap_err().code(),
            "record.entry_malformed"
        );
    }
    assert!(Entry::new(i64::MAX, "a", "b").encode().is_err());
}

#[test]
fn entries_that_are_not_canonical_are_refused() {
    let good = "{\"at\":\"t\",\"v\":1,\"what\":\"b\",\"who\":\"a\"}";
    assert!(EntryView::parse(good.as_bytes()).is_ok());
    for (what, text) in [
        ("space", good.replace(",\"v\"", ", \"v\"")),
        ("newline", format!("{good}\n")),
        (
            "order",
            "{\"v\":1,\"at\":\"t\",\"what\":\"b\",\"who\":\"a\"}".to_owned(),
        ),
        ("twice", good.replace("\"v\":1", "\"v\":1,\"v\":1")),
        (
            "escape that is not needed",
            good.replace("\"who\":\"a\"", "\"who\":\"\\u0061\""),
        ),
        (
            "raw direction mark",
            good.replace("\"who\":\"a\"", "\"who\":\"\u{202e}\""),
        ),
        ("version", good.replace("\"v\":1", "\"v\":2")),
        ("fraction", good.replace("\"v\":1", "\"v\":1.0")),
        ("no who", good.replace(",\"who\":\"a\"", "")),
        ("list", "[]".to_owned()),
    ] {
        assert_eq!(
            EntryView::parse(text.as_bytes()).unwrap_err().code(),
            "record.entry_malformed",
            "{what}"
        );
    }
}

#[test]
fn i09_commitment_is_hmac_sha256() {
    // RFC 4231, test case 1 has a key of 20 bytes; HMAC pads keys with zeros, so 32 bytes with 12 zeros are the same key.
    let mut salt = [0u8; 32];
    salt[..20].fill(0x0b);
    assert_eq!(
        commitment(&salt, b"Hi There").to_string(),
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    );
}

proptest::proptest! {
    #[test]
    fn whatever_is_encoded_parses_to_itself(who in ".{0,40}", text in ".{0,3000}", number in proptest::num::i64::ANY, flag in proptest::bool::ANY) {
        let bytes = Entry::new(AT, who, "a.b").with("text", text).with("number", number).with("flag", flag).encode().unwrap();
        proptest::prop_assert!(bytes.iter().all(|b| *b >= 0x20));
        EntryView::parse(&bytes).unwrap();
    }
}
