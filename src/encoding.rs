//! Digests and random bytes as text, each form in one place. Knows nothing of what the text is used for.

use std::io::Write;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::GzEncoder;

/// Crockford's base 32 in lower case: no character is mistaken for another, a double click selects the whole text, and
/// each character holds five bits.
const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The first `bytes` bytes of the SHA-256 of `data` as base64url without padding: an identifier derived from content,
/// such as an `ETag` or a `kid`.
pub fn short_sha256(data: &[u8], bytes: usize) -> String {
    let digest = digest(&SHA256, data);
    URL_SAFE_NO_PAD.encode(digest.as_ref().get(..bytes).unwrap_or(digest.as_ref()))
}

/// The SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, data).as_ref());
    bytes
}

/// Compresses for HTTP's `gzip`, fast rather than small: what is compressed here is base64 of random bytes, of which a
/// quarter can be saved at any level.
pub fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(data.len()), Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(data);
    encoder.finish().unwrap_or_default()
}

/// Lower-case hexadecimal. Allocates once, so a secret leaves no copy behind.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// One character of Crockford's base 32 for the low five bits of each byte: uniform if the bytes are random.
pub fn crockford_base32(bytes: &[u8]) -> impl Iterator<Item = char> {
    bytes.iter().map(|byte| char::from(CROCKFORD[usize::from(byte & 31)]))
}

/// Decodes base32 (RFC 4648, 6) in either case. Ignores spaces, hyphens and padding, with which apps show secrets.
pub fn decode_base32(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut bits, mut count) = (0_u16, 0);
    for byte in text.bytes().filter(|byte| !matches!(byte, b' ' | b'-' | b'=')) {
        let value = match byte.to_ascii_uppercase() {
            letter @ b'A'..=b'Z' => letter - b'A',
            digit @ b'2'..=b'7' => digit - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u16::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
        bits &= (1 << count) - 1;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_decoded_as_published() {
        // RFC 4648, 10.
        for (text, expected) in [("", ""), ("MY======", "f"), ("mzxq====", "fo"), ("MZXW6YTBOI", "foobar")] {
            assert_eq!(decode_base32(text), Some(expected.as_bytes().to_vec()), "{text}");
        }
        assert_eq!(decode_base32("mzxw 6ytb-oi"), Some(b"foobar".to_vec()));
        assert_eq!(decode_base32("MZXW0"), None);
    }

    #[test]
    fn digests_are_written_as_published() {
        // FIPS 180-4, the example "abc".
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&sha256(b"abc")), expected);
        assert_eq!(short_sha256(b"abc", 12), "ungWv48Bz-pBQUDe");
    }

    #[test]
    fn base32_uses_five_bits_per_byte() {
        assert_eq!(crockford_base32(&[0, 31, 32, 255]).collect::<String>(), "0z0z");
    }
}
