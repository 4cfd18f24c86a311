//! Signing out one user, or everyone.

use std::time::Duration;

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Problem, origin, require_superuser, user_id};
use crate::api::FORBIDDEN;
use crate::api::endpoint::{Endpoint, endpoint};
use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::revocation::propagation::{Acknowledgement, acknowledgements};
use crate::auth::sessions::sign_out;
use crate::http::{Request, Response};

/// The longest wait of the response for the other nodes. They confirm within milliseconds unless something is wrong.
const ACKNOWLEDGEMENT_TIMEOUT: Duration = Duration::from_secs(1);

/// The sessions that were ended, and the nodes that know it.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "ended": 2,
    "nodes": [
        {"node": "host-a_0.0.0.0:8000_412_9f3a", "acknowledged_ms": 0},
        {"node": "host-b_0.0.0.0:8000_398_11c0", "acknowledged_ms": null},
    ],
})))]
struct SignedOutUser {
    /// The number of sessions that were ended.
    ended: u64,
    /// The running nodes.
    nodes: Vec<NodeAcknowledgement>,
}

/// A node, and when it had applied the sign-out.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"node": "host-a_0.0.0.0:8000_412_9f3a", "acknowledged_ms": 3})))]
struct NodeAcknowledgement {
    node: String,
    /// Milliseconds from the sign-out until the node reported that it has applied it; null if it had not within a second.
    acknowledged_ms: Option<u64>,
}

/// Sign a user out everywhere
///
/// Ends all sessions of the user, on every node within milliseconds. Waits for the nodes for a second at most and says
/// when each of them had applied it. For superusers, and for their API keys with the scope `admin`.
#[utoipa::path(
    post,
    path = "/admin/users/{id}/sign-out",
    operation_id = "native_admin_sign_out",
    params(("id" = uuid::Uuid, Path, description = "The user's id.")),
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The number of sessions that were ended.", body = SignedOutUser)),
)]
async fn sign_out_user(ctx: Context, request: Request) -> Result<Response, Problem> {
    let by = require_superuser(&ctx, &request).await?;
    let origin = origin(&ctx, &by, &request);
    let ended = sign_out::sign_out_user_as_admin(&ctx, user_id(&request)?, origin).await?;
    let nodes = acknowledgements(&ctx, ACKNOWLEDGEMENT_TIMEOUT).await.into_iter().map(NodeAcknowledgement::from);
    Ok(Response::json(StatusCode::OK, &SignedOutUser { ended, nodes: nodes.collect() }).no_store())
}

pub(super) const SIGN_OUT_USER: Endpoint = endpoint! {
    handler: sign_out_user,
    metric_label: "native.admin-sign-out",
    errors: [FORBIDDEN, Error::NotFound],
};

/// Sign everyone out
///
/// Ends the sessions of all users, including the caller's. For superusers, and for their API keys with the scope
/// `admin`.
#[utoipa::path(
    post,
    path = "/admin/sign-out-everyone",
    operation_id = "native_admin_sign_out_everyone",
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 204, description = "All sessions have ended.")),
)]
async fn sign_out_everyone(ctx: Context, request: Request) -> Result<Response, Problem> {
    let by = require_superuser(&ctx, &request).await?;
    sign_out::sign_out_everyone(&ctx, origin(&ctx, &by, &request)).await?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}

pub(super) const SIGN_OUT_EVERYONE: Endpoint = endpoint! {
    handler: sign_out_everyone,
    metric_label: "native.admin-sign-out-everyone",
    errors: [FORBIDDEN],
};

impl From<Acknowledgement> for NodeAcknowledgement {
    fn from(Acknowledgement { node, after }: Acknowledgement) -> Self {
        Self { node, acknowledged_ms: after.map(|after| after.as_millis() as u64) }
    }
}
