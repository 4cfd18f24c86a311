//! The dialects. Each translates between its wire format and the operations in `auth`, and does nothing else.
//!
//! A handler reads its wire type, calls one operation and renders the result. Each dialect has one function that turns
//! errors into responses; it is an exhaustive match, so a new error does not compile until every dialect renders it.
//!
//! # Adding a call
//! [`native`] is the model. Router and OpenAPI document are built from the same list, so neither can miss a call:
//! - Wire types derive `Serialize` or `Deserialize` **and** `utoipa::ToSchema`. Limits that are enforced are
//!   documented there (`#[schema(max_length = 16)]`), ids as `#[schema(value_type = uuid::Uuid)]`, times as
//!   `value_type = String, format = DateTime`, with a realistic example (`#[schema(examples(json!({…})))]`). Types
//!   that are read or written without serde have a counterpart for the document alone (`native/schemas.rs`).
//! - The handler's `#[utoipa::path(…)]` has the method, the path below the dialect's prefix, a unique `operation_id`,
//!   the parameters and body, `security` (`access_token`, `api_key`, `client`, `refresh_token`, `mailed_token`,
//!   `totp_token`) and the success responses. The first line of the doc comment is the summary, the rest the
//!   description.
//! - `endpoint!` under the handler adds the metric label and the possible errors. The group's function that renders
//!   errors is called with each of them, so that status, header fields and example in the document are those that
//!   clients get. Errors that any call may have (body, credentials, time) are added without being listed. A status in
//!   `responses(…)` is left as it is.
//! - The dialect's `mod.rs` lists the endpoint in a group.
//!
//! utoipa does not find types that only a parameter mentions: list them in `components(schemas(…))`. Schema names in
//! the document are `dialect.Name`, so a name must be unique only within its dialect.

pub mod codes;
mod endpoint;
mod fastapi;
pub mod myauth;
pub mod native;
pub mod openapi;
pub mod pages;
mod scopes;
pub mod ucontact;
pub mod unturned;
mod users_me;
pub mod v1;
mod wire_text;

use std::time::Duration;

use http::StatusCode;

use crate::auth::Error;
use crate::auth::api_keys::has_api_key_prefix;
use crate::auth::context::Context;
use crate::auth::error::{Denial, InputError};
use crate::auth::passwords::PolicyViolation;
use crate::auth::request_context::{ExtraClaims, RequestContext};
use crate::config::{Config, Dialect};
use crate::http::{Rejection, Request, RouteTableError, Router, Routes};

/// The routes of all enabled dialects.
///
/// # Errors
/// If two dialects have a route with the same method and path.
pub fn router(config: &Config) -> Result<Router<Context>, RouteTableError> {
    let mut routes = Routes::new();
    routes.cors(&config.server.cors_origins);
    if config.api.native.enabled {
        native::add_routes(&mut routes, config);
    }
    if config.api.myauth.enabled {
        myauth::add_routes(&mut routes, config);
    }
    if config.api.unturned.enabled {
        unturned::add_routes(&mut routes, config);
    }
    if config.api.codes.dialect.enabled {
        codes::add_routes(&mut routes, config);
    }
    if config.api.ucontact.enabled {
        ucontact::add_routes(&mut routes, config);
    }
    if config.api.v1.enabled {
        v1::add_routes(&mut routes, config);
    }
    pages::add_home(&mut routes, config, native::render_rejection);
    routes.build()
}

/// The OpenAPI document of all enabled dialects.
pub fn document(config: &Config) -> serde_json::Value {
    let mut document = openapi::Document::new(&config.server.public_url);
    if config.api.native.enabled {
        document.add(native::NAME, &config.api.native.prefix, native::spec(config));
    }
    if config.api.myauth.enabled {
        document.add(myauth::NAME, &config.api.myauth.prefix, myauth::spec(config));
    }
    // After `myauth`, which describes the call that both have.
    if config.api.unturned.enabled {
        document.add(unturned::NAME, &config.api.unturned.prefix, unturned::spec(config));
    }
    if config.api.codes.dialect.enabled {
        document.add(codes::NAME, &config.api.codes.dialect.prefix, codes::spec(config));
    }
    if config.api.ucontact.enabled {
        document.add(ucontact::NAME, &config.api.ucontact.prefix, ucontact::spec(config));
    }
    if config.api.v1.enabled {
        document.add(v1::NAME, &config.api.v1.prefix, v1::spec(config));
    }
    document.into_value()
}

/// An error of a request, for a dialect to render.
#[derive(Debug)]
pub enum ApiError {
    /// The request was rejected before it reached an operation.
    Rejection(Rejection),
    /// The operation failed.
    Failure(Error),
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        Self::Rejection(rejection)
    }
}

impl<F: Into<Error>> From<F> for ApiError {
    fn from(error: F) -> Self {
        Self::Failure(error.into())
    }
}

/// Errors that many endpoints have.
const FORBIDDEN: Error = Error::Forbidden(Denial::MissingPermission);
const RATE_LIMITED: Error = Error::RateLimited { retry_after: Duration::from_secs(30) };
const WEAK_PASSWORD: Error = Error::InvalidInput(InputError::Password(PolicyViolation::Common));

/// The `Retry-After` of temporary errors.
const SOON: Duration = Duration::from_secs(1);

/// The status code of a number in an error table.
fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The challenge for an invalid token (RFC 6750, 3).
const INVALID_TOKEN: &str = r#"Bearer error="invalid_token""#;

/// The challenge for a token whose user signed in too long ago (RFC 9470, 3).
const RECENT_SIGN_IN: &str = r#"Bearer error="insufficient_user_authentication", error_description="sign in again""#;

/// The credential of a call that accepts both kinds: the bearer token, or the API key in `x-api-key`.
fn credential(request: &Request) -> Option<&str> {
    request.bearer().or_else(|| request.header("x-api-key").map(api_key_or_empty))
}

/// The bearer token of a call that needs a user session. An API key in `x-api-key` in place of it has an error of its
/// own, because the client did send a credential.
fn session_token(request: &Request) -> Result<Option<&str>, Error> {
    match request.bearer() {
        None if request.header("x-api-key").is_some_and(has_api_key_prefix) => Err(Error::ApiKeyNotAccepted),
        token => Ok(token),
    }
}

/// The content of a field for API keys; empty if it is an access token. Access tokens are refused there because
/// proxies and logs that hide bearer tokens do not look for them in other fields.
fn api_key_or_empty(text: &str) -> &str {
    if has_api_key_prefix(text) { text } else { "" }
}

/// The elements of a field such as `Accept`, with their weights (RFC 9110, 12.4.2): 1 if it is absent, 0 if it is invalid.
fn weighted(field: &str) -> impl Iterator<Item = (&str, f32)> {
    field.split(',').map(|element| {
        let mut parts = element.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        (name, weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)))
    })
}

/// The facts about the request that the operations in `auth` need.
fn request_context<'a>(dialect: &'static str, settings: &'a Dialect, request: &'a Request) -> RequestContext<'a> {
    RequestContext {
        dialect,
        dialect_config: settings,
        client_ip: request.client_ip(),
        rate_limit_ip: request.rate_limit_ip(),
        user_agent: request.user_agent(),
        language: request.header("accept-language"),
        extra_claims: ExtraClaims::None,
        audience: None,
    }
}
