//! Signing in by a magic link: a token is mailed, a device secret stays with the device that requested the link, and a
//! sign-in needs both, once. Neither a reader of the mail, nor an observer of the device, nor a scanner that follows
//! links gets in.
//!
//! Requesting a link does not reveal whether an account exists, as in [`crate::auth::passwords::request_reset`]. The
//! account for a new address is therefore created when the link is redeemed, not when it is requested, so that nobody
//! can fill the store with other people's addresses. Redeeming proves that the address's mail is read, so the new
//! account is verified.

use serde::{Deserialize, Serialize};

use super::login_step::{LoginStep, start_login, start_login_with};
use super::open_session::authorize_login;
use super::record_refusal;
use crate::auth::accounts::address_owner::{VoidProof, prove_owner};
use crate::auth::accounts::credential_epoch::CredentialEpoch;
use crate::auth::action_token::LinkTokenFormat;
use crate::auth::audit::SignInMethod;
use crate::auth::context::Context;
use crate::auth::error::LinkKind;
use crate::auth::identity::Email;
use crate::auth::one_time::{self, CheckedSecret, Owner, SecretKey, SecretKind, subject, subject_of};
use crate::auth::rate_limit::{LimitedAction, MailKind};
use crate::auth::request_context::RequestContext;
use crate::auth::sessions::tokens::TokenPair;
use crate::auth::timing::respond_on_step;
use crate::auth::{Error, action_token, mailing, rate_limit};
use crate::id::{TokenId, UserId};
use crate::mail::Letter;
use crate::store::accounts::{Find, User};
use crate::token::action::ActionKind;

/// Claims of the mailed token.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LinkClaims {
    /// The user who had the address when the link was requested, and the row's `sessions_valid_after`: a later change
    /// of the password voids the link.
    User { user: UserId, valid_after: i64 },
    /// No account had the address. Signs in the user who has it when the link is redeemed, unless that user's sign-ins
    /// were revoked since, or a new user.
    Address(String),
}

/// Mails a link if the account is enabled, or if there is none and registration is open. Returns a device secret in any
/// case.
pub async fn request_link(
    ctx: &Context,
    email: &str,
    format: LinkTokenFormat,
    request_ctx: RequestContext<'_>,
) -> Result<String, Error> {
    let email = Email::parse(email)?;
    respond_on_step(create_and_send(ctx, &email, format, request_ctx)).await
}

async fn create_and_send(
    ctx: &Context,
    email: &Email,
    format: LinkTokenFormat,
    request_ctx: RequestContext<'_>,
) -> Result<String, Error> {
    let subject = subject(email);
    let permit = rate_limit::check_mail(ctx, MailKind::MagicLink, &subject, request_ctx).await?;
    let user = ctx.accounts.user(Find::Email(email.as_str())).await?;
    if !permit.may_send(ctx, user.as_ref().map(|user| user.id), request_ctx).await? {
        return Ok(one_time::generate_device_secret(ctx));
    }
    let may_sign_in = user.as_ref().map_or(ctx.node.config.accounts.open_registration, |user| !user.disabled);
    let claims = match &user {
        Some(user) => LinkClaims::User { user: user.id, valid_after: user.sessions_valid_after.millis() },
        None => LinkClaims::Address(email.as_str().to_owned()),
    };
    let lifetime = ctx.node.config.mailed.magic;
    let token = action_token::create_for_link(ctx, format, ActionKind::MagicLink, claims, false, lifetime).await?;
    let device_secret = one_time::generate_device_secret(ctx);
    let id = token.id.to_string();
    let key = SecretKey { kind: SecretKind::MagicLink, subject: &subject, id: &id };
    one_time::store(ctx, key, &device_secret, Vec::new(), token.expires_at).await?;
    if may_sign_in {
        let link = mailing::link_with_token(&ctx.node.config.mailed.magic_url, &token.text);
        let letter = Letter::MagicLink { link };
        mailing::queue_mail(ctx, email.as_str(), letter, token.expires_at, request_ctx.language);
    }
    Ok(device_secret)
}

/// Consumes the link and signs in, or issues an MFA token if the user has a second factor.
pub async fn redeem(
    ctx: &Context,
    token: &str,
    device_secret: &str,
    request_ctx: RequestContext<'_>,
) -> Result<LoginStep, Error> {
    let link = Link::verify(ctx, token, request_ctx).await?;
    if let Some(user) = link.verified_user() {
        let secret = link.check(ctx, device_secret).await?;
        return start_login_with(ctx, user, SignInMethod::MagicLink, Some(secret), request_ctx).await;
    }
    let user = link.redeem_for_owner(ctx, device_secret).await?;
    start_login(ctx, &user, SignInMethod::MagicLink, request_ctx).await
}

/// Like [`redeem`], in one request. If the code of the second factor is missing or wrong, the link is not consumed. The
/// first sign-in to an account whose address was not verified needs no second factor: it removes the one that somebody
/// else may have set (`crate::auth::email_proof`).
pub async fn redeem_with_code(
    ctx: &Context,
    token: &str,
    device_secret: &str,
    mfa_code: Option<&str>,
    request_ctx: RequestContext<'_>,
) -> Result<TokenPair, Error> {
    let link = Link::verify(ctx, token, request_ctx).await?;
    if let Some(user) = link.verified_user() {
        let secret = link.check(ctx, device_secret).await?;
        let login = authorize_login(ctx, user, mfa_code, METHOD, request_ctx).await?;
        return login.with_secret(Some(secret)).open(ctx, request_ctx).await;
    }
    let user = link.redeem_for_owner(ctx, device_secret).await?;
    authorize_login(ctx, &user, mfa_code, METHOD, request_ctx).await?.open(ctx, request_ctx).await
}

/// A valid mailed token, and the user whom it signs in together with the device secret.
struct Link<'a> {
    id: TokenId,
    address: String,
    /// The address as [`SecretKey::subject`].
    subject: String,
    /// `None` if no account has the address yet.
    user: Option<User>,
    request_ctx: RequestContext<'a>,
}

impl<'a> Link<'a> {
    /// Counts an attempt of the client, verifies the token and reads the user.
    async fn verify(ctx: &Context, token: &str, request_ctx: RequestContext<'a>) -> Result<Self, Error> {
        rate_limit::check_attempt(ctx, request_ctx).await?;
        let token = action_token::verify_link::<LinkClaims>(ctx, ActionKind::MagicLink, token)
            .await?
            .ok_or_else(|| refuse(ctx, request_ctx, None, "invalid or expired magic link"))?;
        let (address, user) = match token.claims {
            LinkClaims::User { user: id, valid_after } => {
                let user = ctx.accounts.user(Find::Id(id)).await?;
                let user = user.filter(|user| user.sessions_valid_after.millis() == valid_after);
                let user = user.ok_or_else(|| refuse(ctx, request_ctx, Some(id), REVOKED))?;
                (user.email.clone(), Some(user))
            }
            LinkClaims::Address(address) => {
                let user = ctx.accounts.user(Find::Email(&address)).await?;
                if let Some(user) = user.as_ref().filter(|user| !CredentialEpoch::NoAccount.is_current(user)) {
                    return Err(refuse(ctx, request_ctx, Some(user.id), REVOKED));
                }
                (address, user)
            }
        };
        match &user {
            Some(user) if user.disabled => return Err(refuse(ctx, request_ctx, Some(user.id), "account disabled")),
            None if !ctx.node.config.accounts.open_registration => return Err(Error::RegistrationClosed),
            None => rate_limit::check_client(ctx, LimitedAction::SignUpClient, request_ctx).await?,
            Some(_) => {}
        }
        Ok(Self { id: token.id, subject: subject_of(&address), address, user, request_ctx })
    }

    /// The user, if the address was verified before. Then the link proves nothing new, and is used up by the session.
    fn verified_user(&self) -> Option<&User> {
        self.user.as_ref().filter(|user| user.verified)
    }

    /// Compares the device secret.
    async fn check(&self, ctx: &Context, device_secret: &str) -> Result<CheckedSecret, Error> {
        let id = self.id.to_string();
        let client = self.request_ctx.client();
        let checked = one_time::check(ctx, self.key(&id), device_secret, self.mailed_to(), client).await?;
        checked.ok_or_else(|| self.refuse(ctx, WRONG_OR_USED))
    }

    /// Consumes the link by the first proof of the address. Returns its owner, verified; created if there is none.
    async fn redeem_for_owner(&self, ctx: &Context, device_secret: &str) -> Result<User, Error> {
        let checked = self.check(ctx, device_secret).await?;
        let owner = prove_owner(ctx, checked, &self.address, self.user.clone(), self.request_ctx).await?;
        owner.map_err(|void| match void {
            VoidProof::Used => self.refuse(ctx, WRONG_OR_USED),
            VoidProof::Revoked => self.refuse(ctx, REVOKED),
        })
    }

    /// The secret is stored under the address, so it is not found if the user has another address by now.
    fn key<'k>(&'k self, id: &'k str) -> SecretKey<'k> {
        SecretKey { kind: SecretKind::MagicLink, subject: &self.subject, id }
    }

    fn mailed_to(&self) -> Owner<'_> {
        self.user.as_ref().map_or(Owner::Address(&self.address), |user| Owner::User(user.id))
    }

    fn refuse(&self, ctx: &Context, reason: &'static str) -> Error {
        refuse(ctx, self.request_ctx, self.user.as_ref().map(|user| user.id), reason)
    }
}

const METHOD: Option<SignInMethod> = Some(SignInMethod::MagicLink);

const WRONG_OR_USED: &str = "wrong device secret, or magic link used before";

const REVOKED: &str = "magic link issued before credentials changed";

fn refuse(ctx: &Context, request_ctx: RequestContext<'_>, user: Option<UserId>, reason: &'static str) -> Error {
    record_refusal(ctx, METHOD, request_ctx, user, reason);
    Error::InvalidLink(LinkKind::MagicLink)
}
