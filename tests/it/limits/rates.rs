//! Each call with the limit that applies to it. A limit that one call has exhausted is exhausted for the calls of every
//! dialect, from the same address or about the same account, and for no others.

use futures_util::future::join_all;

use super::calls::{
    CONFIRM, Call, GUESSES, MAILS, MAILS_TO_ACCOUNTS, REAUTHENTICATIONS, SIGN_INS, SIGN_UPS, TOTP_CODES, TOTP_DISABLING,
};
use super::*;
use crate::support::outbox;
use crate::support::server::over_both_stores;
use crate::support::signet::{CLIENT_LIMITS, NEVER_REACHED, Plan};

/// The burst of the limits that a test is about.
const BURST: usize = 6;

/// A plan in which only the limits in `low` are ever reached.
fn only(plan: Plan, low: &[&str]) -> Plan {
    let others = ["SIGN_IN_ACCOUNT", "MAIL_ACCOUNT", "MAIL_TOTAL", "CODE_ACCOUNT", "REAUTHENTICATION_ACCOUNT"];
    plan.limits(&CLIENT_LIMITS, NEVER_REACHED)
        .limits(&others, NEVER_REACHED)
        .limits(low, &format!("{BURST} per 1h"))
        .set("SIGNET_MAILED__DAILY_TRIES", "1000")
        .set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1")
}

mod sign_ins_by_address {
    use super::*;

    over_both_stores!(|plan| only(plan, &["SIGN_IN_ADDRESS"]); calls_share_the_limit);

    async fn calls_share_the_limit(server: &TestServer) {
        let target = Target::plain(server).await;
        assert_shared_by_address(server, 1, &[SIGN_INS, REAUTHENTICATIONS], &[], &target).await;
    }
}

mod other_calls_by_address {
    use super::*;

    over_both_stores!(|plan| only(plan, &["SIGN_UP_ADDRESS", "MAIL_ADDRESS", "CODE_ADDRESS"]);
        sign_ups_share_the_limit, mails_share_the_limit, guesses_share_the_limit,
        first_sign_in_by_mail_counts_as_sign_up);

    async fn sign_ups_share_the_limit(server: &TestServer) {
        let target = Target::plain(server).await;
        assert_shared_by_address(server, 2, &[SIGN_UPS], &[], &target).await;
    }

    async fn mails_share_the_limit(server: &TestServer) {
        let target = Target::plain(server).await;
        assert_shared_by_address(server, 3, &[MAILS, MAILS_TO_ACCOUNTS], &[], &target).await;
    }

    async fn guesses_share_the_limit(server: &TestServer) {
        let target = Target::plain(server).await.with_totp(server).await;
        assert_shared_by_address(server, 4, &[GUESSES, TOTP_CODES], TOTP_DISABLING, &target).await;
    }

    /// A mailed code and a magic link create an account if there is none. The limit shows only to a client with the
    /// right code.
    async fn first_sign_in_by_mail_counts_as_sign_up(server: &TestServer) {
        let (address, existing) = ("198.51.100.1", Target::plain(server).await);
        for _ in 0..BURST {
            send_from(address, (SIGN_UPS[0].request)(server, &existing)).await.is(400);
        }
        let newcomer = Target::unknown("newcomer");
        send_from("192.0.2.1", (MAILS[0].request)(server, &newcomer)).await.is(202);
        let code = outbox::wait_for_mail(server, &newcomer.email, 0).await.code();
        let body = json!({"email": newcomer.email, "code": code});
        let redeem_code = || server.post("/auth/verification/verify-code").json(&body);
        Dialect::Unturned.assert_rate_limited(&send_from(address, redeem_code()).await);

        let claim = text(&send_from("192.0.2.1", (MAILS[1].request)(server, &newcomer)).await.is(200).json(), "claim");
        let token = outbox::wait_for_mail(server, &newcomer.email, 1).await.token();
        let redeem_link = || server.post("/auth/login/claim").bearer_auth(&token).json(&json!({"claim": claim}));
        Dialect::Myauth.assert_rate_limited(&send_from(address, redeem_link()).await);
        // The refusal has used up neither code nor link, and the second sign-in finds the new account.
        send_from("192.0.2.1", redeem_code()).await.is(200);
        send_from(address, redeem_link()).await.is(200);
    }
}

/// Sends each of `calls` from its own network until the limit is exhausted: then it is exhausted for all calls from
/// that network, and for `more_calls`, which would change something if they were sent earlier.
async fn assert_shared_by_address(
    server: &TestServer,
    test: usize,
    calls: &[&[Call]],
    more_calls: &[Call],
    target: &Target,
) {
    for (number, call) in calls.iter().copied().flatten().enumerate() {
        let site = format!("2001:db8:{test}{number:02x}");
        let within = |host: usize| format!("{site}:1::{host:x}");
        for host in 0..BURST {
            let response = send_from(&within(host), (call.request)(server, target)).await;
            assert!(matches!(response.status, 200..=202 | 400 | 401 | 409), "{}, {host}: {response:?}", call.name);
        }
        let others = calls.iter().copied().flatten().chain(more_calls);
        assert_all_rate_limited(server, &within(0xffff), others.map(|other| (other, target))).await;
        let other_network = send_from(&format!("{site}:2::1"), (call.request)(server, target)).await;
        assert_ne!(other_network.status, 429, "{}: {other_network:?}", call.name);
    }
}

mod sign_ins_by_account {
    use super::*;

    over_both_stores!(|plan| only(plan, &["SIGN_IN_ACCOUNT", "REAUTHENTICATION_ACCOUNT"]);
        calls_share_the_limit, reauthentications_share_a_limit_of_their_own, unknown_account_is_limited_too);

    async fn calls_share_the_limit(server: &TestServer) {
        let other = server.create_user(&[]);
        for (number, call) in SIGN_INS.iter().enumerate() {
            let target = new_target(server, "sign-in", number).await;
            assert_shared_by_account(server, call, &[SIGN_INS], &target).await;
            // The right password is refused, too.
            let right = send_from("192.0.2.1", server.sign_in_request(&target.email, PASSWORD)).await;
            Dialect::Native.assert_rate_limited(&right);
        }
        server.sign_in(&other).await;
    }

    /// Neither exhausts the other: strangers have no token, and the holder of a token must not lock the login.
    async fn reauthentications_share_a_limit_of_their_own(server: &TestServer) {
        for (number, call) in REAUTHENTICATIONS.iter().enumerate() {
            let target = new_target(server, "token", number).await;
            assert_shared_by_account(server, call, &[REAUTHENTICATIONS], &target).await;
            send_from("192.0.2.1", server.sign_in_request(&target.email, PASSWORD)).await.is(201);

            let target = new_target(server, "login", number).await;
            exhaust(server, &SIGN_INS[0], &target.spellings()).await;
            let response = send_from("192.0.2.1", (call.request)(server, &target)).await;
            assert!(matches!(response.status, 400 | 401), "{}: {response:?}", call.name);
        }
    }

    async fn unknown_account_is_limited_too(server: &TestServer) {
        let by_email = |call: &&Call| call.name != "by username";
        for (number, call) in SIGN_INS.iter().filter(by_email).enumerate() {
            let unknown = Target::unknown(&format!("nobody-{number}"));
            exhaust(server, call, std::slice::from_ref(&unknown)).await;
            let others = SIGN_INS.iter().filter(by_email).map(|other| (other, &unknown));
            assert_all_rate_limited(server, "192.0.2.1", others).await;
        }
    }
}

mod other_calls_by_account {
    use super::*;

    over_both_stores!(|plan| only(plan, &["MAIL_ACCOUNT", "CODE_ACCOUNT"]);
        mails_of_one_kind_share_the_limit, unknown_account_is_limited_too, totp_codes_share_the_limit);

    /// The kind of mail that a call sends. Kinds are limited separately.
    fn kind(call: &Call) -> (&'static str, bool) {
        let name = if call.name == CONFIRM { "change the address" } else { call.name };
        (name, call.dialect == Dialect::Codes)
    }

    /// Sends a call from one client until it is limited: then all calls of its kind are, from this client and for this
    /// person, and nothing else is.
    async fn assert_limited_by_kind(server: &TestServer, call: &Call, calls: &[&Call], spellings: &[Target]) {
        for number in 0..BURST {
            let spelling = &spellings[number % spellings.len()];
            let response = send_from("192.0.2.1", (call.request)(server, spelling)).await;
            assert!(matches!(response.status, 200..=202 | 409), "{}, {number}: {response:?}", call.name);
        }
        for spelling in spellings {
            for other in calls.iter().filter(|other| kind(other) == kind(call)) {
                other.dialect.assert_rate_limited(&send_from("192.0.2.1", (other.request)(server, spelling)).await);
            }
            let elsewhere = send_from("192.0.2.2", (call.request)(server, spelling)).await;
            assert!(matches!(elsewhere.status, 200..=202 | 409), "{}: {elsewhere:?}", call.name);
        }
        for other in calls.iter().filter(|other| kind(other) != kind(call)) {
            let response = send_from("192.0.2.1", (other.request)(server, &spellings[0])).await;
            assert!(matches!(response.status, 200..=202 | 409), "{}, {}: {response:?}", call.name, other.name);
        }
    }

    async fn mails_of_one_kind_share_the_limit(server: &TestServer) {
        let calls = MAILS.iter().chain(MAILS_TO_ACCOUNTS).collect::<Vec<_>>();
        for (number, call) in calls.iter().enumerate() {
            let target = new_target(server, "mail", number).await;
            assert_limited_by_kind(server, call, &calls, &target.spellings()).await;
        }
    }

    async fn unknown_account_is_limited_too(server: &TestServer) {
        let calls = MAILS.iter().collect::<Vec<_>>();
        for (number, call) in calls.iter().enumerate() {
            let unknown = Target::unknown(&format!("nobody-{number}"));
            assert_limited_by_kind(server, call, &calls, std::slice::from_ref(&unknown)).await;
        }
    }

    async fn totp_codes_share_the_limit(server: &TestServer) {
        for (number, call) in TOTP_CODES.iter().enumerate() {
            let target = new_target(server, "factor", number).await.with_totp(server).await;
            assert_shared_by_account(server, call, &[TOTP_CODES, TOTP_DISABLING], &target).await;
            // The right code is refused, too.
            let body = json!({"email": target.email, "password": PASSWORD, "totp_code": totp::code(&target.key, 1)});
            Dialect::Native.assert_rate_limited(&send_from("192.0.2.1", server.post("/sessions").json(&body)).await);
        }
    }
}

/// A user whose address has several spellings.
async fn new_target(server: &TestServer, test: &str, number: usize) -> Target {
    Target::with_login(server, &format!("{test}-{number}@bücher.example"), &format!("{test}-{number}")).await
}

/// Sends one call, each time from another address and in another spelling, until the account's limit is exhausted:
/// then it is exhausted for all calls and all spellings.
async fn assert_shared_by_account(server: &TestServer, call: &Call, calls: &[&[Call]], target: &Target) {
    let spellings = target.spellings();
    exhaust(server, call, &spellings).await;
    let others = calls.iter().copied().flatten();
    let requests = others.flat_map(|other| spellings.iter().map(move |spelling| (other, spelling)));
    assert_all_rate_limited(server, "192.0.2.1", requests).await;
}

/// Asserts that each of these calls is limited. Sends them at the same time, because the responses are delayed.
async fn assert_all_rate_limited<'a>(
    server: &TestServer,
    address: &str,
    calls: impl Iterator<Item = (&'a Call, &'a Target)>,
) {
    let send = async |(call, target): (&Call, &Target)| {
        call.dialect.assert_rate_limited(&send_from(address, (call.request)(server, target)).await);
    };
    join_all(calls.map(send)).await;
}

/// Sends the call until the limit is exhausted, after at most a burst: the preparation of the target counts as well.
async fn exhaust(server: &TestServer, call: &Call, spellings: &[Target]) {
    for number in 0..=BURST {
        let spelling = &spellings[number % spellings.len()];
        let response = send_from(&format!("192.0.2.{}", 100 + number), (call.request)(server, spelling)).await;
        if response.status == 429 {
            assert!(number > 0, "{}: limited at the first attempt", call.name);
            return call.dialect.assert_rate_limited(&response);
        }
        assert!(matches!(response.status, 200..=202 | 400 | 401 | 409), "{}, {spelling:?}: {response:?}", call.name);
    }
    panic!("{}: not limited", call.name);
}
