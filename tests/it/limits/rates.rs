//! Each call with the limit that it takes from. A limit that one call has used up is used up for all the others: those of every
//! dialect, from the same address or about the same account, and for nobody else.

use super::calls::{Call, FACTORS, FACTORS_OFF, GUESSES, MAILS, MAILS_TO_PEOPLE, ORIGINALS, SIGN_INS, SIGN_UPS};
use super::*;
use crate::support::outbox;
use crate::support::server::over_both_stores;
use crate::support::signet::Plan;

/// How many are allowed, of those limits that a test is about.
const BURST: usize = 6;

/// These limits alone are ever met.
fn only(plan: Plan, met: &[&str]) -> Plan {
    let all = ["SIGN_IN_ADDRESS", "SIGN_IN_ACCOUNT", "SIGN_UP_ADDRESS", "MAIL_ADDRESS", "MAIL_ACCOUNT", "CODE_ADDRESS"];
    let plan = all.iter().chain(&["CODE_ACCOUNT"]).fold(plan, |plan, limit| {
        let rate = if met.contains(limit) { format!("{BURST} per 1h") } else { "1000000 per 1s".to_owned() };
        plan.set(&format!("SIGNET_LIMITS__{limit}"), &rate)
    });
    plan.set("SIGNET_LIMITS__ENABLED", "true")
        .set("SIGNET_MAILED__DAILY_TRIES", "1000")
        .set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1")
}

mod sign_ins_from_an_address {
    use super::*;

    over_both_stores!(|plan| only(plan, &["SIGN_IN_ADDRESS"]); are_counted_together);

    async fn are_counted_together(server: &TestServer) {
        let who = Who::plain(server).await;
        from_one_address(server, 1, &[SIGN_INS, ORIGINALS], &[], &who).await;
    }
}

mod everything_else_from_an_address {
    use super::*;

    over_both_stores!(|plan| only(plan, &["SIGN_UP_ADDRESS", "MAIL_ADDRESS", "CODE_ADDRESS"]);
        sign_ups_are_counted_together, mails_are_counted_together, guesses_are_counted_together,
        the_first_use_of_an_address_is_a_sign_up);

    async fn sign_ups_are_counted_together(server: &TestServer) {
        let who = Who::plain(server).await;
        from_one_address(server, 2, &[SIGN_UPS], &[], &who).await;
    }

    async fn mails_are_counted_together(server: &TestServer) {
        let who = Who::plain(server).await;
        from_one_address(server, 3, &[MAILS, MAILS_TO_PEOPLE], &[], &who).await;
    }

    async fn guesses_are_counted_together(server: &TestServer) {
        let who = Who::plain(server).await.with_a_factor(server).await;
        from_one_address(server, 4, &[GUESSES, FACTORS], FACTORS_OFF, &who).await;
    }

    /// A mailed code and a magic link make an account where there is none. Told only to who has the code.
    async fn the_first_use_of_an_address_is_a_sign_up(server: &TestServer) {
        let (address, somebody) = ("198.51.100.1", Who::plain(server).await);
        for _ in 0..BURST {
            from(address, (SIGN_UPS[0].ask)(server, &somebody)).await.is(400);
        }
        let newcomer = Who::nobody("newcomer");
        from("192.0.2.1", (MAILS[0].ask)(server, &newcomer)).await.is(202);
        let code = outbox::next(server, &newcomer.email, 0).await.code();
        let body = json!({"email": newcomer.email, "code": code});
        let enter = || server.post("/auth/verification/verify-code").json(&body);
        Dialect::Unturned.tells_of_too_many(&from(address, enter()).await);

        let claim = text(&from("192.0.2.1", (MAILS[1].ask)(server, &newcomer)).await.is(200).json(), "claim");
        let token = outbox::next(server, &newcomer.email, 1).await.token();
        let by_link = || server.post("/auth/login/claim").bearer_auth(&token).json(&json!({"claim": claim}));
        Dialect::Myauth.tells_of_too_many(&from(address, by_link()).await);
        // Neither is used up by that, and whoever has an account by now makes none.
        from("192.0.2.1", enter()).await.is(200);
        from(address, by_link()).await.is(200);
    }
}

/// Each of `calls` is asked from a network of its own until that has used up its share: then that network's share is used up
/// for all of them, and for those `besides`, which would change something before.
async fn from_one_address(server: &TestServer, test: usize, calls: &[&[Call]], besides: &[Call], who: &Who) {
    for (number, call) in calls.iter().copied().flatten().enumerate() {
        let within = |host: usize| format!("2001:db8:{test}:{number}::{host:x}");
        for host in 0..BURST {
            let answer = from(&within(host), (call.ask)(server, who)).await;
            assert!(matches!(answer.status, 200..=202 | 400 | 401 | 409), "{}, {host}: {answer:?}", call.name);
        }
        for other in calls.iter().copied().flatten().chain(besides) {
            other.dialect.tells_of_too_many(&from(&within(0xffff), (other.ask)(server, who)).await);
        }
        let elsewhere = from(&format!("2001:db8:{test}:ff{number:02x}::1"), (call.ask)(server, who)).await;
        assert_ne!(elsewhere.status, 429, "{}: {elsewhere:?}", call.name);
    }
}

mod sign_ins_to_an_account {
    use super::*;

    over_both_stores!(|plan| only(plan, &["SIGN_IN_ACCOUNT"]); are_counted_together, even_where_there_is_none);

    async fn are_counted_together(server: &TestServer) {
        let other = server.person(&[]);
        for (number, call) in SIGN_INS.iter().chain(ORIGINALS).enumerate() {
            let who = who(server, "sign-in", number).await;
            about_one_account(server, call, &[SIGN_INS, ORIGINALS], &who).await;
            // The right password, too.
            let right = from("192.0.2.1", server.signing_in(&who.email, PASSWORD)).await;
            Dialect::Native.tells_of_too_many(&right);
        }
        server.sign_in(&other).await;
    }

    async fn even_where_there_is_none(server: &TestServer) {
        let by_address = |call: &&Call| call.name != "by name";
        for (number, call) in SIGN_INS.iter().filter(by_address).enumerate() {
            let nobody = Who::nobody(&format!("nobody-{number}"));
            used_up(server, call, std::slice::from_ref(&nobody)).await;
            for other in SIGN_INS.iter().filter(by_address) {
                other.dialect.tells_of_too_many(&from("192.0.2.1", (other.ask)(server, &nobody)).await);
            }
        }
    }
}

mod everything_else_about_an_account {
    use super::*;

    over_both_stores!(|plan| only(plan, &["MAIL_ACCOUNT", "CODE_ACCOUNT"]);
        mails_are_counted_together, even_where_there_is_none, second_factors_are_counted_together);

    async fn mails_are_counted_together(server: &TestServer) {
        for (number, call) in MAILS.iter().chain(MAILS_TO_PEOPLE).enumerate() {
            about_one_account(server, call, &[MAILS, MAILS_TO_PEOPLE], &who(server, "mail", number).await).await;
        }
    }

    async fn even_where_there_is_none(server: &TestServer) {
        for (number, call) in MAILS.iter().enumerate() {
            let nobody = Who::nobody(&format!("nobody-{number}"));
            used_up(server, call, std::slice::from_ref(&nobody)).await;
            for other in MAILS {
                other.dialect.tells_of_too_many(&from("192.0.2.1", (other.ask)(server, &nobody)).await);
            }
        }
    }

    async fn second_factors_are_counted_together(server: &TestServer) {
        for (number, call) in FACTORS.iter().enumerate() {
            let who = who(server, "factor", number).await.with_a_factor(server).await;
            about_one_account(server, call, &[FACTORS, FACTORS_OFF], &who).await;
            // The right code, too.
            let body = json!({"email": who.email, "password": PASSWORD, "totp_code": totp::code(&who.key, 1)});
            Dialect::Native.tells_of_too_many(&from("192.0.2.1", server.post("/sessions").json(&body)).await);
        }
    }
}

/// Somebody whose address can be written in many ways.
async fn who(server: &TestServer, test: &str, number: usize) -> Who {
    Who::at(server, &format!("{test}-{number}@bücher.example"), &format!("{test}-{number}")).await
}

/// One call is asked, each time from another address and in another spelling, until the account's share is used up: then it is for all
/// calls, in all spellings.
async fn about_one_account(server: &TestServer, call: &Call, calls: &[&[Call]], who: &Who) {
    let spellings = who.spellings();
    used_up(server, call, &spellings).await;
    for other in calls.iter().copied().flatten() {
        for spelled in &spellings {
            other.dialect.tells_of_too_many(&from("192.0.2.1", (other.ask)(server, spelled)).await);
        }
    }
}

/// Asks until there is no more, which is soon: what had to be done before was counted too.
async fn used_up(server: &TestServer, call: &Call, spellings: &[Who]) {
    for number in 0..=BURST {
        let spelled = &spellings[number % spellings.len()];
        let answer = from(&format!("192.0.2.{}", 100 + number), (call.ask)(server, spelled)).await;
        if answer.status == 429 {
            assert!(number > 0, "{}: at once", call.name);
            return call.dialect.tells_of_too_many(&answer);
        }
        assert!(matches!(answer.status, 200..=202 | 400 | 401 | 409), "{}, {spelled:?}: {answer:?}", call.name);
    }
    panic!("{}: no end to it", call.name);
}
