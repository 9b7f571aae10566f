//! Which console is ours: learnt once, confirmed by a person, then locked.
//!
//! Refuses a second pairing that differs from the first; changing it takes a wipe. Invariant: everything that the console
//! later says is checked against these fingerprints.

use std::path::Path;

use freehold_protocol::enrol::Pairing;
use freehold_trust::{PublicKey, Sha256Digest};

use crate::fault::Fault;
use crate::state::State;

const FILE: &str = "pairing.json";
/// Bounds what is read from a stick.
const MAX_PAIRING: u64 = 16 * 1024;

/// The locked pairing; on the first start it is taken from `offered`.
pub(crate) fn pairing(state: &State, offered: Option<&Path>) -> Result<Pairing, Fault> {
    let offered = offered.map(read).transpose()?;
    let locked = state.json::<Pairing>(FILE)?;
    match (locked, offered) {
        (Some(locked), Some(offered)) if !same(&locked, &offered) => Err(Fault::Coded {
            code: "box.other_pairing".to_owned(),
            message: "the box is paired with another console".to_owned(),
            expected: Some(format!("fleet {} with CA {}", locked.fleet, locked.fleet_ca)),
            found: Some(format!("fleet {} with CA {}", offered.fleet, offered.fleet_ca)),
        }),
        // The console may have moved to another address; who it is has not changed.
        (Some(locked), Some(offered)) => {
            if locked.console != offered.console {
                state.put_json(FILE, &offered)?;
            }
            Ok(offered)
        }
        (Some(locked), None) => Ok(locked),
        (None, Some(offered)) => lock(state, &offered),
        (None, None) => Err(Fault::of("box.not_paired", "the box knows no console yet")),
    }
}

/// The pairing that was taken, if one was.
pub(crate) fn locked(state: &State) -> Result<Option<Pairing>, Fault> {
    state.json(FILE)
}

/// Takes the pairing that a person has confirmed; the first one stays.
pub(crate) fn lock(state: &State, offered: &Pairing) -> Result<Pairing, Fault> {
    if let Some(locked) = locked(state)? {
        return Ok(locked);
    }
    for digest in [&offered.fleet_ca, &offered.tuf_root, &offered.director] {
        digest_of(digest)?;
    }
    state.put_json(FILE, offered)?;
    Ok(offered.clone())
}

fn same(left: &Pairing, right: &Pairing) -> bool {
    (&left.fleet, &left.site, &left.fleet_ca, &left.tuf_root, &left.director)
        == (
            &right.fleet,
            &right.site,
            &right.fleet_ca,
            &right.tuf_root,
            &right.director,
        )
}

/// Reads a pairing file.
pub(crate) fn read(path: &Path) -> Result<Pairing, Fault> {
    let malformed = |detail: String| Fault::of("box.pairing_malformed", format!("`{}`: {detail}", path.display()));
    let length = std::fs::metadata(path)
        .map_err(|error| malformed(error.to_string()))?
        .len();
    if length > MAX_PAIRING {
        return Err(malformed(format!("{length} bytes")));
    }
    let bytes = std::fs::read(path).map_err(|error| malformed(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))
}

/// A fingerprint of the pairing as a digest.
pub(crate) fn digest_of(text: &str) -> Result<Sha256Digest, Fault> {
    text.parse()
        .map_err(|_| Fault::of("box.pairing_malformed", "a fingerprint is not 64 hexadecimal digits"))
}

/// Director key and first TUF root of the fleet, once they were fetched and found to be the paired ones.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    /// The director's key.
    pub(crate) director: PublicKey,
    /// The first root metadata.
    pub(crate) root: Vec<u8>,
}

const DIRECTOR: &str = "director.der";
const ROOT: &str = "tuf/pinned-root.json";

impl Fleet {
    /// What an earlier run has stored, checked again.
    pub(crate) fn stored(state: &State, pairing: &Pairing) -> Result<Option<Self>, Fault> {
        match (state.bytes(DIRECTOR)?, state.bytes(ROOT)?) {
            (Some(director), Some(root)) => Self::check(pairing, &director, root).map(Some),
            _ => Ok(None),
        }
    }

    /// Takes what the console sent, when it has the paired fingerprints.
    pub(crate) fn take(state: &State, pairing: &Pairing, director: &[u8], root: Vec<u8>) -> Result<Self, Fault> {
        let fleet = Self::check(pairing, director, root)?;
        state.put(DIRECTOR, director)?;
        state.put(ROOT, &fleet.root)?;
        Ok(fleet)
    }

    /// Compares both with the pairing.
    pub(crate) fn check(pairing: &Pairing, director: &[u8], root: Vec<u8>) -> Result<Self, Fault> {
        let differs = |code: &str, what: &str, expected: &str, found: String| Fault::Coded {
            code: code.to_owned(),
            message: format!("the console shows another {what} than the box was paired with"),
            expected: Some(expected.to_owned()),
            found: Some(found),
        };
        let found = freehold_trust::sha256(director);
        if found != digest_of(&pairing.director)? {
            return Err(differs(
                "box.other_director",
                "director key",
                &pairing.director,
                found.to_hex(),
            ));
        }
        let found = freehold_trust::sha256(&root);
        if found != digest_of(&pairing.tuf_root)? {
            return Err(differs("box.other_root", "TUF root", &pairing.tuf_root, found.to_hex()));
        }
        let director =
            PublicKey::from_spki_der(director).map_err(|error| Fault::of("box.other_director", error.to_string()))?;
        Ok(Self { director, root })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freehold_protocol::V1;
    use freehold_trust::{KeyKind, SigningKey, sha256};

    fn offered(director: &PublicKey, root: &[u8]) -> Pairing {
        Pairing {
            v: V1,
            fleet: "ward".to_owned(),
            site: "here".to_owned(),
            console: "https://192.0.2.1:1".to_owned(),
            fleet_ca: sha256(b"ca").to_hex(),
            tuf_root: sha256(root).to_hex(),
            director: director.fingerprint().to_hex(),
        }
    }

    #[test]
    fn a_pairing_is_taken_once_and_locked() {
        let world = tempfile::tempdir().unwrap();
        let state = State::open(&world.path().join("state")).unwrap();
        assert_eq!(pairing(&state, None).unwrap_err().code(), "box.not_paired");

        let file = world.path().join("pairing.json");
        let give = |text: &str| std::fs::write(&file, text).unwrap();
        for bad in ["", "{}", "{\"v\":2}", &" ".repeat(20_000)] {
            give(bad);
            assert_eq!(
                pairing(&state, Some(&file)).unwrap_err().code(),
                "box.pairing_malformed",
                "{bad}"
            );
        }
        let key = SigningKey::generate(KeyKind::P256).unwrap();
        let mut first = offered(key.public(), b"root");
        first.director = "not hex".to_owned();
        give(&serde_json::to_string(&first).unwrap());
        assert_eq!(
            pairing(&state, Some(&file)).unwrap_err().code(),
            "box.pairing_malformed"
        );

        let first = offered(key.public(), b"root");
        give(&serde_json::to_string(&first).unwrap());
        assert_eq!(pairing(&state, Some(&file)).unwrap(), first);
        assert_eq!(pairing(&state, None).unwrap(), first);
        // The console may move; it may not become another one.
        let moved = Pairing {
            console: "https://192.0.2.2:1".to_owned(),
            ..first.clone()
        };
        give(&serde_json::to_string(&moved).unwrap());
        assert_eq!(pairing(&state, Some(&file)).unwrap(), moved);
        let other = Pairing {
            fleet_ca: sha256(b"another ca").to_hex(),
            ..first
        };
        give(&serde_json::to_string(&other).unwrap());
        assert_eq!(pairing(&state, Some(&file)).unwrap_err().code(), "box.other_pairing");
        assert_eq!(pairing(&state, None).unwrap(), moved);
    }

    #[test]
    fn director_and_root_are_those_of_the_pairing_also_after_a_restart() {
        let world = tempfile::tempdir().unwrap();
        let state = State::open(world.path()).unwrap();
        let (key, other) = (
            SigningKey::generate(KeyKind::P256).unwrap(),
            SigningKey::generate(KeyKind::P256).unwrap(),
        );
        let pairing = offered(key.public(), b"root");
        let take =
            |key: &SigningKey, root: &[u8]| Fleet::take(&state, &pairing, key.public().spki_der(), root.to_vec());
        assert_eq!(take(&other, b"root").unwrap_err().code(), "box.other_director");
        assert_eq!(take(&key, b"another root").unwrap_err().code(), "box.other_root");
        assert!(Fleet::stored(&state, &pairing).unwrap().is_none());
        take(&key, b"root").unwrap();
        assert_eq!(
            Fleet::stored(&state, &pairing).unwrap().unwrap().director,
            *key.public()
        );
        state.put(DIRECTOR, other.public().spki_der()).unwrap();
        assert_eq!(
            Fleet::stored(&state, &pairing).unwrap_err().code(),
            "box.other_director"
        );
    }
}
