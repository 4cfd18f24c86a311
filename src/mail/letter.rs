//! The letters: one entry each in `letters!`, from which follow the [`Letter`] variant, the file names of its
//! templates and the built-in templates. Knows nothing of how a template is filled or a mail is sent.

use std::fmt;

/// The place of a letter's own value in its text part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// Alone on a line, where people and programs find it. Also required in the HTML part.
    OwnLine,
    /// Anywhere, or nowhere.
    Inline,
}

/// A kind of letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// The stem of its template files.
    pub(super) name: &'static str,
    /// The placeholders that only this kind has.
    pub(super) values: &'static [(&'static str, Placement)],
    /// True if it reports something that has happened, with the time and the device.
    pub(super) is_notice: bool,
}

/// Subject, text, HTML and preheader of a letter.
pub(super) type Sources = [&'static str; 4];

macro_rules! letters {
    ($(
        $(#[$doc:meta])*
        $variant:ident $({ $($(#[$value_doc:meta])* $value:ident: $placement:ident),+ })? => $name:literal $($notice:ident)?,
    )+) => {
        /// The content of a mail.
        #[derive(Clone, PartialEq, Eq)]
        pub enum Letter {
            $($(#[$doc])* $variant $({ $($(#[$value_doc])* $value: String),+ })?,)+
        }

        /// Every kind of letter.
        pub(super) const KINDS: &[Kind] = &[$(letters!(@kind $name [$($notice)?] $(, $($value, $placement),+)?)),+];

        /// The built-in languages with a template set for each of [`KINDS`]. English is first: it replaces what other
        /// languages lack.
        pub(super) const BUILT_IN: [(&str, &[Sources]); 2] = [
            ("en", &[$(letters!(@sources "en", $name)),+]),
            ("zh-TW", &[$(letters!(@sources "zh-TW", $name)),+]),
        ];

        impl Letter {
            /// The kind, which names the templates.
            pub(super) fn kind(&self) -> Kind {
                match self {
                    $(Self::$variant { .. } => letters!(@kind $name [$($notice)?] $(, $($value, $placement),+)?),)+
                }
            }

            /// The values that only this letter has, each with its placeholder.
            pub(super) fn values(&self) -> Vec<(&'static str, &str)> {
                match self {
                    $(Self::$variant $({ $($value),+ })? => vec![$($((stringify!($value), $value.as_str())),+)?],)+
                }
            }
        }
    };
    (@kind $name:literal [$($notice:ident)?] $(, $value:ident, $placement:ident)*) => {
        Kind {
            name: $name,
            values: &[$((stringify!($value), Placement::$placement)),*],
            is_notice: letters!(@is_notice $($notice)?),
        }
    };
    (@is_notice notice) => { true };
    (@is_notice) => { false };
    (@sources $language:literal, $name:literal) => {
        [
            include_str!(concat!("letters/", $language, "/", $name, ".subject")),
            include_str!(concat!("letters/", $language, "/", $name, ".txt")),
            include_str!(concat!("letters/", $language, "/", $name, ".html")),
            include_str!(concat!("letters/", $language, "/", $name, ".preheader")),
        ]
    };
}

letters! {
    /// A code to sign in with.
    SignInCode {
        /// Six digits.
        code: OwnLine
    } => "sign-in-code",
    /// A code that confirms the address.
    ConfirmCode {
        /// Six digits.
        code: OwnLine
    } => "confirm-code",
    /// A link to sign in with.
    MagicLink {
        /// Built from the settings, never from a request.
        link: OwnLine
    } => "magic-link",
    /// A link to choose a new password.
    ResetPassword {
        /// Built from the settings, never from a request.
        link: OwnLine
    } => "reset-password",
    /// A link that confirms the address.
    ConfirmEmail {
        /// Built from the settings, never from a request.
        link: OwnLine
    } => "confirm-email",
    /// Notice to the present address that the account gets another one once that is confirmed. The new address is shown
    /// masked.
    EmailChangeRequested {
        /// The new address, not masked.
        new: Inline
    } => "email-change-requested" notice,
    /// Notice to the old address that the account has a new one. The new address is shown masked.
    EmailChanged {
        /// The new address, not masked.
        new: Inline
    } => "email-changed" notice,
    /// Notice that the password was changed.
    PasswordChanged => "password-changed" notice,
    /// Notice that the second factor was turned on.
    SecondFactorOn => "second-factor-on" notice,
    /// Notice that the second factor was turned off.
    SecondFactorOff => "second-factor-off" notice,
    /// Notice that the recovery codes of the second factor were replaced.
    RecoveryCodesReplaced => "recovery-codes-replaced" notice,
    /// Notice that an API key was created.
    ApiKeyCreated {
        /// The visible beginning of the key. Not its name, which the creator of the key chose.
        prefix: Inline
    } => "api-key-created" notice,
    /// Notice that the account was deleted.
    AccountDeleted => "account-deleted" notice,
    /// Notice that the address was proved for the first time, and what was removed because somebody else may have set
    /// it.
    CredentialsRemoved {
        /// The number of passwords: 0 or 1.
        passwords: Inline,
        /// The number of second factors: 0 or 1.
        second_factors: Inline,
        /// The number of API keys.
        api_keys: Inline
    } => "credentials-removed" notice,
    /// Notice of a sign-in from a network that the user has not signed in from recently.
    NewSignIn => "new-sign-in" notice,
    /// Sent by an administrator, to see that mails arrive.
    Test => "test" notice,
}

/// Shows the kind only: codes and links are credentials, and addresses are private.
impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().name)
    }
}

#[cfg(test)]
mod tests {
    use super::KINDS;

    #[test]
    fn settings_name_every_letter_and_its_values() {
        let settings = include_str!("../../config.toml");
        let words: Vec<&str> = settings.split([' ', ',', '.', '\n', '{', '}']).collect();
        for kind in KINDS {
            assert!(words.contains(&kind.name), "{}", kind.name);
            for (value, _) in kind.values {
                assert!(settings.contains(&format!("{{{{{value}}}}}")), "{}: {value}", kind.name);
            }
        }
    }
}
