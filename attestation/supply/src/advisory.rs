//! Advisories in the OSV format (1.7): one record a line, as a signed release carries them.
//!
//! Refuses a record without an identifier or a time, ranges that no order reads, and sets and records larger than any are. No
//! archive is opened here or anywhere, so there is none that could burst or climb. Invariant: a withdrawn record matches nothing.

use freehold_verify::json;
use serde::Deserialize;
use serde_json::Value;

use crate::purl::Purl;
use crate::rejection::{SupplyRejection, shown};
use crate::severity::Severity;
use crate::version::Order;

/// Largest set that is read: Debian's and Rust's databases together are a fifth of it.
pub const MAX_ADVISORIES: usize = 512 * 1024 * 1024;
/// Longest record.
const MAX_RECORD: usize = 4 * 1024 * 1024;
/// Most records.
const MAX_COUNT: usize = 1_000_000;
/// Most packages, ranges, events and versions that a record may name, each.
const MAX_LIST: usize = 65_536;

/// One advisory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advisory {
    /// `DSA-5532-1`, `RUSTSEC-2024-0001`, `CVE-2024-3094`.
    pub id: String,
    /// Other names of the same.
    pub aliases: Vec<String>,
    /// One line for people.
    pub summary: String,
    /// When it last changed, Unix seconds.
    pub modified: i64,
    /// When it was withdrawn, Unix seconds.
    pub withdrawn: Option<i64>,
    /// How bad.
    pub severity: Severity,
    /// What it affects.
    pub affected: Vec<Affected>,
}

/// One affected package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affected {
    /// `Debian:13`, `crates.io`.
    pub ecosystem: String,
    /// The package's name there; Debian's are source packages.
    pub name: String,
    /// A package URL, when the record has one.
    pub purl: Option<Purl>,
    /// Ranges of versions.
    pub ranges: Vec<Range>,
    /// Single versions.
    pub versions: Vec<String>,
}

/// A range: its events, in the order of their versions once sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// Which order its versions have.
    pub order: Order,
    /// What happened when.
    pub events: Vec<Event>,
}

/// What happened at a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It came in; `0` is before everything.
    Introduced(String),
    /// It is gone.
    Fixed(String),
    /// The last version that has it.
    LastAffected(String),
    /// Nothing is said from here on.
    Limit(String),
}

/// A set of advisories.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Advisories {
    /// The advisories, withdrawn ones included.
    pub list: Vec<Advisory>,
    /// The latest change of any of them, Unix seconds: how old the set is.
    pub modified: i64,
}

impl Advisories {
    /// Reads a set: one record a line; empty lines do not count.
    ///
    /// # Errors
    /// [`SupplyRejection`]: one bad record refuses the set, so that a hole is never taken for "nothing known".
    pub fn parse(bytes: &[u8]) -> Result<Self, SupplyRejection> {
        if bytes.len() > MAX_ADVISORIES {
            return Err(SupplyRejection::TooLarge {
                what: "advisories",
                limit: MAX_ADVISORIES,
            });
        }
        let mut set = Self::default();
        for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if set.list.len() >= MAX_COUNT {
                return Err(SupplyRejection::Count {
                    found: set.list.len().saturating_add(1),
                    limit: MAX_COUNT,
                });
            }
            let advisory = Advisory::parse(line).map_err(|detail| SupplyRejection::Advisory {
                line: at.saturating_add(1),
                detail,
            })?;
            set.modified = set.modified.max(advisory.modified);
            set.list.push(advisory);
        }
        Ok(set)
    }
}

#[derive(Deserialize)]
struct RecordJson {
    id: String,
    modified: String,
    withdrawn: Option<String>,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    severity: Vec<SeverityJson>,
    #[serde(default)]
    affected: Vec<AffectedJson>,
    #[serde(default)]
    database_specific: Value,
}

#[derive(Deserialize)]
struct SeverityJson {
    #[serde(rename = "type")]
    kind: String,
    score: String,
}

#[derive(Deserialize)]
struct AffectedJson {
    package: Option<PackageJson>,
    #[serde(default)]
    severity: Vec<SeverityJson>,
    #[serde(default)]
    ranges: Vec<RangeJson>,
    #[serde(default)]
    versions: Vec<String>,
    #[serde(default)]
    ecosystem_specific: Value,
}

#[derive(Deserialize)]
struct PackageJson {
    ecosystem: String,
    name: String,
    purl: Option<String>,
}

#[derive(Deserialize)]
struct RangeJson {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    events: Vec<serde_json::Map<String, Value>>,
}

impl Advisory {
    /// Reads one record.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let record: RecordJson = json::typed(bytes, MAX_RECORD).map_err(|fault| shown(&fault.to_string()))?;
        let fits = |text: &str| !text.is_empty() && text.len() <= 200 && !text.chars().any(char::is_control);
        if !fits(&record.id) || !record.aliases.iter().all(|alias| fits(alias)) {
            return Err("an identifier is empty, long or not plain text".to_owned());
        }
        let lists = [record.aliases.len(), record.affected.len(), record.severity.len()];
        if lists.iter().any(|count| *count > MAX_LIST) {
            return Err("a list is too long".to_owned());
        }
        let mut affected = Vec::with_capacity(record.affected.len());
        let mut stated = record.severity.iter().filter_map(level).max();
        for one in record.affected {
            stated = stated.max(one.severity.iter().filter_map(level).max());
            stated = stated.max(word_of(&one.ecosystem_specific));
            // A record about a repository's commits alone names no package that could be here.
            let Some(package) = one.package else { continue };
            affected.push(read_affected(package, one.ranges, one.versions)?);
        }
        let severity = stated
            .or_else(|| word_of(&record.database_specific))
            .unwrap_or_default();
        Ok(Self {
            id: record.id,
            aliases: record.aliases,
            summary: shown(&record.summary),
            modified: seconds(&record.modified)?,
            withdrawn: record.withdrawn.as_deref().map(seconds).transpose()?,
            severity,
            affected,
        })
    }

    /// Its identifier and every alias.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.id.as_str()).chain(self.aliases.iter().map(String::as_str))
    }
}

fn level(severity: &SeverityJson) -> Option<Severity> {
    match severity.kind.as_str() {
        "CVSS_V3" => Severity::of_vector(&severity.score),
        // Debian and Ubuntu write their urgency as a word.
        "Debian" | "Ubuntu" => Severity::of_word(&severity.score),
        _ => None,
    }
}

/// A word in what databases add on their own.
fn word_of(specific: &Value) -> Option<Severity> {
    ["severity", "urgency"]
        .iter()
        .filter_map(|key| specific.get(key).and_then(Value::as_str))
        .find_map(Severity::of_word)
}

fn seconds(text: &str) -> Result<i64, String> {
    use time::format_description::well_known::Rfc3339;
    time::OffsetDateTime::parse(text, &Rfc3339)
        .map(time::OffsetDateTime::unix_timestamp)
        .map_err(|_| format!("`{}` is no time", shown(text)))
}

fn read_affected(package: PackageJson, ranges: Vec<RangeJson>, versions: Vec<String>) -> Result<Affected, String> {
    if ranges.len() > MAX_LIST || versions.len() > MAX_LIST {
        return Err("a list is too long".to_owned());
    }
    let order = Order::of_ecosystem(&package.ecosystem);
    let mut read = Vec::with_capacity(ranges.len());
    for range in ranges {
        let order = match range.kind.as_str() {
            "SEMVER" => Order::Semantic,
            "ECOSYSTEM" => order,
            // Commits are in no bill of materials.
            "GIT" => continue,
            other => return Err(format!("a range of the type `{}`", shown(other))),
        };
        read.push(read_range(order, range.events)?);
    }
    let purl = match package.purl {
        Some(text) => Some(
            text.parse::<Purl>()
                .map_err(|_| format!("`{}` is no package URL", shown(&text)))?,
        ),
        None => None,
    };
    Ok(Affected {
        ecosystem: package.ecosystem,
        name: package.name,
        purl,
        ranges: read,
        versions,
    })
}

fn read_range(order: Order, events: Vec<serde_json::Map<String, Value>>) -> Result<Range, String> {
    if events.len() > MAX_LIST {
        return Err("a list is too long".to_owned());
    }
    let mut read = Vec::with_capacity(events.len());
    for event in events {
        let mut pairs = event.into_iter();
        let (Some((what, Value::String(version))), None) = (pairs.next(), pairs.next()) else {
            return Err("an event that is not one version".to_owned());
        };
        read.push(match what.as_str() {
            "introduced" => Event::Introduced(version),
            "fixed" => Event::Fixed(version),
            "last_affected" => Event::LastAffected(version),
            "limit" => Event::Limit(version),
            other => return Err(format!("an event `{}`", shown(other))),
        });
    }
    if !read.iter().any(|event| matches!(event, Event::Introduced(_))) {
        return Err("a range in which nothing comes in".to_owned());
    }
    Ok(Range { order, events: read })
}

impl Range {
    /// Whether `version` lies in the range (OSV, "Evaluation"). A version that cannot be compared is in it: nobody can say that it
    /// is not.
    #[must_use]
    pub fn holds(&self, version: &str) -> bool {
        use std::cmp::Ordering::{Greater, Less};
        let mut events: Vec<&Event> = Vec::with_capacity(self.events.len());
        let mut limits = 0_usize;
        let mut below_a_limit = false;
        for event in &self.events {
            if let Event::Limit(limit) = event {
                limits = limits.saturating_add(1);
                // `*` is infinity.
                below_a_limit |= limit == "*" || self.order.compare(version, limit).is_none_or(|order| order == Less);
            } else {
                events.push(event);
            }
        }
        if limits > 0 && !below_a_limit {
            return false;
        }
        events.sort_by(|left, right| {
            let (left, right) = (left.version(), right.version());
            match (left, right) {
                ("0", "0") => std::cmp::Ordering::Equal,
                ("0", _) => Less,
                (_, "0") => Greater,
                _ => self.order.compare(left, right).unwrap_or(std::cmp::Ordering::Equal),
            }
        });
        let mut inside = false;
        for event in events {
            match event {
                Event::Introduced(at) => {
                    if at == "0" || self.order.compare(version, at).is_none_or(|order| order != Less) {
                        inside = true;
                    }
                }
                Event::Fixed(at) => {
                    if self.order.compare(version, at).is_some_and(|order| order != Less) {
                        inside = false;
                    }
                }
                Event::LastAffected(at) => {
                    if self.order.compare(version, at).is_some_and(|order| order == Greater) {
                        inside = false;
                    }
                }
                Event::Limit(_) => {}
            }
        }
        inside
    }

    /// The versions that are said to be free of it.
    pub fn fixes(&self) -> impl Iterator<Item = &str> {
        self.events.iter().filter_map(|event| match event {
            Event::Fixed(version) => Some(version.as_str()),
            _ => None,
        })
    }
}

impl Event {
    fn version(&self) -> &str {
        match self {
            Self::Introduced(version) | Self::Fixed(version) | Self::LastAffected(version) | Self::Limit(version) => {
                version
            }
        }
    }
}

impl Affected {
    /// Whether `version` of the package is affected.
    #[must_use]
    pub fn holds(&self, version: &str) -> bool {
        self.versions.iter().any(|one| one == version) || self.ranges.iter().any(|range| range.holds(version))
    }
}
