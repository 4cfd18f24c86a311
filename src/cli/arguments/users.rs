//! The arguments of `signet users`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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
    /// Change a user. Options that are not given change nothing.
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
    /// Create users from a file: one that `export` wrote, or the export of another system.
    ///
    /// Users who are there already are left out, so an import that was interrupted can be repeated. The guides are in
    /// docs/build/migrate.
    #[command(after_help = "The format of Signet has one JSON object per line; only email is required:
  {\"email\":\"a@example.com\",\"username\":\"a\",\"full_name\":\"A. Example\",\"password_hash\":\"$2b$12$…\",
   \"verified\":true,\"disabled\":false,\"superuser\":false,\"roles\":[\"editor\"],\"claims\":{\"plan\":\"pro\"},
   \"totp_secret\":\"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\",\"created_at\":\"2024-01-31T12:00:00Z\"}
password_hash may be Argon2, bcrypt, scrypt or PBKDF2, as a PHC string or in Django's or Firebase's format.

Examples:
  signet users import users.jsonl
  signet users import --from keycloak --dry-run --report report.jsonl realm-export.json
  signet users import --from auth0 --passwords hashes.json --claim plan users.json
  signet users import --from firebase --hash-config hash-config.txt users.json")]
    Import(ImportUsers),
    /// Print every user as JSON Lines.
    #[command(after_help = "Example:\n  (umask 077; signet users export --with-hashes > users.jsonl)")]
    Export {
        /// Include the password hashes. Anyone who has them can guess passwords offline.
        #[arg(long)]
        with_hashes: bool,
    },
}

/// The system that wrote a file of users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportFrom {
    /// `signet users export`, or a program of yours.
    Signet,
    /// Auth0: the export of a job in JSON, or the file of hashes from its support.
    Auth0,
    /// Firebase: the JSON or CSV of `firebase auth:export`.
    Firebase,
    /// Supabase: rows of auth.users as CSV or JSON.
    Supabase,
    /// Keycloak: the JSON of `kc.sh export` with users.
    Keycloak,
    /// Clerk: the CSV of its dashboard.
    Clerk,
}

/// Users to import.
#[derive(Args, Debug)]
pub struct ImportUsers {
    /// The files, which are imported in this order; `-` for stdin.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The system that wrote the files.
    #[arg(long, value_enum, default_value_t = ImportFrom::Signet, value_name = "SYSTEM")]
    pub from: ImportFrom,
    /// Read and check everything, say what an import would do, and create nobody.
    #[arg(long)]
    pub dry_run: bool,
    /// Write a JSON line to this file for each user who is not imported, or only in part. It is replaced if it exists.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Auth0: the file of password hashes that its support sends on request.
    #[arg(long, value_name = "FILE")]
    pub passwords: Option<PathBuf>,
    /// Firebase: a file with the password hash parameters that its console shows.
    #[arg(long, value_name = "FILE")]
    pub hash_config: Option<PathBuf>,
    /// Import without password hashes. Users sign in by mail or reset their password.
    #[arg(long, conflicts_with_all = ["passwords", "hash_config"])]
    pub without_passwords: bool,
    /// Take this member of app_metadata (Auth0), customAttributes (Firebase), raw_app_meta_data (Supabase) or
    /// attributes (Keycloak) as a custom claim. Repeatable.
    #[arg(long = "claim", value_name = "NAME")]
    pub claims: Vec<String>,
    /// Keep the id of the other system as this custom claim. An id that is a UUID stays the user id in any case.
    #[arg(long, value_name = "NAME")]
    pub id_claim: Option<String>,
    /// Keycloak: take this realm role as a role. Repeatable. The role admin may manage users of Signet.
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
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
    /// True if the user is a superuser, who has every permission.
    #[arg(long, value_name = "true|false")]
    pub superuser: Option<bool>,
    /// True if the address is verified.
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
