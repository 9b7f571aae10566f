//! What the supervisor and the box's own screen say to each other over a Unix socket of their own.
//!
//! Refuses unknown versions, unknown fields, and every wish but the few that [`Deed`] names: there is no message that runs a
//! program or reads a file. Invariant: what is shown is one whole [`View`]; a screen never puts two of them together.
//!
//! The conversation: the screen connects and sends `hello`; the supervisor answers `view`, and a new one with a higher
//! generation whenever something changed; each `do` is answered once, by `done`, `recovery_key` or `refused` with its `id`.
//! Frames are those of [`crate::local`]. The socket is not the gateway's: who serves clients must not shut a box down.

use freehold_verify::RefusalReport;
use freehold_verify::document::Settings;
use serde::{Deserialize, Serialize};

use crate::report::GatewayDoor;
use crate::status::{ModelState, VerdictWord};

/// The version of these messages.
pub const VERSION: u32 = 1;

/// From the screen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FromScreen {
    /// The first frame of a connection.
    Hello {
        /// Version of these messages.
        v: u32,
        /// The screen program's own version, for the log.
        program: String,
    },
    /// A person at the machine asks for something.
    Do {
        /// Chosen by the screen, unique on this connection; comes back in the answer.
        id: u64,
        /// What.
        deed: Deed,
    },
}

/// All that a person at the machine can ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "snake_case", deny_unknown_fields)]
pub enum Deed {
    /// The console whose fingerprint was compared is ours.
    ConfirmConsole {
        /// SHA-256 of its fleet CA certificate as the screen showed it, hex; the supervisor compares it again.
        fingerprint: String,
    },
    /// Look at the stick that is plugged in.
    Import {},
    /// Take these settings, which a person typed and has seen as a whole.
    Settings {
        /// The settings document, unsigned: that somebody stands at the machine is what speaks for it.
        settings: Settings,
    },
    /// Show the recovery key, which is shown until somebody says that it was written down.
    RecoveryKey {},
    /// The recovery key was written down.
    RecoveryKeyWritten {
        /// Its last block, typed from the paper.
        last_block: String,
    },
    /// Shut the machine down.
    ShutDown {},
}

/// The name of a deed without its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ability {
    /// [`Deed::ConfirmConsole`].
    ConfirmConsole,
    /// [`Deed::Import`].
    Import,
    /// [`Deed::Settings`].
    Settings,
    /// [`Deed::RecoveryKey`].
    RecoveryKey,
    /// [`Deed::ShutDown`].
    ShutDown,
}

/// From the supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ToScreen {
    /// What to show, whole; replaces what was said before.
    View {
        /// The view.
        view: Box<View>,
    },
    /// It was done, or is being done.
    Done {
        /// The screen's id of it.
        id: u64,
        /// One sentence for the person.
        said: String,
    },
    /// The recovery key.
    RecoveryKey {
        /// The screen's id of the wish.
        id: u64,
        /// Its blocks, each of which checks itself.
        blocks: Vec<String>,
    },
    /// It was not done.
    Refused {
        /// The screen's id of it.
        id: u64,
        /// Why.
        report: RefusalReport,
    },
}

/// How far the box is with its console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It knows no console yet.
    #[default]
    Unpaired,
    /// A pairing was given and waits for somebody to compare the console's fingerprint here.
    Offered,
    /// It shows itself to the console and waits for somebody to compare the box's fingerprint there.
    Waiting,
    /// It is a member of the fleet.
    Member,
    /// The console sent it away.
    SentAway,
}

/// The console as this box knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleView {
    /// `https://ADDRESS:PORT`; empty when none is known.
    pub address: String,
    /// `ok`, or the code of what keeps the box from it; empty before the first try.
    pub state: String,
    /// SHA-256 of the fleet CA's certificate, hex; empty when none is known.
    pub fleet_ca: String,
    /// SHA-256 of the first TUF root, hex.
    pub tuf_root: String,
    /// SHA-256 of the director's key, hex.
    pub director: String,
}

/// Room on the disk of models, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// Free.
    pub free: u64,
    /// In all.
    pub total: u64,
}

/// Whether settings can be typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingsLock {
    /// None were taken yet.
    #[default]
    Open,
    /// They were; only a wipe by two persons changes them.
    Locked,
}

/// Everything that the screen shows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct View {
    /// Version of these messages.
    pub v: u32,
    /// Rises with every change; an older one than the last is ignored.
    pub generation: u64,
    /// When it was made, unix seconds of the box's clock.
    pub at: i64,
    /// Version of the supervisor.
    pub program: String,
    /// The box's id: two words and four digits.
    #[serde(rename = "box")]
    pub box_id: String,
    /// The name that people gave it, or empty.
    pub label: String,
    /// The fleet, or empty.
    pub fleet: String,
    /// The site, or empty.
    pub site: String,
    /// How far it is with its console.
    pub stage: Stage,
    /// The console.
    pub console: ConsoleView,
    /// The box's own fingerprint, words and hex as the console shows it; `None` before its keys are made.
    pub fingerprint: Option<String>,
    /// The console's last verdict.
    pub verdict: VerdictWord,
    /// Why, in sentences.
    pub because: Vec<String>,
    /// `ok`, the TPM's fault, or empty before the first look.
    pub tpm: String,
    /// `simulated` or `measured`.
    pub boot: String,
    /// One sentence on what is being done or waited for.
    pub doing: String,
    /// Models.
    pub models: Vec<ModelState>,
    /// Where applications reach the gateway.
    pub gateway: Option<GatewayDoor>,
    /// The machine's own network addresses.
    pub addresses: Vec<String>,
    /// The names of its network interfaces.
    pub interfaces: Vec<String>,
    /// Room for models.
    pub disk: Option<Room>,
    /// Entries in the record.
    pub record: u64,
    /// What the box refused, newest last.
    pub refusals: Vec<RefusalReport>,
    /// Whether settings can be typed.
    pub settings: SettingsLock,
    /// What can be asked for now.
    pub can: Vec<Ability>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::{HEADER_BYTES, decode, encode};

    #[test]
    fn a_view_survives_its_frame_and_an_unknown_wish_is_refused() {
        let view = View {
            v: VERSION,
            box_id: "amber-fox-9d1e".to_owned(),
            can: vec![Ability::ShutDown],
            ..View::default()
        };
        let message = ToScreen::View { view: Box::new(view) };
        let frame = encode(&message).unwrap();
        assert_eq!(decode::<ToScreen>(&frame[HEADER_BYTES..]).unwrap(), message);

        let wish = FromScreen::Do {
            id: 1,
            deed: Deed::ShutDown {},
        };
        let frame = encode(&wish).unwrap();
        assert_eq!(
            &frame[HEADER_BYTES..],
            br#"{"kind":"do","id":1,"deed":{"deed":"shut_down"}}"#
        );
        assert_eq!(decode::<FromScreen>(&frame[HEADER_BYTES..]).unwrap(), wish);
        for bad in [
            r#"{"kind":"do","id":1,"deed":{"deed":"shell"}}"#,
            r#"{"kind":"do","id":1,"deed":{"deed":"import","path":"/etc"}}"#,
            r#"{"kind":"run","program":"sh"}"#,
        ] {
            assert!(decode::<FromScreen>(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
