//! Advisories by package, and components against them.
//!
//! Refuses to compare by a name alone: kind, namespace and, for Debian, the suite must fit. Invariant: matching a component costs
//! what is known about its own package, whatever the size of the set; adding advisories costs what they name.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::advisory::{Advisories, Advisory, Affected};
use crate::bill::Component;
use crate::purl::Purl;
use crate::version::Order;

/// Debian's suites by version, as OSV ecosystems name them.
const SUITES: [(&str, &str); 6] = [
    ("buster", "10"),
    ("bullseye", "11"),
    ("bookworm", "12"),
    ("trixie", "13"),
    ("forky", "14"),
    ("sid", ""),
];

/// Where a package's advisories are found: ecosystem without its suite, and name.
type Key = (String, String);

/// An index over advisories.
#[derive(Debug, Clone, Default)]
pub struct AdvisoryIndex {
    advisories: Vec<Advisory>,
    by_id: HashMap<String, usize>,
    packages: HashMap<Key, Vec<(usize, usize)>>,
    modified: i64,
}

/// A component that an advisory affects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match<'a> {
    /// The advisory.
    pub advisory: &'a Advisory,
    /// Versions that are free of it, as the advisory says for this package.
    pub fixed: Vec<String>,
}

impl AdvisoryIndex {
    /// An index over a set.
    #[must_use]
    pub fn new(set: Advisories) -> Self {
        let mut index = Self::default();
        index.add(set);
        index
    }

    /// Adds a set; a record that is there already is replaced by a later one of the same identifier. The packages whose matches
    /// may have changed come back, so that a caller looks at nothing else again.
    pub fn add(&mut self, set: Advisories) -> BTreeSet<(String, String)> {
        self.modified = self.modified.max(set.modified);
        let mut changed = BTreeSet::new();
        for advisory in set.list {
            match self.by_id.get(&advisory.id).copied() {
                Some(place) => {
                    if self
                        .advisories
                        .get(place)
                        .is_none_or(|known| known.modified > advisory.modified)
                        || self.advisories.get(place) == Some(&advisory)
                    {
                        continue;
                    }
                    changed.extend(self.unlist(place));
                    if let Some(slot) = self.advisories.get_mut(place) {
                        *slot = advisory;
                    }
                    changed.extend(self.list(place));
                }
                None => {
                    let place = self.advisories.len();
                    self.by_id.insert(advisory.id.clone(), place);
                    self.advisories.push(advisory);
                    changed.extend(self.list(place));
                }
            }
        }
        changed
    }

    fn keys(&self, place: usize) -> Vec<(usize, Key)> {
        let affected = self
            .advisories
            .get(place)
            .map(|one| one.affected.as_slice())
            .unwrap_or_default();
        affected.iter().enumerate().map(|(at, one)| (at, key_of(one))).collect()
    }

    fn list(&mut self, place: usize) -> Vec<Key> {
        let keys = self.keys(place);
        for (at, key) in &keys {
            self.packages.entry(key.clone()).or_default().push((place, *at));
        }
        keys.into_iter().map(|(_, key)| key).collect()
    }

    fn unlist(&mut self, place: usize) -> Vec<Key> {
        let keys = self.keys(place);
        for (_, key) in &keys {
            if let Some(entries) = self.packages.get_mut(key) {
                entries.retain(|(of, _)| *of != place);
            }
        }
        keys.into_iter().map(|(_, key)| key).collect()
    }

    /// How many advisories there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.advisories.len()
    }

    /// Whether there are none: then nothing is known, which is not "nothing is wrong".
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.advisories.is_empty()
    }

    /// The latest change in the set, Unix seconds.
    #[must_use]
    pub fn modified(&self) -> i64 {
        self.modified
    }

    /// An advisory by identifier.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Advisory> {
        self.by_id.get(id).and_then(|place| self.advisories.get(*place))
    }

    /// What is known against a component: advisories that are not withdrawn, each once, by identifier.
    #[must_use]
    pub fn matches(&self, component: &Component) -> Vec<Match<'_>> {
        let mut found: BTreeMap<&str, Match<'_>> = BTreeMap::new();
        let Some((key, suite, version)) = question(component) else {
            return Vec::new();
        };
        for (place, at) in self.packages.get(&key).map(Vec::as_slice).unwrap_or_default() {
            let Some(advisory) = self.advisories.get(*place).filter(|one| one.withdrawn.is_none()) else {
                continue;
            };
            let Some(affected) = advisory.affected.get(*at) else {
                continue;
            };
            if !suite_fits(&affected.ecosystem, &suite) || !affected.holds(&version) {
                continue;
            }
            let one = found.entry(advisory.id.as_str()).or_insert_with(|| Match {
                advisory,
                fixed: Vec::new(),
            });
            for fix in affected.ranges.iter().flat_map(|range| range.fixes()) {
                let later = Order::of_ecosystem(&affected.ecosystem)
                    .compare(fix, &version)
                    .is_none_or(std::cmp::Ordering::is_gt);
                if later && !one.fixed.iter().any(|known| known == fix) {
                    one.fixed.push(fix.to_owned());
                }
            }
        }
        found.into_values().collect()
    }
}

fn key_of(affected: &Affected) -> Key {
    // A package URL says it best; without one, ecosystem and name do.
    if let Some(purl) = &affected.purl {
        return key_of_purl(purl);
    }
    let ecosystem = affected.ecosystem.split(':').next().unwrap_or_default();
    (ecosystem.to_ascii_lowercase(), affected.name.clone())
}

fn key_of_purl(purl: &Purl) -> Key {
    match (purl.kind.as_str(), purl.namespace.as_str()) {
        ("deb", "debian") => ("debian".to_owned(), purl.name.clone()),
        ("cargo", _) => ("crates.io".to_owned(), purl.name.clone()),
        (kind, "") => (kind.to_owned(), purl.name.clone()),
        (kind, namespace) => (format!("{kind}/{namespace}"), purl.name.clone()),
    }
}

/// The package that a component is looked up by, as [`AdvisoryIndex::add`] names it.
#[must_use]
pub fn package_of(component: &Component) -> Option<(String, String)> {
    question(component).map(|(key, _, _)| key)
}

/// The key, suite and version that a component is looked up by. Debian's advisories are about source packages.
fn question(component: &Component) -> Option<(Key, String, String)> {
    let purl = component.purl.as_ref()?;
    let suite = purl.qualifier("distro").trim_start_matches("debian-").to_owned();
    match (&component.source, purl.kind.as_str()) {
        (Some((name, version)), "deb") => Some((("debian".to_owned(), name.clone()), suite, version.clone())),
        _ => Some((key_of_purl(purl), suite, purl.version.clone())),
    }
}

/// Whether an advisory's ecosystem speaks of the suite: one without a suite speaks of all; a component without one is in all.
fn suite_fits(ecosystem: &str, suite: &str) -> bool {
    let Some((family, wanted)) = ecosystem.split_once(':') else {
        return true;
    };
    if family != "Debian" || suite.is_empty() {
        return true;
    }
    let number = SUITES
        .iter()
        .find(|(name, _)| *name == suite)
        .map(|(_, number)| *number);
    wanted == suite || number.is_some_and(|number| number == wanted)
}
