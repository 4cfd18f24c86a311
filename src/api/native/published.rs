//! What is published: the keys, and where everything is (RFC 7517, RFC 8414).

use std::cell::RefCell;
use std::sync::OnceLock;

use bytes::Bytes;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde::Serialize;
use utoipa::ToSchema;

use super::Problem;
use crate::api::native::schemas;
use crate::auth::context::Context;
use crate::config;
use crate::http::{CachedResponse, Request, Response};

/// The public keys.
///
/// With these anybody verifies an access token without asking. They may be kept for as long as `Cache-Control` says: for less
/// time than a key stands here before it signs.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "native_jwks",
    responses(
        (status = 200, description = "A key set (RFC 7517).", body = schemas::Jwks, headers(
            ("etag" = String, description = "A name for exactly this set."),
            ("cache-control" = String, description = "For how long it may be kept."),
        )),
        (status = 304, description = "The set is the one that `If-None-Match` names."),
    ),
)]
pub(super) fn jwks(ctx: &Context, request: &Request, published: &Published) -> Response {
    let keys = ctx.node.keyring.keys();
    let jwks = keys.jwks();
    published.answer(&jwks.body, &jwks.etag, request)
}

/// The answer that gives the keys, made once a worker for as long as they stay the same.
pub(super) struct Published {
    lasting: &'static str,
}

thread_local! {
    /// Each worker's own: cores that count the holders of one thing up and down with each answer wait for each other.
    static KEPT: RefCell<Option<CachedResponse>> = const { RefCell::new(None) };
}

impl Published {
    /// Nothing yet; to be kept by others for as long as the settings say.
    pub(super) fn new(keys: &config::Keys) -> Self {
        let lasting = format!("public, max-age={}, must-revalidate", keys.jwks_max_age.as_secs());
        Self { lasting: lasting.leak() }
    }

    fn answer(&self, body: &Bytes, etag: &str, request: &Request) -> Response {
        KEPT.with_borrow_mut(|kept| {
            let kept = match kept {
                Some(kept) if kept.is(etag, self.lasting) => kept,
                _ => {
                    let (body, etag) = (Bytes::copy_from_slice(body), etag.to_owned().leak());
                    kept.insert(CachedResponse::named("application/json", body, etag, self.lasting))
                }
            };
            kept.answer(request)
        })
    }
}

/// Where everything is (RFC 8414). There is no authorization endpoint, so no response type is named.
#[derive(Serialize, ToSchema)]
pub(super) struct Metadata {
    issuer: String,
    jwks_uri: String,
    token_endpoint: String,
    token_endpoint_auth_methods_supported: [&'static str; 3],
    introspection_endpoint: String,
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: [&'static str; 2],
    grant_types_supported: [&'static str; 2],
    response_types_supported: [&'static str; 0],
    subject_types_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: [&'static str; 1],
}

/// Where everything is.
///
/// Metadata of an authorization server (RFC 8414).
#[utoipa::path(
    get,
    path = "/.well-known/oauth-authorization-server",
    operation_id = "native_metadata",
    responses((status = 200, description = "The metadata.", body = Metadata)),
)]
pub(super) fn metadata(ctx: &Context, _request: &Request) -> Result<Response, Problem> {
    let config = &ctx.node.config;
    let base = format!("{}{}", config.server.public_url, config.api.native.prefix);
    let credentials = ["client_secret_basic", "client_secret_post"];
    let body = Metadata {
        issuer: config.tokens.issuer.clone(),
        jwks_uri: format!("{base}/.well-known/jwks.json"),
        token_endpoint: format!("{base}/oauth/token"),
        token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post", "none"],
        introspection_endpoint: format!("{base}/oauth/introspect"),
        introspection_endpoint_auth_methods_supported: credentials,
        revocation_endpoint: format!("{base}/oauth/revoke"),
        revocation_endpoint_auth_methods_supported: credentials,
        grant_types_supported: ["refresh_token", "client_credentials"],
        response_types_supported: [],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: [config.tokens.algorithm.name()],
    };
    let max_age = config.keys.jwks_max_age.as_secs();
    Ok(Response::json(StatusCode::OK, &body).header_text(CACHE_CONTROL, &format!("public, max-age={max_age}")))
}

/// Where everything is, at the path where OpenID Connect looks for it.
///
/// The same metadata as at `/.well-known/oauth-authorization-server`.
#[utoipa::path(
    get,
    path = "/.well-known/openid-configuration",
    operation_id = "native_openid_configuration",
    responses((status = 200, description = "The metadata.", body = Metadata)),
)]
pub(super) fn openid_configuration(ctx: &Context, request: &Request) -> Result<Response, Problem> {
    metadata(ctx, request)
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "native_openapi",
    responses(
        (status = 200, description = "An OpenAPI 3.1 document of everything that is served here.", body = Object),
        (status = 304, description = "The document is the one that `If-None-Match` names."),
    ),
)]
pub(super) fn openapi(ctx: &Context, request: &Request, document: &OnceLock<CachedResponse>) -> Response {
    // Made when somebody asks: most servers never are, and would carry what makes it in memory.
    let made = || CachedResponse::new("application/json", crate::api::document(&ctx.node.config).to_string());
    document.get_or_init(made).answer(request)
}
