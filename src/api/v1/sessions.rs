//! Sign-in, refresh without rotation, and sign-out.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::sign_up::Message;
use super::tokens::verify_bearer;
use super::{V1Error, request_context};
use crate::api::RATE_LIMITED;
use crate::api::endpoint::{Endpoint, endpoint};
use crate::auth::Error;
use crate::auth::audit::Origin;
use crate::auth::context::Context;
use crate::auth::identity::{Email, EmailError};
use crate::auth::passwords::Password;
use crate::auth::sessions::refresh;
use crate::auth::sign_in::password::sign_in;
use crate::auth::tokens::revoke::{end_session_of, revoke};
use crate::http::{Request, Response};

/// E-mail address and password.
#[derive(Deserialize, ToSchema)]
#[schema(as = Login, examples(json!({"email": "user@example.com", "password": "123456"})))]
pub(super) struct LoginRequest {
    email: String,
    #[schema(value_type = String)]
    password: Password,
    /// A TOTP code or a recovery code, if the user has TOTP enabled.
    totp_code: Option<String>,
}

/// The tokens of the new session.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…",
    "expires_in": 3600,
    "refresh_expires_in": 259_200,
    "refresh_token": "AQGaLgDLJ3K0nV3…",
})))]
pub(super) struct LoggedIn<'a> {
    access_token: &'a str,
    /// Lifetime of the access token in seconds.
    expires_in: u64,
    /// Lifetime of the refresh token in seconds.
    refresh_expires_in: u64,
    refresh_token: &'a str,
}

/// Sign in with a password.
#[utoipa::path(
    post,
    path = "/login",
    operation_id = "v1_login",
    request_body = LoginRequest,
    responses((status = 200, description = "Signed in.", body = LoggedIn<'_>)),
)]
async fn login(ctx: Context, mut request: Request) -> Result<Response, V1Error> {
    let body: LoginRequest = request.json().await?;
    // This dialect signs in by address only: a username is an invalid field, not an unknown account.
    let email = Email::parse(&body.email)?;
    let totp_code = body.totp_code.as_deref();
    let tokens = sign_in(&ctx, email.as_str(), &body.password, totp_code, request_context(&ctx, &request)).await?;
    // `opened_at` may be later than now: sessions are stamped later than the last global sign-out, by any node's clock.
    let opened_at = tokens.session.opened_at.min(ctx.now());
    let logged_in = LoggedIn {
        access_token: &tokens.access_token,
        expires_in: tokens.access_expires_in.as_secs(),
        refresh_expires_in: tokens.refresh_expires_at.since(opened_at).as_secs(),
        refresh_token: &tokens.refresh_token,
    };
    Ok(Response::json(StatusCode::OK, &logged_in).no_store())
}

pub(super) const LOGIN: Endpoint = endpoint! {
    handler: login,
    metric_label: "v1.login",
    errors: [
        EmailError::NoAt,
        Error::InvalidCredentials,
        Error::MfaRequired,
        Error::InvalidMfaCode,
        Error::AccountDisabled,
        Error::EmailNotVerified,
        RATE_LIMITED,
        Error::Overloaded,
    ],
};

/// The refresh token.
#[derive(Deserialize, ToSchema)]
#[schema(as = Refresh, examples(json!({"refresh_token": "AQGaLgDLJ3K0nV3"})))]
pub(super) struct RefreshRequest {
    refresh_token: String,
}

/// The new access token.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…",
    "expires_in": 3600,
})))]
pub(super) struct Refreshed<'a> {
    access_token: &'a str,
    /// Lifetime of the access token in seconds.
    expires_in: u64,
}

/// Refresh the access token.
///
/// The refresh token is not rotated and keeps its expiry. Accepts only tokens of sessions that were opened by an API
/// that does not rotate refresh tokens.
#[utoipa::path(
    post,
    path = "/refresh",
    operation_id = "v1_refresh",
    request_body = RefreshRequest,
    responses((status = 200, description = "The new access token.", body = Refreshed<'_>)),
)]
async fn refresh(ctx: Context, mut request: Request) -> Result<Response, V1Error> {
    let body: RefreshRequest = request.json().await?;
    let request_ctx = request_context(&ctx, &request);
    let tokens = refresh::refresh(&ctx, &body.refresh_token, None, request_ctx).await?;
    let refreshed = Refreshed { access_token: &tokens.access_token, expires_in: tokens.access_expires_in.as_secs() };
    Ok(Response::json(StatusCode::OK, &refreshed).no_store())
}

pub(super) const REFRESH: Endpoint = endpoint! {
    handler: refresh,
    metric_label: "v1.refresh",
    errors: [Error::InvalidRefreshToken, Error::EmailNotVerified],
};

/// Sign out.
///
/// Ends the session and revokes its access and refresh tokens.
#[utoipa::path(
    post,
    path = "/logout",
    operation_id = "v1_logout",
    security(("access_token" = [])),
    responses((status = 200, description = "Signed out.", body = Message,
        example = json!({"message": "logout successful"}))),
)]
async fn logout(ctx: Context, request: Request) -> Result<Response, V1Error> {
    let (token, verified) = verify_bearer(&ctx, &request)?;
    let origin = Origin::request(request_context(&ctx, &request));
    match (verified.user, verified.session) {
        (Some(user), Some(session)) => end_session_of(&ctx, user, session, origin).await?,
        // A token that was issued for an API key belongs to no session, so only the token is revoked.
        _ => revoke(&ctx, token, origin).await?,
    }
    Ok(Message::response("logout successful"))
}

pub(super) const LOGOUT: Endpoint = endpoint! {
    handler: logout,
    metric_label: "v1.logout",
    errors: [RATE_LIMITED],
};

/// Sign out (alias).
///
/// Same as `/logout`.
#[utoipa::path(
    post,
    path = "/authorized/logout",
    operation_id = "v1_authorized_logout",
    security(("access_token" = [])),
    responses((status = 200, description = "Signed out.", body = Message,
        example = json!({"message": "logout successful"}))),
)]
async fn authorized_logout(ctx: Context, request: Request) -> Result<Response, V1Error> {
    logout(ctx, request).await
}

pub(super) const AUTHORIZED_LOGOUT: Endpoint = endpoint! {
    handler: authorized_logout,
    metric_label: "v1.logout",
    errors: [RATE_LIMITED],
};
