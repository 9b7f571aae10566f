//! Model signatures: OpenSSF Model Signing 1.0 bundles, by key, by certificate chain, or keyless through sigstore.
//!
//! Refuses anything whose bytes were not signed: the payload is verified as it stands, then read; never re-serialised.
//! Stricter than the reference implementation where that one is lenient (expired certificates, server certificates, a
//! missing hint, shards, ignored paths). Invariant: what runs is what [`ModelManifest::files`] lists, and nothing else.

mod bundle;
mod check;
mod keyless;
pub(crate) mod name;
mod rejection;
mod signer;
mod statement;

pub use bundle::{MAX_BUNDLE, MEDIA_TYPE, PAYLOAD_TYPE};
pub use check::{CheckedFile, CheckedFiles, Entry, EntryKind, ModelCheck};
pub use keyless::{KeylessIdentity, KeylessTrust};
pub use name::MAX_NAME;
pub use rejection::ModelRejection;
pub use signer::{Signer, SignerTrust, key_hint};
pub use statement::{DEFAULT_IGNORED, MAX_FILES, ModelFile, PREDICATE_TYPE, STATEMENT_TYPE};

use freehold_trust::digest::Sha256Digest;
use serde::Serialize;

use crate::verified::Verified;

/// What a model signature says, after it was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelManifest {
    /// The name of the folder that was signed; informative, nothing depends on it.
    pub name: String,
    /// SHA-256 over the files' digests in their listed order: what the model is known by.
    pub root: Sha256Digest,
    /// The signed files.
    pub files: Vec<ModelFile>,
    /// Paths that the signer left out. Nothing there is ever stored or shown to an engine.
    pub ignored: Vec<String>,
    /// Whose signature it is.
    pub signer: Signer,
}

/// Verifies a bundle against `trust` at `now` (unix seconds).
///
/// The order is: form, signer, signature, then the signed statement. A code about the statement therefore means that a
/// trusted signer signed it so.
///
/// # Errors
/// [`ModelRejection`]; see its codes.
pub fn verify_bundle(bytes: &[u8], trust: &SignerTrust, now: i64) -> Result<Verified<ModelManifest>, ModelRejection> {
    let bundle = bundle::Bundle::parse(bytes)?;
    let signer = signer::authenticate(bytes, &bundle, trust, now)?;
    let statement = statement::Statement::parse(&bundle.payload, &trust.tolerated_ignores)?;
    Ok(Verified::seal(ModelManifest {
        name: statement.name,
        root: statement.root,
        files: statement.files,
        ignored: statement.ignored,
        signer,
    }))
}

/// Whether `name` may stand in a model's file list (relative, plain, bounded); what signing tools ask before they sign.
///
/// # Errors
/// [`ModelRejection::FileName`].
pub fn check_file_name(name: &str) -> Result<(), ModelRejection> {
    name::check(name)
}
