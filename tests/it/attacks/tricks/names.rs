//! Identities: several spellings of one, lookalikes of another, and names that try to inject mail headers.

use std::collections::BTreeSet;

use super::*;
use crate::support::server::over_both_stores;
use crate::support::signet::{CLIENT_LIMITS, NEVER_REACHED, Plan};
use crate::support::smtp;

fn plan(plan: Plan) -> Plan {
    plan.limits(&["SIGN_IN_ACCOUNT"], "6 per 1h")
        .limits(&["MAIL_ACCOUNT", "MAIL_TOTAL"], NEVER_REACHED)
        .limits(&CLIENT_LIMITS, NEVER_REACHED)
}

over_both_stores!(plan; only_spellings_of_one_name_share_a_counter, lookalike_addresses_do_not_open_the_account,
    lookalike_usernames_are_refused_or_separate, mail_to_the_old_address_is_void_after_a_change);

/// Tries to sign in with a wrong password.
async fn try_wrong_password(server: &TestServer, name: &str) -> u16 {
    let field = if name.contains('@') { "email" } else { "username" };
    server.post("/sessions").json(&json!({field: name, "password": "no"})).send_checked().await.status
}

async fn only_spellings_of_one_name_share_a_counter(server: &TestServer) {
    let decomposed =
        ["jose\u{301}.d@example.org", "JOSÉ.D@EXAMPLE.ORG", " josé.d@example.org\t", "José.d@ｅxample。org"];
    let named = ["Ángel Nuñez", "ángel nuñez", "A\u{301}NGEL NUN\u{303}EZ", "  Ángel Nuñez ", "Ａ\u{301}ngel Nuñez"];
    for spellings in [&decomposed[..], &named[..]] {
        for number in 0..6 {
            assert_eq!(try_wrong_password(server, spellings[number % spellings.len()]).await, 401, "{number}");
        }
        for spelling in spellings {
            assert_eq!(try_wrong_password(server, spelling).await, 429, "{spelling:?}");
        }
    }
    // Dots and plus tags have a meaning only for the mail provider: these are addresses of other users.
    let neighbours = [
        "josé.d+tag@example.org",
        "joséd@example.org",
        "jos.éd@example.org",
        "jose.d@example.org",
        "josé.d@example.com",
    ];
    for neighbour in neighbours {
        assert_eq!(try_wrong_password(server, neighbour).await, 401, "{neighbour:?}");
        let sign_up = json!({"email": neighbour, "password": PASSWORD});
        server.post("/auth/login/signup").json(&sign_up).send_checked().await.is(200);
    }
}

/// An address that resembles a user's gets no mail that opens that user's account.
async fn lookalike_addresses_do_not_open_the_account(server: &TestServer) {
    server.plan().create_user("mike.kiss@example.org", PASSWORD, &["--verified", "--username", "mike.kiss"]);
    let id = server.plan().json(&["users", "show", "mike.kiss@example.org"], "")["id"].clone();
    let mut opened_accounts = BTreeSet::new();
    let (cyrillic, dotless) = ("mik\u{435}.kiss@example.org", "m\u{131}ke.kiss@example.org");
    for (number, lookalike) in [
        cyrillic,
        dotless,
        "mi\u{212a}e.kiss@example.org",
        "mike.ki\u{df}@example.org",
        "m\u{456}ke.kiss@example.org",
        "mike.kis\u{17f}@example.org",
        "mike\u{2024}kiss@example.org",
        "mike.kiss@\u{435}xample.org",
        "mike.kiss@exam\u{ad}ple.org",
        "mike.kiss@example.org.",
        "mike.kiss\u{200b}@example.org",
        "\u{feff}mike.kiss@example.org",
        "mike.kiss\0@example.org",
        "mike.kiss@example.org\0",
        "mike.kiss@example.org,eve@evil.example",
        "mike.kiss@example.org eve@evil.example",
        "mike.kiss@example.org%0abcc:eve@evil.example",
        "\"mike.kiss\"@example.org",
        "mike.kiss(eve)@example.org",
        "<mike.kiss@example.org>",
        "mike.kiss@example.org\r\nBcc: eve@evil.example",
    ]
    .into_iter()
    .enumerate()
    {
        let reset = json!({"email": lookalike, "username": "mike.kiss"});
        let reset = server.post("/api/v1/password-reset").json(&reset).send_checked().await;
        let sign_up_body = json!({"email": lookalike, "password": OTHER_PASSWORD, "full_name": "Eve"});
        let sign_up = server.post("/auth/login/signup").json(&sign_up_body).send_checked().await;
        let before = count_mails(server, "").await;
        let send_code =
            server.post("/auth/verification/send-code").json(&json!({"email": lookalike})).send_checked().await;
        outbox::wait_until_queue_is_empty(server).await;
        for mail in outbox::mails(server, "").iter().skip(before) {
            opened_accounts.extend(redeem_mailed_code(server, mail, &id).await);
        }
        for response in [&send_code, &reset, &sign_up] {
            assert!(response.status < 500, "{number}, {lookalike:?}: {response:?}");
        }
        // By Unicode and IDNA it is either the same address, which is taken, or an invalid one, or another account.
        if sign_up.status == 200 {
            assert_ne!(sign_up.json()["id"], id, "{lookalike:?}");
        }
    }
    // Every mail went to the canonical form of the requested address, and mails to other addresses open nothing of
    // Mike's.
    outbox::wait_until_queue_is_empty(server).await;
    for mail in outbox::mails(server, "") {
        assert!(!mail.source.contains("eve@evil.example"), "{mail:?}");
        let to = mail.header("to").to_owned();
        assert!(
            !to.contains("mike.kiss@example.org") || to.trim_matches(['<', '>']) == "mike.kiss@example.org",
            "{to}"
        );
        if mail.source.contains("token=") && !to.contains("mike.kiss@example.org") {
            let path = format!("/api/v1/password-reset-confirm?token={}", mail.token());
            let new_password = json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD});
            server.post(&path).json(&new_password).send_checked().await.is(400);
        }
    }
    // The others are separate accounts, so the test would notice if one were Mike's.
    assert!(opened_accounts.len() >= 5, "{opened_accounts:?}");
    server.try_sign_in("mike.kiss@example.org", PASSWORD).await.is(201);
}

/// Redeems a mailed code for Mike's address and for the recipient: it opens only the account of the recipient.
async fn redeem_mailed_code(server: &TestServer, mail: &outbox::Mail, mikes_id: &Value) -> Option<String> {
    let (to, code) = (mail.header("to").trim_matches(['<', '>']).to_owned(), mail.code());
    if to == "mike.kiss@example.org" {
        return None;
    }
    let redeem = async |email: &str| {
        let body = json!({"email": email, "code": code});
        server.post("/auth/verification/verify-code").json(&body).send_checked().await
    };
    redeem("mike.kiss@example.org").await.is(401);
    let claims = server.verify(&token_pair(redeem(&to).await.is(200)).0).await.is(200).json()["claims"].clone();
    assert_ne!(claims["sub"], *mikes_id, "{to}: {claims}");
    assert_ne!(claims["email"], "mike.kiss@example.org", "{to}: {claims}");
    Some(to)
}

/// Compatibility-equivalent usernames are one name, invisible characters are refused, and names that only look alike
/// are separate users.
async fn lookalike_usernames_are_refused_or_separate(server: &TestServer) {
    let body = |number: usize, name: &str| json!({"email": format!("namesake-{number}@example.org"), "password": OTHER_PASSWORD, "username": name});
    server.plan().create_user("owner@example.org", PASSWORD, &["--username", "Administrator", "--verified"]);
    let id = server.plan().json(&["users", "show", "owner@example.org"], "")["id"].clone();
    let (refused, lookalikes) = (
        [
            "administrator",
            "ADMINISTRATOR",
            " Administrator ",
            "ａｄｍｉｎｉｓｔｒａｔｏｒ",
            "𝐀dministrator",
            "ⓐdministrator",
            "Administrator\u{200b}",
            "Admin\u{ad}istrator",
            "\u{202e}rotartsinimdA",
            "Administrator\u{fe0f}",
            "Admin\u{34f}istrator",
            "Administrator\u{3164}",
            "Administrator\u{e0041}",
            "Admini\u{fb06}rator",
            "Administrator\0",
            "owner@example.org",
        ],
        ["\u{410}dministrator", "Adm\u{131}nistrator", "Administrat\u{3bf}r"],
    );
    for (number, name) in refused.into_iter().enumerate() {
        for path in ["/api/v1/register", "/api/auth/register"] {
            let response = server.post(path).json(&body(number, name)).send_checked().await;
            assert!((400..500).contains(&response.status), "{name:?}: {response:?}");
        }
    }
    for (number, name) in lookalikes.into_iter().enumerate() {
        server.post("/api/v1/register").json(&body(100 + number, name)).send_checked().await.is(201);
        let body = json!({"username": name, "password": OTHER_PASSWORD});
        let response = server.post("/sessions").json(&body).send_checked().await.is(201).json();
        assert_ne!(response["user_id"], id, "{name}");
    }
    let owner = json!({"username": "Administrator", "password": PASSWORD});
    assert_eq!(server.post("/sessions").json(&owner).send_checked().await.is(201).json()["user_id"], id);
}

/// Codes and links were mailed; then the address of the account changes. The owner of the old mailbox cannot use them.
async fn mail_to_the_old_address_is_void_after_a_change(server: &TestServer) {
    let user = SignedInUser::new(server, &["--verified"]).await;
    let TestUser { id, email, .. } = &user.user;
    let code = mail_sign_in_code(server, email).await;
    let confirming = mail_verification_code(server, &user.user).await;
    let (magic, magic_secret) = mail_link(server, "magic", email).await;
    let (reset, reset_secret) = mail_link(server, "recover", email).await;
    let complete_reset = mail_reset_link(server, &user.user).await;
    let change_email = json!({"email": "moved-away@example.org", "original": PASSWORD});
    server
        .request(Method::PUT, "/auth/users/me")
        .bearer_auth(&user.access)
        .json(&change_email)
        .send_checked()
        .await
        .is(200);

    let new_password = json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD});
    for (path, body) in [
        ("/auth/mail/verify".to_owned(), json!({"user_id": id, "code": confirming})),
        ("/links/reset".to_owned(), json!({"token": reset, "claim": reset_secret, "new_password": OTHER_PASSWORD})),
        ("/links/reset".to_owned(), json!({"token": complete_reset, "new_password": OTHER_PASSWORD})),
        (format!("/api/v1/password-reset-confirm?token={complete_reset}"), new_password),
    ] {
        let response = server.post(&path).json(&body).send_checked().await;
        assert!(matches!(response.status, 400 | 401), "{path}: {response:?}");
    }
    // These prove the old address, which has no account now: they may create one, but do not open this account.
    for (path, body) in [
        ("/auth/verification/verify-code", json!({"email": email, "code": code})),
        ("/links/magic", json!({"token": magic, "claim": magic_secret})),
    ] {
        let response = server.post(path).json(&body).send_checked().await;
        if response.status < 300 {
            let claims = server.verify(&token_pair(&response).0).await.is(200).json()["claims"].clone();
            assert_ne!(claims["sub"], id.as_str(), "{path}: {claims}");
        }
    }
    let row = server.plan().json(&["users", "show", "moved-away@example.org"], "");
    assert_eq!((&row["id"], &row["verified"]), (&json!(id), &json!(false)));
    server.try_sign_in("moved-away@example.org", PASSWORD).await.is(201);
}

/// Line breaks in every field that a user controls; the test SMTP server reports the mails that it accepted.
#[test]
fn input_cannot_inject_mail_headers() {
    let smtp_server = smtp::Server::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = TestServer::embedded(|plan| plan.set("SMTP_URL", &smtp_server.url()));
    runtime.block_on(Box::pin(try_header_injection(&server, &smtp_server)));
}

async fn try_header_injection(server: &TestServer, smtp_server: &smtp::Server) {
    let injections = [
        "\r\nBcc: eve@evil.example\r\n\r\nClick",
        "\nBcc: eve@evil.example",
        "\rBcc: eve@evil.example",
        "\u{85}Bcc: eve@evil.example",
        "\u{2028}Bcc: eve@evil.example",
        "=?utf-8?q?=0aBcc:_eve@evil.example?=",
        "%0d%0aBcc: eve@evil.example",
        "\0Bcc: eve@evil.example",
        "\u{b}Bcc: eve@evil.example",
    ];
    for (number, injection) in injections.into_iter().enumerate() {
        let email = format!("said-{number}@example.org");
        let name = format!("Ada{injection}");
        let bodies = [
            ("/auth/login/signup", json!({"email": email, "password": PASSWORD, "full_name": name})),
            (
                "/auth/signup",
                json!({"email": format!("b{email}"), "password": PASSWORD, "user_name": "A".to_owned() + injection}),
            ),
            ("/api/v1/register", json!({"email": format!("c{email}"), "password": PASSWORD, "username": name})),
            ("/api/auth/register", json!({"email": format!("d{email}"), "password": PASSWORD, "username": name})),
            ("/auth/verification/send-code", json!({"email": format!("{email}{injection}")})),
            ("/auth/verification/send-code", json!({"email": format!("said-{number}{injection}@example.org")})),
            ("/api/v1/password-reset", json!({"email": email, "username": name})),
        ];
        for (path, body) in bodies {
            let response =
                server.post(path).header("accept-language", "en, zh-TW;q=0.5").json(&body).send_checked().await;
            assert!(response.status < 500, "{path}: {response:?}");
        }
        server.try_sign_in(&email, PASSWORD).await;
        server
            .post(&format!("/auth/login/magic/{email}"))
            .header("user-agent", "Ada Bcc: eve@evil.example")
            .send_checked()
            .await
            .is(200);
        server.post("/auth/verification/send-code").json(&json!({"email": email})).send_checked().await.is(202);
    }
    outbox::wait_until_queue_is_empty(server).await;
    let mails = smtp_server.accepted();
    assert!(mails.len() >= 2 * injections.len(), "{mails:?}");
    for mail in mails {
        assert!(!mail.to_string().contains("evil.example"), "{mail}");
        assert_eq!(mail["to"].as_array().map(Vec::len), Some(1), "{mail}");
        let parsed_mail = smtp::ParsedMail(mail["mail"].clone());
        assert_eq!(parsed_mail.header("to").trim_matches(['<', '>']), mail["to"][0].as_str().unwrap());
        for header in ["bcc", "cc"] {
            assert!(parsed_mail.headers(header).is_empty(), "{mail}");
        }
        for header in ["from", "subject", "date", "message-id", "mime-version", "content-type"] {
            parsed_mail.header(header);
        }
    }
}
