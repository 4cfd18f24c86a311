//! Verification: for services (`POST /verify`), for proxies (`GET` and `HEAD`), and in batches (`/verify/batch`).
//!
//! The claims of a token are sent as signed, byte for byte: they are neither parsed nor serialized again.

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
use crate::api::native::schemas::{Active, Inactive, RequiredSubject, VerifyBatchResult};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::tokens::verify::{
    Credential, RequiredScopes, Requirements, ScopesError, Subject, VerifiedApiKey, VerifyError, verify, verify_batch,
};
use crate::http::json::{self, BoundedList, Text};
use crate::http::{FieldError, FieldErrorKind, HeaderTemplate, ParamLocation, Rejection, Request, Response};

/// The largest batch, and the largest body of one: two kilobytes per token.
const MAX_BATCH: usize = 1024;
const MAX_BATCH_BODY: usize = MAX_BATCH * 2 * 1024;

/// The number of results that are rendered between two yields: 64 of the largest have half a megabyte.
const YIELD_AFTER: usize = 64;

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
    /// At most 64 scopes, separated by spaces, all of which the credential must have.
    #[serde(borrow)]
    #[schema(max_length = 8192)]
    scope: Option<Cow<'a, str>>,
    /// The holder that the credential must have.
    #[serde(borrow)]
    #[schema(value_type = Option<RequiredSubject>, inline)]
    subject: Option<Cow<'a, str>>,
}

/// Credentials to verify, and optional requirements that apply to each.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"tokens": ["sk_Zx81cW0pQr7L_mB5…", "eyJhbGciOiJFZERTQSJ9…"]})))]
pub(super) struct VerifyBatch<'a> {
    /// JWTs and API keys.
    #[serde(borrow)]
    #[schema(value_type = Vec<String>, max_items = 1024)]
    tokens: BoundedList<Text<'a>, MAX_BATCH>,
    /// The audience that each token must have.
    #[serde(borrow)]
    aud: Option<Cow<'a, str>>,
    /// At most 64 scopes, separated by spaces, all of which each credential must have.
    #[serde(borrow)]
    #[schema(max_length = 8192)]
    scope: Option<Cow<'a, str>>,
    /// The holder that each credential must have.
    #[serde(borrow)]
    #[schema(value_type = Option<RequiredSubject>, inline)]
    subject: Option<Cow<'a, str>>,
}

impl VerifyBatch<'_> {
    fn into_owned(self) -> VerifyBatch<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        VerifyBatch {
            tokens: BoundedList(self.tokens.0.into_iter().map(|token| Text(owned(token.0))).collect()),
            aud: self.aud.map(owned),
            scope: self.scope.map(owned),
            subject: self.subject.map(owned),
        }
    }
}

impl<'a> Verify<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, Rejection> {
        match json::single_string_field(body, "token") {
            Some(token) => Ok(Self { token: Cow::Borrowed(token), aud: None, scope: None, subject: None }),
            None => json::parse(body),
        }
    }
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
    let body = Verify::parse(&bytes)?;
    let subject = required_subject(ParamLocation::Body, body.subject.as_deref())?;
    let scopes = required_scopes(ParamLocation::Body, body.scope.as_deref())?;
    let requirements = Requirements { audience: body.aud.as_deref(), scopes: scopes.as_ref(), subject };
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
    let body = if bytes.len() > json::MAX_ON_WORKER {
        json::parse_on_thread(bytes, |body| json::parse(body).map(VerifyBatch::into_owned)).await?
    } else {
        json::parse::<VerifyBatch<'_>>(&bytes)?
    };
    let subject = required_subject(ParamLocation::Body, body.subject.as_deref())?;
    let scopes = required_scopes(ParamLocation::Body, body.scope.as_deref())?;
    let requirements = Requirements { audience: body.aud.as_deref(), scopes: scopes.as_ref(), subject };
    let results = verify_batch(&ctx, &body.tokens.0, requirements).await?;
    // Yields to other requests of this worker: the claims of a thousand credentials take megabytes.
    let mut rendered = Vec::with_capacity(results.distinct().len());
    for (at, result) in results.distinct().iter().enumerate() {
        if at % YIELD_AFTER == YIELD_AFTER - 1 {
            tokio::task::yield_now().await;
        }
        rendered.push(match result {
            Ok(credential) => active(credential),
            Err(reason) => inactive(*reason),
        });
    }
    let length: usize = results.order().iter().map(|at| rendered[*at].len() + 1).sum();
    let mut text = String::with_capacity(length + 16);
    text.push_str(r#"{"results":["#);
    for (at, result) in results.order().iter().enumerate() {
        if at % YIELD_AFTER == YIELD_AFTER - 1 {
            tokio::task::yield_now().await;
        }
        if at > 0 {
            text.push(',');
        }
        text.push_str(&rendered[*result]);
    }
    text.push_str("]}");
    Ok(respond(StatusCode::OK, text))
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
            description = "At most 64 scopes, separated by spaces, all of which the credential must have."),
        ("subject" = inline(Option<RequiredSubject>), Query,
            description = "The holder that the credential must have."),
    ),
    security(("access_token" = []), ("api_key" = [])),
    responses(
        (status = 200, description = "The credential is valid.", body = Active, headers(
            ("x-auth-subject" = String, description = "The user's id; for API keys and tokens issued to them, the id of \
                the key's owner. Ask for `subject=user` where only users may get in."),
            ("x-auth-email" = String, description = "The user's email address, if it is verified; otherwise empty."),
            ("x-auth-scopes" = String, description = "The scopes of the credential, separated by spaces."),
            ("x-auth-session" = String, description = "The session of the token. Empty for API keys and tokens issued to \
                them."),
        )),
        (status = 401, description = "The credential is missing or invalid.",
            content((Inactive = "application/json"), (ProblemDocument<'_> = "application/problem+json")),
            headers(("www-authenticate" = String))),
    ),
)]
async fn verify_for_proxy(ctx: Context, request: Request) -> Result<Response, Problem> {
    let query = request.query()?;
    let subject = required_subject(ParamLocation::Query, query.get("subject"))?;
    let scopes = required_scopes(ParamLocation::Query, query.get("scope"))?;
    let requirements = Requirements { audience: query.get("aud"), scopes: scopes.as_ref(), subject };
    respond_to_proxy(&ctx, &request, requirements).await
}

pub(super) const VERIFY_FOR_PROXY: Endpoint = endpoint! {
    handler: verify_for_proxy,
    metric_label: "native.verify-proxy",
    errors: [Error::Stale],
};

/// The response to a proxy, for the credential of its request.
pub(super) async fn respond_to_proxy(
    ctx: &Context,
    request: &Request,
    requirements: Requirements<'_>,
) -> Result<Response, Problem> {
    let Some(credential) = crate::api::credential(request) else {
        return Err(Error::MissingCredentials.into());
    };
    let credential = match check(ctx, credential, requirements).await? {
        Ok(credential) => credential,
        Err(reason) => return Ok(respond(StatusCode::UNAUTHORIZED, inactive(reason))),
    };
    let response = respond(StatusCode::OK, active(&credential));
    let name = HeaderName::from_static;
    Ok(match &credential {
        Credential::Token(token) => response
            .header_text(name("x-auth-subject"), &token.subject)
            .header_text(name("x-auth-email"), token.verified_email().unwrap_or_default())
            .header_text(name("x-auth-scopes"), token.scopes.as_str())
            .header_text(name("x-auth-session"), &token.session.map(|id| id.to_string()).unwrap_or_default()),
        Credential::ApiKey(key) => response
            .header_text(name("x-auth-subject"), &key.user.to_string())
            .header_text(name("x-auth-email"), if key.email_verified { &key.email } else { "" })
            .header_text(name("x-auth-scopes"), key.scopes.as_str())
            .header_text(name("x-auth-session"), ""),
    })
}

/// The holder that a request demands. An unknown value is refused, so that a misspelt requirement of a proxy does not
/// let every request pass.
pub(super) fn required_subject(location: ParamLocation, subject: Option<&str>) -> Result<Option<Subject>, Rejection> {
    match subject {
        None => Ok(None),
        Some("user") => Ok(Some(Subject::User)),
        Some("client") => Ok(Some(Subject::Client)),
        Some(_) => {
            let kind = FieldErrorKind::Invalid("must be user or client".to_owned());
            Err(Rejection::field(FieldError::new(location, "subject", kind)))
        }
    }
}

/// The scopes that a request demands.
pub(super) fn required_scopes(
    location: ParamLocation,
    scope: Option<&str>,
) -> Result<Option<RequiredScopes<'_>>, Rejection> {
    let invalid = |error: ScopesError| {
        Rejection::field(FieldError::new(location, "scope", FieldErrorKind::Invalid(error.to_string())))
    };
    scope.map(RequiredScopes::parse).transpose().map_err(invalid)
}

/// Verifies a credential. The inner error says why it is invalid, which is a result and no failure of the call.
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
        "email_verified": key.email_verified,
        "client_id": key.id,
        "project": key.project,
        "scope": key.scopes.as_str(),
        "token_type": "api_key",
        "iat": key.created_at.secs(),
    });
    if let Some(end) = key.expires_at {
        claims["exp"] = end.secs().into();
    }
    claims
}

fn inactive(reason: VerifyError) -> String {
    format!(r#"{{"active":false,"reason":"{}"}}"#, reason.code())
}
