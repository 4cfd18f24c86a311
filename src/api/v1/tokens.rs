//! Token introspection: of the caller's own token and of any other. Takes access tokens and refresh tokens, but no API
//! keys.

use std::sync::Arc;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{EXPIRED, V1Error, request_context};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::sessions::claims::session_email;
use crate::auth::tokens::caller::verify_own_token;
use crate::auth::tokens::introspect::{Introspection, introspect_in_dialect};
use crate::auth::tokens::verify::{Credential, TokenError, VerifiedToken, VerifyError};
use crate::http::{Request, Response};
use crate::id::UserId;

/// An access token or a refresh token.
#[derive(Deserialize, ToSchema)]
#[schema(as = Verify, examples(json!({"token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…"})))]
pub(super) struct VerifyRequest {
    token: String,
}

/// A valid token.
#[derive(Serialize, ToSchema)]
#[schema(as = Valid, examples(json!({"token": {
    "token_type": "access",
    "uid": "e1bdd14a-e083-4dce-b748-801eeab54373",
    "email": "user@example.com",
    "exp": 1_763_141_504,
    "iat": 1_763_137_904,
}})))]
pub(super) struct VerifyResponse<'a> {
    token: Token<'a>,
}

/// Type and claims of the token.
#[derive(Serialize, ToSchema)]
struct Token<'a> {
    /// `access` or `refresh`.
    #[schema(pattern = "^(access|refresh)$")]
    token_type: &'static str,
    #[serde(flatten)]
    claims: Claims<'a>,
}

/// The claims of a token.
#[derive(Serialize, ToSchema)]
struct Claims<'a> {
    #[schema(value_type = uuid::Uuid)]
    uid: UserId,
    email: &'a str,
    /// Expiry in seconds since 1970.
    exp: i64,
    /// Time of issue in seconds since 1970.
    iat: i64,
}

/// The claims of the caller's token.
#[derive(Serialize, ToSchema)]
#[schema(as = Me, examples(json!({"claims": {
    "uid": "e1bdd14a-e083-4dce-b748-801eeab54373",
    "email": "user@example.com",
    "exp": 1_763_386_825,
    "iat": 1_763_127_625,
}})))]
pub(super) struct MeResponse<'a> {
    claims: Claims<'a>,
}

/// The caller's access token and its verified claims.
pub(super) fn verify_bearer<'r>(ctx: &Context, request: &'r Request) -> Result<(&'r str, Arc<VerifiedToken>), Error> {
    let token = request.bearer().ok_or(Error::MissingCredentials)?;
    Ok((token, verify_own_token(ctx, token)?))
}

/// An access token that was issued for an API key is refused: it belongs to no user session and has no address.
const NO_USER: VerifyError = VerifyError::Token(TokenError::WrongType);

fn user_claims(verified: &VerifiedToken) -> Result<Claims<'_>, Error> {
    Ok(Claims {
        uid: verified.user.ok_or(NO_USER)?,
        email: verified.email.as_deref().ok_or(NO_USER)?,
        exp: verified.expires_at.secs(),
        iat: verified.issued_at.secs(),
    })
}

/// Get the claims of the caller's access token.
#[utoipa::path(
    get,
    path = "/authorized/me",
    operation_id = "v1_me",
    security(("access_token" = [])),
    responses((status = 200, description = "The claims.", body = MeResponse<'_>)),
)]
async fn me(ctx: Context, request: Request) -> Result<Response, V1Error> {
    let (_, verified) = verify_bearer(&ctx, &request)?;
    Ok(Response::json(StatusCode::OK, &MeResponse { claims: user_claims(&verified)? }).no_store())
}

pub(super) const ME: Endpoint = endpoint! {
    handler: me,
    metric_label: "v1.me",
};

/// Verify a token.
///
/// Takes an access token or a refresh token and returns its claims. A refresh token is not used up. As in `/refresh`,
/// it must be of a session that was opened by an API that does not rotate refresh tokens. An access token must be for
/// `tokens.audience`.
#[utoipa::path(
    post,
    path = "/verify",
    operation_id = "v1_verify",
    request_body = VerifyRequest,
    responses((status = 200, description = "The token is valid.", body = VerifyResponse<'_>)),
)]
async fn verify(ctx: Context, mut request: Request) -> Result<Response, V1Error> {
    let body: VerifyRequest = request.json().await?;
    let introspection = introspect_in_dialect(&ctx, &body.token, request_context(&ctx, &request)).await?;
    let email;
    let token = match &introspection {
        Introspection::Credential(Credential::Token(verified)) => {
            Token { token_type: "access", claims: user_claims(verified)? }
        }
        Introspection::Refresh(session) => {
            email = session_email(session)?;
            let (exp, iat) = (session.expires_at().secs(), session.rotated_at.secs());
            Token { token_type: "refresh", claims: Claims { uid: session.user, email: &email, exp, iat } }
        }
        Introspection::Credential(Credential::ApiKey(_)) | Introspection::Inactive => {
            return Err(Error::from(NO_USER).into());
        }
    };
    Ok(Response::json(StatusCode::OK, &VerifyResponse { token }).no_store())
}

pub(super) const VERIFY: Endpoint = endpoint! {
    handler: verify,
    metric_label: "v1.verify",
    errors: [EXPIRED],
};

/// Verify a token (alias).
///
/// Same as `/verify`.
#[utoipa::path(
    post,
    path = "/verify-token",
    operation_id = "v1_verify_token",
    request_body = VerifyRequest,
    responses((status = 200, description = "The token is valid.", body = VerifyResponse<'_>)),
)]
async fn verify_token(ctx: Context, request: Request) -> Result<Response, V1Error> {
    verify(ctx, request).await
}

pub(super) const VERIFY_TOKEN: Endpoint = endpoint! {
    handler: verify_token,
    metric_label: "v1.verify",
    errors: [EXPIRED],
};
