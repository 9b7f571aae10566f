//! The demonstration's own networks: one namespace a machine, a site that joins them, and a way out that is watched.
//!
//! Each machine has a default route to the site, and the site one to an "outside" namespace, so that a packet for the
//! world would arrive there and be counted. Invariant: no interface of this machine is part of it. IPv6 is off, as on a box.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

/// Namespaces of one tour, removed when dropped.
pub struct Network {
    prefix: String,
    namespaces: Vec<String>,
    /// Frames that the control probe sent: subtracted from the count.
    control: u64,
}

/// Address of the machine with host number `host` at the site.
pub fn address(host: u8) -> String {
    format!("10.77.0.{host}")
}

fn ip(arguments: &str) -> anyhow::Result<()> {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .context("running `ip` (package iproute2)")?;
    if !output.status.success() {
        bail!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

impl Network {
    /// Makes the site and the watched way out.
    pub fn new() -> anyhow::Result<Self> {
        let mut network = Self {
            prefix: format!("fh{}", std::process::id()),
            namespaces: Vec::new(),
            control: 0,
        };
        let site = network.namespace("site")?;
        let outside = network.namespace("outside")?;
        ip(&format!("-n {site} link add br0 type bridge"))?;
        ip(&format!("-n {site} addr add {}/24 dev br0", address(1)))?;
        ip(&format!("-n {site} link set br0 up"))?;
        ip(&format!(
            "link add up0 netns {site} type veth peer name world0 netns {outside}"
        ))?;
        ip(&format!("-n {site} addr add 10.78.0.1/30 dev up0"))?;
        ip(&format!("-n {outside} addr add 10.78.0.2/30 dev world0"))?;
        ip(&format!("-n {outside} link set world0 address 02:00:00:00:00:02"))?;
        ip(&format!("-n {site} link set up0 up"))?;
        ip(&format!("-n {outside} link set world0 up"))?;
        // A fixed neighbour, so that a leaving packet leaves at once and is not lost behind an unanswered ARP question.
        ip(&format!(
            "-n {site} neigh add 10.78.0.2 lladdr 02:00:00:00:00:02 dev up0"
        ))?;
        ip(&format!("-n {site} route add default via 10.78.0.2"))?;
        network.write(&site, "net/ipv4/ip_forward", "1")?;
        Ok(network)
    }

    fn namespace(&mut self, name: &str) -> anyhow::Result<String> {
        let full = format!("{}-{name}", self.prefix);
        ip(&format!("netns add {full}"))?;
        self.namespaces.push(full.clone());
        self.write(&full, "net/ipv6/conf/all/disable_ipv6", "1")?;
        self.write(&full, "net/ipv6/conf/default/disable_ipv6", "1")?;
        ip(&format!("-n {full} link set lo up"))?;
        Ok(full)
    }

    fn write(&self, namespace: &str, key: &str, value: &str) -> anyhow::Result<()> {
        let output = Command::new("ip")
            .args(["netns", "exec", namespace, "tee", &format!("/proc/sys/{key}")])
            .stdin(pipe_with(value)?)
            .output()?;
        // A kernel without IPv6 has nothing to switch off.
        if !output.status.success() && !key.starts_with("net/ipv6") {
            bail!(
                "setting {key} in {namespace}: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }

    /// Joins a machine to the site under host number `host`; returns its namespace.
    pub fn machine(&mut self, name: &str, host: u8) -> anyhow::Result<String> {
        let full = self.namespace(name)?;
        let site = format!("{}-site", self.prefix);
        ip(&format!(
            "link add eth0 netns {full} type veth peer name p{host} netns {site}"
        ))?;
        ip(&format!("-n {site} link set p{host} master br0"))?;
        ip(&format!("-n {site} link set p{host} up"))?;
        ip(&format!("-n {full} addr add {}/24 dev eth0", address(host)))?;
        ip(&format!("-n {full} link set eth0 up"))?;
        ip(&format!("-n {full} route add default via {}", address(1)))?;
        Ok(full)
    }

    /// A machine that nothing joins to anything: loopback is all it has.
    pub fn alone(&mut self, name: &str) -> anyhow::Result<String> {
        self.namespace(name)
    }

    /// A namespace without any interface that is up but loopback: the publisher's, the auditor's.
    pub fn island(&mut self, name: &str) -> anyhow::Result<String> {
        let full = format!("{}-{name}", self.prefix);
        ip(&format!("netns add {full}"))?;
        self.namespaces.push(full.clone());
        Ok(full)
    }

    fn arrived(&self) -> anyhow::Result<u64> {
        let output = Command::new("ip")
            .args([
                "netns",
                "exec",
                &format!("{}-outside", self.prefix),
                "cat",
                "/sys/class/net/world0/statistics/rx_packets",
            ])
            .output()?;
        String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .context("reading the frame counter")
    }

    /// Shows that the counter counts: one packet for the world, sent on purpose from a machine of the site.
    pub fn prove_the_counter(&mut self, from: &str) -> anyhow::Result<()> {
        let before = self.arrived()?;
        // 192.0.2.1 is TEST-NET-1 (RFC 5737); the packet ends in the outside namespace.
        let status = Command::new("ip")
            .args(["netns", "exec", from, "bash", "-c", "echo probe > /dev/udp/192.0.2.1/9"])
            .status()?;
        anyhow::ensure!(status.success(), "the probe could not be sent");
        freehold_harness::wait_for("the probe at the counter", std::time::Duration::from_secs(5), || {
            Ok((self.arrived()? > before).then_some(()))
        })?;
        self.control = self.arrived()?;
        Ok(())
    }

    /// Frames that left the site since [`Network::prove_the_counter`].
    pub fn frames_left(&self) -> anyhow::Result<u64> {
        Ok(self.arrived()?.saturating_sub(self.control))
    }

    /// The file that names a namespace for `setns`.
    pub fn handle(namespace: &str) -> std::path::PathBuf {
        Path::new("/run/netns").join(namespace)
    }
}

fn pipe_with(value: &str) -> anyhow::Result<std::process::Stdio> {
    use std::io::Write as _;
    let (reader, mut writer) = std::io::pipe()?;
    writer.write_all(value.as_bytes())?;
    Ok(reader.into())
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in &self.namespaces {
            let _ = ip(&format!("netns del {namespace}"));
        }
    }
}
