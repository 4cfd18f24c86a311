//! E-mail addresses in canonical form: trimmed, NFC, lower-cased, the domain by IDNA.
//!
//! The local part is the dot-string of RFC 5321 with the letters of RFC 6531. Quoted strings, comments and address
//! literals are legal elsewhere, but no real mailbox uses them and they invite confusion, so they are refused.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use super::is_invisible;

/// An address in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

/// Why a text is not an address that mail can be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It does not have exactly one `@` between two parts.
    #[error("it must have exactly one @ between two parts")]
    NoAt,
    /// The part before the `@` has a forbidden character or a misplaced dot.
    #[error("the part before the @ is not valid")]
    Local,
    /// The part after the `@` is not a domain name.
    #[error("the part after the @ is not a domain name")]
    Domain,
    /// It is longer than an address can be (RFC 5321, 4.5.3.1).
    #[error("it is too long")]
    TooLong,
}

/// The longest address, in bytes (RFC 5321, 4.5.3.1).
pub const MAX_EMAIL: usize = 254;

/// The longest text that is parsed, in bytes: a few times an address, because normalizing shortens some texts.
/// Normalizing takes longer than reading, so it must not be given whole bodies.
const MAX_UNPARSED: usize = 1024;

/// The most characters of a domain, as a domain in ASCII has at most 253 (RFC 1035, 2.3.4). Encoding a label by
/// Punycode takes time that grows with the square of its length.
const MAX_DOMAIN: usize = 253;

impl Email {
    /// Parses an address and converts it to canonical form.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim_matches(|c: char| c == ' ' || c == '\t');
        if text.is_empty() {
            return Err(EmailError::Empty);
        }
        if text.len() > MAX_UNPARSED {
            return Err(EmailError::TooLong);
        }
        let text = text.nfc().collect::<String>();
        let (local, domain) = text.split_once('@').ok_or(EmailError::NoAt)?;
        if local.is_empty() || domain.is_empty() || domain.contains('@') {
            return Err(EmailError::NoAt);
        }
        let local = canonical_local(local)?;
        let domain = canonical_domain(domain)?;
        if local.len() > 64 || local.len() + 1 + domain.len() > MAX_EMAIL {
            return Err(EmailError::TooLong);
        }
        Ok(Self(format!("{local}@{domain}")))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn canonical_local(local: &str) -> Result<String, EmailError> {
    let lower = local.to_lowercase().nfc().collect::<String>();
    let is_allowed = |c: char| match c {
        'a'..='z' | '0'..='9' => true,
        // RFC 5322, 3.2.3: atext.
        '!' | '#' | '$' | '%' | '&' | '\'' | '*' | '+' | '-' | '/' | '=' | '?' | '^' | '_' | '`' | '{' | '|' | '}'
        | '~' => true,
        // Refused: invisible characters, and characters that NFKC maps to ASCII, such as look-alikes of `@` and of the
        // dot, because they are used for impersonation.
        c if c.is_ascii() || c.is_control() || c.is_whitespace() || is_invisible(c) => false,
        c => std::iter::once(c).nfkc().all(|c| !c.is_ascii()),
    };
    let is_valid = lower.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_allowed));
    if is_valid { Ok(lower) } else { Err(EmailError::Local) }
}

fn canonical_domain(domain: &str) -> Result<String, EmailError> {
    if domain.chars().count() > MAX_DOMAIN {
        return Err(EmailError::TooLong);
    }
    // UTS 46 maps full-width letters and the ideographic full stop. A character that it maps to `@` is refused as
    // forbidden.
    let ascii = idna::domain_to_ascii_strict(domain).map_err(|_| EmailError::Domain)?;
    let labels = ascii.split('.').collect::<Vec<_>>();
    let top = labels.last().copied().unwrap_or_default();
    let is_domain =
        labels.len() > 1 && labels.iter().all(|label| !label.is_empty()) && !top.bytes().all(|b| b.is_ascii_digit());
    if is_domain { Ok(ascii) } else { Err(EmailError::Domain) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_an_address_have_one_canonical_form() {
        for text in ["a.b+c@example.org", " A.B+C@EXAMPLE.ORG ", "a.b+c@ｅxample.org", "a.b+c@example。org"] {
            assert_eq!(Email::parse(text).map(|email| email.0), Ok("a.b+c@example.org".to_owned()), "{text}");
        }
        assert_eq!(Email::parse("jo\u{65}\u{301}@bücher.example"), Email::parse("JO\u{c9}@xn--bcher-kva.example"));
    }

    #[test]
    fn invalid_addresses_are_refused() {
        let long = format!("{}@example.org", "a".repeat(65));
        let longer = format!("a@{}.org", "a.".repeat(130));
        for text in [
            "",
            " ",
            "@",
            "a@",
            "@example.org",
            "a@b@example.org",
            "a@localhost",
            "a@example..org",
            "a@.org",
            "a@example.",
            ".a@example.org",
            "a.@example.org",
            "a..b@example.org",
            "a b@example.org",
            "a\r\nbcc:x@example.org",
            "a@example.org\r\nbcc: x@y.z",
            "a\0@example.org",
            "a\u{81}@example.org",
            "a＠example.org",
            "a﹫example.org",
            "a@b＠example.org",
            "\"a b\"@example.org",
            "a(c)@example.org",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a@exa_mple.org",
            "a@-x.org",
            "a\u{200b}@example.org",
            "a\u{202e}@example.org",
            "ａ@example.org",
            "a․b@example.org",
            "<a@example.org>",
            &long,
            &longer,
        ] {
            assert!(Email::parse(text).is_err(), "{text:?} → {:?}", Email::parse(text));
        }
    }

    #[test]
    fn long_texts_are_refused_before_they_are_normalized() {
        let combining = format!("a{}@example.org", "\u{301}\u{323}".repeat(15_000));
        let label = (0..300).map(|at| char::from_u32(0x4e00 + at).unwrap()).collect::<String>();
        for text in [combining, format!("a@{label}.org"), format!("a@{}org", "é.".repeat(20_000))] {
            assert_eq!(Email::parse(&text), Err(EmailError::TooLong), "{text:.40}");
        }
    }

    #[test]
    fn canonical_form_is_stable() {
        for text in ["a@example.org", "İ@example.org", "ẞ@bücher.example", "δοκιμή@παράδειγμα.δοκιμή", "用户@例子.广告"]
        {
            let once = Email::parse(text).unwrap();
            assert_eq!(Email::parse(once.as_str()), Ok(once));
        }
    }
}
