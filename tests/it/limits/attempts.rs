//! Wrong attempts per code or link, and per user and day, counted over all dialects. They are limited even with
//! `limits.enabled = false`: six digits are enough only because of these limits.

use super::*;
use crate::support::outbox;
use crate::support::server::over_both_stores;
use crate::support::signet::Plan;

/// A client in a network from which nobody has signed in.
const STRANGER: &str = "192.0.2.77";

const OTHER_PASSWORD: &str = "another harbour at dawn";

/// The lowest possible setting of wrong attempts per day.
const DAILY_ATTEMPTS: usize = 5;

mod per_code {
    use super::*;

    over_both_stores!(|plan| plan.set("SIGNET_LIMITS__ENABLED", "false");
        sign_in_code_is_void_after_five_attempts, verification_code_is_void_after_five_attempts,
        magic_link_is_void_after_five_attempts, reset_link_is_void_after_five_attempts);
}

mod per_day {
    use super::*;

    fn plan(plan: Plan) -> Plan {
        plan.set("SIGNET_LIMITS__ENABLED", "false")
            .set("SIGNET_MAILED__DAILY_TRIES", &DAILY_ATTEMPTS.to_string())
            .set("SIGNET_API__CODES__BACKUP_CODES", "10")
            .set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1")
            // The test waits for mails with codes.
            .set("SIGNET_MAIL__NEW_SIGN_IN_NOTICE", "false")
    }

    over_both_stores!(plan;
        right_codes_are_not_counted, wrong_mailed_codes_share_a_counter, wrong_totp_codes_share_a_counter);
}

/// The token of a mailed link, and the device secret that the requesting device got.
struct Link {
    token: String,
    claim: String,
}

async fn request_sign_in_code(server: &TestServer, email: &str) -> String {
    let before = outbox::mails(server, email).len();
    server.post("/auth/verification/send-code").json(&json!({"email": email})).send_checked().await.is(202);
    outbox::wait_for_mail(server, email, before).await.code()
}

async fn request_verification_code(server: &TestServer, target: &Target) -> String {
    let before = outbox::mails(server, &target.email).len();
    server.post("/auth/mail/verify/send").json(&json!({"user_id": target.id})).send_checked().await.is(200);
    outbox::wait_for_mail(server, &target.email, before).await.code()
}

/// Requests a link; `kind` is `magic` or `recover`.
async fn request_link(server: &TestServer, kind: &str, email: &str) -> Link {
    let before = outbox::mails(server, email).len();
    let response = server.post(&format!("/auth/login/{kind}/{email}")).send_checked().await;
    let claim = text(&response.is(200).json(), "claim");
    Link { token: outbox::wait_for_mail(server, email, before).await.token(), claim }
}

async fn redeem_code(server: &TestServer, email: &str, code: &str) -> HttpResponse {
    let body = json!({"email": email, "code": code});
    send_from(STRANGER, server.post("/auth/verification/verify-code").json(&body)).await
}

async fn verify_address(server: &TestServer, target: &Target, code: &str) -> HttpResponse {
    let body = json!({"user_id": target.id, "code": code});
    send_from(STRANGER, server.post("/auth/mail/verify").json(&body)).await
}

async fn redeem_link(server: &TestServer, dialect: Dialect, link: &Link, claim: &str) -> HttpResponse {
    let request = match dialect {
        Dialect::Myauth => server.post("/auth/login/claim").bearer_auth(&link.token).json(&json!({"claim": claim})),
        _ => server.post("/links/magic").json(&json!({"token": link.token, "claim": claim})),
    };
    send_from(STRANGER, request).await
}

async fn reset(server: &TestServer, dialect: Dialect, link: &Link, claim: &str) -> HttpResponse {
    let body = json!({"token": link.token, "claim": claim, "new_password": OTHER_PASSWORD});
    let request = match dialect {
        Dialect::Myauth => server.post("/auth/login/reset").bearer_auth(&link.token).json(&body),
        _ => server.post("/links/reset").json(&body),
    };
    send_from(STRANGER, request).await
}

/// A different code.
pub(super) fn wrong_code(code: &str) -> &'static str {
    if code == "314159" { "271828" } else { "314159" }
}

/// A well-formed but wrong device secret.
fn wrong_claim(claim: &str) -> String {
    claim.chars().rev().collect()
}

async fn sign_in_code_is_void_after_five_attempts(server: &TestServer) {
    let target = Target::with_login(server, "coded@bücher.example", "coded").await;
    let spellings = target.spellings();
    let assert_refused =
        |response: &HttpResponse| assert_eq!(response.is(401).json()["error"]["code"], "invalid_code", "{response:?}");
    for (wrong, good) in [(4, true), (5, false)] {
        let code = request_sign_in_code(server, &target.email).await;
        for number in 0..wrong {
            assert_refused(&redeem_code(server, &spellings[number % spellings.len()].email, wrong_code(&code)).await);
        }
        let response = redeem_code(server, &target.email, &code).await;
        if good {
            response.is(200);
        } else {
            assert_refused(&response);
        }
    }
    // A new code has five new attempts.
    let code = request_sign_in_code(server, &target.email).await;
    redeem_code(server, &target.email, &code).await.is(200);
}

async fn verification_code_is_void_after_five_attempts(server: &TestServer) {
    let target = Target::plain(server).await;
    for (wrong, status) in [(4, 200), (5, 401)] {
        let code = request_verification_code(server, &target).await;
        for _ in 0..wrong {
            assert_eq!(
                verify_address(server, &target, wrong_code(&code)).await.is(401).json(),
                json!({"error_code": "156"})
            );
        }
        verify_address(server, &target, &code).await.is(status);
    }
}

async fn magic_link_is_void_after_five_attempts(server: &TestServer) {
    let target = Target::plain(server).await;
    for (wrong, good) in [(4, true), (5, false)] {
        let link = request_link(server, "magic", &target.email).await;
        let assert_refused = async |number: usize, claim: &str| {
            let (dialect, status) = [(Dialect::Myauth, 400), (Dialect::Native, 400)][number % 2];
            redeem_link(server, dialect, &link, claim).await.is(status);
        };
        for number in 0..wrong {
            assert_refused(number, &wrong_claim(&link.claim)).await;
        }
        if good {
            redeem_link(server, Dialect::Myauth, &link, &link.claim).await.is(200);
        }
        assert_refused(0, &link.claim).await;
        assert_refused(1, &link.claim).await;
    }
}

async fn reset_link_is_void_after_five_attempts(server: &TestServer) {
    let target = Target::plain(server).await;
    for (wrong, good) in [(4, true), (5, false)] {
        let link = request_link(server, "recover", &target.email).await;
        let assert_refused = async |number: usize, claim: &str| {
            reset(server, [Dialect::Native, Dialect::Myauth][number % 2], &link, claim).await.is(400);
        };
        for number in 0..wrong {
            assert_refused(number, &wrong_claim(&link.claim)).await;
        }
        if good {
            let before = outbox::mails(server, &target.email).len();
            reset(server, Dialect::Native, &link, &link.claim).await.is(204);
            // The owner is notified by mail; wait for it, so that it is not taken for the next link.
            outbox::wait_for_mail(server, &target.email, before).await;
        }
        assert_refused(0, &link.claim).await;
        assert_refused(1, &link.claim).await;
    }
}

async fn right_codes_are_not_counted(server: &TestServer) {
    let target = Target::plain(server).await;
    for _ in 0..=DAILY_ATTEMPTS {
        let code = request_sign_in_code(server, &target.email).await;
        redeem_code(server, &target.email, &code).await.is(200);
        let code = request_verification_code(server, &target).await;
        verify_address(server, &target, &code).await.is(200);
        let link = request_link(server, "magic", &target.email).await;
        redeem_link(server, Dialect::Native, &link, &link.claim).await.is(201);
    }
    let backup = enable_totp_and_get_backup_codes(server, &target).await;
    for code in &backup[..=DAILY_ATTEMPTS] {
        // A missing second factor does not use the code up and is not counted.
        let mailed = request_sign_in_code(server, &target.email).await;
        assert_eq!(redeem_code(server, &target.email, &mailed).await.is(401).json()["error"]["code"], "totp_required");
        let body = json!({"email": target.email, "code": mailed, "totp_code": code});
        server.post("/auth/verification/verify-code").json(&body).send_checked().await.is(200);
    }
    // No wrong attempt was counted: all of the day but one can be made, and the code still works afterwards.
    let code = request_sign_in_code(server, &target.email).await;
    for _ in 1..DAILY_ATTEMPTS {
        redeem_code(server, &target.email, wrong_code(&code)).await.is(401);
    }
    let body = json!({"email": target.email, "code": code, "totp_code": backup[DAILY_ATTEMPTS + 1]});
    server.post("/auth/verification/verify-code").json(&body).send_checked().await.is(200);
}

async fn enable_totp_and_get_backup_codes(server: &TestServer, target: &Target) -> Vec<String> {
    let before = outbox::mails(server, &target.email).len();
    let created = server.post("/auth/create/otp").bearer_auth(&target.access).send_checked().await.is(200).json();
    // The owner is notified by mail; wait for it, so that it is not taken for the next code.
    outbox::wait_for_mail(server, &target.email, before).await;
    let codes = created["backup_codes"].as_array().expect("a list").iter();
    codes.map(|code| code.as_str().expect("a code is text").to_owned()).collect()
}

/// Both kinds of mailed codes. Anyone who knows the address can exhaust the counter, so it must block nothing else.
async fn wrong_mailed_codes_share_a_counter(server: &TestServer) {
    let target = Target::with_login(server, "counted@bücher.example", "counted").await;
    let other = Target::plain(server).await;
    let code = request_sign_in_code(server, &target.email).await;
    let verification_code = request_verification_code(server, &target).await;
    let (magic, recovery) =
        (request_link(server, "magic", &target.email).await, request_link(server, "recover", &target.email).await);
    let spellings = target.spellings();
    for number in 0..DAILY_ATTEMPTS {
        if number % 2 == 0 {
            redeem_code(server, &spellings[number % spellings.len()].email, wrong_code(&code)).await.is(401);
        } else {
            verify_address(server, &target, wrong_code(&verification_code)).await.is(401);
        }
    }
    for Target { email, .. } in &spellings {
        Dialect::Unturned.assert_rate_limited(&redeem_code(server, email, &code).await);
    }
    Dialect::Codes.assert_rate_limited(&verify_address(server, &target, &verification_code).await);
    redeem_link(server, Dialect::Native, &magic, &magic.claim).await.is(201);
    reset(server, Dialect::Native, &recovery, &recovery.claim).await.is(204);
    // Other users are not affected.
    let code = request_sign_in_code(server, &other.email).await;
    redeem_code(server, &other.email, &code).await.is(200);
}

async fn wrong_totp_codes_share_a_counter(server: &TestServer) {
    let target = Target::with_login(server, "guarded@bücher.example", "guarded").await;
    let code = request_sign_in_code(server, &target.email).await;
    let (magic, recovery) =
        (request_link(server, "magic", &target.email).await, request_link(server, "recover", &target.email).await);
    let spellings = target.spellings();
    let created = server.post("/auth/create/otp").bearer_auth(&target.access).send_checked().await.is(200).json();
    let (key, backup) = (text(&created, "otp_key"), created["backup_codes"][0].as_str().expect("a code is text"));
    let first = server.form("/auth/login/oauth", &[("username", &target.email), ("password", PASSWORD)]).await;
    let target = Target { key, mfa_token: text(&first.is(200).json(), "access_token"), ..target };

    // One wrong code in each dialect.
    let wrong = target.wrong_code();
    let body = json!({"email": target.email, "password": PASSWORD, "totp_code": wrong, "otp_code": wrong});
    server.post("/sessions").json(&body).send_checked().await.is(401);
    server.post("/auth/signin/otp").json(&body).send_checked().await.is(401);
    server.post("/api/v1/login").json(&body).send_checked().await.is(401);
    let form = [("username", target.email.as_str()), ("password", PASSWORD), ("totp_code", wrong.as_str())];
    server.form("/api/auth/login", &form).await.is(401);
    server
        .post("/auth/login/totp")
        .bearer_auth(&target.mfa_token)
        .json(&json!({"claim": wrong}))
        .send_checked()
        .await
        .is(400);

    // The right codes are refused in every dialect and spelling.
    let totp_code = totp::code(&target.key, 0);
    for Target { email, .. } in &spellings {
        for second in [totp_code.as_str(), backup] {
            let body = json!({"email": email, "password": PASSWORD, "totp_code": second, "otp_code": second});
            let form = [("username", email.as_str()), ("password", PASSWORD), ("totp_code", second)];
            Dialect::Native.assert_rate_limited(&send_from(STRANGER, server.post("/sessions").json(&body)).await);
            Dialect::Codes.assert_rate_limited(&send_from(STRANGER, server.post("/auth/signin/otp").json(&body)).await);
            Dialect::V1.assert_rate_limited(&send_from(STRANGER, server.post("/api/v1/login").json(&body)).await);
            Dialect::Ucontact
                .assert_rate_limited(&send_from(STRANGER, server.post("/api/auth/login").form(&form)).await);
            let body = json!({"email": email, "code": code, "totp_code": second});
            let redeem = server.post("/auth/verification/verify-code").json(&body);
            Dialect::Unturned.assert_rate_limited(&send_from(STRANGER, redeem).await);
        }
    }
    for second in [totp_code.as_str(), backup] {
        let request = server.post("/auth/login/totp").bearer_auth(&target.mfa_token).json(&json!({"claim": second}));
        Dialect::Myauth.assert_rate_limited(&send_from(STRANGER, request).await);
        let body = json!({"token": magic.token, "claim": magic.claim, "totp_code": second});
        Dialect::Native.assert_rate_limited(&send_from(STRANGER, server.post("/links/magic").json(&body)).await);
    }
    // A password reset needs no second factor and is not affected.
    reset(server, Dialect::Native, &recovery, &recovery.claim).await.is(204);
}
