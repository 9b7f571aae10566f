//! Keys that a person types: eight blocks of six letters, each of which checks itself.
//!
//! Refuses a block in which one or two letters are wrong, or that stands in another place, and says which. Invariant: the
//! letters are those of modhex, which lie on the same keys of most Latin keyboards: a board-management console may have
//! any layout. Two letters of each block are a Reed–Solomon check over GF(16) that also covers the block's place.

use std::fmt;

use freehold_trust::digest::ct_eq;

use super::rejection::SealRejection;

/// The sixteen letters (modhex).
const LETTERS: &[u8; 16] = b"cbdefghijklnrtuv";
/// Blocks of a key.
const BLOCKS: usize = 8;
/// Letters of a block that carry the key: two bytes.
const DATA: usize = 4;
/// Letters of a block, checks included.
const LENGTH: usize = 6;
/// Longest text that is looked at: a key with generous white space; bounds a stuck key on the console.
const MAX_TEXT: usize = 512;

/// Bytes of a key: 128 bits, beyond guessing at any speed.
pub const KEY_BYTES: usize = 16;

/// The recovery key of a volume.
#[derive(Clone)]
pub struct RecoveryKey([u8; KEY_BYTES]);

/// One of two shares whose exclusive-or is a recovery key. Alone it says nothing.
#[derive(Clone)]
pub struct Share([u8; KEY_BYTES]);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Key,
    Share,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Key => "recovery key",
            Self::Share => "share",
        }
    }

    /// The place of a block as the check sees it: 1 to 8 in a key, 9 to 15 and 0 in a share.
    fn place(self, block: usize) -> u8 {
        let place = match self {
            Self::Key => block + 1,
            Self::Share => (block + 9) % 16,
        };
        u8::try_from(place).unwrap_or(0)
    }
}

/// Multiplication in GF(16) modulo x⁴ + x + 1.
const fn times(a: u8, b: u8) -> u8 {
    let mut product = 0;
    let mut a = a;
    let mut bit = 0;
    while bit < 4 {
        if b >> bit & 1 == 1 {
            product ^= a;
        }
        a <<= 1;
        if a & 0x10 != 0 {
            a ^= 0x13;
        }
        bit += 1;
    }
    product
}

/// α to the power of `n`, α = x.
const fn power(n: usize) -> u8 {
    let mut value = 1;
    let mut at = 0;
    while at < n {
        value = times(value, 2);
        at += 1;
    }
    value
}

/// 1 / (α⁵ + α⁶), by trying all sixteen.
const fn scale() -> u8 {
    let sum = power(5) ^ power(6);
    let mut candidate = 1;
    while times(sum, candidate) != 1 {
        candidate += 1;
    }
    candidate
}

/// The two check letters of a block: with them, the sum of (place, data, checks) is zero, and so is the sum weighted by the
/// powers of α. Any two changed letters out of the six are found, and a block in another place with one changed letter.
fn checks(place: u8, data: &[u8]) -> [u8; 2] {
    let (mut sum, mut weighted) = (0, 0);
    for (position, symbol) in std::iter::once(&place).chain(data).enumerate() {
        sum ^= symbol;
        weighted ^= times(*symbol, power(position));
    }
    let first = times(weighted ^ times(sum, power(6)), scale());
    [first, sum ^ first]
}

fn write_blocks(kind: Kind, bytes: &[u8; KEY_BYTES], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (block, pair) in bytes.chunks(DATA / 2).enumerate() {
        let data: Vec<u8> = pair.iter().flat_map(|byte| [byte >> 4, byte & 15]).collect();
        if block > 0 {
            f.write_str("-")?;
        }
        for symbol in data.iter().copied().chain(checks(kind.place(block), &data)) {
            let letter = LETTERS.get(usize::from(symbol)).copied().unwrap_or(b'?');
            write!(f, "{}", char::from(letter))?;
        }
    }
    Ok(())
}

fn symbols(block: &str) -> Option<Vec<u8>> {
    block
        .bytes()
        .map(|letter| {
            let letter = letter.to_ascii_lowercase();
            LETTERS
                .iter()
                .position(|known| *known == letter)
                .and_then(|position| u8::try_from(position).ok())
        })
        .collect()
}

/// Whether the block checks at its place in a key of `kind`; its two bytes when it does.
fn read_block(kind: Kind, block: usize, symbols: &[u8]) -> Option<[u8; 2]> {
    let (data, check) = symbols.split_at_checked(DATA)?;
    let [a, b, c, d] = data else { return None };
    ct_eq(&checks(kind.place(block), data), check).then_some([a << 4 | b, c << 4 | d])
}

fn read_blocks(kind: Kind, text: &str) -> Result<[u8; KEY_BYTES], SealRejection> {
    let short: String = text.chars().take(MAX_TEXT).collect();
    let mut words: Vec<String> = short
        .split(|c: char| c.is_whitespace() || c == '-' || c == '.')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    // Typed without a break: cut it ourselves.
    if let [all] = words.as_slice()
        && all.is_ascii()
        && all.len() > LENGTH
    {
        words = all
            .as_bytes()
            .chunks(LENGTH)
            .map(|chunk| String::from_utf8_lossy(chunk).into_owned())
            .collect();
    }
    if words.len() != BLOCKS {
        return Err(SealRejection::BlockCount {
            expected: BLOCKS,
            found: words.len(),
        });
    }
    let read = |kind: Kind| -> Vec<Option<[u8; 2]>> {
        words
            .iter()
            .enumerate()
            .map(|(block, word)| symbols(word).and_then(|symbols| read_block(kind, block, &symbols)))
            .collect()
    };
    let found = read(kind);
    let mut bytes = [0; KEY_BYTES];
    let mut bad = Vec::new();
    for (number, (pair, slot)) in (1..).zip(found.iter().zip(bytes.chunks_mut(2))) {
        match pair {
            Some(pair) => slot.copy_from_slice(pair),
            None => bad.push(number),
        }
    }
    if bad.is_empty() {
        return Ok(bytes);
    }
    let other = match kind {
        Kind::Key => Kind::Share,
        Kind::Share => Kind::Key,
    };
    if read(other).iter().all(Option::is_some) {
        return Err(SealRejection::BlockKind {
            expected: kind.name(),
            found: other.name(),
        });
    }
    Err(SealRejection::Blocks(bad))
}

impl RecoveryKey {
    /// A key from 16 random bytes.
    #[must_use]
    pub const fn from_random(random: [u8; KEY_BYTES]) -> Self {
        Self(random)
    }

    /// Reads what a person typed: blocks parted by anything, or by nothing, in either case.
    ///
    /// # Errors
    /// [`SealRejection::BlockCount`], [`SealRejection::Blocks`] with the numbers of the mistyped ones, or
    /// [`SealRejection::BlockKind`].
    pub fn parse(text: &str) -> Result<Self, SealRejection> {
        read_blocks(Kind::Key, text).map(Self)
    }

    /// The passphrase of the volume's key slot: the text itself, so that the key also opens the volume on any other
    /// machine, typed at the prompt of `cryptsetup`.
    #[must_use]
    pub fn text(&self) -> String {
        self.to_string()
    }

    /// The other share, when one is `share`.
    #[must_use]
    pub fn share_beside(&self, share: &Share) -> Share {
        Share(xor(&self.0, &share.0))
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl Share {
    /// A share from 16 bytes: random ones, or what came out of an escrow.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads what a person typed.
    ///
    /// # Errors
    /// Like [`RecoveryKey::parse`].
    pub fn parse(text: &str) -> Result<Self, SealRejection> {
        read_blocks(Kind::Share, text).map(Self)
    }

    /// The key that two shares make.
    #[must_use]
    pub fn combine(&self, other: &Self) -> RecoveryKey {
        RecoveryKey(xor(&self.0, &other.0))
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

fn xor(a: &[u8; KEY_BYTES], b: &[u8; KEY_BYTES]) -> [u8; KEY_BYTES] {
    let mut out = *a;
    for (left, right) in out.iter_mut().zip(b) {
        *left ^= right;
    }
    out
}

impl fmt::Display for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_blocks(Kind::Key, &self.0, f)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_blocks(Kind::Share, &self.0, f)
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryKey(not shown)")
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Share(not shown)")
    }
}
