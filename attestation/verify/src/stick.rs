//! What lies on a stick between a console and boxes without a network: the director's bundle, and the box's return.
//!
//! Refuses a bundle of another fleet, an older one than the last, and everything in it that the signed list does not name; a
//! return that its box's TLS key did not sign, or that answers no bundle. Invariant: a stick is believed for its signatures and
//! for nothing else, so that whoever carries it can only lose it.

mod bundle;
mod rejection;
mod returned;

pub use bundle::{BUNDLE_TYPE, Bundle, BundleExpectation, DIRECTOR, Listed, MANIFEST, sign_bundle, verify_bundle};
pub use rejection::StickRejection;
pub use returned::{
    INFO, RETURN_TYPE, Return, SEALED, STATEMENT, SealedTo, TO, return_payload, seal_return, signed_return,
    verify_return,
};
