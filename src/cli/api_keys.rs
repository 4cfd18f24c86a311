//! `signet api-keys`.

use serde::Serialize;

use super::arguments::ApiKeys;
use super::output::{Columns, Output, or_dash};
use super::{CliError, House};
use crate::clock::Timestamp;
use crate::id::{ApiKeyId, ProjectId, UserId};
use crate::store::accounts::{ApiKey, User};

/// How many keys are read in one statement.
const PAGE: u32 = 500;

/// An API key to be made.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// In whose name it acts.
    pub user: UserId,
    /// What it belongs to.
    pub project: ProjectId,
    /// What it is called.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// After how many days it stops working.
    pub expires_in_days: Option<u32>,
}

pub(super) async fn run(command: ApiKeys, house: &dyn House, output: &mut Output<'_>) -> Result<(), CliError> {
    match command {
        ApiKeys::Create { user, project, name, scopes, expires_in_days } => {
            let user = find(house, &user).await?;
            let project = projects(house, &user, project).await?.first().copied().ok_or_else(no_project)?;
            let (key, whole) =
                house.create_api_key(NewApiKey { user: user.id, project, name, scopes, expires_in_days }).await?;
            let shown = Shown { full_key: Some(whole.to_string()), ..Shown::from(&key) };
            output.one(&shown, COLUMNS_WITH_KEY)?;
            output.say("the key is shown this once: keep it now")
        }
        ApiKeys::List { user, project } => {
            let user = find(house, &user).await?;
            let mut shown: Vec<Shown> = Vec::new();
            for project in projects(house, &user, project).await? {
                let (mut skip, mut all) = (0, u64::MAX);
                while u64::from(skip) < all {
                    let (keys, count) = house.accounts().api_keys(project, skip, PAGE).await?;
                    shown.extend(keys.iter().map(Shown::from));
                    (skip, all) = (skip + PAGE, count);
                }
            }
            output.rows(&shown, COLUMNS)
        }
        ApiKeys::Deactivate { prefix } => {
            let absent = || CliError::Absent { what: "API key", name: prefix.clone() };
            let (key, _) = house.accounts().api_key(&prefix).await?.ok_or_else(absent)?;
            let key = house.deactivate_api_key(&key).await?.ok_or_else(absent)?;
            output.one(&Shown::from(&key), COLUMNS)
        }
    }
}

/// The user's projects, the personal one first; or the one that was named, if it is the user's.
async fn projects(house: &dyn House, user: &User, named: Option<String>) -> Result<Vec<ProjectId>, CliError> {
    let all = house.accounts().projects(user.id).await?.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    match named {
        None => Ok(all),
        Some(named) => {
            let project = ProjectId::parse(&named).filter(|project| all.contains(project));
            project.map(|project| vec![project]).ok_or(CliError::Absent { what: "project of this user", name: named })
        }
    }
}

fn no_project() -> CliError {
    CliError::Refused {
        what: "the user has no project".to_owned(),
        remedy: "the user has just been deleted, or the store was changed by hand".to_owned(),
    }
}

async fn find(house: &dyn House, who: &str) -> Result<User, CliError> {
    house.find(who).await?.ok_or_else(|| CliError::Absent { what: "user", name: who.to_owned() })
}

/// An API key as it is shown: without the digest, and whole only when it has just been made.
#[derive(Serialize)]
struct Shown {
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

impl From<&ApiKey> for Shown {
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

const COLUMNS: Columns<Shown> = &[
    ("prefix", |key| key.prefix.clone()),
    ("name", |key| key.name.clone()),
    ("project", |key| key.project.to_string()),
    ("scopes", |key| if key.scopes.is_empty() { "-".to_owned() } else { key.scopes.join(",") }),
    ("last used", |key| or_dash(key.last_used_at)),
    ("expires", |key| or_dash(key.expires_at)),
    ("deactivated", |key| or_dash(key.deactivated_at)),
    ("created", |key| key.created_at.to_string()),
];

const COLUMNS_WITH_KEY: Columns<Shown> = &[
    ("key", |key| or_dash(key.full_key.as_ref())),
    ("prefix", |key| key.prefix.clone()),
    ("name", |key| key.name.clone()),
    ("project", |key| key.project.to_string()),
    ("scopes", |key| if key.scopes.is_empty() { "-".to_owned() } else { key.scopes.join(",") }),
    ("expires", |key| or_dash(key.expires_at)),
];
