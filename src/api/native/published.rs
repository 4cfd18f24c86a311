//! What is published: the keys, and where everything is (RFC 7517, RFC 8414).

use bytes::Bytes;
use http::header::{CACHE_CONTROL, ETAG};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::Problem;
use super::shapes::Jwks;
use crate::app::App;
use crate::config;
use crate::web::{Kept, Request, Response};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The public keys.
///
/// With these anybody verifies an access token without asking. They may be kept for as long as `Cache-Control` says: for less
/// time than a key stands here before it signs.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "native_jwks",
    responses(
        (status = 200, description = "A key set (RFC 7517).", body = Jwks, headers(
            ("etag" = String, description = "A name for exactly this set."),
            ("cache-control" = String, description = "For how long it may be kept."),
        )),
        (status = 304, description = "The set is the one that `If-None-Match` names."),
    ),
)]
pub(super) async fn jwks(app: App, request: Request, lasting: HeaderValue) -> Response {
    let keys = app.node.keyring.keys();
    let jwks = keys.jwks();
    let response = if request.has(&jwks.etag) {
        Response::empty(StatusCode::NOT_MODIFIED)
    } else {
        Response::bytes(StatusCode::OK, JSON, jwks.body.clone())
    };
    response.header_shared(ETAG, &jwks.etag).header(CACHE_CONTROL, lasting)
}

/// For how long the keys may be kept, as `Cache-Control` says it.
pub(super) fn lasting(keys: &config::Keys) -> HeaderValue {
    let text = format!("public, max-age={}, must-revalidate", keys.jwks_max_age.as_secs());
    HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or_else(|_| HeaderValue::from_static("no-cache"))
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
pub(super) async fn metadata(app: App, _request: Request) -> Result<Response, Problem> {
    let config = &app.node.config;
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
pub(super) async fn openid_configuration(app: App, request: Request) -> Result<Response, Problem> {
    metadata(app, request).await
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
pub(super) async fn openapi(document: Kept, request: Request) -> Response {
    document.answer(&request)
}
