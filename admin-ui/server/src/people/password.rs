//! Passwords: Argon2id, on its own threads, two at a time.
//!
//! Refuses short passwords, and refuses to be told apart by time whether an account exists. Invariant: a password leaves this
//! file as a PHC string or not at all.

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};

use crate::console::Console;
use crate::random;
use crate::refused::Refused;

/// Shortest password that a person may choose, in characters.
pub const SHORTEST: usize = 10;
/// Longest password, in bytes: bounds what is hashed for a stranger.
pub const LONGEST: usize = 256;

/// Something that could not be hashed.
#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed: {0}")]
pub struct HashFault(String);

/// Hashes a password (Argon2id, 19 MiB, 2 passes: the library's default, OWASP's first choice). Slow by intent.
///
/// # Errors
/// When randomness or memory fails.
pub fn hash(password: &str) -> Result<String, HashFault> {
    let salt = random::bytes::<16>().map_err(|error| HashFault(error.to_string()))?;
    let hashed = Argon2::default()
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(|error| HashFault(error.to_string()))?;
    Ok(hashed.to_string())
}

fn matches(password: &str, stored: &str) -> bool {
    PasswordHash::new(stored)
        .is_ok_and(|stored| Argon2::default().verify_password(password.as_bytes(), &stored).is_ok())
}

/// Whether a password may be chosen.
///
/// # Errors
/// `console.bad_password`.
pub fn check_choice(name: &str, password: &str) -> Result<(), Refused> {
    let short = password.chars().count() < SHORTEST;
    if short || password.len() > LONGEST || password.eq_ignore_ascii_case(name) {
        let message =
            format!("a password has at least {SHORTEST} characters, at most {LONGEST} bytes, and is not the name");
        return Err(Refused::new(
            axum::http::StatusCode::BAD_REQUEST,
            "console.bad_password",
            message,
        ));
    }
    Ok(())
}

impl Console {
    /// Whether `password` is the stored one; takes as long for an account that does not exist.
    pub(crate) async fn password_matches(&self, password: String, stored: Option<String>) -> Result<bool, Refused> {
        static NOBODY: std::sync::OnceLock<String> = std::sync::OnceLock::new();
        let _room = self
            .0
            .hashing
            .acquire()
            .await
            .map_err(|error| Refused::inside(&error))?;
        tokio::task::spawn_blocking(move || match stored {
            Some(stored) => matches(&password, &stored),
            None => {
                let nobody = NOBODY.get_or_init(|| hash("nobody's password").unwrap_or_default());
                let _ = matches(&password, nobody);
                false
            }
        })
        .await
        .map_err(|error| Refused::inside(&error))
    }

    /// Hashes a new password on a thread of its own.
    pub(crate) async fn password_hash(&self, password: String) -> Result<String, Refused> {
        let _room = self
            .0
            .hashing
            .acquire()
            .await
            .map_err(|error| Refused::inside(&error))?;
        tokio::task::spawn_blocking(move || hash(&password))
            .await
            .map_err(|error| Refused::inside(&error))?
            .map_err(|error| Refused::inside(&error))
    }
}
