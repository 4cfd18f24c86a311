//! Rate limits: each is one row of the table below, with its setting, its default rate, its key in the store, what
//! happens if the store fails, and its message. The metric of refused requests has a series for each row.
//!
//! To add one, add a row here and a line to `config.toml`, and call `check_user` or `check_client` of
//! `auth::rate_limit` in the operation.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::{Index, IndexMut};
use std::time::Duration;

/// How many times the limit of one client network all networks of an IPv6 site get together. A site may be one customer
/// or, where a provider gives each a /56, 256 of them. 16 is in the middle of both: a customer with a whole site gains
/// little by it, and those who share one have room.
const SITE_FACTOR: u32 = 16;

/// Allows `burst` attempts immediately and refills that many evenly over `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Attempts allowed immediately.
    pub burst: u32,
    /// Time in which `burst` attempts become available again.
    pub per: Duration,
}

impl Rate {
    const fn per_minutes(burst: u32, minutes: u64) -> Self {
        Self { burst, per: Duration::from_secs(minutes * 60) }
    }

    /// The rate of all networks of an IPv6 site together, where this is the rate of each.
    pub fn of_site(self) -> Self {
        Self { burst: self.burst.saturating_mul(SITE_FACTOR), ..self }
    }
}

/// The site that an address belongs to: the IPv6 /48, which is the most that a customer of a provider usually has
/// (RFC 6177), and contains 65,536 networks. An IPv4 address is its own site.
pub fn site_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 80))),
        v4 => v4,
    }
}

/// The treatment of an action if the store that counts it is unavailable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// It is refused: the limit protects a secret from guessing, or the cost of hashes and mails, or the action needs
    /// the store anyway.
    Refuse,
    /// It is allowed, and `signet_rate_limits_skipped_total` increases: the limit only bounds what one client or
    /// account uses of the service.
    Skip,
}

/// The setting of the attempts that a person has a day. They are no rate, but are reported as a limit too.
pub const DAILY_TRIES: &str = "mailed.daily_tries";

macro_rules! limited_actions {
    ($(
        $action:ident: $setting:literal, $burst:literal per $minutes:literal minutes, $key:literal, $on_failure:ident,
        $message:literal;
    )*) => {
        /// An action that a rate limit counts.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum LimitedAction {
            $(#[doc = $message] $action,)*
        }

        impl LimitedAction {
            /// Every limit, in the order of `config.toml`.
            pub const ALL: &[Self] = &[$(Self::$action),*];

            /// The setting of everything that is reported as a limit.
            pub const REPORTED: &[&str] = &[$($setting,)* DAILY_TRIES];

            /// The key of the setting in `[limits]`.
            pub const fn setting(self) -> &'static str {
                match self { $(Self::$action => $setting,)* }
            }

            /// The rate where the setting is absent.
            pub const fn default_rate(self) -> Rate {
                match self { $(Self::$action => Rate::per_minutes($burst, $minutes),)* }
            }

            /// The prefix of the counter's key in the store; the subject follows.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$action => $key,)* }
            }

            /// The treatment if the store that counts is unavailable.
            pub const fn on_failure(self) -> OnFailure {
                match self { $(Self::$action => OnFailure::$on_failure,)* }
            }

            /// The name of the action, for people.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$action => $message,)* }
            }
        }
    };
}

limited_actions! {
    SignInAccount: "sign_in_account", 10 per 5 minutes, "sign-in:account", Refuse, "sign-ins to one account";
    SignInClient: "sign_in_address", 100 per 5 minutes, "sign-in:address", Refuse, "sign-ins from one client network";
    ReauthenticationAccount: "reauthentication_account", 10 per 5 minutes, "reauthentication:account", Refuse,
        "attempts at the current password of one account";
    SignUpClient: "sign_up_address", 100 per 60 minutes, "sign-up:address", Skip,
        "sign-ups and new usernames from one client network";
    MailAccount: "mail_account", 5 per 10 minutes, "mail:account", Refuse,
        "mails of one kind to one person, requested from one client network";
    MailTotal: "mail_total", 20 per 1440 minutes, "mail:total", Refuse, "mails of one kind to one person";
    MailClient: "mail_address", 100 per 60 minutes, "mail:address", Refuse, "mails requested from one client network";
    CodeAccount: "code_account", 10 per 10 minutes, "code:account", Refuse, "attempts at one person's second factor";
    CodeClient: "code_address", 100 per 5 minutes, "code:address", Refuse,
        "attempts at codes and links from one client network";
    TotpAccount: "totp_account", 20 per 60 minutes, "totp:account", Skip,
        "enrollments of a second factor begun by one account";
    RevokeAccount: "revoke_account", 300 per 5 minutes, "revoke:account", Skip,
        "access tokens of one account revoked individually";
    RevokeClient: "revoke_address", 3000 per 5 minutes, "revoke:address", Skip,
        "access tokens revoked individually from one client network";
    ApiKeyAccount: "api_key_account", 100 per 60 minutes, "api-key:account", Skip, "API keys created by one account";
    CreateClient: "create_address", 300 per 60 minutes, "create:address", Skip,
        "projects and API keys created from one client network";
    ExportAccount: "export_account", 20 per 60 minutes, "export:account", Refuse, "exports of one account's data";
    CostlyAccount: "costly_account", 1000 per 5 minutes, "costly:account", Skip, "costly calls of one account";
    CostlyClient: "costly_address", 3000 per 5 minutes, "costly:address", Skip,
        "costly calls from one client network";
}

/// The rates in force.
#[derive(Clone, Debug)]
pub struct Limits {
    /// True if rates are limited at all. The attempts that one code allows are not a rate.
    pub enabled: bool,
    rates: [Rate; LimitedAction::ALL.len()],
}

impl Limits {
    /// The limits with the rate that `rate` returns for each.
    pub(super) fn new(enabled: bool, mut rate: impl FnMut(LimitedAction) -> Rate) -> Self {
        Self { enabled, rates: std::array::from_fn(|index| rate(LimitedAction::ALL[index])) }
    }
}

impl Index<LimitedAction> for Limits {
    type Output = Rate;
    fn index(&self, action: LimitedAction) -> &Rate {
        &self.rates[action as usize]
    }
}

impl IndexMut<LimitedAction> for Limits {
    fn index_mut(&mut self, action: LimitedAction) -> &mut Rate {
        &mut self.rates[action as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_site_is_a_48() {
        let site = |address: &str| site_of(address.parse().unwrap()).to_string();
        assert_eq!(site("2001:db8:1:2:3:4:5:6"), "2001:db8:1::");
        assert_eq!(site("2001:db8:1:ffff::"), "2001:db8:1::");
        assert_eq!(site("2001:db8:2::1"), "2001:db8:2::");
        assert_eq!(site("198.51.100.1"), "198.51.100.1");
        assert_eq!(site("::ffff:198.51.100.1"), "198.51.100.1");
    }

    #[test]
    fn a_site_gets_sixteen_times_as_much() {
        let of_site = |burst: u32| Rate::per_minutes(burst, 5).of_site();
        assert_eq!(of_site(100), Rate::per_minutes(1600, 5));
        assert_eq!(of_site(0).burst, 0);
        assert_eq!(of_site(u32::MAX).burst, u32::MAX);
    }
}
