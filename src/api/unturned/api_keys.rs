//! `/api-keys`: the API keys of a project, which the header `x-project-id` names.

use http::StatusCode;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::envelope::{envelopes, success};
use super::{UnturnedError, request_context};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::fastapi::{BoundedString, LaxInteger, both, uuid};
use crate::api::scopes::{SCOPE_PATTERN, scopes_schema};
use crate::api::{FORBIDDEN, RATE_LIMITED, session_token};
use crate::auth::Error;
use crate::auth::api_keys::{
    ApiKey, ApiKeyRequest, MAX_DAYS, MAX_SCOPE_LENGTH, MAX_SCOPES, NewApiKey, create_own, deactivate_own, is_scope,
    list_own,
};
use crate::auth::context::Context;
use crate::auth::error::Denial;
use crate::auth::passwords::{IdentityProof, Password};
use crate::auth::tokens::caller::authenticate;
use crate::clock::Timestamp;
use crate::http::json::bounded_list;
use crate::http::{ParamLocation, Rejection, Request, Response};
use crate::id::{ApiKeyId, ProjectId};

/// Pagination.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(super) struct Page {
    #[param(value_type = i64, minimum = 1, default = 1)]
    page: LaxInteger<1, { i64::MAX }>,
    #[param(value_type = i64, minimum = 1, maximum = 100, default = 10)]
    limit: LaxInteger<1, 100>,
}

impl Default for Page {
    fn default() -> Self {
        Self { page: LaxInteger(1), limit: LaxInteger(10) }
    }
}

/// The key to create.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"name": "nightly build", "expires_in_days": 90, "scopes": ["builds:read"]})))]
pub(super) struct CreateApiKeyRequest {
    /// API key name.
    #[schema(value_type = String, min_length = 1, max_length = 100)]
    name: BoundedString<1, 100>,
    /// Expiration in days (optional).
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 36_500)]
    expires_in_days: Option<LaxInteger<1, { MAX_DAYS as i64 }>>,
    /// List of scopes (optional). A key without scopes has all permissions of its owner.
    #[schema(schema_with = scopes_schema, required = false)]
    scopes: Option<Scopes>,
    /// The password, in place of a recent sign-in (optional).
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Password>,
}

struct Scopes(Vec<String>);

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let scopes: Vec<Scope> = bounded_list(from, MAX_SCOPES)?.map_err(|length| {
            de::Error::custom(format!("List should have at most {MAX_SCOPES} items after validation, not {length}"))
        })?;
        Ok(Self(scopes.into_iter().map(|scope| scope.0).collect()))
    }
}

/// A scope as defined in RFC 6749, 3.3.
struct Scope(String);

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let BoundedString(scope) = BoundedString::<1, MAX_SCOPE_LENGTH>::deserialize(from)?;
        is_scope(&scope)
            .then_some(Self(scope))
            .ok_or_else(|| de::Error::custom(format!("String should match pattern '{SCOPE_PATTERN}'")))
    }
}

/// An API key.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "id": "019a8b1c-2d3e-7f42-8a1b-2c3d4e5f6071",
    "prefix": "sk_4k8wq0zj2m7n",
    "name": "nightly build",
    "full_key": null,
    "scopes": ["builds:read"],
    "last_used_at": "2026-11-14T09:12:00.123Z",
    "expires_at": null,
    "is_active": true,
    "created_at": "2026-11-14T08:58:40.123Z",
    "updated_at": "2026-11-14T08:58:40.123Z",
})))]
struct ApiKeyResponse {
    #[schema(value_type = uuid::Uuid)]
    id: ApiKeyId,
    /// The first characters of the key, which identify it.
    prefix: String,
    name: String,
    /// The complete key. Present only in the response that creates it.
    full_key: Option<String>,
    #[schema(required = false)]
    scopes: Vec<String>,
    /// Accurate to one minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// False if the key is deactivated or expired.
    is_active: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl ApiKeyResponse {
    fn new(key: ApiKey, full_key: Option<&NewApiKey>, now: Timestamp) -> Self {
        Self {
            is_active: key.is_active(now),
            id: key.id,
            prefix: key.prefix,
            name: key.name,
            full_key: full_key.map(|key| key.reveal().to_owned()),
            scopes: key.scopes,
            last_used_at: key.last_used_at,
            expires_at: key.expires_at,
            created_at: key.created_at,
            updated_at: key.updated_at,
        }
    }
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
#[schema(as = PaginatedData_ApiKeyResponse_)]
struct PaginatedData {
    /// Newest first.
    items: Vec<ApiKeyResponse>,
    pagination: PaginationInfo,
}

/// Pagination metadata.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"page": 1, "limit": 10, "total": 23, "pages": 3})))]
struct PaginationInfo {
    page: i64,
    limit: i64,
    total: u64,
    pages: u64,
}

/// A deactivated key.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "id": "019a8b1c-2d3e-7f42-8a1b-2c3d4e5f6071",
    "is_active": false,
    "deactivated_at": "2026-11-14T09:20:00.123Z",
})))]
struct RevokeKeyResponse {
    #[schema(value_type = uuid::Uuid)]
    id: ApiKeyId,
    is_active: bool,
    #[schema(value_type = Option<String>, format = DateTime)]
    deactivated_at: Option<Timestamp>,
}

envelopes! {
    /// A page of keys.
    ListEnvelope, ListApiKeysResponse, PaginatedData;
    /// A key.
    KeyEnvelope, SuccessResponse_ApiKeyResponse_, ApiKeyResponse;
    /// A deactivated key.
    RevokedEnvelope, SuccessResponse_RevokeKeyResponse_, RevokeKeyResponse;
}

fn project_id(request: &Request) -> Result<ProjectId, Rejection> {
    uuid(ParamLocation::Header, "x-project-id", request.header("x-project-id")).map(ProjectId)
}

/// List all API keys for the authenticated user.
///
/// Lists the keys of one project. A caller with an API key sees only the keys of that key's own project.
#[utoipa::path(
    get,
    path = "/api-keys/",
    operation_id = "list_api_keys_auth_api_keys__get",
    params(Page, ("x-project-id" = uuid::Uuid, Header, description = "Project ID to operate on")),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The project's keys.", body = ListEnvelope)),
)]
async fn list(ctx: Context, request: Request) -> Result<Response, UnturnedError> {
    let caller = authenticate(&ctx, crate::api::credential(&request)).await?;
    let page = request.query().and_then(|query| query.deserialize::<Page>());
    let (page, project) = both(page, project_id(&request))?;
    let (LaxInteger(page), LaxInteger(limit)) = (page.page, page.limit);
    let skip = u32::try_from((page - 1).saturating_mul(limit)).unwrap_or(u32::MAX);
    let range = (skip, u32::try_from(limit).unwrap_or_default());
    let (keys, total) = list_own(&ctx, &caller, project, range, request_context(&ctx, &request)).await?;
    let now = ctx.now();
    let items = keys.into_iter().map(|key| ApiKeyResponse::new(key, None, now)).collect();
    let pages = total.div_ceil(limit.unsigned_abs());
    Ok(success(StatusCode::OK, PaginatedData { items, pagination: PaginationInfo { page, limit, total, pages } }))
}

pub(super) const LIST: Endpoint = endpoint! {
    handler: list,
    metric_label: "unturned.api-keys",
    errors: [FORBIDDEN, Error::Forbidden(Denial::OtherProject), RATE_LIMITED],
};

/// Create a new API key.
///
/// The response contains the complete key; it is not shown again. Requires a user session. The owner is notified by
/// mail. Only superusers may grant the scopes `admin`, `billing:write` and `feed:report`, with a token of a recent sign-in
/// or with the password, which they also need for `introspect`, `revoke` and `tokens:exchange`.
#[utoipa::path(
    post,
    path = "/api-keys/",
    operation_id = "create_api_key_auth_api_keys__post",
    params(("x-project-id" = uuid::Uuid, Header, description = "Project ID to operate on")),
    request_body = CreateApiKeyRequest,
    security(("access_token" = [])),
    responses((status = 201, description = "The new key.", body = KeyEnvelope)),
)]
async fn create(ctx: Context, mut request: Request) -> Result<Response, UnturnedError> {
    let caller = authenticate(&ctx, session_token(&request)?).await?;
    let body = request.json::<CreateApiKeyRequest>().await;
    let (project, body) = both(project_id(&request), body)?;
    let key_request = ApiKeyRequest {
        name: body.name.0,
        scopes: body.scopes.map(|scopes| scopes.0).unwrap_or_default(),
        expires_in_days: body.expires_in_days.and_then(|days| u32::try_from(days.0).ok()),
    };
    let proof = IdentityProof { password: body.password.as_ref(), auth_time: caller.auth_time() };
    let request_ctx = request_context(&ctx, &request);
    let (key, full_key) = create_own(&ctx, &caller, project, key_request, proof, request_ctx).await?;
    Ok(success(StatusCode::CREATED, ApiKeyResponse::new(key, Some(&full_key), ctx.now())))
}

pub(super) const CREATE: Endpoint = endpoint! {
    handler: create,
    metric_label: "unturned.make-api-key",
    errors: [
        FORBIDDEN,
        Error::Forbidden(Denial::OtherProject),
        Error::Forbidden(Denial::TooManyApiKeys),
        Error::WrongCurrentPassword,
        Error::RecentSignInRequired,
        RATE_LIMITED,
    ],
};

/// Deactivate an API key.
///
/// All nodes refuse the key within milliseconds. Idempotent. Requires a user session.
#[utoipa::path(
    delete,
    path = "/api-keys/{key_id}",
    operation_id = "revoke_api_key_auth_api_keys__key_id__delete",
    params(
        ("key_id" = uuid::Uuid, Path, description = "The key's id."),
        ("x-project-id" = uuid::Uuid, Header, description = "Project ID to operate on"),
    ),
    security(("access_token" = [])),
    responses((status = 200, description = "The key is deactivated.", body = RevokedEnvelope)),
)]
async fn deactivate(ctx: Context, request: Request) -> Result<Response, UnturnedError> {
    let caller = authenticate(&ctx, session_token(&request)?).await?;
    let key = uuid(ParamLocation::Path, "key_id", Some(request.param("key_id"))).map(ApiKeyId);
    let (key, project) = both(key, project_id(&request))?;
    let key = deactivate_own(&ctx, &caller, project, key, request_context(&ctx, &request)).await?;
    let ended = RevokeKeyResponse { id: key.id, is_active: false, deactivated_at: key.deactivated_at };
    Ok(success(StatusCode::OK, ended))
}

pub(super) const DEACTIVATE: Endpoint = endpoint! {
    handler: deactivate,
    metric_label: "unturned.end-api-key",
    errors: [FORBIDDEN, Error::Forbidden(Denial::OtherProject), Error::NotFound],
};
