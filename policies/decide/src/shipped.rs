//! The policies and the schema that come with this version.
//!
//! Refuses to be more than a start: a fleet uses the signed bundle that its publisher made from them. Invariant: the files are
//! those in `policies/shipped`.

use std::collections::BTreeMap;

/// The schema that every bundle is checked against.
pub const SCHEMA: &str = include_str!("../../shipped/schema.cedarschema");

/// Schemas of earlier versions whose bundles are still used, each with the shipped files about actions that it did not have:
/// for those the shipped rules stand in. A bundle's own rules are type-checked against the schema of now all the same. It is
/// what lets boxes be updated before their policy is, and be rolled back after it.
pub(crate) const EARLIER: &[(&str, &[&str])] = &[(
    "50cbe7a2fa5cd5ab76c96559d3883491ba2719fe258d8afc601b5182bc526d1a",
    &["run.cedar"],
)];

/// The shipped policies: file name → text.
#[must_use]
pub fn shipped_policies() -> BTreeMap<String, String> {
    [
        ("console.cedar", include_str!("../../shipped/console.cedar")),
        ("evidence.cedar", include_str!("../../shipped/evidence.cedar")),
        ("gateway.cedar", include_str!("../../shipped/gateway.cedar")),
        ("model.cedar", include_str!("../../shipped/model.cedar")),
        ("run.cedar", include_str!("../../shipped/run.cedar")),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), text.to_owned()))
    .collect()
}
