//! One account, five published APIs and our own: what one of them does counts in all.

mod ways;

use serde_json::{Value, json};

use crate::support::desk::{PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::{outbox, totp, until};
use ways::{Inside, SignUp, Way};

over_both_stores!(|plan| plan.set("SIGNET_API__CODES__BACKUP_CODES", "20").set("SIGNET_MAILED__DAILY_TRIES", "1000");
    who_signs_up_in_one_signs_in_in_every_other, tokens_of_one_are_good_in_every_other,
    a_reset_in_one_ends_the_sessions_of_all, a_second_factor_of_one_is_demanded_by_all,
    no_way_in_goes_round_the_second_factor, a_disabled_user_gets_in_nowhere);

const OTHER_PASSWORD: &str = "another harbour at dawn";

async fn who_signs_up_in_one_signs_in_in_every_other(desk: &TestServer) {
    for made in SignUp::ALL {
        let email = format!("made-by-{}@example.org", format!("{made:?}").to_lowercase());
        made.make(desk, &email).await;
        for way in Way::ALL {
            // A username, only two of them give.
            let named = matches!(made, SignUp::Ucontact | SignUp::V1);
            if (way.by_password() && !made.with_password()) || (way == Way::Ucontact && !named) {
                let tried = way.enter(desk, &email, None).await;
                assert!(matches!(tried.answer.status, 400 | 401), "{made:?}, {tried:?}");
            } else {
                way.enter(desk, &email, None).await.let_in();
            }
        }
    }
}

async fn tokens_of_one_are_good_in_every_other(desk: &TestServer) {
    let email = someone(desk, "of-one").await;
    for way in Way::ALL {
        let Inside { access, refresh } = way.enter(desk, &email, None).await.let_in();
        for path in ["/sessions", "/auth/users/me", "/api/v1/authorized/me"] {
            desk.get(path).bearer_auth(&access).send_checked().await.is(200);
        }
        assert_eq!(desk.reason(&access).await, "", "{way:?}");
        desk.post("/api/v1/verify").json(&json!({"token": access})).send_checked().await.is(200);
        desk.post("/api/v1/verify").json(&json!({"token": refresh})).send_checked().await.is(200);

        // Where a dialect rotates, its answer carries the successor; where it does not, the token stays.
        let mut refresh = refresh;
        for dialect in ["v1", "codes", "native", "unturned", "myauth", "ucontact", "v1", "codes"] {
            let body = refreshed(desk, dialect, &refresh, &access).await;
            assert_eq!(desk.reason(text(&body, "access_token")).await, "", "{way:?}, {dialect}");
            if let Some(successor) = body["refresh_token"].as_str() {
                assert_ne!(successor, refresh, "{dialect}");
                refresh = successor.to_owned();
            }
        }
    }
}

/// Refreshes by a dialect's own call.
async fn refreshed(desk: &TestServer, dialect: &str, refresh: &str, access: &str) -> Value {
    let body = json!({"refresh_token": refresh});
    let answer = match dialect {
        "native" => desk.refresh(refresh).await,
        "unturned" => {
            let me = desk.get("/auth/users/me").bearer_auth(access).send_checked().await.json();
            let body = json!({"refresh_token": refresh, "user_uuid": me["id"]});
            desk.post("/auth/verification/refresh-token").json(&body).send_checked().await
        }
        "myauth" => desk.post("/auth/login/refresh").bearer_auth(refresh).send_checked().await,
        "codes" => desk.post("/auth/refresh").json(&body).send_checked().await,
        "ucontact" => desk.post("/api/auth/refresh-token").json(&body).send_checked().await,
        _ => desk.post("/api/v1/refresh").json(&body).send_checked().await,
    };
    let body = answer.is(200).json();
    if dialect == "unturned" { body["data"].clone() } else { body }
}

async fn a_reset_in_one_ends_the_sessions_of_all(desk: &TestServer) {
    for dialect in ["myauth", "v1"] {
        let email = someone(desk, &format!("reset-in-{dialect}")).await;
        let mut inside = Vec::new();
        for way in Way::ALL {
            inside.push((way, way.enter(desk, &email, None).await.let_in()));
        }
        outbox::settled(desk).await;
        let before = outbox::mails(desk, &email).len();
        if dialect == "myauth" {
            let claim = desk.post(&format!("/auth/login/recover/{email}")).send_checked().await.is(200).json();
            let token = outbox::next(desk, &email, before).await.token();
            let body = json!({"new_password": OTHER_PASSWORD, "claim": text(&claim, "claim")});
            desk.post("/auth/login/reset").bearer_auth(token).json(&body).send_checked().await.is(200);
        } else {
            let body = json!({"email": email, "username": email.split('@').next()});
            desk.post("/api/v1/password-reset").json(&body).send_checked().await.is(200);
            let token = outbox::next(desk, &email, before).await.token();
            let body = json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD});
            let path = format!("/api/v1/password-reset-confirm?token={token}");
            desk.post(&path).json(&body).send_checked().await.is(200);
        }
        for (way, Inside { access, refresh }) in inside {
            until(&format!("{way:?}'s token is refused"), async || desk.reason(&access).await == "revoked").await;
            desk.refresh(&refresh).await.is_oauth_error(400, "invalid_grant");
        }
        for way in Way::ALL.into_iter().filter(|way| way.by_password()) {
            let tried = way.enter(desk, &email, None).await;
            assert!(matches!(tried.answer.status, 400 | 401), "the old password: {tried:?}");
        }
        desk.try_sign_in(&email, OTHER_PASSWORD).await.is(201);
    }
}

async fn a_second_factor_of_one_is_demanded_by_all(desk: &TestServer) {
    for dialect in ["codes", "myauth", "native"] {
        let email = someone(desk, &format!("factor-of-{dialect}")).await;
        turn_on(desk, dialect, &email).await;
        for way in Way::ALL {
            way.enter(desk, &email, None).await.is_due();
        }
    }
}

/// The table: each way in, with the second factor missing, empty, wrong, that of somebody else, and right.
async fn no_way_in_goes_round_the_second_factor(desk: &TestServer) {
    let (email, other) = (someone(desk, "guarded").await, someone(desk, "somebody-else").await);
    let mut codes = turn_on(desk, "codes", &email).await;
    let of_another = turn_on(desk, "codes", &other).await.pop().unwrap();
    for way in Way::ALL {
        way.enter(desk, &email, None).await.is_due();
        for wrong in ["", "x", of_another.as_str()] {
            let tried = way.enter(desk, &email, Some(wrong)).await;
            assert!(matches!(tried.answer.status, 400 | 401), "{wrong:?}: {tried:?}");
            assert!(!tried.answer.text.contains("access_token"), "{wrong:?}: {tried:?}");
        }
        let right = codes.pop().unwrap();
        way.enter(desk, &email, Some(&right)).await.let_in();
        let again = way.enter(desk, &email, Some(&right)).await;
        assert!(matches!(again.answer.status, 400 | 401), "a code is good once: {again:?}");
    }
}

async fn a_disabled_user_gets_in_nowhere(desk: &TestServer) {
    let email = someone(desk, "disabled").await;
    desk.plan().json(&["users", "disable", &email], "");
    for way in Way::ALL.into_iter().filter(|way| way.by_password()) {
        let tried = way.enter(desk, &email, None).await;
        assert!((400..404).contains(&tried.answer.status), "{tried:?}");
        assert!(!tried.answer.text.contains("access_token"), "{tried:?}");
    }
}

/// Somebody whose address is confirmed, with a username.
async fn someone(desk: &TestServer, name: &str) -> String {
    let email = format!("{name}@example.org");
    desk.plan().user(&email, PASSWORD, &["--username", name, "--verified"]);
    email
}

/// Turns the second factor on by a dialect's own calls; gives backup codes.
async fn turn_on(desk: &TestServer, dialect: &str, email: &str) -> Vec<String> {
    let Inside { access, .. } = Way::Native.enter(desk, email, None).await.let_in();
    let (begin, put, password) = match dialect {
        "codes" => {
            let made = desk.post("/auth/create/otp").bearer_auth(&access).send_checked().await.is(200).json();
            return texts(&made["backup_codes"]);
        }
        "myauth" => ("/auth/login/new-totp", "/auth/login/totp", "password"),
        _ => ("/totp", "/totp", "password"),
    };
    let begun = desk.post(begin).bearer_auth(&access).send_checked().await.json();
    let code = totp::code(text(&begun, "key"), 0);
    let field = if dialect == "myauth" { "claim" } else { "code" };
    let body = json!({field: code, "uri": begun["uri"], password: PASSWORD});
    let on =
        desk.request(reqwest::Method::PUT, put).bearer_auth(&access).json(&body).send_checked().await.is(200).json();
    texts(&on["recovery_codes"])
}

fn text<'v>(body: &'v Value, field: &str) -> &'v str {
    body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}"))
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().expect("a list").iter().map(|item| item.as_str().expect("text").to_owned()).collect()
}
