//! Commands as bytes: numbers, sized buffers, tags.
//!
//! Refuses nothing: it writes. Invariant: big-endian, as TPM 2.0 Library, Part 1, section 18 has it.

/// Command codes (TPM_CC).
pub(crate) mod cc {
    pub const EVICT_CONTROL: u32 = 0x120;
    pub const HIERARCHY_CHANGE_AUTH: u32 = 0x129;
    pub const NV_DEFINE_SPACE: u32 = 0x12a;
    pub const CREATE_PRIMARY: u32 = 0x131;
    pub const NV_SET_BITS: u32 = 0x135;
    pub const DICTIONARY_ATTACK_PARAMETERS: u32 = 0x13a;
    pub const POLICY_NV: u32 = 0x149;
    pub const NV_READ: u32 = 0x14e;
    pub const CREATE: u32 = 0x153;
    pub const LOAD: u32 = 0x157;
    pub const UNSEAL: u32 = 0x15e;
    pub const FLUSH_CONTEXT: u32 = 0x165;
    pub const LOAD_EXTERNAL: u32 = 0x167;
    pub const NV_READ_PUBLIC: u32 = 0x169;
    pub const POLICY_AUTHORIZE: u32 = 0x16a;
    pub const POLICY_AUTH_VALUE: u32 = 0x16b;
    pub const READ_PUBLIC: u32 = 0x173;
    pub const START_AUTH_SESSION: u32 = 0x176;
    pub const VERIFY_SIGNATURE: u32 = 0x177;
    pub const GET_CAPABILITY: u32 = 0x17a;
    pub const GET_RANDOM: u32 = 0x17b;
    pub const PCR_READ: u32 = 0x17e;
    pub const POLICY_PCR: u32 = 0x17f;
    pub const PCR_EXTEND: u32 = 0x182;
}

/// The owner hierarchy.
pub(crate) const RH_OWNER: u32 = 0x4000_0001;
/// No hierarchy, no key.
pub(crate) const RH_NULL: u32 = 0x4000_0007;
/// The lockout authorisation.
pub(crate) const RH_LOCKOUT: u32 = 0x4000_000a;
/// The "session" of a plain authorisation value.
pub(crate) const RS_PW: u32 = 0x4000_0009;
/// A structure without, and with, an authorisation area.
pub(crate) const ST_NO_SESSIONS: u16 = 0x8001;
pub(crate) const ST_SESSIONS: u16 = 0x8002;

/// Bytes in the making.
#[derive(Default)]
pub(crate) struct Wire(pub(crate) Vec<u8>);

impl Wire {
    pub(crate) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }
    pub(crate) fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }
    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }
    pub(crate) fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
    /// A TPM2B. Longer contents than 65,535 bytes do not occur here.
    pub(crate) fn sized(self, bytes: &[u8]) -> Self {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.u16(length).raw(bytes)
    }
}
