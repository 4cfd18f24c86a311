//! Every way in which an operation can fail, in the domain's words. What a client is told of it, and with which status, is
//! each dialect's own affair: each has one exhaustive match over this.

use std::time::Duration;

use crate::auth::accounts::identity::{BadEmail, BadUsername};
use crate::auth::passwords::{Busy, Weak};
use crate::auth::tokens::verify::VerifyError;
use crate::store;

/// Why an operation did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Nothing says who is asking.
    #[error("no credentials")]
    NoCredentials,
    /// A token or API key was handed in that is not good.
    #[error("bad credentials: {0}")]
    BadCredentials(VerifyError),
    /// No such user, or not with that password. Which of the two is not told.
    #[error("wrong name or password")]
    WrongPassword,
    /// The right password of a user that may not sign in.
    #[error("the user is disabled")]
    Disabled,
    /// The right password or code of a user who has a second factor, and it was not given.
    #[error("the second factor is due")]
    SecondFactorDue,
    /// A second factor that is not right, or was used before.
    #[error("wrong second factor")]
    WrongSecondFactor,
    /// A second factor was given for a user who has none.
    #[error("the user has no second factor")]
    NoSecondFactor,
    /// A second factor cannot be turned on: wrong password or code, or nothing is pending.
    #[error("the second factor was not turned on")]
    SecondFactorNotOn,
    /// A second factor cannot be turned off: wrong password.
    #[error("the second factor was not turned off")]
    SecondFactorNotOff,
    /// It is on already.
    #[error("the second factor is on already")]
    SecondFactorAlreadyOn,
    /// It is off already.
    #[error("the second factor is off already")]
    SecondFactorAlreadyOff,
    /// The user's address must be confirmed first.
    #[error("the address is not confirmed")]
    Unverified,
    /// A mailed code that is wrong, used or over.
    #[error("the code is not in force")]
    CodeNotInForce,
    /// The halves of a magic link that do not belong together, are used or over.
    #[error("the magic link is not in force")]
    MagicNotInForce,
    /// What should allow a new password does not: wrong, used or over.
    #[error("the reset is not in force")]
    ResetNotInForce,
    /// What should confirm an address does not: wrong, over, or the address is another by now.
    #[error("the confirmation is not in force")]
    ConfirmationNotInForce,
    /// The one whose password it is must give it to change this, and did not.
    #[error("the present password is wrong or missing")]
    WrongCurrentPassword,
    /// Only operators make accounts here.
    #[error("registration is closed")]
    RegistrationClosed,
    /// Not a project of the one who asks.
    #[error("not a project of the caller's")]
    OtherProject,
    /// Superusers do not delete themselves: there would be nobody left to make another.
    #[error("a superuser may not delete itself")]
    SuperuserStays,
    /// A balance would sink below zero, or rise above what can be counted.
    #[error("the balance would be out of range")]
    BalanceOutOfRange,
    /// The mail could not be handed over.
    #[error("the mail was not handed over")]
    MailNotHandedOver,
    /// A refresh token that is not in force: garbage, ended, expired.
    #[error("the refresh token is not in force")]
    RefreshNotInForce,
    /// A refresh token that was rotated before came back; its session is over.
    #[error("a rotated refresh token came back")]
    RefreshReused,
    /// The one who asks may not do this.
    #[error("not permitted")]
    NotPermitted,
    /// What was asked for is not there.
    #[error("not there")]
    NotFound,
    /// Another user has that address.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// Another user has that name.
    #[error("the username is taken")]
    UsernameTaken,
    /// Not an address that mail can go to.
    #[error("not an e-mail address: {0}")]
    BadEmail(BadEmail),
    /// Not a name that we accept.
    #[error("not a username: {0}")]
    BadUsername(BadUsername),
    /// Not a password that we accept.
    #[error("not an acceptable password: {0}")]
    WeakPassword(Weak),
    /// Too many tries.
    #[error("too many tries")]
    TooMany {
        /// When one more will be allowed.
        retry_after: Duration,
    },
    /// More passwords are waiting to be hashed than can be in time.
    #[error("too many passwords are waiting to be hashed")]
    Busy,
    /// This node may be behind with revocations and is set not to answer then.
    #[error("revocations may be out of date")]
    Behind,
    /// A store does not answer.
    #[error(transparent)]
    Unavailable(#[from] store::Error),
    /// Something that no input explains.
    #[error("internal: {0}")]
    Internal(&'static str),
}

impl From<Busy> for Error {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

impl From<VerifyError> for Error {
    fn from(reason: VerifyError) -> Self {
        match reason {
            VerifyError::Behind => Self::Behind,
            reason => Self::BadCredentials(reason),
        }
    }
}

impl From<BadEmail> for Error {
    fn from(bad: BadEmail) -> Self {
        Self::BadEmail(bad)
    }
}

impl From<BadUsername> for Error {
    fn from(bad: BadUsername) -> Self {
        Self::BadUsername(bad)
    }
}

impl From<Weak> for Error {
    fn from(weak: Weak) -> Self {
        Self::WeakPassword(weak)
    }
}
