//! One virtual machine: firmware with Secure Boot and SMM, a TPM, a disk, a serial line, no network unless it is given one.
//!
//! Refuses hardware virtualisation unless somebody found that it works here: a broken one dies in the firmware. Invariant: the
//! machine ends with this value, as by a power cut.

use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use freehold_harness::{Program, TpmAuthority, wait_for};

use crate::chip::Chip;
use crate::image::{Disk, Image};
use crate::screen::Screen;

/// Who put our certificates into the firmware; the same as in image/tool/src/expect.rs.
const OWNER: &str = "6b6f9b1e-8a3c-4f43-9c2f-0e5b6ff6d8ff";

/// What a machine is made of.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The folder of its state: `disk.raw`, `vars.fd`, `tpm/`.
    pub folder: PathBuf,
    /// The tap interface of its network card; without one it has no card.
    pub tap: Option<String>,
    /// A raw image that is shown as a USB stick.
    pub stick: Option<PathBuf>,
    /// A second, empty disk.
    pub second: Option<PathBuf>,
    /// More of QEMU's command line.
    pub more: Vec<String>,
}

impl Wish {
    /// A machine without a network.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            tap: None,
            stick: None,
            second: None,
            more: Vec::new(),
        }
    }

    /// With a network card.
    #[must_use]
    pub fn on(folder: &Path, tap: &str) -> Self {
        Self {
            tap: Some(tap.to_owned()),
            ..Self::at(folder)
        }
    }
}

/// A machine that is on.
#[derive(Debug)]
pub struct Machine {
    folder: PathBuf,
    qemu: Program,
    _chip: Chip,
    line: UnixStream,
    /// What the line said, byte for byte: QEMU's own log has some bytes twice when nobody reads the line for a moment.
    log: fs::File,
    began: Instant,
    limit: Duration,
}

/// How long a case waits for one thing, at most. Two cores without hardware virtualisation, shared with other work, take minutes.
#[must_use]
pub fn patience() -> Duration {
    let seconds = std::env::var("FREEHOLD_VM_LIMIT")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(600))
}

/// Makes the state of a new machine: a copy of the image's disk, and firmware that knows our keys.
///
/// # Errors
/// When a tool fails.
pub fn prepare(image: &Image, folder: &Path) -> Result<Disk> {
    fs::create_dir_all(folder)?;
    let keys = keys()?;
    image.tool(
        folder,
        &keys,
        &[
            "virt-fw-vars",
            "-i",
            "/ovmf/OVMF_VARS_4M.fd",
            "-o",
            "/case/vars.fd",
            "--secure-boot",
            "--set-pk",
            OWNER,
            "/read/PK.pem",
            "--add-kek",
            OWNER,
            "/read/KEK.pem",
            "--add-db",
            OWNER,
            "/read/db.pem",
        ],
    )?;
    Disk::copy(&image.disk(), &folder.join("disk.raw"))
}

/// The folder of the image's keys, of which only certificates are read here.
fn keys() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("FREEHOLD_IMAGE_KEYS") {
        return Ok(PathBuf::from(folder));
    }
    let home = std::env::var_os("HOME").context("no home folder")?;
    Ok(Path::new(&home).join(".local/state/freehold/image-keys"))
}

/// A program that the kernel ends when this process does, whatever the reason.
#[must_use]
pub fn bound(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// QEMU's command line of a machine; the serial line is `serial`.
#[must_use]
pub fn arguments(wish: &Wish, serial: &str) -> Vec<String> {
    let at = |name: &str| wish.folder.join(name).display().to_string();
    let said = |name: &str, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.to_owned());
    let accel = if said("FREEHOLD_KVM", "") == "1" {
        ["-accel", "kvm", "-cpu", "host"]
    } else {
        // `max` breaks systemd under this QEMU.
        ["-accel", "tcg,thread=single", "-cpu", "Nehalem"]
    };
    let mut all: Vec<String> = ["-machine", "q35,smm=on"]
        .into_iter()
        .chain(accel)
        .map(str::to_owned)
        .collect();
    let mut add = |words: &[&str]| all.extend(words.iter().map(|word| (*word).to_owned()));
    // One processor: with several, QEMU 7.2 without hardware virtualisation now and then runs half of a patched instruction.
    add(&[
        "-smp",
        &said("FREEHOLD_VM_CPUS", "1"),
        "-m",
        &said("FREEHOLD_VM_MEMORY", "1536"),
    ]);
    add(&[
        "-nodefaults",
        "-no-reboot",
        "-display",
        "none",
        "-device",
        "virtio-rng-pci",
    ]);
    add(&[
        "-global",
        "driver=cfi.pflash01,property=secure,value=on",
        "-global",
        "ICH9-LPC.disable_s3=1",
    ]);
    add(&[
        "-drive",
        "if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd",
    ]);
    add(&["-drive", &format!("if=pflash,format=raw,unit=1,file={}", at("vars.fd"))]);
    add(&["-chardev", &format!("socket,id=tpm,path={}", at("tpm.sock"))]);
    add(&[
        "-tpmdev",
        "emulator,id=tpm,chardev=tpm",
        "-device",
        "tpm-crb,tpmdev=tpm",
    ]);
    // Each flush of the guest is one of the host: a power cut loses what a real one would.
    add(&[
        "-drive",
        &format!("if=none,id=disk,format=raw,discard=unmap,file={}", at("disk.raw")),
    ]);
    add(&["-device", "virtio-blk-pci,drive=disk,bootindex=0"]);
    add(&["-chardev", serial, "-serial", "chardev:serial"]);
    add(&["-monitor", &format!("unix:{},server=on,wait=off", at("monitor.sock"))]);
    if let Some(tap) = &wish.tap {
        add(&["-netdev", &format!("tap,id=net,ifname={tap},script=no,downscript=no")]);
        add(&[
            "-device",
            &format!("virtio-net-pci,netdev=net,mac={}", crate::frames::MAC_TEXT),
        ]);
        add(&[
            "-object",
            &format!("filter-dump,id=dump,netdev=net,file={}", at("frames.pcap")),
        ]);
    }
    if let Some(stick) = &wish.stick {
        add(&[
            "-device",
            "qemu-xhci",
            "-drive",
            &format!("if=none,id=stick,format=raw,file={}", stick.display()),
        ]);
        add(&["-device", "usb-storage,drive=stick,removable=on"]);
    }
    if let Some(second) = &wish.second {
        add(&[
            "-drive",
            &format!("if=none,id=second,format=raw,file={}", second.display()),
        ]);
        add(&["-device", "virtio-blk-pci,drive=second,serial=SECOND-0001"]);
    }
    all.extend(wish.more.iter().cloned());
    all
}

impl Machine {
    /// Turns it on.
    ///
    /// # Errors
    /// When QEMU or swtpm do not start.
    pub fn start(wish: &Wish, authority: &TpmAuthority) -> Result<Self> {
        let chip = Chip::start(&wish.folder, authority)?;
        let (socket, log) = (wish.folder.join("serial.sock"), wish.folder.join("serial.log"));
        for path in [&socket, &log] {
            let _ = fs::remove_file(path);
        }
        let serial = format!("socket,id=serial,path={},server=on,wait=on", socket.display());
        let mut command = bound("qemu-system-x86_64");
        command.args(arguments(wish, &serial));
        let mut qemu = Program::start("qemu-system-x86_64", command, &wish.folder.join("qemu.log"))?;
        let line = wait_for("QEMU's serial line", Duration::from_secs(60), || {
            ensure!(qemu.ended()?.is_none(), "QEMU ended: {}", qemu.tail(5));
            Ok(UnixStream::connect(&socket).ok())
        })?;
        line.set_nonblocking(true)?;
        Ok(Self {
            folder: wish.folder.clone(),
            qemu,
            _chip: chip,
            line,
            log: fs::File::create(&log)?,
            began: Instant::now(),
            limit: patience(),
        })
    }

    /// Since when it is on.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Everything that the serial line said.
    #[must_use]
    pub fn said(&self) -> String {
        self.drain();
        String::from_utf8_lossy(&fs::read(self.folder.join("serial.log")).unwrap_or_default()).into_owned()
    }

    /// What stands on the serial terminal.
    #[must_use]
    pub fn screen(&self) -> Screen {
        self.drain();
        Screen::of(&fs::read(self.folder.join("serial.log")).unwrap_or_default())
    }

    /// Types.
    ///
    /// # Errors
    /// When the machine is off.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        // The serial port takes a few bytes at a time.
        let mut rest = keys.as_bytes();
        wait_for("the serial line to take keys", Duration::from_secs(60), || {
            match self.line.write(rest) {
                Ok(taken) => {
                    rest = &rest[taken..];
                    Ok(rest.is_empty().then_some(()))
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Takes what was sent into the log; a full buffer would stop the machine.
    fn drain(&self) {
        let mut bytes = [0; 65536];
        while let Ok(count @ 1..) = (&self.line).read(&mut bytes) {
            // A log that cannot be written shows nothing, and nothing is what the case then fails for.
            let _ = (&self.log).write_all(&bytes[..count]);
        }
    }

    /// Waits until `look` finds something in what the serial line said. Fails at once when the machine ends or panics, unless
    /// that is what is looked for.
    ///
    /// # Errors
    /// When the limit is over; the end of the serial line is in the message.
    pub fn wait<T>(&mut self, what: &str, look: impl Fn(&str, &Screen) -> Option<T>) -> Result<T> {
        let limit = self.limit;
        let found = wait_for(what, limit, || {
            self.drain();
            let (said, screen) = (self.said(), self.screen());
            if let Some(found) = look(&said, &screen) {
                return Ok(Some(found));
            }
            if let Some(status) = self.qemu.ended()? {
                // What it said last may have come between the two looks.
                return match look(&self.said(), &self.screen()) {
                    Some(found) => Ok(Some(found)),
                    None => bail!("the machine is off ({status}), while waiting for {what}"),
                };
            }
            std::thread::park_timeout(Duration::from_millis(250));
            Ok(None)
        });
        found.with_context(|| self.end())
    }

    /// Waits until the serial line says one of `wanted`; fails when it says one of `unwanted`.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub fn until(&mut self, wanted: &[&str], unwanted: &[&str]) -> Result<()> {
        let outcome = self.wait(&format!("one of {wanted:?}"), |said, _| {
            let bad = unwanted.iter().find(|text| said.contains(**text));
            let good = wanted.iter().any(|text| said.contains(text));
            // What is unwanted counts even where both are there.
            bad.map(|text| Err((*text).to_owned()))
                .or_else(|| good.then_some(Ok(())))
        })?;
        outcome.map_err(|text| anyhow::anyhow!("the machine said `{text}`\n{}", self.end()))
    }

    /// Waits until the machine turns itself off, or starts again (QEMU then ends, too).
    ///
    /// # Errors
    /// When it does not within the limit.
    pub fn until_off(&mut self) -> Result<()> {
        let limit = self.limit;
        wait_for("the machine to be off", limit, || {
            self.drain();
            Ok(self.qemu.ended()?.map(|_| ()))
        })
        .with_context(|| self.end())
    }

    /// Whether it is still on.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn on(&mut self) -> Result<bool> {
        self.drain();
        Ok(self.qemu.ended()?.is_none())
    }

    /// Fails when it is off: for waits on something else than the machine itself.
    ///
    /// # Errors
    /// Then, with the end of what it said.
    pub fn still_on(&mut self) -> Result<()> {
        ensure!(self.on()?, "the machine is off\n{}", self.end());
        Ok(())
    }

    /// The end of what the serial line said, and the screen, for messages.
    #[must_use]
    pub fn end(&self) -> String {
        let said = self.said();
        let plain: Vec<&str> = said.lines().collect();
        let tail = plain[plain.len().saturating_sub(25)..]
            .join("\n")
            .replace('\u{1b}', "^");
        format!(
            "the screen:\n{}\nthe serial line, `{}`, ends with:\n{tail}",
            self.screen().text(),
            self.folder.join("serial.log").display()
        )
    }

    /// Cuts the power.
    pub fn cut(mut self) {
        self.qemu.kill();
    }
}
