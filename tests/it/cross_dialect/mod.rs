//! One account in all dialects: accounts, tokens, resets and second factors of one dialect apply in every other.

mod first_proof;
mod sign_in;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, over_both_stores};
use crate::support::{outbox, totp, until};
use first_proof::Reset;
use sign_in::{SignIn, SignUp, Tokens};

over_both_stores!(
    |plan| plan.set("SIGNET_API__CODES__BACKUP_CODES", "20").set("SIGNET_MAILED__DAILY_TRIES", "1000");
    account_of_one_dialect_signs_in_through_every_other,
    tokens_of_one_dialect_are_valid_in_every_other,
    unverified_address_is_not_refreshed_where_it_may_not_sign_in,
    blank_passwords_are_refused_wherever_one_is_set,
    reset_in_one_dialect_ends_the_sessions_of_all,
    second_factor_of_one_dialect_is_required_by_all,
    no_sign_in_bypasses_the_second_factor,
    disabled_user_cannot_sign_in_anywhere,
);

const OTHER_PASSWORD: &str = "another harbour at dawn";

async fn account_of_one_dialect_signs_in_through_every_other(server: &TestServer) {
    for sign_up in SignUp::ALL {
        let email = format!("created-by-{}@example.org", format!("{sign_up:?}").to_lowercase());
        sign_up.create(server, &email).await;
        for sign_in in SignIn::ALL {
            // Only these give the account a username.
            let named = matches!(sign_up, SignUp::Ucontact | SignUp::V1 | SignUp::Native);
            if (sign_in.uses_password() && !sign_up.has_password()) || (sign_in == SignIn::Ucontact && !named) {
                let attempt = sign_in.attempt(server, &email, None).await;
                assert!(matches!(attempt.response.status, 400 | 401), "{sign_up:?}, {attempt:?}");
            } else {
                sign_in.attempt(server, &email, None).await.tokens();
            }
        }
    }
}

async fn tokens_of_one_dialect_are_valid_in_every_other(server: &TestServer) {
    let email = verified_user(server, "of-one").await;
    for sign_in in SignIn::ALL {
        let Tokens { access, refresh } = sign_in.attempt(server, &email, None).await.tokens();
        for path in ["/sessions", "/auth/users/me", "/api/v1/authorized/me"] {
            server.get(path).bearer_auth(&access).send_checked().await.is(200);
        }
        assert_eq!(server.rejection_reason(&access).await, "", "{sign_in:?}");
        server.post("/api/v1/verify").json(&json!({"token": access})).send_checked().await.is(200);

        // Where a dialect rotates, its response carries the successor; where it does not, the token stays. The latter
        // accept only sessions that were opened in one of them.
        let (mut refresh, kept) = (refresh, matches!(sign_in, SignIn::Codes | SignIn::V1));
        for dialect in ["v1", "codes", "native", "unturned", "myauth", "ucontact", "v1", "codes"] {
            let response = refresh_by(server, dialect, &refresh, &access).await;
            if matches!(dialect, "v1" | "codes") && !kept {
                assert!(matches!(response.status, 401 | 409), "{sign_in:?}, {dialect}: {response:?}");
                continue;
            }
            let body = response.is(200).json();
            let body = if dialect == "unturned" { body["data"].clone() } else { body };
            assert_eq!(server.rejection_reason(text(&body, "access_token")).await, "", "{sign_in:?}, {dialect}");
            if let Some(successor) = body["refresh_token"].as_str() {
                assert_ne!(successor, refresh, "{dialect}");
                refresh = successor.to_owned();
            }
        }
    }
}

/// `ucontact` is for verified addresses only, by default. A session of another dialect is no way around this, nor is one
/// of `ucontact` in another dialect, after the address has changed.
async fn unverified_address_is_not_refreshed_where_it_may_not_sign_in(server: &TestServer) {
    let user = server.create_user(&[]);
    let native = server.sign_in(&user).await;
    for _ in 0..3 {
        let response = refresh_by(server, "ucontact", &native.refresh, &native.access).await;
        assert_eq!(response.is(401).json()["detail"], "User is not verified");
    }
    // These attempts did not use the token up.
    let native = server.refresh(&native.refresh).await.is(200).tokens();
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let set_verified = async |user: &str, verified: bool| {
        let request = server.post(&format!("/auth/users/{user}")).bearer_auth(&root);
        request.json(&json!({"email_validated": verified})).send_checked().await.is(200);
    };
    set_verified(&user.id, true).await;
    refresh_by(server, "ucontact", &native.refresh, &native.access).await.is(200);

    let moved = verified_user(server, "moved").await;
    let Tokens { access, refresh } = SignIn::Ucontact.attempt(server, &moved, None).await.tokens();
    let id = server.plan().json(&["users", "show", &moved], "")["id"].as_str().unwrap().to_owned();
    set_verified(&id, false).await;
    for (dialect, status) in [("native", 400), ("unturned", 403), ("myauth", 400), ("ucontact", 401)] {
        refresh_by(server, dialect, &refresh, &access).await.is(status);
    }
    set_verified(&id, true).await;
    refresh_by(server, "native", &refresh, &access).await.is(200);
}

async fn blank_passwords_are_refused_wherever_one_is_set(server: &TestServer) {
    let email = verified_user(server, "blank").await;
    let access = SignIn::Native.attempt(server, &email, None).await.tokens().access;
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let update = format!("/auth/users/{}", text(&server.plan().json(&["users", "show", &email], ""), "id"));
    for blank in [" ".repeat(8), "\u{3000}".repeat(12), "\u{200b}\u{feff}\u{2060}\u{ad}".repeat(3)] {
        let new = json!({"email": "new@example.org", "username": "new", "user_name": "new", "password": blank});
        for path in ["/users", "/auth/login/signup", "/auth/signup", "/api/auth/register", "/api/v1/register"] {
            let response = server.post(path).json(&new).send_checked().await;
            assert!(matches!(response.status, 400 | 422), "{path}: {response:?}");
        }
        for (method, path, bearer) in [
            (Method::PUT, "/auth/users/me", &access),
            (Method::POST, "/auth/users/create", &root),
            (Method::POST, update.as_str(), &root),
        ] {
            let body = json!({"email": "new@example.org", "password": blank, "original": PASSWORD});
            server.request(method, path).bearer_auth(bearer).json(&body).send_checked().await.is(422);
        }
        let body = json!({"current_password": PASSWORD, "new_password": blank});
        let change = server.request(Method::PUT, "/me/password").bearer_auth(&access).json(&body).send_checked().await;
        change.is_problem(400, "weak_password");
        let created = server.post("/admin/users").bearer_auth(&root).json(&new).send_checked().await;
        created.is_problem(400, "weak_password");
        let reset = mailed_reset(server, &email).await;
        let body = json!({"new_password": blank, "new_password_confirm": blank});
        server.post(&format!("/api/v1/password-reset-confirm?token={reset}")).json(&body).send_checked().await.is(400);
        let body = json!({"token": reset, "password": blank, "new_password": blank});
        for path in ["/links/reset", "/password-resets/redeem"] {
            server.post(path).json(&body).send_checked().await.is_problem(400, "weak_password");
        }
        let body = json!({"new_password": blank, "claim": "x"});
        server.post("/auth/login/reset").bearer_auth(&reset).json(&body).send_checked().await.is(422);
        let arguments = ["users", "create", "--email", "new@example.org", "--password-stdin"];
        assert!(!server.plan().run(&arguments, &format!("{blank}\n")).status.success());
    }
    assert!(!server.plan().run(&["users", "show", "new@example.org"], "").status.success(), "nothing was created");
    server.try_sign_in(&email, PASSWORD).await.is(201);
}

/// Requests a password reset; returns the token of the mailed link.
async fn mailed_reset(server: &TestServer, email: &str) -> String {
    outbox::wait_until_queue_is_empty(server).await;
    let before = outbox::mails(server, email).len();
    let body = json!({"email": email, "username": email.split('@').next()});
    server.post("/api/v1/password-reset").json(&body).send_checked().await.is(200);
    outbox::wait_for_mail(server, email, before).await.token()
}

/// Refreshes by the call of this dialect.
async fn refresh_by(server: &TestServer, dialect: &str, refresh: &str, access: &str) -> HttpResponse {
    let body = json!({"refresh_token": refresh});
    match dialect {
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
    }
}

async fn reset_in_one_dialect_ends_the_sessions_of_all(server: &TestServer) {
    for by in [Reset::Myauth, Reset::Landing, Reset::V1, Reset::Native] {
        let email = verified_user(server, &format!("reset-in-{by:?}").to_lowercase()).await;
        let mut opened = Vec::new();
        for sign_in in SignIn::ALL {
            opened.push((sign_in, sign_in.attempt(server, &email, None).await.tokens()));
        }
        first_proof::reset(server, by, &email).await;
        for (sign_in, Tokens { access, refresh }) in opened {
            until(&format!("the token of {sign_in:?} is revoked"), async || {
                server.rejection_reason(&access).await == "revoked"
            })
            .await;
            server.refresh(&refresh).await.is_oauth_error(400, "invalid_grant");
        }
        for sign_in in SignIn::ALL.into_iter().filter(|sign_in| sign_in.uses_password()) {
            let attempt = sign_in.attempt(server, &email, None).await;
            assert!(matches!(attempt.response.status, 400 | 401), "the old password: {attempt:?}");
        }
        server.try_sign_in(&email, OTHER_PASSWORD).await.is(201);
    }
}

async fn second_factor_of_one_dialect_is_required_by_all(server: &TestServer) {
    for dialect in ["codes", "myauth", "native"] {
        let email = verified_user(server, &format!("factor-of-{dialect}")).await;
        enable_totp(server, dialect, &email).await;
        for sign_in in SignIn::ALL {
            sign_in.attempt(server, &email, None).await.requires_mfa();
        }
    }
}

/// Tries each sign-in with the second factor missing, empty, wrong, of another user, right, and used before.
async fn no_sign_in_bypasses_the_second_factor(server: &TestServer) {
    let (email, other) = (verified_user(server, "guarded").await, verified_user(server, "somebody-else").await);
    let mut codes = enable_totp(server, "codes", &email).await;
    let code_of_other = enable_totp(server, "codes", &other).await.pop().unwrap();
    for sign_in in SignIn::ALL {
        sign_in.attempt(server, &email, None).await.requires_mfa();
        for wrong in ["", "x", code_of_other.as_str()] {
            let attempt = sign_in.attempt(server, &email, Some(wrong)).await;
            assert!(matches!(attempt.response.status, 400 | 401), "{wrong:?}: {attempt:?}");
            assert!(!attempt.response.text.contains("access_token"), "{wrong:?}: {attempt:?}");
        }
        let right = codes.pop().unwrap();
        sign_in.attempt(server, &email, Some(&right)).await.tokens();
        let again = sign_in.attempt(server, &email, Some(&right)).await;
        assert!(matches!(again.response.status, 400 | 401), "a code is valid once: {again:?}");
    }
}

async fn disabled_user_cannot_sign_in_anywhere(server: &TestServer) {
    let email = verified_user(server, "disabled").await;
    server.plan().json(&["users", "disable", &email], "");
    for sign_in in SignIn::ALL.into_iter().filter(|sign_in| sign_in.uses_password()) {
        let attempt = sign_in.attempt(server, &email, None).await;
        assert!((400..404).contains(&attempt.response.status), "{attempt:?}");
        assert!(!attempt.response.text.contains("access_token"), "{attempt:?}");
    }
}

/// Creates a user with a verified address and a username; returns the address.
async fn verified_user(server: &TestServer, name: &str) -> String {
    let email = format!("{name}@example.org");
    server.plan().create_user(&email, PASSWORD, &["--username", name, "--verified"]);
    email
}

/// Enables the second factor by the calls of a dialect; returns the backup codes.
async fn enable_totp(server: &TestServer, dialect: &str, email: &str) -> Vec<String> {
    let Tokens { access, .. } = SignIn::Native.attempt(server, email, None).await.tokens();
    let (enroll, enable, password) = match dialect {
        "codes" => {
            let body = server.post("/auth/create/otp").bearer_auth(&access).send_checked().await.is(200).json();
            return texts(&body["backup_codes"]);
        }
        "myauth" => ("/auth/login/new-totp", "/auth/login/totp", "password"),
        _ => ("/totp", "/totp", "password"),
    };
    let enrollment = server.post(enroll).bearer_auth(&access).send_checked().await.json();
    let code = totp::code(text(&enrollment, "key"), 0);
    let field = if dialect == "myauth" { "claim" } else { "code" };
    let body = json!({field: code, "uri": enrollment["uri"], password: PASSWORD});
    let enabled =
        server.request(Method::PUT, enable).bearer_auth(&access).json(&body).send_checked().await.is(200).json();
    texts(&enabled["recovery_codes"])
}

fn text<'v>(body: &'v Value, field: &str) -> &'v str {
    body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}"))
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().expect("a list").iter().map(|item| item.as_str().expect("text").to_owned()).collect()
}
