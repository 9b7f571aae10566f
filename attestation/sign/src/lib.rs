//! Signing, offline: model signatures, bills of materials, and the publisher's release repository.
//!
//! Refuses to sign what it has not been shown verified where that can be shown (a model is published only with its checked
//! files, manifest and bill), and to overwrite a key. The one invariant: private keys are files with mode 0600, and never
//! leave the publisher's folder.

pub mod bom;
pub mod certificate;
pub mod files;
pub mod model;
pub mod pcr_policy;
pub mod repository;
