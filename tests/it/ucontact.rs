//! The `ucontact` dialect, tested as its clients use it, in the order of its document: every call over the embedded
//! default and over Redis and Postgres.

mod settings;

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::server::{HttpResponse, SendRequest, TestServer, over_both_stores, tamper_signature};
use crate::support::signet::Plan;
use crate::support::{outbox, totp};

/// The password in the document's examples.
const PASSWORD: &str = "securepassword123";

over_both_stores!(
    published;
    sign_up_creates_an_account,
    all_invalid_fields_are_reported_together,
    address_and_username_are_unique,
    sign_in_form_may_be_urlencoded_or_multipart,
    failed_sign_ins_do_not_reveal_accounts,
    unverified_address_cannot_sign_in,
    second_factor_is_required,
    refresh_tokens_are_rotated,
    reused_refresh_token_ends_the_session,
    link_verifies_once_and_reports_later_uses,
    other_tokens_do_not_verify_an_address,
    browser_get_shows_a_page_and_verifies_nothing,
    session_of_another_dialect_continues_here,
    unknown_paths_and_methods_are_refused,
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

/// Signs up a user and verifies the address.
async fn member(server: &TestServer, name: &str) {
    register(server, name).await.is(201);
    let token = outbox::wait_for_mail(server, &format!("{name}@example.com"), 0).await.token();
    confirm(server, &token).await.is(200);
}

async fn try_sign_in(server: &TestServer, username: &str, password: &str) -> HttpResponse {
    server.form("/api/auth/login", &[("username", username), ("password", password)]).await
}

async fn sign_in(server: &TestServer, name: &str) -> (String, String) {
    token_pair(&try_sign_in(server, name, PASSWORD).await.is(200).json())
}

fn token_pair(body: &Value) -> (String, String) {
    let text = |field: &str| body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}")).to_owned();
    (text("access_token"), text("refresh_token"))
}

async fn refresh(server: &TestServer, token: &str) -> HttpResponse {
    call(server, "/api/auth/refresh-token", json!({"refresh_token": token})).await
}

trait UcontactResponse {
    /// Asserts the status and the body `{"detail":"…"}`.
    fn is_error(&self, status: u16, detail: &str) -> &Self;
    /// Asserts a 422 with these field errors: location and type of each.
    fn has_field_errors(&self, expected: &[(&[&str], &str)]) -> &Self;
}

impl UcontactResponse for HttpResponse {
    #[track_caller]
    fn is_error(&self, status: u16, detail: &str) -> &Self {
        assert_eq!((self.status, self.json()), (status, json!({"detail": detail})), "{self:?}");
        self
    }

    #[track_caller]
    fn has_field_errors(&self, expected: &[(&[&str], &str)]) -> &Self {
        let body = self.is(422).json();
        let entries = body["detail"].as_array().unwrap_or_else(|| panic!("no list: {body}"));
        let describe = |loc: &Value, kind: &Value| format!("{loc} {kind}");
        // Compared as sets: the order of the entries is not specified.
        let found: BTreeSet<_> = entries.iter().map(|entry| describe(&entry["loc"], &entry["type"])).collect();
        let errors: BTreeSet<_> = expected.iter().map(|(loc, kind)| describe(&json!(loc), &json!(kind))).collect();
        assert_eq!((found, entries.len()), (errors, expected.len()), "{body}");
        assert!(entries.iter().all(|entry| entry["msg"].is_string()), "{body}");
        self
    }
}

async fn sign_up_creates_an_account(server: &TestServer) {
    let new_user = |name: &str, email: &str| json!({"username": name, "email": email, "password": PASSWORD});
    let response = call(server, "/api/auth/register", new_user("johndoe", " John@Example.COM ")).await;
    let body = response.is(201).json();
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
    let next = call(server, "/api/auth/register", new_user("Jane Doe", "jane@example.com")).await.is(201).json();
    assert!(next["id"].as_i64().unwrap() > id, "{next}");
    assert_eq!(next["username"], "Jane Doe");
    let link = outbox::wait_for_mail(server, "john@example.com", 0).await.link();
    let expected = "https://id.example.org/api/auth/confirmed_email/";
    assert!(link.starts_with(expected), "{link}");
}

async fn all_invalid_fields_are_reported_together(server: &TestServer) {
    let sign_up = |body: Value| call(server, "/api/auth/register", body);
    let (name, email, password) = (&["body", "username"][..], &["body", "email"][..], &["body", "password"][..]);
    sign_up(json!({})).await.has_field_errors(&[(name, "missing"), (email, "missing"), (password, "missing")]);
    let wrong = json!({"username": 1, "email": "john", "password": null});
    sign_up(wrong).await.has_field_errors(&[(name, "string_type"), (email, "value_error"), (password, "string_type")]);
    let empty = json!({"username": " ", "email": "", "password": "short"});
    let response = sign_up(empty).await;
    response.has_field_errors(&[(email, "value_error"), (name, "value_error"), (password, "string_too_short")]);
    let detail = response.json()["detail"].clone();
    let entry = detail.as_array().unwrap().iter().find(|entry| entry["loc"][1] == "password").unwrap();
    assert_eq!(
        (&entry["msg"], &entry["ctx"]),
        (&"String should have at least 8 characters".into(), &json!({"min_length": 8}))
    );
    for (weak, kind) in
        [("123456", "string_too_short"), ("password", "value_error"), (&*"x".repeat(129), "string_too_long")]
    {
        let response = sign_up(json!({"username": "a", "email": "a@example.com", "password": weak})).await;
        response.has_field_errors(&[(password, kind)]);
    }
    call(server, "/api/auth/register", json!([])).await.has_field_errors(&[(&["body"], "model_attributes_type")]);
    server.post("/api/auth/register").send_checked().await.has_field_errors(&[(&["body"], "missing")]);
    let post = |media_type: &str, body: String| {
        server.post("/api/auth/register").header("content-type", media_type).body(body)
    };
    let unreadable = post("application/json", "{".to_owned()).send_checked().await;
    assert_eq!(unreadable.is(422).json()["detail"][0]["type"], "json_invalid");
    post("text/plain", "{}".to_owned()).send_checked().await.is_error(415, "Unsupported Media Type");
    let large = format!("{{\"email\":\"{}\"}}", "x".repeat(70_000));
    post("application/json", large).send_checked().await.is_error(413, "Content Too Large");
}

async fn address_and_username_are_unique(server: &TestServer) {
    register(server, "taken").await.is(201);
    for (username, email, detail) in [
        ("another", "taken@example.com", "User with this email already exist"),
        ("another", " TAKEN@Example.com", "User with this email already exist"),
        ("taken", "taken@example.com", "User with this email already exist"),
        ("Taken", "another@example.com", "User with this username already exists"),
    ] {
        let body = json!({"username": username, "email": email, "password": PASSWORD});
        call(server, "/api/auth/register", body).await.is_error(409, detail);
    }
    outbox::wait_until_queue_is_empty(server).await;
    assert_eq!(outbox::mails(server, "another@example.com").len(), 0);
}

async fn sign_in_form_may_be_urlencoded_or_multipart(server: &TestServer) {
    member(server, "formal").await;
    for name in ["formal", "Formal", "formal@example.com", " FORMAL@Example.com "] {
        let response = try_sign_in(server, name, PASSWORD).await;
        let body = response.is(200).json();
        assert_eq!((body.as_object().unwrap().len(), &body["token_type"]), (3, &"bearer".into()), "{body}");
        assert_eq!(response.header("cache-control"), "no-store");
        server.verify(&token_pair(&body).0).await.is(200);
    }
    let part =
        |name: &str, value: &str| format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let multipart = |body: String| {
        let media_type = "multipart/form-data; boundary=x";
        server.post("/api/auth/login").header("content-type", media_type).body(format!("{body}--x--\r\n"))
    };
    let body = part("grant_type", "password") + &part("username", "formal") + &part("password", PASSWORD);
    let (access, refresh) = token_pair(&multipart(body).send_checked().await.is(200).json());

    // The lifetimes of the document: 15 minutes and 7 days.
    let service = server.api_key(&server.create_user(&["--superuser"]), &["introspect"]).0;
    let lifetime = async |token: &str| {
        let form = [("token", token), ("token_type_hint", "refresh_token"), ("client_secret", &service)];
        let body = server.form("/oauth/introspect", &form).await.is(200).json();
        body["exp"].as_i64().unwrap() - body["iat"].as_i64().unwrap()
    };
    assert_eq!((lifetime(&access).await, lifetime(&refresh).await), (15 * 60, 7 * 24 * 60 * 60));

    let (name, password) = (&["body", "username"][..], &["body", "password"][..]);
    server.form("/api/auth/login", &[]).await.has_field_errors(&[(name, "missing"), (password, "missing")]);
    multipart(part("username", "formal")).send_checked().await.has_field_errors(&[(password, "missing")]);
    let json = call(server, "/api/auth/login", json!({"username": "formal", "password": PASSWORD})).await;
    json.is_error(415, "Unsupported Media Type");
}

async fn failed_sign_ins_do_not_reveal_accounts(server: &TestServer) {
    member(server, "known").await;
    let wrong = try_sign_in(server, "known", "securepassword124").await;
    assert_eq!(wrong.is_error(401, "User or password is incorrect").header("www-authenticate"), "Bearer");
    for unknown in ["nobody", "nobody@example.com", "", "@", "\u{0}"] {
        assert_eq!(
            try_sign_in(server, unknown, PASSWORD).await.without_per_response_headers(),
            wrong.clone().without_per_response_headers(),
            "{unknown:?}"
        );
    }
    server.plan().json(&["users", "disable", "known@example.com"], "");
    try_sign_in(server, "known", PASSWORD).await.is_error(403, "User is disabled");
    try_sign_in(server, "known", "securepassword124").await.is_error(401, "User or password is incorrect");
}

async fn unverified_address_cannot_sign_in(server: &TestServer) {
    register(server, "hasty").await.is(201);
    for name in ["hasty", "hasty@example.com"] {
        try_sign_in(server, name, PASSWORD).await.is_error(401, "User is not verified");
        try_sign_in(server, name, "securepassword124").await.is_error(401, "User or password is incorrect");
    }
    // The native dialect accepts an unverified address by default.
    server.try_sign_in("hasty@example.com", PASSWORD).await.is(201);
    let token = outbox::wait_for_mail(server, "hasty@example.com", 0).await.token();
    confirm(server, &token).await.is(200);
    try_sign_in(server, "hasty", PASSWORD).await.is(200);
}

async fn second_factor_is_required(server: &TestServer) {
    member(server, "careful").await;
    let (access, _) = sign_in(server, "careful").await;
    let (key, codes) = totp::enable_totp(server, &access, PASSWORD).await;
    let sign_in_with = async |code: &str| {
        let fields = [("username", "careful"), ("password", PASSWORD), ("totp_code", code)];
        server.form("/api/auth/login", &fields).await
    };
    try_sign_in(server, "careful", PASSWORD).await.is_error(401, "totp_required");
    try_sign_in(server, "careful", "securepassword124").await.is_error(401, "User or password is incorrect");
    sign_in_with(&totp::wrong_code(&key)).await.is_error(401, "Invalid totp_code");
    let code = totp::code(&key, 1);
    sign_in_with(&code).await.is(200);
    sign_in_with(&code).await.is_error(401, "Invalid totp_code");
    sign_in_with(&codes[0]).await.is(200);
    sign_in_with(&codes[0]).await.is_error(401, "Invalid totp_code");
}

async fn refresh_tokens_are_rotated(server: &TestServer) {
    member(server, "rotating").await;
    let (access, first) = sign_in(server, "rotating").await;
    let response = refresh(server, &first).await;
    let body = response.is(200).json();
    assert_eq!((body.as_object().unwrap().len(), &body["token_type"]), (3, &"bearer".into()), "{body}");
    assert_eq!(response.header("cache-control"), "no-store");
    let (new_access, second) = token_pair(&body);
    assert!(new_access != access && second != first);
    // A lost response can be repeated: the predecessor returns the same successor.
    assert_eq!(token_pair(&refresh(server, &first).await.is(200).json()).1, second);
    refresh(server, &second).await.is(200);

    for bad in ["", "garbage", &access, &tamper_signature(&second)] {
        let response = refresh(server, bad).await;
        response.is_error(401, "Invalid or expired refresh token");
        assert!(response.header("www-authenticate").contains(r#"error="invalid_token""#), "{response:?}");
    }
    let field = &["body", "refresh_token"][..];
    call(server, "/api/auth/refresh-token", json!({})).await.has_field_errors(&[(field, "missing")]);
    call(server, "/api/auth/refresh-token", json!({"refresh_token": 1}))
        .await
        .has_field_errors(&[(field, "string_type")]);
}

async fn reused_refresh_token_ends_the_session(server: &TestServer) {
    member(server, "robbed").await;
    let (access, first) = sign_in(server, "robbed").await;
    let second = token_pair(&refresh(server, &first).await.is(200).json()).1;
    let third = token_pair(&refresh(server, &second).await.is(200).json()).1;
    for token in [&first, &third] {
        refresh(server, token).await.is_error(401, "Invalid or expired refresh token");
    }
    assert_eq!(server.rejection_reason(&access).await, "revoked");
}

async fn link_verifies_once_and_reports_later_uses(server: &TestServer) {
    register(server, "confirming").await.is(201);
    let token = outbox::wait_for_mail(server, "confirming@example.com", 0).await.token();
    let all = join_all((0..8).map(|_| confirm(server, &token))).await;
    let count =
        |message: &str| all.iter().filter(|response| response.is(200).json() == json!({"message": message})).count();
    assert_eq!(count("Email verified successfully"), 1);
    assert_eq!(count("Your email has already been confirmed."), 7);
    let again = server
        .get(&format!("/api/auth/confirmed_email/{token}/"))
        .header("accept", "application/json")
        .send_checked()
        .await;
    assert_eq!(again.is(200).json(), json!({"message": "Your email has already been confirmed."}));
    assert_eq!(server.plan().json(&["users", "show", "confirming@example.com"], "")["verified"], true);
}

async fn other_tokens_do_not_verify_an_address(server: &TestServer) {
    member(server, "nosy").await;
    let (access, refresh_token) = sign_in(server, "nosy").await;
    register(server, "gone").await.is(201);
    let token = outbox::wait_for_mail(server, "gone@example.com", 0).await.token();
    for bad in ["garbage", "%20", &access, &refresh_token, &tamper_signature(&token)] {
        confirm(server, bad).await.is_error(422, "Invalid email verification token");
    }
    server.plan().json(&["users", "delete", "gone@example.com"], "");
    confirm(server, &token).await.is_error(400, "Verification error");
    // A verification token does not authenticate.
    assert_eq!(server.verify(&token).await.status, 401);
    refresh(server, &token).await.is_error(401, "Invalid or expired refresh token");
}

async fn browser_get_shows_a_page_and_verifies_nothing(server: &TestServer) {
    register(server, "browsing").await.is(201);
    let token = outbox::wait_for_mail(server, "browsing@example.com", 0).await.token();
    let path = format!("/api/auth/confirmed_email/{token}");
    let page = server.get(&path).header("accept", "text/html,application/xhtml+xml,*/*;q=0.8").send_checked().await;
    assert_eq!(page.is(200).header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"), "{page:?}");
    server.request(Method::HEAD, &path).send_checked().await.is(200);
    try_sign_in(server, "browsing", PASSWORD).await.is_error(401, "User is not verified");
    let done = call(server, "/links/confirm", json!({"token": token})).await;
    assert_eq!(done.is(200).json(), json!({"status": "confirmed"}));
    try_sign_in(server, "browsing", PASSWORD).await.is(200);
}

async fn session_of_another_dialect_continues_here(server: &TestServer) {
    let user = server.create_user(&["--verified"]);
    let native = server.sign_in(&user).await;
    let (access, next) = token_pair(&refresh(server, &native.refresh).await.is(200).json());
    assert_ne!(next, native.refresh);
    server.verify(&access).await.is(200);
    server.refresh(&next).await.is(200);
}

async fn unknown_paths_and_methods_are_refused(server: &TestServer) {
    server.get("/api/auth/nothing").send_checked().await.is_error(404, "Not Found");
    server.get("/api/auth/confirmed_email").send_checked().await.is_error(404, "Not Found");
    let wrong_method = server.get("/api/auth/login").send_checked().await;
    assert_eq!(wrong_method.is_error(405, "Method Not Allowed").header("allow"), "OPTIONS, POST");
}
