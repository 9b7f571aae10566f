//! A proposal in words: its title, what it changes, what follows, how to undo it.
//!
//! Refuses nothing and does nothing. Invariant: says only what the proposal holds; nothing is looked up that could have changed.

use freehold_fleet::{LeaseChange, Member};
use freehold_views::plan::Line;
use freehold_views::text::counted;

use crate::plan::Proposal;

/// What a proposal does, one line.
#[must_use]
pub fn title(proposal: &Proposal) -> String {
    match proposal {
        Proposal::Approve { box_id, .. } => format!("Approve box {box_id}"),
        Proposal::Refuse { box_id, .. } => format!("Refuse box {box_id}"),
        Proposal::Assign { box_id, targets, .. } => {
            let names: Vec<&str> = targets
                .keys()
                .map(|name| name.trim_end_matches("/release.json"))
                .collect();
            format!("Assign {} to {box_id}", names.join(", "))
        }
        Proposal::MakeToken { box_id, name, .. } => format!("Make a token of {box_id} for {name}"),
        Proposal::WithdrawToken { box_id, token } => format!("Withdraw token {token} of {box_id}"),
        Proposal::Lease { box_id, change, .. } => match change {
            LeaseChange::Withdraw { models } if models.is_empty() => format!("Withdraw the verdict lease of {box_id}"),
            LeaseChange::Withdraw { models } => {
                let models: Vec<&str> = models.iter().map(String::as_str).collect();
                format!("Withdraw {} from the verdict lease of {box_id}", models.join(", "))
            }
            LeaseChange::Grant => format!("Grant the verdict lease of {box_id}"),
        },
        Proposal::Remove { box_id, .. } => format!("Take {box_id} out of the fleet"),
        Proposal::Account { name, proposal } => proposal.title(name),
    }
}

/// What changes, what follows from it, how to undo it, and the word on the button.
pub(super) type Told = (Vec<Line>, Vec<String>, &'static str, &'static str);

/// A proposal in words for who confirms it.
pub(super) fn told(proposal: &Proposal, member: Option<&Member>) -> Told {
    let line = |what: &str, before: &str, after: &str| Line {
        what: what.to_owned(),
        before: before.to_owned(),
        after: after.to_owned(),
    };
    let say = |sentences: &[&str]| {
        sentences
            .iter()
            .map(|sentence| (*sentence).to_owned())
            .collect::<Vec<_>>()
    };
    match proposal {
        Proposal::Approve { fingerprint, ek, .. } => {
            let mut lines = vec![
                line("membership", "waiting", "approved"),
                line("keys in use", "", fingerprint),
            ];
            if let Some(ek) = ek {
                lines.push(line("endorsement key approved by digest", "", ek));
            }
            let told = say(&["The box may prove itself, get certificates of one day, and be assigned releases."]);
            (lines, told, "Take the box out of the fleet.", "Approve this box")
        }
        Proposal::Refuse { fingerprint, .. } => (
            vec![line("keys that wait", fingerprint, "")],
            say(&["The box is told that a person refused it, and stays refused under this name."]),
            "Take the refused box out of the list; then it may ask again.",
            "Refuse this box",
        ),
        Proposal::Assign { targets, counter, .. } => {
            let before = member.and_then(|member| member.assignment.as_ref());
            let had = before.map(|head| head.targets.join(", ")).unwrap_or_default();
            let mut lines: Vec<Line> = vec![line(
                "assignment",
                &before.map(|head| head.counter.to_string()).unwrap_or_default(),
                &counter.to_string(),
            )];
            lines.extend(
                targets
                    .iter()
                    .map(|(name, sha256)| line("release", &had, &format!("{name} ({sha256})"))),
            );
            let told = say(&[
                "The box fetches the release, checks every chunk and signature by itself, asks its policy, and starts it.",
            ]);
            (
                lines,
                told,
                "Assign what it had before, if its counter allows: a box refuses older releases.",
                "Assign",
            )
        }
        Proposal::MakeToken { name, days, .. } => (
            vec![
                line("token", "", name),
                line("counts for", "", &counted(u64::from(*days), "day", "days")),
            ],
            say(&["Whoever has the token may ask this box's models. It is shown once."]),
            "Withdraw the token.",
            "Make the token",
        ),
        Proposal::WithdrawToken { token, .. } => (
            vec![line("token", token, "")],
            say(&["Its application is refused as soon as the box has heard of it, within half a minute."]),
            "Make a new one.",
            "Withdraw the token",
        ),
        Proposal::Lease {
            change: LeaseChange::Grant,
            ..
        } => (
            vec![line("verdict lease", "withdrawn", "given with each good verdict")],
            say(&[
                "Models that policy ties to a fresh verdict start again when the box has heard of it and its verdict is good.",
            ]),
            "Withdraw the lease.",
            "Grant the lease",
        ),
        Proposal::Lease {
            change: LeaseChange::Withdraw { models },
            ..
        } => (
            vec![line(
                "verdict lease",
                "given with each good verdict",
                &if models.is_empty() {
                    "withdrawn".to_owned()
                } else {
                    format!(
                        "without {}",
                        models.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
                    )
                },
            )],
            say(&[
                "Models that policy ties to a fresh verdict stop within a minute on a box that is online; on one that is not, when the lease it has ends.",
                "Models that policy does not tie to a verdict go on.",
            ]),
            "Grant the lease.",
            "Withdraw the lease",
        ),
        Proposal::Account { proposal, .. } => {
            let told = proposal.told();
            (told.lines, told.consequences, told.undo, told.verb)
        }
        Proposal::Remove { key, .. } => (
            vec![line("membership", "member or waiting", ""), line("TLS key", key, "")],
            say(&["The console forgets the box's keys and tokens. The record, its verdicts and its counter stay."]),
            "The box may enrol again; a person has to approve it again.",
            "Take it out",
        ),
    }
}
