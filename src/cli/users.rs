//! `signet users`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde::Serialize;
use zeroize::Zeroizing;

use super::arguments::{CreateUser, Users, Who};
use super::output::{Columns, Output, or_dash, yes};
use super::{CliError, House, NewAccount, Record};
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::store::accounts::{Billed, BillingChange, Created, Find, NewUser, User};

/// How many users are read or made in one statement.
const PAGE: u32 = 500;

/// The longest password that is read; a longer one is refused by every policy.
const LONGEST_PASSWORD: u64 = 16 * 1024;

pub(super) async fn run(command: Users, house: &dyn House, output: &mut Output<'_>) -> Result<(), CliError> {
    match command {
        Users::Create(wanted) => {
            let password = wanted.password_stdin.then(|| password(&mut io::stdin().lock())).transpose()?;
            let user = house.create_user(NewAccount { record: record(wanted), password }).await?;
            output.one(&Shown::from(&user), COLUMNS)
        }
        Users::List { limit, after } => list(house, output, after, limit).await,
        Users::Show(who) => output.one(&Shown::from(&find(house, &who).await?), COLUMNS),
        Users::Disable(who) => set_disabled(house, output, &who, true).await,
        Users::Enable(who) => set_disabled(house, output, &who, false).await,
        Users::Delete(who) => {
            let user = find(house, &who).await?;
            if !house.delete_user(user.id).await? {
                return Err(absent(&who));
            }
            output.one(&Shown::from(&user), COLUMNS)
        }
        Users::Import { file } => import(house, output, &mut *open(&file)?).await,
        Users::Export { with_hashes } => export(house, output, with_hashes).await,
    }
}

async fn list(house: &dyn House, output: &mut Output<'_>, after: i64, limit: u32) -> Result<(), CliError> {
    let mut shown: Vec<Shown> = Vec::new();
    let mut more = true;
    while more && shown.len() < limit as usize {
        let wanted = PAGE.min(limit - shown.len() as u32);
        let page = house.accounts().users(shown.last().map_or(after, |last| last.number), wanted).await?;
        more = page.len() == wanted as usize;
        shown.extend(page.iter().map(Shown::from));
    }
    output.rows(&shown, COLUMNS)?;
    match shown.last() {
        Some(last) if more => {
            output.say(&format!("there may be more: signet users list --limit {limit} --after {}", last.number))
        }
        Some(_) | None => Ok(()),
    }
}

async fn set_disabled(house: &dyn House, output: &mut Output<'_>, who: &Who, disabled: bool) -> Result<(), CliError> {
    let user = find(house, who).await?;
    let user = house.set_disabled(user.id, disabled).await?.ok_or_else(|| absent(who))?;
    output.one(&Shown::from(&user), COLUMNS)
}

async fn export(house: &dyn House, output: &mut Output<'_>, with_hashes: bool) -> Result<(), CliError> {
    let mut after = 0;
    loop {
        let page = house.accounts().users(after, PAGE).await?;
        for user in &page {
            output.json_line(&Record::of(user, with_hashes))?;
            after = user.number;
        }
        if page.len() < PAGE as usize {
            return Ok(());
        }
    }
}

/// What became of an import.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Imported {
    imported: u64,
    left_out: Vec<LeftOut>,
    /// How many of the imported ones had a second factor where they came from, and have none here.
    #[serde(skip_serializing_if = "is_zero")]
    without_second_factor: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A user to be made, with what the store keeps of it once it is there.
struct Waiting {
    line: u64,
    user: NewUser,
    billing: BillingChange,
    second_factor: bool,
}

/// A line of which no user was made.
#[derive(Debug, PartialEq, Serialize)]
struct LeftOut {
    line: u64,
    why: String,
    /// Whether the line itself is wrong; otherwise there is such a user already.
    faulty: bool,
}

async fn import(house: &dyn House, output: &mut Output<'_>, from: &mut dyn BufRead) -> Result<(), CliError> {
    let mut done = Imported::default();
    let mut waiting = Vec::new();
    for (number, line) in (1..).zip(from.lines()) {
        let line = Zeroizing::new(line.map_err(CliError::io("reading users"))?);
        if line.trim().is_empty() {
            continue;
        }
        match parse(house, number, &line).await? {
            Ok(user) => waiting.push(user),
            Err((why, faulty)) => done.left_out.push(LeftOut { line: number, why, faulty }),
        }
        if waiting.len() == PAGE as usize {
            keep(house, &mut waiting, &mut done).await?;
        }
    }
    keep(house, &mut waiting, &mut done).await?;
    done.left_out.sort_by_key(|left_out| left_out.line);
    report(output, &done)
}

/// The user that a line describes, or why there is none to be made and whether that is the line's fault.
async fn parse(house: &dyn House, line: u64, text: &str) -> Result<Result<Waiting, (String, bool)>, CliError> {
    let record = match serde_json::from_str::<Record>(text) {
        Ok(record) => record,
        Err(error) => return Ok(Err((error.to_string(), true))),
    };
    if let Some(id) = record.id
        && house.accounts().user(Find::Id(id)).await?.is_some()
    {
        return Ok(Err((format!("{}: a user has the id {id}", record.email), false)));
    }
    if record.token_balance.min(record.tokens_used) < 0 {
        return Ok(Err((format!("{}: token_balance or tokens_used is below zero", record.email), true)));
    }
    let user = match house.prepare(&record) {
        Ok(user) => user,
        Err(why) => return Ok(Err((format!("{}: {why}", record.email), true))),
    };
    let billing = BillingChange {
        token_balance: record.token_balance,
        tokens_used: record.tokens_used,
        subscription_tier: record.subscription_tier.map(Some),
    };
    Ok(Ok(Waiting { line, user, billing, second_factor: record.second_factor }))
}

async fn keep(house: &dyn House, waiting: &mut Vec<Waiting>, done: &mut Imported) -> Result<(), CliError> {
    let waiting = std::mem::take(waiting);
    if waiting.is_empty() {
        return Ok(());
    }
    let users: Vec<_> = waiting.iter().map(|waiting| waiting.user.clone()).collect();
    let created = house.accounts().import_users(&users).await?;
    for (Waiting { line, user, billing, second_factor }, created) in waiting.into_iter().zip(created) {
        let taken = match created {
            Created::Created(made) => {
                done.imported += 1;
                done.without_second_factor += u64::from(second_factor);
                bill(house, &made, &billing).await?;
                continue;
            }
            Created::EmailTaken => "address",
            Created::UsernameTaken => "username",
        };
        let why = format!("{}: another user has this {taken}", user.email);
        done.left_out.push(LeftOut { line, why, faulty: false });
    }
    Ok(())
}

/// Gives a user who was just made what it brings along.
async fn bill(house: &dyn House, made: &User, brought: &BillingChange) -> Result<(), CliError> {
    if brought.token_balance == 0 && brought.tokens_used == 0 && brought.subscription_tier.is_none() {
        return Ok(());
    }
    match house.accounts().change_billing(made.id, brought, made.updated_at).await? {
        Billed::Billed(_) => Ok(()),
        Billed::OutOfRange | Billed::Absent => Err(CliError::Refused {
            what: format!("{} was changed by another while it was imported", made.email),
            remedy: "give it what it had to spend by hand, and import the file again for the rest".to_owned(),
        }),
    }
}

fn report(output: &mut Output<'_>, done: &Imported) -> Result<(), CliError> {
    if output.is_json() {
        output.json(done)?;
    }
    for left_out in &done.left_out {
        output.say(&format!("line {}: left out: {}", left_out.line, left_out.why))?;
    }
    if done.without_second_factor > 0 {
        let many = done.without_second_factor;
        output.say(&format!("{many} imported without their second factor: it must be turned on again"))?;
    }
    output.say(&format!("{} imported, {} left out", done.imported, done.left_out.len()))?;
    match done.left_out.iter().filter(|left_out| left_out.faulty).count() {
        0 => Ok(()),
        faulty => Err(CliError::Refused {
            what: format!("{faulty} lines could not be read"),
            remedy: "mend them and import the file again: users that are there already are left out".to_owned(),
        }),
    }
}

async fn find(house: &dyn House, who: &Who) -> Result<User, CliError> {
    house.find(&who.who).await?.ok_or_else(|| absent(who))
}

fn absent(who: &Who) -> CliError {
    CliError::Absent { what: "user", name: who.who.clone() }
}

fn record(wanted: CreateUser) -> Record {
    Record {
        email: wanted.email,
        username: wanted.username,
        full_name: wanted.full_name,
        verified: wanted.verified,
        superuser: wanted.superuser,
        roles: wanted.roles,
        ..Record::default()
    }
}

/// The first line, without its end: `echo`, `printf` and a file all do. More lines are a mistake, not a password.
fn password(from: &mut dyn BufRead) -> Result<Zeroizing<String>, CliError> {
    let mut text = Zeroizing::new(String::new());
    from.take(LONGEST_PASSWORD).read_to_string(&mut text).map_err(CliError::io("reading the password"))?;
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() || line.contains('\n') {
        return Err(CliError::Usage {
            what: "the standard input must hold the password, on one line".to_owned(),
            remedy: "printf %s \"$PASSWORD\" | signet users create --email … --password-stdin".to_owned(),
        });
    }
    Ok(Zeroizing::new(line.to_owned()))
}

fn open(file: &Path) -> Result<Box<dyn BufRead>, CliError> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let open = File::open(file).map_err(CliError::io(format!("opening {}", file.display())))?;
    Ok(Box::new(BufReader::new(open)))
}

/// A user as it is shown: without the hash, and without the sealed secret.
#[derive(Serialize)]
struct Shown {
    id: UserId,
    number: i64,
    email: String,
    username: Option<String>,
    full_name: Option<String>,
    verified: bool,
    disabled: bool,
    superuser: bool,
    roles: Vec<String>,
    has_password: bool,
    second_factor: bool,
    token_balance: i64,
    tokens_used: i64,
    subscription_tier: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<&User> for Shown {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            number: user.number,
            email: user.email.clone(),
            username: user.username.clone(),
            full_name: user.full_name.clone(),
            verified: user.verified,
            disabled: user.disabled,
            superuser: user.superuser,
            roles: user.roles.clone(),
            has_password: user.password_hash.is_some(),
            second_factor: user.totp.is_some(),
            token_balance: user.billing.token_balance,
            tokens_used: user.billing.tokens_used,
            subscription_tier: user.billing.subscription_tier.clone(),
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

const COLUMNS: Columns<Shown> = &[
    ("number", |user| user.number.to_string()),
    ("id", |user| user.id.to_string()),
    ("email", |user| user.email.clone()),
    ("username", |user| or_dash(user.username.as_ref())),
    ("name", |user| or_dash(user.full_name.as_ref())),
    ("verified", |user| yes(user.verified)),
    ("disabled", |user| yes(user.disabled)),
    ("superuser", |user| yes(user.superuser)),
    ("roles", |user| if user.roles.is_empty() { "-".to_owned() } else { user.roles.join(",") }),
    ("password", |user| yes(user.has_password)),
    ("second factor", |user| yes(user.second_factor)),
    ("balance", |user| user.token_balance.to_string()),
    ("used", |user| user.tokens_used.to_string()),
    ("tier", |user| or_dash(user.subscription_tier.as_ref())),
    ("created", |user| user.created_at.to_string()),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line() {
        let read = |text: &str| password(&mut text.as_bytes()).map(|password| password.to_string());
        assert_eq!(read("with space ").unwrap(), "with space ");
        assert_eq!(read("echoed\n").unwrap(), "echoed");
        assert_eq!(read("from a file\r\n").unwrap(), "from a file");
        for bad in ["", "\n", "two\nlines\n"] {
            assert_eq!(read(bad).unwrap_err().exit_code(), 2, "{bad:?}");
        }
    }
}
