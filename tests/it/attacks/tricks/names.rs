//! One identity in many spellings, many in one, and names that would like to be headers.

use std::collections::BTreeSet;

use super::*;
use crate::support::server::over_both_stores;
use crate::support::signet::Plan;
use crate::support::smtp;

fn plan(plan: Plan) -> Plan {
    plan.set("SIGNET_LIMITS__ENABLED", "true")
        .set("SIGNET_LIMITS__SIGN_IN_ACCOUNT", "6 per 1h")
        .set("SIGNET_LIMITS__MAIL_ACCOUNT", "1000 per 1s")
        .set("SIGNET_LIMITS__SIGN_IN_ADDRESS", "1000000 per 1s")
        .set("SIGNET_LIMITS__MAIL_ADDRESS", "1000000 per 1s")
        .set("SIGNET_LIMITS__CODE_ADDRESS", "1000000 per 1s")
        .set("SIGNET_LIMITS__SIGN_UP_ADDRESS", "1000000 per 1s")
}

over_both_stores!(plan; spellings_share_a_counter_and_neighbours_do_not, what_looks_like_an_address_is_not_it,
    what_looks_like_a_name_is_not_it, what_was_mailed_to_an_address_does_not_follow_it_to_another);

/// Signs in where anything but the right password is wrong.
async fn tried(server: &TestServer, name: &str) -> u16 {
    let field = if name.contains('@') { "email" } else { "username" };
    server.post("/sessions").json(&json!({field: name, "password": "no"})).send_checked().await.status
}

async fn spellings_share_a_counter_and_neighbours_do_not(server: &TestServer) {
    let decomposed =
        ["jose\u{301}.d@example.org", "JOSÉ.D@EXAMPLE.ORG", " josé.d@example.org\t", "José.d@ｅxample。org"];
    let named = ["Ángel Nuñez", "ángel nuñez", "A\u{301}NGEL NUN\u{303}EZ", "  Ángel Nuñez ", "Ａ\u{301}ngel Nuñez"];
    for spellings in [&decomposed[..], &named[..]] {
        for number in 0..6 {
            assert_eq!(tried(server, spellings[number % spellings.len()]).await, 401, "{number}");
        }
        for spelling in spellings {
            assert_eq!(tried(server, spelling).await, 429, "{spelling:?}");
        }
    }
    // Dots and what comes after a plus are the mail provider's business: these are other people's.
    let own = [
        "josé.d+tag@example.org",
        "joséd@example.org",
        "jos.éd@example.org",
        "jose.d@example.org",
        "josé.d@example.com",
    ];
    for neighbour in own {
        assert_eq!(tried(server, neighbour).await, 401, "{neighbour:?}");
        let made = json!({"email": neighbour, "password": PASSWORD});
        server.post("/auth/login/signup").json(&made).send_checked().await.is(200);
    }
}

/// An address that could be taken for somebody's gets no mail that opens that account, whatever is asked for by it.
async fn what_looks_like_an_address_is_not_it(server: &TestServer) {
    server.plan().create_user("mike.kiss@example.org", PASSWORD, &["--verified", "--username", "mike.kiss"]);
    let id = server.plan().json(&["users", "show", "mike.kiss@example.org"], "")["id"].clone();
    let mut opened = BTreeSet::new();
    let (cyrillic, dotless) = ("mik\u{435}.kiss@example.org", "m\u{131}ke.kiss@example.org");
    for (number, like) in [
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
        let reset = json!({"email": like, "username": "mike.kiss"});
        let reset = server.post("/api/v1/password-reset").json(&reset).send_checked().await;
        let taken = json!({"email": like, "password": OTHER_PASSWORD, "full_name": "Eve"});
        let made = server.post("/auth/login/signup").json(&taken).send_checked().await;
        let before = mails_so_far(server, "").await;
        let asked = server.post("/auth/verification/send-code").json(&json!({"email": like})).send_checked().await;
        outbox::wait_until_queue_is_empty(server).await;
        for mail in outbox::mails(server, "").iter().skip(before) {
            opened.extend(handed_in(server, mail, &id).await);
        }
        for answer in [&asked, &reset, &made] {
            assert!(answer.status < 500, "{number}, {like:?}: {answer:?}");
        }
        // Either it is the same address, as Unicode and IDNA have it, and taken; or nobody's, or another account.
        if made.status == 200 {
            assert_ne!(made.json()["id"], id, "{like:?}");
        }
    }
    // Every mail went to the one form of the address that was asked for, and those to others open nothing of Mike's.
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
            let new = json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD});
            server.post(&path).json(&new).send_checked().await.is(400);
        }
    }
    // Accounts of their own: had one been Mike's, it would have shown.
    assert!(opened.len() >= 5, "{opened:?}");
    server.try_sign_in("mike.kiss@example.org", PASSWORD).await.is(201);
}

/// Hands a mailed code in, at Mike's address and at the one that it went to: the account that it opens is nobody's but that one's.
async fn handed_in(server: &TestServer, mail: &outbox::Mail, mikes: &Value) -> Option<String> {
    let (to, code) = (mail.header("to").trim_matches(['<', '>']).to_owned(), mail.code());
    if to == "mike.kiss@example.org" {
        return None;
    }
    let hand_in = async |email: &str| {
        let body = json!({"email": email, "code": code});
        server.post("/auth/verification/verify-code").json(&body).send_checked().await
    };
    hand_in("mike.kiss@example.org").await.is(401);
    let claims = server.verify(&pair(hand_in(&to).await.is(200)).0).await.is(200).json()["claims"].clone();
    assert_ne!(claims["sub"], *mikes, "{to}: {claims}");
    assert_ne!(claims["email"], "mike.kiss@example.org", "{to}: {claims}");
    Some(to)
}

/// Names that are one by compatibility are one name; what shows as nothing is in none; what is only alike is somebody else's.
async fn what_looks_like_a_name_is_not_it(server: &TestServer) {
    let body = |number: usize, name: &str| json!({"email": format!("namesake-{number}@example.org"), "password": OTHER_PASSWORD, "username": name});
    server.plan().create_user("owner@example.org", PASSWORD, &["--username", "Administrator", "--verified"]);
    let id = server.plan().json(&["users", "show", "owner@example.org"], "")["id"].clone();
    let (refused, others) = (
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
            let answer = server.post(path).json(&body(number, name)).send_checked().await;
            assert!((400..500).contains(&answer.status), "{name:?}: {answer:?}");
        }
    }
    for (number, name) in others.into_iter().enumerate() {
        server.post("/api/v1/register").json(&body(100 + number, name)).send_checked().await.is(201);
        let body = json!({"username": name, "password": OTHER_PASSWORD});
        let answer = server.post("/sessions").json(&body).send_checked().await.is(201).json();
        assert_ne!(answer["user_id"], id, "{name}");
    }
    let owner = json!({"username": "Administrator", "password": PASSWORD});
    assert_eq!(server.post("/sessions").json(&owner).send_checked().await.is(201).json()["user_id"], id);
}

/// Codes and links were mailed; then the account moves to another address. Whoever reads the old mailbox has nothing of it.
async fn what_was_mailed_to_an_address_does_not_follow_it_to_another(server: &TestServer) {
    let who = Somebody::new(server, &["--verified"]).await;
    let TestUser { id, email, .. } = &who.person;
    let code = mailed_code(server, email).await;
    let confirming = confirming_code(server, &who.person).await;
    let (magic, claim) = link(server, "magic", email).await;
    let (reset, half) = link(server, "recover", email).await;
    let whole = whole_link(server, &who.person).await;
    let moved = json!({"email": "moved-away@example.org", "original": PASSWORD});
    server.request(Method::PUT, "/auth/users/me").bearer_auth(&who.access).json(&moved).send_checked().await.is(200);

    let new = json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD});
    for (path, body) in [
        ("/auth/mail/verify".to_owned(), json!({"user_id": id, "code": confirming})),
        ("/links/reset".to_owned(), json!({"token": reset, "claim": half, "new_password": OTHER_PASSWORD})),
        ("/links/reset".to_owned(), json!({"token": whole, "new_password": OTHER_PASSWORD})),
        (format!("/api/v1/password-reset-confirm?token={whole}"), new),
    ] {
        let answer = server.post(&path).json(&body).send_checked().await;
        assert!(matches!(answer.status, 400 | 401), "{path}: {answer:?}");
    }
    // These prove the old address, which is nobody's now: whoever has it may have an account, and it is not this one.
    for (path, body) in [
        ("/auth/verification/verify-code", json!({"email": email, "code": code})),
        ("/links/magic", json!({"token": magic, "claim": claim})),
    ] {
        let answer = server.post(path).json(&body).send_checked().await;
        if answer.status < 300 {
            let claims = server.verify(&pair(&answer).0).await.is(200).json()["claims"].clone();
            assert_ne!(claims["sub"], id.as_str(), "{path}: {claims}");
        }
    }
    let row = server.plan().json(&["users", "show", "moved-away@example.org"], "");
    assert_eq!((&row["id"], &row["verified"]), (&json!(id), &json!(false)));
    server.try_sign_in("moved-away@example.org", PASSWORD).await.is(201);
}

/// Line breaks in whatever may be said of oneself, to a mail server that tells what it was given.
#[test]
fn nothing_that_is_said_becomes_a_header() {
    let sink = smtp::Server::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = TestServer::embedded(|plan| plan.set("SMTP_URL", &sink.url()));
    runtime.block_on(Box::pin(said(&server, &sink)));
}

async fn said(server: &TestServer, sink: &smtp::Server) {
    let tricks = [
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
    for (number, trick) in tricks.into_iter().enumerate() {
        let email = format!("said-{number}@example.org");
        let name = format!("Ada{trick}");
        let bodies = [
            ("/auth/login/signup", json!({"email": email, "password": PASSWORD, "full_name": name})),
            (
                "/auth/signup",
                json!({"email": format!("b{email}"), "password": PASSWORD, "user_name": "A".to_owned() + trick}),
            ),
            ("/api/v1/register", json!({"email": format!("c{email}"), "password": PASSWORD, "username": name})),
            ("/api/auth/register", json!({"email": format!("d{email}"), "password": PASSWORD, "username": name})),
            ("/auth/verification/send-code", json!({"email": format!("{email}{trick}")})),
            ("/auth/verification/send-code", json!({"email": format!("said-{number}{trick}@example.org")})),
            ("/api/v1/password-reset", json!({"email": email, "username": name})),
        ];
        for (path, body) in bodies {
            let answer =
                server.post(path).header("accept-language", "en, zh-TW;q=0.5").json(&body).send_checked().await;
            assert!(answer.status < 500, "{path}: {answer:?}");
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
    let taken = sink.accepted();
    assert!(taken.len() >= 2 * tricks.len(), "{taken:?}");
    for letter in taken {
        assert!(!letter.to_string().contains("evil.example"), "{letter}");
        assert_eq!(letter["to"].as_array().map(Vec::len), Some(1), "{letter}");
        let read = smtp::ParsedMail(letter["mail"].clone());
        assert_eq!(read.header("to").trim_matches(['<', '>']), letter["to"][0].as_str().unwrap());
        for header in ["bcc", "cc"] {
            assert!(read.headers(header).is_empty(), "{letter}");
        }
        for header in ["from", "subject", "date", "message-id", "mime-version", "content-type"] {
            read.header(header);
        }
    }
}
