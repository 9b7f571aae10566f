//! The packet filter, as nft(8) reads it.
//!
//! Refuses nothing: the settings were checked. Invariant: every chain drops what it does not name, and the whole file is one
//! transaction that replaces all that was there.

use std::fmt::Write as _;

use crate::settings::{Addressing, NetworkSettings, Subnet};

/// What a box without settings has: nothing in, nothing out.
#[must_use]
pub fn closed() -> String {
    let chain = |name: &str, family: &str| {
        format!(
            "\tchain {name} {{\n\t\ttype filter hook {name} priority filter; policy drop;\n{}\t}}\n",
            match (family, name) {
                ("inet", "input") => "\t\tiif \"lo\" accept\n",
                ("inet", "output") => "\t\toif \"lo\" accept\n",
                _ => "",
            }
        )
    };
    let mut text = head("A box without settings: nothing in, nothing out, on any interface but the loopback.");
    text.push_str("table inet freehold {\n");
    for name in ["input", "forward", "output"] {
        text.push_str(&chain(name, "inet"));
    }
    text.push_str("}\n\ntable arp freehold {\n");
    for name in ["input", "output"] {
        text.push_str(&chain(name, "arp"));
    }
    text.push_str("}\n");
    text
}

fn head(what: &str) -> String {
    format!(
        "#!/usr/sbin/nft -f\n# {what}\n# Generated; one transaction: what nft refuses changes nothing.\nflush ruleset\n\n"
    )
}

fn set<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    format!("{{ {} }}", items.join(", "))
}

/// Who may be asked for a hardware address, and may ask: the next hops to the console and to the clients. `None`: with DHCP the
/// next hops are not known beforehand.
fn neighbours(settings: &NetworkSettings) -> Option<Vec<Subnet>> {
    let Addressing::Static { address, router } = &settings.addressing else {
        return None;
    };
    let one = |address| Subnet { address, prefix: 32 };
    let console = settings.console.map(|console| one(console.address));
    let mut found: Vec<Subnet> = Vec::new();
    for wanted in console
        .into_iter()
        .chain(settings.clients.iter().map(|client| client.network()))
    {
        if address.meets(wanted) {
            // The part of it that is near: the smaller of the two networks.
            found.push(if wanted.prefix >= address.prefix {
                wanted
            } else {
                address.network()
            });
        }
        let all_near = wanted.prefix >= address.prefix && address.holds(wanted.address);
        if !all_near && let Some(router) = router {
            found.push(one(*router));
        }
    }
    found.sort_unstable();
    found.dedup();
    // nft refuses sets whose intervals overlap.
    let whole = found.clone();
    found.retain(|inner| {
        !whole
            .iter()
            .any(|outer| outer != inner && outer.prefix <= inner.prefix && outer.holds(inner.address))
    });
    Some(found)
}

/// Client networks without those that lie in others: nft refuses overlapping intervals.
fn clients(settings: &NetworkSettings) -> Vec<Subnet> {
    let mut all: Vec<Subnet> = settings.clients.iter().map(|client| client.network()).collect();
    all.sort_unstable();
    all.dedup();
    let whole = all.clone();
    all.retain(|inner| {
        !whole
            .iter()
            .any(|outer| outer != inner && outer.prefix <= inner.prefix && outer.holds(inner.address))
    });
    all
}

/// The filter for checked settings.
#[must_use]
pub fn rules(settings: &NetworkSettings) -> String {
    let interface = &settings.interface;
    let port = settings.gateway_port;
    let clients = clients(settings);
    let dhcp = settings.addressing == Addressing::Dhcp;
    let (mut input, mut output, mut egress) = (String::new(), String::new(), String::new());
    if let Some(console) = settings.console {
        let (address, its) = (console.address, console.port);
        let _ = writeln!(
            input,
            "\t\tip saddr {address} tcp sport {its} ct state established accept"
        );
        let _ = writeln!(
            output,
            "\t\tip daddr {address} tcp dport {its} ct state {{ new, established }} accept"
        );
        let _ = writeln!(egress, "\t\tip daddr {address} tcp dport {its} accept");
    }
    if !clients.is_empty() {
        let from = set(&clients);
        let _ = writeln!(
            input,
            "\t\tip saddr {from} tcp dport {port} ct state {{ new, established }} accept"
        );
        let _ = writeln!(
            output,
            "\t\tip daddr {from} tcp sport {port} ct state established accept"
        );
        let _ = writeln!(egress, "\t\tip daddr {from} tcp sport {port} accept");
    }
    if dhcp {
        input.push_str("\t\tudp sport 67 udp dport 68 accept\n");
        output.push_str("\t\tudp sport 68 udp dport 67 accept\n");
        egress.push_str("\t\tudp sport 68 udp dport 67 accept\n");
    }
    // Whether a packet was too large for a path, and nothing else.
    input.push_str("\t\ticmp type destination-unreachable ct state related accept\n");
    let (mut arp_in, mut arp_out, mut arp_egress) = (String::new(), String::new(), String::new());
    let asked = "arp operation { request, reply } accept";
    match neighbours(settings) {
        None => {
            let _ = writeln!(arp_in, "\t\tiifname \"{interface}\" {asked}");
            let _ = writeln!(arp_out, "\t\toifname \"{interface}\" {asked}");
            let _ = writeln!(arp_egress, "\t\t{asked}");
        }
        Some(near) if !near.is_empty() => {
            let near = set(&near);
            let _ = writeln!(arp_in, "\t\tiifname \"{interface}\" arp saddr ip {near} {asked}");
            let _ = writeln!(arp_out, "\t\toifname \"{interface}\" arp daddr ip {near} {asked}");
            let _ = writeln!(arp_egress, "\t\tarp daddr ip {near} {asked}");
        }
        Some(_) => {}
    }
    let mut text = head("Whom this box may speak to, from its settings.");
    let _ = write!(
        text,
        "table inet freehold {{\n\
         \tchain input {{\n\t\ttype filter hook input priority filter; policy drop;\n\t\tiif \"lo\" accept\n\
         \t\tiifname != \"{interface}\" drop\n\t\tct state invalid drop\n{input}\t}}\n\
         \tchain forward {{\n\t\ttype filter hook forward priority filter; policy drop;\n\t}}\n\
         \tchain output {{\n\t\ttype filter hook output priority filter; policy drop;\n\t\toif \"lo\" accept\n\
         \t\toifname != \"{interface}\" drop\n{output}\t}}\n}}\n\n\
         table arp freehold {{\n\
         \tchain input {{\n\t\ttype filter hook input priority filter; policy drop;\n{arp_in}\t}}\n\
         \tchain output {{\n\t\ttype filter hook output priority filter; policy drop;\n{arp_out}\t}}\n}}\n\n\
         # What raw sockets send goes past both tables above, and past this one it does not go.\n\
         table netdev freehold {{\n\
         \tchain ingress {{\n\t\ttype filter hook ingress device \"{interface}\" priority -500; policy drop;\n\
         \t\tether type {{ arp, ip }} accept\n\t}}\n\
         \tchain egress {{\n\t\ttype filter hook egress device \"{interface}\" priority 500; policy drop;\n\
         {arp_egress}{egress}\t}}\n}}\n"
    );
    text
}
