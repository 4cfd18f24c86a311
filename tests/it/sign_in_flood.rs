//! More concurrent sign-ins than can be hashed: accepted ones succeed, the others are held for a moment and rejected,
//! `/verify` keeps working, and the memory is released afterwards.

use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;

use signet::auth::accounts::create::{CreateUser, create_user};
use signet::auth::passwords::Password;
use signet::auth::request_context::{ExtraClaims, RequestContext};
use signet::auth::sign_in::password::check_password;
use signet::auth::{Context, Error};
use signet::config::{LimitedAction, Rate};

use crate::support::fleet::{TestFleet, over_both_stores_in_process};
use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::signet::Plan;
use crate::support::until;

/// The length of the queue in front of the single hashing thread.
const QUEUE: usize = 8;

/// Twenty times as many sign-ins as can be accepted at once.
const FLOOD: usize = 20 * (QUEUE + 1);

/// The memory of a hash: slow enough for the whole flood to arrive before much of it is done, and large enough to be
/// measured.
const HASH_KIB: u64 = 40 << 10;

/// The memory that a flood may take besides: connections, requests, responses, sessions.
const ALLOWANCE: u64 = 20 << 20;

/// With a deadline that no slow machine exceeds.
fn plan(plan: Plan) -> Plan {
    plan.set("SIGNET_PASSWORDS__THREADS", "1")
        .set("SIGNET_PASSWORDS__QUEUE", &QUEUE.to_string())
        .set("SIGNET_PASSWORDS__DEADLINE", "1m")
        .set("SIGNET_PASSWORDS__MEMORY_KIB", &HASH_KIB.to_string())
        .set("SIGNET_PASSWORDS__PASSES", "2")
}

over_both_stores!(plan; flood_is_shed_and_its_memory_is_released);

async fn flood_is_shed_and_its_memory_is_released(server: &TestServer) {
    let before = server.metric("process_resident_memory_bytes").await;
    let (bystander, target) = (server.create_user(&[]), server.create_user(&[]));
    let token = server.sign_in(&bystander).await.access;
    until("the hash is counted", async || server.metric("signet_hashes_total").await == 1).await;

    let (mut verify_count, mut peak_memory) = (0, 0);
    let mut flood = pin!(join_all((0..FLOOD).map(|_| server.sign_in_request(&target.email, PASSWORD).send_checked())));
    let responses = loop {
        let verify_meanwhile = async {
            server.verify(&token).await.is(200);
            server.metric("process_resident_memory_bytes").await
        };
        tokio::select! {
            responses = &mut flood => break responses,
            resident = verify_meanwhile => (verify_count, peak_memory) = (verify_count + 1, peak_memory.max(resident)),
        }
    };

    let (accepted, rejected): (Vec<_>, Vec<_>) = responses.iter().partition(|response| response.status == 201);
    assert!(accepted.len() >= QUEUE && !rejected.is_empty(), "{} were accepted", accepted.len());
    for response in &rejected {
        response.is_problem(503, "overloaded");
        assert!(!response.header("retry-after").is_empty() && !response.text.contains("token"), "{response:?}");
    }
    until("all hashes are counted", async || server.metric("signet_hash_queue_running").await == 0).await;
    assert_eq!(server.metric("signet_hashes_total").await, 1 + accepted.len() as u64);
    for (reason, count) in [("queue_full", rejected.len() as u64), ("deadline", 0), ("abandoned", 0)] {
        assert_eq!(server.metric(&format!("signet_hashes_shed_total{{reason=\"{reason}\"}}")).await, count, "{reason}");
    }
    until("all refusals are in summaries of the log", async || refusals_in_log(server) == rejected.len() as u64).await;
    assert!(!server.signet.log().contains("request failed"), "a refusal has a line of its own");
    assert_eq!(server.metric("signet_hash_queue_held").await, 0);
    assert!(verify_count > 0, "no token was verified meanwhile");
    assert!(
        peak_memory < before + (HASH_KIB << 10) + ALLOWANCE,
        "{before} bytes before, {peak_memory} during the flood"
    );

    server.sign_in(&target).await;
    let is_released = async || server.metric("process_resident_memory_bytes").await < before + ALLOWANCE;
    until("the memory is released", is_released).await;
}

/// The sum of the refusals that the log reports.
fn refusals_in_log(server: &TestServer) -> u64 {
    let log = server.signet.log();
    let lines = log.lines().filter(|line| line.contains("requests refused"));
    lines.map(|line| serde_json::from_str::<Value>(line).unwrap()["refused"].as_u64().unwrap()).sum()
}

mod admission {
    use super::*;

    over_both_stores_in_process!(
        full_queue_uses_no_limit_and_reveals_no_account,
        rate_limited_sign_in_uses_no_slot_and_no_hash,
    );

    /// A request from one client address.
    fn request_ctx(ctx: &Context, host: u8) -> RequestContext<'_> {
        let address = IpAddr::from([192, 0, 2, host]);
        RequestContext {
            dialect: "native",
            dialect_config: &ctx.node.config.api.native,
            client_ip: address,
            rate_limit_ip: address,
            user_agent: None,
            language: None,
            extra_claims: ExtraClaims::None,
            audience: None,
        }
    }

    fn hourly(burst: u32) -> Rate {
        Rate { burst, per: Duration::from_secs(3600) }
    }

    async fn full_queue_uses_no_limit_and_reveals_no_account(fleet: &TestFleet) {
        let ctx = fleet
            .node_with(|config| {
                config.limits.enabled = true;
                config.limits[LimitedAction::SignInAccount] = hourly(1);
                config.passwords.queue = QUEUE;
            })
            .await;
        let (login, password) = ("kept-out@example.org", Password::new(PASSWORD.to_owned()));
        let new_user =
            CreateUser { email: login.to_owned(), password: Some(password.clone()), ..CreateUser::default() };
        let user = create_user(&ctx, new_user).await.unwrap();
        let mut slots = Vec::new();
        for _ in 0..QUEUE {
            slots.push(ctx.node.hasher.acquire_slot(None).await.unwrap());
        }
        until("the hash of the new user's password is counted", async || ctx.node.hasher.load().done == 1).await;
        // At the same time, because each is held for half a second.
        let attempts = [login, "nobody@example.org", login, "nobody@example.org"]
            .map(|login| check_password(&ctx, login, &password, request_ctx(&ctx, 1)));
        for rejected in join_all(attempts).await {
            assert!(matches!(rejected, Err(Error::Overloaded)), "{rejected:?}");
        }
        assert_eq!(ctx.node.hasher.load().done, 1, "a password was hashed");
        drop(slots);
        assert_eq!(check_password(&ctx, login, &password, request_ctx(&ctx, 1)).await.unwrap().id, user.id);
        let again = check_password(&ctx, login, &password, request_ctx(&ctx, 1)).await;
        assert!(matches!(again, Err(Error::RateLimited { .. })), "the limit did not apply: {again:?}");
    }

    async fn rate_limited_sign_in_uses_no_slot_and_no_hash(fleet: &TestFleet) {
        let ctx = fleet
            .node_with(|config| {
                config.limits.enabled = true;
                config.limits[LimitedAction::SignInClient] = hourly(1);
                config.passwords.queue = 1;
            })
            .await;
        let password = Password::new(PASSWORD.to_owned());
        let login = "nobody-at-all@example.org";
        let first = check_password(&ctx, login, &password, request_ctx(&ctx, 2)).await;
        assert!(matches!(first, Err(Error::InvalidCredentials)), "{first:?}");
        until("the hash is counted", async || ctx.node.hasher.load().done == 1).await;
        // Also with a full queue: the limit is checked first.
        let slot = ctx.node.hasher.acquire_slot(None).await.unwrap();
        for _ in 0..3 {
            let limited = check_password(&ctx, login, &password, request_ctx(&ctx, 2)).await;
            assert!(matches!(limited, Err(Error::RateLimited { .. })), "{limited:?}");
        }
        drop(slot);
        let load = ctx.node.hasher.load();
        assert_eq!((load.done, load.shed_full), (1, 0));
    }
}
