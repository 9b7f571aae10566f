//! Client data (WebAuthn, 5.8.1): what the browser says about who asked whom.
//!
//! Refuses duplicate members, another type, challenge or origin, and a page that was framed by another site. Invariant:
//! unknown members are tolerated, as the standard demands; nothing is taken from them.

use serde_json::Value;

use super::assertion::encoded;
use super::rejection::PasskeyRejection;
use crate::json;
use crate::text::shown;

/// Longest client data: origin and challenge take some hundred bytes; bounds what is parsed.
pub(super) const MAX_CLIENT_DATA: usize = 4 * 1024;

/// Checks client data for a ceremony of type `kind` over `challenge`, asked by one of `origins`.
pub(super) fn check(
    bytes: &[u8],
    kind: &'static str,
    challenge: &[u8],
    origins: &[String],
) -> Result<(), PasskeyRejection> {
    let value = json::parse(bytes, MAX_CLIENT_DATA).map_err(|_| PasskeyRejection::Malformed("client data"))?;
    let text = |name| value.get(name).and_then(Value::as_str);
    let found = text("type").ok_or(PasskeyRejection::Malformed("client data without type"))?;
    if found != kind {
        return Err(PasskeyRejection::Type {
            expected: kind,
            found: shown(found),
        });
    }
    let found = text("challenge").ok_or(PasskeyRejection::Malformed("client data without challenge"))?;
    let expected = encoded(challenge);
    // Compared as text: base64url without padding has one spelling only.
    if found != expected {
        return Err(PasskeyRejection::Challenge {
            expected,
            found: shown(found),
        });
    }
    let found = text("origin").ok_or(PasskeyRejection::Malformed("client data without origin"))?;
    let framed = value.get("topOrigin").is_some()
        || value
            .get("crossOrigin")
            .is_some_and(|framed| *framed != Value::Bool(false));
    if framed || !origins.iter().any(|origin| origin == found) {
        return Err(PasskeyRejection::Origin {
            expected: origins.join(", "),
            found: shown(text("topOrigin").unwrap_or(found)),
        });
    }
    Ok(())
}
