//! A machine in a folder: its disks are files, its kernel's answers are files too.
#![allow(dead_code)]

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use freehold_install::gpt::{SYSTEM_TYPES, TypeId, crc32};

/// Bytes of the demonstration image's partitions.
pub const BOOT: u64 = 3 << 20;
pub const ROOT: u64 = 5 << 20;
pub const MIB: u64 = 1 << 20;

/// A machine.
pub struct Machine {
    pub folder: tempfile::TempDir,
}

impl Machine {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for part in ["sys/block", "sys/class/block", "proc/self", "dev", "run/udev/data"] {
            fs::create_dir_all(folder.path().join(part)).unwrap();
        }
        fs::write(folder.path().join("proc/self/mountinfo"), "").unwrap();
        Self { folder }
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn put(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A disk of `size` bytes, filled with what was on it before.
    pub fn disk(&self, name: &str, number: &str, serial: Option<&str>, size: u64) -> PathBuf {
        let at = |rest: &str| format!("sys/block/{name}/{rest}");
        self.put(&at("dev"), number);
        self.put(&at("size"), &(size / 512).to_string());
        self.put(&at("removable"), "0");
        self.put(&at("device/model"), "SAMPLE 990");
        if let Some(serial) = serial {
            self.put(&at("device/serial"), serial);
        }
        self.put(&format!("sys/class/block/{name}/dev"), number);
        let path = self.root().join("dev").join(name);
        let file = fs::File::create(&path).unwrap();
        file.set_len(size).unwrap();
        path
    }

    /// A partition of a disk, as the kernel tells it.
    pub fn partition(&self, disk: &str, name: &str, number: &str, size: u64, udev: &str) {
        let at = |rest: &str| format!("sys/block/{disk}/{name}/{rest}");
        self.put(&at("partition"), "1");
        self.put(&at("size"), &(size / 512).to_string());
        self.put(&at("dev"), number);
        self.put(&format!("sys/class/block/{name}/dev"), number);
        self.put(&format!("run/udev/data/b{number}"), udev);
    }

    /// The image: boot, root, and a data partition that must not travel.
    pub fn image(&self) -> PathBuf {
        let path = self.root().join("freehold.raw");
        let linux = TypeId::new(
            0x0fc6_3daf,
            0x8483,
            0x4772,
            [0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4],
        );
        let parts = [
            (SYSTEM_TYPES[0].0, "esp", MIB, BOOT, 0x11),
            (SYSTEM_TYPES[1].0, "root-a", MIB + BOOT, ROOT, 0x22),
            (linux, "data", MIB + BOOT + ROOT, MIB, 0x33),
        ];
        let size = MIB + BOOT + ROOT + MIB + MIB;
        let mut file = fs::File::create(&path).unwrap();
        file.set_len(size).unwrap();
        file.write_all(&table(&parts, size)).unwrap();
        for (_, _, first, length, fill) in parts {
            file.seek(SeekFrom::Start(first)).unwrap();
            // Not the same everywhere, so that a block in another place is found.
            let bytes: Vec<u8> = (0..length).map(|at| (at / 4096) as u8 ^ fill).collect();
            file.write_all(&bytes).unwrap();
        }
        path
    }
}

/// A table as another program writes it (sector by sector after UEFI 2.10, 5.3; not the code that is tested).
pub fn table(parts: &[(TypeId, &str, u64, u64, u8)], size: u64) -> Vec<u8> {
    let mut entries = vec![0_u8; 128 * 128];
    for (number, (kind, name, first, length, fill)) in parts.iter().enumerate() {
        let entry = &mut entries[number * 128..(number + 1) * 128];
        entry[..16].copy_from_slice(&kind.0);
        entry[16..32].fill(*fill);
        entry[32..40].copy_from_slice(&(first / 512).to_le_bytes());
        entry[40..48].copy_from_slice(&((first + length) / 512 - 1).to_le_bytes());
        for (place, unit) in name.encode_utf16().enumerate() {
            entry[56 + place * 2..58 + place * 2].copy_from_slice(&unit.to_le_bytes());
        }
    }
    let mut header = vec![0_u8; 92];
    header[..8].copy_from_slice(b"EFI PART");
    header[8..12].copy_from_slice(&[0, 0, 1, 0]);
    header[12..16].copy_from_slice(&92_u32.to_le_bytes());
    header[24..32].copy_from_slice(&1_u64.to_le_bytes());
    header[32..40].copy_from_slice(&(size / 512 - 1).to_le_bytes());
    header[40..48].copy_from_slice(&34_u64.to_le_bytes());
    header[48..56].copy_from_slice(&(size / 512 - 34).to_le_bytes());
    header[56..72].fill(0x77);
    header[72..80].copy_from_slice(&2_u64.to_le_bytes());
    header[80..84].copy_from_slice(&128_u32.to_le_bytes());
    header[84..88].copy_from_slice(&128_u32.to_le_bytes());
    header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
    let sum = crc32(&header);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
    let mut out = vec![0_u8; 512];
    out.extend(&header);
    out.resize(1024, 0);
    out.extend(&entries);
    out
}
