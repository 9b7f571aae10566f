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
    fn moving_a_byte_between_keys_changes_the_fingerprint() {
        assert_ne!(
            Fingerprint::over(b"ab", b"c", b"d"),
            Fingerprint::over(b"a", b"bc", b"d")
        );
        assert_eq!(Fingerprint::over(b"ab", b"c", b"d").words().split(' ').count(), 8);
    }
}
