//! Signing in by a form, and new tokens for a refresh token, which is rotated.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::NAME;
use super::error::UcontactError;
use crate::api::request_context;
use crate::auth::context::Context;
use crate::auth::passwords::Password;
use crate::auth::sessions::open::TokenPair;
use crate::auth::sessions::refresh;
use crate::auth::sessions::refresh::RotationPolicy;
use crate::auth::sign_in::password::sign_in;
use crate::http::{Request, Response};

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"username": "johndoe", "password": "securepassword123"})))]
pub(super) struct Login {
    /// The name, or the address.
    username: String,
    #[schema(value_type = String)]
    password: Password,
    /// The code of the second factor, of whom has one.
    #[schema(nullable = false)]
    totp_code: Option<String>,
}

/// What a sign-in or a refresh gives.
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
    fn answer(pair: &TokenPair) -> Response {
        let tokens = Tokens { access_token: &pair.access, refresh_token: &pair.refresh, token_type: "bearer" };
        Response::json(StatusCode::OK, &tokens).no_store()
    }
}

/// Signs in with a password.
#[utoipa::path(
    post,
    path = "/login",
    operation_id = "ucontact_login",
    request_body(content(
        (Login = "application/x-www-form-urlencoded"),
        (Login = "multipart/form-data"),
    )),
    responses((status = 200, description = "Signed in.", body = Tokens<'_>)),
)]
pub(super) async fn login(ctx: Context, mut request: Request) -> Result<Response, UcontactError> {
    let asked: Login = request.form().await?.read()?;
    let second = asked.totp_code.as_deref();
    let request_ctx = request_context(NAME, &ctx.node.config.api.ucontact, &request);
    let pair = sign_in(&ctx, &asked.username, &asked.password, second, request_ctx).await?;
    Ok(Tokens::answer(&pair))
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"refresh_token": "AQGaLgDLJ3K0nV3"})))]
pub(super) struct Refresh {
    refresh_token: String,
}

/// New tokens for a refresh token, which is used up.
#[utoipa::path(
    post,
    path = "/refresh-token",
    operation_id = "ucontact_refresh",
    request_body = Refresh,
    responses((status = 200, description = "Its successor, and an access token.", body = Tokens<'_>)),
)]
pub(super) async fn refresh(ctx: Context, mut request: Request) -> Result<Response, UcontactError> {
    let asked: Refresh = request.json().await?;
    let request_ctx = request_context(NAME, &ctx.node.config.api.ucontact, &request);
    let pair = refresh::refresh(&ctx, &asked.refresh_token, None, RotationPolicy::Rotate, request_ctx).await?;
    Ok(Tokens::answer(&pair))
}
