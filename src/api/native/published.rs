//! What is published: the keys, and where everything is (RFC 7517, RFC 8414).

use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::Problem;
use crate::app::App;
use crate::web::{Request, Response};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The JWKS, which may be kept for less time than a key is announced before it signs.
pub(super) async fn jwks(app: App, request: Request) -> Result<Response, Problem> {
    let keys = app.node.keyring.keys();
    let jwks = keys.jwks();
    let current = request.header(IF_NONE_MATCH).is_some_and(|known| {
        known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == jwks.etag || tag.trim() == "*")
    });
    let response = if current {
        Response::empty(StatusCode::NOT_MODIFIED)
    } else {
        Response::bytes(StatusCode::OK, JSON, jwks.body.clone())
    };
    let max_age = app.node.config.keys.jwks_max_age.as_secs();
    Ok(response
        .header_text(ETAG, &jwks.etag)
        .header_text(CACHE_CONTROL, &format!("public, max-age={max_age}, must-revalidate")))
}

/// Where everything is. There is no authorization endpoint, so no response type is named.
pub(super) async fn metadata(app: App, _request: Request) -> Result<Response, Problem> {
    let config = &app.node.config;
    let base = format!("{}{}", config.server.public_url, config.api.native.prefix);
    let credentials = json!(["client_secret_basic", "client_secret_post"]);
    let body = json!({
        "issuer": config.tokens.issuer,
        "jwks_uri": format!("{base}/.well-known/jwks.json"),
        "token_endpoint": format!("{base}/oauth/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint": format!("{base}/oauth/introspect"),
        "introspection_endpoint_auth_methods_supported": credentials,
        "revocation_endpoint": format!("{base}/oauth/revoke"),
        "revocation_endpoint_auth_methods_supported": credentials,
        "grant_types_supported": ["refresh_token", "client_credentials"],
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [config.tokens.algorithm.name()],
    });
    let max_age = config.keys.jwks_max_age.as_secs();
    Ok(Response::json(StatusCode::OK, &body).header_text(CACHE_CONTROL, &format!("public, max-age={max_age}")))
}
