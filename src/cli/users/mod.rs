//! `signet users`: create, list, show, update, sign-out, disable, enable, reset-mfa, delete, import and export.

mod import;
mod record;

use std::time::Duration;

use serde::Serialize;

use super::arguments::{CreateUser, UpdateUser, UserName, Users};
use super::output::{Columns, Output, or_dash, yes};
use super::propagation::wait_for_nodes;
use super::{CliError, CommandNode, terminal};
use crate::auth;
use crate::auth::accounts::create;
use crate::auth::accounts::delete::delete_user;
use crate::auth::accounts::disable;
use crate::auth::accounts::find::find_by_text;
use crate::auth::accounts::update::{self, update_user_as_operator};
use crate::auth::audit::{self, Event, EventType, Origin};
use crate::auth::context::Context;
use crate::auth::identity::Username;
use crate::auth::mfa::reset_as_operator;
use crate::auth::passwords::Password;
use crate::auth::sessions::sign_out::sign_out_user_as_admin;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::id::UserId;
use crate::store::accounts::User;
use crate::token::custom_claims::CustomClaims;

pub(super) use record::{UserRecord, validate_record};

/// The longest wait of a command for its mail to be sent: one try of a slow mail server.
const MAIL_TIMEOUT: Duration = Duration::from_secs(30);

/// Users per statement when reading many.
const PAGE: u32 = 500;

pub(super) fn run(command: Users, node: CommandNode, output: &mut Output<'_>) -> Result<(), CliError> {
    match command {
        Users::Create(options) => {
            let new_user = new_user(options, &node.config)?;
            node.run(async |ctx: &Context| {
                let user = create::create_user_as_operator(ctx, new_user).await?;
                output.one(&UserRow::from(&user), COLUMNS)
            })
        }
        Users::List { limit, after } => node.run(async |ctx: &Context| list(ctx, output, after, limit).await),
        Users::Show(name) => node.run(async |ctx: &Context| {
            let user = find(ctx, &name.user).await?;
            output.one(&UserRow::from(&user), COLUMNS)
        }),
        Users::Update(options) => {
            let changes = changes(&options)?;
            node.run(async |ctx: &Context| update(ctx, output, &options, changes).await)
        }
        Users::SignOut(name) => node.run(async |ctx: &Context| {
            let user = find(ctx, &name.user).await?;
            let ended = sign_out_user_as_admin(ctx, user.id, Origin::process()).await?;
            output.one(&SignedOutRow { id: user.id, email: user.email, ended }, SIGNED_OUT_COLUMNS)?;
            wait_for_nodes(ctx, output).await
        }),
        Users::Disable { name, yes } => node.run(async |ctx: &Context| {
            let user = find(ctx, &name.user).await?;
            confirm_unless_superuser_remains(ctx, &user, "disable", yes).await?;
            set_disabled(ctx, output, &name, user.id, true).await?;
            wait_for_nodes(ctx, output).await
        }),
        Users::Enable(name) => node.run(async |ctx: &Context| {
            let user = find(ctx, &name.user).await?;
            set_disabled(ctx, output, &name, user.id, false).await
        }),
        Users::ResetMfa { name, sign_out } => {
            node.run(async |ctx: &Context| reset_mfa(ctx, output, &name, sign_out).await)
        }
        Users::Delete { name, yes } => node.run(async |ctx: &Context| delete(ctx, output, &name, yes).await),
        Users::Import(options) => import::run(&options, node, output),
        Users::Export { with_hashes } => node.run(async |ctx: &Context| export(ctx, output, with_hashes).await),
    }
}

/// The user to create, checked, with the password from stdin.
fn new_user(options: CreateUser, config: &Config) -> Result<create::CreateUser, CliError> {
    let mut new_user = create::CreateUser {
        email: options.email,
        username: options.username,
        full_name: options.full_name,
        password: None,
        verified: options.verified,
        disabled: false,
        superuser: options.superuser,
        roles: options.roles,
        custom_claims: options.claims.unwrap_or_default(),
    };
    // Before the password is asked for, so that no user types one in vain.
    new_user.check(&config.passwords)?;
    if options.password_stdin {
        new_user.password = Some(Password::new(terminal::read_password()?.to_string()));
        new_user.check(&config.passwords)?;
    }
    Ok(new_user)
}

async fn list(ctx: &Context, output: &mut Output<'_>, after: i64, limit: u32) -> Result<(), CliError> {
    let mut rows: Vec<UserRow> = Vec::new();
    let mut more = true;
    while more && rows.len() < limit as usize {
        let page_size = PAGE.min(limit - rows.len() as u32);
        let page = ctx.accounts.users(rows.last().map_or(after, |last| last.number), page_size).await?;
        more = page.len() == page_size as usize;
        rows.extend(page.iter().map(UserRow::from));
    }
    output.rows(&rows, COLUMNS)?;
    match rows.last() {
        Some(last) if more => {
            output.note(&format!("there may be more: signet users list --limit {limit} --after {}", last.number))
        }
        Some(_) | None => Ok(()),
    }
}

/// The changes to a user, checked.
fn changes(options: &UpdateUser) -> Result<update::UpdateUser, CliError> {
    let username = match options.username.as_deref() {
        Some("") => Some(None),
        Some(name) => Some(Some(Username::parse(name).map_err(auth::Error::from)?)),
        None => None,
    };
    Ok(update::UpdateUser {
        username,
        full_name: options.full_name.clone().map(|name| Some(name).filter(|name| !name.is_empty())),
        roles: (options.no_roles || !options.roles.is_empty()).then(|| options.roles.clone()),
        superuser: options.superuser,
        verified: options.verified,
        custom_claims: options.claims.clone(),
        ..update::UpdateUser::default()
    })
}

async fn update(
    ctx: &Context,
    output: &mut Output<'_>,
    options: &UpdateUser,
    changes: update::UpdateUser,
) -> Result<(), CliError> {
    let user = find(ctx, &options.name.user).await?;
    if options.superuser == Some(false) {
        confirm_unless_superuser_remains(ctx, &user, "demote", options.yes).await?;
    }
    let before = user.sessions_valid_after;
    let user = match update_user_as_operator(ctx, &user, changes, Origin::process()).await {
        Ok(user) => user,
        Err(auth::Error::NotFound) => return Err(not_found(&options.name.user)),
        Err(error) => return Err(error.into()),
    };
    output.one(&UserRow::from(&user), COLUMNS)?;
    if options.superuser == Some(true) && !user.verified {
        // The command that creates a superuser refuses the address of an account, and this one is the way around it.
        output.warn(
            "the address is not verified: a stranger may have signed up with it, set the password, and be a superuser \
             now. If in doubt, disable the user",
        )?;
    }
    if user.sessions_valid_after > before { wait_for_nodes(ctx, output).await } else { Ok(()) }
}

/// Prints every user as JSON Lines, one [`UserRecord`] on each.
async fn export(ctx: &Context, output: &mut Output<'_>, with_hashes: bool) -> Result<(), CliError> {
    let mut users = AllUsers::new(ctx);
    while let Some(page) = users.next_page().await? {
        for user in &page {
            output.json_line(&UserRecord::from_user(user, with_hashes))?;
        }
    }
    let event = Event::new(EventType::UsersExported, Origin::process());
    audit::record(ctx, event.detail("with_hashes", with_hashes));
    Ok(())
}

async fn set_disabled(
    ctx: &Context,
    output: &mut Output<'_>,
    name: &UserName,
    id: UserId,
    disabled: bool,
) -> Result<(), CliError> {
    match disable::set_disabled(ctx, id, disabled, Origin::process()).await {
        Ok(user) => output.one(&UserRow::from(&user), COLUMNS),
        Err(auth::Error::NotFound) => Err(not_found(&name.user)),
        Err(error) => Err(error.into()),
    }
}

/// Once the user is deleted the command succeeds, because a repetition would find no such user.
async fn delete(ctx: &Context, output: &mut Output<'_>, name: &UserName, yes: bool) -> Result<(), CliError> {
    let user = find(ctx, &name.user).await?;
    confirm_unless_superuser_remains(ctx, &user, "delete", yes).await?;
    let deleted = match delete_user(ctx, user.id, Origin::process()).await {
        Ok(deleted) => deleted,
        Err(auth::Error::NotFound) => return Err(not_found(&name.user)),
        Err(error) => return Err(error.into()),
    };
    output.one(&UserRow::from(&user), COLUMNS)?;
    let applied = match deleted.sign_out_error {
        None => wait_for_nodes(ctx, output).await,
        Some(error) => Err(error.into()),
    };
    match applied {
        Err(CliError::Store(error)) => output.warn(&format!(
            "the user is deleted, but {error}. Running nodes may accept tokens of the user for another minute"
        )),
        applied => applied,
    }
}

async fn reset_mfa(ctx: &Context, output: &mut Output<'_>, name: &UserName, sign_out: bool) -> Result<(), CliError> {
    let (user, was_on) = match reset_as_operator(ctx, find(ctx, &name.user).await?.id, Origin::process()).await {
        Ok(result) => result,
        Err(auth::Error::NotFound) => return Err(not_found(&name.user)),
        Err(error) => return Err(error.into()),
    };
    if sign_out {
        sign_out_user_as_admin(ctx, user.id, Origin::process()).await?;
    }
    output.one(&UserRow::from(&user), COLUMNS)?;
    if !was_on {
        output.note("the second factor was off already")?;
    }
    if ctx.node.mailer.drain(MAIL_TIMEOUT).await > 0 {
        output.warn("the mail that tells the user could not be sent")?;
    }
    if sign_out { wait_for_nodes(ctx, output).await } else { Ok(()) }
}

/// Asks before an action that leaves no superuser who can sign in. Without a terminal to ask on, refuses unless `--yes`
/// was given.
async fn confirm_unless_superuser_remains(ctx: &Context, user: &User, action: &str, yes: bool) -> Result<(), CliError> {
    if yes || !user.superuser || user.disabled || other_superuser_exists(ctx, user.id).await? {
        return Ok(());
    }
    let problem = format!(
        "{} is the last superuser: after this, nobody can manage superusers through the API or the console",
        user.email
    );
    let remedy = match terminal::confirm(&format!("{problem}. Really {action} it?"))? {
        Some(true) => return Ok(()),
        Some(false) => "nothing was changed".to_owned(),
        None => format!("add --yes to {action} it nevertheless; nothing was changed"),
    };
    Err(CliError::Failed { problem, remedy })
}

/// True if a superuser other than `user` can sign in. Reads users in order of creation and stops at the first such one,
/// which is usually among the oldest.
async fn other_superuser_exists(ctx: &Context, user: UserId) -> Result<bool, CliError> {
    let mut users = AllUsers::new(ctx);
    while let Some(page) = users.next_page().await? {
        if page.iter().any(|other| other.superuser && !other.disabled && other.id != user) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads all users in order of creation.
pub(super) struct AllUsers<'a> {
    ctx: &'a Context,
    /// The number of the last user that was read.
    after: i64,
}

impl<'a> AllUsers<'a> {
    pub(super) fn new(ctx: &'a Context) -> Self {
        Self { ctx, after: 0 }
    }

    /// The next users; `None` after the last one.
    pub(super) async fn next_page(&mut self) -> Result<Option<Vec<User>>, CliError> {
        let page = self.ctx.accounts.users(self.after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(None) };
        self.after = last.number;
        Ok(Some(page))
    }
}

/// Finds the user by id, e-mail address or username, in any spelling.
pub(super) async fn find(ctx: &Context, name: &str) -> Result<User, CliError> {
    find_by_text(ctx, name).await?.ok_or_else(|| not_found(name))
}

fn not_found(name: &str) -> CliError {
    CliError::NotFound { kind: "user", name: name.to_owned() }
}

/// The result of signing a user out.
#[derive(Serialize)]
struct SignedOutRow {
    id: UserId,
    email: String,
    ended: u64,
}

const SIGNED_OUT_COLUMNS: Columns<SignedOutRow> = &[
    ("id", |row| row.id.to_string()),
    ("email", |row| row.email.clone()),
    ("sessions ended", |row| row.ended.to_string()),
];

/// A user as printed: without the password hash and the sealed TOTP secret.
#[derive(Serialize)]
struct UserRow {
    id: UserId,
    number: i64,
    email: String,
    username: Option<String>,
    full_name: Option<String>,
    verified: bool,
    disabled: bool,
    superuser: bool,
    roles: Vec<String>,
    claims: CustomClaims,
    has_password: bool,
    second_factor: bool,
    token_balance: i64,
    tokens_used: i64,
    subscription_tier: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<&User> for UserRow {
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
            claims: CustomClaims::from_stored(user.custom_claims.as_deref()),
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

const COLUMNS: Columns<UserRow> = &[
    ("number", |user| user.number.to_string()),
    ("id", |user| user.id.to_string()),
    ("email", |user| user.email.clone()),
    ("username", |user| or_dash(user.username.as_ref())),
    ("name", |user| or_dash(user.full_name.as_ref())),
    ("verified", |user| yes(user.verified)),
    ("disabled", |user| yes(user.disabled)),
    ("superuser", |user| yes(user.superuser)),
    ("roles", |user| if user.roles.is_empty() { "-".to_owned() } else { user.roles.join(",") }),
    ("claims", |user| if user.claims.is_empty() { "-".to_owned() } else { user.claims.as_str().to_owned() }),
    ("password", |user| yes(user.has_password)),
    ("second factor", |user| yes(user.second_factor)),
    ("balance", |user| user.token_balance.to_string()),
    ("used", |user| user.tokens_used.to_string()),
    ("tier", |user| or_dash(user.subscription_tier.as_ref())),
    ("created", |user| user.created_at.to_string()),
];
