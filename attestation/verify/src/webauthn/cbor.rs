//! CBOR as authenticators write it (CTAP 2.1, section 8): one item at a time, into a tree.
//!
//! Refuses indefinite lengths, tags, floats, and trees that are deeper or larger than any authenticator's. Invariant: reading
//! ends after at most [`MOST`] items, whatever the bytes say. Evidence has a stricter reader of its own: there one value must
//! have one form, here the bytes are signed as they are.

/// Deepest nesting: CTAP allows four levels.
const DEEPEST: u8 = 6;
/// Most items of one tree: an attestation with a chain of certificates has some dozens; bounds memory.
const MOST: usize = 256;

/// One item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Integer(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    Array(Vec<Self>),
    Map(Vec<(Self, Self)>),
    /// True, false or null.
    Simple,
}

impl<'a> Item<'a> {
    /// The value under an integer key.
    pub(super) fn at(&self, key: i64) -> Option<&Self> {
        self.find(&Item::Integer(key))
    }

    /// The value under a text key.
    pub(super) fn named(&self, key: &'a str) -> Option<&Self> {
        self.find(&Item::Text(key))
    }

    fn find(&self, key: &Item<'_>) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// Reads one item; what follows it is the second value. `None` for anything that is refused.
pub(super) fn read(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let mut reader = Reader {
        rest: bytes,
        left: MOST,
    };
    let item = reader.item(DEEPEST)?;
    Some((item, reader.rest))
}

struct Reader<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(head)
    }

    fn item(&mut self, depth: u8) -> Option<Item<'a>> {
        self.left = self.left.checked_sub(1)?;
        let depth = depth.checked_sub(1)?;
        let first = *self.take(1)?.first()?;
        let number = match first & 0x1f {
            small @ 0..=23 => u64::from(small),
            wide @ 24..=27 => {
                let count = 1_usize << (wide - 24);
                self.take(count)?.iter().fold(0_u64, |n, b| (n << 8) | u64::from(*b))
            }
            _ => return None,
        };
        let length = || usize::try_from(number).ok();
        Some(match first >> 5 {
            0 => Item::Integer(i64::try_from(number).ok()?),
            1 => Item::Integer((-1_i64).checked_sub(i64::try_from(number).ok()?)?),
            2 => Item::Bytes(self.take(length()?)?),
            3 => Item::Text(std::str::from_utf8(self.take(length()?)?).ok()?),
            4 => {
                let mut items = Vec::new();
                for _ in 0..number {
                    items.push(self.item(depth)?);
                }
                Item::Array(items)
            }
            5 => {
                let mut entries: Vec<(Item<'a>, Item<'a>)> = Vec::new();
                for _ in 0..number {
                    let key = self.item(depth)?;
                    // Two values under one key: two readers would see two items.
                    if entries.iter().any(|(known, _)| *known == key) {
                        return None;
                    }
                    entries.push((key, self.item(depth)?));
                }
                Item::Map(entries)
            }
            7 if matches!(first, 0xf4..=0xf6) => Item::Simple,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_and_what_follows_is_left() {
        let bytes = [0xa2, 0x01, 0x02, 0x20, 0x42, 7, 8, 0xff];
        let (item, rest) = read(&bytes).unwrap();
        assert_eq!(item.at(1).and_then(Item::integer), Some(2));
        assert_eq!(item.at(-1).and_then(Item::bytes), Some(&[7, 8][..]));
        assert_eq!(rest, &[0xff]);
    }

    #[test]
    fn bombs_and_doubles_are_refused() {
        // An array of 2^32 items, one of arrays in arrays, one key twice, a text that ends too early.
        assert_eq!(read(&[0x9a, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(read(&[0x81; 20]), None);
        assert_eq!(read(&[0xa2, 1, 1, 1, 2]), None);
        assert_eq!(read(&[0x63, b'a']), None);
        assert_eq!(read(&[0x9f, 0xff]), None);
        let mut many = vec![0x99, 0x04, 0x00];
        many.extend([0; 1024]);
        assert_eq!(read(&many), None);
    }
}
