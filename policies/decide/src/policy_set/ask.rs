//! The five questions, and how Cedar's answers become decisions.
//!
//! Refuses to leave out a policy that errs. Invariant: whatever policies say, TPM or boot that are not real never give
//! "trusted", simulated ones give nothing where the fleet takes none, and without an accepted quote there is no trust.

use std::sync::OnceLock;

use cedar_policy::{Authorizer, Context, Decision as CedarDecision, Entities, Request};
use freehold_trust::{Sha256Digest, sha256};

use super::{Meta, PolicySet};
use crate::console_facts::ConsoleFacts;
use crate::context::Facts;
use crate::decision::{Decision, EvidenceDecision, Permission, Reason, Verdict};
use crate::evidence_facts::{EvidenceFacts, QuoteStanding};
use crate::gateway_facts::GatewayFacts;
use crate::model_facts::ModelFacts;
use crate::run_facts::RunFacts;

/// What evaluation gave, before it is an answer.
struct Held {
    permits: Vec<Meta>,
    forbids: Vec<Meta>,
    fault: Option<Reason>,
}

fn own(policy: &str, why: &str, code: &str) -> Reason {
    Reason {
        policy: policy.to_owned(),
        why: why.to_owned(),
        code: Some(code.to_owned()),
    }
}

fn input_digest(facts: &impl serde::Serialize) -> Sha256Digest {
    sha256(&serde_json::to_vec(facts).unwrap_or_default())
}

impl PolicySet {
    /// The decision about evidence while there is no usable policy: unknown.
    #[must_use]
    pub fn unusable_evidence(facts: &EvidenceFacts) -> EvidenceDecision {
        Self::unusable_answer(facts, Verdict::Unknown)
    }

    /// The decision about anything else while there is no usable policy: no. `facts` are those of the question.
    #[must_use]
    pub fn unusable(facts: &impl serde::Serialize) -> Decision<Permission> {
        Self::unusable_answer(facts, Permission::Denied)
    }

    fn unusable_answer<A>(facts: &impl serde::Serialize, answer: A) -> Decision<A> {
        let reason = own("policy.unusable", "there is no usable policy", "policy.unusable");
        Decision {
            answer,
            because: Vec::new(),
            code: reason.code.clone(),
            denied_by: vec![reason],
            policy_sha256: Sha256Digest::from_bytes([0; 32]),
            input_sha256: input_digest(facts),
        }
    }

    /// What the evidence of a box is worth.
    #[must_use]
    pub fn accept_evidence(&self, facts: &EvidenceFacts) -> EvidenceDecision {
        let mut held = self.evaluate(facts);
        held.forbids.sort_by_key(|meta| std::cmp::Reverse(meta.verdict));
        let mut answer = if held.fault.is_some() {
            Verdict::Unknown
        } else if let Some(gravest) = held
            .forbids
            .iter()
            .map(|meta| meta.verdict.unwrap_or(Verdict::Refused))
            .max()
        {
            gravest
        } else {
            held.permits
                .iter()
                .map(|meta| meta.verdict.unwrap_or(Verdict::Refused))
                .max()
                .unwrap_or(Verdict::Refused)
        };
        // What no policy can change.
        if answer == Verdict::Trusted && facts.is_not_real() {
            answer = Verdict::TrustedSimulated;
        }
        if answer == Verdict::TrustedSimulated && facts.is_not_real() && !facts.simulated_allowed {
            answer = Verdict::Refused;
            let why = "TPM or boot are not shown to be real, and this fleet takes no simulated boxes";
            held.fault = Some(own("builtin.simulated", why, "policy.simulated_not_allowed"));
        }
        if matches!(answer, Verdict::Trusted | Verdict::TrustedSimulated) && facts.quote != QuoteStanding::Accepted {
            answer = Verdict::Unknown;
            held.fault = Some(own("builtin.quote", "no quote was accepted", "policy.evidence_absent"));
        }
        let yes = matches!(answer, Verdict::Trusted | Verdict::TrustedSimulated);
        let mut decision = self.decision(facts, answer, held, yes || answer == Verdict::Attention);
        if let QuoteStanding::Refused(code) = &facts.quote
            && decision.code.as_deref() == Some("policy.evidence_refused")
            && !code.is_empty()
        {
            decision.code = Some(code.clone());
        }
        decision
    }

    /// Whether a model may be stored and run.
    #[must_use]
    pub fn admit_model(&self, facts: &ModelFacts) -> Decision<Permission> {
        self.permission(facts)
    }

    /// Whether an admitted model may run now.
    #[must_use]
    pub fn run_model(&self, facts: &RunFacts) -> Decision<Permission> {
        self.permission(facts)
    }

    /// Whether an application may ask.
    #[must_use]
    pub fn use_gateway(&self, facts: &GatewayFacts) -> Decision<Permission> {
        self.permission(facts)
    }

    /// Whether a person may do something on the console.
    #[must_use]
    pub fn use_console(&self, facts: &ConsoleFacts) -> Decision<Permission> {
        self.permission(facts)
    }

    fn permission<F: Facts>(&self, facts: &F) -> Decision<Permission> {
        let held = self.evaluate(facts);
        let allowed = held.fault.is_none() && held.forbids.is_empty() && !held.permits.is_empty();
        let answer = if allowed {
            Permission::Allowed
        } else {
            Permission::Denied
        };
        self.decision(facts, answer, held, allowed)
    }

    fn decision<F: Facts, A>(&self, facts: &F, answer: A, held: Held, permitted: bool) -> Decision<A> {
        let mut denied_by: Vec<Reason> = held.fault.into_iter().collect();
        denied_by.extend(held.forbids.into_iter().map(|meta| meta.reason));
        if denied_by.is_empty() && !permitted {
            denied_by.push(own("default", "no policy permits it", "policy.no_permit"));
        }
        Decision {
            answer,
            because: held.permits.into_iter().map(|meta| meta.reason).collect(),
            code: denied_by.first().and_then(|reason| reason.code.clone()),
            denied_by,
            policy_sha256: self.digest,
            input_sha256: input_digest(facts),
        }
    }

    fn evaluate<F: Facts>(&self, facts: &F) -> Held {
        let fault = |why: &str, code: &str| Held {
            permits: Vec::new(),
            forbids: Vec::new(),
            fault: Some(own("evaluation", why, code)),
        };
        let Ok(pairs) = facts.context(&self.data) else {
            return fault("a fact is larger than facts are", "policy.input_too_large");
        };
        let Some(chapter) = self.chapters.get(F::ACTION) else {
            return fault("the policy has nothing on this action", "policy.evaluation");
        };
        let request = Context::from_pairs(pairs).ok().and_then(|context| {
            let (principal, action, resource) = (&chapter.principal, &chapter.action, &chapter.resource);
            Request::new(
                principal.clone(),
                action.clone(),
                resource.clone(),
                context,
                Some(&self.schema),
            )
            .ok()
        });
        let Some(request) = request else {
            return fault("the facts do not fit the schema", "policy.evaluation");
        };
        // Cedar tells all forbids that hold on a deny, and all permits on an allow.
        let response = authorizer().is_authorized(&request, &chapter.policies, no_entities());
        if response.diagnostics().errors().next().is_some() {
            // Cedar would leave out a policy that errs; a forbid that errs must not be left out.
            return fault("a policy could not be evaluated", "policy.evaluation");
        }
        let mut metas: Vec<Meta> = response
            .diagnostics()
            .reason()
            .filter_map(|id| self.metas.get(id.as_ref() as &str).cloned())
            .collect();
        metas.sort_by(|a, b| a.reason.policy.cmp(&b.reason.policy));
        let (permits, forbids) = match response.decision() {
            CedarDecision::Allow => (metas, Vec::new()),
            CedarDecision::Deny => (Vec::new(), metas),
        };
        Held {
            permits,
            forbids,
            fault: None,
        }
    }
}

fn authorizer() -> &'static Authorizer {
    static AUTHORIZER: OnceLock<Authorizer> = OnceLock::new();
    AUTHORIZER.get_or_init(Authorizer::new)
}

fn no_entities() -> &'static Entities {
    static ENTITIES: OnceLock<Entities> = OnceLock::new();
    ENTITIES.get_or_init(Entities::empty)
}
