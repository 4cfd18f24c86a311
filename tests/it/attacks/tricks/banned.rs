//! Disabled, deleted and demoted users: no credential from before and no sign-in gives them a token or a right.
//! Credentials from before stay invalid when a disabled user is enabled again.

use std::collections::BTreeSet;

use super::*;
use crate::support::server::over_both_stores;

over_both_stores!(|plan| plan
        .set("SIGNET_MAILED__DAILY_TRIES", "1000").set("SIGNET_SECOND_FACTOR__RECOVERY_CODES", "20");
    every_issuing_call_is_tested, disabled_and_deleted_users_are_issued_nothing,
    mail_sent_before_sign_up_is_void_after_disabling, demoted_users_are_issued_no_rights);

/// A request that issues tokens, or that sets a password.
struct IssuingRequest {
    name: String,
    build_request: BuildRequest,
    /// True if it uses a permanent credential, a password or an API key; false if its credential was issued for one
    /// use.
    reusable: bool,
}

fn single_use(name: &str, build_request: BuildRequest) -> IssuingRequest {
    IssuingRequest { name: name.to_owned(), build_request, reusable: false }
}

fn reusable(name: &str, build_request: BuildRequest) -> IssuingRequest {
    IssuingRequest { reusable: true, ..single_use(name, build_request) }
}

/// A user without a second factor and one with it.
struct TestUsers {
    without_mfa: TestUser,
    with_mfa: TestUser,
    /// Recovery codes of the second factor; each works once.
    codes: Vec<String>,
}

impl TestUsers {
    async fn new(server: &TestServer, arguments: &[&str]) -> Self {
        let arguments = [&["--verified"], arguments].concat();
        let (without_mfa, with_mfa) = (server.create_user(&arguments), server.create_user(&arguments));
        let (_, codes) = totp::enable_totp(server, &server.sign_in(&with_mfa).await.access, PASSWORD).await;
        Self { without_mfa, with_mfa, codes }
    }

    fn both(&self) -> [&TestUser; 2] {
        [&self.without_mfa, &self.with_mfa]
    }

    /// A request for every call that issues tokens, with valid credentials.
    async fn requests(&self, server: &TestServer, codes: &[String]) -> Vec<IssuingRequest> {
        let mut requests = Self::requests_without_mfa(server, &self.without_mfa).await;
        requests.extend(Self::requests_with_mfa(server, &self.with_mfa, codes).await);
        requests
    }

    async fn requests_without_mfa(server: &TestServer, user: &TestUser) -> Vec<IssuingRequest> {
        let password = json!({"email": user.email, "password": PASSWORD});
        let form = [("username", user.email.clone()), ("password", PASSWORD.to_owned())];
        let (name, by_name) = (form.clone(), form);
        let mut requests = vec![
            reusable("native", post_json("/sessions", "", password.clone())),
            reusable("codes", post_json("/auth/signin", "", password.clone())),
            reusable("v1", post_json("/api/v1/login", "", password)),
            reusable("ucontact", Box::new(move |server| server.post("/api/auth/login").form(&name))),
            reusable("myauth", Box::new(move |server| server.post("/auth/login/oauth").form(&by_name))),
        ];
        for dialect in REFRESHING_DIALECTS {
            let (_, refresh) = sign_in_for_refresh(server, dialect, user).await;
            requests.push(single_use(&format!("refresh, {dialect}"), refresh_request(dialect, user, &refresh)));
        }
        for path in ["/links/magic", "/magic-links/redeem", "/auth/login/claim"] {
            let (token, claim) = mail_link(server, "magic", &user.email).await;
            requests.push(single_use(path, post_json(path, &token, json!({"token": token, "claim": claim}))));
        }
        let body = json!({"email": user.email, "code": mail_sign_in_code(server, &user.email).await});
        requests.push(single_use("a mailed code", post_json("/auth/verification/verify-code", "", body)));
        let (key, _) = server.api_key(user, &["introspect"]);
        let form = [("grant_type", "client_credentials".to_owned()), ("client_secret", key)];
        requests.push(reusable("an API key", Box::new(move |server| server.post("/oauth/token").form(&form))));
        requests
    }

    async fn requests_with_mfa(server: &TestServer, user: &TestUser, codes: &[String]) -> Vec<IssuingRequest> {
        let TestUser { email, .. } = user;
        let mut codes = codes.iter();
        let mut next_code = || codes.next().expect("there are enough").clone();
        let mut requests = Vec::new();
        for (index, name) in ["native", "codes with a code", "v1", "ucontact"].iter().enumerate() {
            requests.push(reusable(name, password_sign_ins(user, &next_code()).swap_remove(index)));
        }
        let (token, claim) = mail_link(server, "magic", email).await;
        let body = json!({"token": token, "claim": claim, "totp_code": next_code()});
        requests.push(single_use("/links/magic with a code", post_json("/links/magic", "", body)));
        let body = json!({"email": email, "code": mail_sign_in_code(server, email).await, "totp_code": next_code()});
        requests.push(single_use("a mailed code with a code", post_json("/auth/verification/verify-code", "", body)));
        let step = start_two_step_sign_in(server, user).await;
        requests
            .push(single_use("the second step", post_json("/auth/login/totp", &step, json!({"claim": next_code()}))));
        requests
    }
}

/// A request for every call that sets a password by a link.
async fn reset_requests(server: &TestServer, user: &TestUser) -> Vec<IssuingRequest> {
    let mut requests = Vec::new();
    for path in ["/auth/login/reset", "/links/reset"] {
        let (token, claim) = mail_link(server, "recover", &user.email).await;
        let body = json!({"token": token, "claim": claim, "new_password": OTHER_PASSWORD});
        requests.push(single_use(path, post_json(path, &token, body)));
    }
    let path = format!("/api/v1/password-reset-confirm?token={}", mail_reset_link(server, user).await);
    let body = json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD});
    requests.push(single_use(&path, post_json(&path, "", body)));
    requests
}

/// True if the schema contains an access token.
fn returns_access_token(document: &Value, schema: &Value) -> bool {
    let schema = match schema["$ref"].as_str() {
        Some(name) => document.pointer(name.trim_start_matches('#')).expect("it is there"),
        None => schema,
    };
    let alternatives = ["anyOf", "oneOf", "allOf"].iter().filter_map(|of| schema[of].as_array()).flatten();
    let fields = schema["properties"].as_object();
    fields.is_some_and(|fields| fields.contains_key("access_token"))
        || fields.is_some_and(|fields| fields.values().any(|field| returns_access_token(document, field)))
        || alternatives.into_iter().any(|schema| returns_access_token(document, schema))
}

/// The requests of this file cover every call of the OpenAPI document that issues an access token.
async fn every_issuing_call_is_tested(server: &TestServer) {
    let document = server.get("/openapi.json").send_checked().await.is(200).json();
    let mut documented = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("it has paths") {
        for (method, operation) in methods.as_object().expect("a path has methods") {
            let responses = operation["responses"].as_object().expect("a call has responses").iter();
            let mut success = responses.filter(|(status, _)| status.starts_with('2'));
            if success.any(|(_, it)| returns_access_token(&document, &it["content"]["application/json"]["schema"])) {
                documented.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    // It needs an access token, which all calls refuse from a user who is banned.
    assert!(documented.remove("PUT /me/password"));
    let users = TestUsers::new(server, &[]).await;
    let requests = users
        .requests(server, &users.codes)
        .await
        .into_iter()
        .map(|request| (request.build_request)(server).build().unwrap());
    let tested = requests.map(|it| format!("{} {}", it.method(), it.url().path())).collect::<BTreeSet<_>>();
    assert_eq!(tested, documented);
}

fn issued_access_token(response: &HttpResponse) -> Option<String> {
    let body = json_body(response);
    let access = body["data"]["access_token"].as_str().or(body["access_token"].as_str());
    access.map(str::to_owned)
}

async fn disabled_and_deleted_users_are_issued_nothing(server: &TestServer) {
    for what in ["disable", "delete"] {
        let users = TestUsers::new(server, &[]).await;
        let requests = users.requests(server, &users.codes).await;
        let resets = reset_requests(server, &users.without_mfa).await;
        let key_token = requests.iter().find(|request| request.name == "an API key").expect("it is one");
        let key_token = issued_access_token(&(key_token.build_request)(server).send_checked().await).expect("a token");
        for user in users.both() {
            server.plan().json(&["users", what, &user.email], "");
        }
        for IssuingRequest { name, build_request, .. } in requests.iter().chain(&resets) {
            // A code or link sent to the address of a deleted user proves the address, and creates another account.
            let new_account = what == "delete" && (name.contains("/login/claim") || name.contains("a mailed code"));
            let response = build_request(server).send_checked().await;
            if new_account && response.status < 300 {
                let claims =
                    server.verify(&issued_access_token(&response).expect("it signed up")).await.json()["claims"]
                        .clone();
                assert!(!users.both().iter().any(|user| claims["sub"] == user.id), "{name}: {claims}");
                continue;
            }
            assert!((400..500).contains(&response.status), "{what}, {name}: {response:?}");
            assert!(!response.text.contains("access_token"), "{what}, {name}: {response:?}");
        }
        if what == "delete" {
            continue;
        }
        for user in users.both() {
            server.plan().json(&["users", "enable", &user.email], "");
        }
        // Credentials from before are still invalid, and no link has set a password or sets one now.
        for IssuingRequest { name, build_request, .. } in
            requests.iter().filter(|request| !request.reusable).chain(&resets)
        {
            let response = build_request(server).send_checked().await;
            assert!((400..500).contains(&response.status), "after it, {name}: {response:?}");
            assert!(!response.text.contains("access_token"), "after it, {name}: {response:?}");
        }
        assert_eq!(server.rejection_reason(&key_token).await, "revoked");
        // Permanent credentials work again, recovery codes too: no refused request has used one up.
        for IssuingRequest { name, build_request, .. } in requests.iter().filter(|request| request.reusable) {
            assert!(issued_access_token(&build_request(server).send_checked().await).is_some(), "after it, {name}");
        }
        server.try_sign_in(&users.without_mfa.email, OTHER_PASSWORD).await.is(401);
    }
}

/// The codes and links were requested before the account existed, so no row could record that they are void.
async fn mail_sent_before_sign_up_is_void_after_disabling(server: &TestServer) {
    for (index, locked_out) in [(0, false), (1, true)] {
        let email = format!("early-{index}@example.org");
        let code = mail_sign_in_code(server, &email).await;
        let mut requests = Vec::new();
        for path in ["/links/magic", "/magic-links/redeem", "/auth/login/claim"] {
            let (token, claim) = mail_link(server, "magic", &email).await;
            requests.push(single_use(path, post_json(path, &token, json!({"token": token, "claim": claim}))));
        }
        let body = json!({"email": email, "code": code});
        requests.push(single_use("a mailed code", post_json("/auth/verification/verify-code", "", body)));
        // Verified, because the first proof of an address voids all other mail to it.
        server.plan().create_user(&email, PASSWORD, &["--verified"]);
        for change in ["disable", "enable"].into_iter().filter(|_| locked_out) {
            server.plan().json(&["users", change, &email], "");
        }
        for IssuingRequest { name, build_request, .. } in requests {
            let response = build_request(server).send_checked().await;
            assert_eq!(issued_access_token(&response).is_none(), locked_out, "{name}: {response:?}");
            assert!(response.status < 300 || matches!(response.status, 400 | 401), "{name}: {response:?}");
        }
    }
}

/// Tokens that are issued afterwards have only the rights of the row, and tokens from before are revoked.
async fn demoted_users_are_issued_no_rights(server: &TestServer) {
    let admin = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    for (arguments, change) in
        [(&["--superuser"][..], json!({"is_superuser": false})), (&["--role", "admin"][..], json!({"roles": []}))]
    {
        let users = TestUsers::new(server, arguments).await;
        let before = server.sign_in(&users.without_mfa).await;
        server.get("/auth/users/").bearer_auth(&before.access).send_checked().await.is(200);
        let requests = users.requests(server, &users.codes).await;
        let superuser = arguments.contains(&"--superuser");
        let (admin_key, _) = server.api_key(&users.without_mfa, if superuser { &["admin"] } else { &[] });
        for user in users.both() {
            post_json(&format!("/auth/users/{}", user.id), &admin, change.clone())(server).send_checked().await.is(200);
        }
        assert_eq!(server.rejection_reason(&before.access).await, "revoked");
        // With credentials from before, and with new ones.
        for IssuingRequest { name, build_request, reusable } in requests {
            let response = build_request(server).send_checked().await;
            if reusable {
                assert_no_rights(server, &name, &response).await;
            } else {
                assert!((400..500).contains(&response.status), "{name}: {response:?}");
                assert!(!response.text.contains("access_token"), "{name}: {response:?}");
            }
        }
        for IssuingRequest { name, build_request, reusable } in users.requests(server, &users.codes[10..]).await {
            if !reusable {
                assert_no_rights(server, &name, &build_request(server).send_checked().await).await;
            }
        }
        for bearer in [true, false] {
            let request = server.post("/admin/sign-out-everyone");
            let request =
                if bearer { request.bearer_auth(&admin_key) } else { request.header("x-api-key", &admin_key) };
            let response = request.send_checked().await;
            assert!(matches!(response.status, 401 | 403), "{response:?}");
        }
    }
}

/// Asserts that the issued token has no administrator rights.
async fn assert_no_rights(server: &TestServer, name: &str, response: &HttpResponse) {
    let access = issued_access_token(response).unwrap_or_else(|| panic!("{name}: {response:?}"));
    let claims = server.verify(&access).await.is(200).json()["claims"].clone();
    let rights = claims["superuser"] == true || claims.to_string().contains("\"admin\"");
    assert!(!rights, "{name}: {claims}");
    for (method, path) in [(Method::GET, "/auth/users/"), (Method::POST, "/admin/sign-out-everyone")] {
        let response = server.request(method, path).bearer_auth(&access).send_checked().await;
        assert!(matches!(response.status, 401 | 403), "{name}, {path}: {response:?}");
    }
}
