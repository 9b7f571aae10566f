//! The codes of a refused server are stable.

use freehold_channel::{CODES, PinRejected};

#[test]
fn a_server_whose_certificate_cannot_be_read_has_a_code_of_its_own() {
    assert_eq!(PinRejected::Unreadable.code(), "channel.server_unreadable");
    assert!(CODES.contains(&PinRejected::Unreadable.code()));
}
