//! The whole life of an account by the calls of the native API alone: every published dialect is off.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::outbox::{self, Mail};
use crate::support::server::{HttpResponse, SendRequest, TestServer, TokenPair, over_both_stores};
use crate::support::signet::Plan;
use crate::support::totp;
use crate::support::until;

over_both_stores!(only_native; whole_life_needs_no_published_dialect);

/// Turns the published dialects off.
pub(super) fn only_native(plan: Plan) -> Plan {
    ["UNTURNED", "MYAUTH", "CODES", "UCONTACT", "V1"]
        .iter()
        .fold(plan, |plan, dialect| plan.set(&format!("SIGNET_API__{dialect}__ENABLED"), "false"))
}

const FIRST: &str = "a quiet harbour at dusk";
const SECOND: &str = "a louder harbour at dawn";
const THIRD: &str = "no harbour at all, at noon";

/// Sends a request as the holder of an access token.
pub(super) async fn send(server: &TestServer, method: Method, path: &str, access: &str, body: Value) -> HttpResponse {
    let request = server.request(method, path).json(&body);
    let request = if access.is_empty() { request } else { request.bearer_auth(access) };
    request.send_checked().await
}

/// Sends a request and returns its response and the mail that an address gets then.
pub(super) async fn send_and_read_mail(
    server: &TestServer,
    to: &str,
    request: impl Future<Output = HttpResponse>,
) -> (HttpResponse, Mail) {
    outbox::wait_until_queue_is_empty(server).await;
    let before = outbox::mails(server, to).len();
    let response = request.await;
    (response, outbox::wait_for_mail(server, to, before).await)
}

pub(super) async fn me(server: &TestServer, access: &str) -> Value {
    server.get("/me").bearer_auth(access).send_checked().await.is(200).json()
}

async fn sign_in(server: &TestServer, body: Value) -> TokenPair {
    server.post("/sessions").json(&body).send_checked().await.is(201).tokens()
}

async fn whole_life_needs_no_published_dialect(server: &TestServer) {
    for path in
        ["/auth/login/signup", "/auth/signup", "/auth/verification/send-code", "/api/auth/register", "/api/v1/login"]
    {
        server.post(path).json(&json!({})).send_checked().await.is_problem(404, "path_not_found");
    }
    let (email, moved) = ("zoe@example.org", "zoe@example.net");
    let access = sign_up_and_confirm(server, email).await;
    let access = lose_the_phone(server, email, &access).await;
    change_address(server, &access, email, moved).await;
    let tokens = sign_in_by_mail_and_reset(server, moved).await;
    manage_keys(server, &tokens.access).await;
    leave(server, &tokens.access, moved).await;
}

async fn sign_up_and_confirm(server: &TestServer, email: &str) -> String {
    let policy = server.get("/password-policy").send_checked().await;
    assert_eq!(policy.json(), json!({"min_length": 8, "max_length": 128, "common_passwords_refused": true}));
    assert_eq!(policy.header("cache-control"), "public, max-age=300");
    let body = json!({"email": "Zoe@Example.org", "password": FIRST, "username": "Zoe", "full_name": "Zoe Tam"});
    let (created, mail) = send_and_read_mail(server, email, send(server, Method::POST, "/users", "", body)).await;
    let user = created.is(201).json();
    assert_eq!(
        (&user["email"], &user["email_verified"], &user["auth_time"]),
        (&json!(email), &json!(false), &Value::Null)
    );
    assert_eq!(
        (&user["username"], &user["full_name"], &user["has_password"]),
        (&json!("Zoe"), &json!("Zoe Tam"), &json!(true))
    );
    let tokens = sign_in(server, json!({"username": "zoe", "password": FIRST})).await;
    let mine = me(server, &tokens.access).await;
    assert!(mine["auth_time"].is_string(), "{mine}");
    assert_eq!(without(&mine, "auth_time"), without(&user, "auth_time"));

    // The link of the sign-up works, and so does one that is mailed again, and the earlier path.
    let request = send(server, Method::POST, "/email-confirmations", &tokens.access, json!({}));
    let (again, second_mail) = send_and_read_mail(server, email, request).await;
    assert!(again.is(202).json()["expires_in"].as_u64().unwrap() > 0);
    for (path, mail, status) in [
        ("/email-confirmations/redeem", &mail, "confirmed"),
        ("/email-confirmations/redeem", &second_mail, "already_confirmed"),
        ("/links/confirm", &mail, "already_confirmed"),
    ] {
        let confirmed = send(server, Method::POST, path, "", json!({"token": mail.token()})).await;
        assert_eq!(confirmed.is(200).json(), json!({"status": status}), "{path}");
    }
    assert_eq!(me(server, &tokens.access).await["email_verified"], true);
    let before = outbox::mails(server, email).len();
    send(server, Method::POST, "/email-confirmations", &tokens.access, json!({})).await.is(202);
    outbox::wait_until_queue_is_empty(server).await;
    assert_eq!(outbox::mails(server, email).len(), before, "a confirmed address gets no link");
    tokens.access
}

fn without(user: &Value, field: &str) -> serde_json::Map<String, Value> {
    let mut user = user.as_object().expect("a user is an object").clone();
    user.remove(field);
    user
}

/// Signs in with a recovery code, turns the second factor off, and returns an access token.
async fn lose_the_phone(server: &TestServer, email: &str, access: &str) -> String {
    let (key, codes) = totp::enable_totp(server, access, FIRST).await;
    assert_eq!(me(server, access).await["mfa"], json!({"enabled": true, "recovery_codes_left": codes.len()}));
    let body = |code: &str| json!({"email": email, "password": FIRST, "mfa_code": code});
    let no_code = send(server, Method::POST, "/sessions", "", json!({"email": email, "password": FIRST})).await;
    no_code.is_problem(401, "mfa_required");
    send(server, Method::POST, "/sessions", "", body(&totp::wrong_code(&key)))
        .await
        .is_problem(401, "invalid_mfa_code");
    sign_in(server, body(&totp::code(&key, 1))).await;

    let wrong = json!({"password": "a guess"});
    let refused = send(server, Method::POST, "/totp/recovery-codes", access, wrong).await;
    refused.is_problem(400, "invalid_current_password");
    let request = send(server, Method::POST, "/totp/recovery-codes", access, json!({"password": FIRST}));
    let (replaced, notice) = send_and_read_mail(server, email, request).await;
    assert_eq!(notice.header("subject"), "New recovery codes for your Signet account");
    let new = replaced.is(200).json()["recovery_codes"].as_array().unwrap().clone();
    assert_eq!(new.len(), codes.len());
    send(server, Method::POST, "/sessions", "", body(&codes[0])).await.is_problem(401, "invalid_mfa_code");
    let tokens = sign_in(server, body(new[0].as_str().unwrap())).await;
    assert_eq!(me(server, &tokens.access).await["mfa"]["recovery_codes_left"], new.len() - 1);
    send(server, Method::DELETE, "/totp", &tokens.access, json!({"password": FIRST})).await.is(204);
    assert_eq!(me(server, &tokens.access).await["mfa"], json!({"enabled": false, "recovery_codes_left": 0}));
    let off = send(server, Method::POST, "/totp/recovery-codes", &tokens.access, json!({"password": FIRST})).await;
    off.is_problem(400, "mfa_not_enabled");
    tokens.access
}

async fn change_address(server: &TestServer, access: &str, email: &str, moved: &str) {
    let body = json!({"email": moved, "current_password": "a guess"});
    send(server, Method::POST, "/me/email", access, body).await.is_problem(400, "invalid_current_password");
    outbox::wait_until_queue_is_empty(server).await;
    let told = outbox::mails(server, email).len();
    let body = json!({"email": "ZOE@example.NET", "current_password": FIRST});
    let (asked, link) = send_and_read_mail(server, moved, send(server, Method::POST, "/me/email", access, body)).await;
    asked.is(202);
    let notice = outbox::wait_for_mail(server, email, told).await;
    assert_eq!(notice.header("subject"), "The email address of your Signet account is being changed");
    assert_eq!(me(server, access).await["email"], email, "until the link is followed");

    let body = json!({"token": link.token()});
    let request = send(server, Method::POST, "/email-confirmations/redeem", "", body.clone());
    let (confirmed, notice) = send_and_read_mail(server, email, request).await;
    assert_eq!(confirmed.is(200).json(), json!({"status": "confirmed"}));
    assert_eq!(notice.header("subject"), "Your Signet email address was changed");
    let mine = me(server, access).await;
    assert_eq!((&mine["email"], &mine["email_verified"]), (&json!(moved), &json!(true)), "the session stays open");
    let again = send(server, Method::POST, "/email-confirmations/redeem", "", body).await;
    assert_eq!(again.is(200).json(), json!({"status": "already_confirmed"}));
    server.try_sign_in(email, FIRST).await.is_problem(401, "invalid_credentials");
    server.try_sign_in(moved, FIRST).await.is(201);
}

/// Signs in by a code and by a magic link, resets the password, changes it, and returns the tokens of the only session
/// that is left.
async fn sign_in_by_mail_and_reset(server: &TestServer, email: &str) -> TokenPair {
    let body = || json!({"email": email});
    let (asked, mail) = send_and_read_mail(server, email, send(server, Method::POST, "/codes", "", body())).await;
    assert_eq!(asked.is(202).json(), json!({"expires_in": 600}));
    let by_code = sign_in(server, json!({"email": email, "code": mail.code()})).await;
    let used = send(server, Method::POST, "/sessions", "", json!({"email": email, "code": mail.code()})).await;
    used.is_problem(401, "invalid_code");

    let link = async |path: &str| {
        let (asked, mail) = send_and_read_mail(server, email, send(server, Method::POST, path, "", body())).await;
        let asked = asked.is(202).json();
        assert!(asked["expires_in"].as_u64().unwrap() > 0);
        (mail.token(), asked["device_secret"].clone())
    };
    let (token, device_secret) = link("/magic-links").await;
    let redeem = |device_secret: Value| json!({"token": token, "device_secret": device_secret});
    let wrong = send(server, Method::POST, "/magic-links/redeem", "", redeem(json!("wrong"))).await;
    wrong.is_problem(400, "invalid_link");
    let by_link = send(server, Method::POST, "/magic-links/redeem", "", redeem(device_secret)).await.is(201).tokens();

    let (token, device_secret) = link("/password-resets").await;
    let redeem = |new: &str| json!({"token": token, "device_secret": device_secret, "new_password": new});
    let weak = send(server, Method::POST, "/password-resets/redeem", "", redeem("password")).await;
    weak.is_problem(400, "weak_password");
    send(server, Method::POST, "/password-resets/redeem", "", redeem(SECOND)).await.is(204);
    for access in [&by_code.access, &by_link.access] {
        assert_eq!(server.rejection_reason(access).await, "revoked");
    }

    let (one, other) = (
        sign_in(server, json!({"email": email, "password": SECOND})).await,
        sign_in(server, json!({"email": email, "password": SECOND})).await,
    );
    let ended = server.delete("/sessions?except=current").bearer_auth(&one.access).send_checked().await;
    assert_eq!(ended.is(200).json(), json!({"ended": 1}));
    assert_eq!(server.rejection_reason(&other.access).await, "revoked");
    let other = sign_in(server, json!({"email": email, "password": SECOND})).await;
    let body = json!({"current_password": SECOND, "new_password": THIRD});
    let changed = send(server, Method::PUT, "/me/password", &one.access, body).await.is(200).tokens();
    for access in [&one.access, &other.access] {
        assert_eq!(server.rejection_reason(access).await, "revoked");
    }
    let tokens = server.refresh(&changed.refresh).await.is(200).tokens();
    let sessions = server.get("/sessions").bearer_auth(&tokens.access).send_checked().await.is(200).json();
    let sessions = sessions["sessions"].as_array().unwrap();
    assert_eq!((sessions.len(), &sessions[0]["current"]), (1, &json!(true)), "{sessions:?}");
    tokens
}

async fn manage_keys(server: &TestServer, access: &str) {
    let path = "/projects/personal/api-keys";
    let body = json!({"name": "nightly build", "scopes": ["builds:read"], "expires_in_days": 90});
    let created = send(server, Method::POST, path, access, body).await.is(201).json();
    let key = created["key"].as_str().unwrap();
    assert!(key.starts_with(created["prefix"].as_str().unwrap()), "{created}");
    server.verify(key).await.is(200);
    assert_eq!(me(server, key).await["auth_time"], Value::Null, "an API key shows nobody who signed in");

    let project = send(server, Method::POST, "/projects", access, json!({"name": "Weather"})).await.is(201).json();
    let other = format!("/projects/{}/api-keys", project["id"].as_str().unwrap());
    let list = async |path: &str| server.get(path).bearer_auth(access).send_checked().await.is(200).json();
    assert_eq!(list(&other).await, json!({"api_keys": [], "total": 0}));
    let listed = list(path).await;
    assert_eq!(listed["total"], 1);
    let mut expected = without(&created, "key");
    expected.insert("last_used_at".to_owned(), listed["api_keys"][0]["last_used_at"].clone());
    assert_eq!(listed["api_keys"], json!([expected]));

    let one = format!("{path}/{}", created["id"].as_str().unwrap());
    let elsewhere = format!("{other}/{}", created["id"].as_str().unwrap());
    server.delete(&elsewhere).bearer_auth(access).send_checked().await.is_problem(404, "not_found");
    for _ in 0..2 {
        server.delete(&one).bearer_auth(access).send_checked().await.is(204);
    }
    assert_ne!(server.rejection_reason(key).await, "");
    assert_eq!(list(path).await["api_keys"][0]["active"], false);
}

async fn leave(server: &TestServer, access: &str, email: &str) {
    let mut export = server.get("/me/export").bearer_auth(access).send_checked().await;
    until("the events are stored", async || {
        let is_exported = export.text.contains(r#""type":"user.registered""#);
        if !is_exported {
            export = server.get("/me/export").bearer_auth(access).send_checked().await;
        }
        is_exported
    })
    .await;
    assert_eq!(export.is(200).header("content-disposition"), "attachment; filename=\"account.json\"");
    assert!(!export.text.contains("argon2"), "{export:?}");
    let data = export.json();
    assert_eq!((&data["user"]["email"], data["user"]["roles"].as_array().unwrap().len()), (&json!(email), 0));
    assert_eq!((data["projects"].as_array().unwrap().len(), data["api_keys"].as_array().unwrap().len()), (2, 1));
    assert_eq!((data["sessions"].as_array().unwrap().len(), &data["billing"]["token_balance"]), (1, &json!(0)));
    let oldest = data["activity"].as_array().unwrap().last().unwrap();
    assert_eq!(oldest["type"], "user.registered", "the newest first: {}", data["activity"]);

    let wrong = send(server, Method::DELETE, "/me", access, json!({"password": "a guess"})).await;
    wrong.is_problem(400, "invalid_current_password");
    let request = send(server, Method::DELETE, "/me", access, json!({"password": THIRD}));
    let (gone, notice) = send_and_read_mail(server, email, request).await;
    gone.is(204);
    assert_eq!(notice.header("subject"), "Your Signet account was deleted");
    assert_eq!(server.rejection_reason(access).await, "revoked");
    server.try_sign_in(email, THIRD).await.is_problem(401, "invalid_credentials");
}
