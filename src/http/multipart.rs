//! `multipart/form-data` (RFC 7578): returns the text fields and skips files.
//!
//! The body is whole and its size limited, so parsing is slicing bytes. Knows nothing of what the fields mean.

use memchr::memmem;

use super::form_fields::{FormFields, InvalidFields, MAX_FIELDS};
use super::rejection::Rejection;

/// Maximum length (RFC 2046, 5.1.1).
const MAX_BOUNDARY_LENGTH: usize = 70;
/// The most bytes of one part's header block. Clients send `Content-Disposition` and `Content-Type`, and the name of a
/// field is short.
const MAX_PART_HEAD: usize = 4 * 1024;

/// The `boundary` parameter of a `Content-Type`.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    let value = parameter(content_type, "boundary")?;
    (!value.is_empty() && value.len() <= MAX_BOUNDARY_LENGTH).then_some(value)
}

/// Parses the text fields of a body.
pub(super) fn parse(body: &[u8], boundary: &str) -> Result<FormFields, Rejection> {
    let malformed = |detail: &str, at: usize| Rejection::malformed(format!("multipart: {detail}"), at);
    let delimiter = format!("\r\n--{boundary}");
    let finder = memmem::Finder::new(delimiter.as_bytes());
    let mut fields = Vec::new();
    // The first delimiter is at the start of the body, or after a preamble, which is ignored.
    let mut at = match body.strip_prefix(&delimiter.as_bytes()[2..]) {
        Some(_) => delimiter.len() - 2,
        None => finder.find(body).ok_or_else(|| malformed("no boundary", 0))? + delimiter.len(),
    };
    // Files are skipped, but they count: a body that consists of boundaries has thousands of parts.
    for _ in 0..=MAX_FIELDS {
        let rest = &body[at..];
        if rest.starts_with(b"--") {
            return Ok(FormFields::from_multipart(fields));
        }
        let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        // The line break after the delimiter is also the start of the header block: a part may have no header fields.
        let part =
            rest[padding..].strip_prefix(b"\r\n").ok_or_else(|| malformed("no line break after a boundary", at))?;
        let begin = body.len() - part.len();
        let (head, content) = match part.strip_prefix(b"\r\n") {
            Some(content) => (&b""[..], content),
            None => {
                let longest = &part[..part.len().min(MAX_PART_HEAD + 4)];
                let end = memmem::find(longest, b"\r\n\r\n");
                let end = end.ok_or_else(|| malformed("a part without content, or with a long head", begin))?;
                (&part[..end], &part[end + 4..])
            }
        };
        // The line break that ends the header block may also be that of the next delimiter.
        let content_at = body.len() - content.len();
        let search_from = content_at - 2;
        let end =
            search_from + finder.find(&body[search_from..]).ok_or_else(|| malformed("no last boundary", content_at))?;
        if let Some(name) = text_field(head).map_err(|detail| malformed(detail, begin))? {
            let value = body.get(content_at..end).unwrap_or_default();
            let value = std::str::from_utf8(value).map_err(|_| malformed("a field is not UTF-8", content_at))?;
            fields.push((name, value.to_owned()));
        }
        at = end + delimiter.len();
    }
    Err(InvalidFields::TooMany.in_body())
}

/// The field name of a part with these header fields; `None` for a file.
fn text_field(head: &[u8]) -> Result<Option<String>, &'static str> {
    let head = std::str::from_utf8(head).map_err(|_| "a header field is not UTF-8")?;
    let disposition = head
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"))
        .map(|(_, value)| value)
        .ok_or("a part without Content-Disposition")?;
    if !disposition.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("form-data") {
        return Err("a part that is no form-data");
    }
    if parameter(disposition, "filename").is_some() || parameter(disposition, "filename*").is_some() {
        return Ok(None);
    }
    parameter(disposition, "name").map(Some).ok_or("a part without a name")
}

/// A parameter of a header field's value, unquoted. Browsers write `%22`, `%0D` and `%0A` for characters that would end
/// a quoted name (WHATWG HTML, multipart/form-data); other clients escape them with a backslash.
fn parameter(value: &str, name: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        // The text left of `=` includes a preceding parameter without a value.
        let key = key.rsplit(';').next().unwrap_or(key).trim();
        let after = after.trim_start();
        let (found, next) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(found);
        }
        rest = next.trim_start().trim_start_matches(';');
    }
}

fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => {
                let text = text.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n");
                return Some((text, &quoted[at + 1..]));
            }
            // Only `"` and `\` are escaped: some clients send Windows paths with plain backslashes.
            '\\' if quoted[at + 1..].starts_with(['"', '\\']) => text.push(chars.next()?.1),
            other => text.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_result(body: &str) -> Result<FormFields, Rejection> {
        parse(body.as_bytes(), "XX")
    }

    fn parse_fields(body: &str) -> Vec<(String, String)> {
        let fields = parse(body.as_bytes(), "XX").unwrap();
        fields.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn text_fields_are_returned_and_files_skipped() {
        let body = "preamble\r\n--XX\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nzoë\r\n\
            --XX  \r\ncontent-type: text/plain\r\ncontent-disposition: Form-Data;name=password\r\n\r\nline\r\nline\r\n\
            --XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n\u{0}\r\n\
            --XX\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--XX--\r\nepilogue";
        let expected = [pair("username", "zoë"), pair("password", "line\r\nline"), pair("empty", "")];
        assert_eq!(parse_fields(body), expected);
        assert_eq!(parse_fields("--XX--"), []);
        assert_eq!(
            parse_fields(
                "--XX\r\nContent-Disposition: form-data; filename-x=\"q;name=no\"; name=\"a\\\"b%22c\"\r\n\r\nv\r\n--XX--"
            ),
            [pair("a\"b\"c", "v")]
        );
    }

    #[test]
    fn invalid_multipart_is_malformed() {
        for body in [
            "",
            "--X",
            "--XX",
            "--XX\r\n",
            "--XXy\r\n\r\nv\r\n--XX--",
            "--XX\r\n\r\nno name\r\n--XX--",
            "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nnever ends",
            "--XX\r\nContent-Disposition: form-data; name=\"a\r\n\r\nv\r\n--XX--",
            "--XX\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\nv\r\n--XX--",
            "--XX\r\nContent-Disposition: form-data\r\n\r\nv\r\n--XX--",
        ] {
            assert!(matches!(parse(body.as_bytes(), "XX"), Err(Rejection::MalformedBody { .. })), "{body:?}");
        }
        let many = "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n".repeat(MAX_FIELDS + 1) + "--XX--";
        assert_eq!(parse(many.as_bytes(), "XX"), Err(InvalidFields::TooMany.in_body()));
        let head = |padding: usize| {
            let padding = "x".repeat(padding);
            parse_result(&format!("--XX\r\nContent-Disposition: form-data; name=a; x={padding}\r\n\r\nv\r\n--XX--"))
        };
        assert!(head(MAX_PART_HEAD - 100).is_ok());
        assert!(matches!(head(MAX_PART_HEAD), Err(Rejection::MalformedBody { .. })));
    }

    #[test]
    fn boundary_is_read_from_the_media_type() {
        assert_eq!(boundary("multipart/form-data; boundary=XX").as_deref(), Some("XX"));
        assert_eq!(boundary("multipart/form-data; charset=utf-8; Boundary=\"a b;c\"").as_deref(), Some("a b;c"));
        assert_eq!(boundary("multipart/form-data"), None);
        assert_eq!(boundary("multipart/form-data; boundary="), None);
        assert_eq!(boundary(&format!("multipart/form-data; boundary={}", "x".repeat(71))), None);
    }

    #[test]
    fn truncated_and_mangled_bodies_do_not_panic() {
        let valid = "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nv\r\n--XX--";
        for cut in 0..valid.len() {
            let _ = parse(&valid.as_bytes()[..cut], "XX");
            let mangled: Vec<u8> =
                valid.bytes().enumerate().filter(|(at, _)| *at != cut).map(|(_, byte)| byte).collect();
            let _ = parse(&mangled, "XX");
        }
    }
}
