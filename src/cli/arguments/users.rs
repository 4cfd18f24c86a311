//! The arguments of `signet users`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::token::custom_claims::CustomClaims;

/// Commands for users. `USER` is an e-mail address, a username or an id.
#[derive(Debug, Subcommand)]
pub enum Users {
    /// Create a user.
    #[command(after_help = "Examples:
  signet users create --email root@example.com --superuser --verified --password-stdin
  printf %s \"$PASSWORD\" | signet users create --email a@example.com --password-stdin --verified")]
    Create(CreateUser),
    /// List users in order of creation.
    List {
        /// The maximum number of users.
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Begin after the user with this number.
        #[arg(long, default_value_t = 0, value_name = "NUMBER")]
        after: i64,
    },
    /// Show one user.
    Show(UserName),
    /// Change a user. What is not given stays as it is.
    ///
    /// Losing a role or the rights of a superuser ends all sessions; see `signet --help`. Otherwise open sessions stay, and
    /// their tokens carry the changes from the next refresh on.
    #[command(after_help = "Examples:
  signet users update a@example.com --claims '{\"plan\":\"pro\",\"seats\":5}'
  signet users update a@example.com --role editor --role author --verified true
  signet users update a@example.com --full-name ''  removes the name")]
    Update(UpdateUser),
    /// Sign a user out everywhere.
    ///
    /// Returns when every running server refuses the user's tokens; see `signet --help`. API keys stay.
    SignOut(UserName),
    /// Disable a user: end all sessions and refuse sign-in and API keys.
    ///
    /// Returns when every running server refuses the user's tokens and API keys; see `signet --help`.
    Disable {
        /// The user.
        #[command(flatten)]
        name: UserName,
        /// Do it without a question even if this is the last superuser.
        #[arg(long)]
        yes: bool,
    },
    /// Let a disabled user sign in again.
    Enable(UserName),
    /// Turn off the second factor of a user who has lost it and has no recovery code. The user is told by mail.
    ///
    /// Make sure first that the request comes from the owner: after this, the password alone opens the account. Open
    /// sessions stay, except with --sign-out.
    #[command(after_help = "Example:\n  signet users reset-mfa a@example.com --sign-out")]
    ResetMfa {
        /// The user.
        #[command(flatten)]
        name: UserName,
        /// End all sessions of the user as well, in case the lost device is signed in. Returns when every running
        /// server refuses their tokens; see `signet --help`.
        #[arg(long)]
        sign_out: bool,
    },
    /// Delete a user with all projects, API keys and sessions.
    ///
    /// Returns when every running server refuses the user's tokens and API keys; see `signet --help`.
    Delete {
        /// The user.
        #[command(flatten)]
        name: UserName,
        /// Do it without a question even if this is the last superuser.
        #[arg(long)]
        yes: bool,
    },
    /// Create users from a JSON Lines file, as `export` writes it. Users whose address, username or id is taken are
    /// left out, so the import can be repeated.
    #[command(after_help = "One JSON object per line; only email is required:
  {\"email\":\"a@example.com\",\"username\":\"a\",\"full_name\":\"A. Example\",\"password_hash\":\"$2b$12$…\",
   \"verified\":true,\"disabled\":false,\"superuser\":false,\"roles\":[\"editor\"],\"claims\":{\"plan\":\"pro\"},
   \"created_at\":\"2024-01-31T12:00:00Z\"}
password_hash may be Argon2, bcrypt, scrypt or PBKDF2, as a PHC string or in Django's or Firebase's format.

Example:
  signet users import users.jsonl")]
    Import {
        /// The file; `-` for stdin.
        file: PathBuf,
    },
    /// Print every user as JSON Lines.
    #[command(after_help = "Example:\n  (umask 077; signet users export --with-hashes > users.jsonl)")]
    Export {
        /// Include the password hashes. Anyone who has them can guess passwords offline.
        #[arg(long)]
        with_hashes: bool,
    },
}

/// A user to create.
#[derive(Args, Debug)]
pub struct CreateUser {
    /// The e-mail address.
    #[arg(long, value_name = "ADDRESS")]
    pub email: String,
    /// The username.
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,
    /// The full name.
    #[arg(long, value_name = "NAME")]
    pub full_name: Option<String>,
    /// Set a password: typed at a prompt if stdin is a terminal, otherwise read from stdin, which must hold one line.
    /// Without this option the user has no password.
    #[arg(long)]
    pub password_stdin: bool,
    /// Make the user a superuser, who has every permission.
    #[arg(long)]
    pub superuser: bool,
    /// Mark the address as verified.
    #[arg(long)]
    pub verified: bool,
    /// A role. Repeatable.
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// Custom claims: a JSON object of at most 1 KiB.
    #[arg(long, value_name = "JSON")]
    pub claims: Option<CustomClaims>,
}

/// Changes to a user.
#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("changes").required(true).multiple(true)
    .args(["username", "full_name", "roles", "no_roles", "superuser", "verified", "claims"])))]
pub struct UpdateUser {
    /// The user.
    #[command(flatten)]
    pub name: UserName,
    /// The username; an empty one removes it.
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,
    /// The full name; an empty one removes it.
    #[arg(long, value_name = "NAME")]
    pub full_name: Option<String>,
    /// A role. Repeatable. Those that are given replace all earlier ones.
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// Remove all roles.
    #[arg(long, conflicts_with = "roles")]
    pub no_roles: bool,
    /// Whether the user is a superuser, who has every permission.
    #[arg(long, value_name = "true|false")]
    pub superuser: Option<bool>,
    /// Whether the address is verified.
    #[arg(long, value_name = "true|false")]
    pub verified: Option<bool>,
    /// The custom claims, which replace all earlier ones: a JSON object of at most 1 KiB.
    #[arg(long, value_name = "JSON")]
    pub claims: Option<CustomClaims>,
    /// Do it without a question even if this is the last superuser.
    #[arg(long)]
    pub yes: bool,
}

/// The name of one user.
#[derive(Args, Debug)]
pub struct UserName {
    /// An e-mail address, a username or an id.
    pub user: String,
}
