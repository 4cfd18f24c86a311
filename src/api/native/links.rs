//! The calls that take the token of a mailed link. A link is redeemed by a POST, never by opening it.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::sessions::{Tokens, tokens};
use super::{Problem, request_context};
use crate::api::endpoint::{Endpoint, deprecated_alias, deprecated_docs, endpoint};
use crate::api::{RATE_LIMITED, WEAK_PASSWORD};
use crate::auth::Error;
use crate::auth::accounts::change_email;
use crate::auth::accounts::verify_email::Verification;
use crate::auth::context::Context;
use crate::auth::error::LinkKind;
use crate::auth::passwords::Password;
use crate::auth::passwords::reset::reset_password;
use crate::auth::sign_in::magic_link::redeem_with_code;
use crate::http::{Request, Response};

/// The token of a link that confirms an email address.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"token": "Yk3v0pS9QeC1dJwXz7LmTg"})))]
pub(super) struct ConfirmEmail {
    token: String,
}

/// The result of a confirmation.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"status": "confirmed"})))]
pub(super) struct EmailConfirmation {
    status: ConfirmationStatus,
}

/// The address is confirmed by this request, or was confirmed before.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ConfirmationStatus {
    Confirmed,
    AlreadyConfirmed,
}

/// Confirm an email address
///
/// Takes the token of the link that was mailed to it: at the sign-up, or to change the address of an account to it.
/// Repeating the call is harmless until the link expires.
#[utoipa::path(
    post,
    path = "/email-confirmations/redeem",
    operation_id = "native_confirm_email",
    request_body = ConfirmEmail,
    responses((status = 200, description = "The address is confirmed.", body = EmailConfirmation)),
)]
async fn confirm_email(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let body: ConfirmEmail = request.json().await?;
    let request_ctx = request_context(&ctx, &request);
    let status = match change_email::verify_linked_address(&ctx, &body.token, request_ctx).await? {
        Verification::Verified => ConfirmationStatus::Confirmed,
        Verification::AlreadyVerified => ConfirmationStatus::AlreadyConfirmed,
    };
    Ok(Response::json(StatusCode::OK, &EmailConfirmation { status }).no_store())
}

pub(super) const CONFIRM_EMAIL: Endpoint = endpoint! {
    handler: confirm_email,
    metric_label: "native.confirm",
    errors: [Error::InvalidLink(LinkKind::EmailVerification), Error::NotFound, Error::EmailTaken, RATE_LIMITED],
};

pub(super) const OLD_CONFIRM_EMAIL: Endpoint =
    deprecated_alias(&CONFIRM_EMAIL, || deprecated_docs((CONFIRM_EMAIL.docs)(), "/links/confirm", "native_confirm"));

/// A new password and the link that allows it.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({
    "token": "q8Rb2vN6TzKf0LhXyW4ScA",
    "device_secret": "0p3UoSMwZbTBy6nUXc1qgy2ZQb0",
    "new_password": "a quiet harbour at dusk",
})))]
pub(super) struct ResetPassword {
    /// The token of the link.
    token: String,
    /// The secret of the device that requested the link, if it got one. Its earlier name `claim` works too.
    #[serde(alias = "claim")]
    device_secret: Option<String>,
    #[schema(value_type = String)]
    new_password: Password,
}

/// Reset a password
///
/// Sets a new password with the token of the mailed link, and ends all sessions of the user. The link works once; a
/// password that is refused does not use it up. If the address of the account was not verified, verifies it and also
/// removes the second factor and API keys.
#[utoipa::path(
    post,
    path = "/password-resets/redeem",
    operation_id = "native_redeem_password_reset",
    request_body = ResetPassword,
    responses((status = 204, description = "The password is changed.")),
)]
async fn reset(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let body: ResetPassword = request.json().await?;
    let request_ctx = request_context(&ctx, &request);
    reset_password(&ctx, &body.token, body.device_secret.as_deref(), &body.new_password, request_ctx).await?;
    Ok(Response::empty(StatusCode::NO_CONTENT).no_store())
}

pub(super) const RESET_PASSWORD: Endpoint = endpoint! {
    handler: reset,
    metric_label: "native.reset",
    errors: [
        WEAK_PASSWORD,
        Error::InvalidLink(LinkKind::PasswordReset),
        RATE_LIMITED,
        Error::Overloaded,
    ],
};

pub(super) const OLD_RESET_PASSWORD: Endpoint = deprecated_alias(&RESET_PASSWORD, || {
    deprecated_docs((RESET_PASSWORD.docs)(), "/links/reset", "native_reset_password")
});

/// A magic link and the secret of the device that requested it.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({
    "token": "Hs7dG1mXw3VtZ9nPfJ2Ecg",
    "device_secret": "0p3UoSMwZbTBy6nUXc1qgy2ZQb0",
})))]
pub(super) struct RedeemMagicLink {
    /// The token of the link.
    token: String,
    /// The secret of the device that requested the link. Its earlier name `claim` works too.
    #[serde(alias = "claim")]
    device_secret: String,
    /// The code of the second factor, or a recovery code, for users who have one. Its earlier name `totp_code` works
    /// too.
    #[serde(alias = "totp_code")]
    mfa_code: Option<String>,
    /// The name or URL of the audience of the access token; by default `tokens.audience`.
    resource: Option<String>,
}

/// Sign in with a magic link
///
/// Works once. A missing or wrong code of the second factor does not use the link up. If the address of the account was
/// not verified, the link verifies it and removes what was set before: password, second factor, API keys and sessions.
#[utoipa::path(
    post,
    path = "/magic-links/redeem",
    operation_id = "native_redeem_magic_link",
    request_body = RedeemMagicLink,
    responses((status = 201, description = "Signed in.", body = Tokens<'_>)),
)]
async fn redeem_magic_link(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let body: RedeemMagicLink = request.json().await?;
    let request_ctx = request_context(&ctx, &request).with_resource(&ctx.node.config, body.resource.as_deref())?;
    let pair = redeem_with_code(&ctx, &body.token, &body.device_secret, body.mfa_code.as_deref(), request_ctx).await?;
    Ok(Response::json(StatusCode::CREATED, &tokens(&pair, ctx.now())).no_store())
}

pub(super) const REDEEM_MAGIC_LINK: Endpoint = endpoint! {
    handler: redeem_magic_link,
    metric_label: "native.magic",
    errors: [
        Error::InvalidLink(LinkKind::MagicLink),
        Error::RegistrationClosed,
        Error::MfaRequired,
        Error::InvalidMfaCode,
        Error::EmailNotVerified,
        Error::InvalidTarget,
        RATE_LIMITED,
    ],
};

pub(super) const OLD_REDEEM_MAGIC_LINK: Endpoint = deprecated_alias(&REDEEM_MAGIC_LINK, || {
    deprecated_docs((REDEEM_MAGIC_LINK.docs)(), "/links/magic", "native_magic")
});
