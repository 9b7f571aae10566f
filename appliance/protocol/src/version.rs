//! The version number of messages.
//!
//! Refuses an unknown version by name instead of guessing at its fields. Invariant: version N talks to N−1.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The marker `"v": 1`: it serialises as 1 and refuses to be read from anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct V1;

/// A message of a version that this program does not speak.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("message has version `{found}`, this program speaks `1`")]
pub struct VersionRejection {
    /// The version found.
    pub found: u64,
}

impl Serialize for V1 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(1)
    }
}

impl<'de> Deserialize<'de> for V1 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            1 => Ok(Self),
            found => Err(serde::de::Error::custom(VersionRejection { found })),
        }
    }
}
