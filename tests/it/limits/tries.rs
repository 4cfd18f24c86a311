//! How many wrong tries a code or a link bears, and a person in a day, whatever is tried and by whatever dialect. This holds with
//! `limits.enabled = false` too: it is no rate, but what makes six digits enough.

use super::*;
use crate::support::desk::over_both_stores;
use crate::support::outbox;
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

async fn mailed_code(desk: &TestServer, email: &str) -> String {
    let before = outbox::mails(desk, email).len();
    desk.post("/auth/verification/send-code").json(&json!({"email": email})).send_checked().await.is(202);
    outbox::next(desk, email, before).await.code()
}

async fn confirming_code(desk: &TestServer, who: &Who) -> String {
    let before = outbox::mails(desk, &who.email).len();
    desk.post("/auth/mail/verify/send").json(&json!({"user_id": who.id})).send_checked().await.is(200);
    outbox::next(desk, &who.email, before).await.code()
}

/// By `magic` or by `recover`.
async fn link(desk: &TestServer, what: &str, email: &str) -> Mailed {
    let before = outbox::mails(desk, email).len();
    let answer = desk.post(&format!("/auth/login/{what}/{email}")).send_checked().await;
    let claim = text(&answer.is(200).json(), "claim");
    Mailed { token: outbox::next(desk, email, before).await.token(), claim }
}

async fn by_code(desk: &TestServer, email: &str, code: &str) -> HttpResponse {
    desk.post("/auth/verification/verify-code").json(&json!({"email": email, "code": code})).send_checked().await
}

async fn confirm(desk: &TestServer, who: &Who, code: &str) -> HttpResponse {
    desk.post("/auth/mail/verify").json(&json!({"user_id": who.id, "code": code})).send_checked().await
}

async fn enter(desk: &TestServer, dialect: Dialect, link: &Mailed, claim: &str) -> HttpResponse {
    match dialect {
        Dialect::Myauth => desk.post("/auth/login/claim").bearer_auth(&link.token).json(&json!({"claim": claim})),
        _ => desk.post("/links/magic").json(&json!({"token": link.token, "claim": claim})),
    }
    .send_checked()
    .await
}

async fn reset(desk: &TestServer, dialect: Dialect, link: &Mailed, claim: &str) -> HttpResponse {
    let body = json!({"token": link.token, "claim": claim, "new_password": OTHER_PASSWORD});
    match dialect {
        Dialect::Myauth => desk.post("/auth/login/reset").bearer_auth(&link.token).json(&body),
        _ => desk.post("/links/reset").json(&body),
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

async fn a_mailed_code_is_gone_after_five(desk: &TestServer) {
    let who = Who::at(desk, "coded@bücher.example", "coded").await;
    let spellings = who.spellings();
    let refused =
        |answer: &HttpResponse| assert_eq!(answer.is(401).json()["error"]["code"], "invalid_code", "{answer:?}");
    for (wrong, good) in [(4, true), (5, false)] {
        let code = mailed_code(desk, &who.email).await;
        for number in 0..wrong {
            refused(&by_code(desk, &spellings[number % spellings.len()].email, not(&code)).await);
        }
        let answer = by_code(desk, &who.email, &code).await;
        if good {
            answer.is(200);
        } else {
            refused(&answer);
        }
    }
    // Another code is another five.
    let code = mailed_code(desk, &who.email).await;
    by_code(desk, &who.email, &code).await.is(200);
}

async fn a_confirming_code_is_gone_after_five(desk: &TestServer) {
    let who = Who::plain(desk).await;
    for (wrong, status) in [(4, 200), (5, 401)] {
        let code = confirming_code(desk, &who).await;
        for _ in 0..wrong {
            assert_eq!(confirm(desk, &who, not(&code)).await.is(401).json(), json!({"error_code": "156"}));
        }
        confirm(desk, &who, &code).await.is(status);
    }
}

async fn a_magic_link_is_gone_after_five_in_two_dialects(desk: &TestServer) {
    let who = Who::plain(desk).await;
    for (wrong, good) in [(4, true), (5, false)] {
        let link = link(desk, "magic", &who.email).await;
        let refuse = async |number: usize, claim: &str| {
            let (dialect, status) = [(Dialect::Myauth, 400), (Dialect::Native, 400)][number % 2];
            enter(desk, dialect, &link, claim).await.is(status);
        };
        for number in 0..wrong {
            refuse(number, &not_this(&link.claim)).await;
        }
        if good {
            enter(desk, Dialect::Myauth, &link, &link.claim).await.is(200);
        }
        refuse(0, &link.claim).await;
        refuse(1, &link.claim).await;
    }
}

async fn a_reset_is_gone_after_five_in_two_dialects(desk: &TestServer) {
    let who = Who::plain(desk).await;
    for (wrong, good) in [(4, true), (5, false)] {
        let link = link(desk, "recover", &who.email).await;
        let refuse = async |number: usize, claim: &str| {
            reset(desk, [Dialect::Native, Dialect::Myauth][number % 2], &link, claim).await.is(400);
        };
        for number in 0..wrong {
            refuse(number, &not_this(&link.claim)).await;
        }
        if good {
            let before = outbox::mails(desk, &who.email).len();
            reset(desk, Dialect::Native, &link, &link.claim).await.is(204);
            // The owner is told, which is not to be taken for the next link.
            outbox::next(desk, &who.email, before).await;
        }
        refuse(0, &link.claim).await;
        refuse(1, &link.claim).await;
    }
}

async fn right_ones_are_not_counted(desk: &TestServer) {
    let who = Who::plain(desk).await;
    for _ in 0..=DAY {
        let code = mailed_code(desk, &who.email).await;
        by_code(desk, &who.email, &code).await.is(200);
        let code = confirming_code(desk, &who).await;
        confirm(desk, &who, &code).await.is(200);
        let link = link(desk, "magic", &who.email).await;
        enter(desk, Dialect::Native, &link, &link.claim).await.is(201);
    }
    let backup = backup_codes(desk, &who).await;
    for code in &backup[..=DAY] {
        // A second factor that is due uses nothing up, and is no try.
        let mailed = mailed_code(desk, &who.email).await;
        assert_eq!(by_code(desk, &who.email, &mailed).await.is(401).json()["error"]["code"], "totp_required");
        let body = json!({"email": who.email, "code": mailed, "totp_code": code});
        desk.post("/auth/verification/verify-code").json(&body).send_checked().await.is(200);
    }
    // All the wrong ones of the day but one are left, and the last code is still good after them.
    let code = mailed_code(desk, &who.email).await;
    for _ in 1..DAY {
        by_code(desk, &who.email, not(&code)).await.is(401);
    }
    let body = json!({"email": who.email, "code": code, "totp_code": backup[DAY + 1]});
    desk.post("/auth/verification/verify-code").json(&body).send_checked().await.is(200);
}

async fn backup_codes(desk: &TestServer, who: &Who) -> Vec<String> {
    let before = outbox::mails(desk, &who.email).len();
    let made = desk.post("/auth/create/otp").bearer_auth(&who.access).send_checked().await.is(200).json();
    // The owner is told, which is not to be taken for the next code.
    outbox::next(desk, &who.email, before).await;
    let codes = made["backup_codes"].as_array().expect("a list").iter();
    codes.map(|code| code.as_str().expect("a code is text").to_owned()).collect()
}

/// Mailed codes of both kinds: anybody can try who knows the address, and keeps nobody from anything else.
async fn wrong_mailed_codes_are_counted_together_and_apart(desk: &TestServer) {
    let who = Who::at(desk, "counted@bücher.example", "counted").await;
    let other = Who::plain(desk).await;
    let code = mailed_code(desk, &who.email).await;
    let confirming = confirming_code(desk, &who).await;
    let (magic, recovery) = (link(desk, "magic", &who.email).await, link(desk, "recover", &who.email).await);
    let spellings = who.spellings();
    for number in 0..DAY {
        if number % 2 == 0 {
            by_code(desk, &spellings[number % spellings.len()].email, not(&code)).await.is(401);
        } else {
            confirm(desk, &who, not(&confirming)).await.is(401);
        }
    }
    for Who { email, .. } in &spellings {
        Dialect::Unturned.tells_of_too_many(&by_code(desk, email, &code).await);
    }
    Dialect::Codes.tells_of_too_many(&confirm(desk, &who, &confirming).await);
    enter(desk, Dialect::Native, &magic, &magic.claim).await.is(201);
    reset(desk, Dialect::Native, &recovery, &recovery.claim).await.is(204);
    // Nobody else is concerned.
    let code = mailed_code(desk, &other.email).await;
    by_code(desk, &other.email, &code).await.is(200);
}

async fn wrong_second_factors_are_counted_together_and_apart(desk: &TestServer) {
    let who = Who::at(desk, "guarded@bücher.example", "guarded").await;
    let code = mailed_code(desk, &who.email).await;
    let (magic, recovery) = (link(desk, "magic", &who.email).await, link(desk, "recover", &who.email).await);
    let spellings = who.spellings();
    let made = desk.post("/auth/create/otp").bearer_auth(&who.access).send_checked().await.is(200).json();
    let (key, backup) = (text(&made, "otp_key"), made["backup_codes"][0].as_str().expect("a code is text"));
    let first = desk.form("/auth/login/oauth", &[("username", &who.email), ("password", PASSWORD)]).await;
    let who = Who { key, step: text(&first.is(200).json(), "access_token"), ..who };

    // One in each dialect.
    let wrong = who.wrong_code();
    let body = json!({"email": who.email, "password": PASSWORD, "totp_code": wrong, "otp_code": wrong});
    desk.post("/sessions").json(&body).send_checked().await.is(401);
    desk.post("/auth/signin/otp").json(&body).send_checked().await.is(401);
    desk.post("/api/v1/login").json(&body).send_checked().await.is(401);
    let form = [("username", who.email.as_str()), ("password", PASSWORD), ("totp_code", wrong.as_str())];
    desk.form("/api/auth/login", &form).await.is(401);
    desk.post("/auth/login/totp").bearer_auth(&who.step).json(&json!({"claim": wrong})).send_checked().await.is(400);

    // The right ones, in every dialect and spelling.
    let ctx = totp::code(&who.key, 0);
    for Who { email, .. } in &spellings {
        for second in [ctx.as_str(), backup] {
            let body = json!({"email": email, "password": PASSWORD, "totp_code": second, "otp_code": second});
            let form = [("username", email.as_str()), ("password", PASSWORD), ("totp_code", second)];
            Dialect::Native.tells_of_too_many(&desk.post("/sessions").json(&body).send_checked().await);
            Dialect::Codes.tells_of_too_many(&desk.post("/auth/signin/otp").json(&body).send_checked().await);
            Dialect::V1.tells_of_too_many(&desk.post("/api/v1/login").json(&body).send_checked().await);
            Dialect::Ucontact.tells_of_too_many(&desk.form("/api/auth/login", &form).await);
            let body = json!({"email": email, "code": code, "totp_code": second});
            let answer = desk.post("/auth/verification/verify-code").json(&body).send_checked().await;
            Dialect::Unturned.tells_of_too_many(&answer);
        }
    }
    for second in [ctx.as_str(), backup] {
        let step =
            desk.post("/auth/login/totp").bearer_auth(&who.step).json(&json!({"claim": second})).send_checked().await;
        Dialect::Myauth.tells_of_too_many(&step);
        let body = json!({"token": magic.token, "claim": magic.claim, "totp_code": second});
        Dialect::Native.tells_of_too_many(&desk.post("/links/magic").json(&body).send_checked().await);
    }
    // What is no second factor is no concern of this.
    reset(desk, Dialect::Native, &recovery, &recovery.claim).await.is(204);
}
