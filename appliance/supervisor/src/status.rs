//! The status file: what a person or a script reads to know how the box is.
//!
//! Refuses secrets: there is no field for one. Invariant: the file is always whole; it is written only when it changed.

use freehold_plan::ObservedSystem;
use freehold_protocol::report::GatewayDoor;
use freehold_protocol::status::{ModelState, VerdictWord};
use freehold_verify::RefusalReport;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::screen::Attendant;
use crate::state::State;
use crate::system::RootRead;

/// How the TPM is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TpmStatus {
    /// `ok`, or the fault's code.
    pub state: String,
    /// What the fault said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How the verdict lease is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LeaseStatus {
    /// The models that run only under one.
    pub models: Vec<String>,
    /// `held`, or the code of why it is not.
    pub state: String,
    /// Unix seconds at which it ends, when it is held.
    pub until: Option<i64>,
}

/// How the box is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Status {
    /// Version of this form, 1.
    pub v: u32,
    /// The box's id.
    #[serde(rename = "box")]
    pub box_id: String,
    /// The name that people gave it.
    pub label: String,
    /// The fleet, once paired.
    pub fleet: String,
    /// `unknown`, `waiting_for_approval`, `approved` or `refused`.
    pub enrolment: String,
    /// What a person compares on both screens.
    pub fingerprint: Option<String>,
    /// The console's last verdict.
    pub verdict: VerdictWord,
    /// Why, in sentences.
    pub because: Vec<String>,
    /// Whether the network is what the settings say: `closed`, `being applied`, `applied`, or the code of what is in the way; empty
    /// where the network is not this program's.
    #[serde(default)]
    pub network: String,
    /// `ok`, or the code of what keeps the box from its console.
    pub console: String,
    /// How the TPM is.
    pub tpm: TpmStatus,
    /// `simulated` or `measured`.
    pub boot: String,
    /// One sentence on what is being done or waited for.
    pub doing: String,
    /// Counter of the accepted assignment.
    pub pursuing: Option<u64>,
    /// Counter of the last achieved one.
    pub achieved: Option<u64>,
    /// Models on the box.
    pub models: Vec<ModelState>,
    /// Digest of the last plan.
    pub plan: Option<String>,
    /// The last plan, step by step.
    pub steps: Vec<String>,
    /// What waits, and for what.
    pub waiting: Vec<String>,
    /// What the box refused, newest last.
    pub refusals: Vec<RefusalReport>,
    /// Where applications reach the gateway.
    pub gateway: Option<GatewayDoor>,
    /// The policy in force, its target name.
    pub policy: Option<String>,
    /// The verdict lease, where policy demands one for a model that is here or wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseStatus>,
    /// How far the background read of the verified root is, on a box that is the operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_read: Option<RootRead>,
    /// The running image and whether it has shown that it works, on a box that is the operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<ObservedSystem>,
    /// Entries in the record.
    pub record: u64,
    /// How the stored files are held to what was admitted: `hashed` before every start.
    pub store: String,
    /// Who starts engines: `systemd` with its version, or `bubblewrap`.
    #[serde(default)]
    pub host: String,
}

/// Writes the status when it changed.
#[derive(Debug, Default)]
pub(crate) struct Board {
    last: Option<Status>,
    screen: Option<Attendant>,
}

impl Board {
    /// Shows it on the box's own screen from now on, too.
    pub(crate) fn also_on(&mut self, screen: Option<Attendant>) {
        self.screen = screen;
    }

    pub(crate) fn show(&mut self, state: &State, status: &Status) -> Result<(), Fault> {
        if let Some(screen) = &self.screen {
            screen.show(status);
        }
        if self.last.as_ref() != Some(status) {
            state.put_json("status.json", status)?;
            self.last = Some(status.clone());
        }
        Ok(())
    }
}
