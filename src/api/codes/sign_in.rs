//! Signing in, with a second factor or without one, and refreshing.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::accounts::name;
use super::{NAME, filled, text};
use crate::api::codes::error::{ErrorCode, Refusal};
use crate::api::request_context;
use crate::auth::Error;
use crate::auth::accounts::identity::{BadEmail, Email};
use crate::auth::context::Context;
use crate::auth::passwords::Password;
use crate::auth::sessions::open::{RequestContext, open_session};
use crate::auth::sessions::refresh::{RotationPolicy, refresh};
use crate::auth::sign_in::password::check_password;
use crate::auth::tokens::caller::User;
use crate::http::{Request, Response};

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"email": "user@example.com", "password": "Password123"})))]
pub(super) struct SignIn {
    #[serde(default, deserialize_with = "text")]
    #[schema(required = true)]
    email: String,
    #[serde(default, deserialize_with = "text")]
    #[schema(required = true)]
    password: String,
}

/// Who signs in and has a second factor.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"email": "user@example.com", "password": "Password123", "otp_code": "123456"})))]
pub(super) struct SignInOtp {
    #[serde(default, deserialize_with = "text")]
    #[schema(required = true)]
    email: String,
    #[serde(default, deserialize_with = "text")]
    #[schema(required = true)]
    password: String,
    /// A TOTP code, or a backup code that was not used yet.
    #[serde(default, deserialize_with = "text")]
    #[schema(required = true)]
    otp_code: String,
}

/// Who has signed in.
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

/// What is to be refreshed.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"refresh_token": "AQGaLgDLJ3K0nV3…"})))]
pub(super) struct Refresh {
    #[serde(default, deserialize_with = "text")]
    #[schema(required = true)]
    refresh_token: String,
}

/// A new access token.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…"})))]
pub(super) struct Refreshed<'a> {
    access_token: &'a str,
}

/// Signs in.
///
/// Who has a second factor is told so with `150`, and comes again by `signin/otp`.
#[utoipa::path(
    post,
    path = "/signin",
    operation_id = "codes_sign_in",
    request_body = SignIn,
    responses((status = 200, description = "Signed in; or `150`: the second factor is due.", content(
        (EitherSignIn<'_> = "application/json", examples(
            ("signed-in" = (summary = "Signed in", value = json!({
                "user_name": "USER_NAME",
                "access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…",
                "refresh_token": "AQGaLgDLJ3K0nV3…",
            }))),
            ("second-factor-due" = (summary = "The second factor is due", value = json!({"error_code": "150"}))),
        )),
    ))),
)]
pub(super) async fn sign_in(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    let SignIn { email, password } = request.json().await?;
    let request_ctx = request_context(NAME, &ctx.node.config.api.codes.dialect, &request);
    let user = recognised(&ctx, &email, password, request_ctx).await?;
    opened(&ctx, &user, None, request_ctx).await
}

/// What `signin` answers with 200.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = SignInAnswer)]
#[expect(dead_code, reason = "it is there for the document")]
pub(super) enum EitherSignIn<'a> {
    /// Inside.
    SignedIn(SignedIn<'a>),
    /// The second factor is due.
    Due(ErrorCode<'a>),
}

/// Signs in with a second factor.
///
/// Each TOTP code and each backup code is good once.
#[utoipa::path(
    post,
    path = "/signin/otp",
    operation_id = "codes_sign_in_otp",
    request_body = SignInOtp,
    responses((status = 200, description = "Signed in.", body = SignedIn<'_>)),
)]
pub(super) async fn sign_in_with_otp(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    let SignInOtp { email, password, otp_code } = request.json().await?;
    let request_ctx = request_context(NAME, &ctx.node.config.api.codes.dialect, &request);
    let user = recognised(&ctx, &email, password, request_ctx).await?;
    if user.totp.is_none() {
        return Err(Error::NoSecondFactor.into());
    }
    opened(&ctx, &user, Some(&otp_code), request_ctx).await
}

/// By address alone: other dialects' usernames are none here. An empty address is a malformed one, and an empty password a wrong
/// one: the document has no other codes for these calls.
async fn recognised(
    ctx: &Context,
    email: &str,
    password: String,
    request_ctx: RequestContext<'_>,
) -> Result<User, Error> {
    let password = Password::new(password);
    let email = Email::parse(email).map_err(|bad| if bad == BadEmail::Empty { BadEmail::NoAt } else { bad })?;
    check_password(ctx, email.as_str(), &password, request_ctx.rate_limit_ip).await
}

async fn opened(
    ctx: &Context,
    user: &User,
    otp_code: Option<&str>,
    request_ctx: RequestContext<'_>,
) -> Result<Response, Refusal> {
    let pair = open_session(ctx, user, otp_code, request_ctx).await?;
    let body = SignedIn { user_name: name(user), access_token: &pair.access, refresh_token: &pair.refresh };
    Ok(Response::json(StatusCode::OK, &body).no_store())
}

/// Gives a new access token.
///
/// The refresh token stays as it is, and so does the time for which it is good.
#[utoipa::path(
    post,
    path = "/refresh",
    operation_id = "codes_refresh",
    request_body = Refresh,
    responses((status = 200, description = "Refreshed.", body = Refreshed<'_>)),
)]
pub(super) async fn refreshed(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    let Refresh { refresh_token } = request.json().await?;
    filled("refresh_token", &refresh_token)?;
    let request_ctx = request_context(NAME, &ctx.node.config.api.codes.dialect, &request);
    let pair = refresh(&ctx, &refresh_token, None, RotationPolicy::Keep, request_ctx).await?;
    Ok(Response::json(StatusCode::OK, &Refreshed { access_token: &pair.access }).no_store())
}
