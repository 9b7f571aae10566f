//! Orders of versions against their judges: `dpkg --compare-versions`, and the list in the semantic versions' own specification.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::cmp::Ordering::{self, Equal, Greater, Less};
use std::process::Command;

use freehold_supply::version::{debian, semantic};
use proptest::prelude::*;

/// What dpkg says; `None` where there is no dpkg.
fn dpkg(left: &str, right: &str) -> Option<Ordering> {
    for (word, order) in [("lt", Less), ("eq", Equal)] {
        let status = Command::new("dpkg")
            .args(["--compare-versions", left, word, right])
            .stderr(std::process::Stdio::null())
            .status()
            .ok()?;
        if status.success() {
            return Some(order);
        }
    }
    Some(Greater)
}

fn version() -> impl Strategy<Value = String> {
    let upstream = "[0-9][0-9a-zA-Z.+~]{0,8}(-[0-9a-z.+~]{1,4})?";
    ("([0-9]:)?", upstream, "(-[0-9a-zA-Z.+~]{1,6})?")
        .prop_map(|(epoch, upstream, revision)| epoch + &upstream + &revision)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    // promise S-261
    #[test]
    fn debians_order_is_dpkgs(left in version(), right in version()) {
        let Some(judged) = dpkg(&left, &right) else {
            println!("skipped: there is no dpkg here");
            return Ok(());
        };
        prop_assert_eq!(debian::compare(&left, &right), Some(judged), "{} {}", left, right);
    }

    #[test]
    fn orders_are_orders(a in version(), b in version(), c in version()) {
        let order = |x: &str, y: &str| debian::compare(x, y).unwrap();
        prop_assert_eq!(order(&a, &b), order(&b, &a).reverse());
        prop_assert_eq!(order(&a, &a), Equal);
        if order(&a, &b) != Greater && order(&b, &c) != Greater {
            prop_assert_ne!(order(&a, &c), Greater, "{} {} {}", a, b, c);
        }
    }

    #[test]
    fn no_text_is_a_panic(left in ".{0,40}", right in ".{0,40}") {
        let _ = debian::compare(&left, &right);
        let _ = semantic::compare(&left, &right);
    }
}

#[test]
fn debians_edges() {
    for (left, right, order) in [
        ("1.0~rc1-1", "1.0-1", Less),
        ("1.0~~", "1.0~", Less),
        ("1.0-1", "1.0-1+b1", Less),
        ("1.0-1~deb13u1", "1.0-1", Less),
        ("2:0", "1:9", Greater),
        ("1.9", "1.10", Less),
        ("1.0", "1.0-0", Equal),
        ("0:1.0", "1.0", Equal),
        ("1.0a", "1.0+", Less),
        ("1.002", "1.2", Equal),
        ("3.5.4-1~deb13u1", "3.5.4-1~deb13u2", Less),
        ("99999999999999999999999999", "99999999999999999999999998", Greater),
    ] {
        assert_eq!(debian::compare(left, right), Some(order), "{left} {right}");
        if let Some(judged) = dpkg(left, right) {
            assert_eq!(judged, order, "dpkg: {left} {right}");
        }
    }
    for none in ["", "a1", "1:", ":1", "-1:1", "1-", "1 2", "1_2", "x:1"] {
        assert_eq!(debian::compare(none, "1"), None, "{none}");
    }
}

#[test]
fn semantic_versions_have_the_order_of_their_specification() {
    let ascending = [
        "0.9.9",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.1",
        "1.10.0",
        "2.0.0",
    ];
    for (a, left) in ascending.iter().enumerate() {
        for (b, right) in ascending.iter().enumerate() {
            assert_eq!(semantic::compare(left, right), Some(a.cmp(&b)), "{left} {right}");
        }
    }
    assert_eq!(semantic::compare("1.0.0+build.5", "1.0.0"), Some(Equal));
    assert_eq!(semantic::compare("1", "1.0.0"), Some(Equal));
    for none in ["", "1.0.0.0", "v1", "1.0.0-", "1.0.0-a..b", "1.x", "-1"] {
        assert_eq!(semantic::compare(none, "1.0.0"), None, "{none}");
    }
}
