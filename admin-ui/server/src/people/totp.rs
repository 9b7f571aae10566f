//! Codes of authenticator apps (RFC 6238 over RFC 4226: SHA-1, six digits, thirty seconds; what every app reads).
//!
//! Refuses a code twice, and one that is older than the last taken. Invariant: no secret is stored: it is derived from a key
//! file of this console and the account's salt, so that a copied database makes no codes.

use freehold_trust::digest::{HashAlgorithm, ct_eq, hmac};

/// Seconds that one code lasts.
pub const PERIOD: i64 = 30;
/// Steps that a clock may be off, either way.
const DRIFT: i64 = 1;
/// Bytes of a secret: RFC 4226 recommends 160 bits.
const SECRET: usize = 20;

/// The secret of an account with this salt.
#[must_use]
pub fn secret(key: &[u8], account: &str, salt: &str) -> Vec<u8> {
    let parts: [&[u8]; 4] = [b"freehold totp 1\0", account.as_bytes(), b"\0", salt.as_bytes()];
    let mut secret = hmac(HashAlgorithm::Sha256, key, &parts);
    secret.truncate(SECRET);
    secret
}

/// The code of one step.
#[must_use]
pub fn code(secret: &[u8], step: i64) -> String {
    let mac = hmac(HashAlgorithm::Sha1, secret, &[&step.to_be_bytes()]);
    let offset = usize::from(mac.last().copied().unwrap_or_default() & 0x0f);
    let four = mac.get(offset..offset.saturating_add(4)).unwrap_or_default();
    let number = four.iter().fold(0_u32, |n, byte| (n << 8) | u32::from(*byte)) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// The step that a code is for, when it counts now and neither it nor a newer one was taken: `last` is the last step taken.
#[must_use]
pub fn check(secret: &[u8], said: &str, now: i64, last: i64) -> Option<i64> {
    let said: String = said.chars().filter(|letter| !letter.is_whitespace()).collect();
    let present = now.div_euclid(PERIOD);
    (present.saturating_sub(DRIFT)..=present.saturating_add(DRIFT))
        .filter(|step| *step > last)
        .find(|step| ct_eq(code(secret, *step).as_bytes(), said.as_bytes()))
}

/// The secret as people type it: base32 without padding (RFC 4648).
#[must_use]
pub fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::new();
    for chunk in bytes.chunks(5) {
        let number = (0..5).fold(0_u64, |n, at| {
            (n << 8) | u64::from(chunk.get(at).copied().unwrap_or_default())
        });
        for at in 0..(chunk.len() * 8).div_ceil(5) {
            let index = usize::try_from((number >> (35 - 5 * at)) & 31).unwrap_or_default();
            text.push(LETTERS.get(index).map_or('A', |letter| char::from(*letter)));
        }
    }
    text
}

/// What authenticator apps read.
#[must_use]
pub fn uri(secret: &[u8], fleet: &str, account: &str) -> String {
    let issuer = freehold_views::address::segment(fleet);
    let account = freehold_views::address::segment(account);
    format!(
        "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}",
        base32(secret)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B (SHA-1), the last six of eight digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        let secret = b"12345678901234567890";
        for (time, wanted) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(secret, time / PERIOD), wanted, "{time}");
        }
    }

    #[test]
    fn a_code_counts_once_and_for_a_minute_and_a_half() {
        let secret = secret(b"key", "ann", "00");
        let now = 1_800_000_000;
        let step = now / PERIOD;
        let said = code(&secret, step);
        assert_eq!(check(&secret, &said, now, 0), Some(step));
        assert_eq!(
            check(&secret, &format!("{} {}", &said[..3], &said[3..]), now + PERIOD, 0),
            Some(step)
        );
        assert_eq!(check(&secret, &said, now, step), None);
        assert_eq!(check(&secret, &said, now + 2 * PERIOD, 0), None);
        assert_eq!(check(&secret, "", now, 0), None);
    }

    #[test]
    fn secrets_differ_by_key_account_and_salt() {
        let all = [
            secret(b"k", "a", "s"),
            secret(b"l", "a", "s"),
            secret(b"k", "b", "s"),
            secret(b"k", "a", "t"),
        ];
        for (at, one) in all.iter().enumerate() {
            assert_eq!(one.len(), SECRET);
            assert!(all.iter().skip(at + 1).all(|other| other != one));
        }
    }

    /// RFC 4648, section 10.
    #[test]
    fn base32_is_that_of_the_standard() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }
}
