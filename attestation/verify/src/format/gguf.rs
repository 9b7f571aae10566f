//! GGUF headers: metadata and the list of tensors.
//!
//! Refuses other versions than 2 and 3, big-endian files, counts and lengths that the file cannot hold, tensors that
//! overlap or reach past its end. Source: the GGUF specification of the ggml project (`docs/gguf.md`).

use std::collections::{BTreeMap, BTreeSet};

use super::{Fault, ModelHeader, WeightsFormat, dominant, ggml};

/// Most metadata entries (bounds the loop); real files have some dozens.
const MAX_ENTRIES: u64 = 65_536;
/// Most tensors (bounds the loop); the largest mixtures of experts have some thousands.
const MAX_TENSORS: u64 = 65_536;
/// Longest key (specification: 2^16 - 1).
const MAX_KEY: u64 = 65_535;
/// Longest string value; chat templates reach 100 KiB.
const MAX_STRING: u64 = 4 * 1024 * 1024;
/// Longest tensor name; the specification says 64, some converters write more.
const MAX_TENSOR_NAME: u64 = 256;
/// Most dimensions of a tensor (GGML_MAX_DIMS).
const MAX_DIMENSIONS: u32 = 4;
/// Deepest nesting of arrays that is followed; loaders take one level.
const MAX_DEPTH: u8 = 2;
/// Largest alignment of the tensor data.
const MAX_ALIGNMENT: u64 = 1024 * 1024;

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    length: u64,
}

/// A metadata value, as far as it is of interest.
enum Value {
    Text(String),
    Number(u64),
    Other,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], Fault> {
        let at = u64::try_from(self.at).map_err(|_| Fault::Short)?;
        let end = at.checked_add(count).ok_or_else(|| Fault::bad("a length overflows"))?;
        if end > self.length {
            return Err(Fault::bad("a length reaches past the end of the file"));
        }
        let end = usize::try_from(end).map_err(|_| Fault::Short)?;
        let slice = self.bytes.get(self.at..end).ok_or(Fault::Short)?;
        self.at = end;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let count = u64::try_from(N).map_err(|_| Fault::Short)?;
        self.take(count)?.try_into().map_err(|_| Fault::Short)
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self, limit: u64) -> Result<String, Fault> {
        let length = self.u64()?;
        if length > limit {
            return Err(Fault::bad(format!("a text of {length} bytes")));
        }
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    /// A value of the given type. Types by number: 0 u8, 1 i8, 2 u16, 3 i16, 4 u32, 5 i32, 6 f32, 7 bool, 8 string, 9 array,
    /// 10 u64, 11 i64, 12 f64.
    fn value(&mut self, kind: u32, depth: u8) -> Result<Value, Fault> {
        Ok(match kind {
            0 | 1 => self.take(1).map(|_| Value::Other)?,
            7 => match self.array::<1>()? {
                [0 | 1] => Value::Other,
                _ => return Err(Fault::bad("a boolean that is neither 0 nor 1")),
            },
            2 | 3 => self.take(2).map(|_| Value::Other)?,
            4 => Value::Number(u64::from(self.u32()?)),
            5 | 6 => self.take(4).map(|_| Value::Other)?,
            8 => Value::Text(self.text(MAX_STRING)?),
            9 => {
                self.list(depth)?;
                Value::Other
            }
            10 => Value::Number(self.u64()?),
            11 | 12 => self.take(8).map(|_| Value::Other)?,
            other => return Err(Fault::bad(format!("metadata of the type {other}"))),
        })
    }

    fn list(&mut self, depth: u8) -> Result<(), Fault> {
        if depth >= MAX_DEPTH {
            return Err(Fault::bad("lists in lists in lists"));
        }
        let kind = self.u32()?;
        let count = self.u64()?;
        let size: Option<u64> = match kind {
            0 | 1 | 7 => Some(1),
            2 | 3 => Some(2),
            4..=6 => Some(4),
            10..=12 => Some(8),
            _ => None,
        };
        if let Some(size) = size {
            let bytes = count
                .checked_mul(size)
                .ok_or_else(|| Fault::bad(format!("a list of {count} elements")))?;
            self.take(bytes)?;
            return Ok(());
        }
        // Strings and lists take at least eight bytes each.
        if count.checked_mul(8).is_none_or(|bytes| bytes > self.length) {
            return Err(Fault::bad(format!("a list of {count} elements")));
        }
        for _ in 0..count {
            self.value(kind, depth.saturating_add(1))?;
        }
        Ok(())
    }
}

pub(super) fn header(prefix: &[u8], length: u64) -> Result<ModelHeader, Fault> {
    let mut reader = Reader {
        bytes: prefix,
        at: 0,
        length,
    };
    if reader.take(4)? != b"GGUF" {
        return Err(Fault::bad("it does not begin as GGUF"));
    }
    match reader.u32()? {
        2 | 3 => {}
        0x0200_0000 | 0x0300_0000 => return Err(Fault::bad("it is GGUF of the other byte order")),
        other => return Err(Fault::bad(format!("it is GGUF version {other}"))),
    }
    let tensors = reader.u64()?;
    let entries = reader.u64()?;
    if tensors > MAX_TENSORS || entries > MAX_ENTRIES {
        return Err(Fault::bad(format!("{tensors} tensors, {entries} metadata entries")));
    }
    let (texts, numbers) = metadata(&mut reader, entries)?;
    let alignment = numbers.get("general.alignment").copied().unwrap_or(32);
    if !alignment.is_power_of_two() || alignment > MAX_ALIGNMENT {
        return Err(Fault::bad(format!("an alignment of {alignment}")));
    }
    let (parameters, types, extents) = tensor_list(&mut reader, tensors, alignment)?;
    check_extents(&reader, alignment, extents)?;
    let architecture = texts.get("general.architecture").cloned();
    let context = architecture
        .as_ref()
        .and_then(|name| numbers.get(&format!("{name}.context_length")).copied());
    Ok(ModelHeader {
        format: WeightsFormat::Gguf,
        name: texts.get("general.name").cloned(),
        licence: texts.get("general.license").cloned(),
        chat_template: texts.contains_key("tokenizer.chat_template"),
        architecture,
        parameters,
        quantisation: dominant(&types),
        context_length: context,
        tensors,
    })
}

type Metadata = (BTreeMap<String, String>, BTreeMap<String, u64>);

fn metadata(reader: &mut Reader<'_>, entries: u64) -> Result<Metadata, Fault> {
    let mut seen = BTreeSet::new();
    let (mut texts, mut numbers) = (BTreeMap::new(), BTreeMap::new());
    for _ in 0..entries {
        let key = reader.text(MAX_KEY)?;
        let kind = reader.u32()?;
        let value = reader.value(kind, 0)?;
        if !seen.insert(key.clone()) {
            return Err(Fault::bad(format!("the key `{key}` twice")));
        }
        match value {
            Value::Text(text) => drop(texts.insert(key, text)),
            Value::Number(number) => drop(numbers.insert(key, number)),
            Value::Other => {}
        }
    }
    Ok((texts, numbers))
}

/// Offset and length of each tensor's data.
type Extents = Vec<(u64, u64)>;

fn tensor_list(
    reader: &mut Reader<'_>,
    tensors: u64,
    alignment: u64,
) -> Result<(u64, BTreeMap<&'static str, u64>, Extents), Fault> {
    let mut names = BTreeSet::new();
    let mut types = BTreeMap::new();
    let mut extents = Vec::new();
    let mut parameters = 0_u64;
    for _ in 0..tensors {
        let name = reader.text(MAX_TENSOR_NAME)?;
        let dimensions = reader.u32()?;
        if dimensions == 0 || dimensions > MAX_DIMENSIONS {
            return Err(Fault::bad(format!("a tensor of {dimensions} dimensions")));
        }
        let too_large = || Fault::bad("a tensor whose size overflows");
        let mut elements = 1_u64;
        let mut row = None;
        for _ in 0..dimensions {
            let size = reader.u64()?;
            row = row.or(Some(size));
            elements = elements.checked_mul(size).ok_or_else(too_large)?;
        }
        let number = reader.u32()?;
        let kind = ggml::tensor_type(number).ok_or_else(|| Fault::bad(format!("a tensor of the type {number}")))?;
        let offset = reader.u64()?;
        if row.is_some_and(|row| row.checked_rem(kind.block) != Some(0)) {
            return Err(Fault::bad("a tensor whose rows do not fill their blocks"));
        }
        if offset.checked_rem(alignment) != Some(0) {
            return Err(Fault::bad("a tensor that is not aligned"));
        }
        let blocks = elements.checked_div(kind.block).ok_or_else(too_large)?;
        let bytes = blocks.checked_mul(kind.bytes).ok_or_else(too_large)?;
        parameters = parameters.checked_add(elements).ok_or_else(too_large)?;
        if !names.insert(name) {
            return Err(Fault::bad("two tensors of one name"));
        }
        let count = types.entry(kind.name).or_insert(0_u64);
        *count = count.saturating_add(elements);
        extents.push((offset, bytes));
    }
    Ok((parameters, types, extents))
}

fn check_extents(reader: &Reader<'_>, alignment: u64, mut extents: Extents) -> Result<(), Fault> {
    let header = u64::try_from(reader.at).map_err(|_| Fault::Short)?;
    let start = header
        .checked_next_multiple_of(alignment)
        .ok_or_else(|| Fault::bad("the header's length overflows"))?;
    extents.sort_unstable();
    let mut last = 0_u64;
    for (offset, bytes) in extents {
        if offset < last {
            return Err(Fault::bad("tensors that overlap"));
        }
        last = offset
            .checked_add(bytes)
            .ok_or_else(|| Fault::bad("a tensor whose place overflows"))?;
    }
    if last > 0 && start.checked_add(last).is_none_or(|end| end > reader.length) {
        return Err(Fault::bad("tensors that reach past the end of the file"));
    }
    Ok(())
}
