//! `signet api-keys`: create, list, deactivate.

use std::time::Duration;

use serde::Serialize;

use super::CliError;
use super::arguments::ApiKeys;
use super::output::{Columns, Output, or_dash};
use super::propagation::wait_for_nodes;
use super::users::find;
use crate::auth;
use crate::auth::api_keys::administer::deactivate_all;
use crate::auth::api_keys::{ApiKey, CreateApiKey, create, deactivate};
use crate::auth::audit::Origin;
use crate::auth::context::Context;
use crate::auth::reserved_scopes::is_reserved;
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, UserId};
use crate::node::events;
use crate::store::accounts::User;

/// Keys per statement when reading many.
const PAGE: u32 = 500;

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) async fn run(command: ApiKeys, ctx: &Context, output: &mut Output<'_>) -> Result<(), CliError> {
    match command {
        ApiKeys::Create { user, project, name, scopes, expires_in_days } => {
            let user = find(ctx, &user).await?;
            let project = projects(ctx, &user, project).await?.first().copied().ok_or_else(no_project)?;
            let expires_at = expires_in_days.map(|days| ctx.now() + DAY * days);
            let powerless = if user.superuser { None } else { scopes.iter().find(|scope| is_reserved(scope)).cloned() };
            let owner_valid_after = user.sessions_valid_after;
            let new_key = CreateApiKey { user: user.id, project, name, scopes, expires_at, owner_valid_after };
            let (row, full_key) = create(ctx, new_key, Origin::process()).await?;
            let row = ApiKeyRow { full_key: Some(full_key.reveal().to_owned()), ..ApiKeyRow::from(&row) };
            output.one(&row, COLUMNS_WITH_KEY)?;
            if let Some(scope) = powerless {
                output.note(&format!("the scope {scope} allows nothing while its owner is not a superuser"))?;
            }
            output.note("store the key now: it is shown this once")
        }
        ApiKeys::List { user, project } => {
            let user = find(ctx, &user).await?;
            let mut rows: Vec<ApiKeyRow> = Vec::new();
            for project in projects(ctx, &user, project).await? {
                let (mut skip, mut total) = (0, u64::MAX);
                while u64::from(skip) < total {
                    let (keys, count) = ctx.accounts.api_keys(project, skip, PAGE).await?;
                    rows.extend(keys.iter().map(ApiKeyRow::from));
                    (skip, total) = (skip + PAGE, count);
                }
            }
            output.rows(&rows, COLUMNS)
        }
        ApiKeys::Deactivate { prefix: None, .. } => {
            let deactivated = deactivate_all(ctx, Origin::process(), async || events::flush(ctx).await).await?;
            match output.is_json() {
                true => output.json(&serde_json::json!({"deactivated": deactivated}))?,
                false => output.line(&format!("API keys deactivated: {deactivated}."))?,
            }
            wait_for_nodes(ctx, output).await
        }
        ApiKeys::Deactivate { prefix: Some(prefix), .. } => {
            let not_found = || CliError::NotFound { kind: "API key", name: prefix.clone() };
            let (key, _) = ctx.accounts.api_key(&prefix).await?.ok_or_else(not_found)?;
            let key = match deactivate(ctx, key.project, key.id, Origin::process()).await {
                Ok(key) => key,
                Err(auth::Error::NotFound) => return Err(not_found()),
                Err(error) => return Err(error.into()),
            };
            output.one(&ApiKeyRow::from(&key), COLUMNS)?;
            wait_for_nodes(ctx, output).await
        }
    }
}

/// The user's projects, the personal one first; or only the project named on the command line, if it is the user's.
async fn projects(ctx: &Context, user: &User, named: Option<String>) -> Result<Vec<ProjectId>, CliError> {
    let all = ctx.accounts.projects(user.id).await?.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    match named {
        None => Ok(all),
        Some(name) => {
            let project = ProjectId::parse(&name).filter(|project| all.contains(project));
            project.map(|project| vec![project]).ok_or(CliError::NotFound { kind: "project of this user", name })
        }
    }
}

fn no_project() -> CliError {
    CliError::Failed {
        problem: "the user has no project".to_owned(),
        remedy: "the user was deleted a moment ago, or the store was changed by hand".to_owned(),
    }
}

/// An API key as printed: without the digest, and with the full key only when it was just created.
#[derive(Serialize)]
struct ApiKeyRow {
    id: ApiKeyId,
    prefix: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    full_key: Option<String>,
    name: String,
    project: ProjectId,
    user: UserId,
    scopes: Vec<String>,
    last_used_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    deactivated_at: Option<Timestamp>,
    created_at: Timestamp,
}

impl From<&ApiKey> for ApiKeyRow {
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.id,
            prefix: key.prefix.clone(),
            full_key: None,
            name: key.name.clone(),
            project: key.project,
            user: key.user,
            scopes: key.scopes.clone(),
            last_used_at: key.last_used_at,
            expires_at: key.expires_at,
            deactivated_at: key.deactivated_at,
            created_at: key.created_at,
        }
    }
}

const COLUMNS: Columns<ApiKeyRow> = &[
    ("prefix", |key| key.prefix.clone()),
    ("name", |key| key.name.clone()),
    ("project", |key| key.project.to_string()),
    ("scopes", |key| if key.scopes.is_empty() { "-".to_owned() } else { key.scopes.join(",") }),
    ("last used", |key| or_dash(key.last_used_at)),
    ("expires", |key| or_dash(key.expires_at)),
    ("deactivated", |key| or_dash(key.deactivated_at)),
    ("created", |key| key.created_at.to_string()),
];

const COLUMNS_WITH_KEY: Columns<ApiKeyRow> = &[
    ("key", |key| or_dash(key.full_key.as_ref())),
    ("prefix", |key| key.prefix.clone()),
    ("name", |key| key.name.clone()),
    ("project", |key| key.project.to_string()),
    ("scopes", |key| if key.scopes.is_empty() { "-".to_owned() } else { key.scopes.join(",") }),
    ("expires", |key| or_dash(key.expires_at)),
];
