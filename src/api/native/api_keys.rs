//! The API keys of the caller's projects.

use http::StatusCode;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::idempotency::{self, IN_PROGRESS, IdempotencyKey, KEY_REUSED};
use super::query::number;
use super::{Problem, check_name, request_context};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::scopes::scopes_schema;
use crate::api::{FORBIDDEN, RATE_LIMITED, credential, session_token};
use crate::auth::Error;
use crate::auth::accounts::projects::personal_project;
use crate::auth::api_keys::{
    ApiKey, ApiKeyRequest, MAX_DAYS, MAX_SCOPE_LENGTH, MAX_SCOPES, create_own, deactivate_own, is_scope, list_own,
};
use crate::auth::context::Context;
use crate::auth::error::Denial;
use crate::auth::idempotency::Requester;
use crate::auth::passwords::{IdentityProof, Password};
use crate::auth::tokens::caller::{Caller, authenticate};
use crate::clock::Timestamp;
use crate::http::json::bounded_list;
use crate::http::{FieldError, FieldErrorKind, ParamLocation, Rejection, Request, Response, json};
use crate::id::{ApiKeyId, ProjectId};

/// The largest `skip`: clients may have 32-bit integers.
const MAX_SKIP: u32 = i32::MAX as u32;

/// Maximum number of keys in one response: with the most scopes each, they have half a megabyte.
const MAX_PAGE: u32 = 100;

/// The key to create.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"name": "nightly build", "scopes": ["builds:read"], "expires_in_days": 90})))]
pub(super) struct CreateApiKey {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// At Signet, a key without scopes only reads its owner's account and API keys.
    #[serde(default)]
    #[schema(schema_with = scopes_schema, required = false)]
    scopes: Option<Scopes>,
    /// After how many days the key expires; by default never.
    #[schema(minimum = 1, maximum = 36_500)]
    expires_in_days: Option<u32>,
    /// The password, in place of a recent sign-in, for scopes that need one of them.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Password>,
}

/// Scopes as defined in RFC 6749, 3.3.
struct Scopes(Vec<String>);

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let scopes: Vec<String> = bounded_list(from, MAX_SCOPES)?
            .map_err(|_| de::Error::custom(format!("must have at most {MAX_SCOPES} items")))?;
        let is_valid = |scope: &String| scope.len() <= MAX_SCOPE_LENGTH && is_scope(scope);
        if scopes.iter().all(is_valid) {
            Ok(Self(scopes))
        } else {
            let expected = format!("must be scopes (RFC 6749, 3.3) of at most {MAX_SCOPE_LENGTH} characters");
            Err(de::Error::custom(expected))
        }
    }
}

/// An API key.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "id": "019a8b1c-2d3e-7f42-8a1b-2c3d4e5f6071",
    "name": "nightly build",
    "prefix": "sk_4k8wq0zj2m7n",
    "scopes": ["builds:read"],
    "created_at": "2026-11-14T08:58:40.123Z",
    "expires_at": null,
    "last_used_at": "2026-11-14T09:12:00.123Z",
    "active": true,
})))]
pub(super) struct ProjectApiKey {
    #[schema(value_type = uuid::Uuid)]
    id: ApiKeyId,
    name: String,
    /// The first characters of the key, which identify it.
    prefix: String,
    scopes: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// Accurate to one minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// False if the key is deactivated or has expired.
    active: bool,
}

/// The keys of a project.
#[derive(Serialize, ToSchema)]
pub(super) struct ApiKeys {
    /// Newest first.
    #[schema(max_items = 100)]
    api_keys: Vec<ProjectApiKey>,
    /// The number of keys that the project has.
    total: u64,
}

/// A key that was just created.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "key": "sk_4k8wq0zj2m7n_Zx81cW0pQr7LmB5tVd2Ka9Ys3Hf6Ne4",
    "id": "019a8b1c-2d3e-7f42-8a1b-2c3d4e5f6071",
    "name": "nightly build",
    "prefix": "sk_4k8wq0zj2m7n",
    "scopes": ["builds:read"],
    "created_at": "2026-11-14T08:58:40.123Z",
    "expires_at": null,
    "last_used_at": null,
    "active": true,
})))]
pub(super) struct CreatedApiKey {
    /// The whole key. Only this response contains it.
    key: String,
    #[serde(flatten)]
    api_key: ProjectApiKey,
}

impl ProjectApiKey {
    pub(super) fn new(key: ApiKey, now: Timestamp) -> Self {
        Self {
            active: key.is_active(now),
            id: key.id,
            name: key.name,
            prefix: key.prefix,
            scopes: key.scopes,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
        }
    }
}

/// The project in the path: an id, or `personal`.
async fn project(ctx: &Context, caller: &Caller, request: &Request) -> Result<ProjectId, Error> {
    match request.param("id") {
        "personal" => personal_project(ctx, caller.user).await,
        id => ProjectId::parse(id).ok_or(Error::NotFound),
    }
}

/// List the API keys of a project
///
/// Takes an access token, or an API key of the project.
#[utoipa::path(
    get,
    path = "/projects/{id}/api-keys",
    operation_id = "native_list_api_keys",
    params(
        ("id" = String, Path, description = "The project's id, or `personal`."),
        ("skip" = Option<u32>, Query, minimum = 0, maximum = 2_147_483_647, description = "The number of keys to skip, counted from the newest."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "The maximum number of keys to return."),
    ),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The keys.", body = ApiKeys)),
)]
async fn list(ctx: Context, request: Request) -> Result<Response, Problem> {
    let caller = authenticate(&ctx, credential(&request)).await?;
    let query = request.query()?;
    let skip = number(&query, "skip", 0, 0..=MAX_SKIP)?;
    let limit = number(&query, "limit", MAX_PAGE, 1..=MAX_PAGE)?;
    let project = project(&ctx, &caller, &request).await?;
    let request_ctx = request_context(&ctx, &request);
    let (keys, total) = list_own(&ctx, &caller, project, (skip, limit), request_ctx).await?;
    let now = ctx.now();
    let api_keys = keys.into_iter().map(|key| ProjectApiKey::new(key, now)).collect();
    Ok(Response::json(StatusCode::OK, &ApiKeys { api_keys, total }).no_store())
}

pub(super) const LIST: Endpoint = endpoint! {
    handler: list,
    metric_label: "native.api-keys",
    errors: [FORBIDDEN, Error::Forbidden(Denial::OtherProject), Error::NotFound, RATE_LIMITED],
};

/// Create an API key
///
/// The response has the whole key, which is not shown again. The owner is told by mail. Only superusers may grant the
/// reserved scopes `admin`, `billing:write` and `feed:report`. For these, and for `introspect`, `revoke` and
/// `tokens:exchange`, a superuser needs a token of a recent sign-in, or the password. A user can have at most 1,000
/// keys that are not deactivated; expired ones count.
#[utoipa::path(
    post,
    path = "/projects/{id}/api-keys",
    operation_id = "native_create_api_key",
    params(
        ("id" = String, Path, description = "The project's id, or `personal`."),
        IdempotencyKey,
    ),
    request_body = CreateApiKey,
    security(("access_token" = [])),
    responses((status = 201, description = "The new key.", body = CreatedApiKey)),
)]
async fn create(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let bytes = request.json_bytes().await?;
    let body: CreateApiKey = json::parse(&bytes)?;
    check_name("name", &body.name)?;
    if body.expires_in_days.is_some_and(|days| !(1..=MAX_DAYS).contains(&days)) {
        let kind = FieldErrorKind::Invalid(format!("must be from 1 to {MAX_DAYS}"));
        return Err(Rejection::field(FieldError::new(ParamLocation::Body, "expires_in_days", kind)).into());
    }
    let caller = authenticate(&ctx, session_token(&request)?).await?;
    caller.require_session()?;
    let project = project(&ctx, &caller, &request).await?;
    let request_ctx = request_context(&ctx, &request).into_owned();
    let work = {
        let (ctx, caller) = (ctx.clone(), caller.clone());
        async move {
            let key_request = ApiKeyRequest {
                name: body.name,
                scopes: body.scopes.map(|scopes| scopes.0).unwrap_or_default(),
                expires_in_days: body.expires_in_days,
            };
            let proof = IdentityProof { password: body.password.as_ref(), auth_time: caller.auth_time() };
            let request_ctx = request_ctx.borrow(&ctx.node.config.api.native);
            let (key, full_key) = create_own(&ctx, &caller, project, key_request, proof, request_ctx).await?;
            let api_key = ProjectApiKey::new(key, ctx.now());
            idempotency::to_json(&CreatedApiKey { key: full_key.reveal().to_owned(), api_key })
        }
    };
    // The project is in the path, so the body alone does not identify the request.
    let operation = "create an API key";
    let content = [project.to_string().as_bytes(), &bytes].concat().into();
    idempotency::create(&ctx, &request, operation, Requester::User(caller.user), &content, work).await
}

pub(super) const CREATE: Endpoint = endpoint! {
    handler: create,
    metric_label: "native.create-api-key",
    errors: [
        FORBIDDEN,
        Error::Forbidden(Denial::OtherProject),
        Error::Forbidden(Denial::TooManyApiKeys),
        Error::NotFound,
        Error::WrongCurrentPassword,
        Error::RecentSignInRequired,
        KEY_REUSED,
        IN_PROGRESS,
        RATE_LIMITED,
    ],
};

/// Deactivate an API key
///
/// All nodes refuse the key within milliseconds. Repeating the call is harmless.
#[utoipa::path(
    delete,
    path = "/projects/{id}/api-keys/{key}",
    operation_id = "native_delete_api_key",
    params(
        ("id" = String, Path, description = "The project's id, or `personal`."),
        ("key" = uuid::Uuid, Path, description = "The key's id."),
    ),
    security(("access_token" = [])),
    responses((status = 204, description = "The key is deactivated.")),
)]
async fn deactivate(ctx: Context, request: Request) -> Result<Response, Problem> {
    let caller = authenticate(&ctx, session_token(&request)?).await?;
    caller.require_session()?;
    let project = project(&ctx, &caller, &request).await?;
    let key = ApiKeyId::parse(request.param("key")).ok_or(Error::NotFound)?;
    let request_ctx = request_context(&ctx, &request);
    deactivate_own(&ctx, &caller, project, key, request_ctx).await?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

pub(super) const DEACTIVATE: Endpoint = endpoint! {
    handler: deactivate,
    metric_label: "native.delete-api-key",
    errors: [FORBIDDEN, Error::Forbidden(Denial::OtherProject), Error::NotFound],
};
