//! The arguments of the command line and their help texts. Executes nothing.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::auth::api_keys::is_scope;
use crate::config;
use crate::token::custom_claims::CustomClaims;

/// Signet, a token server: signs people in and issues JWTs that any service verifies from a JWKS.
#[derive(Debug, Parser)]
#[command(
    name = "signet",
    version,
    after_help = "Without a command, `signet` runs the server.

Examples:
  signet                                     run the server, with ./config.toml if it exists
  signet --set server.listen=0.0.0.0:8000    listen on every address
  signet check                               test the settings, stores, ports and mail without changing anything
  signet users create --email a@example.com --superuser --verified --password-stdin

Commands work beside running servers. A command that ends sessions, users or keys returns when every running server has
applied it, which takes milliseconds; after 2 s it returns with a warning that names the servers that have not.

config.toml describes every setting. Exit codes: 0 success, 1 failure, 2 invalid arguments or settings."
)]
pub struct Arguments {
    /// The settings file. Default: ./config.toml if it exists, otherwise the built-in values.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets one setting, overriding the file and the environment. Repeatable.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print data and errors as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// The command.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server until SIGTERM or SIGINT (the default).
    Serve,
    /// Create, show, disable, delete, import and export users.
    Users {
        /// The command.
        #[command(subcommand)]
        command: Users,
    },
    /// List, rotate, revoke, import and export the keys that sign tokens.
    Keys {
        /// The command.
        #[command(subcommand)]
        command: Keys,
    },
    /// Create, list and deactivate API keys, with which services authenticate.
    ApiKeys {
        /// The command.
        #[command(subcommand)]
        command: ApiKeys,
    },
    /// Create users, sessions and API keys for a load test, and the file that the scripts in loadtest/ read.
    Seed(Seed),
    /// Update the schemas of the stores. `serve` does so as well; use this to do it beforehand.
    Migrate,
    /// Test the settings, the secret, every store, the ports and mail, and say what is wrong and what to do. Changes
    /// nothing.
    Check,
    /// Print a shell completion script.
    #[command(after_help = "Example:\n  signet completions bash > /etc/bash_completion.d/signet")]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

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
    /// Change a user.
    ///
    /// Open sessions stay. Their tokens carry the new claims from the next refresh on, if `tokens.claims` lists them.
    #[command(after_help = "Examples:
  signet users update a@example.com --claims '{\"plan\":\"pro\",\"seats\":5}'
  signet users update a@example.com --claims '{}'")]
    Update {
        /// The user.
        #[command(flatten)]
        name: UserName,
        /// The custom claims, which replace all earlier ones: a JSON object of at most 1 KiB.
        #[arg(long, value_name = "JSON")]
        claims: CustomClaims,
    },
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

/// The name of one user.
#[derive(Args, Debug)]
pub struct UserName {
    /// An e-mail address, a username or an id.
    pub user: String,
}

/// Commands for signing keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// List the keys and the state of each.
    List,
    /// Replace the signing key with the standby, which is in the JWKS already, and announce another standby.
    ///
    /// The standby signs at once if it has been in the JWKS for `keys.announce`, and otherwise as soon as it has been.
    /// No token is refused. The old key verifies until its last token has expired.
    #[command(
        after_help = "Examples, with verifiers that keep the JWKS for half a day, and with followers that report:
  signet keys rotate --assume-cache 12h
  signet keys rotate --wait=2m"
    )]
    Rotate {
        /// The algorithm of the key.
        #[arg(long, value_enum, ignore_case = true, default_value_t = KeyAlgorithm::EdDsa)]
        algorithm: KeyAlgorithm,
        /// Warn if a verifier that keeps the JWKS for this long, and does not fetch it again when it sees an unknown
        /// key, would refuse tokens of the new key.
        #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
        assume_cache: Duration,
        /// Wait until every server and every service that follows the revocation feed and reports has the new keys, for
        /// this long at most. Fails if some have not, and names them.
        #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "90s",
            value_parser = parse_duration)]
        wait: Option<Duration>,
    },
    /// Revoke a stolen key: every server refuses every token it signed when this returns; see `signet --help`.
    ///
    /// If it is the signing key, the standby signs at once. Verifiers have it already, so no other token is refused.
    /// Services that verify on their own accept tokens of the revoked key until they fetch the JWKS again, or follow the
    /// revocation feed: SECURITY.md says for how long.
    Revoke {
        // A key id is base64url, so it can begin with a hyphen.
        /// The key id, as `keys list` prints it.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Wait until every server and every service that follows the revocation feed and reports has the changed keys,
        /// for this long at most. Fails if some have not, and names them.
        #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "90s",
            value_parser = parse_duration)]
        wait: Option<Duration>,
    },
    /// Import an Ed25519 key, or a P-256 key if an audience has ES256, as the next signing key.
    ///
    /// Tokens it signed elsewhere before this server's store was created are refused as revoked, because this server
    /// cannot know which of them were.
    Import {
        /// A PKCS#8 PEM file, version 1 or 2; `-` for stdin.
        file: PathBuf,
    },
    /// Print a private key as PKCS#8 PEM, version 1, which OpenSSL, Python and Node read.
    #[command(after_help = "Example:\n  (umask 077; signet keys export KID > key.pem)")]
    Export {
        // A key id is base64url, so it can begin with a hyphen.
        /// The key id, as `keys list` prints it.
        #[arg(allow_hyphen_values = true)]
        kid: String,
    },
}

/// The algorithm of a signing key.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum KeyAlgorithm {
    /// Ed25519.
    #[value(name = "EdDSA")]
    EdDsa,
    /// P-256, for audiences with ES256.
    #[value(name = "ES256")]
    Es256,
}

/// Commands for API keys.
#[derive(Debug, Subcommand)]
pub enum ApiKeys {
    /// Create a key. It is shown only once.
    #[command(
        after_help = "Example, for a service that introspects the tokens of all users, which needs a superuser's key:
  signet api-keys create --user root@example.com --name gateway --scope introspect"
    )]
    Create {
        /// The user it acts for: an e-mail address, a username or an id.
        #[arg(long, value_name = "USER")]
        user: String,
        /// The project it belongs to. Default: the user's personal project.
        #[arg(long, value_name = "ID")]
        project: Option<String>,
        /// Its name.
        #[arg(long)]
        name: String,
        /// A scope. Repeatable. Without scopes the key may do what any signed-in user may do.
        #[arg(long = "scope", value_name = "SCOPE", value_parser = parse_scope)]
        scopes: Vec<String>,
        /// Days until it expires. Default: never.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        expires_in_days: Option<u32>,
    },
    /// List the keys of a user's projects.
    List {
        /// The user: an e-mail address, a username or an id.
        #[arg(long, value_name = "USER")]
        user: String,
        /// Only the keys of this project.
        #[arg(long, value_name = "ID")]
        project: Option<String>,
    },
    /// Deactivate a key: every server refuses it when this returns; see `signet --help`.
    Deactivate {
        /// The visible prefix of the key, as `api-keys list` prints it.
        prefix: String,
    },
}

/// Options of `seed`.
#[derive(Args, Debug)]
#[command(
    after_help = "Tokens are made with these settings, so use the server's. api.native.access sets their lifetime.
Repeating it creates new sessions and keys and a new password for the same users. A load test uses up refresh tokens, so
seed before each run.

Examples:
  signet --set api.native.access=12h seed --users 20000 --sessions 10000 --api-keys 100 --out loadtest/data.json
  signet seed --remove"
)]
pub struct Seed {
    /// The number of users: seeded-00000000@load.test and so on, all with one random password.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub users: u32,
    /// The number of sessions, dealt out to the users in turn.
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub sessions: u32,
    /// The number of API keys, dealt out in the same way. They expire after 30 days.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub api_keys: u32,
    /// The file to write addresses, password, tokens and keys to. Only its owner can read it.
    #[arg(long, value_name = "FILE", required_unless_present = "remove")]
    pub out: Option<PathBuf>,
    /// Continue even if there are users who were not seeded.
    #[arg(long)]
    pub among_others: bool,
    /// Delete every seeded user and all their data.
    #[arg(long, conflicts_with_all = ["users", "sessions", "api_keys", "out", "among_others"])]
    pub remove: bool,
}

fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    config::parse_duration(text).ok_or("a duration in ms, s, m, h or d, such as 15m")
}

/// Refuses invalid scopes. No request can demand a scope with a space, because a space separates two scopes.
fn parse_scope(text: &str) -> Result<String, &'static str> {
    is_scope(text).then(|| text.to_owned()).ok_or("a scope has no spaces, quotes or backslashes; repeat the option")
}
