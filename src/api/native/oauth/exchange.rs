//! The grant of RFC 8693: its parameters and its response.

use http::StatusCode;
use serde::Serialize;

use super::{OauthError, authenticate_client, given, request_context};
use crate::auth::context::Context;
use crate::auth::tokens::exchange::{EXCHANGE_SCOPE, ExchangeRequest, exchange};
use crate::http::{FormFields, Request, Response};

/// The value of `grant_type`.
pub(in crate::api::native) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// The types of the tokens that are taken and issued. An access token here is a JWT, so both are accepted.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// A response (RFC 8693, 2.2.1).
#[derive(Serialize)]
struct Exchanged<'a> {
    access_token: &'a str,
    issued_token_type: &'static str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
}

/// Handles a request with this grant type.
pub(super) async fn respond(ctx: &Context, request: &Request, form: &FormFields) -> Result<Response, OauthError> {
    let client = authenticate_client(ctx, request, form, EXCHANGE_SCOPE).await?;
    let subject_token = required(form, "subject_token")?;
    check_type("subject_token_type", required(form, "subject_token_type")?)?;
    if let Some(requested) = given(form, "requested_token_type") {
        check_type("requested_token_type", requested)?;
    }
    // The client itself is the actor.
    if let Some(actor) = ["actor_token", "actor_token_type"].into_iter().find(|name| form.get(name).is_some()) {
        return Err(OauthError::InvalidParameter(actor, "is not supported"));
    }
    // Both name the audience, by its URL or by its name: RFC 8693, 2.1.
    let resource = match (given(form, "resource"), given(form, "audience")) {
        (Some(resource), Some(audience)) if resource != audience => return Err(OauthError::SeveralTargets),
        (resource, audience) => resource.or(audience),
    };
    let wanted = ExchangeRequest { subject_token, resource, scope: given(form, "scope") };
    let token = exchange(ctx, &client, wanted, request_context(ctx, request)).await?;
    let body = Exchanged {
        access_token: &token.access,
        issued_token_type: ACCESS_TOKEN,
        token_type: "Bearer",
        expires_in: token.expires_in.as_secs(),
        scope: &token.scope,
    };
    Ok(Response::json(StatusCode::OK, &body))
}

fn required<'f>(form: &'f FormFields, name: &'static str) -> Result<&'f str, OauthError> {
    given(form, name).ok_or(OauthError::MissingParameter(name))
}

fn check_type(parameter: &'static str, value: &str) -> Result<(), OauthError> {
    let accepted = value == ACCESS_TOKEN || value == JWT;
    accepted.then_some(()).ok_or(OauthError::InvalidParameter(parameter, "must be the type access_token or jwt"))
}
