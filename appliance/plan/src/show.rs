//! A plan as a person reads it.
//!
//! Refuses to add anything: each step is one line, each line is one step. Invariant: names in it passed the checks of
//! verified releases, so that no line can be forged.

use std::fmt;

use crate::observed::Purpose;
use crate::plan::{Plan, Step, Waiting, WaitingOn};

/// A size in bytes, in the unit that a person would use.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
        for (unit, name) in UNITS {
            if self.0 >= unit {
                let tenths = self.0 / (unit / 10);
                return write!(f, "{}.{} {name}", tenths / 10, tenths % 10);
            }
        }
        write!(f, "{} B", self.0)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chat => "chat",
            Self::Embeddings => "embeddings",
        })
    }
}

/// The first twelve digits of a digest, enough to tell a handful apart.
fn short(digest: &freehold_trust::Sha256Digest) -> String {
    digest.to_hex().chars().take(12).collect()
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RefuseTarget { target, refusal } => {
                write!(f, "refuse    {target}: {} ({})", refusal.code, refusal.message)
            }
            Self::FetchFile {
                target,
                path,
                length,
                chunk_size,
                chunks,
                ..
            } => {
                let folder = target.rsplit_once('/').map_or("", |(folder, _)| folder);
                let all = length.div_ceil((*chunk_size).max(1));
                write!(
                    f,
                    "fetch     {folder}/{path}, {}, {} of {all} chunks",
                    Size(*length),
                    chunks.len()
                )
            }
            Self::ReuseFile {
                target, path, length, ..
            } => {
                let folder = target.rsplit_once('/').map_or("", |(folder, _)| folder);
                write!(f, "reuse     {folder}/{path}, {}, from the store", Size(*length))
            }
            Self::CancelFetch { release, because } => {
                write!(f, "cancel    download of {} ({because})", short(release))
            }
            Self::VerifyModel { name, root, .. } => write!(f, "verify    {name} {}", short(root)),
            Self::AdmitModel { name, root, .. } => write!(f, "admit     {name} {}", short(root)),
            Self::StoreModel { name, root, .. } => write!(f, "store     {name} {}", short(root)),
            Self::StopEngine { root, purpose, because } => {
                write!(f, "stop      engine for {purpose} of {} ({because})", short(root))
            }
            Self::StartEngine {
                name, purpose, root, ..
            } => {
                write!(f, "start     engine for {purpose} of {name} {}", short(root))
            }
            Self::CheckHealth { name, root, .. } => write!(f, "check     {name} {} by its own questions", short(root)),
            Self::RemoveModel {
                name, root, because, ..
            } => write!(f, "remove    {name} {} ({because})", short(root)),
            Self::StageSystem { name, version, .. } => write!(f, "stage     system {name} {version}"),
            Self::WriteSystem { name, version, .. } => {
                write!(f, "write     system {name} {version} into the other slot")
            }
            Self::RestartSystem { name, version, .. } => write!(f, "restart   into system {name} {version}"),
            Self::RaiseFloor { level } => write!(f, "raise     the floor to level {level}"),
            Self::DiscardStaged { release } => write!(f, "discard   unfinished download of {}", short(release)),
        }
    }
}

impl fmt::Display for WaitingOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Approval => f.write_str("a person to approve this box at the console"),
            Self::Verdict => f.write_str("a verdict that allows change"),
            Self::Metadata => f.write_str("release metadata that has not expired"),
            Self::Console => f.write_str("the console"),
            Self::DiskSpace { needed, free } => {
                write!(f, "room on the disk: {} needed, {} free", Size(*needed), Size(*free))
            }
            Self::EngineRest => f.write_str("the engine's pause before the next try"),
            Self::Download => f.write_str("its download"),
            Self::EngineStart => f.write_str("its engine to load it"),
            Self::Check => f.write_str("its answers to its own questions"),
            Self::Confirmation => f.write_str("the running system's own health check"),
            Self::OtherSteps => f.write_str("the steps before it"),
            Self::Lease => f.write_str("a fresh verdict of the console, which policy demands for it"),
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} waits for {}", self.what, self.until)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.assignment {
            Some(counter) => writeln!(f, "plan {} for assignment {counter}", short(&self.digest()))?,
            None => writeln!(f, "plan {} without an assignment", short(&self.digest()))?,
        }
        if self.steps.is_empty() {
            writeln!(f, "  nothing to do")?;
        }
        for (at, step) in self.steps.iter().enumerate() {
            writeln!(f, " {:>2}. {step}", at.saturating_add(1))?;
        }
        for waiting in &self.waiting {
            writeln!(f, "   - {waiting}")?;
        }
        Ok(())
    }
}
