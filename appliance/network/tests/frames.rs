//! What really leaves: a box and its peer in network namespaces made here, the generated rules in the kernel, and every frame that
//! reaches the peer looked at.
//!
//! Refuses to touch this machine's own network: the whole test runs in a namespace that ends with it. Needs root, ip, nft, tcpdump.

use std::path::Path;
use std::process::Command;

use freehold_network::{NetworkSettings, closed, rules};

/// Makes two namespaces joined by a cable, loads the rules, brings the cable up, provokes traffic, and prints every frame that
/// came to the other end, one line each.
const STAGE: &str = r#"
set -eu
rules=$1; capture=$2
# The outer namespace is the box; the peer gets one of its own, held by a process that ends with this one.
unshare --net sleep 60 & peer=$!
trap 'kill $peer $dump 2>/dev/null || true' EXIT
dump=
far() { nsenter --net=/proc/$peer/ns/net "$@"; }
until [ "$(readlink /proc/$peer/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do :; done
echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
ip link add eth0 type veth peer name far0 netns $peer
far sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
nft -f "$rules"
far ip address add 192.0.2.10/24 dev far0
far ip address add 192.0.2.11/24 dev far0
far ip link set far0 up
nsenter --net=/proc/$peer/ns/net tcpdump -i far0 -Q in -U --immediate-mode -n -e -w "$capture" 2> "$capture.ready" & dump=$!
until grep -q listening "$capture.ready" 2>/dev/null; do :; done
ip link set lo up
ip link set eth0 up
ip address add 192.0.2.20/24 dev eth0
ip route add default via 192.0.2.10 || true
# Whatever might try to leave: names, pings, connections near and far, broadcasts, raw frames of three kinds, IPv6.
python3 - <<'END'
import socket, struct
def quietly(f):
    try: f()
    except OSError: pass
def udp(to, port, broadcast=False):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if broadcast: s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    s.sendto(b"x", (to, port))
def tcp(to, port):
    s = socket.socket(); s.settimeout(0.3); s.connect((to, port)); s.sendall(b"hello"); s.close()
def raw(kind, body):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(("eth0", 0))
    s.send(b"\xff" * 6 + b"\x02\x00\x00\x00\x00\x01" + struct.pack("!H", kind) + body)
def icmp(to):
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    s.sendto(b"\x08\x00\xf7\xff\x00\x00\x00\x00", (to, 0))
for to in ("192.0.2.10", "192.0.2.11", "192.0.2.99", "203.0.113.9"):
    quietly(lambda: udp(to, 53)); quietly(lambda: icmp(to))
    for port in (80, 443, 7443): quietly(lambda: tcp(to, port))
quietly(lambda: udp("255.255.255.255", 67, True)); quietly(lambda: udp("224.0.0.251", 5353)); quietly(lambda: udp("224.0.0.252", 5355))
arp = lambda target: struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, b"\x02" + bytes(5), socket.inet_aton("192.0.2.20"), bytes(6), socket.inet_aton(target))
quietly(lambda: raw(0x0806, arp("192.0.2.77"))); quietly(lambda: raw(0x86dd, b"\x60" + bytes(60))); quietly(lambda: raw(0x88cc, bytes(60)))
END
# SIGINT is ignored by what a script starts in the background; tcpdump writes its end on SIGTERM, too.
kill -TERM $dump; wait $dump || true; dump=
tcpdump -n -e -t -r "$capture" 2>/dev/null
"#;

/// Runs the stage with these rules and answers the frames, or `None` where the machine does not allow namespaces.
fn frames(rules: &str) -> Option<Vec<String>> {
    let world = tempfile::tempdir().unwrap();
    let (file, capture) = (world.path().join("rules"), world.path().join("capture"));
    std::fs::write(&file, rules).unwrap();
    if !Command::new("unshare")
        .args(["--net", "true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        println!("skipped: this user cannot make network namespaces");
        return None;
    }
    let path = |path: &Path| path.display().to_string();
    let said = Command::new("timeout")
        .args([
            "--kill-after=5",
            "60",
            "unshare",
            "--net",
            "--mount",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            STAGE,
            "stage",
        ])
        .args([path(&file), path(&capture)])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success(), "{errors}");
    Some(
        String::from_utf8(said.stdout)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect(),
    )
}

// promise S-82
#[test]
fn a_box_without_settings_sends_no_frame() {
    let Some(frames) = frames(&closed()) else { return };
    // The one thing that the inet and arp hooks cannot see are frames of raw sockets, which on a box nobody may open before there
    // are settings, and no interface is up then. All else: nothing.
    let others: Vec<&String> = frames.iter().filter(|frame| !raw(frame)).collect();
    assert!(others.is_empty(), "{others:#?}");
}

// promise S-83
#[test]
fn a_box_with_settings_sends_only_arp_for_the_console_and_tcp_to_it() {
    let json = r#"{"interface":"eth0","addressing":{"static":{"address":"192.0.2.20/24"}},
        "console":{"address":"192.0.2.10","port":7443},"clients":[],"gateway_port":8443}"#;
    let settings: NetworkSettings = serde_json::from_str(json).unwrap();
    settings.check().unwrap();
    let Some(frames) = frames(&rules(&settings)) else {
        return;
    };
    assert!(!frames.is_empty(), "the console is tried");
    for frame in &frames {
        let allowed = frame.contains("who-has 192.0.2.10 tell 192.0.2.20")
            || frame.contains("192.0.2.20 is-at")
            || (frame.contains("192.0.2.20.") && frame.contains("> 192.0.2.10.7443:"));
        assert!(allowed, "{frame}");
    }
}

/// The three frames that the stage sends from raw sockets, by their invented sender.
fn raw(frame: &str) -> bool {
    frame.starts_with("02:00:00:00:00:01 >")
}
