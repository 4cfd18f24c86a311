//! The links of this API, and `POST /links/magic` and `POST /links/reset`, the earlier paths of its calls that take the
//! token of a link. Links without a device secret are tested in `v1` and `ucontact`, which mail them.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores, tamper_signature};
use crate::support::{outbox, totp};

over_both_stores!(|plan| plan;
    magic_link_with_its_device_secret_signs_in_once,
    wrong_token_or_device_secret_is_refused,
    missing_totp_code_does_not_use_up_the_link,
    magic_link_signs_up_a_new_address,
    reset_link_with_its_device_secret_works_once,
    missing_fields_are_rejected,
    mailed_links_are_short_and_bound,
);

/// Requests a link; returns the mailed token and the device secret.
async fn request_link(server: &TestServer, kind: &str, email: &str, before: usize) -> (String, String) {
    let body = server.post(&format!("/auth/login/{kind}/{email}")).send_checked().await.is(200).json();
    let claim = body["claim"].as_str().unwrap_or_else(|| panic!("no claim: {body}")).to_owned();
    (outbox::wait_for_mail(server, email, before).await.token(), claim)
}

async fn redeem(server: &TestServer, token: &str, claim: &str, code: Option<&str>) -> HttpResponse {
    server.post("/links/magic").json(&json!({"token": token, "claim": claim, "totp_code": code})).send_checked().await
}

async fn magic_link_with_its_device_secret_signs_in_once(server: &TestServer) {
    let user = server.create_user(&[]);
    let (token, claim) = request_link(server, "magic", &user.email, 0).await;
    let responses = join_all((0..8).map(|_| redeem(server, &token, &claim, None))).await;
    let successes: Vec<_> = responses.iter().filter(|response| response.status == 201).collect();
    assert_eq!(successes.len(), 1);
    for refused in responses.iter().filter(|response| response.status != 201) {
        refused.is_problem(400, "invalid_link");
    }
    assert_eq!(successes[0].header("cache-control"), "no-store");
    assert_eq!(successes[0].json()["user_id"], user.id);
    let tokens = successes[0].tokens();
    server.verify(&tokens.access).await.is(200);
    server.refresh(&tokens.refresh).await.is(200);
    assert_eq!(server.plan().json(&["users", "show", &user.email], "")["verified"], true);
}

async fn wrong_token_or_device_secret_is_refused(server: &TestServer) {
    let (one, other) = (server.create_user(&[]), server.create_user(&[]));
    let (token, claim) = request_link(server, "magic", &one.email, 0).await;
    let (_, other_claim) = request_link(server, "magic", &other.email, 0).await;
    let access = server.sign_in(&one).await.access;
    for bad in ["", "garbage", &access, &tamper_signature(&token)] {
        redeem(server, bad, &claim, None).await.is_problem(400, "invalid_link");
    }
    for bad in ["", "garbage", &other_claim] {
        redeem(server, &token, bad, None).await.is_problem(400, "invalid_link");
    }
    redeem(server, &token, &claim, None).await.is(201);
}

async fn missing_totp_code_does_not_use_up_the_link(server: &TestServer) {
    let user = server.create_user(&["--verified"]);
    let (key, _) = totp::enable_totp(server, &server.sign_in(&user).await.access, PASSWORD).await;
    // Enabling the second factor sends a mail of its own.
    outbox::wait_until_queue_is_empty(server).await;
    let before = outbox::mails(server, &user.email).len();
    let (token, claim) = request_link(server, "magic", &user.email, before).await;
    redeem(server, &token, &claim, None).await.is_problem(401, "mfa_required");
    redeem(server, &token, &claim, Some(&totp::wrong_code(&key))).await.is_problem(401, "invalid_mfa_code");
    redeem(server, &token, "garbage", Some(&totp::code(&key, 1))).await.is_problem(400, "invalid_link");
    redeem(server, &token, &claim, Some(&totp::code(&key, 1))).await.is(201);
    redeem(server, &token, &claim, None).await.is_problem(400, "invalid_link");
}

async fn magic_link_signs_up_a_new_address(server: &TestServer) {
    let (token, claim) = request_link(server, "magic", "newcomer@example.org", 0).await;
    let tokens = redeem(server, &token, &claim, None).await.is(201).json();
    let shown = server.plan().json(&["users", "show", "newcomer@example.org"], "");
    assert_eq!((&shown["id"], &shown["verified"]), (&tokens["user_id"], &true.into()));
}

async fn reset_link_with_its_device_secret_works_once(server: &TestServer) {
    let user = server.create_user(&[]);
    let tokens = server.sign_in(&user).await;
    let (token, claim) = request_link(server, "recover", &user.email, 0).await;
    let new = "another harbour at dawn";
    let reset = async |token: &str, claim: Value, new: &str| {
        server
            .post("/links/reset")
            .json(&json!({"token": token, "claim": claim, "new_password": new}))
            .send_checked()
            .await
    };
    reset(&token, json!(claim), "password").await.is_problem(400, "weak_password");
    // The mailed token alone is not enough.
    reset(&token, json!(null), new).await.is_problem(400, "invalid_link");
    reset(&token, json!("garbage"), new).await.is_problem(400, "invalid_link");
    reset(&tamper_signature(&token), json!(claim), new).await.is_problem(400, "invalid_link");
    assert_eq!(reset(&token, json!(claim), new).await.is(204).text, "");
    reset(&token, json!(claim), new).await.is_problem(400, "invalid_link");
    assert_eq!(server.rejection_reason(&tokens.access).await, "revoked");
    server.refresh(&tokens.refresh).await.is_oauth_error(400, "invalid_grant");
    server.try_sign_in(&user.email, PASSWORD).await.is_problem(401, "invalid_credentials");
    server.try_sign_in(&user.email, new).await.is(201);
}

/// The links that this API mails have a random token of 128 bits, which is good for one action of one user, once. The
/// stores have only its digest. Links of published APIs keep the signed token that their documents show.
async fn mailed_links_are_short_and_bound(server: &TestServer) {
    let user = server.create_user(&["--verified"]);
    let ask = async |path: &str, email: &str| {
        outbox::wait_until_queue_is_empty(server).await;
        let before = outbox::mails(server, email).len();
        let asked = server.post(path).json(&json!({"email": email})).send_checked().await.is(202).json();
        (outbox::wait_for_mail(server, email, before).await, asked["device_secret"].as_str().unwrap().to_owned())
    };
    let (magic, secret) = ask("/magic-links", &user.email).await;
    let (reset, reset_secret) = ask("/password-resets", &user.email).await;
    let is_random = |text: &str| {
        text.len() == 22 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    for mail in [&magic, &reset] {
        assert!(is_random(&mail.token()) && mail.link().len() < 80, "{}", mail.link());
    }

    // Bound to the action, to the device and to every character.
    let call = async |path: &str, token: &str, secret: &str| {
        let body = json!({"token": token, "device_secret": secret, "new_password": "another harbour at dawn"});
        server.post(path).json(&body).send_checked().await
    };
    let (token, unknown) = (magic.token(), "A".repeat(22));
    let other = if token.starts_with('A') { "B" } else { "A" };
    let changed = format!("{other}{}", &token[1..]);
    for (path, token, secret) in [
        ("/magic-links/redeem", reset.token(), &reset_secret),
        ("/magic-links/redeem", token.clone(), &reset_secret),
        ("/magic-links/redeem", changed, &secret),
        ("/magic-links/redeem", unknown.clone(), &secret),
        ("/password-resets/redeem", token.clone(), &secret),
        ("/password-resets/redeem", reset.token(), &secret),
        ("/password-resets/redeem", unknown.clone(), &secret),
        ("/email-confirmations/redeem", token.clone(), &secret),
        ("/email-confirmations/redeem", unknown, &secret),
    ] {
        call(path, &token, secret).await.is_problem(400, "invalid_link");
    }
    let stored = stored(server);
    assert!(stored.contains(&user.id), "the claims are in the store");
    for mail in [&magic, &reset] {
        assert!(!stored.contains(&mail.token()), "the token is in the store");
    }
    call("/magic-links/redeem", &token, &secret).await.is(201);
    call("/magic-links/redeem", &token, &secret).await.is_problem(400, "invalid_link");
    call("/password-resets/redeem", &reset.token(), &reset_secret).await.is(204);
    call("/password-resets/redeem", &reset.token(), &reset_secret).await.is_problem(400, "invalid_link");

    // Another dialect redeems it too, and mails a signed one.
    let (magic, secret) = ask("/magic-links", &user.email).await;
    let claim = server.post("/auth/login/claim").bearer_auth(magic.token()).json(&json!({"claim": secret}));
    claim.send_checked().await.is(200);
    let before = outbox::mails(server, &user.email).len();
    let (token, _) = request_link(server, "magic", &user.email, before).await;
    assert_eq!(token.split('.').count(), 3, "{token}");
}

/// The content of the store of sessions in files, or in hashes, as text.
fn stored(server: &TestServer) -> String {
    let Some(redis) = server.redis() else {
        let folder = std::fs::read_dir(server.signet.data_dir()).unwrap().map(|file| file.unwrap().path());
        let files = folder.filter(|path| path.is_file()).map(|path| std::fs::read(path).unwrap());
        return files.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
    };
    let keys = redis.cli(&["KEYS", "*"]);
    let values = keys.lines().map(|key| redis.cli(&["HGETALL", key]));
    format!("{keys}{}", values.collect::<String>())
}

async fn missing_fields_are_rejected(server: &TestServer) {
    for path in ["/links/magic", "/links/reset", "/links/confirm"] {
        server.post(path).json(&json!({})).send_checked().await.is_problem(400, "invalid_fields");
        server.post(path).body("{}").send_checked().await.is_problem(415, "unsupported_media_type");
        server.delete(path).send_checked().await.is_problem(405, "method_not_allowed");
    }
}
