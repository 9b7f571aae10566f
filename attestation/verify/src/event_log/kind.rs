//! Event types by number and name. TCG PC Client Platform Firmware Profile 1.06, table 28.
//!
//! Refuses to attach trust to a type. Invariant: [`EventKind::digest_is_of_data`] is true only for types whose digest the
//! specification defines as the digest of the event's data.

/// The number of an event type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventKind(pub u32);

impl EventKind {
    /// Not extended: information for whoever reads the log.
    pub const NO_ACTION: Self = Self(3);
    /// The border between firmware and what it starts.
    pub const SEPARATOR: Self = Self(4);
    /// Version of the first firmware code.
    pub const S_CRTM_VERSION: Self = Self(8);
    /// Boot loaders' own events.
    pub const IPL: Self = Self(0x0d);
    /// A UEFI variable that configures Secure Boot.
    pub const EFI_VARIABLE_DRIVER_CONFIG: Self = Self(0x8000_0001);
    /// A UEFI variable that configures boot order.
    pub const EFI_VARIABLE_BOOT: Self = Self(0x8000_0002);
    /// A UEFI application that boots.
    pub const EFI_BOOT_SERVICES_APPLICATION: Self = Self(0x8000_0003);
    /// The partition table.
    pub const EFI_GPT_EVENT: Self = Self(0x8000_0006);
    /// A text that firmware measures.
    pub const EFI_ACTION: Self = Self(0x8000_0007);
    /// Firmware volumes.
    pub const EFI_PLATFORM_FIRMWARE_BLOB: Self = Self(0x8000_0008);
    /// Firmware volumes, with a name.
    pub const EFI_PLATFORM_FIRMWARE_BLOB2: Self = Self(0x8000_000a);
    /// The certificate that let an image start.
    pub const EFI_VARIABLE_AUTHORITY: Self = Self(0x8000_00e0);

    /// Whether the specification defines the digest as that of the event's data. `EV_EFI_VARIABLE_BOOT` is not here:
    /// firmware hashes the variable's value there.
    #[must_use]
    pub const fn digest_is_of_data(self) -> bool {
        matches!(
            self.0,
            0x04 | 0x05 | 0x06 | 0x08 | 0x0a | 0x8000_0001 | 0x8000_0006 | 0x8000_0007 | 0x8000_00e0 | 0x8000_000c
        )
    }

    /// The name in the specification, where it has one.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x00 => "EV_PREBOOT_CERT",
            0x01 => "EV_POST_CODE",
            0x02 => "EV_UNUSED",
            0x03 => "EV_NO_ACTION",
            0x04 => "EV_SEPARATOR",
            0x05 => "EV_ACTION",
            0x06 => "EV_EVENT_TAG",
            0x07 => "EV_S_CRTM_CONTENTS",
            0x08 => "EV_S_CRTM_VERSION",
            0x09 => "EV_CPU_MICROCODE",
            0x0a => "EV_PLATFORM_CONFIG_FLAGS",
            0x0b => "EV_TABLE_OF_DEVICES",
            0x0c => "EV_COMPACT_HASH",
            0x0d => "EV_IPL",
            0x0e => "EV_IPL_PARTITION_DATA",
            0x0f => "EV_NONHOST_CODE",
            0x10 => "EV_NONHOST_CONFIG",
            0x11 => "EV_NONHOST_INFO",
            0x12 => "EV_OMIT_BOOT_DEVICE_EVENTS",
            0x13 => "EV_POST_CODE2",
            0x8000_0000 => "EV_EFI_EVENT_BASE",
            0x8000_0001 => "EV_EFI_VARIABLE_DRIVER_CONFIG",
            0x8000_0002 => "EV_EFI_VARIABLE_BOOT",
            0x8000_0003 => "EV_EFI_BOOT_SERVICES_APPLICATION",
            0x8000_0004 => "EV_EFI_BOOT_SERVICES_DRIVER",
            0x8000_0005 => "EV_EFI_RUNTIME_SERVICES_DRIVER",
            0x8000_0006 => "EV_EFI_GPT_EVENT",
            0x8000_0007 => "EV_EFI_ACTION",
            0x8000_0008 => "EV_EFI_PLATFORM_FIRMWARE_BLOB",
            0x8000_0009 => "EV_EFI_HANDOFF_TABLES",
            0x8000_000a => "EV_EFI_PLATFORM_FIRMWARE_BLOB2",
            0x8000_000b => "EV_EFI_HANDOFF_TABLES2",
            0x8000_000c => "EV_EFI_VARIABLE_BOOT2",
            0x8000_0010 => "EV_EFI_HCRTM_EVENT",
            0x8000_00e0 => "EV_EFI_VARIABLE_AUTHORITY",
            0x8000_00e1 => "EV_EFI_SPDM_FIRMWARE_BLOB",
            0x8000_00e2 => "EV_EFI_SPDM_FIRMWARE_CONFIG",
            _ => return None,
        })
    }
}

impl std::fmt::Display for EventKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#010x}", self.0),
        }
    }
}
