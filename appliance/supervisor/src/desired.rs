//! From an assignment to a desired state: each target looked up in the verified targets, judged, and either wanted or refused.
//!
//! Refuses to take away anything on the word of an assignment that cannot be read in full. Invariant: a target that is
//! neither wanted nor refused does not exist.

use std::collections::BTreeMap;

use freehold_execute::Admitted;
use freehold_plan::{Desired, WantedModel, WantedSystem};
use freehold_trust::Sha256Digest;
use freehold_verify::document::{AssignedTarget, Assignment};
use freehold_verify::release::{
    InstalledReleases, Release, ReleaseKind, ReleaseRejection, Revocations, select_release,
};
use freehold_verify::{Refusal as _, RefusalReport, Verified};

use crate::console::Console;
use crate::fault::Fault;
use crate::policy::descriptor;
use crate::repository::Listing;
use crate::state::State;

/// What the box aims at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Aim {
    /// For the planner.
    pub(crate) desired: Desired,
    /// The verified releases, by digest of their descriptor.
    pub(crate) releases: BTreeMap<Sha256Digest, Verified<Release>>,
    /// Whether the metadata has expired: nothing new then.
    pub(crate) expired: bool,
}

/// By what an assignment is understood.
#[derive(Clone, Copy)]
pub(crate) struct Means<'a> {
    pub(crate) state: &'a State,
    /// Fetches descriptors that are not at hand.
    pub(crate) console: Option<&'a Console>,
    pub(crate) listing: &'a Listing,
    pub(crate) installed: &'a InstalledReleases,
    /// The releases in the store.
    pub(crate) kept: &'a BTreeMap<Sha256Digest, Admitted>,
    /// Unix seconds.
    pub(crate) now: i64,
    /// Whether the box is the operating system image: elsewhere a system in an assignment is refused.
    pub(crate) ours: bool,
}

/// Works out the aim. A descriptor that is not at hand is fetched; what lacks people's approval does not come.
///
/// # Errors
/// A fault that is no refusal, for example `console.away`: keep the last aim.
pub(crate) async fn aim(
    means: Means<'_>,
    assignment: &Verified<Assignment>,
    unapproved: Vec<(String, RefusalReport)>,
) -> Result<Aim, Fault> {
    let mut aim = Aim::default();
    aim.desired.ways_back = (assignment.fallback.iter()).map(|target| target.sha256).collect();
    aim.desired.assignment = Some(assignment.counter);
    aim.desired.refused.extend(unapproved);
    for assigned in &assignment.targets {
        if aim.desired.refused.contains_key(&assigned.name) {
            continue;
        }
        match one(means, assigned).await? {
            Ok(Found { release, expired }) => {
                aim.expired |= expired;
                match WantedModel::new(&release, &assigned.hardware) {
                    Some(model) if release.descriptor.kind == ReleaseKind::Model => {
                        aim.desired.models.insert(release.digest, model);
                        aim.releases.insert(release.digest, release);
                    }
                    _ if release.descriptor.kind == ReleaseKind::Os && means.ours => {
                        aim.desired.system = Some(WantedSystem::new(&release, &assigned.hardware));
                        aim.releases.insert(release.digest, release);
                    }
                    // The policy in force is the newest one, whether it is named or not.
                    _ if release.descriptor.kind == ReleaseKind::Policy => {}
                    _ => {
                        let (expected, found) = ("model or policy".to_owned(), release.descriptor.kind.to_string());
                        let report = ReleaseRejection::Kind { expected, found }.report();
                        aim.desired.refused.insert(assigned.name.clone(), report);
                    }
                }
            }
            Err(report) => {
                aim.desired.refused.insert(assigned.name.clone(), report);
            }
        }
    }
    // What the box may go back to is started by its signed release too. What is not at hand, or not allowed any more, is not.
    let at_hand = Means { console: None, ..means };
    for (digest, admitted) in means.kept {
        let Ok(info) = means.listing.targets.target(&admitted.target) else {
            continue;
        };
        let back = AssignedTarget {
            name: admitted.target.clone(),
            sha256: *digest,
            length: info.length,
            hardware: Vec::new(),
        };
        if !aim.releases.contains_key(digest)
            && let Ok(Ok(Found { release, .. })) = one(at_hand, &back).await
        {
            aim.releases.insert(*digest, release);
        }
    }
    Ok(aim)
}

struct Found {
    release: Verified<Release>,
    expired: bool,
}

async fn one(means: Means<'_>, assigned: &AssignedTarget) -> Result<Result<Found, RefusalReport>, Fault> {
    let Means {
        state,
        console,
        listing,
        installed,
        kept,
        now,
        ..
    } = means;
    let name = &assigned.name;
    let info = match listing.targets.target(name) {
        Ok(info) => info,
        Err(rejection) => return Ok(Err(rejection.report())),
    };
    if info.sha256 != assigned.sha256 || info.length != assigned.length {
        let (expected, found) = (Some(info.sha256), Some(assigned.sha256));
        return Ok(Err(ReleaseRejection::Hash {
            name: name.clone(),
            expected,
            found,
        }
        .report()));
    }
    let bytes = match (state.bytes(&format!("releases/{}.json", info.sha256))?, console) {
        (Some(bytes), _) if listing.targets.check(name, &bytes).is_ok() => bytes,
        (_, Some(console)) => match descriptor(state, console, listing, name).await {
            Ok(bytes) => bytes,
            Err(fault) if fault.code().starts_with("release.") => return Ok(Err(fault.report())),
            Err(fault) => return Err(fault),
        },
        (_, None) => {
            return Err(Fault::of(
                "console.away",
                format!("the descriptor of `{name}` is not at hand"),
            ));
        }
    };
    let select = |installed: &InstalledReleases, now| {
        select_release(&listing.targets, name, &bytes, &listing.revocations, installed, now)
    };
    let selected = match select(installed, now) {
        // What the box still keeps, because it ran it before, may be gone back to; floors and revocations hold all the same.
        Err(ReleaseRejection::Rollback { what, .. }) if kept.contains_key(&info.sha256) => {
            let mut without = installed.clone();
            without.counters.remove(&what);
            (select(&without, now), without)
        }
        other => (other, installed.clone()),
    };
    let (selected, installed) = selected;
    Ok(match selected {
        Ok(release) => Ok(Found {
            release,
            expired: false,
        }),
        // What is expired stays what it is: it is not taken anew, and what runs goes on.
        Err(ReleaseRejection::Expired { .. }) => select(&installed, i64::MIN)
            .map(|release| Found { release, expired: true })
            .map_err(|rejection| rejection.report()),
        Err(rejection) => Err(rejection.report()),
    })
}

/// Why a stored model must not run any more: revoked itself, its release or its signer, or below the floor.
pub(crate) fn taken_back(revocations: &Verified<Revocations>, admitted: &Admitted) -> Option<RefusalReport> {
    let list = &revocations.list;
    let line = format!("{}/{}", ReleaseKind::Model.folder(), admitted.name);
    if let Err(rejection) = revocations.check_root(admitted.root) {
        return Some(rejection.report());
    }
    let full = format!("{line}/{}", admitted.version);
    if list.releases.contains(&full) {
        return Some(ReleaseRejection::Revoked { what: full }.report());
    }
    if list.signers.contains(&admitted.signer) {
        return Some(
            ReleaseRejection::Revoked {
                what: format!("signer {}", admitted.signer),
            }
            .report(),
        );
    }
    let floor = list.floors.get(&line).copied().unwrap_or(0);
    let found = admitted.counter;
    (found < floor).then(|| {
        ReleaseRejection::Rollback {
            what: line,
            last: floor,
            found,
        }
        .report()
    })
}
