//! The boot log of a TCG PC Client platform (crypto-agile, or SHA-1 of old), and the canonical event log of user space.
//!
//! Refuses to believe an event type, which no digest covers: whoever interprets an event must ask [`Event::check_data`]
//! first. Invariant: parsing allocates at most a small multiple of the input and takes time linear in it; nothing here is
//! verified until a replay equals a quote.
//! Source: TCG PC Client Platform Firmware Profile 1.06, sections 10 and 10.4.

pub mod canonical;
pub mod efi;
pub mod event;
pub mod kind;
pub mod notes;
pub mod parse;
pub mod rejection;
pub mod replay;
pub mod report;
pub mod secure_boot;

pub use event::{DataCheck, Event};
pub use kind::EventKind;
pub use notes::FirmwareNote;
pub use parse::{Bank, EventLog};
pub use rejection::LogRejection;
pub use report::{EventReport, LogReport};
pub use secure_boot::SecureBoot;
