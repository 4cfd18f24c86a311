//! Usernames: shown as their owners write them, unique in one folded form.

use unicode_normalization::UnicodeNormalization;

use super::invisible;

/// A username: as written, and its unique form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    shown: String,
    key: String,
}

/// Why a text is not a username.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsernameError {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// More than 64 characters.
    #[error("it is longer than {} characters", MAX)]
    TooLong,
    /// A control character, a line break, an invisible character, or an `@`, by which addresses are told from names.
    #[error("it has a character that a username cannot have")]
    Character,
}

const MAX: usize = 64;

impl Username {
    /// The username in `text`.
    pub fn parse(text: &str) -> Result<Self, UsernameError> {
        let shown = text.trim().nfc().collect::<String>();
        if shown.is_empty() {
            return Err(UsernameError::Empty);
        }
        if shown.chars().count() > MAX {
            return Err(UsernameError::TooLong);
        }
        // NFKC before and after folding: what looks the same by compatibility is the same name.
        let key = shown.nfkc().flat_map(char::to_lowercase).nfkc().collect::<String>();
        let bad = |c: char| c.is_control() || c == '@' || (c.is_whitespace() && c != ' ') || invisible(c);
        if shown.chars().any(bad) || key.chars().any(bad) {
            return Err(UsernameError::Character);
        }
        Ok(Self { shown, key })
    }

    /// As its owner writes it.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// The form that is unique.
    pub fn key(&self) -> &str {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_the_same_are_the_same() {
        let key = |text: &str| Username::parse(text).unwrap().key;
        assert_eq!(key("JohnDoe"), key(" johndoe "));
        assert_eq!(key("Ｊohn"), key("john"));
        assert_eq!(key("Jos\u{e9}"), key("JOSE\u{301}"));
        assert_eq!(Username::parse(" JohnDoe ").unwrap().as_str(), "JohnDoe");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "  ",
            "a@b",
            "a＠b",
            "a\nb",
            "a\0b",
            "a\u{200b}b",
            "a\u{202e}b",
            "a\u{fe0f}b",
            "a\u{34f}b",
            "a\u{3164}b",
            &"a".repeat(65),
        ] {
            assert!(Username::parse(text).is_err(), "{text:?}");
        }
    }
}
