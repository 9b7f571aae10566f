//! Finding the data partition: by type and name, on the disk that was booted.
//!
//! Refuses to choose where there is a choice. Invariant: a disk without a valid partition table is no candidate.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use freehold_verify::sealing::partition::TABLE;
use freehold_verify::sealing::{SealRejection, parse_gpt};

use crate::arguments::Places;
use crate::firmware::boot_partition;
use crate::stop::Stop;

/// How long one look waits for the next, while disks appear.
const PAUSE: Duration = Duration::from_millis(200);

/// A disk's data partition.
struct Candidate {
    node: PathBuf,
    booted: bool,
}

/// The node of the data partition; waits for it as long as `places` says.
pub fn data_partition(places: &Places) -> Result<PathBuf, Stop> {
    if let Some(device) = &places.device {
        return Ok(device.clone());
    }
    let booted = boot_partition(&places.efivars);
    let end = Instant::now() + Duration::from_secs(places.wait);
    loop {
        let found = candidates(places, booted.as_deref());
        let late = Instant::now() >= end;
        match choose(found) {
            Err(SealRejection::NoPartition) if !late => thread::sleep(PAUSE),
            chosen => return Ok(chosen?),
        }
    }
}

fn choose(found: Vec<Candidate>) -> Result<PathBuf, SealRejection> {
    let count = found.len();
    let (mut here, mut elsewhere): (Vec<_>, Vec<_>) = found.into_iter().partition(|candidate| candidate.booted);
    match (here.pop(), here.is_empty(), elsewhere.pop(), elsewhere.is_empty()) {
        (Some(one), true, _, _) | (None, _, Some(one), true) => Ok(one.node),
        (None, _, None, _) => Err(SealRejection::NoPartition),
        _ => Err(SealRejection::ManyPartitions(count)),
    }
}

fn candidates(places: &Places, booted: Option<&str>) -> Vec<Candidate> {
    let mut found = Vec::new();
    let Ok(disks) = fs::read_dir(&places.disks) else {
        return found;
    };
    for disk in disks.flatten() {
        let mut table = Vec::new();
        let read = File::open(places.nodes.join(disk.file_name()))
            .and_then(|file| file.take(TABLE as u64).read_to_end(&mut table));
        let Some(partitions) = read.ok().and_then(|_| parse_gpt(&table)) else {
            continue;
        };
        let is_booted = partitions
            .iter()
            .any(|partition| booted == Some(partition.id.to_string().as_str()));
        for partition in partitions.iter().filter(|partition| partition.is_data()) {
            if let Some(node) = node_of(&disk.path(), partition.number) {
                found.push(Candidate {
                    node: places.nodes.join(node),
                    booted: is_booted,
                });
            }
        }
    }
    found
}

/// The kernel's name of a disk's partition.
fn node_of(disk: &Path, number: u32) -> Option<PathBuf> {
    fs::read_dir(disk).ok()?.flatten().find_map(|entry| {
        let text = fs::read_to_string(entry.path().join("partition")).ok()?;
        (text.trim() == number.to_string()).then(|| PathBuf::from(entry.file_name()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_that_was_booted_decides_and_nothing_else_does() {
        let candidate = |name: &str, booted| Candidate {
            node: PathBuf::from(name),
            booted,
        };
        let chosen = |list| choose(list);
        assert_eq!(chosen(vec![]), Err(SealRejection::NoPartition));
        assert_eq!(chosen(vec![candidate("a", false)]), Ok(PathBuf::from("a")));
        assert_eq!(
            chosen(vec![candidate("a", false), candidate("b", true)]),
            Ok(PathBuf::from("b"))
        );
        for two in [false, true] {
            let list = vec![candidate("a", two), candidate("b", two)];
            assert_eq!(chosen(list), Err(SealRejection::ManyPartitions(2)));
        }
    }
}
