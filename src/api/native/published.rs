//! Public documents: the signing keys (RFC 7517), server metadata (RFC 8414) and the OpenAPI document.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde::Serialize;
use utoipa::ToSchema;

use super::oauth::TOKEN_EXCHANGE;
use super::{Problem, revocation_feed};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::native::schemas;
use crate::auth::context::Context;
use crate::config::{Config, Keys, SigningAlgorithm};
use crate::http::{CachedResponse, Request, Response};

/// Get the public signing keys
///
/// Services verify access tokens with these keys, without calling Signet: the `alg` of a token belongs to the key that its
/// `kid` names. The key set may be cached for as long as `Cache-Control` says, which is shorter than the time between the
/// announcement of a key and its first signature. There is always a key that does not sign yet, so that the signing key
/// can be revoked at any time. Keys for ES256 are present while an audience uses them. Scripts of every origin may read
/// the key set.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "native_jwks",
    responses(
        (status = 200, description = "The key set (RFC 7517).", body = schemas::Jwks, headers(
            ("etag" = String, description = "Identifies this version of the key set."),
            ("cache-control" = String, description = "The time for which the key set may be cached."),
        )),
        (status = 304, description = "The key set has the ETag in `If-None-Match`."),
    ),
)]
fn jwks(ctx: &Context, request: &Request, cache_control: &&'static str) -> Response {
    let keys = ctx.node.keyring.keys();
    let jwks = keys.jwks();
    respond_from_cache(&jwks.body, &jwks.etag, cache_control, request)
}

pub(super) const JWKS: Endpoint = endpoint! {
    sync_handler: jwks,
    state: jwks_cache_control,
    metric_label: "native.jwks",
};

/// The value of `Cache-Control`. It is never freed; it is made once per route table.
fn jwks_cache_control(config: &Config) -> &'static str {
    cache_control(config).leak()
}

/// The longest time for which a cache may serve the JWKS or the metadata while Signet cannot be reached (RFC 5861, 4).
/// Behind such a cache, tokens of a revoked key are accepted for that much longer, so it is short.
const MAX_STALE_IF_ERROR: Duration = Duration::from_secs(60 * 60);

/// A copy that is served in place of an error must not lack a key that signs, so it is never older than the time for
/// which a key is announced.
fn cache_control(config: &Config) -> String {
    let Keys { jwks_max_age, announce, .. } = config.keys;
    let stale_if_error = announce.saturating_sub(jwks_max_age).min(MAX_STALE_IF_ERROR);
    format!("public, max-age={}, stale-if-error={}", jwks_max_age.as_secs(), stale_if_error.as_secs())
}

thread_local! {
    /// The JWKS response of this worker. Not shared between workers, because reference counts that several cores change
    /// with every response make the cores wait for each other.
    static JWKS_RESPONSE: RefCell<Option<CachedResponse>> = const { RefCell::new(None) };
}

fn respond_from_cache(body: &Bytes, etag: &str, cache_control: &'static str, request: &Request) -> Response {
    JWKS_RESPONSE.with_borrow_mut(|cached| {
        let response = match cached {
            Some(response) if response.matches(etag, cache_control) => response,
            _ => {
                let (body, etag) = (Bytes::copy_from_slice(body), etag.to_owned().leak());
                let response = CachedResponse::with_etag("application/json", body, etag, cache_control);
                cached.insert(response.for_any_origin())
            }
        };
        response.respond(request)
    })
}

/// Authorization server metadata (RFC 8414). There is no authorization endpoint, and so there are no response types.
#[derive(Serialize, ToSchema)]
pub(super) struct Metadata {
    issuer: String,
    jwks_uri: String,
    token_endpoint: String,
    token_endpoint_auth_methods_supported: [&'static str; 3],
    introspection_endpoint: String,
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
    /// Signet's own: verifies a token or an API key; `/batch` below it verifies many.
    verification_endpoint: String,
    /// Signet's own: the head of the revocation feed. Absent if the feed is turned off.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    revocation_feed_uri: Option<String>,
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: [&'static str; 2],
    grant_types_supported: [&'static str; 3],
    response_types_supported: [&'static str; 0],
    subject_types_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: Vec<&'static str>,
    /// The URLs among the audiences that `resource` can name (RFC 9728, 4). Absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    protected_resources: Vec<String>,
}

/// Get authorization server metadata
///
/// The endpoints and capabilities of this server (RFC 8414).
#[utoipa::path(
    get,
    path = "/.well-known/oauth-authorization-server",
    operation_id = "native_metadata",
    responses((status = 200, description = "The metadata.", body = Metadata)),
)]
fn metadata(ctx: &Context, _request: &Request) -> Result<Response, Problem> {
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
        verification_endpoint: format!("{base}/verify"),
        revocation_feed_uri: config.revocation.feed.then(|| format!("{base}{}", revocation_feed::PATH)),
        revocation_endpoint: format!("{base}/oauth/revoke"),
        revocation_endpoint_auth_methods_supported: credentials,
        grant_types_supported: ["refresh_token", "client_credentials", TOKEN_EXCHANGE],
        response_types_supported: [],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: signing_algorithms(config),
        protected_resources: audiences_with_url(config),
    };
    let response = Response::json(StatusCode::OK, &body).header_text(CACHE_CONTROL, &cache_control(config));
    Ok(response.for_any_origin())
}

/// The `alg` of every token that these settings can issue.
fn signing_algorithms(config: &Config) -> Vec<&'static str> {
    let has_es256 = config.audiences.iter().any(|audience| audience.algorithm == SigningAlgorithm::Es256);
    let es256 = has_es256.then_some("ES256");
    [Some(config.tokens.algorithm.name()), es256].into_iter().flatten().collect()
}

/// The audiences whose name is a URL. Other names are no resource identifiers (RFC 9728, 1.2).
fn audiences_with_url(config: &Config) -> Vec<String> {
    let names = config.audiences.iter().map(|audience| &audience.name);
    names.filter(|name| name.starts_with("https://")).cloned().collect()
}

pub(super) const METADATA: Endpoint = endpoint! {
    sync_handler: metadata,
    metric_label: "native.metadata",
};

/// Get authorization server metadata at the OpenID Connect path
///
/// The same metadata as at `/.well-known/oauth-authorization-server`.
#[utoipa::path(
    get,
    path = "/.well-known/openid-configuration",
    operation_id = "native_openid_configuration",
    responses((status = 200, description = "The metadata.", body = Metadata)),
)]
fn openid_configuration(ctx: &Context, request: &Request) -> Result<Response, Problem> {
    metadata(ctx, request)
}

pub(super) const OPENID_CONFIGURATION: Endpoint = endpoint! {
    sync_handler: openid_configuration,
    metric_label: "native.metadata",
};

/// Get this OpenAPI document
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "native_openapi",
    responses(
        (status = 200, description = "An OpenAPI 3.1 document of all enabled APIs.", body = Object),
        (status = 304, description = "The document has the ETag in `If-None-Match`."),
    ),
)]
fn openapi(ctx: &Context, request: &Request, document: &OnceLock<CachedResponse>) -> Response {
    // Built at the first request, because most servers never get one and would only spend the memory.
    let build =
        || CachedResponse::new("application/json", crate::api::document(&ctx.node.config).to_string()).for_any_origin();
    document.get_or_init(build).respond(request)
}

pub(super) const OPENAPI: Endpoint = endpoint! {
    sync_handler: openapi,
    state: |_| OnceLock::new(),
    metric_label: "native.openapi",
};
