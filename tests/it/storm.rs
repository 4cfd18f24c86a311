//! More sign-ins at once than can be hashed: who is let in is served, who is not is told so at once, nothing else feels it, and
//! nothing of it stays.

use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::join_all;

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

/// How many hashes may wait, for the one thread there is.
const QUEUE: usize = 8;

/// Twenty times as many as can be let in at once.
const FLOOD: usize = 20 * (QUEUE + 1);

/// What a hash takes. That is long enough for the flood to be there before much of it is done, and large enough to be seen.
const HASH_KIB: u64 = 40 << 10;

/// What else a flood may take: connections, requests, answers, sessions.
const ALLOWANCE: u64 = 20 << 20;

/// Nobody is refused for want of time, however slow the machine.
fn plan(plan: Plan) -> Plan {
    plan.set("SIGNET_PASSWORDS__THREADS", "1")
        .set("SIGNET_PASSWORDS__QUEUE", &QUEUE.to_string())
        .set("SIGNET_PASSWORDS__DEADLINE", "1m")
        .set("SIGNET_PASSWORDS__MEMORY_KIB", &HASH_KIB.to_string())
        .set("SIGNET_PASSWORDS__PASSES", "2")
}

over_both_stores!(plan; a_flood_is_shed_and_leaves_nothing_behind);

async fn a_flood_is_shed_and_leaves_nothing_behind(server: &TestServer) {
    let before = server.figure("process_resident_memory_bytes").await;
    let (witness, flooded) = (server.person(&[]), server.person(&[]));
    let token = server.sign_in(&witness).await.access;
    until("the hash is counted", async || server.figure("signet_hashes_total").await == 1).await;

    let (mut verified, mut most) = (0, 0);
    let mut flood = pin!(join_all((0..FLOOD).map(|_| server.signing_in(&flooded.email, PASSWORD).send_checked())));
    let answers = loop {
        let beside = async {
            server.verify(&token).await.is(200);
            server.figure("process_resident_memory_bytes").await
        };
        tokio::select! {
            answers = &mut flood => break answers,
            resident = beside => (verified, most) = (verified + 1, most.max(resident)),
        }
    };

    let (let_in, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert!(let_in.len() >= QUEUE && !refused.is_empty(), "{} were let in", let_in.len());
    for answer in &refused {
        answer.is_problem(503, "busy");
        assert!(!answer.header("retry-after").is_empty() && !answer.text.contains("token"), "{answer:?}");
    }
    until("all are counted", async || server.figure("signet_hash_queue_running").await == 0).await;
    assert_eq!(server.figure("signet_hashes_total").await, 1 + let_in.len() as u64);
    for (reason, count) in [("queue_full", refused.len() as u64), ("deadline", 0), ("abandoned", 0)] {
        assert_eq!(server.figure(&format!("signet_hashes_shed_total{{reason=\"{reason}\"}}")).await, count, "{reason}");
    }
    assert!(verified > 0, "nothing was verified meanwhile");
    assert!(most < before + (HASH_KIB << 10) + ALLOWANCE, "{before} bytes before, {most} in the flood");

    server.sign_in(&flooded).await;
    let given_back = async || server.figure("process_resident_memory_bytes").await < before + ALLOWANCE;
    until("the memory is given back", given_back).await;
}

mod at_the_door {
    use super::*;

    over_both_stores_in_process!(
        a_full_queue_takes_nothing_from_an_account_and_tells_nothing_of_it,
        whom_a_limit_keeps_out_takes_no_place_and_no_hash,
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
        }
    }

    fn hourly(burst: u32) -> Rate {
        Rate { burst, per: Duration::from_secs(3600) }
    }

    async fn a_full_queue_takes_nothing_from_an_account_and_tells_nothing_of_it(fleet: &TestFleet) {
        let ctx = fleet
            .node_with(|config| {
                config.limits.enabled = true;
                config.limits[LimitedAction::SignInAccount] = hourly(1);
                config.passwords.queue = QUEUE;
            })
            .await;
        let (login, password) = ("kept-out@example.org", Password::new(PASSWORD.to_owned()));
        let wanted = CreateUser { email: login.to_owned(), password: Some(password.clone()), ..CreateUser::default() };
        let made = create_user(&ctx, wanted, ctx.node.password_policy).await.unwrap();
        let taken: Vec<_> = (0..QUEUE).map(|_| ctx.node.hasher.reserve_slot().unwrap()).collect();
        until("the user's own hash is counted", async || ctx.node.hasher.load().done == 1).await;
        for login in [login, "nobody@example.org", login, "nobody@example.org"] {
            let refused = check_password(&ctx, login, &password, request_ctx(&ctx, 1)).await;
            assert!(matches!(refused, Err(Error::Overloaded)), "{login}: {refused:?}");
        }
        assert_eq!(ctx.node.hasher.load().done, 1, "somebody was hashed");
        drop(taken);
        assert_eq!(check_password(&ctx, login, &password, request_ctx(&ctx, 1)).await.unwrap().id, made.id);
        let again = check_password(&ctx, login, &password, request_ctx(&ctx, 1)).await;
        assert!(matches!(again, Err(Error::RateLimited { .. })), "the limit was not there: {again:?}");
    }

    async fn whom_a_limit_keeps_out_takes_no_place_and_no_hash(fleet: &TestFleet) {
        let ctx = fleet
            .node_with(|config| {
                config.limits.enabled = true;
                config.limits[LimitedAction::SignInAddress] = hourly(1);
                config.passwords.queue = 1;
            })
            .await;
        let password = Password::new(PASSWORD.to_owned());
        let login = "nobody-at-all@example.org";
        let first = check_password(&ctx, login, &password, request_ctx(&ctx, 2)).await;
        assert!(matches!(first, Err(Error::InvalidCredentials)), "{first:?}");
        until("it is counted", async || ctx.node.hasher.load().done == 1).await;
        // With no place left, too: the limit is asked first.
        let taken = ctx.node.hasher.reserve_slot().unwrap();
        for _ in 0..3 {
            let limited = check_password(&ctx, login, &password, request_ctx(&ctx, 2)).await;
            assert!(matches!(limited, Err(Error::RateLimited { .. })), "{limited:?}");
        }
        drop(taken);
        let load = ctx.node.hasher.load();
        assert_eq!((load.done, load.shed_full), (1, 0));
    }
}
