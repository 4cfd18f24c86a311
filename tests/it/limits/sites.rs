//! The limits of an IPv6 /48, of which one customer of a provider can have all 65,536 networks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::future::join_all;
use signet::auth::Error;
use signet::auth::context::Context;
use signet::auth::rate_limit::{LimitedAction, check_client, check_notice, check_sign_in};
use signet::auth::request_context::RequestContext;
use signet::config::Rate;
use signet::http::client_ip::rate_limit_ip;
use signet::id::UserId;
use uuid::Uuid;

use super::*;
use crate::support::fleet::{TestFleet, native_request, over_both_stores_in_process};
use crate::support::postgres::Database;
use crate::support::redis;

/// No permit is refilled, because the clock of the tests stands still.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// More than a site gets in these tests.
const NETWORKS: u16 = 1000;

over_both_stores_in_process!(
    networks_of_one_site_share_a_limit,
    one_network_does_not_exhaust_its_site,
    ipv4_addresses_share_no_limit,
    every_limit_of_clients_counts_the_site,
    notices_have_a_site_limit_of_their_own,
);

/// In Redis, an IPv4 address has one counter, and an IPv6 network one more for its site.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_ipv6_has_a_second_counter() {
    let fleet = TestFleet::new(Some((redis::Server::start(), Database::create()))).await;
    let ctx = node(&fleet, LimitedAction::SignInClient, 10).await;
    let counters = || fleet.redis().cli(&["KEYS", "*sign-in*"]).lines().filter(|line| !line.is_empty()).count();
    for (address, expected) in [("198.51.100.1", 1), ("::ffff:198.51.100.2", 2), ("2001:db8:1:1::1", 4)] {
        assert_eq!(allowed(&ctx, std::iter::once(address.parse().unwrap())).await, 1);
        assert_eq!(counters(), expected, "{address}");
    }
}

/// A node on which a network gets `burst` of the action.
async fn node(fleet: &TestFleet, action: LimitedAction, burst: u32) -> Context {
    let change = |config: &mut signet::config::Config| {
        config.limits.enabled = true;
        config.limits[action] = Rate { burst, per: DAY };
    };
    fleet.node_with(change).await
}

/// An address in a network of a site.
fn v6(site: u16, network: u16) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, site, network, 0, 0, 0, 1).into()
}

fn request_from(ctx: &Context, client_ip: IpAddr) -> RequestContext<'_> {
    RequestContext { client_ip, rate_limit_ip: rate_limit_ip(client_ip), ..native_request(ctx) }
}

fn is_allowed(result: Result<(), Error>) -> bool {
    match result {
        Ok(()) => true,
        Err(Error::RateLimited { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

/// The number of sign-ins that are allowed, one from each of these addresses.
async fn allowed(ctx: &Context, addresses: impl Iterator<Item = IpAddr>) -> usize {
    let sign_in = async |address: IpAddr| is_allowed(check_sign_in(ctx, request_from(ctx, address)).await);
    join_all(addresses.map(sign_in)).await.into_iter().filter(|allowed| *allowed).count()
}

async fn networks_of_one_site_share_a_limit(fleet: &TestFleet) {
    let ctx = node(fleet, LimitedAction::SignInClient, 10).await;
    let from_site = |site: u16| allowed(&ctx, (0..NETWORKS).map(move |network| v6(site, network)));
    assert_eq!(from_site(1).await, 160);
    assert_eq!(from_site(1).await, 0);
    assert_eq!(from_site(2).await, 160, "another site has a limit of its own");
}

async fn one_network_does_not_exhaust_its_site(fleet: &TestFleet) {
    let ctx = node(fleet, LimitedAction::SignInClient, 10).await;
    assert_eq!(allowed(&ctx, (0..NETWORKS).map(|_| v6(1, 0))).await, 10);
    assert_eq!(allowed(&ctx, (1..NETWORKS).map(|network| v6(1, network))).await, 150);
}

async fn ipv4_addresses_share_no_limit(fleet: &TestFleet) {
    let ctx = node(fleet, LimitedAction::SignInClient, 1).await;
    let addresses = || (0..NETWORKS).map(|number| IpAddr::from(Ipv4Addr::from_bits(0xc612_0000 + u32::from(number))));
    assert_eq!(allowed(&ctx, addresses()).await, usize::from(NETWORKS));
    assert_eq!(allowed(&ctx, addresses()).await, 0);
}

async fn every_limit_of_clients_counts_the_site(fleet: &TestFleet) {
    let actions = [
        LimitedAction::SignUpClient,
        LimitedAction::MailClient,
        LimitedAction::CodeClient,
        LimitedAction::CreateClient,
        LimitedAction::CostlyClient,
    ];
    for action in actions {
        let ctx = node(fleet, action, 1).await;
        for network in 0..20 {
            let result = check_client(&ctx, action, request_from(&ctx, v6(1, network))).await;
            assert_eq!(is_allowed(result), network < 16, "{action:?}, {network}");
        }
    }
}

/// As of a network: notices do not use up the mails that people request.
async fn notices_have_a_site_limit_of_their_own(fleet: &TestFleet) {
    let ctx = node(fleet, LimitedAction::MailClient, 1).await;
    for network in 0..20 {
        let request_ctx = request_from(&ctx, v6(1, network));
        let user = UserId(Uuid::from_u128(network.into()));
        let notice = check_notice(&ctx, user, Some(request_ctx.client()), &user.to_string()).await;
        let mail = check_client(&ctx, LimitedAction::MailClient, request_ctx).await;
        assert_eq!([notice, mail].map(is_allowed), [network < 16; 2], "{network}");
    }
}
