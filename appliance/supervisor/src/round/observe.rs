//! What a plan is made of: everything that is seen on the box before it.
//!
//! Refuses to guess: what could not be read is not there. Invariant: nothing is changed here.

use std::collections::BTreeMap;

use freehold_execute::Admitted;
use freehold_plan::{Observed, Permission, StoredFile, StoredModel, WaitingOn};
use freehold_protocol::enrol::EnrolState;
use freehold_trust::Sha256Digest;
use freehold_verify::Verified;
use freehold_verify::release::Release;

use crate::desired::taken_back;
use crate::fault::Fault;
use crate::supervisor::Supervisor;

impl Supervisor {
    fn permission(&self) -> Permission {
        if self.enrolment != EnrolState::Approved {
            return Permission::Keep(if self.status.console == "ok" {
                WaitingOn::Approval
            } else {
                WaitingOn::Console
            });
        }
        if !self.verdict.allows_change() {
            return Permission::Keep(WaitingOn::Verdict);
        }
        // A box that lives by sticks has its console while one is in.
        let away = self.only_by_stick() && self.sticks.courier.is_none();
        if away || self.status.console == "console.away" {
            return Permission::Keep(WaitingOn::Console);
        }
        if self.aim.expired {
            return Permission::Keep(WaitingOn::Metadata);
        }
        Permission::Change
    }

    pub(super) fn observe(&mut self) -> Result<Observed, Fault> {
        let stored = self.store.stored()?;
        let revocations = self
            .repository
            .as_ref()
            .and_then(|repository| repository.listing.as_ref())
            .map(|listing| &listing.revocations);
        let mut observed = Observed::empty(self.store.free_bytes()?);
        observed.permission = self.permission();
        observed.hardware.clone_from(&self.settings.hardware);
        observed.failed.clone_from(&self.pursuit.failed);
        observed.runs.clone_from(&self.runs);
        observed.told.clone_from(&self.pursuit.told);
        for (release, admitted) in &stored {
            if let Some(report) = revocations.and_then(|revocations| taken_back(revocations, admitted)) {
                observed.revoked.insert(*release, report);
            }
            let Admitted {
                root,
                name,
                version,
                embeddings,
                files,
                ..
            } = admitted.clone();
            let stored = StoredModel {
                root,
                name,
                version,
                embeddings,
                bytes: files.iter().map(|file| file.length).sum(),
            };
            observed.stored.insert(*release, stored);
        }
        observed.confirmed = self.health.confirmed();
        observed.standing = self.health.standing(&stored);
        for release in self.store.unfinished()? {
            let mut files = BTreeMap::new();
            let model = self.aim.desired.models.get(&release).map(|model| &model.files);
            let system = self
                .aim
                .desired
                .system
                .as_ref()
                .filter(|system| system.release == release);
            if let (Some(wanted), Some(signed)) = (
                model.or_else(|| system.map(|system| &system.files)),
                self.aim.releases.get(&release),
            ) {
                match self.downloads.there(&self.store, &release, wanted) {
                    Some(there) => files = there,
                    None => self.downloads.look(&self.store, wanted, signed),
                }
            }
            observed.staged.insert(release, files);
        }
        for (release, signed) in &self.aim.releases {
            if !stored.contains_key(release) {
                observed.at_hand.insert(*release, self.at_hand(signed, &stored));
            }
        }
        observed.fetching = self.downloads.under_way();
        observed.engines = self.engines.observe();
        observed.spare_engine = self.spare_engine();
        observed.system = self.system.observe();
        self.status.system.clone_from(&observed.system);
        Ok(observed)
    }

    /// Whether the kernel has the memory that one more engine may take.
    fn spare_engine(&self) -> bool {
        let table = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        available(&table).is_some_and(|kib| kib >> 10 >= self.settings.memory)
    }

    /// The files of a release whose bytes the store has already.
    fn at_hand(
        &self,
        release: &Verified<Release>,
        stored: &BTreeMap<Sha256Digest, Admitted>,
    ) -> BTreeMap<String, StoredFile> {
        let mut there = BTreeMap::new();
        for (other, admitted) in stored {
            for have in admitted.files.iter().filter(|have| !self.spoilt.contains(&have.sha256)) {
                let mut same = (release.descriptor.files.iter())
                    .filter(|file| file.sha256 == have.sha256 && file.length == have.length);
                if let Some(file) = same.next() {
                    let from = StoredFile {
                        root: admitted.root,
                        release: *other,
                        path: have.path.clone(),
                        sha256: have.sha256,
                    };
                    there.insert(file.path.clone(), from);
                }
            }
        }
        there
    }
}

/// KiB that programs could still take, in `/proc/meminfo` (proc(5)).
fn available(table: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_left_is_the_kernels_own_figure_or_unknown() {
        let table = "MemTotal:       16301020 kB\nMemFree:          812344 kB\nMemAvailable:    9437184 kB\n";
        assert_eq!(available(table), Some(9_437_184));
        for unknown in ["", "MemAvailable: many kB", "MemAvailable: 12 MB", "MemFree: 12 kB"] {
            assert_eq!(available(unknown), None, "{unknown}");
        }
    }
}
