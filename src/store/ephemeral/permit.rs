//! Rate limits and their permits. Knows no store.

use std::time::Duration;

use crate::id::UserId;

/// How long a network is known after a sign-in from it. Longer than the sessions of most clients, so that a person
/// whose session has expired signs in again from a known network.
pub const KNOWN_NETWORK_TTL: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// The number of networks that are known for one user: enough for the places where a person signs in, and few, because
/// each has budgets of its own, which add to the guesses that are possible.
pub const MAX_KNOWN_NETWORKS: u32 = 16;

/// A rate limit: a burst, refilled evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The number of permits that can be taken at one moment.
    pub burst: u32,
    /// The time in which `burst` permits are refilled.
    pub per: Duration,
}

/// The decision of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// The caller may go on.
    Allowed,
    /// The limit is exceeded.
    Limited {
        /// The time until one more is allowed.
        retry_after: Duration,
    },
}

/// A permit of one requester, and of all requesters together.
#[derive(Clone, Copy, Debug)]
pub struct RequesterPermit<'a> {
    /// The limited action and its subject. [`Ephemeral::take_permit`](super::Ephemeral::take_permit) with this key
    /// takes from the total.
    pub key: &'a str,
    /// The requester.
    pub requester: &'a str,
    /// The limit of each requester.
    pub by_requester: Limit,
    /// The limit of all requesters together.
    pub total: Limit,
}

/// The decision of the two limits of a [`RequesterPermit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequesterAllowance {
    /// The caller may go on.
    Allowed,
    /// The requester's limit is exceeded.
    Limited {
        /// The time until one more is allowed.
        retry_after: Duration,
    },
    /// The requester is within its limit, and the total is exceeded.
    TotalLimited {
        /// The time until one more is allowed.
        retry_after: Duration,
    },
}

/// A permit from the budget that a known network of a user has of its own.
#[derive(Clone, Copy, Debug)]
pub struct NetworkPermit<'a> {
    /// The user.
    pub user: UserId,
    /// The client's network.
    pub network: &'a str,
    /// The limited action.
    pub name: &'a str,
    /// The limit of each known network.
    pub limit: Limit,
}
