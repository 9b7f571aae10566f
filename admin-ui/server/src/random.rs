//! Randomness for the console: nonces, tokens, identifiers, passwords.
//!
//! Refuses to go on without it: a failing source is an error, never a fallback. Invariant: one source, the TLS library's.

use freehold_channel::provider;

/// The operating system's source of randomness failed.
#[derive(Debug, thiserror::Error)]
#[error("the source of randomness failed")]
pub struct NoRandomness;

/// `N` random bytes.
///
/// # Errors
/// When the source fails.
pub fn bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut out = [0; N];
    provider().secure_random.fill(&mut out).map_err(|_| NoRandomness)?;
    Ok(out)
}

/// `N` random bytes as hex.
///
/// # Errors
/// When the source fails.
pub fn hex<const N: usize>() -> Result<String, NoRandomness> {
    Ok(hex::encode(bytes::<N>()?))
}

/// A password that a person can type: five groups of four characters without look-alikes, about 100 bits.
///
/// # Errors
/// When the source fails.
pub fn password() -> Result<String, NoRandomness> {
    // 32 characters, so that a byte's low five bits choose evenly.
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let raw = bytes::<20>()?;
    let text: Vec<char> = raw
        .iter()
        .filter_map(|byte| LETTERS.get(usize::from(byte & 31)).map(|letter| char::from(*letter)))
        .collect();
    Ok(text
        .chunks(4)
        .map(|group| group.iter().collect::<String>())
        .collect::<Vec<_>>()
        .join("-"))
}
