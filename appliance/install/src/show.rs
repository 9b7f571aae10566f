//! Disks and plans as a person reads them, in 79 columns of ASCII.
//!
//! Refuses to leave out what is lost. Invariant: a disk that cannot be chosen is shown all the same, with the reason.

use freehold_verify::rejection::Refusal as _;

use crate::disk::Candidate;
use crate::image::Image;
use crate::plan::{Plan, Step, eligible};

/// Bytes as people read them on a disk: `931 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    for (unit, of) in [
        ("TiB", 1_u64 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ] {
        let (whole, tenths) = (bytes / of, bytes.saturating_mul(10) / of % 10);
        if whole > 0 {
            return if whole < 10 {
                format!("{whole}.{tenths} {unit}")
            } else {
                format!("{whole} {unit}")
            };
        }
    }
    format!("{bytes} bytes")
}

/// What a device says of itself, without what a terminal would obey.
fn clean(text: &str) -> String {
    let text = text.chars().take(60);
    text.map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
        .collect()
}

/// Words in lines of at most 78 characters.
pub(crate) fn wrap(text: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        if column > 0 && column + 1 + word.len() > 78 {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.len();
    }
    out
}

/// The disks with what is on them.
pub(crate) fn disks(disks: &[Candidate], image: &Image) -> String {
    let mut out = String::new();
    for disk in disks {
        let model = disk.model.as_deref().map_or_else(|| "model not said".to_owned(), clean);
        let removable = if disk.removable { ", removable" } else { "" };
        out.push_str(&format!("  {}  {}, {model}{removable}\n", disk.name, size(disk.size)));
        let serial = disk.serial.as_deref().map_or_else(|| "not said".to_owned(), clean);
        out.push_str(&format!("      serial  {serial}\n"));
        if disk.holds.is_empty() {
            out.push_str("      holds   nothing that is known\n");
        }
        for (number, line) in disk.holds.iter().take(6).enumerate() {
            let name = if number == 0 { "holds " } else { "      " };
            out.push_str(&format!("      {name}  {}\n", clean(line)));
        }
        if disk.holds.len() > 6 {
            out.push_str(&format!("              and {} more\n", disk.holds.len() - 6));
        }
        if let Err(rejection) = eligible(disk, image) {
            out.push_str(&format!("      not this one: {rejection} ({})\n", rejection.code()));
        }
    }
    out
}

/// The whole plan before it is executed.
pub(crate) fn plan(plan: &Plan) -> String {
    let disk = &plan.disk;
    let mut out = format!(
        "Disk    {}, {}, serial {}\n",
        disk.name,
        size(disk.size),
        disk.serial.as_deref().map(clean).unwrap_or_default()
    );
    if disk.holds.is_empty() {
        out.push_str("Lost    everything on it; nothing is known to be on it\n");
    }
    for (number, line) in disk.holds.iter().enumerate() {
        let name = if number == 0 { "Lost  " } else { "      " };
        out.push_str(&format!("{name}  {}\n", clean(line)));
    }
    out.push_str(&format!(
        "Image   {}, {} to copy\n",
        clean(&plan.image),
        size(plan.bytes)
    ));
    match &plan.sha256 {
        Some(sha256) => out.push_str(&format!("        SHA-256 must be {sha256}\n")),
        None => out.push_str("        SHA-256 is not known beforehand; it is shown at the end\n"),
    }
    out.push_str(&format!(
        "Left    {} for models, made at the first start\n",
        size(plan.left)
    ));
    for (number, step) in plan.steps.iter().enumerate() {
        let step = match step {
            Step::Erase { first, length } => format!("erase {} at byte {first}", size(*length)),
            Step::Copy(copy) => format!("copy {} `{}`, {}", copy.what, clean(&copy.name), size(copy.length)),
            Step::Flush => "wait until the disk has everything".to_owned(),
            Step::ReadBack => "read the copies back and compare SHA-256".to_owned(),
            Step::WriteTail => "write the second partition table".to_owned(),
            Step::WriteHead => "write the first MiB: from here on the disk boots".to_owned(),
            Step::Restart => "restart".to_owned(),
        };
        out.push_str(&format!("  {:>2}. {step}\n", number + 1));
    }
    out
}
