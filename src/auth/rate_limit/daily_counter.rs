//! The counters of the wrong attempts of a day. Knows nothing of how they are stored.

/// The counters of wrong attempts that a person has, each with its own budget a day. They differ in who can attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth) enum DailyCounter {
    /// Mailed codes: anyone who knows the address.
    Code,
    /// Mailed links: a reader of the mail.
    Link,
    /// Second factors: someone who knows the password.
    SecondFactor,
}

impl DailyCounter {
    /// The name in the keys of the store and in the log.
    pub(in crate::auth) fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Link => "link",
            Self::SecondFactor => "factor",
        }
    }
}
