//! The box's settings: taken once, typed at its screen or by a signed file on a stick, then locked.
//!
//! Refuses a second document whoever signed it, unknown names, and network settings that would generate nothing sound. Invariant:
//! what is on the disk was checked as a whole, and nothing but a wipe by two persons changes it.

use freehold_network::NetworkSettings;
use freehold_trust::{Sha256Digest, sha256};
use freehold_verify::document::Settings as Document;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::screen::ScreenRejection;
use crate::state::State;

const FILE: &str = "settings.json";
/// Bounds a document: its values have some 300 bytes, a list of 64 client networks one KiB more.
const MAX_SETTINGS: usize = 8192;

/// How settings came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// Typed at the box's screen: that somebody stands there is what speaks for them.
    Typed,
    /// By a file of the director's on a stick, together with the console that a person compared.
    Signed,
}

impl Source {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Typed => "typed",
            Self::Signed => "signed",
        }
    }
}

/// What is on the disk.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    v: u32,
    source: Source,
    /// SHA-256 of the document as it came: of the signed payload, or of what the screen sent.
    digest: Sha256Digest,
    document: Document,
}

/// The console as settings name it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamedConsole {
    /// `https://ADDRESS:PORT`.
    #[serde(default)]
    pub(crate) address: String,
    /// SHA-256 of its fleet CA's certificate.
    pub(crate) fleet_ca: Sha256Digest,
}

/// Settings that were read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) source: Source,
    pub(crate) digest: Sha256Digest,
    pub(crate) console: Option<NamedConsole>,
    /// Whom the box may speak to; without it, to nobody.
    pub(crate) network: Option<NetworkSettings>,
}

fn malformed(why: impl Into<String>) -> ScreenRejection {
    ScreenRejection::SettingsMalformed { why: why.into() }
}

impl Site {
    /// Reads a document: known names only, each of its own form, and all of them in agreement.
    pub(crate) fn read(source: Source, document: &Document, digest: Sha256Digest) -> Result<Self, ScreenRejection> {
        if document.v != 1 {
            return Err(malformed("another version"));
        }
        if serde_json::to_vec(document).map_or(usize::MAX, |bytes| bytes.len()) > MAX_SETTINGS {
            return Err(malformed("too long"));
        }
        let (mut console, mut network) = (None::<NamedConsole>, None::<NetworkSettings>);
        for (name, value) in &document.values {
            match name.as_str() {
                "console" => console = Some(part(name, value)?),
                "network" => network = Some(part(name, value)?),
                "time_zone" => drop(part::<String>(name, value)?),
                other => return Err(malformed(format!("`{}` is no setting", other.escape_debug()))),
            }
        }
        if source == Source::Typed && console.is_none() {
            return Err(malformed("no fingerprint of a console"));
        }
        if let Some(network) = &network {
            network
                .check()
                .map_err(|rejection| malformed(format!("{}: {rejection}", rejection.code())))?;
            let said = network.console.map(|at| format!("https://{}:{}", at.address, at.port));
            let named = console.as_ref().map(|console| &console.address);
            if let (Some(said), Some(named)) = (said, named)
                && !named.is_empty()
                && *named != said
            {
                return Err(malformed(
                    "the network lets the box speak to another address than the console's",
                ));
            }
        }
        Ok(Self {
            source,
            digest,
            console,
            network,
        })
    }

    /// The settings that were taken, if any were.
    pub(crate) fn locked(state: &State) -> Result<Option<Self>, Fault> {
        let Some(kept) = state.json::<Kept>(FILE)? else {
            return Ok(None);
        };
        let broken = |detail: String| Fault::State {
            path: state.path(FILE),
            detail,
        };
        if kept.v != 1 {
            return Err(broken(format!("version {}", kept.v)));
        }
        Self::read(kept.source, &kept.document, kept.digest)
            .map(Some)
            .map_err(|rejection| broken(rejection.to_string()))
    }

    /// Whether settings were taken; what cannot be read counts as taken.
    pub(crate) fn is_locked(state: &State) -> bool {
        state.path(FILE).exists()
    }

    /// Takes a document for good.
    pub(crate) fn lock(
        state: &State,
        source: Source,
        document: &Document,
        digest: Sha256Digest,
    ) -> Result<Self, Fault> {
        let site = Self::read(source, document, digest).map_err(|rejection| Fault::refusal(&rejection))?;
        if Self::is_locked(state) {
            return Err(Fault::refusal(&ScreenRejection::SettingsLocked));
        }
        let kept = Kept {
            v: 1,
            source,
            digest,
            document: document.clone(),
        };
        state.put_json(FILE, &kept)?;
        Ok(site)
    }
}

/// The digest of a document that nobody signed: of its JSON, fields in their order, without spaces.
pub(crate) fn digest_of_typed(document: &Document) -> Sha256Digest {
    sha256(&serde_json::to_vec(document).unwrap_or_default())
}

fn part<T: serde::de::DeserializeOwned>(name: &str, value: &serde_json::Value) -> Result<T, ScreenRejection> {
    serde_json::from_value(value.clone()).map_err(|error| malformed(format!("`{name}`: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use freehold_verify::Refusal as _;

    fn document(values: serde_json::Value) -> Document {
        let serde_json::Value::Object(values) = values else {
            unreachable!("the tests write objects")
        };
        Document {
            v: 1,
            fleet: "ward".to_owned(),
            values,
        }
    }

    fn whole() -> serde_json::Value {
        serde_json::json!({
            "console": { "address": "https://10.0.0.5:8443", "fleet_ca": sha256(b"ca").to_hex() },
            "network": {
                "interface": "eno1", "addressing": { "static": { "address": "10.0.0.17/24" } },
                "console": { "address": "10.0.0.5", "port": 8443 }, "clients": [], "gateway_port": 8443
            },
            "time_zone": "Europe/Berlin"
        })
    }

    // promise S-140
    #[test]
    fn settings_are_taken_once_and_stay() {
        let world = tempfile::tempdir().unwrap();
        let state = State::open(world.path()).unwrap();
        assert_eq!(Site::locked(&state).unwrap(), None);
        let first = document(whole());
        let digest = digest_of_typed(&first);
        let taken = Site::lock(&state, Source::Typed, &first, digest).unwrap();
        assert_eq!(taken.network.as_ref().unwrap().interface, "eno1");
        assert_eq!(Site::locked(&state).unwrap(), Some(taken.clone()));
        for source in [Source::Typed, Source::Signed] {
            let again = Site::lock(&state, source, &first, digest).unwrap_err();
            assert_eq!(again.code(), "screen.settings_locked");
        }
        assert_eq!(Site::locked(&state).unwrap(), Some(taken));
        // A file that cannot be read opens nothing: the box stops with its name.
        state.put("settings.json", b"{}").unwrap();
        assert_eq!(Site::locked(&state).unwrap_err().code(), "box.state");
        assert!(Site::is_locked(&state));
    }

    #[test]
    fn what_is_no_setting_is_refused_as_a_whole() {
        let mut cases = vec![
            ("an unknown name", serde_json::json!({ "shell": "/bin/sh" })),
            ("no fingerprint", serde_json::json!({})),
            ("no digest", serde_json::json!({ "console": { "fleet_ca": "abc" } })),
        ];
        let mut other = whole();
        other["network"]["console"]["port"] = 1.into();
        cases.push(("another console", other));
        let mut unsound = whole();
        unsound["network"]["interface"] = "eno1; reboot".into();
        cases.push(("an interface that says more", unsound));
        let mut extra = whole();
        extra["network"]["dns"] = "192.0.2.1".into();
        cases.push(("a field that there is not", extra));
        for (what, values) in cases {
            let document = document(values);
            let refused = Site::read(Source::Typed, &document, digest_of_typed(&document)).unwrap_err();
            assert_eq!(refused.code(), "screen.settings_malformed", "{what}");
        }
    }
}
