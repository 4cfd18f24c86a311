//! The API keys of all users.

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::user::UserApiKey;
use super::{Limit, Problem, invalid_query, limit, origin, require_superuser};
use crate::api::FORBIDDEN;
use crate::api::endpoint::{Endpoint, endpoint};
use crate::auth::Error;
use crate::auth::api_keys::administer::{ApiKeyOrder, deactivate_as_admin, list_all};
use crate::auth::context::Context;
use crate::clock::Timestamp;
use crate::http::{Request, Response};
use crate::id::{ApiKeyId, UserId};

/// The order of API keys.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(dead_code, reason = "only the OpenAPI document uses it")]
pub(in crate::api::native) enum ApiKeySort {
    Created,
    LastUsed,
}

/// A page of API keys.
#[derive(Serialize, ToSchema)]
struct AllApiKeys<'a> {
    api_keys: Vec<OwnedApiKey<'a>>,
    /// The `cursor` of the next page; null on the last one.
    next_cursor: Option<String>,
}

/// An API key and its owner.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "id": "019a8b1c-3d4e-7f41-8a1b-2c3d4e5f6071",
    "project_id": "019a8b1c-0000-7abd-9def-0123456789ab",
    "name": "reports",
    "prefix": "sk_Zx81cW0pQr7L",
    "scopes": ["introspect"],
    "created_at": "2026-01-31T12:00:00Z",
    "expires_at": null,
    "last_used_at": "2026-02-14T08:30:00Z",
    "deactivated_at": null,
    "active": true,
    "owner": {"id": "019a8b1c-0000-7abc-9def-0123456789ab", "email": "zoe@example.org"},
})))]
struct OwnedApiKey<'a> {
    #[serde(flatten)]
    key: UserApiKey<'a>,
    owner: ApiKeyOwner<'a>,
}

/// The owner of an API key.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"id": "019a8b1c-0000-7abc-9def-0123456789ab", "email": "zoe@example.org"})))]
struct ApiKeyOwner<'a> {
    #[schema(value_type = uuid::Uuid)]
    id: UserId,
    #[schema(format = Email)]
    email: &'a str,
}

/// List API keys
///
/// The keys of all users, including deactivated ones, the newest first. `sort=last_used` sorts the newest 10,000 keys
/// by their last use, the latest first and unused keys at the end. For superusers, and for their API keys with the
/// scope `admin`.
#[utoipa::path(
    get,
    path = "/admin/api-keys",
    operation_id = "native_admin_api_keys",
    params(
        ("sort" = Option<ApiKeySort>, Query, description = "The order; by default `created`."),
        ("cursor" = Option<String>, Query, pattern = "^[0-9]{1,15}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
            description = "`next_cursor` of the page before."),
        Limit,
    ),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "A page of API keys.", body = AllApiKeys<'_>)),
)]
async fn list(ctx: Context, request: Request) -> Result<Response, Problem> {
    require_superuser(&ctx, &request).await?;
    let query = request.query()?;
    let order = match query.get("sort") {
        None | Some("created") => ApiKeyOrder::Created,
        Some("last_used") => ApiKeyOrder::LastUsed,
        Some(_) => return Err(invalid_query("sort", "must be created or last_used").into()),
    };
    let after = match query.get("cursor").map(parse_cursor) {
        Some(None) => return Err(invalid_query("cursor", "must be the next_cursor of a page").into()),
        Some(after) => after,
        None => None,
    };
    let page = list_all(&ctx, order, after, limit(&query)?).await?;
    let now = ctx.now();
    let owned = page.keys.iter().map(|(key, owner)| OwnedApiKey {
        key: UserApiKey::new(key, now),
        owner: ApiKeyOwner { id: owner.id, email: &owner.email },
    });
    let next_cursor = page.next.map(|(used_at, id)| format!("{}_{id}", used_at.millis()));
    Ok(Response::json(StatusCode::OK, &AllApiKeys { api_keys: owned.collect(), next_cursor }).no_store())
}

pub(super) const LIST: Endpoint = endpoint! {
    handler: list,
    metric_label: "native.admin-api-keys",
    errors: [FORBIDDEN],
};

fn parse_cursor(cursor: &str) -> Option<(Timestamp, ApiKeyId)> {
    let (used_at, id) = cursor.split_once('_')?;
    Some((Timestamp::from_millis(used_at.parse().ok()?), ApiKeyId::parse(id)?))
}

/// Deactivate an API key
///
/// Every node refuses it, and tokens issued from it, within milliseconds. Repeating it changes nothing. For superusers, and
/// for their API keys with the scope `admin`.
#[utoipa::path(
    delete,
    path = "/admin/api-keys/{id}",
    operation_id = "native_admin_deactivate_api_key",
    params(("id" = uuid::Uuid, Path, description = "The API key's id.")),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 204, description = "The API key is deactivated.")),
)]
async fn deactivate(ctx: Context, request: Request) -> Result<Response, Problem> {
    let by = require_superuser(&ctx, &request).await?;
    let key = ApiKeyId::parse(request.param("id")).ok_or(Error::NotFound)?;
    deactivate_as_admin(&ctx, key, origin(&ctx, &by, &request)).await?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

pub(super) const DEACTIVATE: Endpoint = endpoint! {
    handler: deactivate,
    metric_label: "native.admin-deactivate-api-key",
    errors: [FORBIDDEN, Error::NotFound],
};
