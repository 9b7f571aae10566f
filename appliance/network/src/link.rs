//! The network configuration, as systemd-networkd reads it (systemd.network(5)).
//!
//! Refuses nothing: the settings were checked. Invariant: nothing is on by default: no IPv6, no name resolution, no discovery, no
//! router advertisement; DHCP only when it was asked for, and then only for an address.

use std::fmt::Write as _;

use crate::settings::{Addressing, NetworkSettings};

/// The `.network` file for checked settings.
#[must_use]
pub fn link(settings: &NetworkSettings) -> String {
    // ARP and the activation are said, because 10-freehold-closed.network has switched both off on this very interface.
    let dhcp = settings.addressing == Addressing::Dhcp;
    let mut text = format!(
        "# Generated from the box's settings.\n[Match]\nName={}\n\n[Link]\nActivationPolicy=up\nRequiredForOnline=no\nARP=yes\nMulticast=no\nAllMulticast=no\n\n\
         [Network]\nDHCP={}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nIPv6SendRA=no\nLLMNR=no\nMulticastDNS=no\nDNSSEC=no\nLLDP=no\n\
         EmitLLDP=no\nIPForward=no\nKeepConfiguration=no\n",
        settings.interface,
        if dhcp { "ipv4" } else { "no" }
    );
    match &settings.addressing {
        Addressing::Dhcp => text.push_str(
            "\n[DHCPv4]\nUseDNS=no\nUseNTP=no\nUseSIP=no\nUseHostname=no\nUseDomains=no\nUseTimezone=no\nUseMTU=no\nUseRoutes=yes\n\
             SendHostname=no\nSendRelease=no\nSendDecline=no\nAnonymize=yes\n",
        ),
        Addressing::Static { address, router } => {
            // No duplicate-address detection: its probes are ARP that nobody asked for.
            let _ = write!(text, "\n[Address]\nAddress={address}\nDuplicateAddressDetection=none\n");
            if let Some(router) = router {
                let _ = write!(text, "\n[Route]\nGateway={router}\n");
            }
        }
    }
    text
}
