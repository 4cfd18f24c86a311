//! The settings of how people sign in: the dialects, what is accepted from them and how often, and what is mailed to them.

use std::time::Duration;

/// How passwords are hashed and which are accepted.
#[derive(Clone, Debug)]
pub struct Passwords {
    /// Argon2id memory, KiB.
    pub memory_kib: u32,
    /// Argon2id passes.
    pub passes: u32,
    /// Argon2id lanes.
    pub lanes: u32,
    /// How many threads hash.
    pub threads: usize,
    /// How many hashes may wait.
    pub queue: usize,
    /// How long one may wait.
    pub deadline: Duration,
    /// The fewest characters.
    pub min_length: usize,
    /// The most characters.
    pub max_length: usize,
}

/// Who may have an account.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// Whether anybody may make one.
    pub open_registration: bool,
}

/// What is mailed to be handed in.
#[derive(Clone, Debug)]
pub struct Mailed {
    /// How long a code is good.
    pub code: Duration,
    /// How long a link to sign in is good.
    pub magic: Duration,
    /// How long a link to set a new password is good.
    pub reset: Duration,
    /// How long a link that confirms an address is good.
    pub confirm: Duration,
    /// How many wrong tries one person has in a day at mailed codes, and as many each at links and at second factors.
    pub daily_tries: u32,
    /// Where a link to sign in leads.
    pub magic_url: String,
    /// Where a link to set a new password leads.
    pub reset_url: String,
}

/// Second factors.
#[derive(Clone, Debug)]
pub struct SecondFactor {
    /// What authenticator apps call this service.
    pub issuer: String,
    /// How many recovery codes are made with one.
    pub recovery_codes: u32,
}

/// The dialects.
#[derive(Clone, Debug)]
pub struct Api {
    /// Our own.
    pub native: Dialect,
    /// Mailed codes, projects and API keys, in an envelope.
    pub unturned: Dialect,
    /// FastAPI MyAuth.
    pub myauth: Dialect,
    /// Failures by number.
    pub codes: Codes,
    /// UContact.
    pub ucontact: Dialect,
    /// `/api/v1`.
    pub v1: Dialect,
}

/// What `codes` has beside.
#[derive(Clone, Debug)]
pub struct Codes {
    /// What every dialect has.
    pub dialect: Dialect,
    /// Whether failures are answered with 200, for clients that look at the body alone.
    pub in_band: bool,
    /// How many backup codes are made with a second factor.
    pub backup_codes: u32,
}

impl Api {
    /// Every dialect and its name, served or not: what it once handed out may still be about.
    pub fn all(&self) -> [(&'static str, &Dialect); 6] {
        let Self { native, unturned, myauth, codes, ucontact, v1 } = self;
        [
            ("native", native),
            ("unturned", unturned),
            ("myauth", myauth),
            ("codes", &codes.dialect),
            ("ucontact", ucontact),
            ("v1", v1),
        ]
    }
}

/// What every dialect has in common.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// Whether it is served.
    pub enabled: bool,
    /// What stands before its paths: empty, or `/` and more without a slash at its end.
    pub prefix: String,
    /// How long its access tokens live.
    pub access: Duration,
    /// How long its sessions may go without a refresh.
    pub idle: Duration,
    /// How long its sessions last at the most.
    pub absolute: Duration,
    /// Whether only users with a confirmed address may sign in.
    pub verified_only: bool,
    /// The fewest characters of a password that is set through it.
    pub min_password_length: usize,
    /// Whether it refuses the most common passwords.
    pub refuse_common_passwords: bool,
}
