//! Safetensors headers: a length, a JSON object, then the tensors' bytes without gaps.
//!
//! Refuses duplicate keys, unknown element types, shapes that do not fit their bytes, gaps, overlaps and bytes left over.
//! Source: the format's own description (header of at most 100 MB, offsets relative to the end of the header).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Fault, MAX_HEADER, ModelHeader, WeightsFormat, dominant};
use crate::json;

/// Most dimensions (bounds the product's loop).
const MAX_DIMENSIONS: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TensorJson {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

fn element(dtype: &str) -> Option<(&'static str, u64)> {
    Some(match dtype {
        "BOOL" => ("BOOL", 1),
        "U8" => ("U8", 1),
        "I8" => ("I8", 1),
        "F8_E4M3" => ("F8_E4M3", 1),
        "F8_E5M2" => ("F8_E5M2", 1),
        "I16" => ("I16", 2),
        "U16" => ("U16", 2),
        "F16" => ("F16", 2),
        "BF16" => ("BF16", 2),
        "I32" => ("I32", 4),
        "U32" => ("U32", 4),
        "F32" => ("F32", 4),
        "I64" => ("I64", 8),
        "U64" => ("U64", 8),
        "F64" => ("F64", 8),
        _ => return None,
    })
}

pub(super) fn header(prefix: &[u8], length: u64) -> Result<ModelHeader, Fault> {
    let (size, rest) = prefix.split_first_chunk::<8>().ok_or(Fault::Short)?;
    let size = u64::from_le_bytes(*size);
    let data = length.checked_sub(8).and_then(|rest| rest.checked_sub(size));
    let data = data.ok_or_else(|| Fault::bad(format!("a header of {size} bytes in a file of {length}")))?;
    let size = usize::try_from(size)
        .ok()
        .filter(|size| *size <= MAX_HEADER.saturating_sub(8));
    let size = size.ok_or_else(|| Fault::bad("a header that is too long"))?;
    let text = rest.get(..size).ok_or(Fault::Short)?;
    if text.first() != Some(&b'{') {
        return Err(Fault::bad("it does not begin as safetensors"));
    }
    // The writer pads the header with blanks.
    let Value::Object(entries) = json::parse(text, MAX_HEADER).map_err(|fault| Fault::bad(fault.to_string()))? else {
        return Err(Fault::bad("the header is not an object"));
    };
    let mut types = BTreeMap::new();
    let mut extents = Vec::new();
    let mut parameters = 0_u64;
    for (name, value) in entries {
        if name == "__metadata__" {
            let texts = value
                .as_object()
                .is_some_and(|entries| entries.values().all(Value::is_string));
            if !texts {
                return Err(Fault::bad("metadata that is not text"));
            }
            continue;
        }
        let tensor: TensorJson = serde_json::from_value(value).map_err(|error| Fault::bad(error.to_string()))?;
        let (dtype, bytes) =
            element(&tensor.dtype).ok_or_else(|| Fault::bad(format!("the type `{}`", tensor.dtype)))?;
        let too_large = || Fault::bad("a tensor whose size overflows");
        if tensor.shape.len() > MAX_DIMENSIONS {
            return Err(Fault::bad("a tensor of too many dimensions"));
        }
        let elements = tensor
            .shape
            .iter()
            .try_fold(1_u64, |product, size| product.checked_mul(*size));
        let elements = elements.ok_or_else(too_large)?;
        let (start, end) = tensor.data_offsets;
        if end.checked_sub(start) != Some(elements.checked_mul(bytes).ok_or_else(too_large)?) {
            return Err(Fault::bad("a tensor whose shape does not fit its bytes"));
        }
        parameters = parameters.checked_add(elements).ok_or_else(too_large)?;
        let count = types.entry(dtype).or_insert(0_u64);
        *count = count.saturating_add(elements);
        extents.push((start, end));
    }
    extents.sort_unstable();
    let mut last = 0;
    for (start, end) in &extents {
        if *start != last {
            return Err(Fault::bad("tensors with gaps or overlaps"));
        }
        last = *end;
    }
    if last != data {
        return Err(Fault::bad("bytes that belong to no tensor"));
    }
    Ok(ModelHeader {
        format: WeightsFormat::Safetensors,
        architecture: None,
        name: None,
        licence: None,
        parameters,
        quantisation: dominant(&types),
        context_length: None,
        chat_template: false,
        tensors: u64::try_from(extents.len()).unwrap_or(u64::MAX),
    })
}
