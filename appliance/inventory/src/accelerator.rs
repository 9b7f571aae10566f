//! Accelerators: display controllers, processing accelerators, and whatever the kernel's DRM or accel class serves.
//!
//! Refuses to open a device: it reads what the kernel says about it. Invariant: a device is named by its PCI address.

mod name;

use serde::{Deserialize, Serialize};

use crate::nvml::Nvml;
use crate::reading::Reading;
use crate::tree::Tree;
use name::Names;

/// One accelerator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accelerator {
    /// Its PCI address, `0000:41:00.0`.
    pub address: Reading<String>,
    /// Its vendor's name.
    pub vendor: Reading<String>,
    /// Its own name.
    pub name: Reading<String>,
    /// Vendor and device id, `10de:2331`.
    pub id: Reading<String>,
    /// What its PCI class says it is.
    pub kind: Reading<String>,
    /// The kernel driver bound to it.
    pub driver: Reading<String>,
    /// The version that the driver says it has.
    pub driver_version: Reading<String>,
    /// The files in `/dev` that an engine needs to use it.
    pub nodes: Reading<Vec<String>>,
    /// Its own memory, bytes.
    pub memory_bytes: Reading<u64>,
    /// Its own memory in use, bytes.
    pub memory_used_bytes: Reading<u64>,
    /// Power that it draws now, watts.
    pub power_watts: Reading<u64>,
    /// Its temperature now, degrees Celsius.
    pub temperature_celsius: Reading<u64>,
    /// Its PCI link as it runs now, for example `32.0 GT/s PCIe, 16 lanes`.
    pub link: Reading<String>,
    /// The memory node nearest to it.
    pub memory_node: Reading<String>,
}

const DEVICES: &str = "/sys/bus/pci/devices";
/// PCI Code and ID Assignment 1.16, section 1: base class 03h display controller, 12h processing accelerator.
const DISPLAY: u32 = 0x03;
const PROCESSING: u32 = 0x12;

pub(crate) fn read(tree: &Tree, nvml: &Nvml) -> Vec<Accelerator> {
    let mut names = Names::of(tree);
    tree.names(DEVICES)
        .into_iter()
        .filter_map(|address| one(tree, nvml, &mut names, &address))
        .collect()
}

fn one(tree: &Tree, nvml: &Nvml, names: &mut Names, address: &str) -> Option<Accelerator> {
    let folder = format!("{DEVICES}/{address}");
    let at = |rest: &str| format!("{folder}/{rest}");
    // Linux Documentation/ABI/testing/sysfs-bus-pci: `class` is 0xCCSSPP.
    let class = tree.hex(&at("class"));
    let base = class.value().map(|class| class >> 16);
    let nodes = nodes(tree, &folder);
    if !matches!(base, Some(DISPLAY | PROCESSING)) && !tree.has(&at("accel")) {
        return None;
    }
    let vendor = tree.hex(&at("vendor"));
    let device = tree.hex(&at("device"));
    let id = match (vendor.value(), device.value()) {
        (Some(v), Some(d)) => Reading::of(format!("{v:04x}:{d:04x}"), format!("{folder}/vendor and device")),
        _ => Reading::missing(format!("{folder}: no vendor or no device id")),
    };
    let (vendor, name) = names.look_up(vendor.value().copied(), device.value().copied());
    let driver = tree.link_name(&at("driver"));
    let is_nvidia = driver.value().is_some_and(|driver| driver == "nvidia");
    let told = nvml.device(address);
    let ask = |what: &str, value: Option<u64>| match (is_nvidia, value) {
        (true, Some(value)) => Reading::of(value, format!("NVML, {what}")),
        (true, None) => Reading::missing(format!("NVML, {what}: {}", nvml.reason())),
        (false, _) => Reading::missing(format!("{folder}: its driver does not say")),
    };
    let sensor = |file: &str, unit: u64| hwmon(tree, &folder, file).then("a number", |number| Some(number / unit));
    Some(Accelerator {
        address: Reading::of(address.to_owned(), folder.clone()),
        vendor,
        name: match told.and_then(|told| told.name.clone()) {
            Some(name) => Reading::of(name, "NVML, name"),
            None => name,
        },
        id,
        kind: class.then("a known class", |class| kind(class).map(str::to_owned)),
        driver,
        driver_version: match nvml.driver_version().filter(|_| is_nvidia) {
            Some(version) => Reading::of(version.to_owned(), "NVML, driver version"),
            // Linux Documentation/ABI/stable/sysfs-module: a driver in the kernel's tree has the kernel's version and no file.
            None => tree.text(&at("driver/module/version")),
        },
        nodes,
        // Linux Documentation/gpu/amdgpu/driver-misc: `mem_info_vram_total` and `mem_info_vram_used`, bytes.
        memory_bytes: tree
            .number(&at("mem_info_vram_total"))
            .or(|| ask("memory total", told.and_then(|told| told.memory_bytes))),
        memory_used_bytes: tree
            .number(&at("mem_info_vram_used"))
            .or(|| ask("memory used", told.and_then(|told| told.memory_used_bytes))),
        // Linux Documentation/hwmon/sysfs-interface: `power1_*` in microwatts, `temp1_input` in thousandths of a degree.
        power_watts: sensor("power1_average", 1_000_000)
            .or(|| sensor("power1_input", 1_000_000))
            .or(|| ask("power", told.and_then(|told| told.power_watts))),
        temperature_celsius: sensor("temp1_input", 1_000)
            .or(|| ask("temperature", told.and_then(|told| told.temperature_celsius))),
        link: link(tree, &folder),
        memory_node: tree
            .text(&at("numa_node"))
            .then("a node; -1 means that firmware does not say", |node| {
                (node != "-1").then_some(node)
            }),
    })
}

/// The files in `/dev` of its DRM and accel children (Linux `Documentation/gpu/drm-uapi`, `Documentation/accel/introduction`).
fn nodes(tree: &Tree, folder: &str) -> Reading<Vec<String>> {
    let mut nodes: Vec<String> = Vec::new();
    for name in tree.names(&format!("{folder}/drm")) {
        if name.starts_with("card") || name.starts_with("renderD") {
            nodes.push(format!("/dev/dri/{name}"));
        }
    }
    for name in tree.names(&format!("{folder}/accel")) {
        nodes.push(format!("/dev/accel/{name}"));
    }
    if nodes.is_empty() {
        return Reading::missing(format!("{folder}: no drm and no accel child"));
    }
    Reading::of(nodes, format!("{folder}/drm and accel"))
}

fn hwmon(tree: &Tree, folder: &str, file: &str) -> Reading<u64> {
    for name in tree.names(&format!("{folder}/hwmon")) {
        let path = format!("{folder}/hwmon/{name}/{file}");
        if tree.has(&path) {
            return tree.number(&path);
        }
    }
    Reading::missing(format!("{folder}/hwmon: no `{file}`"))
}

fn link(tree: &Tree, folder: &str) -> Reading<String> {
    let width = tree.number(&format!("{folder}/current_link_width"));
    match width.value() {
        Some(width) => tree
            .text(&format!("{folder}/current_link_speed"))
            .then("a speed", |speed| Some(format!("{speed}, {width} lanes"))),
        None => Reading::missing(format!("{folder}: no current_link_width")),
    }
}

/// PCI Code and ID Assignment 1.16, sections 1.4 and 1.19.
const fn kind(class: u32) -> Option<&'static str> {
    match (class >> 8) & 0xffff {
        0x0300 => Some("display controller, VGA"),
        0x0302 => Some("3D controller"),
        0x0380 => Some("display controller"),
        0x1200 => Some("processing accelerator"),
        _ => None,
    }
}
