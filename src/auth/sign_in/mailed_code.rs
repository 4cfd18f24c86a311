//! Signing in with a mailed code. The first use of an address creates its account, without a password and without a
//! username.
//!
//! Requesting a code does not reveal whether an account exists: a code is generated and stored for every address, and
//! only the mail differs, which the response does not wait for (see `crate::auth::timing`). Signing in reveals
//! whether an account exists only with the right code.
//!
//! A code does not open an account whose sign-ins were revoked after the code was requested: by a new password, by
//! disabling or by demoting the user.

use std::time::Duration;

use super::open_session::{authorize_login, check_login_allowed};
use super::record_refusal;
use crate::auth::accounts::address_owner::{VoidProof, prove_owner};
use crate::auth::accounts::credential_epoch::CredentialEpoch;
use crate::auth::audit::SignInMethod;
use crate::auth::context::Context;
use crate::auth::identity::Email;
use crate::auth::one_time::{self, CheckedSecret, Owner, SecretKey, SecretKind};
use crate::auth::rate_limit::{LimitedAction, MailKind};
use crate::auth::request_context::RequestContext;
use crate::auth::sessions::tokens::TokenPair;
use crate::auth::timing::respond_on_step;
use crate::auth::{Error, mailing, rate_limit};
use crate::id::UserId;
use crate::mail::Letter;
use crate::store::accounts::{Find, User};

/// Mails a code, in place of an earlier one, if the account is enabled, or if there is none and registration is open.
/// Returns the lifetime of the code in any case.
pub async fn send_code(ctx: &Context, email: &Email, request_ctx: RequestContext<'_>) -> Result<Duration, Error> {
    respond_on_step(create_and_send(ctx, email, request_ctx)).await
}

async fn create_and_send(ctx: &Context, email: &Email, request_ctx: RequestContext<'_>) -> Result<Duration, Error> {
    let subject = one_time::subject(email);
    let permit = rate_limit::check_mail(ctx, MailKind::SignInCode, &subject, request_ctx).await?;
    let user = ctx.accounts.user(Find::Email(email.as_str())).await?;
    if !permit.may_send(ctx, user.as_ref().map(|user| user.id), request_ctx).await? {
        // Without a new code: it would replace one that the owner may have been mailed.
        return Ok(ctx.node.config.mailed.code);
    }
    let epoch = CredentialEpoch::for_user(user.as_ref());
    let may_sign_in = user.map_or(ctx.node.config.accounts.open_registration, |user| !user.disabled);
    let (code, lifetime) = (one_time::generate_code(ctx), ctx.node.config.mailed.code);
    let expires_at = ctx.now() + lifetime;
    one_time::store(ctx, key(&subject), &code, epoch.to_bytes(), expires_at).await?;
    if may_sign_in {
        let letter = Letter::SignInCode { code };
        mailing::queue_mail(ctx, email.as_str(), letter, expires_at, request_ctx.language);
    }
    Ok(lifetime)
}

/// Consumes a code and opens a session. If the code of the second factor is missing or wrong, the mailed code is not
/// consumed. The first sign-in to an account whose address was not verified needs no second factor: it removes the one
/// that somebody else may have set (`crate::auth::email_proof`).
pub async fn sign_in_with_code(
    ctx: &Context,
    email: &Email,
    code: &str,
    mfa_code: Option<&str>,
    request_ctx: RequestContext<'_>,
) -> Result<TokenPair, Error> {
    rate_limit::check_attempt(ctx, request_ctx).await?;
    let code = MailedCode {
        subject: one_time::subject(email),
        code: code.trim(),
        owner: Owner::Address(email.as_str()),
        request_ctx,
    };
    let (checked, epoch) = code.check(ctx).await?;
    let Some(user) = ctx.accounts.user(Find::Email(email.as_str())).await? else {
        if !ctx.node.config.accounts.open_registration {
            return Err(Error::RegistrationClosed);
        }
        rate_limit::check_client(ctx, LimitedAction::SignUpClient, request_ctx).await?;
        let user = code.redeem_for_owner(ctx, checked, email, None).await?;
        return authorize_login(ctx, &user, mfa_code, METHOD, request_ctx).await?.open(ctx, request_ctx).await;
    };
    // The error for a disabled user comes below: the code is valid.
    if !user.disabled && !epoch.is_current(&user) {
        return Err(revoked(ctx, Some(user.id), request_ctx));
    }
    if user.verified {
        let login = authorize_login(ctx, &user, mfa_code, METHOD, request_ctx).await?;
        return login.with_secret(Some(checked)).open(ctx, request_ctx).await;
    }
    // The code proves the address, which the row records only once the code is held.
    check_login_allowed(ctx, &User { verified: true, ..user.clone() }, METHOD, request_ctx)?;
    let user = code.redeem_for_owner(ctx, checked, email, Some(user)).await?;
    authorize_login(ctx, &user, mfa_code, METHOD, request_ctx).await?.open(ctx, request_ctx).await
}

const METHOD: Option<SignInMethod> = Some(SignInMethod::Code);

fn revoked(ctx: &Context, user: Option<UserId>, request_ctx: RequestContext<'_>) -> Error {
    record_refusal(ctx, METHOD, request_ctx, user, "code issued before credentials changed");
    Error::InvalidCode
}

fn key(subject: &str) -> SecretKey<'_> {
    SecretKey { kind: SecretKind::SignInCode, subject, id: "" }
}

/// A code in a request.
struct MailedCode<'a> {
    subject: String,
    code: &'a str,
    owner: Owner<'a>,
    request_ctx: RequestContext<'a>,
}

impl MailedCode<'_> {
    /// Compares the code.
    async fn check(&self, ctx: &Context) -> Result<(CheckedSecret, CredentialEpoch), Error> {
        let client = self.request_ctx.client();
        let checked = one_time::check(ctx, key(&self.subject), self.code, self.owner, client).await?;
        let with_epoch = |checked: CheckedSecret| {
            let epoch = CredentialEpoch::from_bytes(checked.payload())?;
            Some((checked, epoch))
        };
        checked.and_then(with_epoch).ok_or_else(|| self.refuse(ctx))
    }

    /// Consumes the code by the first proof of the address. Returns its owner, verified; created if there is none.
    async fn redeem_for_owner(
        &self,
        ctx: &Context,
        checked: CheckedSecret,
        email: &Email,
        known: Option<User>,
    ) -> Result<User, Error> {
        let id = known.as_ref().map(|user| user.id);
        let owner = prove_owner(ctx, checked, email.as_str(), known, self.request_ctx).await?;
        owner.map_err(|void| match void {
            VoidProof::Used => self.refuse(ctx),
            VoidProof::Revoked => revoked(ctx, id, self.request_ctx),
        })
    }

    fn refuse(&self, ctx: &Context) -> Error {
        record_refusal(ctx, METHOD, self.request_ctx, None, "wrong, used or expired code");
        Error::InvalidCode
    }
}
