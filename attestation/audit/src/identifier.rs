//! Identifiers of an assessment: UUIDs that follow from what they name.
//!
//! Refuses randomness: the same report made twice is the same bytes. Invariant: version 5 and the RFC's variant in their bits.

use freehold_trust::sha256;

/// The UUID of `name` in the report of `scope`.
pub fn uuid(scope: &str, name: &str) -> String {
    let digest = sha256(format!("freehold/report/v1\n{scope}\n{name}").as_bytes());
    let mut bytes = [0u8; 16];
    for (to, from) in bytes.iter_mut().zip(digest.as_bytes()) {
        *to = *from;
    }
    let [.., _, _, version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
    *version = (*version & 0x0f) | 0x50;
    *variant = (*variant & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

#[cfg(test)]
mod tests {
    #[test]
    fn uuids_have_their_version_and_variant_and_follow_from_the_name() {
        let one = super::uuid("a", "b");
        assert_eq!(one, super::uuid("a", "b"));
        assert_ne!(one, super::uuid("a", "c"));
        assert_eq!((one.len(), one.as_bytes()[14]), (36, b'5'), "{one}");
        assert!(b"89ab".contains(&one.as_bytes()[19]), "{one}");
    }
}
