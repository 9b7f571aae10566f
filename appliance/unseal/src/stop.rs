//! Why the program ended without an open volume.
//!
//! Refuses to mix "no" and "could not tell". Invariant: nothing here holds a secret, so everything may be printed.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use freehold_seal::TpmFault;
use freehold_verify::Refusal;
use freehold_verify::sealing::SealRejection;

/// A reason to stop.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// No.
    #[error(transparent)]
    Refused(#[from] SealRejection),
    /// The TPM could not be asked.
    #[error(transparent)]
    Tpm(#[from] TpmFault),
    /// A program could not do its part.
    #[error("`{program} {verb}` failed: {detail}")]
    Tool {
        /// The program.
        program: String,
        /// What it was to do.
        verb: String,
        /// Its exit code and its last words.
        detail: String,
    },
    /// A file could not be read or written.
    #[error("`{path}` cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Stop {
    /// The codes that only this program has.
    pub const CODES: &'static [&'static str] = &["seal.tool", "seal.file"];

    /// For `map_err`.
    pub fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Tpm(fault) => fault.code(),
            Self::Tool { .. } => "seal.tool",
            Self::File { .. } => "seal.file",
        }
    }

    /// 1 for no, 2 for could not tell.
    pub fn exit(&self) -> ExitCode {
        match self {
            Self::Refused(_) => ExitCode::from(1),
            _ => ExitCode::from(2),
        }
    }

    /// What a person reads: what, expected and found, what follows, the next step.
    pub fn words(&self) -> String {
        let mut text = format!("{}: {self}", self.code());
        let mut source = std::error::Error::source(self);
        while let Some(inner) = source {
            text.push_str(&format!(": {inner}"));
            source = inner.source();
        }
        if let Self::Refused(refusal) = self
            && let (Some(expected), Some(found)) = (refusal.expected(), refusal.found())
        {
            text.push_str(&format!("\n  expected {expected}\n  found    {found}"));
        }
        if let Some(said) = freehold_explain::explain(self.code()) {
            text.push_str(&format!("\n  {}\n  {}\n  next: {}", said.what, said.means, said.next));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_told_is_no_refusal() {
        let tool = Stop::Tool {
            program: "cryptsetup".to_owned(),
            verb: "luksFormat".to_owned(),
            detail: String::new(),
        };
        assert_eq!(tool.code(), "seal.tool");
        let file = Stop::file(Path::new("x"))(io::ErrorKind::NotFound.into());
        assert_eq!(file.code(), "seal.file");
        for stop in [&tool, &file] {
            assert!(Stop::CODES.contains(&stop.code()));
            assert!(stop.words().contains("next: "), "{}", stop.words());
        }
    }
}
