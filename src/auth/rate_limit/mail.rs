//! The limits of mails: by requester and in total, and for notices to addresses that are not verified.

use std::time::Duration;

use super::{LimitedAction, check, check_client, check_network, exceeded, limit, skip, take_of_network};
use crate::auth::Error;
use crate::auth::audit::Origin;
use crate::auth::context::Context;
use crate::auth::request_context::{Client, RequestContext};
use crate::id::UserId;
use crate::store::ephemeral::{RequesterAllowance, RequesterPermit};

/// The purpose of a mail. Each kind has separate budgets, so that requests for one kind do not use up those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailKind {
    /// A code that signs in.
    SignInCode,
    /// A magic link.
    MagicLink,
    /// A link that resets the password.
    PasswordReset,
    /// A code that verifies an address.
    EmailCode,
    /// A link that verifies an address.
    EmailLink,
    /// A test.
    Test,
}

impl MailKind {
    fn name(self) -> &'static str {
        match self {
            Self::SignInCode => "code",
            Self::MagicLink => "magic",
            Self::PasswordReset => "reset",
            Self::EmailCode => "confirm-code",
            Self::EmailLink => "confirm",
            Self::Test => "test",
        }
    }
}

/// The decision about one mail of a requester that is within its own limits.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct MailPermit {
    kind: MailKind,
    /// The time until the total allows one more, if it is exceeded.
    total_exceeded: Option<Duration>,
}

impl MailPermit {
    /// True if the mail may be sent. Over the total it may only if `owner`, the user with the address, signed in from
    /// the requester's network. The response must not depend on the result.
    pub async fn may_send(
        self,
        ctx: &Context,
        owner: Option<UserId>,
        request_ctx: RequestContext<'_>,
    ) -> Result<bool, Error> {
        let Some(retry_after) = self.total_exceeded else { return Ok(true) };
        let action = LimitedAction::MailTotal;
        if let Some(owner) = owner {
            let name = format!("{}:{}", action.key(), self.kind.name());
            if take_of_network(ctx, owner, &name, ctx.node.config.limits[action], request_ctx.client()).await? {
                return Ok(true);
            }
        }
        _ = exceeded(ctx, action, retry_after, owner, Origin::request(request_ctx));
        Ok(false)
    }

    /// Refuses the request if the mail may not be sent: for callers to whom the response may reveal that.
    pub async fn require(
        self,
        ctx: &Context,
        owner: Option<UserId>,
        request_ctx: RequestContext<'_>,
    ) -> Result<(), Error> {
        match self.total_exceeded {
            Some(retry_after) if !self.may_send(ctx, owner, request_ctx).await? => {
                Err(Error::RateLimited { retry_after })
            }
            _ => Ok(()),
        }
    }
}

/// Counts one mail, against the client that requests it and the person it goes to. `subject`: from
/// [`crate::auth::one_time::subject`], whether an account has the address or not.
pub async fn check_mail(
    ctx: &Context,
    kind: MailKind,
    subject: &str,
    request_ctx: RequestContext<'_>,
) -> Result<MailPermit, Error> {
    check_client(ctx, LimitedAction::MailClient, request_ctx).await?;
    check_mail_to(ctx, kind, subject, request_ctx).await
}

/// Counts the mail of a sign-up against the person it goes to. [`LimitedAction::SignUpClient`] limits the client, but a
/// client that creates and deletes the account of an address could send it any number of mails. Returns true if the
/// mail may be sent. It may also be sent if the store is unavailable, because no account can be deleted then.
pub async fn check_sign_up_mail(ctx: &Context, subject: &str, request_ctx: RequestContext<'_>) -> bool {
    let checked = async {
        let permit = check_mail_to(ctx, MailKind::EmailLink, subject, request_ctx).await?;
        permit.may_send(ctx, None, request_ctx).await
    };
    match checked.await {
        Ok(may_send) => may_send,
        Err(Error::Unavailable(_)) => {
            skip(ctx, LimitedAction::MailAccount);
            true
        }
        Err(_) => false,
    }
}

async fn check_mail_to(
    ctx: &Context,
    kind: MailKind,
    subject: &str,
    request_ctx: RequestContext<'_>,
) -> Result<MailPermit, Error> {
    let limits = &ctx.node.config.limits;
    if !limits.enabled {
        return Ok(MailPermit { kind, total_exceeded: None });
    }
    let action = LimitedAction::MailAccount;
    // Without the requester's site, because the total bounds what all requesters cause.
    let permit = RequesterPermit {
        key: &format!("{}:{}:{subject}", action.key(), kind.name()),
        requester: &request_ctx.rate_limit_ip.to_string(),
        by_requester: limit(limits[action]),
        total: limit(limits[LimitedAction::MailTotal]),
    };
    match ctx.ephemeral.take_requester_permit(permit, ctx.now()).await? {
        RequesterAllowance::Allowed => Ok(MailPermit { kind, total_exceeded: None }),
        RequesterAllowance::TotalLimited { retry_after } => Ok(MailPermit { kind, total_exceeded: Some(retry_after) }),
        RequesterAllowance::Limited { retry_after } => {
            Err(exceeded(ctx, action, retry_after, None, Origin::request(request_ctx)))
        }
    }
}

/// Counts one notice to an address that is not verified, against the client whose request caused it, and against the
/// person it goes to. Anyone can have many accounts, and sign up with many addresses of other people. `client`: `None`
/// if an administrator or an operator caused it. `subject`: as for [`check_mail`].
///
/// Both have counters of their own, so that notices do not use up the mails that people request.
pub async fn check_notice(ctx: &Context, user: UserId, client: Option<Client>, subject: &str) -> Result<(), Error> {
    if let Some(client) = client {
        // Before the person's, so that a client that is over its limit does not use up that of others.
        let origin = || Origin::client(client);
        check_network(ctx, LimitedAction::MailClient, "notice:", client.rate_limit_ip, origin).await?;
    }
    check(ctx, LimitedAction::MailTotal, &format!("notice:{subject}"), Some(user), Origin::process).await
}
