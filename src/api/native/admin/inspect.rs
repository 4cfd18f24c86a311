//! Inspecting a token or an API key.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Problem, require_superuser};
use crate::api::FORBIDDEN;
use crate::api::endpoint::{Endpoint, endpoint};
use crate::auth::context::Context;
use crate::auth::signing_keys::key_state_name;
use crate::auth::tokens::inspect::{Inspection, inspect as inspect_credential};
use crate::clock::Timestamp;
use crate::http::{Request, Response};
use crate::id::{SessionId, UserId};

/// The credential to inspect.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCIsImtpZCI6IjNxN…"})))]
struct InspectRequest {
    /// An access token, refresh token, action token or API key, complete.
    token: String,
}

/// The result of an inspection.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "kind": "access_token",
    "header": {"alg": "EdDSA", "typ": "at+jwt", "kid": "kPrK_qmxVWaYVA9w"},
    "claims": {
        "iss": "https://id.example.org",
        "aud": "signet",
        "sub": "019a8b1c-0000-7abc-9def-0123456789ab",
        "sid": "019a8b1c-2d3e-7f40-8a1b-2c3d4e5f6071",
        "iat": 1_763_130_320,
        "exp": 1_763_131_220,
    },
    "key": {"kid": "kPrK_qmxVWaYVA9w", "state": "signing"},
    "valid": false,
    "reason": "revoked",
    "explanation": "It was revoked.",
    "session": null,
    "revoked": {"what": "user", "at": "2025-11-14T14:30:00Z"},
    "user": {"id": "019a8b1c-0000-7abc-9def-0123456789ab", "email": "zoe@example.org", "disabled": false},
})))]
struct InspectedToken<'a> {
    #[schema(value_type = KindName)]
    kind: &'static str,
    /// The header of a JWT, also if its signature is wrong.
    #[schema(value_type = Option<Object>)]
    header: Option<&'a Value>,
    /// The claims of a JWT, also if its signature is wrong. For an API key and a refresh token, their stored data in
    /// the form of claims.
    #[schema(value_type = Option<Object>)]
    claims: Option<&'a Value>,
    /// The signing key that the header names; null if it is not in the keyring.
    key: Option<InspectedKey<'a>>,
    /// True if the credential is accepted now.
    valid: bool,
    /// Why it is not accepted: a code of `/verify`, or `session_ended` or `rotated` for a refresh token. Null if it is
    /// accepted.
    reason: Option<&'static str>,
    /// The same in a sentence.
    explanation: Option<&'static str>,
    /// Its session; null unless the session is open.
    session: Option<InspectedSession<'a>>,
    /// The revocation because of which it is not accepted; null if that is not the reason or not known.
    revoked: Option<RevokedBy>,
    /// Its user, if the credential is authentic.
    user: Option<InspectedUser<'a>>,
}

/// The kind of a credential.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(dead_code, reason = "only the OpenAPI document uses it")]
enum KindName {
    AccessToken,
    RefreshToken,
    ActionToken,
    ApiKey,
    Unknown,
}

/// A signing key.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"kid": "kPrK_qmxVWaYVA9w", "state": "signing"})))]
struct InspectedKey<'a> {
    kid: &'a str,
    /// `announced`, `signing`, `verify_only` or `revoked`.
    state: &'static str,
}

/// An open session.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "id": "019a8b1c-2d3e-7f40-8a1b-2c3d4e5f6071",
    "user_id": "019a8b1c-0000-7abc-9def-0123456789ab",
    "created_at": "2025-11-14T14:25:20.123Z",
    "last_used_at": "2025-11-14T16:02:11.008Z",
    "expires_at": "2025-12-14T16:02:11.008Z",
    "address": "203.0.113.7",
    "agent": "Mozilla/5.0 (X11; Linux x86_64)",
    "dialect": "native",
})))]
struct InspectedSession<'a> {
    #[schema(value_type = uuid::Uuid)]
    id: SessionId,
    #[schema(value_type = uuid::Uuid)]
    user_id: UserId,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    address: &'a str,
    agent: &'a str,
    dialect: &'a str,
}

/// A revocation.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"what": "user", "at": "2025-11-14T14:30:00Z"}), json!({"what": "session", "at": null})))]
struct RevokedBy {
    /// The revoked object: `everyone`, `user`, `session`, `token`, `api_key` or `signing_key`.
    what: &'static str,
    /// For `everyone` and `user`, what began up to this time is revoked. Otherwise the time of the revocation. Null if
    /// it is not known.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
}

/// The user of a credential.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({
    "id": "019a8b1c-0000-7abc-9def-0123456789ab", "email": "zoe@example.org", "disabled": false,
})))]
struct InspectedUser<'a> {
    #[schema(value_type = uuid::Uuid)]
    id: UserId,
    #[schema(format = Email)]
    email: &'a str,
    disabled: bool,
}

/// Inspect a token
///
/// Returns the kind, the contents, the signing key, the session and the user of a token or an API key. Says whether it
/// is accepted; if it is not, gives the reason and the revocation. The credential is not used up: a refresh token still
/// works afterwards. For superusers, and for their API keys with the scope `admin`.
#[utoipa::path(
    post,
    path = "/admin/inspect",
    operation_id = "native_admin_inspect",
    request_body = InspectRequest,
    security(("access_token" = []), ("api_key" = [])),
    responses((status = 200, description = "The result of the inspection.", body = InspectedToken<'_>)),
)]
async fn inspect(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    require_superuser(&ctx, &request).await?;
    let body: InspectRequest = request.json().await?;
    let inspection = inspect_credential(&ctx, &body.token).await?;
    Ok(Response::json(StatusCode::OK, &InspectedToken::from(&inspection)).no_store())
}

pub(super) const INSPECT: Endpoint = endpoint! {
    handler: inspect,
    metric_label: "native.admin-inspect",
    errors: [FORBIDDEN],
};

impl<'a> From<&'a Inspection> for InspectedToken<'a> {
    fn from(inspection: &'a Inspection) -> Self {
        Self {
            kind: inspection.kind.name(),
            header: inspection.header.as_ref(),
            claims: inspection.claims.as_ref(),
            key: inspection
                .key
                .as_ref()
                .map(|(key, state)| InspectedKey { kid: &key.kid, state: key_state_name(*state) }),
            valid: inspection.refused.is_none(),
            reason: inspection.refused.map(|reason| reason.code()),
            explanation: inspection.refused.map(|reason| reason.explanation()),
            session: inspection.session.as_ref().map(|session| InspectedSession {
                id: session.id,
                user_id: session.user,
                created_at: session.opened_at.min(session.used_at),
                last_used_at: session.used_at,
                expires_at: session.expires_at(),
                address: &session.client_ip,
                agent: &session.user_agent,
                dialect: &session.dialect,
            }),
            revoked: inspection.revoked.map(|revoked| RevokedBy { what: revoked.what, at: revoked.at }),
            user: inspection.user.as_ref().map(|user| InspectedUser {
                id: user.id,
                email: &user.email,
                disabled: user.disabled,
            }),
        }
    }
}
