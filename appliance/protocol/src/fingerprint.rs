//! The fingerprint that a person compares on two screens, and the words it is read in.
//!
//! Refuses to be computed over less than all three keys: EK, AK and TLS key. Invariant: box and console call the same
//! function over the same TPMT_PUBLIC bytes, so equal text means equal keys.

use freehold_trust::digest::{Sha256Digest, sha256};

/// The fingerprint of a box's three keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub Sha256Digest);

impl Fingerprint {
    /// SHA-256 over `freehold-fingerprint-v1`, then each TPMT_PUBLIC with its length as 4 bytes big endian before it.
    #[must_use]
    pub fn over(ek_public: &[u8], ak_public: &[u8], tls_public: &[u8]) -> Self {
        let mut bytes = b"freehold-fingerprint-v1".to_vec();
        for key in [ek_public, ak_public, tls_public] {
            bytes.extend_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(key);
        }
        Self(sha256(&bytes))
    }

    /// All 64 hex digits.
    #[must_use]
    pub fn hex(&self) -> String {
        self.0.to_string()
    }

    /// Eight words for the first eight bytes: what is read aloud.
    #[must_use]
    pub fn words(&self) -> String {
        words_of(self.0.as_bytes(), 8)
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} · {}", self.words(), self.hex())
    }
}

/// Hexadecimal digits of a typed block; a check letter stands behind them.
const BLOCK: usize = 4;
/// Blocks of a digest.
const BLOCKS: usize = 16;
/// Check letters: none is a hexadecimal digit, none looks like one. Seventeen, a prime, so that the weighted sum finds each
/// wrong digit, each two digits exchanged, and a block in another place.
const CHECKS: &[u8; 17] = b"ghjkmnpqrstuvwxyz";
/// Longest text that is looked at; bounds a stuck key on a console.
const MAX_TYPED: usize = 512;

/// Why typed blocks are no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlocksRejection {
    /// Not as many blocks as there should be.
    #[error("{found} blocks were typed, there are {BLOCKS}")]
    Count {
        /// How many were typed.
        found: usize,
    },
    /// These blocks, counted from 1, are mistyped.
    #[error("mistyped: block {}", numbers(.0))]
    Mistyped(Vec<usize>),
}

fn numbers(blocks: &[usize]) -> String {
    let words: Vec<String> = blocks.iter().map(usize::to_string).collect();
    words.join(", ")
}

fn check_letter(place: usize, digits: &[u8]) -> Option<char> {
    let mut sum = (place + 1).checked_mul(5)?;
    for (weight, digit) in (1..).zip(digits) {
        sum += weight * usize::try_from(char::from(*digit).to_digit(16)?).ok()?;
    }
    CHECKS.get(sum % CHECKS.len()).map(|letter| char::from(*letter))
}

/// A digest in sixteen blocks that a person can type: four hexadecimal digits and a check letter each, `3f2ak`.
#[must_use]
pub fn typed_blocks(digest: &Sha256Digest) -> Vec<String> {
    (digest.to_hex().as_bytes().chunks(BLOCK).enumerate())
        .map(|(place, digits)| {
            let mut block = String::from_utf8_lossy(digits).into_owned();
            block.extend(check_letter(place, digits));
            block
        })
        .collect()
}

/// Reads what a person typed: sixteen blocks, parted by anything, in either case. Blocks may be without their letters, as
/// where a page shows the plain digits: then nothing but the comparison of the words finds a mistyped digit.
///
/// # Errors
/// [`BlocksRejection`], with the numbers of the blocks.
pub fn read_typed_blocks(text: &str) -> Result<Sha256Digest, BlocksRejection> {
    let short: String = text.chars().take(MAX_TYPED).collect::<String>().to_ascii_lowercase();
    let mut blocks: Vec<String> = short
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|block| !block.is_empty())
        .map(str::to_owned)
        .collect();
    // Sixty-four digits in one piece, as copied from a file.
    if let [all] = blocks.as_slice()
        && all.is_ascii()
        && all.len() == BLOCK * BLOCKS
    {
        let cut = all.as_bytes().chunks(BLOCK);
        blocks = cut.map(|block| String::from_utf8_lossy(block).into_owned()).collect();
    }
    let mistyped: Vec<usize> = (blocks.iter().enumerate())
        .filter(|(place, block)| !block_checks(*place, block))
        .map(|(place, _)| place + 1)
        .collect();
    if !mistyped.is_empty() && blocks.len() <= BLOCKS {
        return Err(BlocksRejection::Mistyped(mistyped));
    }
    if blocks.len() != BLOCKS {
        return Err(BlocksRejection::Count { found: blocks.len() });
    }
    let digits: String = blocks.iter().filter_map(|block| block.get(..BLOCK)).collect();
    digits
        .parse()
        .map_err(|_| BlocksRejection::Count { found: blocks.len() })
}

fn block_checks(place: usize, block: &str) -> bool {
    let Some((digits, check)) = block.as_bytes().split_at_checked(BLOCK) else {
        return false;
    };
    let Some(letter) = check_letter(place, digits) else {
        return false;
    };
    check.is_empty() || check == [u8::try_from(letter).unwrap_or(0)]
}

/// One word per byte for the first `count` bytes.
#[must_use]
pub fn words_of(bytes: &[u8], count: usize) -> String {
    let words: Vec<&str> = bytes
        .iter()
        .take(count)
        .filter_map(|byte| WORDS.get(usize::from(*byte)).copied())
        .collect();
    words.join(" ")
}

/// 256 plain words, one per byte value, in alphabetical order. Never reordered: people wrote them down.
pub const WORDS: [&str; 256] = [
    "acorn", "actor", "alder", "amber", "anchor", "angle", "apple", "apron", "arbor", "arrow", "aspen", "atlas",
    "attic", "autumn", "award", "azure", "bacon", "badge", "baker", "bamboo", "banjo", "barley", "basil", "basin",
    "beacon", "beaver", "bench", "berry", "birch", "bishop", "bison", "blanket", "blossom", "bonfire", "border",
    "bottle", "branch", "bread", "breeze", "brick", "bridge", "bronze", "brook", "bucket", "buffalo", "butter",
    "cabin", "cable", "cactus", "camel", "canal", "candle", "canoe", "canyon", "caramel", "carbon", "cargo", "carpet",
    "castle", "cedar", "cellar", "cement", "chalk", "cherry", "chest", "chimney", "cinema", "circle", "citrus", "clay",
    "cliff", "clover", "coach", "cobalt", "coffee", "comet", "copper", "coral", "cotton", "cradle", "crane", "crater",
    "crayon", "cricket", "crown", "crystal", "curtain", "cypress", "dagger", "dairy", "daisy", "dancer", "delta",
    "denim", "desert", "diary", "dolphin", "donkey", "dragon", "drawer", "drum", "dune", "eagle", "easel", "echo",
    "eclipse", "elbow", "elder", "ember", "emerald", "engine", "estate", "fabric", "falcon", "farmer", "feather",
    "fennel", "ferry", "fiddle", "field", "finch", "finger", "fjord", "flame", "flint", "flute", "forest", "fossil",
    "fountain", "fox", "frost", "galaxy", "gallop", "garden", "garlic", "gazelle", "geyser", "ginger", "glacier",
    "glider", "globe", "goblet", "golden", "granite", "grape", "gravel", "guitar", "hamlet", "hammer", "harbor",
    "harvest", "hazel", "helmet", "hermit", "heron", "hickory", "hollow", "honey", "horizon", "hornet", "iceberg",
    "indigo", "iris", "island", "ivory", "jacket", "jaguar", "jasmine", "jersey", "jigsaw", "jungle", "juniper",
    "kayak", "kettle", "kitten", "ladder", "lagoon", "lantern", "laurel", "lemon", "lentil", "library", "lilac",
    "linen", "lizard", "lobster", "locket", "lotus", "magnet", "mallet", "mango", "maple", "marble", "meadow", "melon",
    "meteor", "mirror", "mitten", "monsoon", "mosaic", "motor", "muffin", "nectar", "needle", "nickel", "nutmeg",
    "oasis", "ocean", "olive", "onyx", "orange", "orbit", "orchid", "otter", "oyster", "paddle", "palace", "panther",
    "paper", "parrot", "pebble", "pepper", "piano", "pillow", "planet", "plum", "pocket", "pollen", "poplar",
    "prairie", "prism", "pumpkin", "quartz", "quiver", "rabbit", "raven", "ribbon", "river", "robin", "rocket",
    "saddle", "saffron", "salmon", "satin", "scarlet", "shadow", "silver", "spruce", "summit", "sunset", "teapot",
    "temple", "thistle", "thunder", "timber", "topaz",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_own_word() {
        assert!(WORDS.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_typed_digest_names_its_mistyped_blocks() {
        let digest = sha256(b"a console");
        let blocks = typed_blocks(&digest);
        let text = blocks.join(" ");
        assert_eq!(read_typed_blocks(&text.to_ascii_uppercase()), Ok(digest));
        assert_eq!(read_typed_blocks(&digest.to_hex()), Ok(digest));
        assert_eq!(read_typed_blocks("").unwrap_err(), BlocksRejection::Count { found: 0 });
        assert_eq!(
            read_typed_blocks(&blocks[..15].join("-")).unwrap_err(),
            BlocksRejection::Count { found: 15 }
        );
        // Each wrong digit, each two digits exchanged, each block in another's place.
        for (place, block) in blocks.iter().enumerate() {
            let spoil = |other: String| {
                let mut spoilt = blocks.clone();
                spoilt[place] = other;
                read_typed_blocks(&spoilt.join(" "))
            };
            let letters: Vec<char> = block.chars().collect();
            for at in 0..BLOCK {
                for digit in "0123456789abcdef".chars().filter(|digit| *digit != letters[at]) {
                    let mut other = letters.clone();
                    other[at] = digit;
                    let wrong = Err(BlocksRejection::Mistyped(vec![place + 1]));
                    assert_eq!(spoil(other.into_iter().collect()), wrong);
                }
                for with in (at + 1..BLOCK).filter(|with| letters[*with] != letters[at]) {
                    let mut other = letters.clone();
                    other.swap(at, with);
                    assert!(spoil(other.into_iter().collect()).is_err());
                }
            }
        }
        let mut exchanged = blocks.clone();
        exchanged.swap(2, 3);
        assert_eq!(
            read_typed_blocks(&exchanged.join(" ")),
            Err(BlocksRejection::Mistyped(vec![3, 4]))
        );
    }

    #[test]
    fn moving_a_byte_between_keys_changes_the_fingerprint() {
        assert_ne!(
            Fingerprint::over(b"ab", b"c", b"d"),
            Fingerprint::over(b"a", b"bc", b"d")
        );
        assert_eq!(Fingerprint::over(b"ab", b"c", b"d").words().split(' ').count(), 8);
    }
}
