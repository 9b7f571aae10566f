//! Trust cases of models and releases, each test named by its case; every refusal is asserted by its code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod bom;
mod bundle;
mod certificate;
mod document;
mod folder;
mod judges;
mod lease;
mod manifest;
mod metadata;
mod publisher;
mod release;
mod world;
