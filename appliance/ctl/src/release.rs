//! Verbs of the publisher: make the repository, publish, revoke, export. Offline, on the publisher's own machine.
//!
//! Refuses to publish what does not verify. Invariant: nothing here speaks to a network, and an export holds no key.

mod publish;
mod show;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use freehold_sign::files::read_public_key;
use freehold_sign::repository::{
    Expiry, InitOptions, Publisher, RepositoryError, RevocationChange, export, init, refresh, revoke, rotate_timestamp,
};
use freehold_trust::digest::{Sha256Digest, sha256};
use serde_json::json;

use crate::answer::Fault;
use crate::arguments::Setting;
use crate::model::{now, refused, unknown};

/// Verbs of the publisher. DIR is the publisher's folder, which only the publisher may read.
#[derive(Debug, Subcommand)]
pub enum ReleaseVerb {
    /// Make keys, the first root and an empty revocation list.
    Init(Init),
    /// Publish a model (with --model), or files of another kind.
    Publish(Box<publish::Publish>),
    /// Take back models, signers or releases, or raise a floor.
    Revoke(Revoke),
    /// Sign the same releases once more, with fresh expiries.
    Refresh {
        /// The publisher's folder.
        dir: PathBuf,
        #[command(flatten)]
        validity: Validity,
    },
    /// Write the next root over another timestamp key, after the console was replaced.
    RotateTimestamp {
        /// The publisher's folder.
        dir: PathBuf,
        /// The new console's public timestamp key, PEM.
        #[arg(long, value_name = "FILE")]
        timestamp_key: PathBuf,
        #[command(flatten)]
        validity: Validity,
    },
    /// Write the repository without keys, for the console or a stick; in one step.
    Export {
        /// The publisher's folder.
        dir: PathBuf,
        /// Where to; an earlier export there is replaced.
        to: PathBuf,
    },
    /// What is published, and until when it is valid.
    Show {
        /// The publisher's folder.
        dir: PathBuf,
    },
}

/// Days that metadata is valid from now.
#[derive(Debug, Clone, Copy, Args)]
pub struct Validity {
    /// Days that a root is valid.
    #[arg(long, default_value_t = 365, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(1..=3650))]
    root_days: i64,
    /// Days that the list of releases is valid.
    #[arg(long, default_value_t = 90, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(1..=3650))]
    targets_days: i64,
    /// Days that the snapshot is valid.
    #[arg(long, default_value_t = 30, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(1..=3650))]
    snapshot_days: i64,
}

impl Validity {
    fn expiry(self) -> Expiry {
        let seconds = |days: i64| days.saturating_mul(24 * 60 * 60);
        Expiry {
            root: seconds(self.root_days),
            targets: seconds(self.targets_days),
            snapshot: seconds(self.snapshot_days),
        }
    }
}

/// Make a publisher's folder.
#[derive(Debug, Args)]
pub struct Init {
    /// The folder to make.
    dir: PathBuf,
    /// The console's public timestamp key, PEM.
    #[arg(long, value_name = "FILE")]
    timestamp_key: PathBuf,
    /// How many root keys to make.
    #[arg(long, default_value_t = 2, value_name = "N")]
    root_keys: usize,
    /// How many of them must sign a root.
    #[arg(long, default_value_t = 2, value_name = "M")]
    root_threshold: usize,
    /// How many keys to make for the list of releases.
    #[arg(long, default_value_t = 1, value_name = "N")]
    targets_keys: usize,
    /// How many of them must sign the list.
    #[arg(long, default_value_t = 1, value_name = "M")]
    targets_threshold: usize,
    #[command(flatten)]
    validity: Validity,
}

/// Take something back.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub struct Revoke {
    /// The publisher's folder.
    dir: PathBuf,
    /// A model's root digest; may be given more than once.
    #[arg(long, value_name = "DIGEST", group = "what")]
    model: Vec<Sha256Digest>,
    /// A signer's key fingerprint or keyless identity; may be given more than once.
    #[arg(long, value_name = "SIGNER", group = "what")]
    signer: Vec<String>,
    /// A release as `models/NAME/VERSION`; may be given more than once.
    #[arg(long, value_name = "RELEASE", group = "what")]
    release: Vec<String>,
    /// The smallest counter that may still be installed, as `models/NAME=N`; may be given more than once.
    #[arg(long, value_name = "LINE=N", group = "what", value_parser = floor)]
    floor: Vec<(String, u64)>,
    #[command(flatten)]
    validity: Validity,
}

fn floor(text: &str) -> Result<(String, u64), String> {
    let (line, counter) = text.split_once('=').ok_or("write it as `models/NAME=N`")?;
    let known = ["models/", "engines/", "policies/", "systems/"]
        .iter()
        .any(|kind| line.starts_with(kind));
    let counter = counter.parse().map_err(|_| "the counter is a whole number")?;
    if known {
        Ok((line.to_owned(), counter))
    } else {
        Err("the line begins with models/, engines/, policies/ or systems/".to_owned())
    }
}

impl From<RepositoryError> for Fault {
    fn from(error: RepositoryError) -> Self {
        let hint = match error {
            RepositoryError::File(fault) => return fault.into(),
            RepositoryError::Refused(rejection) => return refused(rejection),
            RepositoryError::NotPublisher { .. } => "make one with `freehold release init DIR --timestamp-key FILE`",
            RepositoryError::Exists { .. } => "name a new folder; keys are never overwritten",
            RepositoryError::Busy { .. } => "wait for the other one to end",
            RepositoryError::Counter { .. } => "leave --counter out and the next one is taken",
            RepositoryError::Published { .. } => "a version is published once; give it a new version",
            RepositoryError::Changed { .. } => "stop what writes there, then publish again",
            RepositoryError::Keys { .. } => "put the missing keys into keys/, or choose a lower threshold",
            RepositoryError::Metadata(_) | RepositoryError::Json(_) => "",
        };
        unknown(&error, hint)
    }
}

/// Runs a verb.
pub fn run(verb: ReleaseVerb, setting: &Setting) -> Result<(), Fault> {
    match verb {
        ReleaseVerb::Init(init) => init.run(setting),
        ReleaseVerb::Publish(publish) => publish.run(setting),
        ReleaseVerb::Revoke(revoke) => revoke.run(setting),
        ReleaseVerb::Refresh { dir, validity } => {
            let snapshot = refresh(&Publisher::open(&dir)?, &validity.expiry(), now())?;
            say(
                setting,
                &json!({ "snapshot": snapshot }),
                &format!("signed anew as snapshot {snapshot}"),
            );
            Ok(())
        }
        ReleaseVerb::RotateTimestamp {
            dir,
            timestamp_key,
            validity,
        } => {
            let key = read_public_key(&timestamp_key)?;
            let version = rotate_timestamp(&Publisher::open(&dir)?, &key, &validity.expiry(), now())?;
            say(setting, &json!({ "root": version }), &format!("root {version} written"));
            Ok(())
        }
        ReleaseVerb::Export { dir, to } => {
            let snapshot = export(&Publisher::open(&dir)?, &to)?;
            let text = format!(
                "exported to {} as snapshot {snapshot}; the console signs its timestamp",
                to.display()
            );
            say(setting, &json!({ "snapshot": snapshot, "to": to }), &text);
            Ok(())
        }
        ReleaseVerb::Show { dir } => show::run(&dir, setting),
    }
}

pub(crate) fn say(setting: &Setting, document: &serde_json::Value, text: &str) {
    if setting.json {
        println!("{document}");
    } else {
        println!("{text}");
    }
}

/// The first root's fingerprint: what boxes pin.
fn root_fingerprint(dir: &Path) -> Result<Sha256Digest, Fault> {
    Ok(sha256(&freehold_sign::files::read_bounded(
        &dir.join("metadata/1.root.json"),
        1024 * 1024,
    )?))
}

impl Init {
    fn run(self, setting: &Setting) -> Result<(), Fault> {
        let options = InitOptions {
            timestamp: read_public_key(&self.timestamp_key)?,
            root_keys: self.root_keys,
            root_threshold: self.root_threshold,
            targets_keys: self.targets_keys,
            targets_threshold: self.targets_threshold,
            expiry: self.validity.expiry(),
        };
        init(&self.dir, &options, now())?;
        let root = root_fingerprint(&self.dir)?;
        let text = format!(
            "publisher's folder {}\nroot fingerprint   {root}\nmodel signing key  {}",
            self.dir.display(),
            self.dir.join("keys/model-1.pem").display()
        );
        say(setting, &json!({ "dir": self.dir, "root_fingerprint": root }), &text);
        Ok(())
    }
}

impl Revoke {
    fn run(self, setting: &Setting) -> Result<(), Fault> {
        let change = RevocationChange {
            models: self.model,
            signers: self.signer,
            releases: self.release,
            floors: self.floor,
        };
        let list = revoke(&Publisher::open(&self.dir)?, change, &self.validity.expiry(), now())?;
        let text = format!(
            "revocation list {} signed; export it to the console to take effect",
            list.counter
        );
        say(setting, &json!({ "revocations": list }), &text);
        Ok(())
    }
}
