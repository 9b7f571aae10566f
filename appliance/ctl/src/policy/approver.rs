//! Verbs about approvers: whose passkeys count, and what needs them. The file goes into a policy release.
//!
//! Refuses a list that a box could not use, and a rule that nobody could fulfil. Invariant: nothing here takes effect before
//! the offline keys have signed it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use freehold_sign::files::{read_bounded, write_atomic};
use freehold_trust::PublicKey;
use freehold_verify::approval::{Approver, ApproverKey, Approvers, MAX_APPROVERS, Rule};
use freehold_verify::release::ReleaseKind;
use serde_json::json;

use crate::answer::{Fault, visible};
use crate::arguments::Setting;
use crate::model::refused;
use crate::release::say;

/// Verbs about approvers.
#[derive(Debug, Subcommand)]
pub enum ApproverVerb {
    /// Begin a list for one console.
    New {
        /// The file, by its name in a policy release: `approvers.json`.
        file: PathBuf,
        /// The address of the console's people's port, as browsers show it: `https://NAME:PORT`; a second one may follow.
        #[arg(long, required = true, value_name = "URL")]
        console: Vec<String>,
    },
    /// Take an approver's passkey in, or a further one of the same person.
    Add(Add),
    /// Take an approver out, or one passkey of theirs.
    Remove {
        /// The file.
        file: PathBuf,
        /// The approver.
        #[arg(long)]
        name: String,
        /// Only this passkey, by its credential id.
        #[arg(long)]
        credential: Option<String>,
    },
    /// Say what needs how many approvals; 0 takes the rule away.
    Rule {
        /// The file.
        file: PathBuf,
        /// Which kind of release.
        #[arg(long, value_enum)]
        kind: Kind,
        /// How many people beside the proposer.
        #[arg(long)]
        approvals: u32,
        /// A site, `*` for all; may be given more than once.
        #[arg(long = "site", default_value = "*")]
        sites: Vec<String>,
    },
    /// Show a list.
    Show {
        /// The file.
        file: PathBuf,
    },
}

/// Take an approver's passkey in.
#[derive(Debug, Args)]
pub struct Add {
    /// The file.
    file: PathBuf,
    /// The line from the approver's account page, `freehold-approver:1:…`. Have the approver read it back to you.
    #[arg(long)]
    line: String,
    /// A site that the person approves for, `*` for all; may be given more than once.
    #[arg(long = "site", required = true)]
    sites: Vec<String>,
}

/// The kinds of release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A model.
    Model,
    /// An engine.
    Engine,
    /// A policy that a box is told to change to.
    Policy,
    /// An operating system image.
    Os,
}

impl From<Kind> for ReleaseKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Model => Self::Model,
            Kind::Engine => Self::Engine,
            Kind::Policy => Self::Policy,
            Kind::Os => Self::Os,
        }
    }
}

/// Reads a list of approvers.
pub fn read(file: &Path) -> Result<Approvers, Fault> {
    let limit = u64::try_from(MAX_APPROVERS).unwrap_or(u64::MAX);
    Approvers::parse(&read_bounded(file, limit)?).map_err(refused)
}

fn write(file: &Path, list: &Approvers) -> Result<(), Fault> {
    list.check().map_err(refused)?;
    Ok(write_atomic(file, &list.to_bytes())?)
}

/// A rule that no group of approvers could fulfil, even when none of them proposes.
pub fn unfulfillable(list: &Approvers) -> Option<String> {
    list.rules.iter().find_map(|rule| {
        let short = rule.sites.iter().find(|site| {
            let able = list.approvers.iter().filter(|approver| approver.is_for(site)).count();
            able < usize::try_from(rule.approvals).unwrap_or(usize::MAX)
        })?;
        Some(format!(
            "{} releases at site `{}` need {} approvals, and fewer people may give them",
            rule.kind,
            visible(short),
            rule.approvals
        ))
    })
}

fn host(url: &str) -> Result<String, Fault> {
    let fault = || {
        Fault::could_not_tell(
            format!("`{}` is not `https://NAME:PORT`", visible(url)),
            "passkeys belong to a name, never to a number; take the address that browsers show",
        )
    };
    let host = url.strip_prefix("https://").ok_or_else(fault)?;
    let host = host.split(':').next().unwrap_or_default();
    let named = !host.is_empty() && !host.contains(['/', '[']) && host.parse::<std::net::IpAddr>().is_err();
    if named && !url.ends_with('/') {
        Ok(host.to_owned())
    } else {
        Err(fault())
    }
}

/// Runs a verb.
pub fn run(verb: ApproverVerb, setting: &Setting) -> Result<(), Fault> {
    match verb {
        ApproverVerb::New { file, console } => {
            if file.file_name().and_then(|name| name.to_str()) != Some(Approvers::FILE) {
                let hint = format!(
                    "boxes look for a file named `{}` in the policy release",
                    Approvers::FILE
                );
                return Err(Fault::could_not_tell("the file has another name", hint));
            }
            if file.exists() {
                return Err(Fault::could_not_tell(
                    format!("`{}` is there already", file.display()),
                    "",
                ));
            }
            let party = host(console.first().map_or("", String::as_str))?;
            for url in &console {
                if host(url)? != party {
                    return Err(Fault::could_not_tell(
                        "the addresses have different names",
                        "one list, one name",
                    ));
                }
            }
            let list = Approvers::new(&party, console);
            write(&file, &list)?;
            show(&list, setting);
        }
        ApproverVerb::Add(add) => add.run(setting)?,
        ApproverVerb::Remove { file, name, credential } => {
            let mut list = read(&file)?;
            let before = list.clone();
            for approver in list.approvers.iter_mut().filter(|approver| approver.name == name) {
                match &credential {
                    Some(credential) => approver.keys.retain(|key| key.credential != *credential),
                    None => approver.keys.clear(),
                }
            }
            list.approvers.retain(|approver| !approver.keys.is_empty());
            if list == before {
                return Err(Fault::could_not_tell("the list has no such approver or passkey", ""));
            }
            write(&file, &list)?;
            show(&list, setting);
        }
        ApproverVerb::Rule {
            file,
            kind,
            approvals,
            sites,
        } => {
            let mut list = read(&file)?;
            let (kind, sites): (ReleaseKind, BTreeSet<String>) = (kind.into(), sites.into_iter().collect());
            list.rules.retain(|rule| rule.kind != kind || rule.sites != sites);
            if approvals > 0 {
                list.rules.push(Rule { kind, approvals, sites });
            }
            write(&file, &list)?;
            show(&list, setting);
        }
        ApproverVerb::Show { file } => show(&read(&file)?, setting),
    }
    Ok(())
}

impl Add {
    fn run(self, setting: &Setting) -> Result<(), Fault> {
        let mut list = read(&self.file)?;
        let fault = || {
            Fault::could_not_tell(
                "the line is not one of an account page",
                "it begins with `freehold-approver:1:` and has five parts",
            )
        };
        let parts: Vec<&str> = self.line.trim().split(':').collect();
        let ["freehold-approver", "1", name, credential, key] = parts.as_slice() else {
            return Err(fault());
        };
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            lines_of(key)
        );
        let key = ApproverKey {
            credential: (*credential).to_owned(),
            key: PublicKey::from_spki_pem(&pem).map_err(|_| fault())?,
        };
        let sites: BTreeSet<String> = self.sites.into_iter().collect();
        match list.approvers.iter_mut().find(|approver| approver.name == *name) {
            Some(approver) => {
                approver.keys.push(key);
                approver.sites = sites;
            }
            None => list.approvers.push(Approver {
                name: (*name).to_owned(),
                sites,
                keys: vec![key],
            }),
        }
        write(&self.file, &list)?;
        show(&list, setting);
        Ok(())
    }
}

/// PEM wants lines of 64 characters.
fn lines_of(base64: &str) -> String {
    let letters: Vec<char> = base64.chars().collect();
    let lines: Vec<String> = letters.chunks(64).map(|line| line.iter().collect()).collect();
    lines.join("\n")
}

fn show(list: &Approvers, setting: &Setting) {
    let joined = |sites: &BTreeSet<String>| sites.iter().map(|site| visible(site)).collect::<Vec<_>>().join(", ");
    let mut text = format!("console   {}", visible(&list.origins.join(", ")));
    for approver in &list.approvers {
        text.push_str(&format!(
            "\napprover  {} (sites {})",
            visible(&approver.name),
            joined(&approver.sites)
        ));
        for key in &approver.keys {
            text.push_str(&format!(
                "\n    passkey {}  {}",
                visible(&key.credential),
                key.key.fingerprint()
            ));
        }
    }
    for rule in &list.rules {
        let sites = joined(&rule.sites);
        text.push_str(&format!(
            "\nrule      {}: {} approvals at {sites}",
            rule.kind, rule.approvals
        ));
    }
    if let Some(warning) = unfulfillable(list) {
        text.push_str(&format!("\nwarning   {warning}"));
    }
    let document = json!({ "approvers": list, "unfulfillable": unfulfillable(list) });
    say(setting, &document, &text);
}
