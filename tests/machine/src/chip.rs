//! The TPM of a machine: swtpm behind a Unix socket, as QEMU wants it.
//!
//! Refuses to share a state folder between two machines. Invariant: the process ends with this value; the state stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use freehold_harness::swtpm::manufacture;
use freehold_harness::{Program, TpmAuthority, wait_for};

use crate::machine::bound;

/// A TPM that is on.
#[derive(Debug)]
pub struct Chip {
    /// Where QEMU finds it.
    pub socket: PathBuf,
    _program: Program,
}

impl Chip {
    /// Makes the TPM in `folder` where there is none, with an EK certificate of `authority`, and turns it on.
    ///
    /// # Errors
    /// When swtpm fails; what it said is in the message.
    pub fn start(folder: &Path, authority: &TpmAuthority) -> Result<Self> {
        let state = folder.join("tpm");
        fs::create_dir_all(&state)?;
        if !state.join("tpm2-00.permall").exists() {
            manufacture(&state, authority, &folder.join("swtpm-setup.log"))?;
        }
        let socket = folder.join("tpm.sock");
        let _ = fs::remove_file(&socket);
        let mut command = bound("swtpm");
        command
            .args(["socket", "--tpm2", "--terminate", "--tpmstate"])
            .arg(format!("dir={}", state.display()));
        command
            .arg("--ctrl")
            .arg(format!("type=unixio,path={}", socket.display()));
        let mut program = Program::start("swtpm", command, &folder.join("swtpm.log"))?;
        wait_for("swtpm to be ready", Duration::from_secs(30), || {
            ensure!(program.ended()?.is_none(), "swtpm ended: {}", program.tail(5));
            Ok(socket.exists().then_some(()))
        })?;
        Ok(Self {
            socket,
            _program: program,
        })
    }
}
