//! Sign-in with and without TOTP, and refresh.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accounts::display_name;
use super::{missing_field, request_context, require_non_empty, string_or_empty};
use crate::api::RATE_LIMITED;
use crate::api::codes::error::{CodesError, ErrorCode};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::error::MfaError;
use crate::auth::identity::{Email, EmailError};
use crate::auth::passwords::Password;
use crate::auth::request_context::RequestContext;
use crate::auth::sessions::refresh::refresh;
use crate::auth::sign_in::open_session::open_session;
use crate::auth::sign_in::password::check_password;
use crate::auth::tokens::caller::User;
use crate::http::{Request, Response};

/// E-mail address and password.
#[derive(Deserialize, ToSchema)]
#[schema(as = SignIn, examples(json!({"email": "user@example.com", "password": "Password123"})))]
pub(super) struct SignInRequest {
    #[serde(default, deserialize_with = "string_or_empty")]
    #[schema(required = true)]
    email: String,
    #[serde(default, deserialize_with = "string_or_empty")]
    #[schema(required = true)]
    password: String,
}

/// E-mail address, password and TOTP code.
#[derive(Deserialize, ToSchema)]
#[schema(as = SignInOtp, examples(json!({
    "email": "user@example.com", "password": "Password123", "otp_code": "123456"
})))]
pub(super) struct SignInOtpRequest {
    #[serde(default, deserialize_with = "string_or_empty")]
    #[schema(required = true)]
    email: String,
    #[serde(default, deserialize_with = "string_or_empty")]
    #[schema(required = true)]
    password: String,
    /// A TOTP code or an unused backup code.
    #[serde(default, deserialize_with = "string_or_empty")]
    #[schema(required = true)]
    otp_code: String,
}

/// The tokens of the new session.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "user_name": "USER_NAME",
    "access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…",
    "refresh_token": "AQGaLgDLJ3K0nV3…",
})))]
pub(super) struct SignedIn<'a> {
    user_name: &'a str,
    access_token: &'a str,
    refresh_token: &'a str,
}

/// The refresh token.
#[derive(Deserialize, ToSchema)]
#[schema(as = Refresh, examples(json!({"refresh_token": "AQGaLgDLJ3K0nV3…"})))]
pub(super) struct RefreshRequest {
    #[serde(default, deserialize_with = "string_or_empty")]
    #[schema(required = true)]
    refresh_token: String,
}

/// A new access token.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…"})))]
pub(super) struct Refreshed<'a> {
    access_token: &'a str,
}

/// Sign in with a password.
///
/// If the user has TOTP enabled, the response is `150`: call `signin/otp` instead.
#[utoipa::path(
    post,
    path = "/signin",
    operation_id = "codes_sign_in",
    request_body = SignInRequest,
    responses((status = 200, description = "Signed in; or `150`: TOTP is required.", content(
        (SignInResponse<'_> = "application/json", examples(
            ("signed-in" = (summary = "Signed in", value = json!({
                "user_name": "USER_NAME",
                "access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…",
                "refresh_token": "AQGaLgDLJ3K0nV3…",
            }))),
            ("totp-required" = (summary = "TOTP is required", value = json!({"error_code": "150"}))),
        )),
    ))),
)]
async fn sign_in(ctx: Context, mut request: Request) -> Result<Response, CodesError> {
    let SignInRequest { email, password } = request.json().await?;
    let request_ctx = request_context(&ctx, &request);
    let user = check_credentials(&ctx, &email, password, request_ctx).await?;
    open_session_and_respond(&ctx, &user, None, request_ctx).await
}

pub(super) const SIGN_IN: Endpoint = endpoint! {
    handler: sign_in,
    state: super::in_band,
    respond: super::respond,
    metric_label: "codes.sign-in",
    errors: [
        EmailError::Domain,
        Error::InvalidCredentials,
        Error::AccountDisabled,
        Error::EmailNotVerified,
        RATE_LIMITED,
        Error::Overloaded,
    ],
};

/// Body of a 200 response of `signin`.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = SignInAnswer)]
#[expect(dead_code, reason = "for the OpenAPI document only")]
pub(super) enum SignInResponse<'a> {
    /// Signed in.
    SignedIn(SignedIn<'a>),
    /// TOTP is required.
    MfaRequired(ErrorCode<'a>),
}

/// Sign in with a password and a TOTP code.
///
/// Each TOTP code and each backup code works once.
#[utoipa::path(
    post,
    path = "/signin/otp",
    operation_id = "codes_sign_in_otp",
    request_body = SignInOtpRequest,
    responses((status = 200, description = "Signed in.", body = SignedIn<'_>)),
)]
async fn sign_in_with_otp(ctx: Context, mut request: Request) -> Result<Response, CodesError> {
    let SignInOtpRequest { email, password, otp_code } = request.json().await?;
    let request_ctx = request_context(&ctx, &request);
    let user = check_credentials(&ctx, &email, password, request_ctx).await?;
    if user.totp.is_none() {
        return Err(Error::Mfa(MfaError::NotEnabled).into());
    }
    open_session_and_respond(&ctx, &user, Some(&otp_code), request_ctx).await
}

pub(super) const SIGN_IN_WITH_OTP: Endpoint = endpoint! {
    handler: sign_in_with_otp,
    state: super::in_band,
    respond: super::respond,
    metric_label: "codes.sign-in-otp",
    errors: [
        EmailError::Domain,
        Error::InvalidCredentials,
        Error::Mfa(MfaError::NotEnabled),
        Error::InvalidMfaCode,
        Error::AccountDisabled,
        Error::EmailNotVerified,
        RATE_LIMITED,
        Error::Overloaded,
    ],
};

/// Checks address and password. Usernames are not accepted: this dialect signs in by address only. An empty address
/// counts as malformed and an empty password as wrong, because the document has no other codes for these calls.
async fn check_credentials(
    ctx: &Context,
    email: &str,
    password: String,
    request_ctx: RequestContext<'_>,
) -> Result<User, Error> {
    let password = Password::new(password);
    let email =
        Email::parse(email).map_err(|error| if error == EmailError::Empty { EmailError::NoAt } else { error })?;
    check_password(ctx, email.as_str(), &password, request_ctx).await
}

async fn open_session_and_respond(
    ctx: &Context,
    user: &User,
    otp_code: Option<&str>,
    request_ctx: RequestContext<'_>,
) -> Result<Response, CodesError> {
    let tokens = open_session(ctx, user, otp_code, request_ctx).await?;
    let body = SignedIn {
        user_name: display_name(user),
        access_token: &tokens.access_token,
        refresh_token: &tokens.refresh_token,
    };
    Ok(Response::json(StatusCode::OK, &body).no_store())
}

/// Refresh the access token.
///
/// The refresh token is not rotated and keeps its expiry. Accepts only tokens of sessions that were opened by an API
/// that does not rotate refresh tokens.
#[utoipa::path(
    post,
    path = "/refresh",
    operation_id = "codes_refresh",
    request_body = RefreshRequest,
    responses((status = 200, description = "The new access token.", body = Refreshed<'_>)),
)]
async fn refresh_access_token(ctx: Context, mut request: Request) -> Result<Response, CodesError> {
    let RefreshRequest { refresh_token } = request.json().await?;
    require_non_empty("refresh_token", &refresh_token)?;
    let request_ctx = request_context(&ctx, &request);
    let tokens = refresh(&ctx, &refresh_token, None, request_ctx).await?;
    Ok(Response::json(StatusCode::OK, &Refreshed { access_token: &tokens.access_token }).no_store())
}

pub(super) const REFRESH: Endpoint = endpoint! {
    handler: refresh_access_token,
    state: super::in_band,
    respond: super::respond,
    metric_label: "codes.refresh",
    errors: [missing_field("refresh_token"), Error::InvalidRefreshToken, Error::EmailNotVerified],
};
