//! Which boxes have what, and what is known against it: over a fleet, at once, and again only where something changed.
//!
//! Refuses to look at a component twice: boxes share parts, parts share components. Invariant: after [`FleetMatches::update`] the
//! matches are those that [`FleetMatches::new`] would find.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::bill::Component;
use crate::index::{AdvisoryIndex, package_of};
use crate::purl::Purl;

/// What every box is made of.
#[derive(Debug, Clone, Default)]
pub struct FleetParts {
    parts: BTreeMap<String, Arc<[Component]>>,
    boxes: BTreeMap<String, Vec<String>>,
}

/// One place where a component is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Place {
    /// The box.
    #[serde(rename = "box")]
    pub box_id: String,
    /// The part: the target name of its release.
    pub part: String,
    /// The component's name and version.
    pub component: String,
}

impl FleetParts {
    /// Says what a part is made of.
    pub fn set_part(&mut self, name: &str, components: impl Into<Arc<[Component]>>) {
        self.parts.insert(name.to_owned(), components.into());
    }

    /// Says what a box is made of: the names of its parts.
    pub fn set_box(&mut self, box_id: &str, parts: Vec<String>) {
        self.boxes.insert(box_id.to_owned(), parts);
    }

    /// The boxes with their parts.
    #[must_use]
    pub fn boxes(&self) -> &BTreeMap<String, Vec<String>> {
        &self.boxes
    }

    /// The components of a part; none for a part without a bill.
    #[must_use]
    pub fn part(&self, name: &str) -> &[Component] {
        self.parts.get(name).map_or(&[], |components| components)
    }

    /// The parts.
    pub fn parts(&self) -> impl Iterator<Item = (&str, &[Component])> {
        self.parts
            .iter()
            .map(|(name, components)| (name.as_str(), components.as_ref()))
    }

    /// Where a component is. `wanted` is a package URL, which may leave out version and qualifiers, or a name.
    #[must_use]
    pub fn places(&self, wanted: &str) -> Vec<Place> {
        let purl = wanted.parse::<Purl>().ok();
        let fits = |component: &Component| match (&purl, &component.purl) {
            (Some(wanted), Some(purl)) => wanted.covers(purl),
            (Some(_), None) => false,
            (None, _) => component.name == wanted || component.source.as_ref().is_some_and(|(name, _)| name == wanted),
        };
        let mut holding: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, components) in self.parts() {
            let found: Vec<String> = components.iter().filter(|one| fits(one)).map(shown).collect();
            if !found.is_empty() {
                holding.insert(name, found);
            }
        }
        let mut places = Vec::new();
        for (box_id, parts) in &self.boxes {
            for part in parts {
                for component in holding.get(part.as_str()).map(Vec::as_slice).unwrap_or_default() {
                    places.push(Place {
                        box_id: box_id.clone(),
                        part: part.clone(),
                        component: component.clone(),
                    });
                }
            }
        }
        places
    }
}

fn shown(component: &Component) -> String {
    component.purl.as_ref().map_or_else(
        || {
            format!("{} {}", component.name, component.version)
                .trim_end()
                .to_owned()
        },
        Purl::to_string,
    )
}

/// The advisories against every component of a fleet, by identifier.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetMatches {
    by_component: HashMap<Component, Vec<String>>,
}

impl FleetMatches {
    /// Matches everything.
    #[must_use]
    pub fn new(parts: &FleetParts, index: &AdvisoryIndex) -> Self {
        let mut matches = Self::default();
        for (_, components) in parts.parts() {
            for component in components {
                matches.look(component, index);
            }
        }
        matches
    }

    fn look(&mut self, component: &Component, index: &AdvisoryIndex) {
        if self.by_component.contains_key(component) {
            return;
        }
        let found = index.matches(component);
        let ids = found.iter().map(|one| one.advisory.id.clone()).collect();
        self.by_component.insert(component.clone(), ids);
    }

    /// Looks again at the components of the packages that [`AdvisoryIndex::add`] named, and at components that are new.
    pub fn update(&mut self, parts: &FleetParts, index: &AdvisoryIndex, changed: &BTreeSet<(String, String)>) {
        if !changed.is_empty() {
            self.by_component
                .retain(|component, _| package_of(component).is_none_or(|package| !changed.contains(&package)));
        }
        for (_, components) in parts.parts() {
            for component in components {
                self.look(component, index);
            }
        }
    }

    /// The advisories against a component.
    #[must_use]
    pub fn of(&self, component: &Component) -> &[String] {
        self.by_component.get(component).map_or(&[], Vec::as_slice)
    }

    /// Box → advisories, over the whole fleet.
    #[must_use]
    pub fn by_box<'a>(&'a self, parts: &'a FleetParts) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
        let mut by_part: HashMap<&str, BTreeSet<&str>> = HashMap::new();
        for (name, components) in parts.parts() {
            let found = components.iter().flat_map(|one| self.of(one)).map(String::as_str);
            by_part.insert(name, found.collect());
        }
        parts
            .boxes()
            .iter()
            .map(|(box_id, names)| {
                let all = names.iter().filter_map(|name| by_part.get(name.as_str()));
                (box_id.as_str(), all.flatten().copied().collect())
            })
            .collect()
    }
}
