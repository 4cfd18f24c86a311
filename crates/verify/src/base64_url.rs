//! base64url without padding (RFC 7515, 2), with the vector instructions of this processor if it has them: for payloads,
//! of which that of a frame has kilobytes.

#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
pub(crate) static BASE64_URL: std::sync::LazyLock<base64::engine::Simd> =
    std::sync::LazyLock::new(|| base64::engine::Simd::url_safe(base64::engine::general_purpose::NO_PAD));

#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon"))))]
pub(crate) use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL;

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::BASE64_URL;

    #[test]
    fn vector_instructions_change_no_text() {
        for length in 0..200_u32 {
            let bytes: Vec<u8> = (0..length).map(|number| (number * 37) as u8).collect();
            let text = URL_SAFE_NO_PAD.encode(&bytes);
            assert_eq!(BASE64_URL.encode(&bytes), text);
            assert_eq!(BASE64_URL.decode(&text).unwrap(), bytes);
        }
    }

    #[test]
    fn vector_instructions_refuse_the_same_texts() {
        let text = URL_SAFE_NO_PAD.encode([0xa5; 100]).into_bytes();
        for at in 0..text.len() {
            for byte in 0..=u8::MAX {
                let mut changed = text.clone();
                changed[at] = byte;
                assert_eq!(BASE64_URL.decode(&changed), URL_SAFE_NO_PAD.decode(&changed), "{at} {byte}");
            }
        }
    }
}
