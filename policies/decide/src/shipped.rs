//! The policies and the schema that come with this version.
//!
//! Refuses to be more than a start: a fleet uses the signed bundle that its publisher made from them. Invariant: the files are
//! those in `policies/shipped`.

use std::collections::BTreeMap;

/// The schema that every bundle is checked against.
pub const SCHEMA: &str = include_str!("../../shipped/schema.cedarschema");

/// The shipped policies: file name → text.
#[must_use]
pub fn shipped_policies() -> BTreeMap<String, String> {
    [
        ("console.cedar", include_str!("../../shipped/console.cedar")),
        ("evidence.cedar", include_str!("../../shipped/evidence.cedar")),
        ("gateway.cedar", include_str!("../../shipped/gateway.cedar")),
        ("model.cedar", include_str!("../../shipped/model.cedar")),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), text.to_owned()))
    .collect()
}
