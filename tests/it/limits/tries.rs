//! How many wrong tries a code or a link bears, and a person in a day, whatever is tried and by whatever dialect. This holds with
//! `limits.enabled = false` too: it is no rate, but what makes six digits enough.

use super::*;
use crate::support::outbox;
use crate::support::server::over_both_stores;
use crate::support::signet::Plan;

const OTHER_PASSWORD: &str = "another harbour at dawn";

/// What the day bears, at the least that can be set.
const DAY: usize = 5;

mod of_one {
    use super::*;

    over_both_stores!(|plan| plan.set("SIGNET_LIMITS__ENABLED", "false");
        a_mailed_code_is_gone_after_five, a_confirming_code_is_gone_after_five,
        a_magic_link_is_gone_after_five_in_two_dialects, a_reset_is_gone_after_five_in_two_dialects);
}

mod of_a_day {
    use super::*;

    fn plan(plan: Plan) -> Plan {
        plan.set("SIGNET_LIMITS__ENABLED", "false")
            .set("SIGNET_MAILED__DAILY_TRIES", &DAY.to_string())
            .set("SIGNET_API__CODES__BACKUP_CODES", "10")
    }

    over_both_stores!(plan; right_ones_are_not_counted, wrong_mailed_codes_are_counted_together_and_apart,
        wrong_second_factors_are_counted_together_and_apart);
}

/// What somebody was mailed, and what the device was given that asked for it.
struct Mailed {
    token: String,
    claim: String,
}

async fn mailed_code(server: &TestServer, email: &str) -> String {
    let before = outbox::mails(server, email).len();
    server.post("/auth/verification/send-code").json(&json!({"email": email})).send_checked().await.is(202);
    outbox::next(server, email, before).await.code()
}

async fn confirming_code(server: &TestServer, who: &Who) -> String {
    let before = outbox::mails(server, &who.email).len();
    server.post("/auth/mail/verify/send").json(&json!({"user_id": who.id})).send_checked().await.is(200);
    outbox::next(server, &who.email, before).await.code()
}

/// By `magic` or by `recover`.
async fn link(server: &TestServer, what: &str, email: &str) -> Mailed {
    let before = outbox::mails(server, email).len();
    let answer = server.post(&format!("/auth/login/{what}/{email}")).send_checked().await;
    let claim = text(&answer.is(200).json(), "claim");
    Mailed { token: outbox::next(server, email, before).await.token(), claim }
}

async fn by_code(server: &TestServer, email: &str, code: &str) -> HttpResponse {
    server.post("/auth/verification/verify-code").json(&json!({"email": email, "code": code})).send_checked().await
}

async fn confirm(server: &TestServer, who: &Who, code: &str) -> HttpResponse {
    server.post("/auth/mail/verify").json(&json!({"user_id": who.id, "code": code})).send_checked().await
}

async fn enter(server: &TestServer, dialect: Dialect, link: &Mailed, claim: &str) -> HttpResponse {
    match dialect {
        Dialect::Myauth => server.post("/auth/login/claim").bearer_auth(&link.token).json(&json!({"claim": claim})),
        _ => server.post("/links/magic").json(&json!({"token": link.token, "claim": claim})),
    }
    .send_checked()
    .await
}

async fn reset(server: &TestServer, dialect: Dialect, link: &Mailed, claim: &str) -> HttpResponse {
    let body = json!({"token": link.token, "claim": claim, "new_password": OTHER_PASSWORD});
    match dialect {
        Dialect::Myauth => server.post("/auth/login/reset").bearer_auth(&link.token).json(&body),
        _ => server.post("/links/reset").json(&body),
    }
    .send_checked()
    .await
}

/// A code that is not this one.
fn not(code: &str) -> &'static str {
    if code == "314159" { "271828" } else { "314159" }
}

/// A half that is not this one, and looks like one.
fn not_this(claim: &str) -> String {
    claim.chars().rev().collect()
}

async fn a_mailed_code_is_gone_after_five(server: &TestServer) {
    let who = Who::at(server, "coded@bücher.example", "coded").await;
    let spellings = who.spellings();
    let refused =
        |answer: &HttpResponse| assert_eq!(answer.is(401).json()["error"]["code"], "invalid_code", "{answer:?}");
    for (wrong, good) in [(4, true), (5, false)] {
        let code = mailed_code(server, &who.email).await;
        for number in 0..wrong {
            refused(&by_code(server, &spellings[number % spellings.len()].email, not(&code)).await);
        }
        let answer = by_code(server, &who.email, &code).await;
        if good {
            answer.is(200);
        } else {
            refused(&answer);
        }
    }
    // Another code is another five.
    let code = mailed_code(server, &who.email).await;
    by_code(server, &who.email, &code).await.is(200);
}

async fn a_confirming_code_is_gone_after_five(server: &TestServer) {
    let who = Who::plain(server).await;
    for (wrong, status) in [(4, 200), (5, 401)] {
        let code = confirming_code(server, &who).await;
        for _ in 0..wrong {
            assert_eq!(confirm(server, &who, not(&code)).await.is(401).json(), json!({"error_code": "156"}));
        }
        confirm(server, &who, &code).await.is(status);
    }
}

async fn a_magic_link_is_gone_after_five_in_two_dialects(server: &TestServer) {
    let who = Who::plain(server).await;
    for (wrong, good) in [(4, true), (5, false)] {
        let link = link(server, "magic", &who.email).await;
        let refuse = async |number: usize, claim: &str| {
            let (dialect, status) = [(Dialect::Myauth, 400), (Dialect::Native, 400)][number % 2];
            enter(server, dialect, &link, claim).await.is(status);
        };
        for number in 0..wrong {
            refuse(number, &not_this(&link.claim)).await;
        }
        if good {
            enter(server, Dialect::Myauth, &link, &link.claim).await.is(200);
        }
        refuse(0, &link.claim).await;
        refuse(1, &link.claim).await;
    }
}

async fn a_reset_is_gone_after_five_in_two_dialects(server: &TestServer) {
    let who = Who::plain(server).await;
    for (wrong, good) in [(4, true), (5, false)] {
        let link = link(server, "recover", &who.email).await;
        let refuse = async |number: usize, claim: &str| {
            reset(server, [Dialect::Native, Dialect::Myauth][number % 2], &link, claim).await.is(400);
        };
        for number in 0..wrong {
            refuse(number, &not_this(&link.claim)).await;
        }
        if good {
            let before = outbox::mails(server, &who.email).len();
            reset(server, Dialect::Native, &link, &link.claim).await.is(204);
            // The owner is told, which is not to be taken for the next link.
            outbox::next(server, &who.email, before).await;
        }
        refuse(0, &link.claim).await;
        refuse(1, &link.claim).await;
    }
}

async fn right_ones_are_not_counted(server: &TestServer) {
    let who = Who::plain(server).await;
    for _ in 0..=DAY {
        let code = mailed_code(server, &who.email).await;
        by_code(server, &who.email, &code).await.is(200);
        let code = confirming_code(server, &who).await;
        confirm(server, &who, &code).await.is(200);
        let link = link(server, "magic", &who.email).await;
        enter(server, Dialect::Native, &link, &link.claim).await.is(201);
    }
    let backup = backup_codes(server, &who).await;
    for code in &backup[..=DAY] {
        // A second factor that is due uses nothing up, and is no try.
        let mailed = mailed_code(server, &who.email).await;
        assert_eq!(by_code(server, &who.email, &mailed).await.is(401).json()["error"]["code"], "totp_required");
        let body = json!({"email": who.email, "code": mailed, "totp_code": code});
        server.post("/auth/verification/verify-code").json(&body).send_checked().await.is(200);
    }
    // All the wrong ones of the day but one are left, and the last code is still good after them.
    let code = mailed_code(server, &who.email).await;
    for _ in 1..DAY {
        by_code(server, &who.email, not(&code)).await.is(401);
    }
    let body = json!({"email": who.email, "code": code, "totp_code": backup[DAY + 1]});
    server.post("/auth/verification/verify-code").json(&body).send_checked().await.is(200);
}

async fn backup_codes(server: &TestServer, who: &Who) -> Vec<String> {
    let before = outbox::mails(server, &who.email).len();
    let made = server.post("/auth/create/otp").bearer_auth(&who.access).send_checked().await.is(200).json();
    // The owner is told, which is not to be taken for the next code.
    outbox::next(server, &who.email, before).await;
    let codes = made["backup_codes"].as_array().expect("a list").iter();
    codes.map(|code| code.as_str().expect("a code is text").to_owned()).collect()
}

/// Mailed codes of both kinds: anybody can try who knows the address, and keeps nobody from anything else.
async fn wrong_mailed_codes_are_counted_together_and_apart(server: &TestServer) {
    let who = Who::at(server, "counted@bücher.example", "counted").await;
    let other = Who::plain(server).await;
    let code = mailed_code(server, &who.email).await;
    let confirming = confirming_code(server, &who).await;
    let (magic, recovery) = (link(server, "magic", &who.email).await, link(server, "recover", &who.email).await);
    let spellings = who.spellings();
    for number in 0..DAY {
        if number % 2 == 0 {
            by_code(server, &spellings[number % spellings.len()].email, not(&code)).await.is(401);
        } else {
            confirm(server, &who, not(&confirming)).await.is(401);
        }
    }
    for Who { email, .. } in &spellings {
        Dialect::Unturned.tells_of_too_many(&by_code(server, email, &code).await);
    }
    Dialect::Codes.tells_of_too_many(&confirm(server, &who, &confirming).await);
    enter(server, Dialect::Native, &magic, &magic.claim).await.is(201);
    reset(server, Dialect::Native, &recovery, &recovery.claim).await.is(204);
    // Nobody else is concerned.
    let code = mailed_code(server, &other.email).await;
    by_code(server, &other.email, &code).await.is(200);
}

async fn wrong_second_factors_are_counted_together_and_apart(server: &TestServer) {
    let who = Who::at(server, "guarded@bücher.example", "guarded").await;
    let code = mailed_code(server, &who.email).await;
    let (magic, recovery) = (link(server, "magic", &who.email).await, link(server, "recover", &who.email).await);
    let spellings = who.spellings();
    let made = server.post("/auth/create/otp").bearer_auth(&who.access).send_checked().await.is(200).json();
    let (key, backup) = (text(&made, "otp_key"), made["backup_codes"][0].as_str().expect("a code is text"));
    let first = server.form("/auth/login/oauth", &[("username", &who.email), ("password", PASSWORD)]).await;
    let who = Who { key, step: text(&first.is(200).json(), "access_token"), ..who };

    // One in each dialect.
    let wrong = who.wrong_code();
    let body = json!({"email": who.email, "password": PASSWORD, "totp_code": wrong, "otp_code": wrong});
    server.post("/sessions").json(&body).send_checked().await.is(401);
    server.post("/auth/signin/otp").json(&body).send_checked().await.is(401);
    server.post("/api/v1/login").json(&body).send_checked().await.is(401);
    let form = [("username", who.email.as_str()), ("password", PASSWORD), ("totp_code", wrong.as_str())];
    server.form("/api/auth/login", &form).await.is(401);
    server.post("/auth/login/totp").bearer_auth(&who.step).json(&json!({"claim": wrong})).send_checked().await.is(400);

    // The right ones, in every dialect and spelling.
    let ctx = totp::code(&who.key, 0);
    for Who { email, .. } in &spellings {
        for second in [ctx.as_str(), backup] {
            let body = json!({"email": email, "password": PASSWORD, "totp_code": second, "otp_code": second});
            let form = [("username", email.as_str()), ("password", PASSWORD), ("totp_code", second)];
            Dialect::Native.tells_of_too_many(&server.post("/sessions").json(&body).send_checked().await);
            Dialect::Codes.tells_of_too_many(&server.post("/auth/signin/otp").json(&body).send_checked().await);
            Dialect::V1.tells_of_too_many(&server.post("/api/v1/login").json(&body).send_checked().await);
            Dialect::Ucontact.tells_of_too_many(&server.form("/api/auth/login", &form).await);
            let body = json!({"email": email, "code": code, "totp_code": second});
            let answer = server.post("/auth/verification/verify-code").json(&body).send_checked().await;
            Dialect::Unturned.tells_of_too_many(&answer);
        }
    }
    for second in [ctx.as_str(), backup] {
        let step =
            server.post("/auth/login/totp").bearer_auth(&who.step).json(&json!({"claim": second})).send_checked().await;
        Dialect::Myauth.tells_of_too_many(&step);
        let body = json!({"token": magic.token, "claim": magic.claim, "totp_code": second});
        Dialect::Native.tells_of_too_many(&server.post("/links/magic").json(&body).send_checked().await);
    }
    // What is no second factor is no concern of this.
    reset(server, Dialect::Native, &recovery, &recovery.claim).await.is(204);
}
