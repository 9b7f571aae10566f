//! One rollout: its waves as a picture, which boxes wait for what, who went back and why, and the plan that people approve.
//!
//! Refuses a button that would do something else than what stands beside it: each carries the digest of this very plan.
//! Invariant: a box is shown by shape and word, never by colour alone; what went wrong stands above what goes on.

pub mod picture;

use askama::Template;
use serde::{Deserialize, Serialize};

use crate::plan::ApprovalPart;
use crate::rollouts::{StageCounts, Standing};
use crate::shell::{Fault, Fingerprint, Shell};

/// `GET /rollouts/ID`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RolloutPage {
    /// The frame.
    pub shell: Shell,
    /// Its identifier.
    pub id: String,
    /// Name of the release, without its kind.
    pub name: String,
    /// Versions before, joined.
    pub from: String,
    /// The version that it brings.
    pub version: String,
    /// Where the release is looked at; empty when there is no page for it.
    pub release_href: String,
    /// Where it stands.
    pub standing: Standing,
    /// Why it stopped or who did, one sentence; empty while nothing is to be said.
    pub because: String,
    /// Whether it begins only after this page's button.
    pub is_proposed: bool,
    /// Its boxes by stage.
    pub counts: StageCounts,
    /// The waves.
    pub waves: Vec<WavePart>,
    /// Boxes that went back or failed, each with its fault.
    pub went_back: Vec<WentBack>,
    /// What boxes wait for, most boxes first.
    pub waiting: Vec<WaitingGroup>,
    /// For example `3 of 5 back, 2 not yet`; empty when no box is reached by stick.
    pub by_stick: String,
    /// The boxes, in the order in which they are reached.
    pub boxes: Vec<BoxLine>,
    /// Boxes that are not in `boxes`, because the page would be too long.
    pub more_boxes: u32,
    /// What could go wrong, in sentences.
    pub risks: Vec<String>,
    /// Bytes that all boxes together lacked when the plan was made.
    pub bytes: u64,
    /// After this nothing new is begun, unix seconds.
    pub deadline: i64,
    /// The plan's terms: name and sentence.
    pub terms: Vec<(String, String)>,
    /// The plan's digest, with words to read aloud.
    pub digest: Fingerprint,
    /// Who proposed it.
    pub by: String,
    /// When, unix seconds.
    pub at: i64,
    /// Who approved.
    pub approvals: Vec<String>,
    /// How many have to.
    pub approvals_needed: u32,
    /// What approvers are asked, where the publisher's policy wants their passkeys.
    pub approval: Option<ApprovalPart>,
    /// When it began, unix seconds.
    pub started: Option<i64>,
    /// What this person may do now.
    pub actions: Actions,
}

/// What the person at the page may do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Actions {
    /// Approve the plan with the password; by passkey, see [`RolloutPage::approval`].
    pub approve: bool,
    /// Begin.
    pub start: bool,
    /// Begin nothing more for now.
    pub pause: bool,
    /// Go on.
    pub resume: bool,
    /// Begin nothing more; boxes stay as they are.
    pub abort: bool,
    /// Send every box back that has the release.
    pub rollback: bool,
    /// Why not, when nothing of it may be done; else empty.
    pub why_not: String,
}

impl Actions {
    pub(crate) const fn any(&self) -> bool {
        self.start || self.pause || self.resume || self.abort || self.rollback
    }
}

/// One wave.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WavePart {
    /// From 1.
    pub number: u32,
    /// Its boxes, in the order in which they are reached.
    pub dots: Vec<Dot>,
    /// `done`, `running`, or what it waits for.
    pub state: String,
    /// Since or until when, unix seconds.
    pub at: Option<i64>,
    /// Before the start: how long after it the wave may begin, for example `4 h after the start`.
    pub earliest: String,
    /// Bytes that its boxes lacked when the plan was made.
    pub bytes: u64,
    /// A person has to let it begin, and this person may, now.
    pub may_allow: bool,
}

/// One box in the picture of a wave.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Dot {
    /// The box's label, or its identifier.
    pub name: String,
    /// How far it is.
    pub stage: StageMark,
}

/// How far a box is, as it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageMark {
    /// Not touched yet.
    #[default]
    Waiting,
    /// Told, and nothing said yet.
    Ordered,
    /// Every gate holds.
    Healthy,
    /// Went back by itself.
    WentBack,
    /// A gate does not hold.
    Failed,
    /// Has not answered in time.
    Silent,
    /// Told to go back.
    ReturnOrdered,
    /// Runs again what it ran before.
    Returned,
}

impl StageMark {
    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Ordered => "under way",
            Self::Healthy => "healthy",
            Self::WentBack => "went back by itself",
            Self::Failed => "a gate does not hold",
            Self::Silent => "silent",
            Self::ReturnOrdered => "told to go back",
            Self::Returned => "back at what it ran before",
        }
    }

    pub(crate) const fn tone(self) -> &'static str {
        match self {
            Self::Waiting => "unknown",
            Self::Ordered => "going",
            Self::Healthy => "trusted",
            Self::WentBack | Self::Failed => "refused",
            Self::Silent | Self::ReturnOrdered => "attention",
            Self::Returned => "simulated",
        }
    }

    pub(crate) const fn shape(self) -> &'static str {
        match self {
            Self::Waiting => "○",
            Self::Ordered => "◐",
            Self::Healthy => "●",
            Self::WentBack | Self::Failed => "■",
            Self::Silent | Self::ReturnOrdered => "▲",
            Self::Returned => "◀",
        }
    }

    /// Every mark, in the order in which a legend names them.
    pub const ALL: [Self; 8] = [
        Self::Healthy,
        Self::Ordered,
        Self::Waiting,
        Self::WentBack,
        Self::Failed,
        Self::Silent,
        Self::ReturnOrdered,
        Self::Returned,
    ];
}

/// A box that went back or failed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WentBack {
    /// Its identifier.
    pub box_id: String,
    /// Its label; from outside.
    pub label: String,
    /// Where it stands.
    pub site: String,
    /// How far it is now.
    pub stage: StageMark,
    /// Since when, unix seconds.
    pub since: Option<i64>,
    /// What it runs now: the version before, if any.
    pub runs: String,
    /// Why.
    pub fault: Fault,
}

/// Boxes that wait for the same.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WaitingGroup {
    /// For what, for example `for its site's window`.
    pub what: String,
    /// Until when, where that is known, unix seconds.
    pub until: Option<i64>,
    /// How many.
    pub count: u32,
    /// The first of them by label, joined.
    pub names: String,
}

/// One box of the table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BoxLine {
    /// Its identifier.
    pub box_id: String,
    /// Its label; from outside.
    pub label: String,
    /// Where it stands.
    pub site: String,
    /// Its wave, from 1.
    pub wave: u32,
    /// How far it is.
    pub stage: StageMark,
    /// Since when, unix seconds.
    pub since: Option<i64>,
    /// What it ran before: the version, if any.
    pub from: String,
    /// Why it went back, or what it waits for.
    pub text: String,
    /// Whether it is reached by stick only.
    pub by_stick: bool,
}

#[derive(Template)]
#[template(path = "rollout.html")]
struct Whole<'a> {
    m: &'a RolloutPage,
    shell: &'a Shell,
}

#[derive(Template)]
#[template(path = "rollout.html", block = "live")]
struct Live<'a> {
    m: &'a RolloutPage,
    shell: &'a Shell,
}

impl RolloutPage {
    /// The whole page.
    #[must_use]
    pub fn render(&self) -> String {
        crate::text::page(&Whole {
            m: self,
            shell: &self.shell,
        })
    }

    /// The fragment `live`, or the whole page for another name.
    #[must_use]
    pub fn render_fragment(&self, id: &str) -> String {
        match id {
            "live" => self.shell.with_words(&Live {
                m: self,
                shell: &self.shell,
            }),
            _ => self.render(),
        }
    }

    /// The marks that the picture shows, for the legend.
    pub(crate) fn marks(&self) -> Vec<StageMark> {
        let shown = |mark: &StageMark| {
            self.waves
                .iter()
                .any(|wave| wave.dots.iter().any(|dot| dot.stage == *mark))
        };
        StageMark::ALL.into_iter().filter(shown).collect()
    }
}
