//! The order of semantic versions 2.0 (section 11), as crates have them.
//!
//! Refuses what is no semantic version; a missing minor or patch number is taken as zero, as advisories write `0`. Invariant: a
//! pre-release orders before its release, and what follows a plus never counts.

use std::cmp::Ordering;

const MAX_VERSION: usize = 256;

/// Compares two versions; `None` when one of them is none.
#[must_use]
pub fn compare(left: &str, right: &str) -> Option<Ordering> {
    let (left, right) = (Parts::of(left)?, Parts::of(right)?);
    Some(
        left.numbers
            .cmp(&right.numbers)
            .then_with(|| match (left.before, right.before) {
                ("", "") => Ordering::Equal,
                ("", _) => Ordering::Greater,
                (_, "") => Ordering::Less,
                (left, right) => identifiers(left, right),
            }),
    )
}

struct Parts<'a> {
    numbers: [u64; 3],
    before: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        if text.len() > MAX_VERSION {
            return None;
        }
        let text = text.split_once('+').map_or(text, |(text, _)| text);
        let (numbers, before) = match text.split_once('-') {
            Some((numbers, before)) => (numbers, before),
            None => (text, ""),
        };
        let mut parsed = [0; 3];
        let mut parts = numbers.split('.');
        let first = parts.next()?;
        for (slot, part) in parsed.iter_mut().zip(std::iter::once(first).chain(parts.by_ref())) {
            *slot = number(part)?;
        }
        let plain =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let fits = before.is_empty() && !text.ends_with('-') || before.split('.').all(plain);
        (fits && parts.next().is_none()).then_some(Self {
            numbers: parsed,
            before,
        })
    }
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn identifiers(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, _) => return Ordering::Less,
            (_, None) => return Ordering::Greater,
            (Some(a), Some(b)) => match (number(a), number(b)) {
                (Some(a), Some(b)) => a.cmp(&b),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}
