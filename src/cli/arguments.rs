//! What can be typed, and what `--help` says of it. Does nothing.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

/// Signet, a token server: signs people in, hands out JWTs that anyone verifies from a JWKS.
#[derive(Debug, Parser)]
#[command(
    name = "signet",
    version,
    after_help = "Without a command, `signet` serves.

Examples:
  signet                                     serve, with ./config.toml where there is one
  signet --set server.listen=0.0.0.0:8000    serve on every address
  signet check                               try the settings and every store
  signet users create --email a@example.com --password-stdin --verified < password.txt

Every setting is described in config.toml. Exit codes: 0 done, 1 failed, 2 wrong arguments or settings."
)]
pub struct Arguments {
    /// The file of settings; without it ./config.toml where there is one, otherwise the built-in values.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets one setting, whatever the file and the environment say; can be repeated.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Prints data and errors as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves until it is told to stop (the default).
    Serve,
    /// Users: make, show, disable, import, export.
    Users {
        /// What to do with them.
        #[command(subcommand)]
        command: Users,
    },
    /// The keys that sign tokens.
    Keys {
        /// What to do with them.
        #[command(subcommand)]
        command: Keys,
    },
    /// API keys: what services sign in with, for instance to introspect tokens.
    ApiKeys {
        /// What to do with them.
        #[command(subcommand)]
        command: ApiKeys,
    },
    /// Makes users, sessions and API keys for a load test, and the file that the scripts in loadtest/ read.
    Seed(Seed),
    /// Brings the stores' schemas up to date. `serve` does so too; this is for doing it beforehand.
    Migrate,
    /// Checks the settings, reaches every store, and says what is wrong and what to do.
    Check,
    /// Prints a script that completes this command line in a shell.
    #[command(after_help = "Example:\n  signet completions bash > /etc/bash_completion.d/signet")]
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// Commands about users. `WHO` is an e-mail address, a username or an id.
#[derive(Debug, Subcommand)]
pub enum Users {
    /// Makes a user.
    #[command(after_help = "Examples:
  printf %s \"$PASSWORD\" | signet users create --email a@example.com --password-stdin --verified
  signet users create --email root@example.com --superuser --password-stdin < password.txt")]
    Create(CreateUser),
    /// Lists users in the order in which they were made.
    List {
        /// How many at the most.
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Begins after the user with this number.
        #[arg(long, default_value_t = 0, value_name = "NUMBER")]
        after: i64,
    },
    /// Shows one user.
    Show(Who),
    /// Keeps a user from signing in and ends all sessions at once.
    Disable(Who),
    /// Lets a disabled user sign in again.
    Enable(Who),
    /// Deletes a user with all projects and keys, and ends all sessions at once.
    Delete(Who),
    /// Makes users from a file of JSON Lines, as `export` writes it. Those whose address, username or id is taken are left
    /// out, so that it can be run again.
    #[command(after_help = "One JSON object a line; only email is demanded:
  {\"email\":\"a@example.com\",\"username\":\"a\",\"full_name\":\"A. Example\",\"password_hash\":\"$2b$12$…\",
   \"verified\":true,\"disabled\":false,\"superuser\":false,\"roles\":[\"editor\"],\"created_at\":\"2024-01-31T12:00:00Z\"}
password_hash may be Argon2, bcrypt, scrypt or PBKDF2, as PHC string or in Django's or Firebase's spelling.

Example:
  signet users import users.jsonl")]
    Import {
        /// The file; `-` for the standard input.
        file: PathBuf,
    },
    /// Prints every user as JSON Lines.
    #[command(after_help = "Example:\n  (umask 077; signet users export --with-hashes > users.jsonl)")]
    Export {
        /// Adds the password hashes: whoever has them can try passwords offline.
        #[arg(long)]
        with_hashes: bool,
    },
}

/// A user to make.
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
    /// Reads the password from the standard input, to its end or the end of the first line; without it the user has none.
    #[arg(long)]
    pub password_stdin: bool,
    /// The user may do everything.
    #[arg(long)]
    pub superuser: bool,
    /// The address is known to be the user's.
    #[arg(long)]
    pub verified: bool,
    /// What else the user may do; can be repeated.
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
}

/// One user.
#[derive(Args, Debug)]
pub struct Who {
    /// An e-mail address, a username or an id.
    pub who: String,
}

/// Commands about signing keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Lists the keys and what state each is in.
    List,
    /// Brings in the next key. It stands in the JWKS for `keys.announce` before it signs; no token is refused.
    Rotate,
    /// Takes a key out at once: every token that it signed is refused from now on. For a key that was stolen.
    Revoke {
        // One in sixty-four begins with a hyphen.
        /// The key's id, as `list` shows it.
        #[arg(allow_hyphen_values = true)]
        kid: String,
    },
    /// Takes in an Ed25519 key as the next to sign.
    ///
    /// What it signed elsewhere before this server's store was made is refused as revoked: nothing here can tell what of it was.
    Import {
        /// A PKCS#8 PEM file; `-` for the standard input.
        file: PathBuf,
    },
    /// Prints a key's private half as PKCS#8 PEM.
    #[command(after_help = "Example:\n  (umask 077; signet keys export KID > key.pem)")]
    Export {
        // One in sixty-four begins with a hyphen.
        /// The key's id, as `list` shows it.
        #[arg(allow_hyphen_values = true)]
        kid: String,
    },
}

/// Commands about API keys.
#[derive(Debug, Subcommand)]
pub enum ApiKeys {
    /// Makes a key. It is shown this once.
    #[command(after_help = "Example, for a service that introspects tokens:
  signet api-keys create --user root@example.com --name gateway --scope introspect")]
    Create {
        /// In whose name it acts: an e-mail address, a username or an id.
        #[arg(long, value_name = "WHO")]
        user: String,
        /// The project it belongs to; without it, the user's personal one.
        #[arg(long, value_name = "ID")]
        project: Option<String>,
        /// What it is called.
        #[arg(long)]
        name: String,
        /// What it may be used for; can be repeated. None: what any signed-in user may do.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// After how many days it stops working; without it, never.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        expires_in_days: Option<u32>,
    },
    /// Lists the keys of a user's projects.
    List {
        /// Whose: an e-mail address, a username or an id.
        #[arg(long, value_name = "WHO")]
        user: String,
        /// Only those of this project.
        #[arg(long, value_name = "ID")]
        project: Option<String>,
    },
    /// Ends a key at once.
    Deactivate {
        /// The key's visible beginning, as `list` shows it.
        prefix: String,
    },
}

/// What a load test needs.
#[derive(Args, Debug)]
#[command(
    after_help = "The tokens are as the settings say, so give it those of the server; api.native.access is how long they last.
Again: fresh sessions, keys and password for those who are there. A rotated refresh token is spent: seed before each run.

Examples:
  signet --set api.native.access=12h seed --users 20000 --sessions 10000 --api-keys 100 --out loadtest/data.json
  signet seed --remove"
)]
pub struct Seed {
    /// How many users: seeded-00000000@load.test and so on, all with one password, which is drawn.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub users: u32,
    /// How many sessions, dealt out to the users in turn, from the first on.
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub sessions: u32,
    /// How many API keys, dealt out likewise. They last 30 days.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub api_keys: u32,
    /// Where to write addresses, password, tokens and keys; readable by its owner alone.
    #[arg(long, value_name = "FILE", required_unless_present = "remove")]
    pub out: Option<PathBuf>,
    /// Goes ahead although there are users who were not seeded.
    #[arg(long)]
    pub among_others: bool,
    /// Takes every seeded user away, with all that is theirs, and nobody else.
    #[arg(long, conflicts_with_all = ["users", "sessions", "api_keys", "out", "among_others"])]
    pub remove: bool,
}
