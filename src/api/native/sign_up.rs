//! Sign-up, and the rules that a new password must meet.

use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::profile::Profile;
use super::{NAME, Problem, check_name};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::{RATE_LIMITED, WEAK_PASSWORD, request_context};
use crate::auth::Error;
use crate::auth::accounts::create::CreateUser;
use crate::auth::accounts::{sign_up, verify_email};
use crate::auth::context::Context;
use crate::auth::error::InputError;
use crate::auth::identity::{EmailError, UsernameError};
use crate::auth::passwords::Password;
use crate::http::{Request, Response};

/// The account to create.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({
    "email": "zoe@example.org",
    "password": "a quiet harbour at dusk",
    "username": "zoe",
    "full_name": "Zoe Tam",
})))]
pub(super) struct SignUp {
    email: String,
    /// `GET /password-policy` has the rules.
    #[schema(value_type = String, format = Password)]
    password: Password,
    /// Unique, and without `@`. The user can sign in with it.
    #[schema(max_length = 64)]
    username: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
    full_name: Option<String>,
}

/// Create an account
///
/// Mails a link that confirms the address. Does not sign in: `POST /sessions` does, before the address is confirmed
/// too, unless the settings demand a confirmed one.
#[utoipa::path(
    post,
    path = "/users",
    operation_id = "native_sign_up",
    request_body = SignUp,
    responses((status = 201, description = "The account was created.", body = Profile<'_>)),
)]
async fn create(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let body: SignUp = request.json().await?;
    if let Some(name) = &body.full_name {
        check_name("full_name", name)?;
    }
    let request_ctx = request_context(NAME, &ctx.node.config.api.native, &request);
    let new_user = CreateUser {
        email: body.email,
        username: body.username,
        full_name: body.full_name,
        password: Some(body.password),
        ..CreateUser::default()
    };
    let user = sign_up::sign_up(&ctx, new_user, request_ctx).await?;
    let link = |token: &str| verify_email::page_link(&ctx.node.config, token);
    verify_email::send_sign_up_link(&ctx, &user, link, request_ctx).await?;
    Ok(Response::json(StatusCode::CREATED, &Profile::of(&ctx, &user, None).await?).no_store())
}

pub(super) const SIGN_UP: Endpoint = endpoint! {
    handler: create,
    metric_label: "native.sign-up",
    errors: [
        Error::InvalidInput(InputError::Email(EmailError::NoAt)),
        Error::InvalidInput(InputError::Username(UsernameError::Character)),
        WEAK_PASSWORD,
        Error::RegistrationClosed,
        Error::EmailTaken,
        Error::UsernameTaken,
        RATE_LIMITED,
        Error::Overloaded,
    ],
};
