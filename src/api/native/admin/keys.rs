//! The signing keys.

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Problem, invalid_query, origin, require_recent_superuser, require_superuser};
use crate::api::FORBIDDEN;
use crate::api::endpoint::{Endpoint, endpoint};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::signing_keys::{self, KeyState, KeyStatus, key_state_name};
use crate::clock::Timestamp;
use crate::config::SigningAlgorithm;
use crate::http::{Request, Response};

/// The algorithm of a signing key.
#[derive(Clone, Copy, Serialize, ToSchema)]
pub(in crate::api::native) enum KeyAlgorithm {
    #[serde(rename = "EdDSA")]
    EdDsa,
    #[serde(rename = "ES256")]
    Es256,
}

/// The state of a signing key.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(dead_code, reason = "only the OpenAPI document uses it")]
enum SigningKeyState {
    Announced,
    Signing,
    VerifyOnly,
    Revoked,
}

/// The signing keys.
#[derive(Serialize, ToSchema)]
struct SigningKeys {
    /// Those for EdDSA first, and of each algorithm the signing one first.
    keys: Vec<SigningKey>,
    /// When the next key begins to sign; null if none is announced.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_rotation: Option<Timestamp>,
}

/// A signing key.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "kid": "kPrK_qmxVWaYVA9w",
    "algorithm": "EdDSA",
    "state": "signing",
    "created_at": "2026-01-30T12:00:00Z",
    "announced_at": "2026-01-30T12:00:00Z",
    "signs_from": "2026-01-31T12:00:00Z",
    "verify_until": null,
    "revoked_at": null,
})))]
struct SigningKey {
    kid: String,
    algorithm: KeyAlgorithm,
    #[schema(value_type = SigningKeyState)]
    state: &'static str,
    /// When it was added to the keyring.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was added to the JWKS. The same as `created_at`.
    #[schema(value_type = String, format = DateTime)]
    announced_at: Timestamp,
    /// When it begins to sign, or began.
    #[schema(value_type = String, format = DateTime)]
    signs_from: Timestamp,
    /// When the last token that it signed expires, or when it was revoked; null until it is replaced or revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    verify_until: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
}

/// List signing keys
///
/// For superusers, and for their API keys with the scope `admin`.
#[utoipa::path(
    get,
    path = "/admin/keys",
    operation_id = "native_admin_keys",
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The signing keys.", body = SigningKeys)),
)]
async fn list(ctx: Context, request: Request) -> Result<Response, Problem> {
    require_superuser(&ctx, &request).await?;
    Ok(respond(&ctx))
}

pub(super) const LIST: Endpoint = endpoint! {
    handler: list,
    metric_label: "native.admin-keys",
    errors: [FORBIDDEN],
};

/// Rotate the signing key
///
/// Lets the next key sign as soon as it has been announced for long enough, usually at once, and announces another one.
/// Tokens that the present key signed stay valid. Needs a recent sign-in. For superusers, and for their API keys with the
/// scope `admin`.
#[utoipa::path(
    post,
    path = "/admin/keys/rotate",
    operation_id = "native_admin_rotate_key",
    params(("algorithm" = Option<KeyAlgorithm>, Query, description = "The algorithm; by default `EdDSA`. `ES256` is \
        refused with 400 if no audience has it.")),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The signing keys after the change.", body = SigningKeys)),
)]
async fn rotate(ctx: Context, request: Request) -> Result<Response, Problem> {
    let by = require_recent_superuser(&ctx, &request).await?;
    let algorithm = match request.query()?.get("algorithm") {
        None | Some("EdDSA") => SigningAlgorithm::EdDsa,
        Some("ES256") if signing_keys::uses_es256(&ctx) => SigningAlgorithm::Es256,
        Some("ES256") => return Err(invalid_query("algorithm", "must be EdDSA: no audience has ES256").into()),
        Some(_) => return Err(invalid_query("algorithm", "must be EdDSA or ES256").into()),
    };
    signing_keys::rotate(&ctx, algorithm, origin(&ctx, &by, &request)).await.map_err(Error::from)?;
    Ok(respond(&ctx))
}

pub(super) const ROTATE: Endpoint = endpoint! {
    handler: rotate,
    metric_label: "native.admin-rotate-key",
    errors: [FORBIDDEN, Error::RecentSignInRequired],
};

/// Revoke a signing key
///
/// No node accepts a token that it signed: all of its users sign in again. If it is the one that signs, the announced key
/// signs at once. Needs a recent sign-in. For superusers, and for their API keys with the scope `admin`.
#[utoipa::path(
    post,
    path = "/admin/keys/{kid}/revoke",
    operation_id = "native_admin_revoke_key",
    params(("kid" = String, Path, description = "The key's id.")),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The signing keys after the change.", body = SigningKeys)),
)]
async fn revoke(ctx: Context, request: Request) -> Result<Response, Problem> {
    let by = require_recent_superuser(&ctx, &request).await?;
    signing_keys::revoke(&ctx, request.param("kid"), origin(&ctx, &by, &request)).await.map_err(Error::from)?;
    Ok(respond(&ctx))
}

pub(super) const REVOKE: Endpoint = endpoint! {
    handler: revoke,
    metric_label: "native.admin-revoke-key",
    errors: [FORBIDDEN, Error::NotFound, Error::RecentSignInRequired],
};

fn respond(ctx: &Context) -> Response {
    let keys = signing_keys::list(ctx);
    let announced = keys.iter().filter(|status| status.state == KeyState::Announced);
    let next_rotation = announced.map(|status| status.key.signs_from).min();
    let keys = keys.into_iter().map(SigningKey::from).collect();
    Response::json(StatusCode::OK, &SigningKeys { keys, next_rotation }).no_store()
}

impl From<KeyStatus> for SigningKey {
    fn from(status: KeyStatus) -> Self {
        let KeyStatus { key, state, verifies_until } = status;
        Self {
            algorithm: match key.algorithm() {
                SigningAlgorithm::EdDsa => KeyAlgorithm::EdDsa,
                SigningAlgorithm::Es256 => KeyAlgorithm::Es256,
            },
            state: key_state_name(state),
            created_at: key.announced_at,
            announced_at: key.announced_at,
            signs_from: key.signs_from,
            verify_until: verifies_until,
            revoked_at: key.revoked_at,
            kid: key.kid,
        }
    }
}
