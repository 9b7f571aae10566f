//! Deterministic CBOR (RFC 8949, 4.2.1): the few kinds of items that evidence and containers are made of.
//!
//! Refuses every encoding but the one: longer integers than needed, indefinite lengths, tags, floats. Invariant: what this
//! reader takes is what this writer writes, byte for byte, so that what was decoded has exactly one form.

/// The bytes are not the item that was asked for, or not in its one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CborFault {
    /// The bytes end too early, are another kind of item, or are left over.
    Malformed(&'static str),
    /// Another encoding of the same thing would be shorter, or keys are not in order.
    NotCanonical(&'static str),
}

const UINT: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const NULL: u8 = 0xf6;

/// The writer.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    fn head(&mut self, major: u8, number: u64) {
        let major = major << 5;
        let wide = number.to_be_bytes();
        let (info, from) = match number {
            0..=23 => {
                self.0.push(major | wide[7]);
                return;
            }
            24..=0xff => (24, 7),
            0x100..=0xffff => (25, 6),
            0x1_0000..=0xffff_ffff => (26, 4),
            _ => (27, 0),
        };
        self.0.push(major | info);
        self.0.extend(wide.iter().skip(from));
    }

    pub(crate) fn uint(&mut self, number: u64) {
        self.head(UINT, number);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.head(BYTES, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.head(TEXT, text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn array(&mut self, count: usize) {
        self.head(ARRAY, count as u64);
    }

    pub(crate) fn map(&mut self, count: usize) {
        self.head(MAP, count as u64);
    }

    pub(crate) fn null(&mut self) {
        self.0.push(NULL);
    }
}

/// The reader.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], CborFault> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(CborFault::Malformed(what))?;
        self.rest = rest;
        Ok(head)
    }

    fn head(&mut self, major: u8, what: &'static str) -> Result<u64, CborFault> {
        let first = *self.take(1, what)?.first().ok_or(CborFault::Malformed(what))?;
        if first >> 5 != major {
            return Err(CborFault::Malformed(what));
        }
        let (bytes, least) = match first & 0x1f {
            small @ 0..=23 => return Ok(small.into()),
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            31 => return Err(CborFault::NotCanonical(what)),
            _ => return Err(CborFault::Malformed(what)),
        };
        let number = self
            .take(bytes, what)?
            .iter()
            .fold(0_u64, |n, b| (n << 8) | u64::from(*b));
        if number < least {
            Err(CborFault::NotCanonical(what))
        } else {
            Ok(number)
        }
    }

    pub(crate) fn uint(&mut self, what: &'static str) -> Result<u64, CborFault> {
        self.head(UINT, what)
    }

    fn length(&mut self, major: u8, limit: usize, what: &'static str) -> Result<usize, CborFault> {
        let length = self.head(major, what)?;
        usize::try_from(length)
            .ok()
            .filter(|length| *length <= limit)
            .ok_or(CborFault::Malformed(what))
    }

    pub(crate) fn bytes(&mut self, limit: usize, what: &'static str) -> Result<&'a [u8], CborFault> {
        let length = self.length(BYTES, limit, what)?;
        self.take(length, what)
    }

    pub(crate) fn array32(&mut self, what: &'static str) -> Result<[u8; 32], CborFault> {
        self.bytes(32, what)?.try_into().map_err(|_| CborFault::Malformed(what))
    }

    pub(crate) fn text(&mut self, limit: usize, what: &'static str) -> Result<&'a str, CborFault> {
        let length = self.length(TEXT, limit, what)?;
        std::str::from_utf8(self.take(length, what)?).map_err(|_| CborFault::Malformed(what))
    }

    pub(crate) fn array(&mut self, limit: usize, what: &'static str) -> Result<usize, CborFault> {
        self.length(ARRAY, limit, what)
    }

    pub(crate) fn map(&mut self, limit: usize, what: &'static str) -> Result<usize, CborFault> {
        self.length(MAP, limit, what)
    }

    /// The next key of a map, which must be `key`.
    pub(crate) fn key(&mut self, key: u64, what: &'static str) -> Result<(), CborFault> {
        if self.uint(what)? == key {
            Ok(())
        } else {
            Err(CborFault::NotCanonical(what))
        }
    }

    /// Consumes a null when one is next.
    pub(crate) fn null(&mut self) -> bool {
        match self.rest.split_first() {
            Some((&NULL, rest)) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn end(self, what: &'static str) -> Result<(), CborFault> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(CborFault::Malformed(what))
        }
    }
}
