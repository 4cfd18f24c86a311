//! `signet seed`: users who are nobody, with sessions and API keys, for load tests; and the file that `loadtest/` reads.
//!
//! They are told from everybody else by their addresses, under a domain that is reserved for tests (RFC 6761), so that no mail of
//! theirs finds anyone, and so that what made them can take them away again. One password and one hash serve all of them: what is
//! seeded is worth nothing, and is seeded fast.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use serde::Serialize;
use zeroize::Zeroizing;

use super::arguments::Seed;
use super::output::{Columns, Output};
use super::{CliError, House, NewApiKey, Record};
use crate::clock::Timestamp;
use crate::id::{SessionId, UserId};
use crate::store::accounts::{Created, Find, PasswordHash, User};

/// What stands before and after the number of a seeded user.
const ADDRESS: (&str, &str) = ("seeded-", "@load.test");

/// How many users are read or made in one statement.
const PAGE: u32 = 500;

/// For how many users something is done at once: the stores then write many in one go.
const AT_ONCE: usize = 32;

/// After how many days a seeded API key stops working, should nobody take it away.
const DAYS: u32 = 30;

/// A session that was opened without anybody signing in. Without a Debug form: it is all secrets.
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// The access token.
    pub access: Zeroizing<String>,
    /// Until when that is good.
    pub access_until: Timestamp,
    /// The refresh token.
    pub refresh: Zeroizing<String>,
}

/// What the scripts read. `loadtest/lib/dataset.js` says what they make of it.
#[derive(Serialize)]
struct DataSet<'a> {
    /// Everybody's.
    password: &'a str,
    /// The addresses.
    users: Vec<&'a str>,
    sessions: Vec<Opened<'a>>,
    api_keys: Vec<Zeroizing<String>>,
}

#[derive(Serialize)]
struct Opened<'a> {
    /// Whose it is: a place in `users`.
    user: usize,
    user_id: UserId,
    session_id: SessionId,
    access_token: &'a str,
    access_until: Timestamp,
    refresh_token: &'a str,
}

/// What was done.
#[derive(Serialize)]
struct Done {
    users: u64,
    sessions: u64,
    api_keys: u64,
    file: Option<PathBuf>,
}

const SEEDED: Columns<Done> = &[
    ("users", |done| done.users.to_string()),
    ("sessions", |done| done.sessions.to_string()),
    ("API keys", |done| done.api_keys.to_string()),
    ("file", |done| done.file.as_ref().map_or_else(String::new, |file| file.display().to_string())),
];

const REMOVED: Columns<Done> = &[("users removed", |done| done.users.to_string())];

/// `most` is how many sessions one user may have.
pub(super) async fn run(wanted: Seed, most: u32, house: &dyn House, output: &mut Output<'_>) -> Result<(), CliError> {
    let Some(file) = wanted.out else {
        let users = remove(house).await?;
        return output.one(&Done { users, sessions: 0, api_keys: 0, file: None }, REMOVED);
    };
    if u64::from(wanted.sessions) > u64::from(wanted.users) * u64::from(most) {
        return Err(CliError::Usage {
            what: format!(
                "{} users cannot have {} sessions: {most} is the most for each",
                wanted.users, wanted.sessions
            ),
            remedy: "ask for more --users; [tokens] sessions_per_user in config.toml is the bound".to_owned(),
        });
    }
    if !wanted.among_others {
        must_be_alone(house).await?;
    }
    // Before anybody is made: a file that cannot be written would leave them without it.
    let mut fresh = Fresh::beside(&file)?;
    let (password, hash) = house.draw_password().await?;
    let users = users(house, wanted.users, &hash).await?;
    // Dealt out to the users in turn, from the first on.
    let owners = |many: u32| users.iter().cycle().take(many as usize);
    let sessions = each(owners(wanted.sessions).map(|user| house.open_session(user))).await?;
    let api_keys = each(owners(wanted.api_keys).map(|user| api_key(house, user))).await?;
    let data = DataSet {
        password: &password,
        users: users.iter().map(|user| user.email.as_str()).collect(),
        sessions: (0..users.len())
            .cycle()
            .zip(&sessions)
            .map(|(user, session)| opened(user, &users, session))
            .collect(),
        api_keys,
    };
    fresh.write(&data)?;
    let (users, sessions, api_keys) = (data.users.len() as u64, data.sessions.len() as u64, data.api_keys.len() as u64);
    output.one(&Done { users, sessions, api_keys, file: Some(file.clone()) }, SEEDED)
}

fn opened<'a>(user: usize, users: &[User], session: &'a NewSession) -> Opened<'a> {
    Opened {
        user,
        user_id: users[user].id,
        session_id: session.id,
        access_token: &session.access,
        access_until: session.access_until,
        refresh_token: &session.refresh,
    }
}

fn address(number: u32) -> String {
    format!("{}{number:08}{}", ADDRESS.0, ADDRESS.1)
}

fn is_seeded(user: &User) -> bool {
    let number = user.email.strip_prefix(ADDRESS.0).and_then(|rest| rest.strip_suffix(ADDRESS.1));
    number.is_some_and(|number| number.len() == 8 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Demands that nobody but seeded users is there: a load test belongs on no server that people use.
async fn must_be_alone(house: &dyn House) -> Result<(), CliError> {
    let mut after = 0;
    loop {
        let page = house.accounts().users(after, PAGE).await?;
        if page.iter().any(|user| !is_seeded(user)) {
            return Err(CliError::Refused {
                what: "there are users who were not seeded".to_owned(),
                remedy: "seed another server; --among-others if it is meant to be this one".to_owned(),
            });
        }
        match page.last() {
            Some(last) if page.len() == PAGE as usize => after = last.number,
            _ => return Ok(()),
        }
    }
}

/// The first so many seeded users: those who are there get the new password, the others are made.
async fn users(house: &dyn House, many: u32, hash: &PasswordHash) -> Result<Vec<User>, CliError> {
    let mut all = Vec::with_capacity(many as usize);
    for first in (0..many).step_by(PAGE as usize) {
        let numbers = first..many.min(first + PAGE);
        let prepared = numbers.map(|number| {
            house.prepare(&Record {
                email: address(number),
                password_hash: Some(hash.0.clone()),
                verified: true,
                ..Record::default()
            })
        });
        let new = prepared.collect::<Result<Vec<_>, _>>().map_err(in_the_way)?;
        let created = house.accounts().import_users(&new).await?;
        let settled = new.iter().zip(created).map(|(new, created)| async move {
            match created {
                Created::Created(user) => Ok(*user),
                Created::EmailTaken | Created::UsernameTaken => adopt(house, &new.email, hash).await,
            }
        });
        all.append(&mut each(settled).await?);
    }
    Ok(all)
}

/// Gives a seeded user of an earlier time the new password. The sessions stay: they are as good as the new ones.
async fn adopt(house: &dyn House, email: &str, hash: &PasswordHash) -> Result<User, CliError> {
    let found = house.accounts().user(Find::Email(email)).await?;
    if let Some(user) = found
        && let Some(old) = &user.password_hash
        && house.accounts().rehash(user.id, old, hash).await?
    {
        return Ok(user);
    }
    Err(in_the_way(format!("{email} was changed by another")))
}

fn in_the_way(what: String) -> CliError {
    CliError::Refused { what, remedy: "`signet seed --remove` takes away who was seeded before".to_owned() }
}

async fn api_key(house: &dyn House, user: &User) -> Result<Zeroizing<String>, CliError> {
    let project = house.accounts().projects(user.id).await?.first().map(|(id, _)| *id);
    let project = project.ok_or_else(|| in_the_way(format!("{} has no project", user.email)))?;
    let new = NewApiKey {
        user: user.id,
        project,
        name: "load test".to_owned(),
        scopes: Vec::new(),
        expires_in_days: Some(DAYS),
    };
    Ok(house.create_api_key(new).await?.1)
}

/// Takes away every seeded user with all that is theirs, and says how many there were.
async fn remove(house: &dyn House) -> Result<u64, CliError> {
    let (mut after, mut removed) = (0, 0);
    loop {
        let page = house.accounts().users(after, PAGE).await?;
        let seeded = page.iter().filter(|user| is_seeded(user)).map(|user| user.id).collect::<Vec<_>>();
        let gone = each(seeded.iter().map(|user| house.delete_user(*user))).await?;
        removed += gone.into_iter().filter(|gone| *gone).count() as u64;
        match page.last() {
            Some(last) if page.len() == PAGE as usize => after = last.number,
            _ => return Ok(removed),
        }
    }
}

/// Does one thing for many, some at once, and gives what came of it in their order.
async fn each<T>(work: impl Iterator<Item = impl Future<Output = Result<T, CliError>>>) -> Result<Vec<T>, CliError> {
    let (mut all, mut work) = (Vec::new(), work);
    loop {
        let some = work.by_ref().take(AT_ONCE).collect::<Vec<_>>();
        if some.is_empty() {
            return Ok(all);
        }
        for done in join_all(some).await {
            all.push(done?);
        }
    }
}

/// A file that takes the place of another once it is whole, and that its owner alone can read: it holds tokens and keys.
struct Fresh<'a> {
    file: File,
    here: PathBuf,
    place: &'a Path,
}

impl<'a> Fresh<'a> {
    fn beside(place: &'a Path) -> Result<Self, CliError> {
        let mut here = place.as_os_str().to_owned();
        here.push(format!(".{}", std::process::id()));
        let here = PathBuf::from(here);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&here);
        Ok(Self { file: file.map_err(CliError::io(format!("making {}", here.display())))?, here, place })
    }

    fn write(&mut self, data: &DataSet<'_>) -> Result<(), CliError> {
        let mut to = BufWriter::new(&mut self.file);
        let written = serde_json::to_writer(&mut to, data).map_err(io::Error::from).and_then(|()| to.flush());
        drop(to);
        let placed = written.and_then(|()| fs::rename(&self.here, self.place));
        placed.map_err(CliError::io(format!("writing {}", self.place.display())))
    }
}

impl Drop for Fresh<'_> {
    /// Whatever stopped it, nothing is left lying about.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.here);
    }
}
