//! `/verification`: sign-in with mailed codes, refresh and sign-out.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::envelope::{envelopes, success};
use super::{UnturnedError, request_context};
use crate::api::RATE_LIMITED;
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::fastapi::EmailStr;
use crate::auth::Error;
use crate::auth::audit::Origin;
use crate::auth::context::Context;
use crate::auth::sessions::refresh::refresh;
use crate::auth::sessions::tokens::TokenPair;
use crate::auth::sign_in::mailed_code::{self, sign_in_with_code};
use crate::auth::tokens::revoke::sign_out_token;
use crate::http::{Request, Response};
use crate::id::UserId;

/// The address to send a code to.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"email": "zoe@example.org"})))]
pub(super) struct SendCodeRequest {
    /// User email address.
    #[schema(value_type = String, format = Email)]
    email: EmailStr,
}

/// The mailed code.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"email": "zoe@example.org", "code": "294018"})))]
pub(super) struct VerifyCodeRequest {
    /// The address that the code was sent to.
    #[schema(value_type = String, format = Email)]
    email: EmailStr,
    /// Six digits.
    code: String,
    /// A TOTP code or a recovery code, if the user has TOTP enabled.
    totp_code: Option<String>,
}

/// A refresh token and the id of its user.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({
    "refresh_token": "AQGaLgDLJ3K0nV3",
    "user_uuid": "019a8b1c-0000-7abc-9def-0123456789ab",
})))]
pub(super) struct RefreshTokenRequest {
    /// Refresh token to exchange for a new access token.
    refresh_token: String,
    /// User UUID.
    user_uuid: String,
}

/// The token to revoke.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"refresh_token": "AQGaLgDLJ3K0nV3"})))]
pub(super) struct RevokeTokenRequest {
    /// Refresh token to revoke.
    refresh_token: String,
}

/// Confirmation that a code was sent, if the address can sign in.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"message": "If the address can sign in, a code is on its way.", "expires_in": 600})))]
struct SentCode {
    message: &'static str,
    /// Lifetime of the code in seconds.
    expires_in: u64,
}

/// Confirmation that the call succeeded.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"message": "Token revoked."})))]
struct Message {
    message: &'static str,
}

/// The tokens of a session.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…",
    "refresh_token": "AQGaLgDLJ3K0nV3",
    "token_type": "bearer",
})))]
struct TokenResponse<'a> {
    access_token: &'a str,
    refresh_token: &'a str,
    #[schema(pattern = "^bearer$")]
    token_type: &'static str,
}

envelopes! {
    /// Confirmation that a code was sent, if the address can sign in.
    SentCodeEnvelope, SuccessResponse_dict_, SentCode;
    /// Confirmation that the call succeeded.
    MessageEnvelope, SuccessResponse_Message_, Message;
    /// The tokens of a session.
    TokenEnvelope, SuccessResponse_TokenResponse_, TokenResponse<'static>;
}

fn token_response(tokens: &TokenPair) -> Response {
    let (access_token, refresh_token) = (tokens.access_token.as_str(), tokens.refresh_token.as_str());
    success(StatusCode::OK, TokenResponse { access_token, refresh_token, token_type: "bearer" })
}

/// Request email verification code (passwordless login).
///
/// The response and the response time are the same for every address.
#[utoipa::path(
    post,
    path = "/verification/send-code",
    operation_id = "send_code_auth_verification_send_code_post",
    request_body = SendCodeRequest,
    responses((status = 202, description = "A code was sent, if the address can sign in.", body = SentCodeEnvelope)),
)]
async fn send_code(ctx: Context, mut request: Request) -> Result<Response, UnturnedError> {
    let body: SendCodeRequest = request.json().await?;
    let lifetime = mailed_code::send_code(&ctx, &body.email.0, request_context(&ctx, &request)).await?;
    let message = "If the address can sign in, a code is on its way.";
    Ok(success(StatusCode::ACCEPTED, SentCode { message, expires_in: lifetime.as_secs() }))
}

pub(super) const SEND_CODE: Endpoint = endpoint! {
    handler: send_code,
    metric_label: "unturned.send-code",
    errors: [RATE_LIMITED],
};

/// Verify code and get JWT token.
///
/// If registration is open, the first code of an address creates its account. A code works once and is void after five
/// wrong attempts; a missing or wrong TOTP code does not use it up. If the address of the account was not verified, the
/// code verifies it and removes what was set before: password, TOTP, API keys and sessions.
#[utoipa::path(
    post,
    path = "/verification/verify-code",
    operation_id = "verify_code_auth_verification_verify_code_post",
    request_body = VerifyCodeRequest,
    responses((status = 200, description = "Signed in.", body = TokenEnvelope)),
)]
async fn verify_code(ctx: Context, mut request: Request) -> Result<Response, UnturnedError> {
    let body: VerifyCodeRequest = request.json().await?;
    let request_ctx = request_context(&ctx, &request);
    let tokens = sign_in_with_code(&ctx, &body.email.0, &body.code, body.totp_code.as_deref(), request_ctx).await?;
    Ok(token_response(&tokens))
}

pub(super) const VERIFY_CODE: Endpoint = endpoint! {
    handler: verify_code,
    metric_label: "unturned.sign-in",
    errors: [
        Error::InvalidCode,
        Error::MfaRequired,
        Error::InvalidMfaCode,
        Error::AccountDisabled,
        Error::RegistrationClosed,
        RATE_LIMITED,
    ],
};

/// Refresh JWT token.
///
/// Rotates the refresh token: the old one stops working.
#[utoipa::path(
    post,
    path = "/verification/refresh-token",
    operation_id = "refresh_token_auth_verification_refresh_token_post",
    request_body = RefreshTokenRequest,
    responses((status = 200, description = "The new tokens.", body = TokenEnvelope)),
)]
async fn refresh_token(ctx: Context, mut request: Request) -> Result<Response, UnturnedError> {
    let body: RefreshTokenRequest = request.json().await?;
    let owner = UserId::parse(&body.user_uuid).ok_or(Error::InvalidRefreshToken)?;
    let request_ctx = request_context(&ctx, &request);
    let tokens = refresh(&ctx, &body.refresh_token, Some(owner), request_ctx).await?;
    Ok(token_response(&tokens))
}

pub(super) const REFRESH_TOKEN: Endpoint = endpoint! {
    handler: refresh_token,
    metric_label: "unturned.refresh",
    errors: [Error::InvalidRefreshToken, Error::EmailNotVerified],
};

/// Revoke JWT token.
///
/// Ends the session. Succeeds for an unknown or expired token as well.
#[utoipa::path(
    post,
    path = "/verification/revoke-token",
    operation_id = "revoke_token_auth_verification_revoke_token_post",
    request_body = RevokeTokenRequest,
    responses((status = 200, description = "The session has ended.", body = MessageEnvelope)),
)]
async fn revoke_token(ctx: Context, mut request: Request) -> Result<Response, UnturnedError> {
    let body: RevokeTokenRequest = request.json().await?;
    sign_out_token(&ctx, &body.refresh_token, Origin::request(request_context(&ctx, &request))).await?;
    Ok(success(StatusCode::OK, Message { message: "Token revoked." }))
}

pub(super) const REVOKE_TOKEN: Endpoint = endpoint! {
    handler: revoke_token,
    metric_label: "unturned.revoke",
    errors: [RATE_LIMITED],
};
