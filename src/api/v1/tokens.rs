//! What a token says: the caller's own, and any that is handed in. Tokens are JWTs here, or refresh tokens: an API key is neither.

use std::sync::Arc;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::V1Error;
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::sessions::open::session_email;
use crate::auth::tokens::introspect::{Introspection, introspect};
use crate::auth::tokens::verify::{Credential, TokenError, Verified, VerifyError, verify_access_token};
use crate::http::{Request, Response};
use crate::id::UserId;

/// A token of either kind.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…"})))]
pub(super) struct Verify {
    token: String,
}

/// A token that is good.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"token": {
    "token_type": "access",
    "uid": "e1bdd14a-e083-4dce-b748-801eeab54373",
    "email": "user@example.com",
    "exp": 1_763_141_504,
    "iat": 1_763_137_904,
}})))]
pub(super) struct Valid<'a> {
    token: Token<'a>,
}

/// What it says.
#[derive(Serialize, ToSchema)]
struct Token<'a> {
    /// `access` or `refresh`.
    #[schema(pattern = "^(access|refresh)$")]
    token_type: &'static str,
    #[serde(flatten)]
    claims: Claims<'a>,
}

/// What a token says of its user.
#[derive(Serialize, ToSchema)]
struct Claims<'a> {
    #[schema(value_type = uuid::Uuid)]
    uid: UserId,
    email: &'a str,
    /// When it is over, in seconds since 1970.
    exp: i64,
    /// When it was made.
    iat: i64,
}

/// What the caller's token says.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"claims": {
    "uid": "e1bdd14a-e083-4dce-b748-801eeab54373",
    "email": "user@example.com",
    "exp": 1_763_386_825,
    "iat": 1_763_127_625,
}})))]
pub(super) struct Me<'a> {
    claims: Claims<'a>,
}

/// The caller's access token, and what it says.
pub(super) fn bearer<'r>(ctx: &Context, request: &'r Request) -> Result<(&'r str, Arc<Verified>), Error> {
    let token = request.bearer().ok_or(Error::NoCredentials)?;
    Ok((token, verify_access_token(ctx, token)?))
}

const NO_USERS: VerifyError = VerifyError::Token(TokenError::WrongType);

/// What an access token says of its user. One that was made from an API key names no address: it is no user's.
fn claims(verified: &Verified) -> Result<Claims<'_>, Error> {
    Ok(Claims {
        uid: verified.user.ok_or(NO_USERS)?,
        email: verified.email.as_deref().ok_or(NO_USERS)?,
        exp: verified.expires_at.secs(),
        iat: verified.issued_at.secs(),
    })
}

/// What the caller's access token says.
#[utoipa::path(
    get,
    path = "/authorized/me",
    operation_id = "v1_me",
    security(("access_token" = [])),
    responses((status = 200, description = "Its claims.", body = Me<'_>)),
)]
pub(super) async fn me(ctx: Context, request: Request) -> Result<Response, V1Error> {
    let (_, verified) = bearer(&ctx, &request)?;
    Ok(Response::json(StatusCode::OK, &Me { claims: claims(&verified)? }).no_store())
}

/// Whether a token is good, and what it says.
///
/// An access or a refresh token, which is not used by it.
#[utoipa::path(
    post,
    path = "/verify",
    operation_id = "v1_verify",
    request_body = Verify,
    responses((status = 200, description = "It is good.", body = Valid<'_>)),
)]
pub(super) async fn verify(ctx: Context, mut request: Request) -> Result<Response, V1Error> {
    let asked: Verify = request.json().await?;
    let found = introspect(&ctx, &asked.token).await?;
    let address;
    let token = match &found {
        Introspection::Credential(Credential::Token(verified)) => {
            Token { token_type: "access", claims: claims(verified)? }
        }
        Introspection::Refresh(session) => {
            address = session_email(session)?;
            let (exp, iat) = (session.expires_at().secs(), session.rotated_at.secs());
            Token { token_type: "refresh", claims: Claims { uid: session.user, email: &address, exp, iat } }
        }
        Introspection::Credential(Credential::ApiKey(_)) | Introspection::Inactive => {
            return Err(Error::from(NO_USERS).into());
        }
    };
    Ok(Response::json(StatusCode::OK, &Valid { token }).no_store())
}

/// Whether a token is good, under another path.
#[utoipa::path(
    post,
    path = "/verify-token",
    operation_id = "v1_verify_token",
    request_body = Verify,
    responses((status = 200, description = "It is good.", body = Valid<'_>)),
)]
pub(super) async fn verify_token(ctx: Context, request: Request) -> Result<Response, V1Error> {
    verify(ctx, request).await
}
