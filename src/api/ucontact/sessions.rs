//! Sign-in with a form, and refresh with rotation.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::UcontactError;
use super::request_context;
use crate::api::RATE_LIMITED;
use crate::api::endpoint::{Endpoint, endpoint};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::passwords::Password;
use crate::auth::sessions::refresh;
use crate::auth::sessions::tokens::TokenPair;
use crate::auth::sign_in::password::sign_in;
use crate::http::{Request, Response};

/// Username or e-mail address, and password.
#[derive(Deserialize, ToSchema)]
#[schema(as = Login, examples(json!({"username": "johndoe", "password": "securepassword123"})))]
pub(super) struct LoginRequest {
    /// Username or e-mail address.
    username: String,
    #[schema(value_type = String)]
    password: Password,
    /// A TOTP code or a recovery code, if the user has TOTP enabled.
    #[schema(nullable = false)]
    totp_code: Option<String>,
}

/// The tokens of a session.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…",
    "refresh_token": "AQGaLgDLJ3K0nV3…",
    "token_type": "bearer",
})))]
pub(super) struct Tokens<'a> {
    access_token: &'a str,
    refresh_token: &'a str,
    #[schema(pattern = "^bearer$")]
    token_type: &'static str,
}

impl Tokens<'_> {
    fn response(tokens: &TokenPair) -> Response {
        let body =
            Tokens { access_token: &tokens.access_token, refresh_token: &tokens.refresh_token, token_type: "bearer" };
        Response::json(StatusCode::OK, &body).no_store()
    }
}

/// Sign in with a password.
#[utoipa::path(
    post,
    path = "/login",
    operation_id = "ucontact_login",
    request_body(content(
        (LoginRequest = "application/x-www-form-urlencoded"),
        (LoginRequest = "multipart/form-data"),
    )),
    responses((status = 200, description = "Signed in.", body = Tokens<'_>)),
)]
async fn login(ctx: Context, mut request: Request) -> Result<Response, UcontactError> {
    let form: LoginRequest = request.form().await?.deserialize()?;
    let totp_code = form.totp_code.as_deref();
    let request_ctx = request_context(&ctx, &request);
    let tokens = sign_in(&ctx, &form.username, &form.password, totp_code, request_ctx).await?;
    Ok(Tokens::response(&tokens))
}

pub(super) const LOGIN: Endpoint = endpoint! {
    handler: login,
    metric_label: "ucontact.login",
    errors: [
        Error::InvalidCredentials,
        Error::EmailNotVerified,
        Error::MfaRequired,
        Error::InvalidMfaCode,
        Error::AccountDisabled,
        RATE_LIMITED,
        Error::Overloaded,
    ],
};

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[schema(as = Refresh, examples(json!({"refresh_token": "AQGaLgDLJ3K0nV3"})))]
pub(super) struct RefreshRequest {
    refresh_token: String,
}

/// Refresh the tokens.
///
/// Rotates the refresh token: the old one stops working.
#[utoipa::path(
    post,
    path = "/refresh-token",
    operation_id = "ucontact_refresh",
    request_body = RefreshRequest,
    responses((status = 200, description = "The new tokens.", body = Tokens<'_>)),
)]
async fn refresh(ctx: Context, mut request: Request) -> Result<Response, UcontactError> {
    let body: RefreshRequest = request.json().await?;
    let request_ctx = request_context(&ctx, &request);
    let tokens = refresh::refresh(&ctx, &body.refresh_token, None, request_ctx).await?;
    Ok(Tokens::response(&tokens))
}

pub(super) const REFRESH: Endpoint = endpoint! {
    handler: refresh,
    metric_label: "ucontact.refresh",
    errors: [Error::InvalidRefreshToken, Error::EmailNotVerified],
};
