//! The site around a machine: a wire to it, a console and an operator on this side, a publisher beside them.
//!
//! Refuses to touch the machine's host: it is made inside a network namespace that holds nothing else. Invariant: addresses and
//! ports are the same in every site, so that a box that was enrolled in one finds its console again in a copy.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use freehold_harness::program::{Said, built, output_of, said_by};
use freehold_harness::{Program, TpmAuthority, wait_for, world::PASSWORD};
use freehold_protocol::fingerprint::typed_blocks;
use freehold_trust::Sha256Digest;
use serde_json::Value;

use crate::image::Image;
use crate::machine::{bound, patience};

/// The console's address.
pub const CONSOLE: &str = "10.77.0.1";
/// The box's address, and its network's prefix.
pub const BOX: &str = "10.77.0.2";
/// The network of both.
pub const NETWORK: &str = "10.77.0.0/24";
/// The wire's end on this side.
pub const TAP: &str = "box0";
/// The policy's name.
const POLICY: &str = "ward";
/// What every release of a site is licensed under.
const LICENCE: &str = "Apache-2.0";

/// A site.
#[derive(Debug)]
pub struct Site {
    folder: PathBuf,
    /// Who makes the machine's TPM.
    pub authority: TpmAuthority,
    console: Option<Program>,
}

/// Leaves the host's network for one that holds nothing: a loopback and the wire to the box.
///
/// # Errors
/// Without the rights for it.
pub fn enter_network() -> Result<()> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)
        .context("making a network namespace\nhint: run as root: `make test-image`")?;
    for key in ["all", "default"] {
        // A kernel without IPv6 has nothing to switch off.
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{key}/disable_ipv6"), "1");
    }
    let ip = |words: &str| output_of("ip", &words.split(' ').collect::<Vec<_>>());
    ip("link set lo up")?;
    ip(&format!("tuntap add {TAP} mode tap"))?;
    ip(&format!("addr add {CONSOLE}/24 dev {TAP}"))?;
    ip(&format!("link set {TAP} up"))?;
    Ok(())
}

impl Site {
    /// A console that runs, with the image's manifest and a policy published, and an operator who is signed in.
    ///
    /// # Errors
    /// When a program refuses; what it said is in the message.
    pub fn new(folder: &Path, image: &Image) -> Result<Self> {
        freehold_channel::install_provider();
        fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        let authority = TpmAuthority::new(&folder.join("tpm-authority"))?;
        // The first TPM of an authority makes the authority's keys, which the console's set-up names.
        fs::create_dir_all(folder.join("spare-tpm"))?;
        freehold_harness::swtpm::manufacture(&folder.join("spare-tpm"), &authority, &folder.join("swtpm-setup.log"))?;
        let mut site = Self {
            folder,
            authority,
            console: None,
        };
        // The box of the image hands over its EK certificate alone: who issued it is what the fleet names.
        site.console_once(&[
            "init",
            "--state",
            &site.path("console"),
            "--fleet",
            "ward",
            "--site",
            "here",
            "--allow-simulated",
            "--ek-root",
            &site.authority.intermediate_path().display().to_string(),
            "--ek-root-kind",
            "software",
            "--admin-password-file",
            &site.path("password"),
        ])?;
        site.freehold(&[
            "release",
            "init",
            &site.path("release"),
            "--timestamp-key",
            &site.path("console/public/timestamp.pem"),
        ])?;
        site.publish_manifest(image)?;
        site.publish_policy("1.0.0")?;
        site.export()?;
        let root = freehold_trust::sha256(&fs::read(site.at("export/metadata/1.root.json"))?).to_hex();
        site.console_once(&[
            "import",
            "--state",
            &site.path("console"),
            "--repository",
            &site.path("export"),
            "--root-sha256",
            &root,
        ])?;
        site.start_console()?;
        fs::write(site.at("own-password"), PASSWORD)?;
        site.operate(&[
            "console",
            "login",
            "--url",
            &format!("https://{CONSOLE}:8443"),
            "--fleet-ca",
            &site.fleet_ca()?.to_hex(),
            "--password-file",
            &site.path("password"),
            "--new-password-file",
            &site.path("own-password"),
        ])?;
        Ok(site)
    }

    /// A site that was made before, in a copy of its folder. Its console is off.
    ///
    /// # Errors
    /// When the folder is not there.
    pub fn again(folder: &Path) -> Result<Self> {
        freehold_channel::install_provider();
        let folder = folder.canonicalize()?;
        let authority = TpmAuthority::new(&folder.join("tpm-authority"))?;
        Ok(Self {
            folder,
            authority,
            console: None,
        })
    }

    /// A path of the site.
    #[must_use]
    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn path(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    fn console_once(&self, arguments: &[&str]) -> Result<Said> {
        said_by(&built("freehold-console")?, arguments)?.yes()
    }

    /// Runs `freehold` as the publisher.
    ///
    /// # Errors
    /// When it refuses.
    pub fn freehold(&self, arguments: &[&str]) -> Result<Said> {
        said_by(&built("freehold")?, arguments)?
            .yes()
            .with_context(|| arguments.join(" "))
    }

    /// Runs `freehold` as the operator, with `--json`.
    ///
    /// # Errors
    /// When the console refuses.
    pub fn operate(&self, arguments: &[&str]) -> Result<Said> {
        self.ask(arguments)?.yes().with_context(|| arguments.join(" "))
    }

    /// The same, whatever the answer.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn ask(&self, arguments: &[&str]) -> Result<Said> {
        // An operator's profile holds absolute paths of nothing but the console's address: it survives being copied.
        let profile = self.path("profile.json");
        let all = ["--profile", &profile, "--json"]
            .into_iter()
            .chain(arguments.iter().copied());
        said_by(&built("freehold")?, all.map(OsStr::new))
    }

    /// Publishes what a verifier must see of this image: the boot manifest.
    ///
    /// # Errors
    /// When it was published before.
    pub fn publish_manifest(&self, image: &Image) -> Result<()> {
        self.freehold(&[
            "release",
            "publish",
            &self.path("release"),
            "--kind",
            "os",
            "--file",
            &image.manifest().display().to_string(),
            "--name",
            "freehold",
            "--release-version",
            &image.version()?,
            "--licence",
            LICENCE,
        ])?;
        Ok(())
    }

    /// Publishes a policy that takes this publisher's models.
    ///
    /// # Errors
    /// When it was published before.
    pub fn publish_policy(&self, version: &str) -> Result<()> {
        let (policy, signer) = (self.path("policy.json"), self.path("release/keys/model-1.pub.pem"));
        self.freehold(&[
            "policy",
            "bundle",
            "--out",
            &policy,
            "--name",
            POLICY,
            "--policy-version",
            version,
            "--signer",
            &signer,
        ])?;
        self.freehold(&[
            "release",
            "publish",
            &self.path("release"),
            "--kind",
            "policy",
            "--file",
            &policy,
            "--file",
            &signer,
            "--name",
            POLICY,
            "--release-version",
            version,
            "--licence",
            LICENCE,
        ])?;
        Ok(())
    }

    /// Signs and publishes the demonstration model; answers its target.
    ///
    /// # Errors
    /// When a program refuses.
    pub fn publish_model(&self, name: &str, version: &str) -> Result<String> {
        let folder = self.at(&format!("models/{name}-{version}"));
        fs::create_dir_all(&folder)?;
        fs::copy(freehold_harness::publisher::weights(), folder.join("model.gguf"))?;
        let (path, key) = (folder.display().to_string(), self.path("release/keys/model-1.pem"));
        self.freehold(&[
            "model",
            "sign",
            &path,
            "--key",
            &key,
            "--name",
            name,
            "--model-version",
            version,
            "--licence",
            LICENCE,
        ])?;
        self.freehold(&[
            "release",
            "publish",
            &self.path("release"),
            "--model",
            &path,
            "--name",
            name,
            "--release-version",
            version,
        ])?;
        Ok(format!("models/{name}/{version}/release.json"))
    }

    fn export(&self) -> Result<()> {
        self.freehold(&["release", "export", &self.path("release"), &self.path("export")])?;
        Ok(())
    }

    /// Gives the publisher's repository, as it is now, to the running console.
    ///
    /// # Errors
    /// When the console refuses it.
    pub fn import(&self) -> Result<()> {
        self.export()?;
        self.operate(&["console", "import", &self.path("export")])?;
        Ok(())
    }

    /// Starts the console and waits until it listens.
    ///
    /// # Errors
    /// When it ends instead.
    pub fn start_console(&mut self) -> Result<()> {
        let addresses = self.at("console/addresses.json");
        let _ = fs::remove_file(&addresses);
        let mut command = bound(built("freehold-console")?);
        command.args(["run", "--state", &self.path("console")]);
        command.args([
            "--people",
            &format!("{CONSOLE}:8443"),
            "--boxes",
            &format!("{CONSOLE}:9443"),
        ]);
        let mut console = Program::start("freehold-console", command, &self.at("console.log"))?;
        wait_for("the console to listen", patience(), || {
            ensure!(console.ended()?.is_none(), "the console ended:\n{}", console.tail(15));
            Ok(addresses.exists().then_some(()))
        })?;
        self.console = Some(console);
        Ok(())
    }

    /// Ends the console.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop_console(&mut self) -> Result<()> {
        if let Some(mut console) = self.console.take() {
            console.stop(Duration::from_secs(30))?;
        }
        Ok(())
    }

    /// SHA-256 of the fleet CA certificate.
    ///
    /// # Errors
    /// When the console has written no pairing document.
    pub fn fleet_ca(&self) -> Result<Sha256Digest> {
        let pairing: Value = serde_json::from_slice(&fs::read(self.at("console/pairing.json"))?)?;
        Ok(pairing["fleet_ca"].as_str().context("no fleet CA")?.parse()?)
    }

    /// The same as a person types it.
    ///
    /// # Errors
    /// As [`Self::fleet_ca`].
    pub fn fleet_ca_blocks(&self) -> Result<String> {
        Ok(typed_blocks(&self.fleet_ca()?).join(" "))
    }

    /// Every box that the console knows.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn boxes(&self) -> Result<Vec<Value>> {
        let said = self.operate(&["box", "list"])?.json()?;
        let all = said.as_array().or_else(|| said["boxes"].as_array());
        Ok(all.cloned().unwrap_or_default())
    }

    /// What the console says of a box.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn seen(&self, id: &str) -> Result<Value> {
        self.operate(&["box", "show", id])?.json()
    }

    /// Waits until what the console says of a box satisfies `look`; `meanwhile` is asked each time and may end the wait.
    ///
    /// # Errors
    /// When the limit is over; what was said last is in the message.
    pub fn wait_seen(
        &self,
        id: &str,
        what: &str,
        mut meanwhile: impl FnMut() -> Result<()>,
        look: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let mut last = Value::Null;
        let found = wait_for(what, patience(), || {
            meanwhile()?;
            if let Ok(seen) = self.seen(id) {
                last = seen;
            }
            if look(&last) {
                return Ok(Some(last.clone()));
            }
            // Each look is a process; the machine needs the processor.
            std::thread::park_timeout(Duration::from_secs(1));
            Ok(None)
        });
        found.with_context(|| format!("the console says {last:#}"))
    }
}
