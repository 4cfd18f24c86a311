//! How often something may be tried, by whom and on what. One identity has one counter, whatever the dialect or the spelling.
//!
//! A plain rate fails open: a store that is down must not lock everyone out of what does not need it, and what does need it
//! fails by itself. Counters of guesses at codes are not here; they are part of the claims and fail closed.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Failure;
use super::identity::Login;
use crate::app::App;
use crate::config::Rate;
use crate::store::ephemeral::{Allowance, Limit};

/// Takes one sign-in from what its address and its account are allowed: two counters, asked for together.
pub async fn sign_in(app: &App, login: Option<&Login>, address: IpAddr) -> Result<(), Failure> {
    let limits = &app.node.config.limits;
    if !limits.enabled {
        return Ok(());
    }
    let by_address = take(app, format!("sign-in:address:{}", counted_by(address)), limits.sign_in_address);
    // An address may be a person's; its digest is none, and is as good to count by.
    let by_account = async {
        match login {
            None => Ok(()),
            Some(login) => take(app, format!("sign-in:account:{}", name(login)), limits.sign_in_account).await,
        }
    };
    let (by_address, by_account) = tokio::join!(by_address, by_account);
    by_address.and(by_account)
}

async fn take(app: &App, key: String, rate: Rate) -> Result<(), Failure> {
    let limit = Limit { burst: rate.burst, per: rate.per };
    match app.ephemeral.take(&key, limit, app.now()).await {
        Ok(Allowance::Allowed) => Ok(()),
        Ok(Allowance::Limited { retry_after }) => Err(Failure::TooMany { retry_after }),
        Err(error) => {
            app.node.metrics.limit_unchecked();
            tracing::warn!(%error, "a rate limit is not applied");
            Ok(())
        }
    }
}

fn name(login: &Login) -> String {
    URL_SAFE_NO_PAD.encode(&digest(&SHA256, login.key().as_bytes()).as_ref()[..16])
}

/// An IPv4 address, or the /64 of an IPv6 one: whoever has one address of it has them all.
fn counted_by(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => (std::net::Ipv6Addr::from_bits(address.to_bits() & !0 << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_counted_together() {
        let counted = |text: &str| counted_by(text.parse().unwrap()).to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(counted("192.0.2.7"), "192.0.2.7");
        assert_eq!(counted("::ffff:192.0.2.7"), "192.0.2.7");
    }
}
