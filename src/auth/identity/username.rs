//! Usernames: displayed as their owners write them, unique in a case-folded form.

use unicode_normalization::UnicodeNormalization;

use super::is_invisible;

/// A username.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    display: String,
    key: String,
}

/// Why a text is not a valid username.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsernameError {
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It has too many characters.
    #[error("it is longer than {MAX_LENGTH} characters")]
    TooLong,
    /// It contains a control character, a line break, an invisible character, or an `@`, which marks an address.
    #[error("it has a character that a username cannot have")]
    Character,
}

/// The most characters of a username. Access tokens may carry it (`preferred_username`).
const MAX_LENGTH: usize = 64;

/// The longest text that is normalized, in bytes. Normalizing joins at most four characters of at most four bytes to
/// one, so a longer text has more than [`MAX_LENGTH`] characters afterwards. Bounded, because a whole body of combining
/// marks takes milliseconds.
const MAX_UNPARSED: usize = MAX_LENGTH * 4 * 4;

impl Username {
    /// Parses a username.
    pub fn parse(text: &str) -> Result<Self, UsernameError> {
        let text = text.trim();
        if text.len() > MAX_UNPARSED {
            return Err(UsernameError::TooLong);
        }
        let display = text.nfc().collect::<String>();
        if display.is_empty() {
            return Err(UsernameError::Empty);
        }
        if display.chars().count() > MAX_LENGTH {
            return Err(UsernameError::TooLong);
        }
        // NFKC before and after case folding: names that are equal by compatibility are the same name.
        let key = display.nfkc().flat_map(char::to_lowercase).nfkc().collect::<String>();
        let is_forbidden = |c: char| c.is_control() || c == '@' || (c.is_whitespace() && c != ' ') || is_invisible(c);
        if display.chars().any(is_forbidden) || key.chars().any(is_forbidden) {
            return Err(UsernameError::Character);
        }
        Ok(Self { display, key })
    }

    /// The username as its owner writes it.
    pub fn as_str(&self) -> &str {
        &self.display
    }

    /// The unique form.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns true if both are spellings of one name.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.key_of_all_spellings() == other.key_of_all_spellings()
    }

    /// The same for all spellings of the name.
    pub(super) fn key_of_all_spellings(&self) -> String {
        with_medial_sigmas(&self.key)
    }
}

/// The keys of the other spellings of the name with this key. Only names with a sigma have any: the key of `ΝΙΚΟΣ` is
/// `νικοσ`, not `νικος`. One key for both would be another one than existing rows have, and than nodes of earlier
/// versions look for.
pub fn other_keys(key: &str) -> Vec<String> {
    let medial = with_medial_sigmas(key);
    let mut keys = vec![with_final_sigmas(&medial), medial];
    keys.dedup();
    keys.retain(|other| other != key);
    keys
}

fn with_medial_sigmas(key: &str) -> String {
    key.replace('ς', "σ")
}

/// Spells a key as people do: each sigma at the end of a word is a final one.
fn with_final_sigmas(medial: &str) -> String {
    let mut follows_letter = false;
    let mut characters = medial.chars().peekable();
    let mut key = String::with_capacity(medial.len());
    while let Some(character) = characters.next() {
        let ends_word = follows_letter && !characters.peek().is_some_and(|next| next.is_alphabetic());
        key.push(if character == 'σ' && ends_word { 'ς' } else { character });
        follows_letter = character.is_alphabetic();
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_the_same_have_one_key() {
        let key = |text: &str| Username::parse(text).unwrap().key;
        assert_eq!(key("JohnDoe"), key(" johndoe "));
        assert_eq!(key("Ｊohn"), key("john"));
        assert_eq!(key("Jos\u{e9}"), key("JOSE\u{301}"));
        assert_eq!(Username::parse(" JohnDoe ").unwrap().as_str(), "JohnDoe");
    }

    #[test]
    fn names_with_a_sigma_have_other_keys() {
        let others = |text: &str| other_keys(Username::parse(text).unwrap().key());
        assert_eq!(others("ΝΙΚΟΣ Σοφός_1"), ["νικος σοφός_1", "νικοσ σοφόσ_1"]);
        assert_eq!(others("Νίκος"), ["νίκοσ"]);
        assert_eq!(others("νςκοσ"), ["νσκος", "νσκοσ"]);
        for text in ["JohnDoe", "Σ", "Σοφία"] {
            assert!(others(text).is_empty(), "{text}");
        }
        let is_same = |one, other| Username::parse(one).unwrap().is_same_as(&Username::parse(other).unwrap());
        assert!(is_same("ΝΙΚΟΣ", "νικος") && is_same("ZOE", "zoe") && !is_same("νικος", "νικο"));
    }

    #[test]
    fn long_texts_are_refused_before_they_are_normalized() {
        let name = |character: &str, count: usize| Username::parse(&character.repeat(count)).map(|name| name.display);
        // Each group of four characters is one after normalizing.
        assert_eq!(name("\u{3b1}\u{313}\u{300}\u{345}", MAX_LENGTH), Ok("\u{1f82}".repeat(MAX_LENGTH)));
        assert_eq!(name("\u{3b1}\u{313}\u{300}\u{345}", MAX_LENGTH + 1), Err(UsernameError::TooLong));
        assert_eq!(name("\u{301}", 30_000), Err(UsernameError::TooLong));
    }

    #[test]
    fn invalid_usernames_are_refused() {
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
            "a\u{2028}b",
            "a\u{2800}b",
            "a\u{e000}b",
            "a\u{fff9}b",
            "a\u{1bca0}b",
            "a\u{1d173}b",
            &"a".repeat(65),
        ] {
            assert!(Username::parse(text).is_err(), "{text:?}");
        }
    }
}
