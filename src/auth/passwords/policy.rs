//! The policy for new passwords: a minimum and maximum length, at least one visible character, and none of the most
//! common passwords.
//!
//! There are no rules about digits and capitals, because they make passwords worse (NIST SP 800-63B, 5.1.1.2). Knows
//! nothing of hashes.

use super::Password;
use crate::auth::invisible::is_displayed_as_nothing;
use crate::config;

/// The 10,000 most common passwords (SecLists, `10-million-password-list-top-10000`, MIT: see `common.LICENSE`): in
/// lower case, without duplicates, sorted by bytes, one per line. It is searched in the program's image, so it costs
/// neither memory nor time at the start.
static COMMON: &str = include_str!("common.txt");

/// The requirements for a new password. They do not apply to a password that is checked against a stored hash.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Minimum number of characters.
    pub min_length: usize,
    /// Maximum number of characters.
    pub max_length: usize,
    /// Refuses the most common passwords.
    pub refuse_common: bool,
}

/// Why the policy refuses a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyViolation {
    /// Too few characters.
    #[error("the password has fewer than {min} characters")]
    TooShort {
        /// The minimum.
        min: usize,
    },
    /// Too many characters. The password is refused rather than truncated: a truncated one is weaker than its owner
    /// believes.
    #[error("the password has more than {max} characters")]
    TooLong {
        /// The maximum.
        max: usize,
    },
    /// Only spaces and invisible characters.
    #[error("the password is blank")]
    Blank,
    /// One of the most common passwords.
    #[error("the password is one of the most common ones")]
    Common,
}

impl From<&config::Passwords> for Policy {
    fn from(settings: &config::Passwords) -> Self {
        Self { min_length: settings.min_length, max_length: settings.max_length, refuse_common: true }
    }
}

impl Policy {
    /// The policy for passwords that are set through a dialect.
    pub fn for_dialect(dialect: &config::Dialect, settings: &config::Passwords) -> Self {
        Self {
            min_length: dialect.min_password_length,
            max_length: settings.max_length,
            refuse_common: dialect.refuse_common_passwords,
        }
    }

    /// Checks a new password. Characters are Unicode scalar values, as NIST SP 800-63B counts them.
    pub fn check(&self, password: &Password) -> Result<(), PolicyViolation> {
        let length = password.reveal().chars().count();
        if length < self.min_length {
            Err(PolicyViolation::TooShort { min: self.min_length })
        } else if length > self.max_length {
            Err(PolicyViolation::TooLong { max: self.max_length })
        } else if password.reveal().chars().all(is_invisible) {
            Err(PolicyViolation::Blank)
        } else if self.refuse_common && is_common(password.reveal()) {
            Err(PolicyViolation::Common)
        } else {
            Ok(())
        }
    }
}

/// Returns true for white space, control characters and characters that are displayed as nothing. They are allowed in a
/// password, but a password of nothing else is guessed by its length.
fn is_invisible(char: char) -> bool {
    char.is_whitespace() || char.is_control() || is_displayed_as_nothing(char)
}

/// Returns true if a password is on the list, ignoring case: guessing programs try `Password1` right after `password1`.
fn is_common(password: &str) -> bool {
    let lowercase = Password::new(password.to_ascii_lowercase());
    let lowercase = lowercase.reveal().as_bytes();
    let (mut low, mut high) = (0, COMMON.len());
    // `low` and `high` are always at the beginning of a line, so each step compares the whole line around the middle.
    while low < high {
        let middle = low + (high - low) / 2;
        let begin = COMMON[..middle].rfind('\n').map_or(0, |newline| newline + 1);
        let end = COMMON[middle..].find('\n').map_or(COMMON.len(), |newline| middle + newline);
        match COMMON.as_bytes()[begin..end].cmp(lowercase) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = end + 1,
            std::cmp::Ordering::Greater => high = begin,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { min_length: 8, max_length: 128, refuse_common: true };

    fn check(text: &str) -> Result<(), PolicyViolation> {
        POLICY.check(&Password::new(text.to_owned()))
    }

    #[test]
    fn exactly_the_listed_passwords_are_common() {
        let lines: Vec<&str> = COMMON.lines().collect();
        assert!(lines.len() > 9_900 && lines.is_sorted() && COMMON.is_ascii());
        for line in &lines {
            assert!(is_common(line), "{line}");
            assert!(is_common(&line.to_ascii_uppercase()), "{line}");
            let longer = format!("{line}\u{1}");
            assert!(!is_common(&longer), "{longer}");
        }
        for absent in
            ["", "\u{0}", "correct horse battery", "~~~~~~~~~~~~~~~~~", "pässword", "password\n", "1234\n12345"]
        {
            assert!(!is_common(absent), "{absent:?}");
        }
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert_eq!(check("1234567"), Err(PolicyViolation::TooShort { min: 8 }));
        assert_eq!(check("пароль№7"), Ok(()));
        assert_eq!(check("🦀🦀🦀🦀🦀🦀🦀"), Err(PolicyViolation::TooShort { min: 8 }));
        assert_eq!(check(&"ж".repeat(128)), Ok(()));
        assert_eq!(check(&"ж".repeat(129)), Err(PolicyViolation::TooLong { max: 128 }));
    }

    #[test]
    fn blank_passwords_are_refused_whatever_is_configured() {
        let lax = Policy { min_length: 6, refuse_common: false, ..POLICY };
        for blank in
            [" ", "\t", "\u{a0}", "\u{3000}", "\u{200b}", "\u{feff}", "\u{3164}", "\u{0}", "\u{e0041}", "\u{2800}"]
        {
            let password = Password::new(blank.repeat(8));
            assert_eq!(lax.check(&password), Err(PolicyViolation::Blank), "{blank:?}");
            assert_eq!(check(&format!("{}x", blank.repeat(8))), Ok(()), "{blank:?} and a letter");
        }
        assert_eq!(check(" \u{200b}\t \u{feff}\u{3000}  "), Err(PolicyViolation::Blank));
        assert_eq!(check("       "), Err(PolicyViolation::TooShort { min: 8 }));
    }

    #[test]
    fn common_passwords_are_refused_if_configured() {
        for common in ["password", "PassWord", "12345678", "iloveyou1", "qwertyuiop"] {
            assert_eq!(check(common), Err(PolicyViolation::Common), "{common}");
        }
        let lax = Policy { min_length: 6, refuse_common: false, ..POLICY };
        assert_eq!(lax.check(&Password::new("123456".to_owned())), Ok(()));
    }
}
