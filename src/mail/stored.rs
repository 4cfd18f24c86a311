//! Reads the mails in the outbox, for administrators. Understands what `message` writes; of other files it shows what it
//! can. Knows nothing of who may read them.

use std::io::{self, ErrorKind, Read};
use std::path::Path;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::PAD;
use time::PrimitiveDateTime;

use super::outbox::{STAMP, split_stamp};
use crate::clock::Timestamp;

/// The most bytes that are read of a file for its header. Ours are shorter than 1 KiB.
const MAX_HEADER: u64 = 8 * 1024;

/// The largest letter that is read, in bytes. Ours are shorter than 32 KiB, and templates may be longer.
const MAX_LETTER: u64 = 1024 * 1024;

const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, PAD);

/// A mail in the outbox, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMail {
    /// The name of its file.
    pub name: String,
    /// When it was written.
    pub written_at: Timestamp,
    /// The recipient.
    pub to: String,
    /// The subject. It may contain a code.
    pub subject: String,
}

/// A mail in the outbox. Contains codes and links, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredLetter {
    /// Its header.
    pub mail: StoredMail,
    /// The sender.
    pub from: String,
    /// The plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

pub(super) fn list(folder: &Path, before: Option<&str>, limit: usize) -> io::Result<Vec<StoredMail>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        // Created with the first mail.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        if written_at(&name).is_some() && before.is_none_or(|before| name.as_str() < before) {
            names.push(name);
        }
    }
    // Names begin with the time.
    names.sort_unstable_by(|one, other| other.cmp(one));
    let mut mails = Vec::new();
    for name in names.into_iter().take(limit) {
        if let Some((mail, _)) = read_file(folder, name, MAX_HEADER)? {
            mails.push(mail);
        }
    }
    Ok(mails)
}

pub(super) fn read(folder: &Path, name: &str) -> io::Result<Option<StoredLetter>> {
    let Some((mail, text)) = read_file(folder, name.to_owned(), MAX_LETTER)? else { return Ok(None) };
    let (header, body) = split_header(&text);
    let from = decode_words(field(header, "from").unwrap_or_default().as_str());
    let kind = field(header, "content-type").unwrap_or_default();
    let boundary = kind.split_once("boundary=").map(|(_, value)| value.trim_matches('"'));
    let mut letter = StoredLetter { mail, from, text: String::new(), html: String::new() };
    let Some(boundary) = boundary.filter(|boundary| !boundary.is_empty()) else {
        letter.text = decode_body(header, body);
        return Ok(Some(letter));
    };
    for part in body.split(&format!("--{boundary}\r\n")).skip(1) {
        // The line break before a boundary belongs to it (RFC 2046, 5.1.1).
        let end = part.rfind(&format!("\r\n--{boundary}--")).unwrap_or(part.len());
        let part = part.get(..end).unwrap_or(part);
        let (header, body) = split_header(part.strip_suffix("\r\n").unwrap_or(part));
        let is_html = field(header, "content-type").unwrap_or_default().starts_with("text/html");
        let place = if is_html { &mut letter.html } else { &mut letter.text };
        *place = decode_body(header, body);
    }
    Ok(Some(letter))
}

/// The header of a mail, and its first `limit` bytes. `None` if there is no such mail: names of other forms, which could
/// lead out of the folder, are not looked for.
fn read_file(folder: &Path, name: String, limit: u64) -> io::Result<Option<(StoredMail, String)>> {
    let Some(written_at) = written_at(&name) else { return Ok(None) };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(folder.join(&name));
    match file.and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
        Ok(_) => {}
        // Removed since it was listed.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (header, _) = split_header(&text);
    let decoded = |name| decode_words(field(header, name).unwrap_or_default().as_str());
    let mail = StoredMail { to: decoded("to"), subject: decoded("subject"), name, written_at };
    Ok(Some((mail, text)))
}

/// When the mail of this name was written. `None` if it is not the name of a mail.
fn written_at(name: &str) -> Option<Timestamp> {
    let (stamp, rest) = split_stamp(name.strip_suffix(".eml")?)?;
    let is_plain = rest.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let moment = PrimitiveDateTime::parse(stamp, STAMP).ok().filter(|_| is_plain)?.assume_utc();
    Some(Timestamp::from_millis(i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok()?))
}

fn split_header(text: &str) -> (&str, &str) {
    text.split_once("\r\n\r\n").unwrap_or((text, ""))
}

/// The value of a field, unfolded (RFC 5322, 2.2.3).
fn field(header: &str, name: &str) -> Option<String> {
    let mut lines = header.lines();
    let first = lines.find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })?;
    let folded = lines.take_while(|line| line.starts_with([' ', '\t']));
    Some(folded.fold(first, |value, line| format!("{value} {}", line.trim())))
}

/// Decodes the encoded words of a field (RFC 2047) in base64, which are the ones that we write.
fn decode_words(value: &str) -> String {
    let (mut text, mut after_encoded) = (String::new(), false);
    for word in value.split(' ') {
        let encoded = word.get(..10).filter(|start| start.eq_ignore_ascii_case("=?utf-8?b?"));
        let decoded = encoded.and_then(|_| BASE64.decode(word.get(10..)?.strip_suffix("?=")?).ok());
        // The space between two encoded words is no part of the text.
        if !(text.is_empty() || after_encoded && decoded.is_some()) {
            text.push(' ');
        }
        after_encoded = decoded.is_some();
        match decoded {
            Some(bytes) => text.push_str(&String::from_utf8_lossy(&bytes)),
            None => text.push_str(word),
        }
    }
    text
}

fn decode_body(header: &str, body: &str) -> String {
    let encoding = field(header, "content-transfer-encoding").unwrap_or_default().to_ascii_lowercase();
    let text = match encoding.as_str() {
        "quoted-printable" => decode_quoted_printable(body),
        "base64" => {
            let bytes = BASE64.decode(body.split_ascii_whitespace().collect::<String>());
            String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
        }
        _ => body.to_owned(),
    };
    text.replace("\r\n", "\n")
}

/// Decodes quoted-printable (RFC 2045, 6.7).
fn decode_quoted_printable(body: &str) -> String {
    let body = body.replace("=\r\n", "");
    let mut bytes = Vec::with_capacity(body.len());
    let mut rest = body.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'=').and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_mails_are_read() {
        assert_eq!(
            written_at("20261121T040000.250Z-000003-9f3a11c0.eml"),
            Some(Timestamp::from_millis(1_795_233_600_250))
        );
        for name in [
            "20261121T040000.250Z-../../x.eml",
            "20261121T040000.250Z-000003-9f3a11c0",
            ".20261121T040000.250Z-000003-9f3a11c0",
            "../outbox/20261121T040000.250Z-000003-9f3a11c0.eml",
            "20261321T040000.250Z-000003-9f3a11c0.eml",
            "note.eml",
            "",
        ] {
            assert_eq!(written_at(name), None, "{name}");
        }
    }

    #[test]
    fn encoded_words_and_bodies_are_decoded() {
        assert_eq!(decode_words("=?utf-8?b?w4Q=?= =?utf-8?b?w5Y=?= and =?utf-8?q?x?="), "ÄÖ and =?utf-8?q?x?=");
        assert_eq!(decode_words("031415 is your code"), "031415 is your code");
        assert_eq!(decode_quoted_printable("=E6=82=A8a=3Db=\r\nc=\u{e9}=4"), "您a=bc=\u{e9}=4");
        let header = "Subject: a\r\n b\r\nTo: c";
        assert_eq!((field(header, "subject").as_deref(), field(header, "TO").as_deref()), (Some("a b"), Some("c")));
        assert_eq!(field(header, "from"), None);
    }
}
