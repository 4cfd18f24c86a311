//! The export of the caller's data.

use http::header::CONTENT_DISPOSITION;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::Problem;
use super::api_keys::ProjectApiKey;
use super::audit::{Emails, Event};
use super::profile::Profile;
use super::projects::Project;
use super::sessions::Session;
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::{FORBIDDEN, RATE_LIMITED, session_token};
use crate::auth::accounts::export::export_user;
use crate::auth::accounts::permissions::require_user;
use crate::auth::context::Context;
use crate::auth::{Billing, Error};
use crate::clock::Timestamp;
use crate::http::{Request, Response};

/// Everything that is stored about a user, except hashes and encrypted secrets.
#[derive(Serialize, ToSchema)]
pub(super) struct Export<'a> {
    #[schema(value_type = String, format = DateTime)]
    exported_at: Timestamp,
    user: Profile<'a>,
    billing: BillingState<'a>,
    /// The personal project comes first.
    projects: Vec<Project>,
    /// The newest 1,000, with those that are not active.
    api_keys: Vec<ProjectApiKey>,
    /// The open sessions, newest first.
    sessions: Vec<Session<'a>>,
    /// The security events that `GET /me/activity` lists, newest first.
    activity: Vec<Event<'a>>,
}

/// Balance and usage.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"token_balance": 0, "tokens_used": 0, "subscription_tier": null})))]
struct BillingState<'a> {
    token_balance: i64,
    tokens_used: i64,
    subscription_tier: Option<&'a str>,
}

/// Export your data
///
/// Everything that is stored about the caller, except hashes and encrypted secrets.
#[utoipa::path(
    get,
    path = "/me/export",
    operation_id = "native_export_me",
    security(("access_token" = [])),
    responses((status = 200, description = "The data, as a file.", body = Export<'_>,
        headers(("content-disposition" = String)))),
)]
async fn export(ctx: Context, request: Request) -> Result<Response, Problem> {
    let (caller, user) = require_user(&ctx, session_token(&request)?).await?;
    let current = caller.require_session()?;
    let data = export_user(&ctx, user).await?;
    let (now, emails) = (ctx.now(), Emails::new());
    let Billing { token_balance, tokens_used, subscription_tier } = &data.user.billing;
    let body = Export {
        exported_at: now,
        user: Profile::with_recovery_codes(&data.user, data.recovery_codes_left, caller.auth_time()),
        billing: BillingState {
            token_balance: *token_balance,
            tokens_used: *tokens_used,
            subscription_tier: subscription_tier.as_deref(),
        },
        projects: data.projects.into_iter().map(|(id, name)| Project { id, name }).collect(),
        api_keys: data.api_keys.into_iter().map(|key| ProjectApiKey::new(key, now)).collect(),
        sessions: data.sessions.iter().map(|session| Session::new(session, Some(current))).collect(),
        activity: data.activity.events.iter().map(|event| Event::new(event, &emails)).collect(),
    };
    let file = HeaderValue::from_static("attachment; filename=\"account.json\"");
    Ok(Response::json(StatusCode::OK, &body).header(CONTENT_DISPOSITION, file).no_store())
}

pub(super) const EXPORT: Endpoint = endpoint! {
    handler: export,
    metric_label: "native.export-me",
    errors: [FORBIDDEN, Error::AccountDisabled, RATE_LIMITED],
};
