//! Sign-up, and the rules that a new password must meet.

use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::idempotency::{self, IN_PROGRESS, IdempotencyKey, KEY_REUSED};
use super::profile::Profile;
use super::{Problem, check_name, request_context};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::{RATE_LIMITED, WEAK_PASSWORD};
use crate::auth::Error;
use crate::auth::accounts::create::CreateUser;
use crate::auth::accounts::{sign_up, verify_email};
use crate::auth::context::Context;
use crate::auth::idempotency::Requester;
use crate::auth::identity::{EmailError, UsernameError};
use crate::auth::passwords::{Password, Policy};
use crate::http::{Request, Response, json};

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
/// Mails a link that confirms the address. Does not sign in: `POST /sessions` does. That works before the address is
/// confirmed, unless the settings demand a confirmed address.
#[utoipa::path(
    post,
    path = "/users",
    operation_id = "native_sign_up",
    params(IdempotencyKey),
    request_body = SignUp,
    responses((status = 201, description = "The account was created.", body = Profile<'_>)),
)]
async fn create(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let bytes = request.json_bytes().await?;
    let body: SignUp = json::parse(&bytes)?;
    if let Some(name) = &body.full_name {
        check_name("full_name", name)?;
    }
    let request_ctx = request_context(&ctx, &request).into_owned();
    let work = {
        let ctx = ctx.clone();
        async move {
            let request_ctx = request_ctx.borrow(&ctx.node.config.api.native);
            let new_user = CreateUser {
                email: body.email,
                username: body.username,
                full_name: body.full_name,
                password: Some(body.password),
                ..CreateUser::default()
            };
            let user = sign_up::sign_up(&ctx, new_user, request_ctx).await?;
            verify_email::send_sign_up_page_link(&ctx, &user, request_ctx).await?;
            idempotency::to_json(&Profile::of(&ctx, &user, None).await?)
        }
    };
    let requester = Requester::Network(request.rate_limit_ip());
    idempotency::create(&ctx, &request, "sign up", requester, &bytes, work).await
}

pub(super) const SIGN_UP: Endpoint = endpoint! {
    handler: create,
    metric_label: "native.sign-up",
    errors: [
        EmailError::NoAt,
        UsernameError::Character,
        WEAK_PASSWORD,
        Error::RegistrationClosed,
        Error::EmailTaken,
        Error::UsernameTaken,
        KEY_REUSED,
        IN_PROGRESS,
        RATE_LIMITED,
        Error::Overloaded,
    ],
};

/// The rules for new passwords.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"min_length": 8, "max_length": 128, "common_passwords_refused": true})))]
struct PasswordPolicy {
    /// In characters.
    min_length: usize,
    /// In characters.
    max_length: usize,
    /// True if the 10,000 most common passwords are refused.
    common_passwords_refused: bool,
}

/// Get the rules for new passwords
#[utoipa::path(
    get,
    path = "/password-policy",
    operation_id = "native_password_policy",
    responses((status = 200, description = "The rules.", body = PasswordPolicy)),
)]
fn password_policy(ctx: &Context, _: &Request) -> Response {
    let policy = Policy::for_dialect(&ctx.node.config.api.native, &ctx.node.config.passwords);
    let body = PasswordPolicy {
        min_length: policy.min_length,
        max_length: policy.max_length,
        common_passwords_refused: policy.refuse_common,
    };
    Response::json(StatusCode::OK, &body).header(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"))
}

pub(super) const PASSWORD_POLICY: Endpoint = endpoint! {
    sync_handler: password_policy,
    metric_label: "native.password-policy",
};
