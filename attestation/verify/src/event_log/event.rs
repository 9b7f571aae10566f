//! One event, borrowed from its log.
//!
//! Refuses to be believed by type: [`Event::check_data`] says whether the digest covers what the event shows. Invariant:
//! digests and data are slices of the log, nothing is copied.

use freehold_trust::digest::{HashAlgorithm, sha256};

use super::efi;
use super::kind::EventKind;
use crate::tpm::algorithm;

/// Whether an event's digest is that of what it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataCheck {
    /// The digest is that of the data (or of the variable's value, for boot variables).
    Matches,
    /// By its type the digest must be that of the data, and it is not.
    Differs,
    /// The digest is of something that is not in the log: the shown data proves nothing.
    NotCovered,
}

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its place in the log, counted from 0; in a crypto-agile log the Spec ID event is 0.
    pub index: usize,
    /// The PCR it extends.
    pub pcr: u8,
    /// Its type, which no digest covers.
    pub kind: EventKind,
    /// Its data.
    pub data: &'a [u8],
    pub(super) digests: Digests<'a>,
}

/// Digests as they stand in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digests<'a> {
    /// The one digest of an old log.
    Sha1(&'a [u8]),
    /// Algorithm and digest, repeated; lengths were checked against the announced ones. The SHA-256 one is at hand.
    Agile {
        all: &'a [u8],
        sha256: Option<&'a [u8; 32]>,
    },
}

impl<'a> Event<'a> {
    /// The digest for the bank with this TPM_ALG_ID.
    #[must_use]
    pub fn digest(&self, id: u16) -> Option<&'a [u8]> {
        match self.digests {
            Digests::Sha1(digest) => (id == algorithm::SHA1).then_some(digest),
            Digests::Agile {
                sha256: Some(digest), ..
            } if id == algorithm::SHA256 => Some(digest),
            Digests::Agile { .. } => self.digests().find(|(found, _)| *found == id).map(|(_, digest)| digest),
        }
    }

    /// The SHA-256 digest.
    #[must_use]
    pub fn sha256(&self) -> Option<&'a [u8; 32]> {
        match self.digests {
            Digests::Agile { sha256, .. } => sha256,
            Digests::Sha1(_) => None,
        }
    }

    /// Every digest with its TPM_ALG_ID. Algorithms whose length is not known end the list.
    pub fn digests(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let (mut agile, mut old) = match self.digests {
            Digests::Sha1(digest) => (&[] as &[u8], Some((algorithm::SHA1, digest))),
            Digests::Agile { all, .. } => (all, None),
        };
        std::iter::from_fn(move || {
            if let Some(digest) = old.take() {
                return Some(digest);
            }
            let (id, rest) = agile.split_first_chunk::<2>()?;
            let id = u16::from_le_bytes(*id);
            let (digest, rest) = rest.split_at_checked(algorithm::digest_len(id)?)?;
            agile = rest;
            Some((id, digest))
        })
    }

    /// Whether it changed its PCR: `EV_NO_ACTION` never does.
    #[must_use]
    pub fn extends(&self) -> bool {
        self.kind != EventKind::NO_ACTION
    }

    /// Whether the digest covers the data, in the strongest bank at hand.
    #[must_use]
    pub fn check_data(&self) -> DataCheck {
        if !self.extends() {
            return DataCheck::NotCovered;
        }
        if self.is_digest_of(self.data) {
            return DataCheck::Matches;
        }
        // Early shims count one byte too many in the data of their authority event (debian-10 in the vectors); that byte is
        // the only one the digest does not cover, and nothing shows it.
        let without_last = self.data.split_last().map(|(_, rest)| rest);
        if self.kind == EventKind::EFI_VARIABLE_AUTHORITY && without_last.is_some_and(|rest| self.is_digest_of(rest)) {
            return DataCheck::Matches;
        }
        if self.kind.digest_is_of_data() && !self.is_error_separator() {
            return DataCheck::Differs;
        }
        let value = (self.kind == EventKind::EFI_VARIABLE_BOOT)
            .then(|| efi::Variable::parse(self.data).ok())
            .flatten();
        if value.is_some_and(|variable| self.is_digest_of(variable.data)) {
            DataCheck::Matches
        } else {
            DataCheck::NotCovered
        }
    }

    /// A separator that reports a firmware error: its digest is of the number 1, its data is the error code.
    pub(super) fn is_error_separator(&self) -> bool {
        self.kind == EventKind::SEPARATOR && self.is_digest_of(&[1, 0, 0, 0])
    }

    /// Whether one of the digests, the strongest at hand, is that of `data`.
    pub(super) fn is_digest_of(&self, data: &[u8]) -> bool {
        if let Some(digest) = self.sha256() {
            return sha256(data).as_bytes() == digest;
        }
        for hash in [HashAlgorithm::Sha384, HashAlgorithm::Sha512, HashAlgorithm::Sha1] {
            if let Some(digest) = self.digest(algorithm::hash_id(hash)) {
                return hash.hash(data) == digest;
            }
        }
        false
    }

    /// What the event says it is, for people: printable, at most 200 characters. Believe it only after
    /// [`Event::check_data`].
    #[must_use]
    pub fn describe(&self) -> String {
        efi::describe(self.kind, self.data)
    }
}
