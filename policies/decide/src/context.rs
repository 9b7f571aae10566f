//! Facts as the context of a Cedar request.
//!
//! Refuses texts and lists that no real fact has (G02). Invariant: every fact of a struct is in the context, under its name.

use std::collections::BTreeSet;

use cedar_policy::RestrictedExpression as Cedar;
use freehold_verify::evidence::{BootShown, Shown};
use freehold_verify::identity::TpmKind;

use crate::bundle::{BundleData, Level};
use crate::console_facts::ConsoleFacts;
use crate::evidence_facts::{EvidenceFacts, OsStanding, QuoteStanding, RecordStanding};
use crate::gateway_facts::GatewayFacts;
use crate::model_facts::ModelFacts;
use crate::run_facts::RunFacts;

/// The longest text of a fact; bounds what a name that came from outside can make us compare.
const TEXT_LIMIT: usize = 4096;
/// The most elements of a list.
const LIST_LIMIT: usize = 1024;

/// A fact is larger than facts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InputTooLarge;

pub(crate) type Pairs = Vec<(String, Cedar)>;

/// Facts that a policy can be asked about.
pub(crate) trait Facts: serde::Serialize {
    /// The action's name in the schema.
    const ACTION: &'static str;
    /// Types of principal and resource in the schema.
    const TYPES: (&'static str, &'static str);

    /// The context, with what the bundle adds.
    fn context(&self, data: &BundleData) -> Result<Pairs, InputTooLarge>;
}

fn text(value: &str) -> Result<Cedar, InputTooLarge> {
    if value.len() > TEXT_LIMIT {
        Err(InputTooLarge)
    } else {
        Ok(Cedar::new_string(value.to_owned()))
    }
}

fn list(values: &BTreeSet<String>) -> Result<Cedar, InputTooLarge> {
    if values.len() > LIST_LIMIT {
        return Err(InputTooLarge);
    }
    Ok(Cedar::new_set(
        values.iter().map(|value| text(value)).collect::<Result<Vec<_>, _>>()?,
    ))
}

fn shown(value: Shown) -> &'static str {
    match value {
        Shown::Yes => "yes",
        Shown::No => "no",
        Shown::NotShown => "not_shown",
    }
}

fn pairs<const N: usize>(pairs: [(&str, Cedar); N]) -> Pairs {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

impl Facts for EvidenceFacts {
    const ACTION: &'static str = "accept_evidence";
    const TYPES: (&'static str, &'static str) = ("Box", "Fleet");

    fn context(&self, _data: &BundleData) -> Result<Pairs, InputTooLarge> {
        let quote = match &self.quote {
            QuoteStanding::Accepted => "accepted",
            QuoteStanding::Refused(_) => "refused",
            QuoteStanding::Absent => "absent",
        };
        let tpm = match self.claims.tpm {
            Some(TpmKind::Hardware) => "hardware",
            Some(TpmKind::Software) => "software",
            Some(TpmKind::Unproven) | None => "unproven",
        };
        let boot = match self.claims.boot {
            BootShown::Measured => "measured",
            BootShown::Simulated => "simulated",
            BootShown::NotShown => "not_shown",
        };
        let record = match self.record {
            RecordStanding::Extends => "extends",
            RecordStanding::First => "first",
            RecordStanding::Truncated => "truncated",
            RecordStanding::Forked => "forked",
            RecordStanding::NotShown => "not_shown",
        };
        let os_release = match self.os_release {
            OsStanding::Current => "current",
            OsStanding::BelowFloor => "below_floor",
            OsStanding::Revoked => "revoked",
            OsStanding::NotKnown => "not_known",
        };
        Ok(pairs([
            ("quote", text(quote)?),
            ("tpm", text(tpm)?),
            ("simulated_allowed", Cedar::new_bool(self.simulated_allowed)),
            ("boot", text(boot)?),
            ("secure_boot", text(shown(self.claims.secure_boot))?),
            ("development_keys", text(shown(self.claims.development_keys))?),
            ("firmware_changed", Cedar::new_bool(self.claims.firmware_changed)),
            (
                "firmware_notes",
                list(
                    &self
                        .claims
                        .firmware_notes
                        .iter()
                        .map(|note| note.word().to_owned())
                        .collect(),
                )?,
            ),
            ("record", text(record)?),
            ("os_release", text(os_release)?),
            ("age_seconds", Cedar::new_long(self.age_seconds)),
            ("age_limit_seconds", Cedar::new_long(self.age_limit_seconds)),
        ]))
    }
}

impl Facts for ModelFacts {
    const ACTION: &'static str = "admit_model";
    const TYPES: (&'static str, &'static str) = ("Box", "Model");

    fn context(&self, data: &BundleData) -> Result<Pairs, InputTooLarge> {
        Ok(pairs([
            ("assignment", text(self.assignment.word())?),
            ("release", text(self.release.word())?),
            ("order", text(self.order.word())?),
            ("revocation", text(self.revocation.word())?),
            ("signature", text(self.signature.word())?),
            ("signer", text(&self.signer)?),
            ("signers_allowed", list(&data.model_signers)?),
            ("files", text(self.files.word())?),
            ("format", text(self.format.word())?),
            ("bom", text(self.bom.word())?),
            ("licence", text(&self.licence)?),
            ("licences_allowed", list(&data.licences)?),
            ("base_models", list(&self.base_models)?),
            ("base_models_forbidden", list(&data.base_models_forbidden)?),
            ("engine", text(&self.engine)?),
            ("engine_advisories", text(engine_advisories(&self.engine, data))?),
            ("engine_advisories_accepted", list(&engine_advisories_accepted(data))?),
            ("hardware_needed", list(&self.hardware_needed)?),
            ("hardware_present", list(&self.hardware_present)?),
        ]))
    }
}

/// What is open against an engine; `not_known` when nobody matched its bill of materials, which no level accepts.
fn engine_advisories(engine: &str, data: &BundleData) -> &'static str {
    data.engine_advisories
        .get(engine)
        .map_or("not_known", |level| level.word())
}

/// The words that are accepted. A fleet that demands nothing accepts all, `not_known` among them.
fn engine_advisories_accepted(data: &BundleData) -> BTreeSet<String> {
    let Some(worst) = data.engine_advisories_accepted else {
        let all = Level::ALL.iter().map(|level| level.word());
        return all.chain(["not_known"]).map(str::to_owned).collect();
    };
    let fitting = Level::ALL.into_iter().filter(|level| *level <= worst);
    fitting.map(|level| level.word().to_owned()).collect()
}

impl Facts for RunFacts {
    const ACTION: &'static str = "run_model";
    const TYPES: (&'static str, &'static str) = ("Box", "Model");

    fn context(&self, data: &BundleData) -> Result<Pairs, InputTooLarge> {
        Ok(pairs([
            ("model", text(&self.model)?),
            ("lease_demanded", list(&data.leased_models)?),
            ("lease", text(self.lease.word())?),
        ]))
    }
}

impl Facts for GatewayFacts {
    const ACTION: &'static str = "use_gateway";
    const TYPES: (&'static str, &'static str) = ("Client", "Model");

    fn context(&self, _data: &BundleData) -> Result<Pairs, InputTooLarge> {
        Ok(pairs([
            ("token", text(self.token.word())?),
            ("endpoint", text(&self.endpoint)?),
            ("endpoints_allowed", list(&self.endpoints_allowed)?),
            ("model", text(&self.model)?),
            ("models_allowed", list(&self.models_allowed)?),
            ("model_state", text(self.model_state.word())?),
            ("lease", text(self.lease.word())?),
        ]))
    }
}

impl Facts for ConsoleFacts {
    const ACTION: &'static str = "use_console";
    const TYPES: (&'static str, &'static str) = ("Person", "Site");

    fn context(&self, _data: &BundleData) -> Result<Pairs, InputTooLarge> {
        Ok(pairs([
            ("role", text(&self.role)?),
            ("action", text(&self.action)?),
            ("account", text(self.account.word())?),
            ("session", text(self.session.word())?),
            ("site", text(&self.site)?),
            ("sites", list(&self.sites)?),
            ("proposer", text(self.proposer.word())?),
        ]))
    }
}
