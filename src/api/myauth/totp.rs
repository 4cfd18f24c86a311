//! TOTP: enrolling, enabling, the second step of a sign-in, disabling.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::request_context;
use super::wire::{Msg, Token, WebToken, message_response, require_bearer, token_pair_response};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::myauth::error::MyauthError;
use crate::api::{FORBIDDEN, RATE_LIMITED};
use crate::auth::Error;
use crate::auth::accounts::permissions::require_user;
use crate::auth::context::Context;
use crate::auth::error::MfaError;
use crate::auth::mfa::{self, start_enrollment};
use crate::auth::passwords::{IdentityProof, Password};
use crate::auth::sign_in::login_step::complete_login;
use crate::http::{Request, Response, json};

/// A TOTP secret that is not enabled yet.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "key": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
    "uri": "otpauth://totp/Signet:zoe%40example.org?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Signet",
})))]
pub(super) struct NewTotp<'a> {
    /// The secret in base32, as authenticator apps expect it.
    key: &'a str,
    /// The `otpauth:` URI to show as a QR code.
    uri: &'a str,
}

/// Create a TOTP secret.
///
/// The secret is pending for ten minutes. `PUT /login/totp` enables it, in the same session.
#[utoipa::path(
    post,
    path = "/login/new-totp",
    operation_id = "myauth_new_totp",
    security(("access_token" = [])),
    responses((status = 200, description = "The secret.", body = NewTotp<'_>)),
)]
async fn enroll(ctx: Context, request: Request) -> Result<Response, MyauthError> {
    let (caller, user) = require_user(&ctx, request.bearer()).await?;
    let enrollment = start_enrollment(&ctx, &user, caller.require_session()?).await?;
    Ok(Response::json(StatusCode::OK, &NewTotp { key: &enrollment.key, uri: &enrollment.uri }).no_store())
}

pub(super) const ENROLL: Endpoint = endpoint! {
    handler: enroll,
    metric_label: "myauth.new-totp",
    errors: [Error::AccountDisabled, FORBIDDEN, Error::NotFound, RATE_LIMITED],
};

/// A code of the pending secret.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({
    "claim": "123456",
    "uri": "otpauth://totp/Signet:zoe%40example.org?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Signet",
    "password": "a quiet harbour at dusk",
})))]
pub(super) struct EnableTotp {
    /// The code.
    claim: String,
    /// The URI of the pending secret. Ignored: only the pending secret counts.
    #[serde(rename = "uri")]
    _uri: String,
    /// The current password, if the user has one. Without a password, the token must be of a recent sign-in.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Password>,
}

/// Reports a sign-in that is too old as `failure`: the document has one error for every failure to authenticate the
/// change.
fn recent_sign_in_as(failure: MfaError) -> impl FnOnce(Error) -> Error {
    move |error| match error {
        Error::RecentSignInRequired => Error::Mfa(failure),
        other => other,
    }
}

/// Confirmation that TOTP is enabled.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "msg": "TOTP enabled. Do not lose your recovery code.",
    "recovery_codes": ["4q7c-z0m9-w2xk-8ht1-p6ra-n3jv"],
})))]
pub(super) struct Enabled {
    msg: &'static str,
    /// Each replaces a TOTP code and works once.
    recovery_codes: Vec<String>,
}

/// Enable TOTP.
#[utoipa::path(
    put,
    path = "/login/totp",
    operation_id = "myauth_totp_on",
    request_body = EnableTotp,
    security(("access_token" = [])),
    responses((status = 200, description = "TOTP is enabled.", body = Enabled)),
)]
async fn enable(ctx: Context, mut request: Request) -> Result<Response, MyauthError> {
    let (caller, user) = require_user(&ctx, request.bearer()).await?;
    let body: EnableTotp = request.json().await?;
    let request_ctx = request_context(&ctx, &request);
    let proof = IdentityProof { password: body.password.as_ref(), auth_time: caller.auth_time() };
    let session = caller.require_session()?;
    let enabled = mfa::enable(&ctx, &user, session, proof, &body.claim, request_ctx).await;
    let recovery_codes = enabled.map_err(recent_sign_in_as(MfaError::EnableFailed))?;
    let msg = "TOTP enabled. Do not lose your recovery code.";
    Ok(Response::json(StatusCode::OK, &Enabled { msg, recovery_codes }).no_store())
}

pub(super) const ENABLE: Endpoint = endpoint! {
    handler: enable,
    metric_label: "myauth.totp-on",
    errors: [Error::Mfa(MfaError::EnableFailed), Error::AccountDisabled, FORBIDDEN, RATE_LIMITED],
};

/// Complete a sign-in with a TOTP code.
///
/// Takes the token of the first step as the bearer token, and a TOTP code or a recovery code.
#[utoipa::path(
    post,
    path = "/login/totp",
    operation_id = "myauth_totp",
    request_body = WebToken,
    security(("totp_token" = [])),
    responses((status = 200, description = "The tokens.", body = Token<'_>)),
)]
async fn sign_in(ctx: Context, mut request: Request) -> Result<Response, MyauthError> {
    require_bearer(&request)?;
    let WebToken { claim } = request.json().await?;
    let request_ctx = request_context(&ctx, &request);
    Ok(token_pair_response(&complete_login(&ctx, require_bearer(&request)?, &claim, request_ctx).await?))
}

pub(super) const SIGN_IN: Endpoint = endpoint! {
    handler: sign_in,
    metric_label: "myauth.totp",
    errors: [Error::InvalidMfaCode, RATE_LIMITED],
};

/// The current password.
#[derive(Default, Deserialize, ToSchema)]
#[schema(examples(json!({"original": "a quiet harbour at dusk"})))]
pub(super) struct DisableTotp {
    /// The current password, if the user has one. Without a password, the token must be of a recent sign-in.
    #[schema(value_type = Option<String>, format = Password)]
    original: Option<Password>,
}

/// Disable TOTP.
///
/// Idempotent: succeeds if TOTP is already disabled.
#[utoipa::path(
    delete,
    path = "/login/totp",
    operation_id = "myauth_totp_off",
    request_body = Option<DisableTotp>,
    security(("access_token" = [])),
    responses((status = 200, description = "TOTP is disabled.", body = Msg,
        example = json!({"msg": "TOTP disabled. You can re-enable it at any time."}))),
)]
async fn disable(ctx: Context, mut request: Request) -> Result<Response, MyauthError> {
    let (caller, user) = require_user(&ctx, request.bearer()).await?;
    let body = request.json_bytes().await?;
    // The body is optional, so it may also be null.
    let is_absent = body.is_empty() || body.trim_ascii() == b"null";
    let body: DisableTotp = if is_absent { DisableTotp::default() } else { json::parse(&body)? };
    let request_ctx = request_context(&ctx, &request);
    let proof = IdentityProof { password: body.original.as_ref(), auth_time: caller.auth_time() };
    match mfa::disable(&ctx, &user, Some(proof), request_ctx).await {
        Ok(()) | Err(Error::Mfa(MfaError::AlreadyDisabled)) => {
            Ok(message_response("TOTP disabled. You can re-enable it at any time."))
        }
        Err(error) => Err(recent_sign_in_as(MfaError::DisableFailed)(error).into()),
    }
}

pub(super) const DISABLE: Endpoint = endpoint! {
    handler: disable,
    metric_label: "myauth.totp-off",
    errors: [Error::Mfa(MfaError::DisableFailed), Error::AccountDisabled, FORBIDDEN, RATE_LIMITED],
};
