//! Debian's order of versions (policy manual, 5.6.12): epoch, upstream version, revision.
//!
//! Refuses characters that no version has. Invariant: agrees with `dpkg --compare-versions` on every pair that it accepts.

use std::cmp::Ordering;

/// Longest version: bounds a comparison.
const MAX_VERSION: usize = 256;

/// Compares two versions; `None` when one of them is none.
#[must_use]
pub fn compare(left: &str, right: &str) -> Option<Ordering> {
    let (left, right) = (Parts::of(left)?, Parts::of(right)?);
    Some(
        left.epoch
            .cmp(&right.epoch)
            .then_with(|| parts(left.upstream.as_bytes(), right.upstream.as_bytes()))
            .then_with(|| parts(left.revision.as_bytes(), right.revision.as_bytes())),
    )
}

struct Parts<'a> {
    epoch: u32,
    upstream: &'a str,
    revision: &'a str,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        if text.is_empty() || text.len() > MAX_VERSION {
            return None;
        }
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => {
                // dpkg reads the epoch as a number that fits an int; a sign is no digit.
                if epoch.is_empty() || !epoch.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                (
                    epoch.parse::<u32>().ok().filter(|epoch| *epoch <= i32::MAX as u32)?,
                    rest,
                )
            }
            None => (0, text),
        };
        // The revision stands behind the last hyphen; without one it is as if it were "0", which orders like nothing.
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        let fits = |text: &str, also: &[u8]| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte))
        };
        let whole = !upstream.is_empty() && fits(upstream, b".+-~:") && fits(revision, b".+~");
        let revised = rest.contains('-');
        (whole && (!revised || !revision.is_empty()) && upstream.starts_with(|c: char| c.is_ascii_digit())).then_some(
            Self {
                epoch,
                upstream,
                revision,
            },
        )
    }
}

/// How a character orders inside a run of non-digits: tilde before the end, the end before letters, letters before the rest.
fn weight(byte: Option<u8>) -> i32 {
    match byte {
        None => 0,
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(byte),
        Some(byte) => i32::from(byte) + 256,
    }
}

fn parts(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        // A run of what is no digit, character by character.
        loop {
            let (a, b) = (left.first().copied(), right.first().copied());
            let ended = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_digit());
            if ended(a) && ended(b) {
                break;
            }
            match weight(a).cmp(&weight(b)) {
                Ordering::Equal => {}
                other => return other,
            }
            left = left.get(1..).unwrap_or_default();
            right = right.get(1..).unwrap_or_default();
        }
        // A run of digits, as a number of any length.
        let (a, rest_a) = number(left);
        let (b, rest_b) = number(right);
        match a.len().cmp(&b.len()).then_with(|| a.cmp(b)) {
            Ordering::Equal => {}
            other => return other,
        }
        (left, right) = (rest_a, rest_b);
    }
    Ordering::Equal
}

/// The leading digits without their leading zeros, and the rest.
fn number(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(bytes.len());
    let (digits, rest) = bytes.split_at(end);
    let start = digits.iter().position(|byte| *byte != b'0').unwrap_or(digits.len());
    (digits.get(start..).unwrap_or_default(), rest)
}
