//! Claims: secrets that can be redeemed once. Knows no store.

use std::time::Duration;

use crate::clock::Timestamp;

/// Identifies a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimKey {
    /// The subject whose attempts are counted together: a user id, or a digest of an address. Redis uses it as hash
    /// tag.
    pub subject: String,
    /// The purpose that the claim is for. A claim of another purpose is not found.
    pub purpose: &'static str,
    /// Distinguishes the subject's claims of one purpose; empty where there can be only one.
    pub id: String,
}

/// A secret that can be redeemed once: a mailed code, the device secret of a mailed link, a reset token.
#[derive(Clone)]
pub struct Claim {
    /// Its key. At most one claim has it.
    pub key: ClaimKey,
    /// A digest of the secret.
    pub digest: [u8; 32],
    /// Data that redeeming returns.
    pub payload: Vec<u8>,
    /// The number of wrong attempts after which the claim is deleted.
    pub attempts: u32,
    /// When the claim expires.
    pub expires_at: Timestamp,
}

/// An attempt to redeem a claim.
#[derive(Clone, Copy)]
pub struct RedeemRequest<'a> {
    /// The claim's key.
    pub key: &'a ClaimKey,
    /// A digest of the secret that was presented.
    pub digest: [u8; 32],
    /// The number of wrong attempts that the subject has in a day, over all purposes and claims.
    pub daily_attempts: u32,
    /// The effect on the claim if the secret is correct.
    pub on_match: OnMatch,
}

/// The effect on a claim whose secret is correct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnMatch {
    /// It stays as it was, for a sign-in that still needs a second factor.
    Keep,
    /// It stays, but is not found until [`Ephemeral::release_claim`](super::Ephemeral::release_claim): for a step in
    /// another store, which may fail. If nobody releases it, it is used up.
    Hold,
}

/// The result of an attempt to redeem a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redemption {
    /// The secret is correct. Contains the payload.
    Redeemed(Vec<u8>),
    /// The secret is wrong. After the last attempt the claim is deleted.
    Wrong {
        /// The number of attempts left.
        attempts_left: u32,
    },
    /// The claim does not exist, was deleted, is held, has expired, or has no attempts left.
    NotFound,
    /// The subject has used up its wrong attempts of the day. Nothing was compared.
    Capped {
        /// The time until attempts are allowed again.
        retry_after: Duration,
    },
}
