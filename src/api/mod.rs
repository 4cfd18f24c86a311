//! The dialects: each translates between its own wording and the operations in `auth`, and does nothing else.
//!
//! A handler reads its wire type, calls one operation, words the answer. Each dialect has one function from what went wrong to an
//! answer, an exhaustive match: a new way to fail does not compile until every dialect has worded it.
//!
//! # How a dialect documents its calls
//! [`native`] is the pattern. What is documented is what is served, so that neither can be forgotten when the other changes:
//! - Wire types derive `Serialize` or `Deserialize` **and** `utoipa::ToSchema`. Bounds that are enforced stand there too
//!   (`#[schema(max_length = 16)]`), ids as `#[schema(value_type = uuid::Uuid)]`, times as `value_type = String, format =
//!   DateTime`, with an example that a client could really see (`#[schema(examples(json!({…})))]`). What is read field by field or
//!   written by hand gets a type for the document alone (`native/shapes.rs`).
//! - Each handler has `#[utoipa::path(…)]`: method, the path below the dialect's prefix, an `operation_id` that no other dialect has, what
//!   goes in, `security` (`access_token`, `api_key`, `client`, `refresh_token`, `mailed_token`, `totp_token`), and the answers that
//!   are not failures. Its doc comment's first line is the summary, the rest the description.
//! - **Failures are not written down a second time.** `chapter()` in the dialect's `mod.rs` lists the handlers, and per `operation_id`
//!   which [`Error`]s may come of it; the dialect's failure function is asked for each, so status, header fields and example are
//!   the real ones. What may go wrong anywhere (bodies, credentials, time) is added without being listed. What stands in `responses(…)`
//!   under a status is left as it is.
//! - `router` and `document` below add the dialect side by side. Tests hold routes and operations together, each example to its
//!   schema, and what a running server answers to all of it.
//!
//! Types that only a parameter names are not found by utoipa: list them in `components(schemas(…))`. Schemas are called
//! `dialect.Name` in the whole document, so a name must only be unique within its dialect.

pub mod codes;
mod fastapi;
pub mod myauth;
pub mod native;
pub mod openapi;
pub mod pages;
pub mod ucontact;
pub mod unturned;
mod users_me;
pub mod v1;

use std::time::Duration;

use crate::auth::Error;
use crate::auth::api_keys::looks_like_one;
use crate::auth::context::Context;
use crate::auth::sessions::open::{ExtraClaims, RequestContext};
use crate::config::{Config, Dialect};
use crate::http::{Rejection, Request, Router, Routes, TableError};

/// The table of contents of everything that is served, as the settings have it.
///
/// # Errors
/// If two dialects would answer the same requests.
pub fn router(config: &Config) -> Result<Router<Context>, TableError> {
    let mut routes = Routes::new();
    routes.cors(&config.server.cors_origins);
    if config.api.native.enabled {
        native::routes(&mut routes, config);
    }
    if config.api.myauth.enabled {
        myauth::routes(&mut routes, &config.api.myauth);
    }
    if config.api.unturned.enabled {
        unturned::routes(&mut routes, &config.api.unturned, !shares_prefix(config, &config.api.myauth));
    }
    if config.api.codes.dialect.enabled {
        codes::routes(&mut routes, &config.api.codes);
    }
    if config.api.ucontact.enabled {
        ucontact::routes(&mut routes, &config.api.ucontact);
    }
    if config.api.v1.enabled {
        v1::routes(&mut routes, &config.api.v1);
    }
    routes.build()
}

/// Whether a dialect is served at the prefix of `unturned`. Where `myauth` is, the call that both have is its.
fn shares_prefix(config: &Config, dialect: &Dialect) -> bool {
    dialect.enabled && dialect.prefix == config.api.unturned.prefix
}

/// The OpenAPI document of everything that is served, as the settings have it.
pub fn document(config: &Config) -> serde_json::Value {
    let mut document = openapi::Document::new(&config.server.public_url);
    if config.api.native.enabled {
        document.add(native::NAME, &config.api.native.prefix, native::chapter());
    }
    if config.api.myauth.enabled {
        document.add(myauth::NAME, &config.api.myauth.prefix, myauth::chapter());
    }
    // After `myauth`, whose call comes first where both have it.
    if config.api.unturned.enabled {
        document.add(unturned::NAME, &config.api.unturned.prefix, unturned::chapter());
    }
    if config.api.codes.dialect.enabled {
        document.add(codes::NAME, &config.api.codes.dialect.prefix, codes::chapter(&config.api.codes));
    }
    if config.api.ucontact.enabled {
        document.add(ucontact::NAME, &config.api.ucontact.prefix, ucontact::chapter());
    }
    if config.api.v1.enabled {
        document.add(v1::NAME, &config.api.v1.prefix, v1::chapter());
    }
    document.done()
}

/// All that can go wrong with a request, for a dialect to word.
#[derive(Debug)]
pub enum ApiError {
    /// Before anybody looked at what it means.
    Rejection(Rejection),
    /// In doing what it asks.
    Failure(Error),
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        Self::Rejection(rejection)
    }
}

impl<F: Into<Error>> From<F> for ApiError {
    fn from(failure: F) -> Self {
        Self::Failure(failure.into())
    }
}

/// How long a client is asked to wait for what is down or overrun.
const SOON: Duration = Duration::from_secs(1);

/// What is said of a token that is not good (RFC 6750, 3).
const INVALID_TOKEN: &str = r#"Bearer error="invalid_token""#;

/// The credential of a call that takes either kind: a bearer, or an API key in a header field of its own.
fn credential(request: &Request) -> Option<&str> {
    request.bearer().or_else(|| request.header("x-api-key").map(api_key_or_empty))
}

/// What stands where an API key is due. An access token there is as bad as garbage: what keeps bearers to itself, a proxy or a
/// log, does not look for one there.
fn api_key_or_empty(text: &str) -> &str {
    if looks_like_one(text) { text } else { "" }
}

/// By which door a request comes in.
fn request_context<'a>(dialect: &'static str, lives: &'a Dialect, request: &'a Request) -> RequestContext<'a> {
    RequestContext {
        dialect,
        dialect_config: lives,
        client_ip: request.client(),
        rate_limit_ip: request.counted_by(),
        user_agent: request.agent(),
        language: request.header("accept-language"),
        extra_claims: ExtraClaims::Nothing,
    }
}
