//! Verification: for services (`POST /verify`), for proxies (`GET` and `HEAD`), and in batches (`/verify/batch`).
//!
//! The claims of a token are sent as signed, byte for byte: they are neither parsed nor serialised again.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::Problem;
use super::problem::ProblemDocument;
use crate::api::INVALID_TOKEN;
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::native::schemas::{Active, Inactive, VerifyBatchResult};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::tokens::verify::{
    Credential, Requirements, TokenError, VerifiedApiKey, VerifyError, verify, verify_batch,
};
use crate::http::{FieldError, FieldErrorKind, HeaderTemplate, ParamLocation, Rejection, Request, Response, json};

/// The largest batch, and the largest body of one: two kilobytes per token.
const MAX_BATCH: usize = 1024;
const MAX_BATCH_BODY: usize = MAX_BATCH * 2 * 1024;

/// A credential to verify, and optional requirements.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"token": "sk_Zx81cW0pQr7L_mB5…", "scope": "reports:read"})))]
pub(super) struct Verify<'a> {
    /// A JWT or an API key.
    #[serde(borrow)]
    token: Cow<'a, str>,
    /// The audience that the token must have.
    #[serde(borrow)]
    aud: Option<Cow<'a, str>>,
    /// Scopes, separated by spaces, all of which the credential must have.
    #[serde(borrow)]
    scope: Option<Cow<'a, str>>,
}

/// Credentials to verify, and optional requirements that apply to each.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"tokens": ["sk_Zx81cW0pQr7L_mB5…", "eyJhbGciOiJFZERTQSJ9…"]})))]
pub(super) struct VerifyBatch<'a> {
    /// JWTs and API keys.
    #[serde(borrow)]
    #[schema(max_items = 1024)]
    tokens: Vec<Cow<'a, str>>,
    /// The audience that each token must have.
    #[serde(borrow)]
    aud: Option<Cow<'a, str>>,
    /// Scopes, separated by spaces, all of which each credential must have.
    #[serde(borrow)]
    scope: Option<Cow<'a, str>>,
}

/// Verify a token or API key
///
/// For services that do not verify tokens locally, or need revocations without delay.
#[utoipa::path(
    post,
    path = "/verify",
    operation_id = "native_verify",
    request_body = Verify<'_>,
    responses(
        (status = 200, description = "The credential is valid.", body = Active),
        (status = 401, description = "The credential is invalid.", body = Inactive,
            headers(("www-authenticate" = String))),
    ),
)]
async fn verify_one(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let bytes = request.json_bytes().await?;
    let body: Verify<'_> = json::parse(&bytes)?;
    let requirements = Requirements { audience: body.aud.as_deref(), scope: body.scope.as_deref() };
    let (status, text) = match check(&ctx, &body.token, requirements).await? {
        Ok(credential) => (StatusCode::OK, active(&credential)),
        Err(reason) => (StatusCode::UNAUTHORIZED, inactive(reason)),
    };
    Ok(respond(status, text))
}

pub(super) const VERIFY: Endpoint = endpoint! {
    handler: verify_one,
    metric_label: "native.verify",
    errors: [Error::Stale],
};

/// Verify up to 1,024 tokens and API keys
#[utoipa::path(
    post,
    path = "/verify/batch",
    operation_id = "native_verify_batch",
    request_body = VerifyBatch<'_>,
    responses((status = 200, description = "The results, in the order of the request.", body = VerifyBatchResult)),
)]
async fn verify_many(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    request.raise_body_limit(MAX_BATCH_BODY);
    let bytes = request.json_bytes().await?;
    let body: VerifyBatch<'_> = json::parse(&bytes)?;
    if body.tokens.len() > MAX_BATCH {
        let kind = FieldErrorKind::Invalid(format!("has more than {MAX_BATCH} tokens"));
        return Err(Rejection::field(FieldError::new(ParamLocation::Body, "tokens", kind)).into());
    }
    let requirements = Requirements { audience: body.aud.as_deref(), scope: body.scope.as_deref() };
    let mut text = String::with_capacity(64 + body.tokens.len() * 512);
    text.push_str(r#"{"results":["#);
    for (at, result) in verify_batch(&ctx, &body.tokens, requirements).await?.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        match result {
            Ok(credential) => text.push_str(&active(&credential)),
            Err(reason) => text.push_str(&inactive(reason)),
        }
    }
    text.push_str("]}");
    Ok(respond(StatusCode::OK, request.reserve_response(text)?))
}

pub(super) const VERIFY_BATCH: Endpoint = endpoint! {
    handler: verify_many,
    metric_label: "native.verify-batch",
    errors: [Error::Stale],
};

/// Verify the credential of a proxied request
///
/// For nginx `auth_request`, Traefik ForwardAuth and Envoy ext_authz: takes the credential as the client sent it, and
/// returns the user in header fields. Requirements are in the query, which the configuration of the proxy sets. HEAD
/// works too.
#[utoipa::path(
    get,
    path = "/verify",
    operation_id = "native_verify_for_proxy",
    params(
        ("aud" = Option<String>, Query, description = "The audience that the token must have."),
        ("scope" = Option<String>, Query,
            description = "Scopes, separated by spaces, all of which the credential must have."),
    ),
    security(("access_token" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "The credential is valid.", body = Active, headers(
            ("x-auth-subject" = String, description = "The user's id."),
            ("x-auth-email" = String, description = "The user's email address."),
            ("x-auth-scopes" = String, description = "The scopes of the credential, separated by spaces."),
            ("x-auth-session" = String, description = "The session of the token, if it has one."),
        )),
        (status = 401, description = "The credential is missing or invalid.",
            content((Inactive = "application/json"), (ProblemDocument<'_> = "application/problem+json")),
            headers(("www-authenticate" = String))),
    ),
)]
async fn verify_for_proxy(ctx: Context, request: Request) -> Result<Response, Problem> {
    let query = request.query()?;
    let requirements = Requirements { audience: query.get("aud"), scope: query.get("scope") };
    let Some(credential) = crate::api::credential(&request) else {
        return Err(Error::MissingCredentials.into());
    };
    let credential = match check(&ctx, credential, requirements).await? {
        Ok(credential) => credential,
        Err(reason) => return Ok(respond(StatusCode::UNAUTHORIZED, inactive(reason))),
    };
    let response = respond(StatusCode::OK, active(&credential));
    let name = HeaderName::from_static;
    Ok(match &credential {
        Credential::Token(token) => response
            .header_text(name("x-auth-subject"), &token.subject)
            .header_text(name("x-auth-email"), token.email.as_deref().unwrap_or_default())
            .header_text(name("x-auth-scopes"), &token.scope)
            .header_text(name("x-auth-session"), &token.session.map(|id| id.to_string()).unwrap_or_default()),
        Credential::ApiKey(key) => response
            .header_text(name("x-auth-subject"), &key.user.to_string())
            .header_text(name("x-auth-email"), &key.email)
            .header_text(name("x-auth-scopes"), &key.scopes.join(" "))
            .header_text(name("x-auth-session"), ""),
    })
}

pub(super) const VERIFY_FOR_PROXY: Endpoint = endpoint! {
    handler: verify_for_proxy,
    metric_label: "native.verify-proxy",
    errors: [Error::Stale],
};

async fn check(
    ctx: &Context,
    token: &str,
    requirements: Requirements<'_>,
) -> Result<Result<Credential, VerifyError>, Error> {
    match verify(ctx, token, requirements).await {
        Ok(credential) => Ok(Ok(credential)),
        Err(Error::InvalidToken(reason)) => Ok(Err(reason)),
        Err(error) => Err(error),
    }
}

fn respond(status: StatusCode, text: impl Into<Bytes>) -> Response {
    let response = Response::from_template(HeaderTemplate::no_store_json(), status, text);
    if status == StatusCode::UNAUTHORIZED {
        response.header(WWW_AUTHENTICATE, HeaderValue::from_static(INVALID_TOKEN))
    } else {
        response
    }
}

fn active(credential: &Credential) -> String {
    let claims = match credential {
        Credential::Token(token) => Cow::Borrowed(&*token.claims),
        Credential::ApiKey(key) => Cow::Owned(key_claims(key).to_string()),
    };
    // `concat` allocates the exact size: converting a string with spare capacity to `Bytes` would allocate again.
    [r#"{"active":true,"claims":"#, &claims, "}"].concat()
}

/// The claims of an API key, with the names that a token would use.
pub(super) fn key_claims(key: &VerifiedApiKey) -> Value {
    let mut claims = json!({
        "sub": key.user,
        "email": key.email,
        "client_id": key.id,
        "project": key.project,
        "scope": key.scopes.join(" "),
        "token_type": "api_key",
        "iat": key.created_at.secs(),
    });
    if let Some(end) = key.expires_at {
        claims["exp"] = end.secs().into();
    }
    claims
}

fn inactive(reason: VerifyError) -> String {
    let reason = match reason {
        VerifyError::Token(TokenError::Malformed) => "malformed",
        VerifyError::Token(TokenError::WrongType) => "wrong_type",
        VerifyError::Token(TokenError::UnknownKey) => "unknown_key",
        VerifyError::Token(TokenError::RevokedKey) => "revoked_key",
        VerifyError::Token(TokenError::BadSignature) => "bad_signature",
        VerifyError::Token(TokenError::Expired) | VerifyError::ExpiredKey => "expired",
        VerifyError::Token(TokenError::NotYetValid) => "not_yet_valid",
        VerifyError::Token(TokenError::WrongIssuer) => "wrong_issuer",
        VerifyError::Token(TokenError::WrongAudience) | VerifyError::OtherAudience => "wrong_audience",
        VerifyError::Revoked => "revoked",
        VerifyError::InsufficientScope => "insufficient_scope",
        VerifyError::UnknownKey => "unknown_api_key",
        VerifyError::Stale => "stale",
    };
    format!(r#"{{"active":false,"reason":"{reason}"}}"#)
}
