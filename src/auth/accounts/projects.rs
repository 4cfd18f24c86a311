//! Projects: what API keys belong to. Everybody has a personal one from the start, and may make more.

use crate::auth::Error;
use crate::auth::context::Context;
use crate::auth::error::Denial;
use crate::id::{ProjectId, UserId};

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// What its owner calls it.
    pub name: String,
}

/// A user's projects, the personal one first.
pub async fn list_projects(ctx: &Context, user: UserId) -> Result<Vec<Project>, Error> {
    let rows = ctx.accounts.projects(user).await?;
    Ok(rows.into_iter().map(|(id, name)| Project { id, name }).collect())
}

/// How many projects a person may have: they are told all at once. Two who make one at the same time may come out one above.
const MOST: usize = 100;

/// Makes a project.
pub async fn create_project(ctx: &Context, user: UserId, name: String) -> Result<Project, Error> {
    if ctx.accounts.projects(user).await?.len() >= MOST {
        return Err(Error::Forbidden(Denial::MissingPermission));
    }
    let now = ctx.now();
    let id = ProjectId::new(now, &ctx.node.rng);
    match ctx.accounts.create_project(user, id, &name, now).await? {
        true => Ok(Project { id, name }),
        false => Err(Error::NotFound),
    }
}

/// Demands that a project is one of the user's.
pub(in crate::auth) async fn require_project_owner(
    ctx: &Context,
    user: UserId,
    project: ProjectId,
) -> Result<(), Error> {
    let own = ctx.accounts.projects(user).await?.iter().any(|(id, _)| *id == project);
    own.then_some(()).ok_or(Error::Forbidden(Denial::OtherProject))
}
