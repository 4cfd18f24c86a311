//! E-mail addresses in canonical form: trimmed, NFC, lower-cased, the domain by IDNA.
//!
//! The local part is RFC 5321's dot-string with the letters of RFC 6531; quoted strings, comments and address literals are
//! legal elsewhere but reach no mailbox that people have, and invite confusion, so they are refused.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use super::invisible;

/// An address in its one form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

/// Why a text is not an address that mail can go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// Not exactly one `@` between two parts.
    #[error("it must have exactly one @ between two parts")]
    NoAt,
    /// The part before the `@` has a character or a dot where none may be.
    #[error("the part before the @ is not valid")]
    Local,
    /// The part after the `@` is no domain name.
    #[error("the part after the @ is not a domain name")]
    Domain,
    /// Longer than any address (RFC 5321, 4.5.3.1).
    #[error("it is too long")]
    TooLong,
}

impl Email {
    /// The one form of `text`.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim_matches(|c: char| c == ' ' || c == '\t');
        if text.is_empty() {
            return Err(EmailError::Empty);
        }
        if text.len() > 1024 {
            return Err(EmailError::TooLong);
        }
        let text = text.nfc().collect::<String>();
        let (local, domain) = text.split_once('@').ok_or(EmailError::NoAt)?;
        if local.is_empty() || domain.is_empty() || domain.contains('@') {
            return Err(EmailError::NoAt);
        }
        let local = canonical_local(local)?;
        let domain = canonical_domain(domain)?;
        if local.len() > 64 || local.len() + 1 + domain.len() > 254 {
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
    let letter = |c: char| match c {
        'a'..='z' | '0'..='9' => true,
        // RFC 5322, 3.2.3: atext.
        '!' | '#' | '$' | '%' | '&' | '\'' | '*' | '+' | '-' | '/' | '=' | '?' | '^' | '_' | '`' | '{' | '|' | '}'
        | '~' => true,
        // What compatibility turns into ASCII, a look-alike of `@` or of a dot among it, is somebody's trick; what shows as
        // nothing is another.
        c if c.is_ascii() || c.is_control() || c.is_whitespace() || invisible(c) => false,
        c => std::iter::once(c).nfkc().all(|c| !c.is_ascii()),
    };
    let atoms = lower.split('.').all(|atom| !atom.is_empty() && atom.chars().all(letter));
    if atoms { Ok(lower) } else { Err(EmailError::Local) }
}

fn canonical_domain(domain: &str) -> Result<String, EmailError> {
    // UTS 46 maps full-width letters and the ideographic full stop; an `@` it would map to is refused as a forbidden character.
    let ascii = idna::domain_to_ascii_strict(domain).map_err(|_| EmailError::Domain)?;
    let labels = ascii.split('.').collect::<Vec<_>>();
    let top = labels.last().copied().unwrap_or_default();
    let named =
        labels.len() > 1 && labels.iter().all(|label| !label.is_empty()) && !top.bytes().all(|b| b.is_ascii_digit());
    if named { Ok(ascii) } else { Err(EmailError::Domain) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_address_have_one_form() {
        for text in ["a.b+c@example.org", " A.B+C@EXAMPLE.ORG ", "a.b+c@ｅxample.org", "a.b+c@example。org"] {
            assert_eq!(Email::parse(text).map(|email| email.0), Ok("a.b+c@example.org".to_owned()), "{text}");
        }
        assert_eq!(Email::parse("jo\u{65}\u{301}@bücher.example"), Email::parse("JO\u{c9}@xn--bcher-kva.example"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
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
    fn the_one_form_is_its_own_form() {
        for text in ["a@example.org", "İ@example.org", "ẞ@bücher.example", "δοκιμή@παράδειγμα.δοκιμή", "用户@例子.广告"]
        {
            let once = Email::parse(text).unwrap();
            assert_eq!(Email::parse(once.as_str()), Ok(once));
        }
    }
}
