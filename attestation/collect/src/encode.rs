//! The sized structures (TPM2B) that others send us.
//!
//! Refuses sizes that do not match their content. Invariant: nothing here panics on any bytes.

use crate::error::TpmError;

/// Takes the two-byte size off a TPM2B structure; the rest must have exactly that size.
pub(crate) fn tpm2b_content(name: &'static str, bytes: &[u8]) -> Result<Vec<u8>, TpmError> {
    let wrong = |detail: String| TpmError::Argument { name, detail };
    let Some((size, rest)) = bytes.split_first_chunk::<2>() else {
        return Err(wrong(format!("{} bytes", bytes.len())));
    };
    if usize::from(u16::from_be_bytes(*size)) != rest.len() {
        return Err(wrong(format!(
            "says {} bytes, has {}",
            u16::from_be_bytes(*size),
            rest.len()
        )));
    }
    Ok(rest.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_lies_is_refused() {
        assert_eq!(tpm2b_content("x", &[0, 2, 7, 8]).unwrap(), [7, 8]);
        for bytes in [&[][..], &[0], &[0, 1], &[0, 3, 1, 2], &[0, 1, 1, 2]] {
            assert!(tpm2b_content("x", bytes).is_err(), "{bytes:?}");
        }
    }
}
