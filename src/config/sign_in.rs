//! The settings of sign-in: dialects, accounts, passwords, codes and links, the second factor.

use std::time::Duration;

/// Password hashing and policy.
#[derive(Clone, Debug)]
pub struct Passwords {
    /// Argon2id memory, KiB.
    pub memory_kib: u32,
    /// Argon2id passes.
    pub passes: u32,
    /// Argon2id lanes.
    pub lanes: u32,
    /// The code that computes Argon2.
    pub implementation: Argon2Implementation,
    /// Number of hashing threads.
    pub threads: usize,
    /// Maximum number of waiting hashes.
    pub queue: usize,
    /// Longest wait of a hash.
    pub deadline: Duration,
    /// Minimum number of characters.
    pub min_length: usize,
    /// Maximum number of characters.
    pub max_length: usize,
    /// The response time of a refused sign-in is a multiple of this.
    pub refusal_step: Duration,
}

/// The code that computes Argon2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argon2Implementation {
    /// The fastest that this processor can run.
    Auto,
    /// The reference.
    Reference,
}

/// Account creation.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// True if anyone can create an account.
    pub open_registration: bool,
}

/// Mailed codes and links.
#[derive(Clone, Debug)]
pub struct Mailed {
    /// Lifetime of a code.
    pub code: Duration,
    /// Lifetime of a sign-in link.
    pub magic: Duration,
    /// Lifetime of a password reset link.
    pub reset: Duration,
    /// Lifetime of a link that confirms an address.
    pub confirm: Duration,
    /// True if GET of a confirmation link of `ucontact` or `v1` confirms the address, as their documents say. If false,
    /// the link shows a page whose button confirms it.
    pub confirm_by_get: bool,
    /// Wrong tries per person and day for mailed codes; links and second factors have the same allowance each.
    pub daily_tries: u32,
    /// Target of sign-in links.
    pub magic_url: String,
    /// Target of password reset links.
    pub reset_url: String,
}

/// Second factors.
#[derive(Clone, Debug)]
pub struct SecondFactor {
    /// Name of this service in authenticator apps.
    pub issuer: String,
    /// Number of recovery codes generated with a second factor.
    pub recovery_codes: u32,
}

/// The dialects.
#[derive(Clone, Debug)]
pub struct Api {
    /// Signet's own API.
    pub native: Dialect,
    /// Mailed codes, projects and API keys, in an envelope.
    pub unturned: Dialect,
    /// FastAPI MyAuth.
    pub myauth: Dialect,
    /// Numbered errors.
    pub codes: Codes,
    /// UContact.
    pub ucontact: Dialect,
    /// `/api/v1`.
    pub v1: Dialect,
}

/// Settings of `codes`.
#[derive(Clone, Debug)]
pub struct Codes {
    /// The settings of every dialect.
    pub dialect: Dialect,
    /// True if errors are answered with 200, for clients that read only the body.
    pub in_band: bool,
    /// Number of backup codes generated with a second factor.
    pub backup_codes: u32,
}

impl Api {
    /// Number of dialects.
    pub const DIALECTS: usize = 6;

    /// Every dialect with its name, enabled or not: tokens that a disabled one issued may still be valid.
    pub fn all(&self) -> [(&'static str, &Dialect); Self::DIALECTS] {
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

/// Settings that every dialect has.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// True if it is enabled.
    pub enabled: bool,
    /// Prefix of its paths: empty, or a path without a trailing slash.
    pub prefix: String,
    /// Lifetime of its access tokens.
    pub access: Duration,
    /// Lifetime of its sessions without a refresh.
    pub idle: Duration,
    /// Maximum lifetime of its sessions.
    pub absolute: Duration,
    /// True if only users with a confirmed address can sign in and refresh the tokens of its sessions.
    pub verified_only: bool,
    /// Minimum length of a password that is set through it.
    pub min_password_length: usize,
    /// True if the most common passwords are refused.
    pub refuse_common_passwords: bool,
    /// The treatment of the refresh token by a refresh. Not a setting: the dialect's document specifies it.
    pub rotation: RotationPolicy,
}

/// The treatment of the refresh token by a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationPolicy {
    /// A successor replaces it.
    Rotate,
    /// It stays valid, with its expiry unchanged. Only tokens of sessions that were opened in a dialect with this
    /// policy are accepted: otherwise a thief could use a token of another dialect without being detected by its reuse.
    Keep,
}
