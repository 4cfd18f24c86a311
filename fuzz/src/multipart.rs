//! Multipart forms: parsing, encoding by RFC 7578 and parsing again gives the same fields.
//!
//! The first line of the input is the parameters of the media type, the rest is the body.

use super::form::parse;

const BOUNDARY: &str = "a boundary that no mutation produces 0123456789";

pub fn run(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (parameters, body) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let Some(Ok(pairs)) = parse(&[b"multipart/form-data;", parameters].concat(), body) else { return };
    assert!(pairs.len() <= 256, "{}", pairs.len());
    if pairs.iter().any(|(name, value)| name.contains(['\r', '\n', '%', '\\']) || value.contains(BOUNDARY)) {
        return;
    }
    let part = |(name, value): &(String, String)| {
        let name = name.replace('"', "%22");
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let encoded = format!("{}--{BOUNDARY}--", pairs.iter().map(part).collect::<String>());
    let media_type = format!("multipart/form-data; boundary=\"{BOUNDARY}\"");
    assert_eq!(parse(media_type.as_bytes(), encoded.as_bytes()), Some(Ok(pairs)));
}
