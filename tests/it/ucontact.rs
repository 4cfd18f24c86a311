//! The `ucontact` dialect as its clients meet it, read along its document: every call over the embedded default, and again over
//! Redis and Postgres.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{HttpResponse, SendRequest, TestServer, over_both_stores, tamper_signature};
use crate::support::signet::Plan;
use crate::support::{outbox, totp};

/// The document's.
const PASSWORD: &str = "securepassword123";

over_both_stores!(published;
    an_account_is_made,
    every_fault_of_a_wish_is_told_at_once,
    an_address_and_a_name_are_somebodys_once,
    signing_in_takes_a_form_of_either_kind,
    a_wrong_password_and_an_unknown_name_are_one_answer,
    an_unconfirmed_address_may_not_sign_in,
    a_second_factor_is_asked_for,
    refresh_tokens_are_rotated,
    a_rotated_refresh_token_that_comes_back_ends_the_session,
    a_link_confirms_an_address_once_and_says_so_again,
    what_confirms_nothing_is_refused,
    a_browser_gets_a_page_and_nothing_is_confirmed_by_it,
    a_session_of_another_dialect_goes_on_here,
    what_is_nowhere_is_worded_here_too,
);

fn published(plan: Plan) -> Plan {
    plan.set("SIGNET_SERVER__PUBLIC_URL", "https://id.example.org")
}

async fn call(server: &TestServer, path: &str, body: Value) -> HttpResponse {
    server.post(path).json(&body).send_checked().await
}

async fn register(server: &TestServer, name: &str) -> HttpResponse {
    let body = json!({"username": name, "email": format!("{name}@example.com"), "password": PASSWORD});
    call(server, "/api/auth/register", body).await
}

async fn confirm(server: &TestServer, token: &str) -> HttpResponse {
    server.get(&format!("/api/auth/confirmed_email/{token}")).send_checked().await
}

/// An account with a confirmed address.
async fn member(server: &TestServer, name: &str) {
    register(server, name).await.is(201);
    let token = outbox::wait_for_mail(server, &format!("{name}@example.com"), 0).await.token();
    confirm(server, &token).await.is(200);
}

async fn login(server: &TestServer, username: &str, password: &str) -> HttpResponse {
    server.form("/api/auth/login", &[("username", username), ("password", password)]).await
}

async fn signed_in(server: &TestServer, name: &str) -> (String, String) {
    pair(&login(server, name, PASSWORD).await.is(200).json())
}

fn pair(body: &Value) -> (String, String) {
    let text = |field: &str| body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}")).to_owned();
    (text("access_token"), text("refresh_token"))
}

async fn refresh(server: &TestServer, token: &str) -> HttpResponse {
    call(server, "/api/auth/refresh-token", json!({"refresh_token": token})).await
}

trait Told {
    /// Demands `{"detail":"…"}`.
    fn tells(&self, status: u16, detail: &str) -> &Self;
    /// Demands a 422 with these faults: where, and of which type.
    fn finds(&self, faults: &[(&[&str], &str)]) -> &Self;
}

impl Told for HttpResponse {
    #[track_caller]
    fn tells(&self, status: u16, detail: &str) -> &Self {
        assert_eq!((self.status, self.json()), (status, json!({"detail": detail})), "{self:?}");
        self
    }

    #[track_caller]
    fn finds(&self, faults: &[(&[&str], &str)]) -> &Self {
        let body = self.is(422).json();
        let found = body["detail"].as_array().unwrap_or_else(|| panic!("no list: {body}"));
        let told = |loc: &Value, kind: &Value| format!("{loc} {kind}");
        // In which order is nobody's business.
        let found_ones: BTreeSet<_> = found.iter().map(|entry| told(&entry["loc"], &entry["type"])).collect();
        let expected: BTreeSet<_> = faults.iter().map(|(loc, kind)| told(&json!(loc), &json!(kind))).collect();
        assert_eq!((found_ones, found.len()), (expected, faults.len()), "{body}");
        assert!(found.iter().all(|entry| entry["msg"].is_string()), "{body}");
        self
    }
}

async fn an_account_is_made(server: &TestServer) {
    let wish = |name: &str, email: &str| json!({"username": name, "email": email, "password": PASSWORD});
    let answer = call(server, "/api/auth/register", wish("johndoe", " John@Example.COM ")).await;
    let body = answer.is(201).json();
    let (id, created_at) = (body["id"].as_i64().unwrap(), body["created_at"].as_str().unwrap());
    let expected = json!({
        "id": id,
        "username": "johndoe",
        "email": "john@example.com",
        "created_at": created_at,
        "avatar": null,
        "is_verified": false,
    });
    assert_eq!(body, expected);
    let shape: String = created_at.chars().map(|it| if it.is_ascii_digit() { '0' } else { it }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00");
    let next = call(server, "/api/auth/register", wish("Jane Doe", "jane@example.com")).await.is(201).json();
    assert!(next["id"].as_i64().unwrap() > id, "{next}");
    assert_eq!(next["username"], "Jane Doe");
    let link = outbox::wait_for_mail(server, "john@example.com", 0).await.link();
    let expected = "https://id.example.org/api/auth/confirmed_email/";
    assert!(link.starts_with(expected), "{link}");
}

async fn every_fault_of_a_wish_is_told_at_once(server: &TestServer) {
    let wish = |body: Value| call(server, "/api/auth/register", body);
    let (name, email, password) = (&["body", "username"][..], &["body", "email"][..], &["body", "password"][..]);
    wish(json!({})).await.finds(&[(name, "missing"), (email, "missing"), (password, "missing")]);
    let wrong = json!({"username": 1, "email": "john", "password": null});
    wish(wrong).await.finds(&[(name, "string_type"), (email, "value_error"), (password, "string_type")]);
    let empty = json!({"username": " ", "email": "", "password": "short"});
    let refused = wish(empty).await;
    refused.finds(&[(email, "value_error"), (name, "value_error"), (password, "string_too_short")]);
    let detail = refused.json()["detail"].clone();
    let entry = detail.as_array().unwrap().iter().find(|entry| entry["loc"][1] == "password").unwrap();
    assert_eq!(
        (&entry["msg"], &entry["ctx"]),
        (&"String should have at least 8 characters".into(), &json!({"min_length": 8}))
    );
    for (weak, kind) in
        [("123456", "string_too_short"), ("password", "value_error"), (&*"x".repeat(129), "string_too_long")]
    {
        wish(json!({"username": "a", "email": "a@example.com", "password": weak})).await.finds(&[(password, kind)]);
    }
    call(server, "/api/auth/register", json!([])).await.finds(&[(&["body"], "model_attributes_type")]);
    server.post("/api/auth/register").send_checked().await.finds(&[(&["body"], "missing")]);
    let post = |media_type: &str, body: String| {
        server.post("/api/auth/register").header("content-type", media_type).body(body)
    };
    let unreadable = post("application/json", "{".to_owned()).send_checked().await;
    assert_eq!(unreadable.is(422).json()["detail"][0]["type"], "json_invalid");
    post("text/plain", "{}".to_owned()).send_checked().await.tells(415, "Unsupported Media Type");
    let large = format!("{{\"email\":\"{}\"}}", "x".repeat(70_000));
    post("application/json", large).send_checked().await.tells(413, "Content Too Large");
}

async fn an_address_and_a_name_are_somebodys_once(server: &TestServer) {
    register(server, "taken").await.is(201);
    for (username, email, detail) in [
        ("another", "taken@example.com", "User with this email already exist"),
        ("another", " TAKEN@Example.com", "User with this email already exist"),
        ("taken", "taken@example.com", "User with this email already exist"),
        ("Taken", "another@example.com", "User with this username already exists"),
    ] {
        let body = json!({"username": username, "email": email, "password": PASSWORD});
        call(server, "/api/auth/register", body).await.tells(409, detail);
    }
    outbox::wait_until_queue_is_empty(server).await;
    assert_eq!(outbox::mails(server, "another@example.com").len(), 0);
}

async fn signing_in_takes_a_form_of_either_kind(server: &TestServer) {
    member(server, "formal").await;
    for name in ["formal", "Formal", "formal@example.com", " FORMAL@Example.com "] {
        let answer = login(server, name, PASSWORD).await;
        let body = answer.is(200).json();
        assert_eq!((body.as_object().unwrap().len(), &body["token_type"]), (3, &"bearer".into()), "{body}");
        assert_eq!(answer.header("cache-control"), "no-store");
        server.verify(&pair(&body).0).await.is(200);
    }
    let part =
        |name: &str, value: &str| format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let multipart = |body: String| {
        let media_type = "multipart/form-data; boundary=x";
        server.post("/api/auth/login").header("content-type", media_type).body(format!("{body}--x--\r\n"))
    };
    let body = part("grant_type", "password") + &part("username", "formal") + &part("password", PASSWORD);
    let (access, refresh) = pair(&multipart(body).send_checked().await.is(200).json());

    // Fifteen minutes and seven days, as the document says.
    let told = async |token: &str| {
        let body = call(server, "/api/v1/verify", json!({"token": token})).await.is(200).json();
        body["token"]["exp"].as_i64().unwrap() - body["token"]["iat"].as_i64().unwrap()
    };
    assert_eq!((told(&access).await, told(&refresh).await), (15 * 60, 7 * 24 * 60 * 60));

    let (name, password) = (&["body", "username"][..], &["body", "password"][..]);
    server.form("/api/auth/login", &[]).await.finds(&[(name, "missing"), (password, "missing")]);
    multipart(part("username", "formal")).send_checked().await.finds(&[(password, "missing")]);
    let json = call(server, "/api/auth/login", json!({"username": "formal", "password": PASSWORD})).await;
    json.tells(415, "Unsupported Media Type");
}

async fn a_wrong_password_and_an_unknown_name_are_one_answer(server: &TestServer) {
    member(server, "known").await;
    let wrong = login(server, "known", "securepassword124").await;
    assert_eq!(wrong.tells(401, "User or password is incorrect").header("www-authenticate"), "Bearer");
    for unknown in ["nobody", "nobody@example.com", "", "@", "\u{0}"] {
        assert_eq!(
            login(server, unknown, PASSWORD).await.without_per_response_headers(),
            wrong.clone().without_per_response_headers(),
            "{unknown:?}"
        );
    }
    server.plan().json(&["users", "disable", "known@example.com"], "");
    login(server, "known", PASSWORD).await.tells(403, "User is disabled");
    login(server, "known", "securepassword124").await.tells(401, "User or password is incorrect");
}

async fn an_unconfirmed_address_may_not_sign_in(server: &TestServer) {
    register(server, "hasty").await.is(201);
    for name in ["hasty", "hasty@example.com"] {
        login(server, name, PASSWORD).await.tells(401, "User is not verified");
        login(server, name, "securepassword124").await.tells(401, "User or password is incorrect");
    }
    // Elsewhere it may, as the settings there say.
    server.try_sign_in("hasty@example.com", PASSWORD).await.is(201);
    let token = outbox::wait_for_mail(server, "hasty@example.com", 0).await.token();
    confirm(server, &token).await.is(200);
    login(server, "hasty", PASSWORD).await.is(200);
}

async fn a_second_factor_is_asked_for(server: &TestServer) {
    member(server, "careful").await;
    let (access, _) = signed_in(server, "careful").await;
    let (key, codes) = totp::enable_totp(server, &access, PASSWORD).await;
    let with = async |code: &str| {
        let fields = [("username", "careful"), ("password", PASSWORD), ("totp_code", code)];
        server.form("/api/auth/login", &fields).await
    };
    login(server, "careful", PASSWORD).await.tells(401, "totp_required");
    login(server, "careful", "securepassword124").await.tells(401, "User or password is incorrect");
    with(&totp::wrong_code(&key)).await.tells(401, "Invalid totp_code");
    let code = totp::code(&key, 1);
    with(&code).await.is(200);
    with(&code).await.tells(401, "Invalid totp_code");
    with(&codes[0]).await.is(200);
    with(&codes[0]).await.tells(401, "Invalid totp_code");
}

async fn refresh_tokens_are_rotated(server: &TestServer) {
    member(server, "rotating").await;
    let (access, first) = signed_in(server, "rotating").await;
    let answer = refresh(server, &first).await;
    let body = answer.is(200).json();
    assert_eq!((body.as_object().unwrap().len(), &body["token_type"]), (3, &"bearer".into()), "{body}");
    assert_eq!(answer.header("cache-control"), "no-store");
    let (new_access, second) = pair(&body);
    assert!(new_access != access && second != first);
    // An answer that was lost can be had again.
    assert_eq!(pair(&refresh(server, &first).await.is(200).json()).1, second);
    refresh(server, &second).await.is(200);

    for bad in ["", "garbage", &access, &tamper_signature(&second)] {
        let refused = refresh(server, bad).await;
        refused.tells(401, "Invalid or expired refresh token");
        assert!(refused.header("www-authenticate").contains(r#"error="invalid_token""#), "{refused:?}");
    }
    let field = &["body", "refresh_token"][..];
    call(server, "/api/auth/refresh-token", json!({})).await.finds(&[(field, "missing")]);
    call(server, "/api/auth/refresh-token", json!({"refresh_token": 1})).await.finds(&[(field, "string_type")]);
}

async fn a_rotated_refresh_token_that_comes_back_ends_the_session(server: &TestServer) {
    member(server, "robbed").await;
    let (access, first) = signed_in(server, "robbed").await;
    let second = pair(&refresh(server, &first).await.is(200).json()).1;
    let third = pair(&refresh(server, &second).await.is(200).json()).1;
    for token in [&first, &third] {
        refresh(server, token).await.tells(401, "Invalid or expired refresh token");
    }
    assert_eq!(server.rejection_reason(&access).await, "revoked");
}

async fn a_link_confirms_an_address_once_and_says_so_again(server: &TestServer) {
    register(server, "confirming").await.is(201);
    let token = outbox::wait_for_mail(server, "confirming@example.com", 0).await.token();
    let all = join_all((0..8).map(|_| confirm(server, &token))).await;
    let said = |message: &str| all.iter().filter(|answer| answer.is(200).json() == json!({"message": message})).count();
    assert_eq!(said("Email verified successfully"), 1);
    assert_eq!(said("Your email has already been confirmed."), 7);
    let again = server
        .get(&format!("/api/auth/confirmed_email/{token}/"))
        .header("accept", "application/json")
        .send_checked()
        .await;
    assert_eq!(again.is(200).json(), json!({"message": "Your email has already been confirmed."}));
    assert_eq!(server.plan().json(&["users", "show", "confirming@example.com"], "")["verified"], true);
}

async fn what_confirms_nothing_is_refused(server: &TestServer) {
    member(server, "nosy").await;
    let (access, refresh_token) = signed_in(server, "nosy").await;
    register(server, "gone").await.is(201);
    let token = outbox::wait_for_mail(server, "gone@example.com", 0).await.token();
    for bad in ["garbage", "%20", &access, &refresh_token, &tamper_signature(&token)] {
        confirm(server, bad).await.tells(422, "Invalid email verification token");
    }
    server.plan().json(&["users", "delete", "gone@example.com"], "");
    confirm(server, &token).await.tells(400, "Verification error");
    // It confirms, and lets nobody in.
    assert_eq!(server.verify(&token).await.status, 401);
    refresh(server, &token).await.tells(401, "Invalid or expired refresh token");
}

async fn a_browser_gets_a_page_and_nothing_is_confirmed_by_it(server: &TestServer) {
    register(server, "browsing").await.is(201);
    let token = outbox::wait_for_mail(server, "browsing@example.com", 0).await.token();
    let path = format!("/api/auth/confirmed_email/{token}");
    let page = server.get(&path).header("accept", "text/html,application/xhtml+xml,*/*;q=0.8").send_checked().await;
    assert_eq!(page.is(200).header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"), "{page:?}");
    server.request(Method::HEAD, &path).send_checked().await.is(200);
    login(server, "browsing", PASSWORD).await.tells(401, "User is not verified");
    let done = call(server, "/links/confirm", json!({"token": token})).await;
    assert_eq!(done.is(200).json(), json!({"status": "confirmed"}));
    login(server, "browsing", PASSWORD).await.is(200);
}

async fn a_session_of_another_dialect_goes_on_here(server: &TestServer) {
    let person = server.create_user(&[]);
    let there = server.sign_in(&person).await;
    let (access, moved) = pair(&refresh(server, &there.refresh).await.is(200).json());
    assert_ne!(moved, there.refresh);
    server.verify(&access).await.is(200);
    server.refresh(&moved).await.is(200);
}

async fn what_is_nowhere_is_worded_here_too(server: &TestServer) {
    server.get("/api/auth/nothing").send_checked().await.tells(404, "Not Found");
    server.get("/api/auth/confirmed_email").send_checked().await.tells(404, "Not Found");
    let wrong_method = server.get("/api/auth/login").send_checked().await;
    assert_eq!(wrong_method.tells(405, "Method Not Allowed").header("allow"), "OPTIONS, POST");
}

#[tokio::test]
async fn its_prefix_lifetimes_and_rules_are_settings() {
    let server = TestServer::embedded(|plan| {
        published(plan)
            .set("SIGNET_API__UCONTACT__PREFIX", "/contacts")
            .set("SIGNET_API__UCONTACT__ACCESS", "5m")
            .set("SIGNET_API__UCONTACT__VERIFIED_ONLY", "false")
            .set("SIGNET_API__UCONTACT__MIN_PASSWORD_LENGTH", "6")
            .set("SIGNET_API__UCONTACT__REFUSE_COMMON_PASSWORDS", "false")
    });
    let wish = json!({"username": "a", "email": "a@example.com", "password": "123456"});
    assert_eq!(call(&server, "/contacts/register", wish.clone()).await.is(201).json()["is_verified"], false);
    let link = outbox::wait_for_mail(&server, "a@example.com", 0).await.link();
    assert!(link.starts_with("https://id.example.org/contacts/confirmed_email/"), "{link}");
    let signed = server.form("/contacts/login", &[("username", "a"), ("password", "123456")]).await;
    let claims = server.verify(&pair(&signed.is(200).json()).0).await.is(200).json()["claims"].clone();
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
    call(&server, "/api/auth/register", wish).await.is_problem(404, "path_not_found");
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_API__UCONTACT__ENABLED", "false"));
    register(&server, "nobody").await.is_problem(404, "path_not_found");
}

#[tokio::test]
async fn it_does_without_the_others() {
    let others = ["NATIVE", "UNTURNED", "MYAUTH", "CODES", "V1"];
    let off = |plan: Plan, name: &&str| plan.set(&format!("SIGNET_API__{name}__ENABLED"), "false");
    let server = TestServer::embedded(|plan| others.iter().fold(plan, &off));
    member(&server, "alone").await;
    let (_, token) = signed_in(&server, "alone").await;
    refresh(&server, &token).await.is(200);
}

#[tokio::test]
async fn registration_can_be_closed_and_too_many_tries_are_refused() {
    let server = TestServer::embedded(|plan| {
        plan.set("USERS_OPEN_REGISTRATION", "false")
            .set("SIGNET_LIMITS__ENABLED", "true")
            .set("SIGNET_LIMITS__SIGN_IN_ACCOUNT", "3 per 5m")
    });
    register(&server, "late").await.tells(403, "Registration is closed");
    let person = server.create_user(&["--verified"]);
    let limited = async |name: &str| {
        for _ in 0..3 {
            login(&server, name, "securepassword124").await.tells(401, "User or password is incorrect");
        }
        login(&server, name, PASSWORD).await.tells(429, "Too Many Requests").text.clone()
    };
    assert_eq!(limited(&person.username).await, limited("nobody").await);
    // By address it is the same account.
    login(&server, &person.email, crate::support::server::PASSWORD).await.tells(429, "Too Many Requests");
}
