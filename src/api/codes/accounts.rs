//! Making an account.
//!
//! `user_name` is what an account is shown as, and becomes the full name, not the username: the document knows no failure for a name
//! that somebody else has, nor for any character, and nobody signs in by it. So two people may have one name here, while usernames,
//! by which other dialects sign in, stay unique.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{NAME, filled, text};
use crate::api::codes::error::Refusal;
use crate::api::request_context;
use crate::auth::Error;
use crate::auth::accounts::create::CreateUser;
use crate::auth::accounts::identity::{BadUsername, Email};
use crate::auth::accounts::sign_up;
use crate::auth::context::Context;
use crate::auth::passwords::Password;
use crate::auth::tokens::caller::User;
use crate::http::{Request, Response};
use crate::id::UserId;

/// How many characters a name has at the most.
const LONGEST_NAME: usize = 16;

/// Who wants an account.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"email": "user@example.com", "user_name": "USER_NAME", "password": "StrongPassword123"})))]
pub(super) struct SignUp {
    /// Kept in lower case.
    #[serde(default, deserialize_with = "text")]
    #[schema(required = true)]
    email: String,
    /// Any 16 characters; others may have the same.
    #[serde(default, deserialize_with = "text")]
    #[schema(required = true, max_length = 16)]
    user_name: String,
    #[serde(default, deserialize_with = "text")]
    #[schema(required = true)]
    password: String,
}

/// The account.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"user_id": "85f22dda-efc2-459d-b518-640400a69e8d", "user_name": "USER_NAME"})))]
pub(super) struct SignedUp<'a> {
    #[schema(value_type = uuid::Uuid)]
    user_id: UserId,
    user_name: &'a str,
}

/// Makes an account.
///
/// The address is not confirmed yet: `mail/verify/send` sees to that. A weak password is `PASSWORD_TOO_WEAK`.
#[utoipa::path(
    post,
    path = "/signup",
    operation_id = "codes_sign_up",
    request_body = SignUp,
    responses((status = 200, description = "The account is made.", body = SignedUp<'_>)),
)]
pub(super) async fn sign_up(ctx: Context, mut request: Request) -> Result<Response, Refusal> {
    let SignUp { email, user_name, password } = request.json().await?;
    let password = Password::new(password);
    filled("email", &email)?;
    // A password of blanks is one, if a weak one.
    if password.reveal().is_empty() {
        return Err(super::empty("password").into());
    }
    filled("user_name", &user_name)?;
    Email::parse(&email)?;
    check(&user_name)?;
    let request_ctx = request_context(NAME, &ctx.node.config.api.codes.dialect, &request);
    let wanted = CreateUser { email, full_name: Some(user_name), password: Some(password), ..CreateUser::default() };
    let user = sign_up::sign_up(&ctx, wanted, request_ctx).await?;
    Ok(Response::json(StatusCode::OK, &SignedUp { user_id: user.id, user_name: name(&user) }))
}

fn check(user_name: &str) -> Result<(), Error> {
    if user_name.chars().count() > LONGEST_NAME {
        Err(BadUsername::TooLong.into())
    } else if user_name.chars().any(char::is_control) {
        Err(BadUsername::Character.into())
    } else {
        Ok(())
    }
}

/// What a user is shown as. Who comes from another dialect may have no full name: then the username, or what stands before the `@`.
pub(super) fn name(user: &User) -> &str {
    let before_at = user.email.split('@').next().unwrap_or_default();
    user.full_name.as_deref().or(user.username.as_deref()).unwrap_or(before_at)
}
