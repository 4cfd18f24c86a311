//! `signet seed`: test users with sessions and API keys for load tests, and the file that `loadtest/` reads.
//!
//! Seeded users are recognized by their addresses under a domain reserved for tests (RFC 6761), so that no mail for
//! them reaches anyone and `--remove` can delete them again. All of them share one password and one hash: they
//! protect nothing, and are created fast.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use serde::Serialize;
use zeroize::Zeroizing;

use super::api_keys::DAY;
use super::arguments::Seed;
use super::output::{Columns, Output};
use super::propagation::wait_for_nodes;
use super::users::{AllUsers, UserRecord, validate_record};
use super::{CliError, CommandNode};
use crate::api::native;
use crate::auth;
use crate::auth::accounts::delete::delete_user;
use crate::auth::api_keys::{CreateApiKey, create};
use crate::auth::audit::Origin;
use crate::auth::context::Context;
use crate::auth::passwords::Password;
use crate::auth::request_context::{ExtraClaims, RequestContext};
use crate::auth::revocation::stream::catch_up;
use crate::auth::sign_in::open_session::open_seeded_session;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::id::{SessionId, UserId};
use crate::store::accounts::{Created, Find, PasswordHash, User};

/// A seeded address is this prefix, eight digits, and this suffix.
const ADDRESS: (&str, &str) = ("seeded-", "@load.test");

/// Users per statement when creating many.
const PAGE: u32 = 500;

/// Operations in flight at the same time: the stores then write many in one transaction.
const CONCURRENCY: usize = 32;

/// Lifetime of a seeded API key, in case nobody removes it.
const API_KEY_DAYS: u32 = 30;

/// A session opened without a sign-in. Without `Debug`, because it holds secrets only.
pub(super) struct SeededSession {
    id: SessionId,
    pub(super) access: Zeroizing<String>,
    access_expires_at: Timestamp,
    pub(super) refresh: Zeroizing<String>,
}

/// The file for the load test scripts; `loadtest/lib/dataset.js` reads it.
#[derive(Serialize)]
struct DataSet<'a> {
    /// The password of every user.
    password: &'a str,
    /// The addresses.
    users: Vec<&'a str>,
    sessions: Vec<SessionEntry<'a>>,
    api_keys: Vec<Zeroizing<String>>,
}

#[derive(Serialize)]
struct SessionEntry<'a> {
    /// The index of its user in `users`.
    user: usize,
    user_id: UserId,
    session_id: SessionId,
    access_token: &'a str,
    access_until: Timestamp,
    refresh_token: &'a str,
}

/// The result, as printed.
#[derive(Serialize)]
struct SeedReport {
    users: u64,
    sessions: u64,
    api_keys: u64,
    file: Option<PathBuf>,
}

const SEEDED: Columns<SeedReport> = &[
    ("users", |report| report.users.to_string()),
    ("sessions", |report| report.sessions.to_string()),
    ("API keys", |report| report.api_keys.to_string()),
    ("file", |report| report.file.as_ref().map_or_else(String::new, |file| file.display().to_string())),
];

const REMOVED: Columns<SeedReport> = &[("users removed", |report| report.users.to_string())];

pub(super) fn run(options: &Seed, node: CommandNode, output: &mut Output<'_>) -> Result<(), CliError> {
    let Some(path) = &options.out else {
        return node.run(async |ctx: &Context| {
            let users = remove(ctx).await?;
            output.one(&SeedReport { users, sessions: 0, api_keys: 0, file: None }, REMOVED)?;
            wait_for_nodes(ctx, output).await
        });
    };
    check_sessions(options, &node.config)?;
    // If the file cannot be written, nothing is left behind.
    let file = NewFile::create_beside(path)?;
    node.run(async |ctx: &Context| seed(ctx, options, file, output).await)
}

/// Refuses more sessions than the users can have.
fn check_sessions(options: &Seed, config: &Config) -> Result<(), CliError> {
    let sessions_per_user = config.tokens.sessions_per_user;
    if u64::from(options.sessions) <= u64::from(options.users) * u64::from(sessions_per_user) {
        return Ok(());
    }
    Err(CliError::Usage {
        problem: format!(
            "{} users cannot have {} sessions: the limit is {sessions_per_user} each",
            options.users, options.sessions
        ),
        remedy: "raise --users, or [tokens] sessions_per_user in config.toml".to_owned(),
    })
}

async fn seed(ctx: &Context, options: &Seed, mut file: NewFile<'_>, output: &mut Output<'_>) -> Result<(), CliError> {
    if !options.among_others {
        refuse_other_users(ctx).await?;
    }
    let (password, hash) = generate_password(ctx).await?;
    let users = create_users(ctx, options.users, &hash).await?;
    // The first process that reads a new store sets its global `not_before`. If that were a server that starts later,
    // it would refuse the sessions that are opened here.
    catch_up(ctx).await?;
    // Sessions and keys are dealt out to the users in turn, beginning with the first.
    let owners = |count: u32| users.iter().cycle().take(count as usize);
    let sessions = run_concurrently(owners(options.sessions).map(|user| create_session(ctx, user))).await?;
    let api_keys = run_concurrently(owners(options.api_keys).map(|user| create_api_key(ctx, user))).await?;
    let data = DataSet {
        password: &password,
        users: users.iter().map(|user| user.email.as_str()).collect(),
        sessions: (0..users.len()).cycle().zip(&sessions).map(|(user, session)| entry(user, &users, session)).collect(),
        api_keys,
    };
    file.write(&data)?;
    let (users, sessions, api_keys) = (data.users.len() as u64, data.sessions.len() as u64, data.api_keys.len() as u64);
    output.one(&SeedReport { users, sessions, api_keys, file: Some(file.target.to_owned()) }, SEEDED)
}

fn entry<'a>(user: usize, users: &[User], session: &'a SeededSession) -> SessionEntry<'a> {
    SessionEntry {
        user,
        user_id: users[user].id,
        session_id: session.id,
        access_token: &session.access,
        access_until: session.access_expires_at,
        refresh_token: &session.refresh,
    }
}

pub(super) fn address(number: u32) -> String {
    format!("{}{number:08}{}", ADDRESS.0, ADDRESS.1)
}

fn is_seeded(user: &User) -> bool {
    let number = user.email.strip_prefix(ADDRESS.0).and_then(|rest| rest.strip_suffix(ADDRESS.1));
    number.is_some_and(|number| number.len() == 8 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Refuses to go on if the store holds users that were not seeded: a load test belongs on no server that people use.
async fn refuse_other_users(ctx: &Context) -> Result<(), CliError> {
    let mut users = AllUsers::new(ctx);
    while let Some(page) = users.next_page().await? {
        if page.iter().any(|user| !is_seeded(user)) {
            return Err(CliError::Failed {
                problem: "there are users who were not seeded".to_owned(),
                remedy: "seed another server, or add --among-others to seed this one nevertheless".to_owned(),
            });
        }
    }
    Ok(())
}

/// Generates a password that cannot be guessed, and its hash.
pub(super) async fn generate_password(ctx: &Context) -> Result<(Zeroizing<String>, PasswordHash), CliError> {
    let password = Zeroizing::new(URL_SAFE_NO_PAD.encode(*Zeroizing::new(ctx.node.rng.bytes::<18>())));
    let hash = ctx.node.hasher.hash(&Password::new(password.to_string())).await;
    Ok((password, hash.map_err(auth::Error::from)?))
}

/// Creates the first `count` seeded users; those that exist get the new password.
async fn create_users(ctx: &Context, count: u32, hash: &PasswordHash) -> Result<Vec<User>, CliError> {
    let mut users = Vec::with_capacity(count as usize);
    for first in (0..count).step_by(PAGE as usize) {
        let numbers = first..count.min(first + PAGE);
        let rows = numbers.map(|number| {
            let record = UserRecord {
                email: address(number),
                password_hash: Some(hash.0.clone()),
                verified: true,
                ..UserRecord::default()
            };
            validate_record(ctx, &record).map_err(|error| conflict(error.to_string()))
        });
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let results = ctx.accounts.import_users(&rows).await?;
        let page = rows.iter().zip(results).map(|(row, result)| async move {
            match result {
                Created::Created(user) => Ok(*user),
                Created::EmailTaken | Created::UsernameTaken => set_password(ctx, &row.email, hash).await,
            }
        });
        users.append(&mut run_concurrently(page).await?);
    }
    Ok(users)
}

/// Gives an existing seeded user the new password. Its sessions stay: they are as good as new ones.
async fn set_password(ctx: &Context, email: &str, hash: &PasswordHash) -> Result<User, CliError> {
    if let Some(user) = ctx.accounts.user(Find::Email(email)).await?
        && let Some(old) = &user.password_hash
        && ctx.accounts.upgrade_hash(user.id, old, hash).await?
    {
        return Ok(user);
    }
    Err(conflict(format!("{email} was changed by someone else")))
}

/// The error if seeded users are in the way, or stay.
pub(super) fn conflict(problem: String) -> CliError {
    CliError::Failed { problem, remedy: "`signet seed --remove` deletes all seeded users".to_owned() }
}

pub(super) async fn create_session(ctx: &Context, user: &User) -> Result<SeededSession, CliError> {
    let localhost = Ipv4Addr::LOCALHOST.into();
    let request_ctx = RequestContext {
        dialect: native::NAME,
        dialect_config: &ctx.node.config.api.native,
        client_ip: localhost,
        rate_limit_ip: localhost,
        user_agent: Some("signet seed"),
        language: None,
        extra_claims: ExtraClaims::None,
        audience: None,
    };
    let now = ctx.now();
    let tokens = open_seeded_session(ctx, user, request_ctx).await?;
    Ok(SeededSession {
        id: tokens.session.id,
        access: Zeroizing::new(tokens.access_token),
        access_expires_at: now + tokens.access_expires_in,
        refresh: Zeroizing::new(tokens.refresh_token),
    })
}

async fn create_api_key(ctx: &Context, user: &User) -> Result<Zeroizing<String>, CliError> {
    let project = ctx.accounts.projects(user.id).await?.first().map(|(id, _)| *id);
    let project = project.ok_or_else(|| conflict(format!("{} has no project", user.email)))?;
    let new_key = CreateApiKey {
        user: user.id,
        project,
        name: "load test".to_owned(),
        scopes: Vec::new(),
        expires_at: Some(ctx.now() + DAY * API_KEY_DAYS),
        owner_valid_after: user.sessions_valid_after,
    };
    let (_, key) = create(ctx, new_key, Origin::process()).await?;
    Ok(Zeroizing::new(key.reveal().to_owned()))
}

/// Deletes every seeded user, and returns how many there were.
async fn remove(ctx: &Context) -> Result<u64, CliError> {
    let (mut users, mut removed) = (AllUsers::new(ctx), 0);
    while let Some(page) = users.next_page().await? {
        let seeded = page.iter().filter(|user| is_seeded(user)).map(|user| user.id).collect::<Vec<_>>();
        let deleted = run_concurrently(seeded.iter().map(|user| async {
            match delete_user(ctx, *user, Origin::process()).await {
                Ok(_) => Ok(true),
                Err(auth::Error::NotFound) => Ok(false),
                Err(error) => Err(CliError::from(error)),
            }
        }));
        removed += deleted.await?.into_iter().filter(|deleted| *deleted).count() as u64;
    }
    Ok(removed)
}

/// Runs all futures, [`CONCURRENCY`] at a time, and returns their results in order.
pub(super) async fn run_concurrently<T>(
    mut work: impl Iterator<Item = impl Future<Output = Result<T, CliError>>>,
) -> Result<Vec<T>, CliError> {
    let mut results = Vec::new();
    loop {
        let batch = work.by_ref().take(CONCURRENCY).collect::<Vec<_>>();
        if batch.is_empty() {
            return Ok(results);
        }
        for result in join_all(batch).await {
            results.push(result?);
        }
    }
}

/// A file that replaces another once it is complete. Only its owner can read it, because it holds tokens and keys.
struct NewFile<'a> {
    file: File,
    temporary: PathBuf,
    target: &'a Path,
}

impl<'a> NewFile<'a> {
    fn create_beside(target: &'a Path) -> Result<Self, CliError> {
        let mut temporary = target.as_os_str().to_owned();
        temporary.push(format!(".{}", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = file.map_err(CliError::io(format!("creating {}", temporary.display())))?;
        Ok(Self { file, temporary, target })
    }

    fn write(&mut self, data: &DataSet<'_>) -> Result<(), CliError> {
        let mut writer = BufWriter::new(&mut self.file);
        let written = serde_json::to_writer(&mut writer, data).map_err(io::Error::from).and_then(|()| writer.flush());
        drop(writer);
        let renamed = written.and_then(|()| fs::rename(&self.temporary, self.target));
        renamed.map_err(CliError::io(format!("writing {}", self.target.display())))
    }
}

impl Drop for NewFile<'_> {
    /// Removes the temporary file if it was not renamed.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.temporary);
    }
}
