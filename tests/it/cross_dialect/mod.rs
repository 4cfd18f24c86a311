//! One account, five published APIs and our own: what one of them does counts in all.

mod ways;

use serde_json::{Value, json};

use crate::support::server::{PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::{outbox, totp, until};
use ways::{Inside, SignUp, Way};

over_both_stores!(|plan| plan.set("SIGNET_API__CODES__BACKUP_CODES", "20").set("SIGNET_MAILED__DAILY_TRIES", "1000");
    who_signs_up_in_one_signs_in_in_every_other, tokens_of_one_are_good_in_every_other,
    a_reset_in_one_ends_the_sessions_of_all, a_second_factor_of_one_is_demanded_by_all,
    no_way_in_goes_round_the_second_factor, a_disabled_user_gets_in_nowhere);

const OTHER_PASSWORD: &str = "another harbour at dawn";

async fn who_signs_up_in_one_signs_in_in_every_other(server: &TestServer) {
    for made in SignUp::ALL {
        let email = format!("made-by-{}@example.org", format!("{made:?}").to_lowercase());
        made.make(server, &email).await;
        for way in Way::ALL {
            // A username, only two of them give.
            let named = matches!(made, SignUp::Ucontact | SignUp::V1);
            if (way.by_password() && !made.with_password()) || (way == Way::Ucontact && !named) {
                let tried = way.enter(server, &email, None).await;
                assert!(matches!(tried.answer.status, 400 | 401), "{made:?}, {tried:?}");
            } else {
                way.enter(server, &email, None).await.let_in();
            }
        }
    }
}

async fn tokens_of_one_are_good_in_every_other(server: &TestServer) {
    let email = someone(server, "of-one").await;
    for way in Way::ALL {
        let Inside { access, refresh } = way.enter(server, &email, None).await.let_in();
        for path in ["/sessions", "/auth/users/me", "/api/v1/authorized/me"] {
            server.get(path).bearer_auth(&access).send_checked().await.is(200);
        }
        assert_eq!(server.rejection_reason(&access).await, "", "{way:?}");
        server.post("/api/v1/verify").json(&json!({"token": access})).send_checked().await.is(200);
        server.post("/api/v1/verify").json(&json!({"token": refresh})).send_checked().await.is(200);

        // Where a dialect rotates, its answer carries the successor; where it does not, the token stays.
        let mut refresh = refresh;
        for dialect in ["v1", "codes", "native", "unturned", "myauth", "ucontact", "v1", "codes"] {
            let body = refreshed(server, dialect, &refresh, &access).await;
            assert_eq!(server.rejection_reason(text(&body, "access_token")).await, "", "{way:?}, {dialect}");
            if let Some(successor) = body["refresh_token"].as_str() {
                assert_ne!(successor, refresh, "{dialect}");
                refresh = successor.to_owned();
            }
        }
    }
}

/// Refreshes by a dialect's own call.
async fn refreshed(server: &TestServer, dialect: &str, refresh: &str, access: &str) -> Value {
    let body = json!({"refresh_token": refresh});
    let answer = match dialect {
        "native" => server.refresh(refresh).await,
        "unturned" => {
            let me = server.get("/auth/users/me").bearer_auth(access).send_checked().await.json();
            let body = json!({"refresh_token": refresh, "user_uuid": me["id"]});
            server.post("/auth/verification/refresh-token").json(&body).send_checked().await
        }
        "myauth" => server.post("/auth/login/refresh").bearer_auth(refresh).send_checked().await,
        "codes" => server.post("/auth/refresh").json(&body).send_checked().await,
        "ucontact" => server.post("/api/auth/refresh-token").json(&body).send_checked().await,
        _ => server.post("/api/v1/refresh").json(&body).send_checked().await,
    };
    let body = answer.is(200).json();
    if dialect == "unturned" { body["data"].clone() } else { body }
}

async fn a_reset_in_one_ends_the_sessions_of_all(server: &TestServer) {
    for dialect in ["myauth", "v1"] {
        let email = someone(server, &format!("reset-in-{dialect}")).await;
        let mut inside = Vec::new();
        for way in Way::ALL {
            inside.push((way, way.enter(server, &email, None).await.let_in()));
        }
        outbox::wait_until_queue_is_empty(server).await;
        let before = outbox::mails(server, &email).len();
        if dialect == "myauth" {
            let claim = server.post(&format!("/auth/login/recover/{email}")).send_checked().await.is(200).json();
            let token = outbox::wait_for_mail(server, &email, before).await.token();
            let body = json!({"new_password": OTHER_PASSWORD, "claim": text(&claim, "claim")});
            server.post("/auth/login/reset").bearer_auth(token).json(&body).send_checked().await.is(200);
        } else {
            let body = json!({"email": email, "username": email.split('@').next()});
            server.post("/api/v1/password-reset").json(&body).send_checked().await.is(200);
            let token = outbox::wait_for_mail(server, &email, before).await.token();
            let body = json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD});
            let path = format!("/api/v1/password-reset-confirm?token={token}");
            server.post(&path).json(&body).send_checked().await.is(200);
        }
        for (way, Inside { access, refresh }) in inside {
            until(&format!("{way:?}'s token is refused"), async || server.rejection_reason(&access).await == "revoked")
                .await;
            server.refresh(&refresh).await.is_oauth_error(400, "invalid_grant");
        }
        for way in Way::ALL.into_iter().filter(|way| way.by_password()) {
            let tried = way.enter(server, &email, None).await;
            assert!(matches!(tried.answer.status, 400 | 401), "the old password: {tried:?}");
        }
        server.try_sign_in(&email, OTHER_PASSWORD).await.is(201);
    }
}

async fn a_second_factor_of_one_is_demanded_by_all(server: &TestServer) {
    for dialect in ["codes", "myauth", "native"] {
        let email = someone(server, &format!("factor-of-{dialect}")).await;
        turn_on(server, dialect, &email).await;
        for way in Way::ALL {
            way.enter(server, &email, None).await.is_due();
        }
    }
}

/// The table: each way in, with the second factor missing, empty, wrong, that of somebody else, and right.
async fn no_way_in_goes_round_the_second_factor(server: &TestServer) {
    let (email, other) = (someone(server, "guarded").await, someone(server, "somebody-else").await);
    let mut codes = turn_on(server, "codes", &email).await;
    let of_another = turn_on(server, "codes", &other).await.pop().unwrap();
    for way in Way::ALL {
        way.enter(server, &email, None).await.is_due();
        for wrong in ["", "x", of_another.as_str()] {
            let tried = way.enter(server, &email, Some(wrong)).await;
            assert!(matches!(tried.answer.status, 400 | 401), "{wrong:?}: {tried:?}");
            assert!(!tried.answer.text.contains("access_token"), "{wrong:?}: {tried:?}");
        }
        let right = codes.pop().unwrap();
        way.enter(server, &email, Some(&right)).await.let_in();
        let again = way.enter(server, &email, Some(&right)).await;
        assert!(matches!(again.answer.status, 400 | 401), "a code is good once: {again:?}");
    }
}

async fn a_disabled_user_gets_in_nowhere(server: &TestServer) {
    let email = someone(server, "disabled").await;
    server.plan().json(&["users", "disable", &email], "");
    for way in Way::ALL.into_iter().filter(|way| way.by_password()) {
        let tried = way.enter(server, &email, None).await;
        assert!((400..404).contains(&tried.answer.status), "{tried:?}");
        assert!(!tried.answer.text.contains("access_token"), "{tried:?}");
    }
}

/// Somebody whose address is confirmed, with a username.
async fn someone(server: &TestServer, name: &str) -> String {
    let email = format!("{name}@example.org");
    server.plan().create_user(&email, PASSWORD, &["--username", name, "--verified"]);
    email
}

/// Turns the second factor on by a dialect's own calls; gives backup codes.
async fn turn_on(server: &TestServer, dialect: &str, email: &str) -> Vec<String> {
    let Inside { access, .. } = Way::Native.enter(server, email, None).await.let_in();
    let (begin, put, password) = match dialect {
        "codes" => {
            let made = server.post("/auth/create/otp").bearer_auth(&access).send_checked().await.is(200).json();
            return texts(&made["backup_codes"]);
        }
        "myauth" => ("/auth/login/new-totp", "/auth/login/totp", "password"),
        _ => ("/totp", "/totp", "password"),
    };
    let begun = server.post(begin).bearer_auth(&access).send_checked().await.json();
    let code = totp::code(text(&begun, "key"), 0);
    let field = if dialect == "myauth" { "claim" } else { "code" };
    let body = json!({field: code, "uri": begun["uri"], password: PASSWORD});
    let on =
        server.request(reqwest::Method::PUT, put).bearer_auth(&access).json(&body).send_checked().await.is(200).json();
    texts(&on["recovery_codes"])
}

fn text<'v>(body: &'v Value, field: &str) -> &'v str {
    body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}"))
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().expect("a list").iter().map(|item| item.as_str().expect("text").to_owned()).collect()
}
