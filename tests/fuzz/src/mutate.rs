//! Changes to bytes: seeded, small, of the kinds that break parsers.
//!
//! Refuses randomness from outside: the same seed gives the same inputs on every machine. Invariant: an input never grows beyond
//! its bound.

/// Numbers at which lengths and counts break.
const NUMBERS: [u64; 14] = [
    0,
    1,
    7,
    16,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    u64::MAX,
];

/// Pieces of the formats that are read here.
const WORDS: [&[u8]; 16] = [
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"\\u0000",
    b"../",
    b"\n",
    b"\n\n",
    b"1e999",
    b"-1",
    b"\xff\xfe",
    b"\x30\x80",
];

/// A source of mutations.
#[derive(Debug, Clone)]
pub struct Mutator {
    state: u64,
    limit: usize,
}

impl Mutator {
    /// With a seed, for inputs of at most `limit` bytes.
    #[must_use]
    pub const fn new(seed: u64, limit: usize) -> Self {
        Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            limit,
        }
    }

    /// xorshift64*: enough to choose places, no secret.
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    /// A changed copy of one of `seeds`.
    pub fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let at = self.below(seeds.len());
        let mut bytes = seeds.get(at).cloned().unwrap_or_default();
        for _ in 0..=self.below(6) {
            self.change(&mut bytes, seeds);
        }
        bytes.truncate(self.limit);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(bytes.len());
        match self.below(10) {
            0 => {
                let bit = self.below(8);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            1 => {
                let value = u8::try_from(self.below(256)).unwrap_or(0);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            2 => bytes.truncate(at),
            3 => {
                let length = self.below(64);
                let end = at.saturating_add(length).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let end = at.saturating_add(self.below(256)).min(bytes.len());
                let piece = bytes.get(at..end).unwrap_or_default().to_vec();
                let place = self.below(bytes.len());
                bytes.splice(place..place, piece);
            }
            5 => self.number(bytes, at),
            6 => {
                let word = WORDS.get(self.below(WORDS.len())).copied().unwrap_or_default();
                bytes.splice(at..at, word.iter().copied());
            }
            7 => {
                let other = seeds.get(self.below(seeds.len())).cloned().unwrap_or_default();
                let from = self.below(other.len());
                bytes.truncate(at);
                bytes.extend(other.get(from..).unwrap_or_default());
            }
            8 => {
                let count = self.below(4096);
                let value = if self.below(2) == 0 { 0 } else { 0xff };
                bytes.splice(at..at, std::iter::repeat_n(value, count));
            }
            _ => {
                let end = at.saturating_add(self.below(16)).min(bytes.len());
                for byte in bytes.get_mut(at..end).unwrap_or_default() {
                    *byte = byte.wrapping_add(1);
                }
            }
        }
    }

    /// A number of some width and order over what is there.
    fn number(&mut self, bytes: &mut [u8], at: usize) {
        let value = NUMBERS.get(self.below(NUMBERS.len())).copied().unwrap_or(0);
        let width = 1 << self.below(4);
        let little = value.to_le_bytes();
        let mut piece = little.get(..width).unwrap_or_default().to_vec();
        if self.below(2) == 0 {
            piece.reverse();
        }
        let end = at.saturating_add(width).min(bytes.len());
        for (to, from) in bytes.get_mut(at..end).unwrap_or_default().iter_mut().zip(piece) {
            *to = from;
        }
    }
}
