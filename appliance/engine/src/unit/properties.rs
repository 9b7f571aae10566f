//! The properties that systemd is given for an engine's unit. Pure: a specification in, names and values out.
//!
//! Refuses nothing: what could reach outside was refused with the specification. Invariant: every value has the D-Bus type
//! of systemd's own interface (org.freedesktop.systemd1(5)); a wrong type would be a refused unit, not a weaker one.

use std::path::{Path, PathBuf};

use zbus::{OwnedVariant, Variant};

use super::{UnitFault, UnitOptions};
use crate::launch::{LaunchSpec, MAX_FILE_BYTES, MAX_OPEN_FILES};

/// `MS_REC` of mount(2): a bind mount with what is mounted below it, as `BindPaths=` does by default.
const RECURSIVE: u64 = 16384;

/// Processes and threads of one engine: compute and HTTP threads, with room; bounds a fork bomb.
const MAX_TASKS: u64 = 512;

/// Until when a told engine may live if nobody is there to kill it earlier.
const STOP_USEC: u64 = 2_000_000;

/// How long starting its first process may take: a verity image is opened and mounted in that time.
const START_USEC: u64 = 20_000_000;

/// The first version with a process namespace for a service.
const PRIVATE_PIDS_SINCE: u32 = 257;

/// The engine's root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// An unpacked folder, as on a development machine.
    Directory(PathBuf),
    /// An image that dm-verity holds to its root hash.
    Image {
        /// The file system image.
        image: PathBuf,
        /// The hash tree.
        verity: PathBuf,
        /// The root hash.
        root_hash: Vec<u8>,
    },
}

impl Root {
    /// A folder is a folder; a file is an image with `.verity` and `.roothash` beside it, as systemd names them.
    ///
    /// # Errors
    /// [`UnitFault::NoRootHash`].
    pub fn find(path: &Path) -> Result<Self, UnitFault> {
        if !path.is_file() {
            return Ok(Self::Directory(path.to_owned()));
        }
        let missing = |reason: String| UnitFault::NoRootHash {
            image: path.display().to_string(),
            reason,
        };
        let verity = path.with_extension("verity");
        if !verity.is_file() {
            return Err(missing(format!("`{}` is not there", verity.display())));
        }
        let text =
            std::fs::read_to_string(path.with_extension("roothash")).map_err(|error| missing(error.to_string()))?;
        let root_hash = unhex(text.trim()).ok_or_else(|| missing("not 64 hexadecimal digits".to_owned()))?;
        Ok(Self::Image {
            image: path.to_owned(),
            verity,
            root_hash,
        })
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(high * 16 + low).ok(),
            _ => None,
        })
        .collect()
}

/// The list under construction.
struct Properties(Vec<(String, OwnedVariant)>);

impl Properties {
    fn add(&mut self, name: &str, value: impl Into<Variant<'static>>) -> Result<(), zbus::Error> {
        self.0.push((name.to_owned(), value.into().try_into_owned()?));
        Ok(())
    }

    fn all<T: Into<Variant<'static>> + Clone>(&mut self, names: &[&str], value: T) -> Result<(), zbus::Error> {
        names.iter().try_for_each(|name| self.add(name, value.clone()))
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Every property of an engine's unit but its standard output.
///
/// # Errors
/// Those of the D-Bus types; none is known to occur.
pub fn properties(
    spec: &LaunchSpec,
    root: &Root,
    options: &UnitOptions,
) -> Result<Vec<(String, OwnedVariant)>, zbus::Error> {
    let mut all = Properties(Vec::new());
    life(&mut all, spec, options)?;
    files(&mut all, spec, root)?;
    bounds(&mut all, spec)?;
    privileges(&mut all, options)?;
    Ok(all.0)
}

/// What is started, and how it ends.
fn life(all: &mut Properties, spec: &LaunchSpec, options: &UnitOptions) -> Result<(), zbus::Error> {
    let program = "/usr/bin/llama-server".to_owned();
    let mut argv = vec![program.clone()];
    argv.extend(spec.engine_arguments());
    all.add("Description", format!("Freehold engine {}", spec.name))?;
    all.add("Type", "exec")?;
    all.add("ExecStart", vec![(program, argv, false)])?;
    all.add("WorkingDirectory", "/")?;
    all.add("KillMode", "control-group")?;
    all.add("SendSIGKILL", true)?;
    all.add("TimeoutStopUSec", STOP_USEC)?;
    all.add("TimeoutStartUSec", START_USEC)?;
    all.add("Restart", "no")?;
    // The unit stays until its result was read, and no longer than the connection of whoever asked for it.
    all.add("AddRef", true)?;
    if let Some(unit) = &options.bound_to {
        all.all(&["BindsTo", "After"], vec![unit.clone()])?;
    }
    Ok(())
}

/// What it sees.
fn files(all: &mut Properties, spec: &LaunchSpec, root: &Root) -> Result<(), zbus::Error> {
    match root {
        Root::Directory(folder) => all.add("RootDirectory", text(folder))?,
        Root::Image {
            image,
            verity,
            root_hash,
        } => {
            all.add("RootImage", text(image))?;
            all.add("RootVerity", text(verity))?;
            all.add("RootHash", root_hash.clone())?;
        }
    }
    all.add("MountAPIVFS", true)?;
    all.add(
        "TemporaryFileSystem",
        vec![
            ("/models".to_owned(), "ro,nodev,noexec,nosuid,size=64k".to_owned()),
            ("/tmp".to_owned(), "nodev,noexec,nosuid,size=16m".to_owned()),
        ],
    )?;
    let models: Vec<(String, String, bool, u64)> = spec
        .files
        .iter()
        .map(|file| (text(&file.source), format!("/models/{}", file.name), false, 0))
        .collect();
    all.add("BindReadOnlyPaths", models)?;
    let mut writable = vec![(text(&spec.socket_folder), "/sockets".to_owned(), false, 0)];
    writable.extend(
        spec.devices
            .iter()
            .map(|device| (text(device), text(device), false, RECURSIVE)),
    );
    all.add("BindPaths", writable)?;
    // `RootImage=` lets the unit's control group use loop and device-mapper nodes, because its image is opened in there. With a
    // private /dev there is no such node, and without mknod none can be made.
    all.add("PrivateDevices", true)?;
    all.add("DevicePolicy", "closed")?;
    let devices: Vec<(String, String)> = spec
        .devices
        .iter()
        .map(|device| (text(device), "rw".to_owned()))
        .collect();
    all.add("DeviceAllow", devices)?;
    all.add("ProtectSystem", "strict")?;
    all.add("ProtectHome", "yes")?;
    all.add("ProtectProc", "invisible")?;
    all.add("ProcSubset", "pid")?;
    all.all(
        &[
            "ProtectKernelTunables",
            "ProtectKernelModules",
            "ProtectKernelLogs",
            "ProtectControlGroups",
            "ProtectClock",
            "ProtectHostname",
        ],
        true,
    )?;
    // The group of its socket is the gateway's way in.
    all.add("UMask", 0o007u32)
}

/// What it may take.
fn bounds(all: &mut Properties, spec: &LaunchSpec) -> Result<(), zbus::Error> {
    all.add("MemoryMax", spec.memory_bytes)?;
    all.add("MemorySwapMax", 0u64)?;
    all.add("CPUQuotaPerSecUSec", u64::from(spec.threads).saturating_mul(1_000_000))?;
    all.add("TasksMax", MAX_TASKS)?;
    all.add("OOMPolicy", "kill")?;
    all.add("OOMScoreAdjust", 500i32)?;
    all.add("Nice", 5i32)?;
    all.all(&["LimitFSIZE", "LimitFSIZESoft"], u64::from(MAX_FILE_BYTES))?;
    all.all(&["LimitCORE", "LimitCORESoft"], 0u64)?;
    all.all(&["LimitNOFILE", "LimitNOFILESoft"], u64::from(MAX_OPEN_FILES))
}

/// What it may do.
fn privileges(all: &mut Properties, options: &UnitOptions) -> Result<(), zbus::Error> {
    match &options.user {
        Some((user, group)) => {
            all.add("User", user.clone())?;
            all.add("Group", group.clone())?;
        }
        None => all.add("DynamicUser", true)?,
    }
    all.all(
        &[
            "PrivateNetwork",
            "PrivateIPC",
            "PrivateUsers",
            "NoNewPrivileges",
            "LockPersonality",
            "RestrictRealtime",
            "RestrictSUIDSGID",
            "RemoveIPC",
        ],
        true,
    )?;
    if options.version >= PRIVATE_PIDS_SINCE {
        all.add("PrivatePIDs", "yes")?;
    }
    all.add("KeyringMode", "private")?;
    all.all(&["CapabilityBoundingSet", "AmbientCapabilities"], 0u64)?;
    all.add("RestrictAddressFamilies", (true, vec!["AF_UNIX".to_owned()]))?;
    // The flags of namespaces that may be made: none.
    all.add("RestrictNamespaces", 0u64)?;
    all.add("SystemCallArchitectures", vec!["native".to_owned()])?;
    all.add("SystemCallFilter", (true, crate::calls::names()))?;
    // EPERM, as under bubblewrap.
    all.add("SystemCallErrorNumber", 1i32)
}
