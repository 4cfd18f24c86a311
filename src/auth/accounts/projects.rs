//! Projects, which own API keys. Every user has a personal project from the start and may create more.

use crate::auth::context::Context;
use crate::auth::error::Denial;
use crate::auth::rate_limit::LimitedAction;
use crate::auth::request_context::RequestContext;
use crate::auth::{Error, rate_limit};
use crate::id::{ProjectId, UserId};

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// The name its owner gave it.
    pub name: String,
}

/// The most projects of a user: they are listed in one response. Concurrent calls may exceed it.
const MAX_PROJECTS: usize = 100;

/// The most projects whose list is not limited. The names of [`MAX_PROJECTS`] have up to 40 kB, about as much as a list
/// of sessions.
const FEW_PROJECTS: usize = 20;

/// The user's projects, the personal one first. Rate-limited if there are many.
pub async fn list_projects(
    ctx: &Context,
    user: UserId,
    request_ctx: RequestContext<'_>,
) -> Result<Vec<Project>, Error> {
    let rows = ctx.accounts.projects(user).await?;
    if rows.len() > FEW_PROJECTS {
        rate_limit::check_costly(ctx, user, request_ctx).await?;
    }
    Ok(rows.into_iter().map(|(id, name)| Project { id, name }).collect())
}

/// The user's personal project.
pub async fn personal_project(ctx: &Context, user: UserId) -> Result<ProjectId, Error> {
    ctx.accounts.projects(user).await?.first().map(|(id, _)| *id).ok_or(Error::NotFound)
}

/// Creates a project.
pub async fn create_project(
    ctx: &Context,
    user: UserId,
    name: String,
    request_ctx: RequestContext<'_>,
) -> Result<Project, Error> {
    if ctx.accounts.projects(user).await?.len() >= MAX_PROJECTS {
        return Err(Error::Forbidden(Denial::MissingPermission));
    }
    rate_limit::check_client(ctx, LimitedAction::CreateClient, request_ctx).await?;
    let now = ctx.now();
    let id = ProjectId::new(now, &ctx.node.rng);
    match ctx.accounts.create_project(user, id, &name, now).await? {
        true => Ok(Project { id, name }),
        false => Err(Error::NotFound),
    }
}

/// Checks that the project is one of the user's.
pub(in crate::auth) async fn require_project_owner(
    ctx: &Context,
    user: UserId,
    project: ProjectId,
) -> Result<(), Error> {
    let owns = ctx.accounts.projects(user).await?.iter().any(|(id, _)| *id == project);
    owns.then_some(()).ok_or(Error::Forbidden(Denial::OtherProject))
}
