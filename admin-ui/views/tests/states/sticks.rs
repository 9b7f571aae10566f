//! The page of sticks: bundles with some boxes back, and none yet.
//!
//! Refuses to show only good days: one return was refused in part, one box is not back.

use freehold_views::SticksPage;
use freehold_views::sticks::{Back, Bundle, Candidate};

use super::{NOW, shell};

pub fn sticks() -> SticksPage {
    let back = |id: &str, at: Option<i64>, verdict: &str, achieved: bool| Back {
        id: id.into(),
        at,
        verdict: verdict.into(),
        achieved,
        refused: Vec::new(),
    };
    SticksPage {
        shell: shell("/sticks"),
        bundles: vec![
            Bundle {
                number: 1_795_200_000,
                at: NOW - 52_620,
                until: NOW + 2_600_000,
                by: "mira.okafor".into(),
                set: "9f".repeat(32),
                parts: vec![25_000_000_000, 7_412_000_000],
                says: "2 of 3 back, 1 not yet".into(),
                boxes: vec![
                    back("amber-fox-9d1e", Some(NOW - 4_000), "trusted", true),
                    Back {
                        refused: vec!["quote.nonce_used".into()],
                        ..back("acorn-apple-da17", Some(NOW - 3_900), "", false)
                    },
                    back("bishop-raven-3a42", None, "", false),
                ],
            },
            Bundle {
                number: 1_795_100_000,
                at: NOW - 152_620,
                until: NOW + 2_500_000,
                by: "mira.okafor".into(),
                set: "5c".repeat(32),
                parts: vec![412_000],
                says: "an invitation".into(),
                boxes: Vec::new(),
            },
        ],
        boxes: vec![
            Candidate {
                id: "amber-fox-9d1e".into(),
                label: "Radiology B".into(),
            },
            Candidate {
                id: "bishop-raven-3a42".into(),
                label: "Pharmacy".into(),
            },
        ],
        may_change: true,
    }
}

pub fn sticks_empty() -> SticksPage {
    SticksPage {
        shell: shell("/sticks"),
        ..SticksPage::default()
    }
}
