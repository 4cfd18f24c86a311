//! The caller's projects, which API keys belong to.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Problem, named};
use crate::auth::accounts::projects;
use crate::auth::context::Context;
use crate::auth::tokens::caller::authenticate;
use crate::http::{Request, Response};
use crate::id::ProjectId;

/// A project to be made.
#[derive(Deserialize, ToSchema)]
#[schema(examples(json!({"name": "Weather"})))]
pub(super) struct NewProject {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
}

/// A project.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"id": "019a8b1c-0000-7abd-9def-0123456789ab", "name": "Personal"})))]
pub(super) struct Project {
    #[schema(value_type = uuid::Uuid)]
    id: ProjectId,
    name: String,
}

/// The caller's projects.
#[derive(Serialize, ToSchema)]
pub(super) struct Projects {
    /// The personal one first.
    projects: Vec<Project>,
}

impl From<projects::Project> for Project {
    fn from(project: projects::Project) -> Self {
        Self { id: project.id, name: project.name }
    }
}

/// Lists the caller's projects.
///
/// Everybody has a personal one from the start.
#[utoipa::path(
    get,
    path = "/projects",
    operation_id = "native_list_projects",
    security(("access_token" = [])),
    responses((status = 200, description = "The projects.", body = Projects)),
)]
pub(super) async fn list(ctx: Context, request: Request) -> Result<Response, Problem> {
    let caller = authenticate(&ctx, request.bearer()).await?;
    caller.require_session()?;
    let projects = projects::list_projects(&ctx, caller.user).await?.into_iter().map(Project::from).collect();
    Ok(Response::json(StatusCode::OK, &Projects { projects }).no_store())
}

/// Makes a project.
///
/// A person has a hundred at the most.
#[utoipa::path(
    post,
    path = "/projects",
    operation_id = "native_make_project",
    request_body = NewProject,
    security(("access_token" = [])),
    responses((status = 201, description = "The project.", body = Project)),
)]
pub(super) async fn create(ctx: Context, mut request: Request) -> Result<Response, Problem> {
    let caller = authenticate(&ctx, request.bearer()).await?;
    caller.require_session()?;
    let asked: NewProject = request.json().await?;
    named("name", &asked.name)?;
    let project = projects::create_project(&ctx, caller.user, asked.name).await?;
    Ok(Response::json(StatusCode::CREATED, &Project::from(project)).no_store())
}
