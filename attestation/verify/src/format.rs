//! The format gate: is a model's file what its name says, and is its header sane, before any loader opens it?
//!
//! Refuses pickles, archives and programs under any name, headers with lengths or counts that the file cannot hold, and
//! tensors outside the file. Reads a bounded prefix only. Invariant: what passes was parsed with every length checked; it
//! does not mean that the model is good, only that a loader meets no surprise in the header.

mod ggml;
mod gguf;
mod safetensors;

use serde::Serialize;

use crate::rejection::Refusal;
use crate::text::shown;

/// Longest header that is read (bounds memory): vocabularies of a quarter of a million tokens need about 12 MiB.
pub const MAX_HEADER: usize = 64 * 1024 * 1024;

/// Endings of files that carry code, or that loaders unpickle.
const REFUSED_ENDINGS: &[&str] = &[
    "bin", "ckpt", "dll", "dylib", "exe", "h5", "hdf5", "jar", "joblib", "keras", "npy", "npz", "pickle", "pkl", "pt",
    "pth", "py", "pyc", "sh", "so", "t7", "zip", "tar", "gz",
];
/// How such files begin, whatever they are called.
const REFUSED_BEGINNINGS: &[(&[u8], &str)] = &[
    (b"PK\x03\x04", "a zip archive (PyTorch's format)"),
    (b"PK\x05\x06", "a zip archive"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"#!", "a script"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89HDF", "an HDF5 file"),
];

/// Why a file does not pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not acceptable: {detail}")]
pub struct FormatRejection {
    path: String,
    detail: String,
}

impl FormatRejection {
    /// Every code of this refusal.
    pub const CODES: &[&str] = &["model.format"];
}

impl Refusal for FormatRejection {
    fn code(&self) -> &'static str {
        "model.format"
    }
    fn expected(&self) -> Option<String> {
        Some("GGUF, safetensors, or text beside them".to_owned())
    }
    fn found(&self) -> Option<String> {
        Some(self.detail.clone())
    }
}

/// Which weights format a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightsFormat {
    /// llama.cpp's GGUF, version 2 or 3.
    Gguf,
    /// Hugging Face's safetensors.
    Safetensors,
}

/// What a header says. Facts of the file, not promises: only the signature says whose they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelHeader {
    /// The format.
    pub format: WeightsFormat,
    /// `general.architecture`, for example `llama`.
    pub architecture: Option<String>,
    /// `general.name`.
    pub name: Option<String>,
    /// `general.license`.
    pub licence: Option<String>,
    /// Number of parameters (elements of all tensors).
    pub parameters: u64,
    /// The type that most parameters have, for example `Q8_0`.
    pub quantisation: Option<String>,
    /// Tokens of context that the model was made for.
    pub context_length: Option<u64>,
    /// Whether the metadata carries a chat template.
    pub chat_template: bool,
    /// Number of tensors.
    pub tensors: u64,
}

/// The gate's answer to a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// The file passes; weights come with their header's facts.
    Passed(Option<ModelHeader>),
    /// The header goes on behind the prefix: give more, at most [`MAX_HEADER`] bytes.
    NeedMore,
}

/// A fault inside a header.
enum Fault {
    /// The prefix ends before the header does.
    Short,
    /// The header is wrong.
    Bad(String),
}

impl Fault {
    fn bad(detail: impl Into<String>) -> Self {
        Self::Bad(detail.into())
    }
}

/// Judges the file at `path`, `length` bytes long, by its first bytes.
///
/// # Errors
/// [`FormatRejection`].
pub fn gate(path: &str, prefix: &[u8], length: u64) -> Result<Gate, FormatRejection> {
    let refuse = |detail: String| FormatRejection {
        path: shown(path),
        detail: shown(&detail),
    };
    let file = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending);
    let header = match ending {
        "gguf" => gguf::header(prefix, length),
        "safetensors" => safetensors::header(prefix, length),
        _ => {
            if REFUSED_ENDINGS.contains(&ending) {
                return Err(refuse(format!(
                    "files that end in `.{ending}` carry code or are unpickled"
                )));
            }
            if let Some(what) = beginning(prefix) {
                return Err(refuse(format!("it is {what}")));
            }
            return Ok(Gate::Passed(None));
        }
    };
    let whole = u64::try_from(prefix.len()).is_ok_and(|have| have >= length);
    match header {
        Ok(header) => Ok(Gate::Passed(Some(header))),
        Err(Fault::Bad(detail)) => match beginning(prefix) {
            Some(what) => Err(refuse(format!("it is {what}"))),
            None => Err(refuse(detail)),
        },
        Err(Fault::Short) if whole => Err(refuse("the header is cut off".to_owned())),
        Err(Fault::Short) if prefix.len() >= MAX_HEADER => {
            Err(refuse(format!("its header is longer than {MAX_HEADER} bytes")))
        }
        Err(Fault::Short) => Ok(Gate::NeedMore),
    }
}

fn beginning(prefix: &[u8]) -> Option<&'static str> {
    REFUSED_BEGINNINGS
        .iter()
        .find(|(start, _)| prefix.starts_with(start))
        .map(|(_, what)| *what)
}

/// The type that most elements have.
fn dominant(counts: &std::collections::BTreeMap<&'static str, u64>) -> Option<String> {
    counts
        .iter()
        .max_by_key(|(_, count)| **count)
        .map(|(name, _)| (*name).to_owned())
}
