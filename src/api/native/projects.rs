//! The caller's projects. Each API key belongs to one.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::idempotency::{self, IN_PROGRESS, IdempotencyKey, KEY_REUSED};
use super::{Problem, check_name, request_context};
use crate::api::endpoint::{Endpoint, endpoint};
use crate::api::{FORBIDDEN, RATE_LIMITED, session_token};
use crate::auth::accounts::projects;
use crate::auth::context::Context;
use crate::auth::idempotency::Requester;
use crate::auth::tokens::caller::authenticate;
use crate::http::{Request, Response, json};
use crate::id::ProjectId;

/// A project to create.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"name": "Weather"})))]
pub(super) struct CreateProject {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
}

/// A project.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"id": "019a8b1c-0000-7abd-9def-0123456789ab", "name": "Personal"})))]
pub(super) struct Project {
    #[schema(value_type = uuid::Uuid)]
    pub(super) id: ProjectId,
    pub(super) name: String,
}

/// The caller's projects.
#[derive(Serialize, ToSchema)]
pub(super) struct Projects {
    /// The personal project comes first.
    projects: Vec<Project>,
}

impl From<projects::Project> for Project {
    fn from(project: projects::Project) -> Self {
        Self { id: project.id, name: project.name }
    }
}

/// List your projects
///
/// Every user has a personal project from the start.
#[utoipa::path(
    get,
    path = "/projects",
    operation_id = "native_list_projects",
    security(("access_token" = [])),
    responses((status = 200, description = "The projects.", body = Projects)),
)]
async fn list_projects(ctx: Context, request: Request) -> Result<Response, Problem> {
    let caller = authenticate(&ctx, session_token(&request)?).await?;
    caller.require_session()?;
    let projects = projects::list_projects(&ctx, caller.user, request_context(&ctx, &request)).await?;
    let projects = projects.into_iter().map(Project::from).collect();
    Ok(Response::json(StatusCode::OK, &Projects { projects }).no_store())
}

pub(super) const LIST_PROJECTS: Endpoint = endpoint! {
    handler: list_projects,
    metric_label: "native.projects",
    errors: [FORBIDDEN, RATE_LIMITED],
};

/// Create a project
///
/// A user can have at most 100 projects.
#[utoipa::path(
    post,
    path = "/projects",
    operation_id = "native_make_project",
    params(IdempotencyKey),
    request_body = CreateProject,
    security(("access_token" = [])),
    responses((status = 201, description = "The project.", body = Project)),
)]
async fn create_project(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let caller = authenticate(&ctx, session_token(&request)?).await?;
    caller.require_session()?;
    let bytes = request.json_bytes().await?;
    let body: CreateProject = json::parse(&bytes)?;
    check_name("name", &body.name)?;
    let request_ctx = request_context(&ctx, &request).into_owned();
    let work = {
        let (ctx, user) = (ctx.clone(), caller.user);
        async move {
            let request_ctx = request_ctx.borrow(&ctx.node.config.api.native);
            let project = projects::create_project(&ctx, user, body.name, request_ctx).await?;
            idempotency::to_json(&Project::from(project))
        }
    };
    idempotency::create(&ctx, &request, "create a project", Requester::User(caller.user), &bytes, work).await
}

pub(super) const CREATE_PROJECT: Endpoint = endpoint! {
    handler: create_project,
    metric_label: "native.make-project",
    errors: [FORBIDDEN, RATE_LIMITED, KEY_REUSED, IN_PROGRESS],
};
