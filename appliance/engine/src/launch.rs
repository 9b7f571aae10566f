//! What an engine is started with: its root, the listed files of one model, its door, its bounds; and the command line that
//! bubblewrap is given for it on a development machine. On the OS the same closure is a unit with `RootImage=`.
//!
//! Refuses names that could leave the model's folder. Invariant: whatever is not in the specification is not in the sandbox:
//! no network, no host folder, no environment, no capability, no other process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// HTTP threads of llama-server beyond the requests it may have: health checks and connections that wait for their end.
const SPARE_THREADS: usize = 8;

/// The socket's name in its folder; llama.cpp takes a host for a Unix socket when it ends in `.sock`.
pub const SOCKET_NAME: &str = "engine.sock";

/// No file that the engine could reach grows beyond this: its only writable folder is the one with its socket, and that must
/// not fill the disk. One byte, because bubblewrap itself writes one.
pub(crate) const MAX_FILE_BYTES: u32 = 1;

/// Open files: the model's parts, its libraries, one connection per request.
pub(crate) const MAX_OPEN_FILES: u32 = 1024;

/// Closes what a library of the starting program opened without close-on-exec, before anything else runs: bubblewrap hands
/// open descriptors through, and a TPM's would be among them. Only standard input, output and error stay. The loop has no redirection
/// of its own: bash keeps the original in a high descriptor, which the loop would close, and the engine's last words with it.
/// Then the two filters of system calls are opened for bubblewrap, which closes them again.
const CLOSE_INHERITED: &str = r#"for f in /proc/self/fd/*; do n=${f##*/}; if [ "$n" -gt 2 ]; then eval "exec $n>&-"; fi; done; a=$1 b=$2; shift 2; exec "$@" 3<"$a" 4<"$b""#;

/// The user inside the sandbox ("nobody", Debian's base-passwd).
const NOBODY: &str = "65534";

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Where it lies in the content store.
    pub source: PathBuf,
    /// The plain name that the engine sees below `/models`.
    pub name: String,
}

/// What an engine is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Chat and completion.
    Chat,
    /// Embeddings and nothing else: llama-server refuses completions then.
    Embeddings,
}

/// Whether the engine has a user namespace of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserNamespace {
    /// Yes, in which it is nobody and can make no further one.
    Own,
    /// The machine does not allow one (then only root can start engines, without capabilities all the same).
    Shared,
}

/// Everything that a start needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchSpec {
    /// A short name for threads, control groups and logs, `[a-z0-9-]`.
    pub name: String,
    /// The unpacked engine root.
    pub root: PathBuf,
    /// The listed files, and only those.
    pub files: Vec<ModelFile>,
    /// The name in `files` that is opened (the first part of a split model).
    pub open: String,
    /// Chat or embeddings.
    pub purpose: Purpose,
    /// A folder of this engine's own; its socket appears there. It is emptied at each start.
    pub socket_folder: PathBuf,
    /// Tokens of context for each slot.
    pub context: u32,
    /// Requests that are worked on at the same time.
    pub slots: u32,
    /// Threads that compute.
    pub threads: u32,
    /// Most bytes of memory, the mapped model included.
    pub memory_bytes: u64,
    /// Accelerator devices, by path in `/dev`.
    pub devices: Vec<PathBuf>,
    /// Where its messages go; bounded, with one older part beside it.
    pub log: PathBuf,
}

/// Why a specification cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Not a plain file name.
    #[error("`{name}` is not a plain file name")]
    Name {
        /// The name.
        name: String,
    },
    /// The file to open is not in the list.
    #[error("`{name}` is not among the model's files")]
    NotListed {
        /// The name.
        name: String,
    },
    /// A number that makes no engine.
    #[error("`{what}` is 0 or too large")]
    Number {
        /// Which number.
        what: &'static str,
    },
}

impl LaunchSpec {
    /// The path of the engine's socket on the host.
    pub fn socket(&self) -> PathBuf {
        self.socket_folder.join(SOCKET_NAME)
    }

    /// Refuses what could not be started, or could reach outside.
    pub fn check(&self) -> Result<(), SpecError> {
        let plain = |name: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
            !name.is_empty() && name.len() <= 200 && !name.starts_with(['.', '-']) && name.chars().all(fits)
        };
        for name in self.files.iter().map(|file| &file.name).chain([&self.name]) {
            if !plain(name) {
                return Err(SpecError::Name { name: name.clone() });
            }
        }
        if !self.files.iter().any(|file| file.name == self.open) {
            return Err(SpecError::NotListed {
                name: self.open.clone(),
            });
        }
        for (what, number) in [
            ("slots", self.slots),
            ("threads", self.threads),
            ("context", self.context),
        ] {
            if number == 0 || number > 1 << 24 {
                return Err(SpecError::Number { what });
            }
        }
        Ok(())
    }

    /// The whole command: limits, then the sandbox, then the engine. Standard input releases the sandbox (`--block-fd 0`), so
    /// that control groups are set before the engine's first instruction.
    /// `filters` are the paths of the programs of [`crate::calls::Filters`].
    pub fn command(&self, namespace: UserNamespace, filters: &[String; 2]) -> Command {
        let mut command = Command::new("bash");
        command
            .args(["-c", CLOSE_INHERITED, "engine"])
            .args(filters)
            .arg("prlimit");
        command
            .arg(format!("--fsize={MAX_FILE_BYTES}"))
            .arg("--core=0")
            .arg(format!("--nofile={MAX_OPEN_FILES}"));
        command.args(["--", "nice", "-n", "5", "bwrap"]);
        command.args(self.sandbox(namespace));
        command
            .arg("--")
            .arg("/usr/bin/llama-server")
            .args(self.engine_arguments());
        command
    }

    /// bubblewrap's arguments.
    pub fn sandbox(&self, namespace: UserNamespace) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut add = |parts: &[&dyn AsRef<std::ffi::OsStr>]| {
            arguments.extend(parts.iter().map(|part| part.as_ref().to_owned()));
        };
        add(&[
            &"--unshare-all",
            &"--die-with-parent",
            &"--new-session",
            &"--clearenv",
            &"--cap-drop",
            &"ALL",
        ]);
        if namespace == UserNamespace::Own {
            add(&[
                &"--unshare-user",
                &"--uid",
                &NOBODY,
                &"--gid",
                &NOBODY,
                &"--disable-userns",
            ]);
        }
        add(&[&"--hostname", &"engine", &"--block-fd", &"0"]);
        add(&[&"--add-seccomp-fd", &"3", &"--add-seccomp-fd", &"4"]);
        add(&[
            &"--ro-bind",
            &self.root,
            &"/",
            &"--proc",
            &"/proc",
            &"--dev",
            &"/dev",
            &"--tmpfs",
            &"/tmp",
        ]);
        for device in &self.devices {
            add(&[&"--dev-bind", device, device]);
        }
        add(&[&"--tmpfs", &"/models"]);
        for file in &self.files {
            add(&[&"--ro-bind", &file.source, &format!("/models/{}", file.name)]);
        }
        add(&[
            &"--remount-ro",
            &"/models",
            &"--bind",
            &self.socket_folder,
            &"/sockets",
            &"--chdir",
            &"/",
        ]);
        arguments
    }

    /// llama-server's own arguments. No cache of one request is ever used for another; nothing is fetched; no page, no
    /// slot listing; warnings and errors only, which do not quote prompts.
    pub fn engine_arguments(&self) -> Vec<String> {
        let door = format!("/sockets/{SOCKET_NAME}");
        let model = format!("/models/{}", self.open);
        let context = u64::from(self.context)
            .saturating_mul(u64::from(self.slots))
            .to_string();
        let http = crate::door::MAX_REQUESTS.saturating_add(SPARE_THREADS).to_string();
        let (slots, threads) = (self.slots.to_string(), self.threads.to_string());
        let mut arguments: Vec<&str> = vec!["--host", &door, "--model", &model, "--offline", "--no-ui", "--no-slots"];
        arguments.extend(["--parallel", &slots, "--ctx-size", &context, "--no-kv-unified"]);
        arguments.extend([
            "--threads",
            &threads,
            "--threads-batch",
            &threads,
            "--threads-http",
            &http,
        ]);
        arguments.extend(["--no-cache-prompt", "--cache-ram", "0", "--no-cache-idle-slots"]);
        arguments.extend([
            "--slot-prompt-similarity",
            "0",
            "--reasoning-format",
            "none",
            "--log-verbosity",
            "2",
        ]);
        if self.purpose == Purpose::Embeddings {
            arguments.extend(["--embeddings", "--pooling", "mean"]);
        }
        arguments.into_iter().map(str::to_owned).collect()
    }
}

/// Tries a user namespace once, with a program that does nothing.
pub fn probe_user_namespace() -> UserNamespace {
    let arguments = [
        "--unshare-all",
        "--unshare-user",
        "--uid",
        NOBODY,
        "--gid",
        NOBODY,
        "--disable-userns",
    ];
    let tried = Command::new("bwrap")
        .args(arguments)
        .args(["--ro-bind", "/", "/", "--", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if tried.is_ok_and(|status| status.success()) {
        UserNamespace::Own
    } else {
        UserNamespace::Shared
    }
}

/// Makes the socket's folder, closed to others, and empties it: a stale socket would keep the engine from starting.
pub fn prepare_socket_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_the_starting_program_do_not_reach_the_engine() {
        let open = std::fs::File::open("/dev/null").unwrap();
        rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).unwrap();
        let list = |wrapped: bool| {
            let mut command = Command::new("bash");
            if wrapped {
                command.args(["-c", CLOSE_INHERITED, "engine", "/dev/zero", "/dev/zero", "bash"]);
            }
            let said = command
                .args(["-c", "for f in /proc/self/fd/*; do readlink $f; done"])
                .output()
                .unwrap();
            String::from_utf8(said.stdout)
                .unwrap()
                .lines()
                .filter(|line| *line == "/dev/null")
                .count()
        };
        // Standard input is `/dev/null` in neither case: it is inherited; what counts is the difference.
        assert!(list(false) > list(true), "the probe's descriptor was not closed");
    }

    fn spec() -> LaunchSpec {
        LaunchSpec {
            name: "guide-chat".to_owned(),
            root: "/engines/llama-cpu".into(),
            files: vec![ModelFile {
                source: "/store/ab/guide".into(),
                name: "guide.gguf".to_owned(),
            }],
            open: "guide.gguf".to_owned(),
            purpose: Purpose::Chat,
            socket_folder: "/run/freehold/engine-guide".into(),
            context: 512,
            slots: 4,
            threads: 2,
            memory_bytes: 1 << 30,
            devices: vec![],
            log: "/log".into(),
        }
    }

    #[test]
    fn the_command_line_is_the_whole_of_the_sandbox() {
        let filters = ["/proc/1/fd/7", "/proc/1/fd/8"].map(str::to_owned);
        let command = spec().command(UserNamespace::Own, &filters);
        let line: Vec<_> = command.get_args().map(|part| part.to_string_lossy()).collect();
        insta::assert_snapshot!(line.join(" ").replace(" --", "\n--"));
    }

    #[test]
    fn names_that_leave_the_folder_or_look_like_options_are_refused() {
        for name in ["../x", "a/b", "", ".hidden", "-m", "a b", "a\n"] {
            let mut bad = spec();
            bad.open = name.to_owned();
            bad.files[0].name = name.to_owned();
            assert!(matches!(bad.check(), Err(SpecError::Name { .. })), "{name}");
        }
        let mut bad = spec();
        bad.open = "other.gguf".to_owned();
        assert!(matches!(bad.check(), Err(SpecError::NotListed { .. })));
        assert_eq!(spec().check(), Ok(()));
    }

    #[test]
    fn a_stale_socket_is_removed() {
        let world = tempfile::tempdir().unwrap();
        let folder = world.path().join("engine-x");
        prepare_socket_folder(&folder).unwrap();
        std::fs::write(folder.join(SOCKET_NAME), b"").unwrap();
        prepare_socket_folder(&folder).unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    }
}
