//! Signing in, a new access token for the refresh token, which stays, and signing out.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::sign_up::Done;
use super::tokens::bearer;
use super::{V1Error, request_ctx};
use crate::auth::accounts::identity::Email;
use crate::auth::context::Context;
use crate::auth::passwords::Password;
use crate::auth::sessions::refresh;
use crate::auth::sessions::refresh::RotationPolicy;
use crate::auth::sign_in::password::sign_in;
use crate::auth::tokens::revoke::{end_session_of, revoke};
use crate::http::{Request, Response};

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"email": "user@example.com", "password": "123456"})))]
pub(super) struct Login {
    email: String,
    #[schema(value_type = String)]
    password: Password,
    /// The code of the second factor, of whom has one.
    totp_code: Option<String>,
}

/// What a sign-in gives.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…",
    "expires_in": 3600,
    "refresh_expires_in": 259_200,
    "refresh_token": "AQGaLgDLJ3K0nV3…",
})))]
pub(super) struct LoggedIn<'a> {
    access_token: &'a str,
    /// Seconds for which the access token is good.
    expires_in: u64,
    /// Seconds for which the refresh token is.
    refresh_expires_in: u64,
    refresh_token: &'a str,
}

/// Signs in with a password.
#[utoipa::path(
    post,
    path = "/login",
    operation_id = "v1_login",
    request_body = Login,
    responses((status = 200, description = "Signed in.", body = LoggedIn<'_>)),
)]
pub(super) async fn login(ctx: Context, mut request: Request) -> Result<Response, V1Error> {
    let asked: Login = request.json().await?;
    // This dialect signs in by address alone: a name is a faulty field and not an account.
    let email = Email::parse(&asked.email)?;
    let second = asked.totp_code.as_deref();
    let pair = sign_in(&ctx, email.as_str(), &asked.password, second, request_ctx(&ctx, &request)).await?;
    // It may be stamped with a later moment than this.
    let opened_at = pair.session.opened_at.min(ctx.now());
    let logged_in = LoggedIn {
        access_token: &pair.access,
        expires_in: pair.access_lives.as_secs(),
        refresh_expires_in: pair.refresh_until.since(opened_at).as_secs(),
        refresh_token: &pair.refresh,
    };
    Ok(Response::json(StatusCode::OK, &logged_in).no_store())
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"refresh_token": "AQGaLgDLJ3K0nV3"})))]
pub(super) struct Refresh {
    refresh_token: String,
}

/// A new access token.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…",
    "expires_in": 3600,
})))]
pub(super) struct Refreshed<'a> {
    access_token: &'a str,
    /// Seconds for which it is good.
    expires_in: u64,
}

/// A new access token for a refresh token.
///
/// The refresh token stays as it is, and is good no longer for it.
#[utoipa::path(
    post,
    path = "/refresh",
    operation_id = "v1_refresh",
    request_body = Refresh,
    responses((status = 200, description = "A new access token.", body = Refreshed<'_>)),
)]
pub(super) async fn refresh(ctx: Context, mut request: Request) -> Result<Response, V1Error> {
    let asked: Refresh = request.json().await?;
    let request_ctx = request_ctx(&ctx, &request);
    let pair = refresh::refresh(&ctx, &asked.refresh_token, None, RotationPolicy::Keep, request_ctx).await?;
    let refreshed = Refreshed { access_token: &pair.access, expires_in: pair.access_lives.as_secs() };
    Ok(Response::json(StatusCode::OK, &refreshed).no_store())
}

/// Signs out.
///
/// The session is over, its access and refresh tokens with it.
#[utoipa::path(
    post,
    path = "/logout",
    operation_id = "v1_logout",
    security(("access_token" = [])),
    responses((status = 200, description = "It is over.", body = Done, example = json!({"message": "logout successful"}))),
)]
pub(super) async fn logout(ctx: Context, request: Request) -> Result<Response, V1Error> {
    let (token, verified) = bearer(&ctx, &request)?;
    match (verified.user, verified.session) {
        (Some(user), Some(session)) => end_session_of(&ctx, user, session).await?,
        // A token that was made from an API key is in no session: it is all there is to end.
        _ => revoke(&ctx, token).await?,
    }
    Ok(Done::answer("logout successful"))
}

/// Signs out, under another path.
#[utoipa::path(
    post,
    path = "/authorized/logout",
    operation_id = "v1_authorized_logout",
    security(("access_token" = [])),
    responses((status = 200, description = "It is over.", body = Done, example = json!({"message": "logout successful"}))),
)]
pub(super) async fn authorized_logout(ctx: Context, request: Request) -> Result<Response, V1Error> {
    logout(ctx, request).await
}
