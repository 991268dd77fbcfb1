//! Base62 with the digits `0-9A-Za-z`, most significant first.

/// The digits in order of value.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Marks a byte that is no digit in [`VALUES`].
const NONE: u8 = 0xFF;

/// The value of each byte as a digit, or [`NONE`].
static VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut i = 0;
    while i < DIGITS.len() {
        values[DIGITS[i] as usize] = i as u8;
        i += 1;
    }
    values
};

/// Whether every byte is a base62 digit, which is what ASCII calls alphanumeric.
pub(crate) fn is_base62(bytes: &[u8]) -> bool {
    // No early exit: so the compiler looks at many bytes at once.
    bytes
        .iter()
        .fold(true, |all, b| all & b.is_ascii_alphanumeric())
}

/// Reads a number of at most 10 digits; `None` where a byte is no digit.
///
/// 62^10 is below 2^60, so ten digits never overflow.
pub(crate) fn decode(digits: &[u8]) -> Option<u64> {
    debug_assert!(digits.len() <= 10);
    let mut value = 0_u64;
    let mut seen = 0_u8;
    for &b in digits {
        let digit = VALUES[usize::from(b)];
        seen |= digit & 0x80;
        value = value.wrapping_mul(62).wrapping_add(u64::from(digit));
    }
    (seen == 0).then_some(value)
}

/// Writes `value` into all of `out`, padded on the left with `0`; digits that
/// do not fit are cut off.
pub(crate) fn encode(mut value: u64, out: &mut [u8]) {
    for place in out.iter_mut().rev() {
        *place = DIGITS[(value % 62) as usize];
        value /= 62;
    }
}

/// Maps one random byte to a digit without bias, or rejects it.
pub(crate) fn digit_from_random(byte: u8) -> Option<u8> {
    // 248 = 4 * 62: the largest multiple of 62 that a byte holds.
    (byte < 248).then(|| DIGITS[usize::from(byte % 62)])
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn digits_are_in_ascii_order() {
        assert!(DIGITS.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn encode_pads_and_decode_reads_back() {
        let mut out = [0; 6];
        encode(0, &mut out);
        assert_eq!(&out, b"000000");
        encode(u64::from(u32::MAX), &mut out);
        assert_eq!(&out, b"4gfFC3");
        assert_eq!(decode(&out), Some(u64::from(u32::MAX)));
        let mut ten = [0; 10];
        encode(62_u64.pow(10) - 1, &mut ten);
        assert_eq!(&ten, b"zzzzzzzzzz");
        assert_eq!(decode(&ten), Some(62_u64.pow(10) - 1));
    }

    #[test]
    fn what_is_no_digit_is_refused() {
        for bad in [b"00000-", b"0000 0", b"0000\xe90"] {
            assert_eq!(decode(bad), None);
            assert!(!is_base62(bad));
        }
        for byte in 0..=255 {
            assert_eq!(is_base62(&[byte]), DIGITS.contains(&byte));
        }
    }

    #[test]
    fn random_bytes_map_evenly() {
        let mut counts = [0; 256];
        for byte in 0..=255 {
            if let Some(digit) = digit_from_random(byte) {
                counts[usize::from(digit)] += 1;
            }
        }
        assert!(DIGITS.iter().all(|&d| counts[usize::from(d)] == 4));
    }
}
