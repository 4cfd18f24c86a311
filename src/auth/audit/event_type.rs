//! The closed list of security events. `docs/audit.md` describes each, and a test compares the two.
//!
//! To add one, add a line here and to `docs/audit.md`, and record it where it happens with [`super::record`].

use serde::Serialize;

use crate::store::ephemeral::EventClass;

/// How an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was refused.
    Refused,
}

impl Outcome {
    /// The name in events and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
        }
    }
}

macro_rules! event_types {
    ($($(#[doc = $doc:literal])+ $name:ident: $text:literal, $outcome:ident, $class:ident, $message:literal;)*) => {
        /// The type of a security event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EventType {
            $($(#[doc = $doc])+ $name,)*
        }

        impl EventType {
            /// Every type, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name in events: a subject, a dot, and what happened to it. Stays the same between versions.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// How it ended.
            pub const fn outcome(self) -> Outcome {
                match self { $(Self::$name => Outcome::$outcome,)* }
            }

            /// The class of an event of this type that users cause about themselves. `Attempt` for what a stranger can
            /// cause in any number: those events never displace the others. `Privileged` for what only administrators,
            /// operators and the server do.
            pub const fn class(self) -> EventClass {
                match self { $(Self::$name => EventClass::$class,)* }
            }

            /// The message of its line in the log.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)* }
            }
        }
    };
}

impl EventType {
    /// The class of one event. An action is privileged too if somebody else did it to the user concerned, which takes
    /// an administrator or an operator, or if the user concerned is a superuser. Strangers cause none of these, so they
    /// cannot displace them.
    pub(super) const fn class_of(self, is_by_another: bool, is_of_superuser: bool) -> EventClass {
        match self.class() {
            EventClass::Action if is_by_another || is_of_superuser => EventClass::Privileged,
            class => class,
        }
    }
}

event_types! {
    /// A session was opened.
    SignInSucceeded: "sign_in.succeeded", Success, Action, "signed in";
    /// A sign-in was refused.
    SignInRefused: "sign_in.refused", Refused, Attempt, "sign-in failed";
    /// A change needed the current password, a code or a recent sign-in, and the proof was wrong or missing.
    ReauthenticationRefused: "reauthentication.refused", Refused, Attempt, "re-authentication failed";
    /// A refresh token was presented after it had been rotated, so its session was ended.
    RefreshReused: "refresh.reused", Refused, Action, "refresh token reused; session revoked";
    /// A rate limit, or the tries of a day, were used up.
    LimitExceeded: "limit.exceeded", Refused, Attempt, "rate limit exceeded";

    /// Sessions of a user were ended: one, all others, or all.
    SessionsEnded: "sessions.ended", Success, Action, "sessions ended";
    /// An administrator ended all sessions of a user.
    UserSignedOut: "user.signed_out", Success, Privileged, "user signed out by an administrator";
    /// All sessions of all users were ended.
    EveryoneSignedOut: "everyone.signed_out", Success, Privileged, "everyone signed out";
    /// One access token was revoked.
    TokenRevoked: "token.revoked", Success, Action, "access token revoked";

    /// A person created an account.
    UserRegistered: "user.registered", Success, Action, "user registered";
    /// An administrator created a user.
    UserCreated: "user.created", Success, Privileged, "user created";
    /// Users were imported.
    UsersImported: "users.imported", Success, Privileged, "users imported";
    /// All users were exported.
    UsersExported: "users.exported", Success, Privileged, "users exported";
    /// A user's data changed.
    UserUpdated: "user.updated", Success, Action, "user updated";
    /// A user became a superuser.
    SuperuserGranted: "superuser.granted", Success, Privileged, "user made a superuser";
    /// A user is no superuser any more.
    SuperuserRemoved: "superuser.removed", Success, Privileged, "user is no superuser any more";
    /// A user was disabled.
    UserDisabled: "user.disabled", Success, Privileged, "user disabled";
    /// A user was enabled.
    UserEnabled: "user.enabled", Success, Privileged, "user enabled";
    /// A user was deleted.
    UserDeleted: "user.deleted", Success, Action, "user deleted";

    /// A password was changed.
    PasswordChanged: "password.changed", Success, Action, "password changed";
    /// A password reset was requested for a user, and a link was mailed.
    PasswordResetRequested: "password.reset_requested", Success, Attempt, "password reset requested";
    /// A password was set with a mailed link.
    PasswordReset: "password.reset", Success, Action, "password reset";
    /// A user's address changed.
    EmailChanged: "email.changed", Success, Action, "e-mail address changed";
    /// A user's address was verified.
    EmailVerified: "email.verified", Success, Action, "e-mail address verified";
    /// The first proof of an address removed the credentials that were set before it.
    CredentialsRemoved: "credentials.removed", Success, Action,
        "address proved for the first time; earlier credentials removed";

    /// A second factor was turned on.
    MfaEnabled: "mfa.enabled", Success, Action, "second factor turned on";
    /// A second factor was turned off by its owner.
    MfaDisabled: "mfa.disabled", Success, Action, "second factor turned off";
    /// A second factor was turned off for a user who lost it.
    MfaReset: "mfa.reset", Success, Privileged, "second factor turned off by an operator";
    /// A recovery code was used in place of the second factor.
    RecoveryCodeUsed: "mfa.recovery_code_used", Success, Action, "recovery code used";
    /// New recovery codes replaced the old ones.
    RecoveryCodesReplaced: "mfa.recovery_codes_replaced", Success, Action, "recovery codes replaced";

    /// An API key was created.
    ApiKeyCreated: "api_key.created", Success, Action, "API key created";
    /// An API key was deactivated.
    ApiKeyDeactivated: "api_key.deactivated", Success, Action, "API key deactivated";
    /// All API keys of all users were deactivated.
    AllApiKeysDeactivated: "api_key.all_deactivated", Success, Privileged, "all API keys deactivated";

    /// A signing key was generated, and is announced in the JWKS.
    SigningKeyCreated: "signing_key.created", Success, Privileged, "signing key created";
    /// An administrator let the next signing key take over.
    SigningKeyRotated: "signing_key.rotated", Success, Privileged, "signing key rotated";
    /// A signing key was revoked.
    SigningKeyRevoked: "signing_key.revoked", Success, Privileged, "signing key revoked";
    /// A signing key was imported.
    SigningKeyImported: "signing_key.imported", Success, Privileged, "signing key imported";
    /// A private signing key was exported.
    SigningKeyExported: "signing_key.exported", Success, Privileged, "signing key exported";
    /// A signing key left the JWKS, because no token can be valid that it signed.
    SigningKeyRemoved: "signing_key.removed", Success, Privileged, "signing key removed";

    /// An administrator or an operator tried whether mail can be sent.
    MailTested: "mail.tested", Success, Privileged, "mail tested";
    /// An administrator read a letter in the outbox, with its codes and links.
    MailRead: "mail.read", Success, Privileged, "letter in the outbox read";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_of_strangers_are_not_privileged() {
        for event_type in [EventType::SignInSucceeded, EventType::SessionsEnded, EventType::UserRegistered] {
            assert_eq!(event_type.class_of(false, false), EventClass::Action);
            assert_eq!(event_type.class_of(true, false), EventClass::Privileged);
            assert_eq!(event_type.class_of(false, true), EventClass::Privileged);
        }
        assert_eq!(EventType::SignInRefused.class_of(true, true), EventClass::Attempt);
        assert_eq!(EventType::SigningKeyRevoked.class_of(false, false), EventClass::Privileged);
    }
}
