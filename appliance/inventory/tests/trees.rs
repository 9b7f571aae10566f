//! Inventories of recorded and constructed machines, as golden documents.
//!
//! Invariant: no tree makes the reader panic, and nothing is shown without its source.

use std::path::{Path, PathBuf};

use freehold_inventory::{Nvml, NvmlDevice, Reading, collect, collect_with};
use serde_json::Value;

fn tree(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees").join(name)
}

fn trees() -> Vec<(String, PathBuf)> {
    let mut all = Vec::new();
    for kind in ["recorded", "constructed"] {
        for entry in std::fs::read_dir(tree(kind)).expect("the trees are here").flatten() {
            all.push((format!("{kind}-{}", entry.file_name().to_string_lossy()), entry.path()));
        }
    }
    all.sort();
    all
}

#[test]
fn every_tree_reads_as_its_golden_document() {
    for (name, path) in trees() {
        insta::assert_json_snapshot!(name, collect(&path));
    }
}

#[test]
fn an_nvidia_device_takes_its_facts_from_the_library() {
    let nvml = Nvml {
        devices: vec![NvmlDevice {
            address: "0000:41:00.0".into(),
            name: Some("NVIDIA H100 PCIe".into()),
            memory_bytes: Some(85_520_809_984),
            memory_used_bytes: Some(610_271_232),
            power_watts: Some(51),
            temperature_celsius: None,
        }],
        driver_version: Some("580.95.05".into()),
        absent: None,
    };
    let found = collect_with(&tree("constructed/nvidia-h100"), &nvml);
    let h100 = found
        .accelerators
        .iter()
        .find(|a| a.driver.value().is_some_and(|d| d == "nvidia"))
        .expect("it is there");
    assert_eq!(h100.memory_bytes.value(), Some(&85_520_809_984));
    assert_eq!(h100.name.value().map(String::as_str), Some("NVIDIA H100 PCIe"));
    assert_eq!(h100.driver_version.value().map(String::as_str), Some("580.95.05"));
    assert!(matches!(&h100.temperature_celsius, Reading::Missing { missing } if missing.contains("NVML, temperature")));
    // The server's own VGA is not asked of the library.
    let vga = found
        .accelerators
        .iter()
        .find(|a| a.driver.value().is_some_and(|d| d == "ast"))
        .expect("it is there");
    assert!(vga.memory_bytes.value().is_none());
}

#[test]
fn every_value_has_a_source_and_every_gap_a_reason() {
    fn walk(value: &Value, path: &str) {
        match value {
            Value::Object(fields) if fields.contains_key("value") => {
                assert!(
                    fields["source"].as_str().is_some_and(|source| !source.is_empty()),
                    "{path} has no source"
                );
            }
            Value::Object(fields) if fields.contains_key("missing") => {
                assert!(
                    fields["missing"].as_str().is_some_and(|reason| !reason.is_empty()),
                    "{path} has no reason"
                );
            }
            Value::Object(fields) => fields
                .iter()
                .for_each(|(name, field)| walk(field, &format!("{path}/{name}"))),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .for_each(|(n, item)| walk(item, &format!("{path}/{n}"))),
            _ => assert_eq!(path, "/v", "{path} stands without a source"),
        }
    }
    for (name, path) in trees() {
        walk(&serde_json::to_value(collect(&path)).expect("it is data"), "");
        println!("{name}: read");
    }
}

#[test]
fn this_machine_can_be_read() {
    let found = collect(Path::new("/"));
    assert!(found.memory.total_bytes.value().is_some(), "{:?}", found.memory);
    assert!(
        found.processor.logical_processors.value().is_some(),
        "{:?}",
        found.processor
    );
}

#[test]
fn an_empty_folder_is_a_machine_of_which_nothing_is_known() {
    let empty = tempfile::tempdir().expect("a folder");
    let found = collect(empty.path());
    assert!(found.accelerators.is_empty() && found.disks.is_empty());
    assert!(matches!(found.memory.total_bytes, Reading::Missing { missing } if missing == "/proc/meminfo: not there"));
}

#[test]
fn j05_an_accelerator_that_lies_or_vanishes_is_reported_as_it_is_found() {
    let work = tempfile::tempdir().expect("a folder");
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(tree("constructed/nvidia-h100"))
        .arg(work.path().join("tree"))
        .status()
        .expect("cp runs");
    assert!(copied.success());
    let root = work.path().join("tree");
    let before = collect(&root);
    let count = before.accelerators.len();
    assert!(count > 0);
    let devices = root.join("sys/bus/pci/devices");
    let device = std::fs::read_dir(&devices)
        .expect("devices")
        .flatten()
        .find(|entry| {
            std::fs::read_to_string(entry.path().join("vendor")).is_ok_and(|vendor| vendor.trim() == "0x10de")
        })
        .expect("the card")
        .path();
    // Somebody writes another maker's numbers: they are read, and the driver's own facts no longer fit them.
    std::fs::write(device.join("device"), "0xffff\n").expect("written");
    let lying = collect(&root);
    assert_eq!(lying.accelerators.len(), count);
    assert_ne!(
        serde_json::to_value(&lying.accelerators).expect("data"),
        serde_json::to_value(&before.accelerators).expect("data"),
        "the change shows"
    );
    // The memory of a card is said by its driver's library or not at all: nothing in the tree can claim it.
    assert!(lying.accelerators.iter().all(|one| one.memory_bytes.value().is_none()));
    // Pulled out while it ran.
    std::fs::rename(&device, work.path().join("gone")).expect("moved");
    assert_eq!(collect(&root).accelerators.len(), count - 1);
}
