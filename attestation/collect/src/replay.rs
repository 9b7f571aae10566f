//! Replaying a boot log into a software TPM: a process has no measured boot of its own.
//!
//! Refuses to touch PCRs that hold something which is not the beginning of this log. Invariant: a replay that was cut off
//! goes on where it stopped, because each PCR's value says how many of its events it has seen.

use std::collections::BTreeMap;

use freehold_trust::{Sha256Digest, Sha256Hasher};

/// One event of a boot log, as far as the TPM is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootEvent {
    /// PCR index, 0 to 15: the ones that only a power cycle resets.
    pub pcr: u8,
    /// The digest of the SHA-256 bank.
    pub sha256: Sha256Digest,
}

/// What a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed {
    /// So many events were extended now.
    Extended(usize),
    /// All of them were there before.
    Already,
    /// A PCR holds something else; nothing was extended.
    Foreign {
        /// The first such PCR.
        pcr: u8,
    },
}

/// The value of a PCR after `digest` was extended into `value` (TPM 2.0 Part 1, section 17.2).
fn extended(value: Sha256Digest, digest: Sha256Digest) -> Sha256Digest {
    let mut hasher = Sha256Hasher::new();
    hasher.update(value.as_bytes());
    hasher.update(digest.as_bytes());
    hasher.finish()
}

/// The events that are still to be extended into PCRs with the given `values`, in the log's order; or the PCR that holds
/// something else.
pub(crate) fn missing(events: &[BootEvent], values: &BTreeMap<u8, Sha256Digest>) -> Result<Vec<BootEvent>, u8> {
    let mut seen: BTreeMap<u8, usize> = BTreeMap::new();
    for (pcr, value) in values {
        let mut running = Sha256Digest::from_bytes([0; 32]);
        let mut count = 0;
        let mut found = (running == *value).then_some(0);
        for event in events.iter().filter(|event| event.pcr == *pcr) {
            running = extended(running, event.sha256);
            count += 1;
            if running == *value {
                found = Some(count);
            }
        }
        seen.insert(*pcr, found.ok_or(*pcr)?);
    }
    let mut left = Vec::new();
    for event in events {
        match seen.get_mut(&event.pcr) {
            Some(skip) if *skip > 0 => *skip -= 1,
            _ => left.push(event.clone()),
        }
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(pcr: u8, n: u8) -> BootEvent {
        BootEvent {
            pcr,
            sha256: Sha256Digest::from_bytes([n; 32]),
        }
    }

    #[test]
    fn a_replay_goes_on_where_it_stopped() {
        let events = [event(0, 1), event(4, 2), event(0, 3), event(4, 2)];
        let zero = Sha256Digest::from_bytes([0; 32]);
        let mut values = BTreeMap::from([(0, zero), (4, zero)]);
        for at in 0..events.len() {
            assert_eq!(missing(&events, &values).unwrap(), &events[at..], "{at}");
            let value = values.get_mut(&events[at].pcr).unwrap();
            *value = extended(*value, events[at].sha256);
        }
        assert_eq!(missing(&events, &values).unwrap(), []);
        values.insert(4, Sha256Digest::from_bytes([9; 32]));
        assert_eq!(missing(&events, &values), Err(4));
    }
}
