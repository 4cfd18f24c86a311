//! Wire types and responses that several calls share: tokens, claims, messages, names, roles.

use bytes::Bytes;
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

use crate::api::fastapi::{BoundedString, both, password_error};
use crate::api::users_me::{PLAIN_ROLE, UserRead};
use crate::auth::accounts::{MAX_FULL_NAME, MAX_ROLE_LENGTH, MAX_ROLES};
use crate::auth::context::Context;
use crate::auth::passwords::{Password, Policy};
use crate::auth::sessions::tokens::TokenPair;
use crate::auth::sign_in::login_step::LoginStep;
use crate::auth::{Error, User};
use crate::http::json::{self, bounded_list};
use crate::http::{Rejection, Request, Response};

/// The tokens of a sign-in, or only the token of the second step if TOTP is enabled.
#[derive(Serialize, ToSchema)]
#[schema(examples(
    json!({"access_token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…", "refresh_token": "AQGaLgDLJ3K0nV3…",
        "token_type": "bearer"}),
    json!({"access_token": "eyJ0eXAiOiJzaWduZXQtc2Vjb25kLWZhY3Rvcitqd3QiLCJhbGci…", "refresh_token": null,
        "token_type": "bearer"}),
))]
pub(super) struct Token<'a> {
    /// If `refresh_token` is null, the payload contains `totp: true` and the token is valid only for `/login/totp`.
    access_token: &'a str,
    refresh_token: Option<&'a str>,
    #[schema(pattern = "^bearer$")]
    token_type: &'static str,
}

/// The device secret that belongs to a mailed link, or a TOTP code.
#[derive(Serialize, serde::Deserialize, ToSchema)]
#[schema(examples(json!({"claim": "kU0v1hYt0GZ4bQ9sXwJmT3rLq2A"})))]
pub(super) struct WebToken {
    pub(super) claim: String,
}

/// Confirmation that the call succeeded.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"msg": "Token revoked successfully."})))]
pub(super) struct Msg {
    msg: &'static str,
}

/// The new roles of a user: `roles` if given, otherwise `role`. `None` leaves the roles unchanged.
pub(super) fn resolve_roles(current_role: &str, role: Option<Role>, roles: Option<Roles>) -> Option<Vec<String>> {
    match (roles, role) {
        (Some(Roles(roles)), _) => Some(roles),
        (None, Some(BoundedString(role))) if role == current_role => None,
        (None, Some(BoundedString(role))) if role == PLAIN_ROLE => Some(Vec::new()),
        (None, Some(BoundedString(role))) => Some(vec![role]),
        (None, None) => None,
    }
}

/// Full name of a user.
pub(super) type FullName = BoundedString<0, MAX_FULL_NAME>;

/// Name of a role.
pub(super) type Role = BoundedString<1, MAX_ROLE_LENGTH>;

/// Roles without duplicates.
#[derive(Clone, Debug)]
pub(super) struct Roles(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Roles {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let names: Vec<Role> = bounded_list(from, MAX_ROLES)?
            .map_err(|_| de::Error::custom(format!("there are more than {MAX_ROLES} roles")))?;
        let mut roles = Vec::new();
        for BoundedString(role) in names {
            if role != PLAIN_ROLE && !roles.contains(&role) {
                roles.push(role);
            }
        }
        Ok(Self(roles))
    }
}

/// Reads a body that contains a new password and checks the password against the policy. A 422 lists the violation
/// together with the errors of all other fields.
pub(super) async fn read_with_new_password<T: DeserializeOwned>(
    ctx: &Context,
    request: &mut Request,
    field: &'static str,
) -> Result<T, Rejection> {
    parse_with_new_password(ctx, &request.json_bytes().await?, field)
}

/// The body of a call whose fields FastAPI takes one by one instead of as a model: without a body, or with null, the 422
/// names every field that is missing.
pub(super) async fn embedded_body(request: &mut Request) -> Result<Bytes, Rejection> {
    let body = request.json_bytes().await?;
    Ok(if matches!(body.trim_ascii(), b"" | b"null") { Bytes::from_static(b"{}") } else { body })
}

/// As [`read_with_new_password`], for a body that was read before.
pub(super) fn parse_with_new_password<T: DeserializeOwned>(
    ctx: &Context,
    body: &[u8],
    field: &'static str,
) -> Result<T, Rejection> {
    #[derive(serde::Deserialize)]
    struct NewPassword {
        #[serde(alias = "new_password")]
        password: Option<Password>,
    }
    let config = &ctx.node.config;
    let policy = Policy::for_dialect(&config.api.myauth, &config.passwords);
    let new_password = json::parse::<NewPassword>(body).ok().and_then(|body| body.password);
    let checked = new_password.map_or(Ok(()), |password| policy.check(&password));
    let checked = checked.map_err(|violation| Rejection::field(password_error(field, violation)));
    both(json::parse(body), checked).map(|(body, ())| body)
}

/// The token in `Authorization: Bearer …`.
pub(super) fn require_bearer(request: &Request) -> Result<&str, Error> {
    request.bearer().ok_or(Error::MissingCredentials)
}

pub(super) fn message_response(msg: &'static str) -> Response {
    Response::json(http::StatusCode::OK, &Msg { msg })
}

pub(super) fn user_response(user: &User) -> Response {
    Response::json(http::StatusCode::OK, &UserRead::new(user)).no_store()
}

pub(super) fn web_token_response(claim: String) -> Response {
    Response::json(http::StatusCode::OK, &WebToken { claim }).no_store()
}

pub(super) fn token_pair_response(tokens: &TokenPair) -> Response {
    token_response(&tokens.access_token, Some(&tokens.refresh_token))
}

pub(super) fn login_step_response(step: &LoginStep) -> Response {
    match step {
        LoginStep::Complete(tokens) => token_pair_response(tokens),
        LoginStep::MfaRequired(mfa_token) => token_response(mfa_token, None),
    }
}

fn token_response(access_token: &str, refresh_token: Option<&str>) -> Response {
    let token = Token { access_token, refresh_token, token_type: "bearer" };
    Response::json(http::StatusCode::OK, &token).no_store()
}
