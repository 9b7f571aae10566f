//! Releases: what the publisher signed offline, as TUF metadata, a descriptor for each release, and revocations.
//!
//! Refuses rollback across restarts, expired metadata, two names for one key, delegations, and releases that are revoked,
//! older than what is installed, or older than the floor. Expiry stops what is new, never what runs. Invariant:
//! `Verified<Release>` exists only for a descriptor that the offline keys list, with all its files.

mod chunk;
mod descriptor;
mod metadata;
mod rejection;
mod repository;
mod revocation;
mod select;
mod system;
mod target;

pub use chunk::ChunkCheck;
pub use descriptor::{
    CHUNK_SIZE, DESCRIPTOR_NAME, MAX_DESCRIPTOR, ReleaseDescriptor, ReleaseFile, ReleaseKind, SELF_TEST, chunk_count,
};
pub use metadata::{
    MetadataError, RoleSigners, RootDescription, UnsignedMetadata, metadata_version, root_metadata, sign_timestamp,
    snapshot_metadata, targets_metadata, unverified_expiry, unverified_targets,
};
pub use rejection::ReleaseRejection;
pub use repository::{MetadataPin, RepositoryState, StoredMetadata, TrustedRepository};
pub use revocation::{REVOCATIONS_NAME, RevocationList, Revocations, verify_revocations};
pub use select::{InstalledReleases, Release, select_release};
pub use system::{MAX_SYSTEM, SYSTEM_FILES, SYSTEM_KERNEL, SYSTEM_NAME, SYSTEM_ROOT, SYSTEM_VERITY, SystemRelease};
pub use target::{TargetInfo, Targets, check_target_name, consistent_name};
