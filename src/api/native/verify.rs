//! Verification: for services (`POST /verify`), for proxies (`GET`, `HEAD`), and many at once (`/verify/batch`).
//!
//! A token's claims go out as they were signed, byte for byte: nothing is parsed and written again.

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
use crate::api::native::schemas::{Active, Inactive, Verdicts};
use crate::auth::Error;
use crate::auth::api_keys::KnownKey;
use crate::auth::context::Context;
use crate::auth::tokens::verify::{Credential, Demand, TokenError, VerifyError, verify, verify_batch};
use crate::http::{
    FieldError as FieldFault, FieldErrorKind, Fields, ParamLocation, Rejection, Request, Response, json as body,
};

/// How many tokens a batch may have, and how large its body may be: that many of two kilobytes each.
const BATCH: usize = 1024;
const BATCH_BODY: usize = BATCH * 2 * 1024;

/// A credential, and what is demanded of it beside being good.
#[derive(Deserialize, ToSchema)]
#[schema(as = Verify, examples(json!({"token": "sk_Zx81cW0pQr7L_mB5…", "scope": "reports:read"})))]
pub(super) struct One<'a> {
    /// A JWT or an API key.
    #[serde(borrow)]
    token: Cow<'a, str>,
    /// An audience that it must be meant for.
    #[serde(borrow)]
    aud: Option<Cow<'a, str>>,
    /// Scopes, separated by spaces, each of which it must have.
    #[serde(borrow)]
    scope: Option<Cow<'a, str>>,
}

/// Credentials, and what is demanded of each beside being good.
#[derive(Deserialize, ToSchema)]
#[schema(as = VerifyBatch, examples(json!({"tokens": ["sk_Zx81cW0pQr7L_mB5…", "eyJhbGciOiJFZERTQSJ9…"]})))]
pub(super) struct Batch<'a> {
    /// JWTs and API keys.
    #[serde(borrow)]
    #[schema(max_items = 1024)]
    tokens: Vec<Cow<'a, str>>,
    /// An audience that each must be meant for.
    #[serde(borrow)]
    aud: Option<Cow<'a, str>>,
    /// Scopes, separated by spaces, all of which each must have.
    #[serde(borrow)]
    scope: Option<Cow<'a, str>>,
}

/// Verifies a JWT or an API key.
///
/// For services that do not verify tokens by themselves, and want to know at once of what was revoked.
#[utoipa::path(
    post,
    path = "/verify",
    operation_id = "native_verify",
    request_body = One<'_>,
    responses(
        (status = 200, description = "It is good, and this is what it says.", body = Active),
        (status = 401, description = "It is not good.", body = Inactive, headers(("www-authenticate" = String))),
    ),
)]
pub(super) async fn one(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let bytes = request.json_bytes().await?;
    let asked: One<'_> = body::read(&bytes)?;
    let demand = Demand { audience: asked.aud.as_deref(), scope: asked.scope.as_deref() };
    let (status, text) = match verdict(&ctx, &asked.token, demand).await? {
        Ok(credential) => (StatusCode::OK, active(&credential)),
        Err(reason) => (StatusCode::UNAUTHORIZED, inactive(reason)),
    };
    Ok(worded(status, text))
}

/// Verifies up to 1,024 JWTs and API keys.
#[utoipa::path(
    post,
    path = "/verify/batch",
    operation_id = "native_verify_batch",
    request_body = Batch<'_>,
    responses((status = 200, description = "What was found of each.", body = Verdicts)),
)]
pub(super) async fn batch(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    request.allow_body(BATCH_BODY);
    let bytes = request.json_bytes().await?;
    let asked: Batch<'_> = body::read(&bytes)?;
    if asked.tokens.len() > BATCH {
        let trouble = FieldErrorKind::Invalid(format!("has more than {BATCH} tokens"));
        return Err(Rejection::field(FieldFault::new(ParamLocation::Body, "tokens", trouble)).into());
    }
    let demand = Demand { audience: asked.aud.as_deref(), scope: asked.scope.as_deref() };
    let mut text = String::with_capacity(64 + asked.tokens.len() * 512);
    text.push_str(r#"{"results":["#);
    for (at, verdict) in verify_batch(&ctx, &asked.tokens, demand).await?.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        match verdict {
            Ok(credential) => text.push_str(&active(&credential)),
            Err(reason) => text.push_str(&inactive(reason)),
        }
    }
    text.push_str("]}");
    Ok(worded(StatusCode::OK, request.answering(text)?))
}

/// Verifies the credential of a request, for a proxy in front of a service.
///
/// For nginx `auth_request`, Traefik ForwardAuth, Envoy ext_authz: the credential as the client sent it, who it is in header
/// fields. What is demanded of it stands in the query, which the proxy's own configuration writes. HEAD does as well.
#[utoipa::path(
    get,
    path = "/verify",
    operation_id = "native_verify_for_proxy",
    params(
        ("aud" = Option<String>, Query, description = "An audience that it must be meant for."),
        ("scope" = Option<String>, Query, description = "Scopes, separated by spaces, each of which it must have."),
    ),
    security(("access_token" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "It is good, and this is what it says.", body = Active, headers(
            ("x-auth-subject" = String, description = "Whose it is: the user's id."),
            ("x-auth-email" = String, description = "That user's address."),
            ("x-auth-scopes" = String, description = "Its scopes, separated by spaces."),
            ("x-auth-session" = String, description = "The session it was made in, if in one."),
        )),
        (status = 401, description = "There is none, or it is not good.",
            content((Inactive = "application/json"), (ProblemDocument<'_> = "application/problem+json")),
            headers(("www-authenticate" = String))),
    ),
)]
pub(super) async fn for_proxy(ctx: Context, request: Request) -> Result<Response, Problem> {
    let query = request.query()?;
    let demand = Demand { audience: query.get("aud"), scope: query.get("scope") };
    let Some(credential) = crate::api::credential(&request) else {
        return Err(Error::NoCredentials.into());
    };
    let credential = match verdict(&ctx, credential, demand).await? {
        Ok(credential) => credential,
        Err(reason) => return Ok(worded(StatusCode::UNAUTHORIZED, inactive(reason))),
    };
    let response = worded(StatusCode::OK, active(&credential));
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

async fn verdict(ctx: &Context, token: &str, demand: Demand<'_>) -> Result<Result<Credential, VerifyError>, Error> {
    match verify(ctx, token, demand).await {
        Ok(credential) => Ok(Ok(credential)),
        Err(Error::BadCredentials(reason)) => Ok(Err(reason)),
        Err(failure) => Err(failure),
    }
}

fn worded(status: StatusCode, text: impl Into<Bytes>) -> Response {
    let response = Response::like(Fields::unstored_json(), status, text);
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
    // In one piece of just its size: a text with room to spare would be given another allocation to be sent from.
    [r#"{"active":true,"claims":"#, &claims, "}"].concat()
}

/// An API key in the words in which a token would say it.
pub(super) fn key_claims(key: &KnownKey) -> Value {
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
        VerifyError::Behind => "behind",
    };
    format!(r#"{{"active":false,"reason":"{reason}"}}"#)
}
