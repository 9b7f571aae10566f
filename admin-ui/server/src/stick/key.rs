//! The key that returns are sealed to.
//!
//! Refuses to sign: it opens and does nothing else. Invariant: made once, mode 0600, and in every bundle from then on.

use freehold_trust::hpke::OpeningKey;

use crate::console::Console;
use crate::refused::Refused;
use crate::state::StateFault;

const FILE: &str = "keys/returns.pem";

impl Console {
    /// The key, made when it is not there yet.
    pub(crate) fn returns_key(&self) -> Result<OpeningKey, Refused> {
        let dir = &self.0.dir;
        let malformed = |_| {
            Refused::inside(&StateFault::Form {
                path: dir.path(FILE),
                what: "a private key",
            })
        };
        if !dir.path(FILE).exists() {
            let made = OpeningKey::generate().map_err(|error| Refused::inside(&error))?;
            let pem = made.to_pkcs8_pem().map_err(|error| Refused::inside(&error))?;
            match dir.write_secret(FILE, pem.as_bytes()) {
                Ok(()) => return Ok(made),
                // Somebody else was first: theirs counts.
                Err(_) if dir.path(FILE).exists() => {}
                Err(fault) => return Err(Refused::inside(&fault)),
            }
        }
        let pem = dir.secret(FILE).map_err(|fault| Refused::inside(&fault))?;
        OpeningKey::from_pkcs8_pem(&pem).map_err(malformed)
    }
}
