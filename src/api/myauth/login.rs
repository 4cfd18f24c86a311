//! Sign-up, sign-in with a password, refresh and sign-out.

use serde::Deserialize;
use utoipa::ToSchema;

use super::request_context;
use super::wire::{
    FullName, Msg, Token, embedded_body, login_step_response, message_response, parse_with_new_password,
    require_bearer, token_pair_response, user_response,
};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::fastapi::{EmailStr, both};
use crate::api::myauth::error::{Call, MyauthError};
use crate::api::users_me::UserRead;
use crate::api::{RATE_LIMITED, WEAK_PASSWORD};
use crate::auth::Error;
use crate::auth::accounts::create::CreateUser;
use crate::auth::accounts::sign_up;
use crate::auth::context::Context;
use crate::auth::passwords::Password;
use crate::auth::sessions::refresh::refresh;
use crate::auth::sign_in::password::start_sign_in;
use crate::auth::tokens::caller::refresh_error;
use crate::auth::tokens::revoke::revoke_refresh_token;
use crate::http::{FieldError, FieldErrorKind, FormFields, ParamLocation, Rejection, Request, Response};

/// The account to create.
#[derive(Deserialize, ToSchema)]
#[schema(as = SignUp, examples(json!({
    "email": "zoe@example.org", "password": "a quiet harbour at dusk", "full_name": "Zoe Tam"
})))]
pub(super) struct SignUpRequest {
    #[schema(value_type = String, format = Email, max_length = 254)]
    email: EmailStr,
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 128)]
    password: Password,
    #[schema(value_type = Option<String>, max_length = 255)]
    full_name: Option<FullName>,
}

/// Sign up.
///
/// Requires open registration.
#[utoipa::path(
    post,
    path = "/login/signup",
    operation_id = "myauth_sign_up",
    request_body = SignUpRequest,
    responses((status = 200, description = "The new user.", body = UserRead)),
)]
async fn sign_up(ctx: Context, mut request: Request) -> Result<Response, MyauthError> {
    let body = embedded_body(&mut request).await?;
    let body: SignUpRequest = parse_with_new_password(&ctx, &body, "password")?;
    let new_user = CreateUser {
        email: body.email.0.as_str().to_owned(),
        password: Some(body.password),
        full_name: body.full_name.map(|name| name.0),
        ..CreateUser::default()
    };
    let request_ctx = request_context(&ctx, &request);
    let user = sign_up::sign_up(&ctx, new_user, request_ctx).await.map_err(MyauthError::in_call(Call::SignUp))?;
    Ok(user_response(&user))
}

pub(super) const SIGN_UP: Endpoint = endpoint! {
    handler: sign_up,
    metric_label: "myauth.sign-up",
    errors: [
        Error::EmailTaken,
        Error::RegistrationClosed,
        WEAK_PASSWORD,
        RATE_LIMITED,
        Error::Overloaded,
    ],
};

/// The form of the OAuth 2.0 password grant. Fields other than these are ignored.
#[derive(ToSchema)]
#[schema(examples(json!({"username": "zoe@example.org", "password": "a quiet harbour at dusk"})))]
#[allow(dead_code, reason = "for the OpenAPI document only: forms are read field by field")]
pub(super) struct OauthForm {
    // An empty field counts as absent.
    #[schema(required = false, pattern = "^(password)?$")]
    grant_type: String,
    /// The e-mail address.
    #[schema(min_length = 1)]
    username: String,
    #[schema(format = Password, min_length = 1)]
    password: String,
    #[schema(required = false)]
    scope: String,
    #[schema(required = false)]
    client_id: String,
    #[schema(required = false)]
    client_secret: String,
}

/// Sign in with a password.
///
/// If the user has TOTP enabled, the response contains only the token of the second step; `/login/totp` completes the
/// sign-in.
#[utoipa::path(
    post,
    path = "/login/oauth",
    operation_id = "myauth_sign_in",
    request_body(content((OauthForm = "application/x-www-form-urlencoded"), (OauthForm = "multipart/form-data"))),
    responses((status = 200, description = "The tokens.", body = Token<'_>)),
)]
async fn sign_in(ctx: Context, mut request: Request) -> Result<Response, MyauthError> {
    let form = request.form().await?;
    let ((), (username, password)) = both(check_grant_type(&form), credentials(&form))?;
    let request_ctx = request_context(&ctx, &request);
    let step =
        start_sign_in(&ctx, username, &password, request_ctx).await.map_err(MyauthError::in_call(Call::SignIn))?;
    Ok(login_step_response(&step))
}

pub(super) const SIGN_IN: Endpoint = endpoint! {
    handler: sign_in,
    metric_label: "myauth.sign-in",
    errors: [Error::InvalidCredentials, RATE_LIMITED, Error::Overloaded],
};

/// FastAPI's form lets the grant type be absent or empty, and otherwise has one value.
fn check_grant_type(form: &FormFields) -> Result<(), Rejection> {
    match form.get("grant_type") {
        None | Some("" | "password") => Ok(()),
        Some(_) => {
            let kind = FieldErrorKind::Invalid("String should match pattern '^password$'".to_owned());
            Err(Rejection::field(FieldError::new(ParamLocation::Body, "grant_type", kind)))
        }
    }
}

/// Reads username and password. Like FastAPI, treats an empty form field as missing.
fn credentials(form: &FormFields) -> Result<(&str, Password), Rejection> {
    let field = |name: &'static str| form.get(name).filter(|text| !text.is_empty()).ok_or(name);
    match (field("username"), field("password")) {
        (Ok(username), Ok(password)) => Ok((username, Password::new(password.to_owned()))),
        (username, password) => {
            let missing = [username.err(), password.err()].into_iter().flatten();
            Err(Rejection::InvalidFields(missing.map(|name| FieldError::missing(ParamLocation::Body, name)).collect()))
        }
    }
}

/// Refresh the tokens.
///
/// Takes a refresh token as the bearer token and rotates it: the old one stops working.
#[utoipa::path(
    post,
    path = "/login/refresh",
    operation_id = "myauth_refresh",
    security(("refresh_token" = [])),
    responses((status = 200, description = "The new tokens.", body = Token<'_>)),
)]
async fn refresh_tokens(ctx: Context, request: Request) -> Result<Response, MyauthError> {
    let token = require_bearer(&request)?;
    let request_ctx = request_context(&ctx, &request);
    match refresh(&ctx, token, None, request_ctx).await {
        Ok(tokens) => Ok(token_pair_response(&tokens)),
        Err(error) => Err(refresh_error(&ctx, token, error).await.into()),
    }
}

pub(super) const REFRESH: Endpoint = endpoint! {
    handler: refresh_tokens,
    metric_label: "myauth.refresh",
    errors: [Error::AccountDisabled, Error::EmailNotVerified],
};

/// Revoke a refresh token.
///
/// Ends its session.
#[utoipa::path(
    post,
    path = "/login/revoke",
    operation_id = "myauth_revoke",
    security(("refresh_token" = [])),
    responses((status = 200, description = "The session has ended.", body = Msg)),
)]
async fn revoke(ctx: Context, request: Request) -> Result<Response, MyauthError> {
    let token = require_bearer(&request)?;
    let request_ctx = request_context(&ctx, &request);
    match revoke_refresh_token(&ctx, token, request_ctx).await {
        Ok(()) => Ok(message_response("Token revoked successfully.")),
        Err(error) => Err(refresh_error(&ctx, token, error).await.into()),
    }
}

pub(super) const REVOKE: Endpoint = endpoint! {
    handler: revoke,
    metric_label: "myauth.revoke",
    errors: [Error::AccountDisabled],
};
