//! Multipart forms: what is read and written again as RFC 7578 has it is read the same.
//!
//! The first line is the media type's parameters, the rest the body.

use super::form::read;

const BOUNDARY: &str = "a boundary that no mutation comes upon 0123456789";

pub fn run(bytes: &[u8]) {
    let cut = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (parameters, body) = (&bytes[..cut], bytes.get(cut + 1..).unwrap_or_default());
    let Some(Ok(pairs)) = read(&[b"multipart/form-data;", parameters].concat(), body) else { return };
    assert!(pairs.len() <= 256, "{}", pairs.len());
    if pairs.iter().any(|(name, value)| name.contains(['\r', '\n', '%', '\\']) || value.contains(BOUNDARY)) {
        return;
    }
    let part = |(name, value): &(String, String)| {
        let name = name.replace('"', "%22");
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let again = format!("{}--{BOUNDARY}--", pairs.iter().map(part).collect::<String>());
    let media_type = format!("multipart/form-data; boundary=\"{BOUNDARY}\"");
    assert_eq!(read(media_type.as_bytes(), again.as_bytes()), Some(Ok(pairs)));
}
