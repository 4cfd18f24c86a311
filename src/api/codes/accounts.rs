//! Sign-up.
//!
//! `user_name` is a display name and is stored as the full name, not as the username: the published document has no
//! error for a name that is taken or that contains certain characters, and no call signs in with it. Two accounts may
//! therefore have the same `user_name`, while usernames, which other dialects use for sign-in, stay unique.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{missing_field, request_context, require_non_empty, string_or_empty};
use crate::api::codes::error::CodesError;
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::{RATE_LIMITED, WEAK_PASSWORD};
use crate::auth::Error;
use crate::auth::accounts::create::CreateUser;
use crate::auth::accounts::sign_up;
use crate::auth::context::Context;
use crate::auth::identity::{Email, EmailError, UsernameError};
use crate::auth::passwords::Password;
use crate::auth::tokens::caller::User;
use crate::http::{Request, Response};
use crate::id::UserId;

/// Maximum length of a `user_name` in characters, by the document of this API.
const MAX_NAME_LENGTH: usize = 16;

/// The account to create.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"email": "user@example.com", "user_name": "USER_NAME", "password": "StrongPassword123"})))]
pub(super) struct SignUp {
    /// Stored in lower case.
    #[serde(default, deserialize_with = "string_or_empty")]
    #[schema(required = true)]
    email: String,
    /// Up to 16 characters. Need not be unique.
    #[serde(default, deserialize_with = "string_or_empty")]
    #[schema(required = true, max_length = 16)]
    user_name: String,
    #[serde(default, deserialize_with = "string_or_empty")]
    #[schema(required = true)]
    password: String,
}

/// The new account.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"user_id": "85f22dda-efc2-459d-b518-640400a69e8d", "user_name": "USER_NAME"})))]
pub(super) struct SignedUp<'a> {
    #[schema(value_type = uuid::Uuid)]
    user_id: UserId,
    user_name: &'a str,
}

/// Create an account.
///
/// The e-mail address is not verified yet: `mail/verify/send` mails a code for that. A weak password is rejected with
/// `PASSWORD_TOO_WEAK`.
#[utoipa::path(
    post,
    path = "/signup",
    operation_id = "codes_sign_up",
    request_body = SignUp,
    responses((status = 200, description = "The account was created.", body = SignedUp<'_>)),
)]
async fn sign_up(ctx: Context, mut request: Request) -> Result<Response, CodesError> {
    let SignUp { email, user_name, password } = request.json().await?;
    let password = Password::new(password);
    require_non_empty("email", &email)?;
    // A password of spaces is not empty; the password policy rejects it as weak.
    if password.reveal().is_empty() {
        return Err(missing_field("password").into());
    }
    require_non_empty("user_name", &user_name)?;
    Email::parse(&email)?;
    check_user_name(&user_name)?;
    let request_ctx = request_context(&ctx, &request);
    let new_user = CreateUser { email, full_name: Some(user_name), password: Some(password), ..CreateUser::default() };
    let user = sign_up::sign_up(&ctx, new_user, request_ctx).await?;
    Ok(Response::json(StatusCode::OK, &SignedUp { user_id: user.id, user_name: display_name(&user) }))
}

pub(super) const SIGN_UP: Endpoint = endpoint! {
    handler: sign_up,
    state: super::in_band,
    respond: super::respond,
    metric_label: "codes.sign-up",
    errors: [
        missing_field("password"),
        missing_field("user_name"),
        EmailError::Domain,
        UsernameError::TooLong,
        UsernameError::Character,
        WEAK_PASSWORD,
        Error::EmailTaken,
        Error::RegistrationClosed,
        RATE_LIMITED,
        Error::Overloaded,
    ],
};

fn check_user_name(user_name: &str) -> Result<(), Error> {
    if user_name.chars().count() > MAX_NAME_LENGTH {
        Err(UsernameError::TooLong.into())
    } else if user_name.chars().any(char::is_control) {
        Err(UsernameError::Character.into())
    } else {
        Ok(())
    }
}

/// The name to show for a user: the full name, or else the username, or else the address up to the `@`. Users created
/// in another dialect may have no full name.
pub(super) fn display_name(user: &User) -> &str {
    let before_at = user.email.split('@').next().unwrap_or_default();
    user.full_name.as_deref().or(user.username.as_deref()).unwrap_or(before_at)
}
