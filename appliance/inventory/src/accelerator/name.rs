//! Names of PCI vendors and devices, from the list that the machine carries.
//!
//! Refuses to fetch a list. Invariant: the ids stand beside every name.

use std::io::Cursor;

use pciid_parser::Database;

use crate::reading::Reading;
use crate::tree::Tree;

/// Where distributions keep the list (pci.ids(5)); Debian's first.
const LISTS: [&str; 2] = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"];

/// Vendors that are told apart without the list (PCI-SIG member ids).
const VENDORS: [(u32, &str); 4] = [
    (0x10de, "NVIDIA"),
    (0x1002, "AMD"),
    (0x8086, "Intel"),
    (0x1da3, "Habana Labs"),
];

/// The list, read when it is first needed.
pub(crate) struct Names<'a> {
    tree: &'a Tree,
    list: Option<Result<(Database, &'static str), String>>,
}

impl<'a> Names<'a> {
    pub(crate) const fn of(tree: &'a Tree) -> Self {
        Self { tree, list: None }
    }

    /// The names of a vendor and of its device.
    pub(crate) fn look_up(&mut self, vendor: Option<u32>, device: Option<u32>) -> (Reading<String>, Reading<String>) {
        let ids = (
            vendor.and_then(|id| u16::try_from(id).ok()),
            device.and_then(|id| u16::try_from(id).ok()),
        );
        let (Some(vendor), Some(device)) = ids else {
            return (Reading::missing("no vendor id"), Reading::missing("no device id"));
        };
        let tree = self.tree;
        let list = self.list.get_or_insert_with(|| load(tree));
        let known = VENDORS
            .iter()
            .find(|(id, _)| *id == u32::from(vendor))
            .map(|(_, name)| (*name).to_owned());
        let built_in = |reason: String| match known {
            Some(name) => Reading::of(name, "PCI-SIG member id, built in"),
            None => Reading::missing(reason),
        };
        match list {
            Ok((list, path)) => match list.vendors.get(&vendor) {
                Some(found) => {
                    let device = match found.devices.get(&device) {
                        Some(device) => Reading::of(device.name.clone(), *path),
                        None => Reading::missing(format!("{path} does not know {vendor:04x}:{device:04x}")),
                    };
                    (Reading::of(found.name.clone(), *path), device)
                }
                None => (
                    built_in(format!("{path} does not know {vendor:04x}")),
                    Reading::missing(format!("{path} does not know {vendor:04x}")),
                ),
            },
            Err(reason) => (built_in(reason.clone()), Reading::missing(reason.clone())),
        }
    }
}

fn load(tree: &Tree) -> Result<(Database, &'static str), String> {
    let path = LISTS
        .into_iter()
        .find(|path| tree.has(path))
        .ok_or("no pci.ids on this machine")?;
    let text = tree.large_text(path).ok_or(format!("{path} may not be read"))?;
    let list = Database::parse_db(Cursor::new(text)).map_err(|_| format!("{path} is not a list of PCI ids"))?;
    Ok((list, path))
}
