//! The whole installation, on a machine whose disks are files: what is refused, what is written, what a power cut leaves.

#[path = "parts/machine.rs"]
mod machine;

use std::fs::{self, File};
use std::io::{self, Cursor};
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Parser as _;
use freehold_install::gpt::{HEAD, TAIL, Table, crc32, tail_is_a_table};
use freehold_install::{Arguments, Bytes, Choice, InstallRejection, Plan, candidates, execute, plan, read_image, run};
use freehold_verify::rejection::Refusal as _;
use machine::{BOOT, MIB, Machine, ROOT};

const SIZE: u64 = 24 << 20;

fn chosen(name: &str, serial: &str) -> Choice {
    Choice {
        name: name.to_owned(),
        serial: serial.to_owned(),
        sha256: None,
    }
}

fn planned(machine: &Machine, choice: &Choice) -> Result<Plan, InstallRejection> {
    let image = read_image(&machine.root().join("freehold.raw"))?;
    plan(&candidates(machine.root()), &image, choice)
}

fn code(machine: &Machine, choice: &Choice) -> &'static str {
    planned(machine, choice).unwrap_err().code()
}

// promise S-104
#[test]
fn only_the_disk_whose_serial_number_was_typed_is_written() {
    let machine = Machine::new();
    machine.image();
    assert_eq!(code(&machine, &chosen("sda", "x")), "install.no_disk");
    machine.disk("nvme0n1", "259:0", Some("S6Z1 NJ0W"), SIZE);
    assert_eq!(code(&machine, &chosen("sda", "x")), "install.unknown_disk");
    for wrong in ["", " ", "S6Z1NJ0", "S6Z1NJ0WX"] {
        assert_eq!(
            code(&machine, &chosen("nvme0n1", wrong)),
            "install.serial_mismatch",
            "{wrong}"
        );
    }
    planned(&machine, &chosen("nvme0n1", "s6z1nj0w")).unwrap();

    machine.disk("sdb", "8:16", None, SIZE);
    assert_eq!(code(&machine, &chosen("sdb", "")), "install.no_serial");
    machine.disk("sdc", "8:32", Some("C"), 8 * MIB);
    let small = planned(&machine, &chosen("sdc", "C")).unwrap_err();
    assert_eq!(small.code(), "install.disk_too_small");
    assert_eq!(
        small.expected(),
        Some(format!("at least {} bytes", MIB + BOOT + ROOT + TAIL))
    );

    // The running system: a root on verity on a partition of sdd.
    machine.disk("sdd", "8:48", Some("D"), SIZE);
    machine.partition(
        "sdd",
        "sdd2",
        "8:50",
        ROOT,
        "E:ID_FS_TYPE=erofs\nE:ID_PART_ENTRY_NAME=root-a\n",
    );
    machine.put("sys/class/block/dm-0/dev", "254:0");
    machine.put("sys/class/block/dm-0/slaves/sdd2/dev", "8:50");
    machine.put(
        "proc/self/mountinfo",
        "22 1 254:0 / / ro,relatime - erofs /dev/dm-0 ro\n",
    );
    assert_eq!(code(&machine, &chosen("sdd", "D")), "install.running_from_it");
    // Something else that is mounted, and something that is held.
    machine.disk("sde", "8:64", Some("E"), SIZE);
    machine.partition("sde", "sde1", "8:65", ROOT, "E:ID_FS_TYPE=vfat\n");
    machine.put(
        "proc/self/mountinfo",
        "22 1 254:0 / / ro - erofs /dev/dm-0 ro\n23 22 8:65 / /mnt rw - vfat /dev/sde1 rw\n",
    );
    assert_eq!(code(&machine, &chosen("sde", "E")), "install.in_use");
    machine.disk("sdf", "8:80", Some("F"), SIZE);
    machine.put("sys/block/sdf/holders/md0/dev", "9:0");
    assert_eq!(code(&machine, &chosen("sdf", "F")), "install.in_use");

    // Nothing of this wrote a byte.
    for disk in ["nvme0n1", "sdb", "sdc", "sdd", "sde", "sdf"] {
        let bytes = fs::read(machine.root().join("dev").join(disk)).unwrap();
        assert!(bytes.iter().all(|byte| *byte == 0), "{disk}");
    }
    let sdd = candidates(machine.root())
        .into_iter()
        .find(|disk| disk.name == "sdd")
        .unwrap();
    assert_eq!(sdd.holds, ["sdd2  5.0 MiB  erofs root-a"]);
}

#[test]
fn serial_numbers_come_from_where_each_kind_of_disk_says_them() {
    let machine = Machine::new();
    machine.disk("vda", "252:0", None, SIZE);
    machine.put("sys/block/vda/serial", "virtio-1\n");
    machine.disk("sda", "8:0", None, SIZE);
    machine.put("sys/block/sda/device/vpd_pg80", "\0\u{80}\0\u{8}  WD-1234");
    fs::write(
        machine.root().join("sys/block/sda/device/vpd_pg80"),
        b"\0\x80\0\x08 WD-1234",
    )
    .unwrap();
    machine.disk("sdb", "8:16", None, SIZE);
    machine.put("run/udev/data/b8:16", "E:ID_MODEL=x\nE:ID_SERIAL_SHORT=AA\u{1b}[2JBB\n");
    let serials: Vec<Option<String>> = candidates(machine.root()).into_iter().map(|disk| disk.serial).collect();
    assert_eq!(
        serials,
        [
            Some("WD-1234".to_owned()),
            Some("AA[2JBB".to_owned()),
            Some("virtio-1".to_owned())
        ]
    );
}

/// The disk after an installation has everything, and nothing that was not asked for.
fn check_whole(machine: &Machine, disk: &[u8]) {
    let image = fs::read(machine.root().join("freehold.raw")).unwrap();
    let table = Table::read(&disk[..HEAD as usize], disk.len() as u64).unwrap();
    let names: Vec<&str> = table
        .partitions
        .iter()
        .map(|partition| partition.name.as_str())
        .collect();
    assert_eq!(names, ["esp", "root-a"], "the data partition stays behind");
    let system = MIB as usize..(MIB + BOOT + ROOT) as usize;
    assert_eq!(disk[system.clone()], image[system.clone()]);
    assert!(
        disk[system.end..disk.len() - TAIL as usize]
            .iter()
            .all(|byte| *byte == 0xee),
        "nothing else was touched"
    );
    // The second table stands at the very end and points back.
    let last = &disk[disk.len() - 512..];
    assert!(last.starts_with(b"EFI PART"));
    assert_eq!(
        u64::from_le_bytes(last[24..32].try_into().unwrap()),
        disk.len() as u64 / 512 - 1
    );
    assert_eq!(u64::from_le_bytes(last[32..40].try_into().unwrap()), 1);
    let mut zeroed = last[..92].to_vec();
    zeroed[16..20].fill(0);
    assert_eq!(u32::from_le_bytes(last[16..20].try_into().unwrap()), crc32(&zeroed));
    assert_eq!(&disk[510..512], [0x55, 0xaa]);
}

/// A disk in memory that counts its writes and stops taking them.
struct Failing {
    bytes: Vec<u8>,
    writes: usize,
    most: usize,
    /// A byte that comes back wrong.
    rots: Option<usize>,
}

impl Bytes for Failing {
    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        bytes.copy_from_slice(&self.bytes[at as usize..at as usize + bytes.len()]);
        if let Some(place) = self.rots.and_then(|rots| rots.checked_sub(at as usize))
            && let Some(byte) = bytes.get_mut(place)
        {
            *byte ^= 1;
        }
        Ok(())
    }
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        // A power cut takes effect between sectors: each sector of a write is a moment of its own.
        for (number, sector) in bytes.chunks(64 * 1024).enumerate() {
            if self.writes >= self.most {
                return Err(io::Error::other("the power is gone"));
            }
            self.writes += 1;
            let at = at as usize + number * 64 * 1024;
            self.bytes[at..at + sector.len()].copy_from_slice(sector);
        }
        Ok(())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn old_disk() -> Vec<u8> {
    let mut bytes = vec![0xee; SIZE as usize];
    // What was on it before booted: its first table is there, and so is the second.
    let end = bytes.len() - 512;
    bytes[512..520].copy_from_slice(b"EFI PART");
    bytes[end..end + 8].copy_from_slice(b"EFI PART");
    bytes
}

// promise S-105
#[test]
fn a_power_cut_leaves_a_disk_that_does_not_boot_or_a_whole_one() {
    let machine = Machine::new();
    let path = machine.image();
    machine.disk("sda", "8:0", Some("A"), SIZE);
    let made = planned(&machine, &chosen("sda", "A")).unwrap();
    let image = read_image(&path).unwrap();
    let mut most = 0;
    let (mut dead, mut whole) = (0, 0);
    loop {
        let mut disk = Failing {
            bytes: old_disk(),
            writes: 0,
            most,
            rots: None,
        };
        let source = File::open(&path).unwrap();
        let done = execute(&made, &image, &source, &mut disk, &mut |_| {});
        let head = Table::read(&disk.bytes[..HEAD as usize], SIZE);
        let old = disk.writes == 0;
        let tail = tail_is_a_table(&disk.bytes);
        if done.is_ok() {
            check_whole(&machine, &disk.bytes);
            break;
        }
        assert_eq!(done.unwrap_err().code(), "install.device");
        // Cut off before the first write it is the old disk; then it has no first table, and a second one only over a whole
        // system.
        if !old && (head.is_ok() || tail) && most > 17 {
            let system = MIB as usize..(MIB + BOOT + ROOT) as usize;
            assert!(
                disk.bytes[system.clone()] == fs::read(&path).unwrap()[system],
                "half a system after {most} writes"
            );
            whole += 1;
        } else {
            assert!(old || head.is_err(), "a table over half a system after {most} writes");
            dead += 1;
        }
        most += 1;
    }
    assert!(dead > 100 && whole > 0, "{dead} dead, {whole} whole");
}

#[test]
fn a_disk_that_gives_back_other_bytes_does_not_boot() {
    let machine = Machine::new();
    let path = machine.image();
    machine.disk("sda", "8:0", Some("A"), SIZE);
    let made = planned(&machine, &chosen("sda", "A")).unwrap();
    let image = read_image(&path).unwrap();
    for rots in [MIB as usize + 77, (MIB + BOOT) as usize + 4096] {
        let mut disk = Failing {
            bytes: old_disk(),
            writes: 0,
            most: usize::MAX,
            rots: Some(rots),
        };
        let source = File::open(&path).unwrap();
        let refused = execute(&made, &image, &source, &mut disk, &mut |_| {}).unwrap_err();
        assert_eq!(refused.code(), "install.read_back");
        assert!(Table::read(&disk.bytes[..HEAD as usize], SIZE).is_err());
        assert!(!tail_is_a_table(&disk.bytes));
    }
}

#[test]
fn an_image_that_is_none_or_another_one_is_refused() {
    let machine = Machine::new();
    let path = machine.image();
    machine.disk("sda", "8:0", Some("A"), SIZE);
    let good = fs::read(&path).unwrap();
    let bad = |bytes: &[u8]| {
        let path = machine.root().join("bad.raw");
        fs::write(&path, bytes).unwrap();
        read_image(&path).unwrap_err().code()
    };
    assert_eq!(bad(b"short"), "install.image");
    assert_eq!(bad(&vec![0; good.len()]), "install.image");
    // Any flipped byte of the table is found.
    for at in (512..604).chain([1024, 1060, 1200]) {
        let mut spoilt = good.clone();
        spoilt[at] ^= 0x40;
        assert_eq!(bad(&spoilt), "install.image", "byte {at}");
    }
    assert_eq!(bad(&good[..(2 * MIB) as usize]), "install.image");

    // Asked for another one: written, not made bootable.
    let choice = Choice {
        sha256: Some("00".repeat(32)),
        ..chosen("sda", "A")
    };
    let made = planned(&machine, &choice).unwrap();
    let mut disk = File::options()
        .read(true)
        .write(true)
        .open(machine.root().join("dev/sda"))
        .unwrap();
    let image = read_image(&path).unwrap();
    let refused = execute(&made, &image, &File::open(&path).unwrap(), &mut disk, &mut |_| {}).unwrap_err();
    assert_eq!(refused.code(), "install.other_image");
    assert!(
        Table::read(
            &fs::read(machine.root().join("dev/sda")).unwrap()[..HEAD as usize],
            SIZE
        )
        .is_err()
    );
}

fn arguments(machine: &Machine, more: &[&str]) -> Arguments {
    let root = machine.root().display().to_string();
    let image = machine.root().join("freehold.raw").display().to_string();
    let mut words = vec!["freehold-install", "--root", &root, "--image", &image, "--stay"];
    words.extend(more);
    Arguments::parse_from(words)
}

fn fill(path: &Path) {
    fs::write(path, vec![0xee; SIZE as usize]).unwrap();
}

#[test]
fn a_person_is_asked_for_the_serial_number_and_sees_the_plan() {
    let machine = Machine::new();
    machine.image();
    fill(&machine.disk("sda", "8:0", Some("S6Z1"), SIZE));
    let mut input = Cursor::new("sdz\nsda\nwrong\nsda\nS6Z1\nno\nsda\ns6z1\nINSTALL\n");
    let mut out = Vec::new();
    assert!(run(&arguments(&machine, &[]), &mut input, &mut out).unwrap());
    let out = String::from_utf8(out).unwrap();
    for said in [
        "sda  24 MiB, SAMPLE 990",
        "serial  S6Z1",
        "install.unknown_disk",
        "install.serial_mismatch",
        "Everything on sda will be lost.",
        "copy root `root-a`, 5.0 MiB",
        "Nothing was written.",
        "reading back",
        "Take the medium out when the screen goes dark",
    ] {
        assert!(out.contains(said), "{said} is not in {out}");
    }
    check_whole(&machine, &fs::read(machine.root().join("dev/sda")).unwrap());
    // A person who goes away has not said yes.
    fill(&machine.root().join("dev/sda"));
    let mut input = Cursor::new("sda\nS6Z1\ninst");
    assert!(!run(&arguments(&machine, &[]), &mut input, &mut Vec::new()).unwrap());
    assert!(
        fs::read(machine.root().join("dev/sda"))
            .unwrap()
            .iter()
            .all(|byte| *byte == 0xee)
    );
}

#[test]
fn the_program_shows_disks_and_plan_as_json_and_ends_with_a_code() {
    let machine = Machine::new();
    machine.image();
    let root = machine.root().display().to_string();
    let image = machine.root().join("freehold.raw").display().to_string();
    let call = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_freehold-install"));
        command
            .args(["--root", &root, "--image", &image])
            .args(more)
            .stdin(Stdio::null());
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (status, _, said) = call(&["--plan"]);
    assert_eq!(status, Some(1));
    assert!(said.contains("install.no_disk") && said.contains("hint: "), "{said}");
    fill(&machine.disk("sda", "8:0", Some("A"), SIZE));
    let (status, disks, _) = call(&["--plan", "--json"]);
    assert_eq!(status, Some(0));
    let disks: serde_json::Value = serde_json::from_str(&disks).unwrap();
    assert_eq!(disks["disks"][0]["serial"], "A");
    let (status, made, _) = call(&["--plan", "--json", "--disk", "sda", "--serial", "A"]);
    assert_eq!(status, Some(0));
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let steps: Vec<&str> = made["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|step| step["step"].as_str())
        .collect();
    assert_eq!(
        steps,
        [
            "erase",
            "erase",
            "flush",
            "copy",
            "copy",
            "flush",
            "read_back",
            "write_tail",
            "flush",
            "write_head",
            "restart"
        ]
    );
    assert!(
        fs::read(machine.root().join("dev/sda"))
            .unwrap()
            .iter()
            .all(|byte| *byte == 0xee),
        "a plan writes nothing"
    );
    // Without a bus the disk is whole and the program says that it could not restart.
    let bus = format!("unix:path={root}/no-bus");
    let (status, _, said) = call(&["--disk", "sda", "--serial", "A", "--bus", &bus]);
    assert_eq!(status, Some(2));
    assert!(said.contains("install.restart"), "{said}");
    let disk = fs::read(machine.root().join("dev/sda")).unwrap();
    check_whole(&machine, &disk);
    // And another program than ours reads the table.
    let found = Command::new("sfdisk")
        .arg("--json")
        .arg(machine.root().join("dev/sda"))
        .output();
    match found {
        Ok(found) => {
            let text = String::from_utf8_lossy(&found.stdout).into_owned();
            assert!(
                found.status.success() && text.contains("\"name\": \"root-a\""),
                "{text}"
            );
            assert!(found.stderr.is_empty(), "{}", String::from_utf8_lossy(&found.stderr));
        }
        Err(_) => println!("skipped: no sfdisk here"),
    }
}
