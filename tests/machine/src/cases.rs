//! The cases by name, and which of them are quick enough for every change.
//!
//! Refuses to call a case proven that did not run: what cannot run says why. Invariant: a case's name says what happens.

mod boot;
mod disk;
mod engine;
mod network;

use std::path::PathBuf;

use anyhow::Result;

use crate::image::Image;

/// What a case stands on.
#[derive(Debug)]
pub struct Ground {
    /// The image.
    pub image: Image,
    /// The folder that all cases share.
    pub shared: PathBuf,
    /// The case's own folder, empty.
    pub folder: PathBuf,
}

/// What came of a case that did not fail.
#[derive(Debug)]
pub enum Outcome {
    /// It was seen; what, in a few words.
    Seen(String),
    /// It could not be tried, and why.
    Skipped(String),
}

/// Where a case begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With an image and nothing else.
    Image,
    /// With the member that boots-and-attests keeps.
    Member,
}

/// A case.
#[derive(Debug)]
pub struct Case {
    /// What happens.
    pub name: &'static str,
    /// Where it begins.
    pub from: From,
    /// Whether every change is tried with it.
    pub quick: bool,
    /// Images after this one that it updates to: `next`, or `next-` and the way in which it was spoilt.
    pub updates_to: &'static [&'static str],
    /// The case.
    pub run: fn(&Ground) -> Result<Outcome>,
}

impl Case {
    const fn new(name: &'static str, from: From, run: fn(&Ground) -> Result<Outcome>) -> Self {
        Self {
            name,
            from,
            quick: false,
            updates_to: &[],
            run,
        }
    }

    /// With these later images.
    #[allow(dead_code, reason = "for cases of updates")]
    const fn updates_to(self, updates_to: &'static [&'static str]) -> Self {
        Self { updates_to, ..self }
    }

    const fn quick(self) -> Self {
        Self { quick: true, ..self }
    }
}

/// Every case, in the order in which they are run.
pub const ALL: &[Case] = &[
    Case::new("boots-and-attests", From::Image, boot::boots_and_attests).quick(),
    Case::new("refuses-a-changed-root", From::Image, disk::refuses_a_changed_root).quick(),
    Case::new(
        "runs-a-model-and-answers",
        From::Member,
        engine::runs_a_model_and_answers,
    )
    .quick(),
    Case::new("sends-nothing", From::Member, network::sends_nothing).quick(),
    Case::new(
        "opens-again-without-a-person",
        From::Member,
        boot::opens_again_without_a_person,
    ),
    Case::new("refuses-an-unsigned-uki", From::Image, boot::refuses_an_unsigned_uki),
    Case::new(
        "refuses-a-changed-command-line",
        From::Image,
        boot::refuses_a_changed_command_line,
    ),
    Case::new(
        "smbios-command-line-does-not-unseal",
        From::Member,
        boot::smbios_command_line_does_not_unseal,
    ),
    Case::new(
        "smbios-credential-is-ignored",
        From::Member,
        boot::smbios_credential_is_ignored,
    ),
    Case::new(
        "seals-the-disk-to-this-machine",
        From::Member,
        disk::seals_the_disk_to_this_machine,
    ),
    Case::new(
        "opens-with-the-recovery-key",
        From::Member,
        disk::opens_with_the_recovery_key,
    ),
    Case::new(
        "refuses-a-swapped-data-partition",
        From::Member,
        disk::refuses_a_swapped_data_partition,
    ),
    Case::new("survives-a-power-cut", From::Member, disk::survives_a_power_cut),
    Case::new("nothing-listens", From::Member, network::nothing_listens),
    Case::new("no-shell-anywhere", From::Member, network::no_shell_anywhere),
];

/// The cases that were asked for: by name, or else all, or else the quick ones.
///
/// # Errors
/// When there is no case of a name.
pub fn chosen(quick: bool, names: &[String]) -> Result<Vec<&'static Case>> {
    if let Some(name) = names.iter().find(|name| named(name).is_none()) {
        let all: Vec<&str> = ALL.iter().map(|case| case.name).collect();
        anyhow::bail!("there is no case `{name}`\nhint: the cases are {}", all.join(", "));
    }
    let fits = |case: &&Case| {
        if names.is_empty() {
            !quick || case.quick
        } else {
            names.iter().any(|name| name == case.name)
        }
    };
    Ok(ALL.iter().filter(fits).collect())
}

/// The case with this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Case> {
    ALL.iter().find(|case| case.name == name)
}
