//! A usable policy set, parsed once.
//!
//! Refuses bundles in part: one policy that does not parse, does not fit the schema or lacks an annotation makes the whole
//! unusable. Invariant: every policy in a set has an id, a sentence, one action, and, when it forbids, a code.

use std::collections::BTreeMap;

use cedar_policy::{
    ActionConstraint, Effect, EntityId, EntityTypeName, EntityUid, PolicyId, Schema, ValidationMode, Validator,
};
use freehold_trust::{Sha256Digest, sha256};

use crate::bundle::{Bundle, BundleData};
use crate::console_facts::ConsoleFacts;
use crate::context::Facts;
use crate::decision::{Reason, Verdict};
use crate::evidence_facts::EvidenceFacts;
use crate::gateway_facts::GatewayFacts;
use crate::model_facts::ModelFacts;
use crate::rejection::PolicyUnusable;
use crate::run_facts::RunFacts;
use crate::shipped::{SCHEMA, shipped_policies};

mod ask;
mod depth;

/// The most policies of a bundle.
const POLICIES_LIMIT: usize = 500;

/// What is known about a policy beside its rule.
#[derive(Debug, Clone)]
struct Meta {
    reason: Reason,
    verdict: Option<Verdict>,
}

/// The policies of one action.
struct Chapter {
    action: EntityUid,
    principal: EntityUid,
    resource: EntityUid,
    policies: cedar_policy::PolicySet,
}

/// A policy of a set, for lists and tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySummary {
    /// Its id.
    pub id: String,
    /// The action that it is about.
    pub action: String,
    /// Its sentence.
    pub why: String,
    /// Its refusal code, when it forbids.
    pub code: Option<String>,
}

/// Policies, ready to decide.
pub struct PolicySet {
    name: String,
    version: String,
    digest: Sha256Digest,
    data: BundleData,
    schema: Schema,
    chapters: BTreeMap<String, Chapter>,
    metas: BTreeMap<String, Meta>,
}

impl std::fmt::Debug for PolicySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "PolicySet({} {}, {} policies, {})",
            self.name,
            self.version,
            self.metas.len(),
            self.digest
        )
    }
}

impl PolicySet {
    /// Reads a bundle, which the caller has verified to be a current release.
    ///
    /// # Errors
    /// [`PolicyUnusable`]; whoever gets it decides with [`PolicySet::unusable_evidence`] and [`PolicySet::unusable`].
    pub fn from_bundle(bytes: &[u8]) -> Result<Self, PolicyUnusable> {
        let bundle = Bundle::parse(bytes)?;
        let stand_ins = bundle.missing_files().unwrap_or_default();
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA).map_err(|error| PolicyUnusable::Policy {
            policy: "schema".to_owned(),
            fault: error.to_string(),
        })?;
        let mut set = Self {
            name: bundle.name,
            version: bundle.version,
            digest: sha256(bytes),
            data: bundle.data,
            schema,
            chapters: BTreeMap::new(),
            metas: BTreeMap::new(),
        };
        set.chapter::<EvidenceFacts>()?;
        set.chapter::<ModelFacts>()?;
        set.chapter::<RunFacts>()?;
        set.chapter::<GatewayFacts>()?;
        set.chapter::<ConsoleFacts>()?;
        for (file, text) in &bundle.policies {
            set.add_file(file, text)?;
        }
        if set.metas.is_empty() {
            return Err(PolicyUnusable::Empty);
        }
        let shipped = shipped_policies();
        for file in stand_ins {
            set.add_file(file, shipped.get(*file).map_or("", String::as_str))?;
        }
        let validator = Validator::new(set.schema.clone());
        for chapter in set.chapters.values() {
            let result = validator.validate(&chapter.policies, ValidationMode::Strict);
            if let Some(error) = result.validation_errors().next() {
                return Err(PolicyUnusable::Policy {
                    policy: error.policy_id().to_string(),
                    fault: error.to_string(),
                });
            }
        }
        Ok(set)
    }

    /// The shipped policies without a fleet's data: no signer and no licence is allowed by them.
    ///
    /// # Errors
    /// [`PolicyUnusable`] only when the build is broken; a test holds that.
    pub fn shipped(data: BundleData) -> Result<Self, PolicyUnusable> {
        Self::from_bundle(&Bundle::shipped("shipped", env!("CARGO_PKG_VERSION"), data).to_bytes())
    }

    fn chapter<F: Facts>(&mut self) -> Result<(), PolicyUnusable> {
        let uid = |kind: &str, id: &str| {
            let kind: EntityTypeName = kind.parse().map_err(|_| PolicyUnusable::Malformed {
                fault: format!("type {kind}"),
            })?;
            Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
        };
        let (principal, resource) = F::TYPES;
        let chapter = Chapter {
            action: uid("Action", F::ACTION)?,
            principal: uid(principal, "it")?,
            resource: uid(resource, "it")?,
            policies: cedar_policy::PolicySet::new(),
        };
        self.chapters.insert(F::ACTION.to_owned(), chapter);
        Ok(())
    }

    fn add_file(&mut self, file: &str, text: &str) -> Result<(), PolicyUnusable> {
        let shown: String = file.chars().take(80).flat_map(char::escape_debug).collect();
        let refused = |fault: String| PolicyUnusable::Policy {
            policy: shown.clone(),
            fault,
        };
        depth::check(text).map_err(&refused)?;
        let parsed: cedar_policy::PolicySet = text
            .parse()
            .map_err(|error: cedar_policy::ParseErrors| refused(error.to_string()))?;
        if parsed.templates().next().is_some() {
            return Err(refused("templates are not used here".to_owned()));
        }
        for policy in parsed.policies() {
            self.add_policy(policy, &shown)?;
        }
        Ok(())
    }

    fn add_policy(&mut self, policy: &cedar_policy::Policy, file: &str) -> Result<(), PolicyUnusable> {
        let said = |key| {
            policy
                .annotation(key)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let id = said("id").ok_or_else(|| PolicyUnusable::Policy {
            policy: file.to_owned(),
            fault: format!("{} has no @id", policy.id()),
        })?;
        let refused = |fault: &str| PolicyUnusable::Policy {
            policy: id.clone(),
            fault: fault.to_owned(),
        };
        let why = said("why").ok_or_else(|| refused("it has no @why"))?;
        let code = said("code");
        let forbids = policy.effect() == Effect::Forbid;
        if forbids != code.is_some() {
            return Err(refused("a forbid has a @code, a permit has none"));
        }
        let ActionConstraint::Eq(action) = policy.action_constraint() else {
            return Err(refused("it does not name its action"));
        };
        let name = action.id().unescaped().to_owned();
        let verdict = match said("verdict") {
            Some(word) => Some(Verdict::of_word(&word).ok_or_else(|| refused("its @verdict is not one"))?),
            None => None,
        };
        if (name == EvidenceFacts::ACTION) != verdict.is_some() {
            return Err(refused("a policy on evidence has a @verdict, others have none"));
        }
        if forbids && matches!(verdict, Some(Verdict::Trusted | Verdict::TrustedSimulated)) {
            return Err(refused("a forbid does not trust"));
        }
        let chapter = self
            .chapters
            .get_mut(&name)
            .ok_or_else(|| refused("its action is not in the schema"))?;
        chapter
            .policies
            .add(policy.new_id(PolicyId::new(&id)))
            .map_err(|_| refused("its id is taken"))?;
        let reason = Reason {
            policy: id.clone(),
            why,
            code,
        };
        if self.metas.insert(id.clone(), Meta { reason, verdict }).is_some() {
            return Err(refused("its id is taken"));
        }
        if self.metas.len() > POLICIES_LIMIT {
            return Err(PolicyUnusable::TooLarge {
                unit: "policies",
                found: self.metas.len(),
                limit: POLICIES_LIMIT,
            });
        }
        Ok(())
    }

    /// The bundle's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bundle's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// SHA-256 of the bundle.
    #[must_use]
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// What the fleet set beside the rules.
    #[must_use]
    pub fn data(&self) -> &BundleData {
        &self.data
    }

    /// Every policy.
    #[must_use]
    pub fn summaries(&self) -> Vec<PolicySummary> {
        let of = |action: &str, policy: &cedar_policy::Policy| {
            let meta = self.metas.get(policy.id().as_ref() as &str)?;
            Some(PolicySummary {
                id: meta.reason.policy.clone(),
                action: action.to_owned(),
                why: meta.reason.why.clone(),
                code: meta.reason.code.clone(),
            })
        };
        self.chapters
            .iter()
            .flat_map(|(action, chapter)| chapter.policies.policies().filter_map(|policy| of(action, policy)))
            .collect()
    }
}
