//! The arguments of the command line and their help texts. Executes nothing.
//!
//! A paragraph of `after_help` is one line, because clap breaks lines to the width of the terminal.

mod backup;
mod bench;
mod demo;
mod users;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::auth::api_keys::{MAX_DAYS, is_scope};
use crate::auth::audit::is_type_name;
use crate::config;

pub(super) use backup::{Backup, Restore};
pub(super) use bench::Bench;
pub(super) use demo::Demo;
pub(super) use users::{CreateUser, ImportFrom, ImportUsers, UpdateUser, UserName, Users};

/// The heading of the options of every command: without it, help mixes them with those of one command.
const GLOBAL_OPTIONS: &str = "Options of every command";

/// Signet, a token server: signs people in and issues JWTs that any service verifies from a JWKS.
#[derive(Debug, Parser)]
#[command(
    name = "signet",
    version,
    after_help = "Without a command, `signet` runs the server.

Examples:
  signet demo                                try it, in a temporary folder
  signet                                     run the server, with ./config.toml if it exists
  signet --set server.listen=0.0.0.0:8000    listen on every address
  signet check                               test settings, stores, ports and mail; changes nothing
  signet users create --email a@example.com --superuser --verified --password-stdin

Commands work beside running servers. A command that ends sessions, users or keys returns when every running server \
has applied it, which takes milliseconds; after two seconds (revocation.confirm_within) it returns with a warning that \
names the servers that have not.

Where data_dir has no embedded store yet, only these commands create it: serve, migrate, restore, seed, users create, \
users import and keys import. Only serve and keys import create signing keys in Redis.

config.toml describes every setting. Exit codes: 0 success, 1 failure, 2 invalid arguments or settings, 3 a backup \
that is not complete."
)]
pub struct Arguments {
    /// The settings file. Default: ./config.toml if it exists, otherwise the defaults.
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets one setting, overriding the file and the environment. Repeatable.
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print data and errors as JSON.
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS)]
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
    /// Try Signet: run a server with a few users in a temporary folder, which is deleted when it ends.
    Demo(Demo),
    /// Create, show, change, sign out, disable, delete, import and export users.
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
    /// List and end the sessions of users.
    Sessions {
        /// The command.
        #[command(subcommand)]
        command: Sessions,
    },
    /// Print security events, the newest first.
    #[command(after_help = "Examples:
  signet audit --user a@example.com
  signet audit --type sign_in.refused --type limit --limit 200")]
    Audit(Audit),
    /// Say what a token or an API key is, whether it is accepted, and why not. Uses nothing up.
    ///
    /// The exit code is 0 if it is accepted, and 1 if not.
    #[command(after_help = "Example:\n  signet verify - < token.txt")]
    Verify {
        // A token is base64url, so it can begin with a hyphen.
        /// The token or API key; `-` reads it from stdin, where other users of the machine do not see it.
        #[arg(allow_hyphen_values = true)]
        token: String,
    },
    /// Try whether mail can be sent.
    Mail {
        /// The command.
        #[command(subcommand)]
        command: MailCommand,
    },
    /// Show the settings.
    Config {
        /// The command.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Create users, sessions and API keys for a load test, and the file that the scripts in loadtest/ read.
    Seed(Seed),
    /// Measure verifications, refreshes and sign-ins a second on this machine, in about ten seconds.
    Bench(Bench),
    /// Save the embedded store in a file, beside a running server, and verify it. Say what to take of stores that are
    /// servers.
    Backup(Backup),
    /// Put a backup of the embedded store in place, and end everything that may have been revoked since it was taken.
    ///
    /// The server must be stopped. All sessions end, and all API keys are deactivated, because nothing tells which of
    /// them were revoked after the backup was taken.
    Restore(Restore),
    /// Update the schemas of the stores. `serve` does so as well; use this to do it beforehand.
    Migrate,
    /// Test the settings, the secret, every store, the ports, mail and the code that verifies signatures, and say what
    /// is wrong and what to do. Changes nothing.
    Check,
    /// Ask the running server of these settings whether it is ready, and why not. For the health checks of containers.
    ///
    /// The exit code is 0 if it is ready, and 1 if not.
    Health {
        /// Ask only whether the process responds, not whether its stores do.
        #[arg(long)]
        alive: bool,
        /// The longest wait for the connection, and for each part of the response, which is made from memory.
        #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_duration)]
        timeout: Duration,
    },
    /// Print a shell completion script.
    #[command(after_help = "Example:\n  signet completions bash > /etc/bash_completion.d/signet")]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write the manual pages: signet.1, and one for each command.
    #[command(after_help = "Example:\n  signet man /usr/local/share/man/man1")]
    Man {
        /// An existing directory.
        directory: PathBuf,
    },
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
        /// this long at most, 90s without a duration. Fails if some have not, and names them.
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
        /// for this long at most, 90s without a duration. Fails if some have not, and names them.
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
        /// A scope. Repeatable. At Signet, a key without scopes only reads its owner's account and API keys.
        #[arg(long = "scope", value_name = "SCOPE", value_parser = parse_scope)]
        scopes: Vec<String>,
        /// Days until it expires. Default: never.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_DAYS)))]
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
    /// Deactivate a key, or all: every server refuses it when this returns; see `signet --help`.
    Deactivate {
        /// The visible prefix of the key, as `api-keys list` prints it.
        #[arg(required_unless_present = "all")]
        prefix: Option<String>,
        /// Deactivate every key of every user: after an old Postgres was restored, in which keys that were deactivated
        /// since are active again.
        #[arg(long, conflicts_with = "prefix")]
        all: bool,
    },
}

/// Commands for sessions. `USER` is an e-mail address, a username or an id.
#[derive(Debug, Subcommand)]
pub enum Sessions {
    /// List the open sessions of a user, the newest first.
    List(UserName),
    /// End a session, or all: every server refuses its tokens when this returns; see `signet --help`.
    #[command(after_help = "Examples:
  signet sessions end a@example.com 019a8b1c-2d3e-7f40-8a1b-2c3d4e5f6071
  signet sessions end --all")]
    End {
        /// An e-mail address, a username or an id.
        #[arg(required_unless_present = "all")]
        user: Option<String>,
        /// The id of the session, as `sessions list` prints it.
        #[arg(required_unless_present = "all")]
        session: Option<String>,
        /// End every session of every user, and revoke every access token issued until now: after an old Redis was
        /// restored, in which sessions that were ended since are open again.
        #[arg(long, conflicts_with_all = ["user", "session"])]
        all: bool,
    },
}

/// The security events to print.
#[derive(Args, Debug)]
pub struct Audit {
    /// Only those that concern this user: an e-mail address, a username or an id.
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Only those of this type, or of the types of a subject, such as `sign_in.refused` or `sign_in`. Repeatable.
    #[arg(long = "type", value_name = "TYPE", value_parser = parse_event_type)]
    pub types: Vec<String>,
    /// The maximum number of events.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// Commands for mail.
#[derive(Debug, Subcommand)]
pub enum MailCommand {
    /// Send a test mail and say whether the mail server accepted it, and why not. Tries once.
    ///
    /// Without `mail.smtp_url` it is written to the outbox. The exit code is 0 if it was accepted, and 1 if not.
    #[command(after_help = "Example:\n  signet mail test you@example.org")]
    Test {
        /// The recipient.
        address: String,
    },
}

/// Commands for the settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print each setting with its value and where that comes from. Secrets are masked.
    Show {
        /// Only those whose value is not the default.
        #[arg(long)]
        changed: bool,
    },
}

/// Options of `seed`.
#[derive(Args, Debug)]
#[command(
    after_help = "Tokens are made with these settings, so use the server's. api.native.access sets their lifetime.

Repeating it creates new sessions and keys and a new password for the same users. A load test uses up refresh tokens, \
so seed before each run.

Examples:
  signet --set api.native.access=12h seed --users 20000 --sessions 10000 --out loadtest/data.json
  signet seed --remove"
)]
pub struct Seed {
    /// The number of users: seeded-00000000@load.test and so on, all with one random password.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub users: u32,
    /// The number of sessions. Each user gets one in turn.
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub sessions: u32,
    /// The number of API keys, which users get in the same way. They expire after 30 days.
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

/// Refuses names that no type has, because the list of their events would be empty.
fn parse_event_type(text: &str) -> Result<String, &'static str> {
    is_type_name(text).then(|| text.to_owned()).ok_or("no security event has this type; docs/audit.md lists the types")
}

/// Refuses invalid scopes. No request can demand a scope with a space, because a space separates two scopes.
fn parse_scope(text: &str) -> Result<String, &'static str> {
    is_scope(text).then(|| text.to_owned()).ok_or("a scope has no spaces, quotes or backslashes; repeat the option")
}
