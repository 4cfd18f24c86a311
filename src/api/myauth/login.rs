//! Signing up, in and out with a password and with refresh tokens.

use serde::Deserialize;
use utoipa::ToSchema;

use super::NAME;
use super::wire::{FullName, Msg, Token, bearer, entered, said, shown, tokens, with_password};
use crate::api::fastapi::EmailStr;
use crate::api::myauth::error::{Call, Refusal};
use crate::api::request_context;
use crate::api::users_me::UserRead;
use crate::auth::accounts::create::CreateUser;
use crate::auth::accounts::sign_up;
use crate::auth::context::Context;
use crate::auth::passwords::Password;
use crate::auth::sessions::refresh::{RotationPolicy, refresh};
use crate::auth::sign_in::password::start_sign_in;
use crate::auth::tokens::caller::refresh_error;
use crate::auth::tokens::revoke::revoke_refresh_token;
use crate::http::{FieldError, FormFields, ParamLocation, Rejection, Request, Response};

/// Who signs up.
#[derive(Deserialize, ToSchema)]
#[schema(as = SignUp, examples(json!({
    "email": "zoe@example.org", "password": "a quiet harbour at dusk", "full_name": "Zoe Tam"
})))]
pub(super) struct SignUp {
    #[schema(value_type = String, format = Email, max_length = 254)]
    email: EmailStr,
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 128)]
    password: Password,
    #[schema(value_type = Option<String>, max_length = 255)]
    full_name: Option<FullName>,
}

/// Makes an account of one's own.
///
/// Where registration is open.
#[utoipa::path(
    post,
    path = "/login/signup",
    operation_id = "myauth_sign_up",
    request_body = SignUp,
    responses((status = 200, description = "The new user.", body = UserRead)),
)]
pub(super) async fn sign_up(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    let asked: SignUp = with_password(&ctx, &mut request, "password").await?;
    let wanted = CreateUser {
        email: asked.email.0.as_str().to_owned(),
        password: Some(asked.password),
        full_name: asked.full_name.map(|name| name.0),
        ..CreateUser::default()
    };
    let request_ctx = request_context(NAME, &ctx.node.config.api.myauth, &request);
    let user = sign_up::sign_up(&ctx, wanted, request_ctx).await.map_err(Refusal::of(Call::SignUp))?;
    Ok(shown(&user))
}

/// A sign-in as OAuth2 forms it. Its other fields decide nothing.
#[derive(ToSchema)]
#[schema(examples(json!({"username": "zoe@example.org", "password": "a quiet harbour at dusk"})))]
#[allow(dead_code, reason = "for the document alone: forms are read field by field")]
pub(super) struct OauthForm {
    #[schema(required = false)]
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

/// Signs in with a password.
///
/// Where the user has a second factor, the answer is the token of the second step, and `/login/totp` finishes the sign-in.
#[utoipa::path(
    post,
    path = "/login/oauth",
    operation_id = "myauth_sign_in",
    request_body(content((OauthForm = "application/x-www-form-urlencoded"), (OauthForm = "multipart/form-data"))),
    responses((status = 200, description = "The tokens.", body = Token<'_>)),
)]
pub(super) async fn sign_in(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    let form = request.form().await?;
    let (username, password) = credentials(&form)?;
    let request_ctx = request_context(NAME, &ctx.node.config.api.myauth, &request);
    let entry = start_sign_in(&ctx, username, &password, request_ctx).await.map_err(Refusal::of(Call::SignIn))?;
    Ok(entered(&entry))
}

/// FastAPI takes an empty field of a form for one that is not there.
fn credentials(form: &FormFields) -> Result<(&str, Password), Rejection> {
    let field = |name: &'static str| form.get(name).filter(|text| !text.is_empty()).ok_or(name);
    match (field("username"), field("password")) {
        (Ok(username), Ok(password)) => Ok((username, Password::new(password.to_owned()))),
        (username, password) => {
            let missing = [username.err(), password.err()].into_iter().flatten();
            Err(Rejection::Fields(missing.map(|name| FieldError::missing(ParamLocation::Body, name)).collect()))
        }
    }
}

/// Gives new tokens for a refresh token.
///
/// The one that is handed in is replaced and no longer good.
#[utoipa::path(
    post,
    path = "/login/refresh",
    operation_id = "myauth_refresh",
    security(("refresh_token" = [])),
    responses((status = 200, description = "The new tokens.", body = Token<'_>)),
)]
pub(super) async fn refresh_tokens(ctx: Context, request: Request) -> Result<Response, Refusal> {
    let token = bearer(&request)?;
    let request_ctx = request_context(NAME, &ctx.node.config.api.myauth, &request);
    match refresh(&ctx, token, None, RotationPolicy::Rotate, request_ctx).await {
        Ok(pair) => Ok(tokens(&pair)),
        Err(failure) => Err(refresh_error(&ctx, token, failure).await.into()),
    }
}

/// Ends a session by its refresh token.
#[utoipa::path(
    post,
    path = "/login/revoke",
    operation_id = "myauth_revoke",
    security(("refresh_token" = [])),
    responses((status = 200, description = "It is over.", body = Msg)),
)]
pub(super) async fn revoke(ctx: Context, request: Request) -> Result<Response, Refusal> {
    let token = bearer(&request)?;
    let request_ctx = request_context(NAME, &ctx.node.config.api.myauth, &request);
    match revoke_refresh_token(&ctx, token, request_ctx).await {
        Ok(()) => Ok(said("Token revoked successfully.")),
        Err(failure) => Err(refresh_error(&ctx, token, failure).await.into()),
    }
}
