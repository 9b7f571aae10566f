//! C2SP signed notes: text, a blank line, signatures. Ed25519 keys named as in `name+hash+base64`.
//!
//! Refuses control characters, missing final newlines, and a wrong signature by a known key; ignores signatures by unknown
//! keys, as the specification demands. Invariant: what was signed is the exact text, its final newline included.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freehold_trust::{KeyKind, PublicKey, SigningKey, sha256};

use crate::rejection::RecordRejected;

/// More than any checkpoint with its cosignatures needs; bounds parsing of a note stuffed with text or signatures.
pub const NOTE_LIMIT: usize = 64 * 1024;

/// More signatures than a fleet has witnesses; bounds the checks that one note can cause.
pub const SIGNATURE_LIMIT: usize = 100;

/// The type byte of an Ed25519 signature over the note itself.
pub const ED25519: u8 = 0x01;

/// The type byte of a timestamped Ed25519 cosignature (`cosignature/v1`).
pub const COSIGNATURE_V1: u8 = 0x04;

/// SubjectPublicKeyInfo of Ed25519 up to the 32 bytes of the key (RFC 8410, section 4).
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key that notes are verified with: name, type and public key. Its text form is `name+hash+base64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    kind: u8,
    raw: [u8; 32],
}

impl VerifierKey {
    /// A key that signs notes of its own, such as a log's.
    ///
    /// # Errors
    /// When the name has spaces or a plus sign, or the key is not Ed25519.
    pub fn new(name: &str, key: &PublicKey) -> Result<Self, RecordRejected> {
        Self::of_kind(name, ED25519, key)
    }

    /// A witness's key.
    ///
    /// # Errors
    /// As [`VerifierKey::new`].
    pub fn witness(name: &str, key: &PublicKey) -> Result<Self, RecordRejected> {
        Self::of_kind(name, COSIGNATURE_V1, key)
    }

    fn of_kind(name: &str, kind: u8, key: &PublicKey) -> Result<Self, RecordRejected> {
        let raw = (key.kind() == KeyKind::Ed25519)
            .then(|| {
                key.spki_der()
                    .strip_prefix(&ED25519_SPKI)
                    .and_then(|raw| raw.try_into().ok())
            })
            .flatten()
            .ok_or(RecordRejected::KeyMalformed {
                fault: "the key is not ed25519",
            })?;
        if !is_key_name(name) {
            return Err(RecordRejected::KeyMalformed {
                fault: "a name is not empty and has no space or plus",
            });
        }
        Ok(Self {
            name: name.to_owned(),
            kind,
            raw,
        })
    }

    /// Parses `name+hash+base64`.
    ///
    /// # Errors
    /// `record.key_malformed`, also when the hash is not the one of name and key.
    pub fn parse(text: &str) -> Result<Self, RecordRejected> {
        let refused = |fault| RecordRejected::KeyMalformed { fault };
        // The base64 part may hold a plus sign, the other two may not.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(refused("three parts are wanted"));
        };
        let bytes = STANDARD
            .decode(encoded)
            .map_err(|_| refused("its last part is not base64"))?;
        let (kind, raw) = bytes.split_first().ok_or_else(|| refused("it has no type"))?;
        if !matches!(*kind, ED25519 | COSIGNATURE_V1) {
            return Err(refused("its type is not known"));
        }
        let raw = raw.try_into().map_err(|_| refused("an ed25519 key has 32 bytes"))?;
        if !is_key_name(name) {
            return Err(refused("a name is not empty and has no space or plus"));
        }
        let key = Self {
            name: name.to_owned(),
            kind: *kind,
            raw,
        };
        let id = hex::encode(key.id());
        if id != hash {
            return Err(refused("its hash is not that of name and key"));
        }
        Ok(key)
    }

    /// The key's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type byte: [`ED25519`] or [`COSIGNATURE_V1`].
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// The key id: the first four bytes of SHA-256 over name, newline, type and key.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let mut bytes = self.name.as_bytes().to_vec();
        bytes.push(b'\n');
        bytes.push(self.kind);
        bytes.extend_from_slice(&self.raw);
        let [a, b, c, d, ..] = *sha256(&bytes).as_bytes();
        [a, b, c, d]
    }

    /// The public key.
    ///
    /// # Errors
    /// `record.key_malformed` when the 32 bytes are no point.
    pub fn public(&self) -> Result<PublicKey, RecordRejected> {
        let spki = [ED25519_SPKI.as_slice(), &self.raw].concat();
        PublicKey::from_spki_der(&spki).map_err(|_| RecordRejected::KeyMalformed {
            fault: "the key is not a point",
        })
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), RecordRejected> {
        self.public()?
            .verify_default(message, signature)
            .map_err(|_| RecordRejected::NoteSignature {
                name: self.name.clone(),
            })
    }
}

impl std::fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = [&[self.kind], self.raw.as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), STANDARD.encode(bytes))
    }
}

impl std::str::FromStr for VerifierKey {
    type Err = RecordRejected;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 256
        && !name.contains('+')
        && !name.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// A private Ed25519 key with its name: signs notes.
#[derive(Debug)]
pub struct NoteSigner {
    verifier: VerifierKey,
    key: SigningKey,
}

impl NoteSigner {
    /// A signer of notes.
    ///
    /// # Errors
    /// As [`VerifierKey::new`].
    pub fn new(name: &str, key: SigningKey) -> Result<Self, RecordRejected> {
        Ok(Self {
            verifier: VerifierKey::new(name, key.public())?,
            key,
        })
    }

    /// The public side.
    #[must_use]
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The public side as a witness.
    #[must_use]
    pub fn witness(&self) -> VerifierKey {
        VerifierKey {
            kind: COSIGNATURE_V1,
            ..self.verifier.clone()
        }
    }

    pub(crate) fn sign_bytes(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(message)
    }

    /// Signs `text`, which ends with a newline.
    ///
    /// # Errors
    /// `record.note_malformed` when the text cannot be a note's.
    pub fn sign(&self, text: &str) -> Result<SignedNote, RecordRejected> {
        check_text(text)?;
        let mut note = SignedNote {
            text: text.to_owned(),
            signatures: Vec::new(),
        };
        note.push(&self.verifier, &self.sign_bytes(text.as_bytes()));
        Ok(note)
    }
}

/// One line of signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// The key's name.
    pub name: String,
    /// The key's id.
    pub id: [u8; 4],
    /// What follows the id.
    pub bytes: Vec<u8>,
}

/// A note: text and signatures. Parsing verifies nothing; [`SignedNote::verify`] does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// Parses a note.
    ///
    /// # Errors
    /// `record.note_malformed`.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordRejected> {
        let refused = |fault| RecordRejected::NoteMalformed { fault };
        if bytes.len() > NOTE_LIMIT {
            return Err(refused("it is too long"));
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| refused("it is not utf-8"))?;
        // The last blank line separates: the text itself may hold blank lines.
        let at = whole
            .rfind("\n\n")
            .ok_or_else(|| refused("no blank line before the signatures"))?;
        let (text, rest) = whole.split_at(at.saturating_add(1));
        let lines = rest
            .strip_prefix('\n')
            .ok_or_else(|| refused("no blank line before the signatures"))?;
        check_text(text)?;
        let lines = lines
            .strip_suffix('\n')
            .ok_or_else(|| refused("no newline at its end"))?;
        let signatures = lines.split('\n').map(signature_line).collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > SIGNATURE_LIMIT {
            return Err(refused("too many signatures"));
        }
        Ok(Self {
            text: text.to_owned(),
            signatures,
        })
    }

    /// The signed text, final newline included. Not to be believed before [`SignedNote::verify`].
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Checks the note's signature by `key` (of type [`ED25519`]) and returns the text.
    ///
    /// # Errors
    /// `record.unsigned` when there is none by that name and id, `record.signature` when one is wrong.
    pub fn verify(&self, key: &VerifierKey) -> Result<&str, RecordRejected> {
        let unsigned = || RecordRejected::NoteUnsigned {
            wanted: key.name().to_owned(),
        };
        if key.kind() != ED25519 {
            return Err(unsigned());
        }
        let id = key.id();
        let mut found = false;
        for signature in self.signatures.iter().filter(|s| s.name == key.name() && s.id == id) {
            key.verify(self.text.as_bytes(), &signature.bytes)?;
            found = true;
        }
        if found { Ok(&self.text) } else { Err(unsigned()) }
    }

    /// Adds a signature line; an equal line is there once.
    pub fn push(&mut self, key: &VerifierKey, bytes: &[u8]) {
        let line = NoteSignature {
            name: key.name().to_owned(),
            id: key.id(),
            bytes: bytes.to_vec(),
        };
        if !self.signatures.contains(&line) {
            self.signatures.push(line);
        }
    }
}

impl std::fmt::Display for SignedNote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.text)?;
        for signature in &self.signatures {
            let bytes = [signature.id.as_slice(), &signature.bytes].concat();
            writeln!(f, "\u{2014} {} {}", signature.name, STANDARD.encode(bytes))?;
        }
        Ok(())
    }
}

fn check_text(text: &str) -> Result<(), RecordRejected> {
    let refused = |fault| RecordRejected::NoteMalformed { fault };
    if !text.ends_with('\n') {
        return Err(refused("no newline at the end of its text"));
    }
    if text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(refused("control characters in its text"));
    }
    Ok(())
}

fn signature_line(line: &str) -> Result<NoteSignature, RecordRejected> {
    let refused = |fault| RecordRejected::NoteMalformed { fault };
    let rest = line
        .strip_prefix("\u{2014} ")
        .ok_or_else(|| refused("a signature line starts with a dash"))?;
    let (name, encoded) = rest
        .split_once(' ')
        .ok_or_else(|| refused("a signature line has a name and a value"))?;
    if !is_key_name(name) {
        return Err(refused("a key's name in a signature line"));
    }
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|_| refused("a signature is not base64"))?;
    let (id, bytes) = bytes
        .split_first_chunk::<4>()
        .ok_or_else(|| refused("a signature is too short"))?;
    if bytes.is_empty() {
        return Err(refused("a signature is too short"));
    }
    Ok(NoteSignature {
        name: name.to_owned(),
        id: *id,
        bytes: bytes.to_vec(),
    })
}
