//! Models: who signed them, what they are made of, what one may do with them, where they run.
//!
//! Refuses to show a model without its signer. Invariant: "this model" is a digest; name and version are its labels.

use askama::Template;
use freehold_protocol::status::{ModelPhase, VerdictWord};
use serde::{Deserialize, Serialize};

use crate::shell::{Fault, Fingerprint, Shell};

/// `GET /models`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModelsPage {
    /// The frame.
    pub shell: Shell,
    /// The models of the repository, by name, newest version first.
    pub rows: Vec<ModelRow>,
    /// The command that publishes one, shown when there is none.
    pub publish_command: String,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModelRow {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Root digest of its signature, hex.
    pub digest: String,
    /// Name of the signer as policy names it; empty when policy has none.
    pub signer: String,
    /// Fingerprint of the signer's key, hex.
    pub signer_fingerprint: String,
    /// Licence as SPDX expression.
    pub licence: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// When it was released, unix seconds.
    pub released: Option<i64>,
    /// Why it was revoked; `None` when it was not.
    pub revoked: Option<String>,
    /// Boxes on which it serves.
    pub serving: u32,
    /// Boxes to which it is assigned.
    pub assigned: u32,
    /// Boxes that refused it.
    pub refused: u32,
}

/// `GET /models/NAME/VERSION`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModelPage {
    /// The frame.
    pub shell: Shell,
    /// What the table says about it.
    pub row: ModelRow,
    /// Faults found in it by the console, or that boxes reported.
    pub faults: Vec<Fault>,
    /// The signer's key, and other digests to compare.
    pub fingerprints: Vec<Fingerprint>,
    /// How it was signed, for example `OpenSSF Model Signing, key`.
    pub signature_kind: String,
    /// Files.
    pub files: Vec<ModelFile>,
    /// Facts of its bill of materials, `(name, value)`, in order.
    pub bom: Vec<(String, String)>,
    /// The BOM's digest, hex; empty when there is no BOM.
    pub bom_digest: String,
    /// Hardware it asks for; empty for any.
    pub hardware: Vec<String>,
    /// It makes embeddings.
    pub embeddings: bool,
    /// Where it is.
    pub places: Vec<Place>,
    /// A command that verifies it without this console.
    pub verify_command: String,
}

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModelFile {
    /// Its path in the model.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256, hex.
    pub sha256: String,
}

/// One box that has or should have it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// The box's id.
    pub box_id: String,
    /// Its label; from outside.
    pub label: String,
    /// Its site.
    pub site: String,
    /// Its verdict.
    pub verdict: VerdictWord,
    /// Where the model stands there; `None` when only assigned.
    pub phase: Option<ModelPhase>,
    /// Refusal code or sentence; empty when none.
    pub reason: String,
}

#[derive(Template)]
#[template(path = "models.html")]
struct List<'a> {
    m: &'a ModelsPage,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "model.html")]
struct One<'a> {
    m: &'a ModelPage,
    shell: &'a Shell,
}

impl ModelsPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&List {
            m: self,
            shell: &self.shell,
        })
    }
}

impl ModelPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&One {
            m: self,
            shell: &self.shell,
        })
    }
}
