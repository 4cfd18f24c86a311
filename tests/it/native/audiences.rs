//! Audiences: `resource` (RFC 8707) at each call that issues tokens, what tokens for an audience contain, and where they
//! are accepted.

use serde_json::{Value, json};

use crate::support::forge::decode;
use crate::support::server::{HttpResponse, PASSWORD, SendRequest, TestServer, TestUser, over_both_stores};
use crate::support::signet::Plan;
use crate::support::{outbox, totp};

const STOCK: &str = "https://stock.example.com/api";

const SETTINGS: &str = r#"
[audiences.orders]
lifetime = "5m"
claims = ["email", "full_name", "roles"]
scopes = ["orders:read", "orders:write"]

[audiences."https://stock.example.com/api"]
claims = []

[audiences.legacy]
algorithm = "ES256"
"#;

/// A plan with these audiences, and with the environment over the file.
pub(super) fn plan(plan: Plan) -> Plan {
    std::fs::write(plan.dir().join("config.toml"), SETTINGS).unwrap();
    plan.set("SIGNET_AUDIENCES__PAYMENTS__LIFETIME", "1m")
}

over_both_stores!(plan;
    every_call_that_issues_tokens_takes_a_resource,
    unknown_resource_is_refused_before_anything_is_used_up,
    token_contains_the_claims_of_its_audience,
    client_gets_the_scopes_of_its_audience,
    account_calls_accept_no_token_of_another_audience,
    services_check_their_own_audience,
    metadata_lists_what_is_supported);

async fn sign_in(server: &TestServer, user: &TestUser, resource: &str) -> HttpResponse {
    let body = json!({"email": user.email, "password": PASSWORD, "resource": resource});
    server.post("/sessions").json(&body).send_checked().await
}

async fn refresh(server: &TestServer, token: &str, resource: &str) -> HttpResponse {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("resource", resource)];
    server.form("/oauth/token", &form).await
}

fn claims(token: &str) -> Value {
    decode(token).1
}

fn lifetime(token: &str) -> i64 {
    let claims = claims(token);
    claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap()
}

/// Requests a magic link for a user who got so many mails before; returns the mailed token and the device secret.
async fn magic_link(server: &TestServer, email: &str, before: usize) -> (String, String) {
    let body = server.post(&format!("/auth/login/magic/{email}")).send_checked().await.is(200).json();
    (outbox::wait_for_mail(server, email, before).await.token(), body["claim"].as_str().unwrap().to_owned())
}

async fn every_call_that_issues_tokens_takes_a_resource(server: &TestServer) {
    let user = server.create_user(&["--verified"]);
    let response = sign_in(server, &user, "orders").await;
    assert_eq!(response.is(201).json()["expires_in"], 300);
    let tokens = response.tokens();
    assert_eq!((&claims(&tokens.access)["aud"], lifetime(&tokens.access)), (&"orders".into(), 300));
    // A refresh chooses anew, and changes only this access token.
    let stock = refresh(server, &tokens.refresh, STOCK).await.is(200).tokens();
    assert_eq!((&claims(&stock.access)["aud"], lifetime(&stock.access)), (&STOCK.into(), 900));
    let own = server.refresh(&stock.refresh).await.is(200).tokens();
    assert_eq!((&claims(&own.access)["aud"], lifetime(&own.access)), (&"signet".into(), 900));
    let explicit = refresh(server, &own.refresh, "signet").await.is(200).tokens();
    assert_eq!(claims(&explicit.access)["aud"], "signet");
    let empty = refresh(server, &explicit.refresh, "").await.is(200).tokens();
    assert_eq!(claims(&empty.access)["aud"], "signet");
    for token in [&tokens.access, &stock.access, &own.access] {
        let claims = claims(token);
        assert_eq!((&claims["sid"], &claims["sub"]), (&tokens.session.as_str().into(), &user.id.as_str().into()));
        server.verify(token).await.is(200);
    }
    // An audience that only the environment has, and a key of another algorithm.
    let payments = refresh(server, &empty.refresh, "payments").await.is(200).tokens();
    assert_eq!((&claims(&payments.access)["aud"], lifetime(&payments.access)), (&"payments".into(), 60));
    let legacy = refresh(server, &payments.refresh, "legacy").await.is(200).tokens();
    assert_eq!(decode(&legacy.access).0["alg"], "ES256");
    assert_eq!(server.verify(&legacy.access).await.is(200).json()["claims"]["aud"], "legacy");

    let (key, _) = server.api_key(&user, &["orders:read"]);
    let form = [("grant_type", "client_credentials"), ("client_secret", key.as_str()), ("resource", "orders")];
    let body = server.form("/oauth/token", &form).await.is(200).json();
    let client_token = body["access_token"].as_str().unwrap();
    assert_eq!((&claims(client_token)["aud"], &body["expires_in"]), (&"orders".into(), &300.into()));

    let (token, claim) = magic_link(server, &user.email, 0).await;
    let body = json!({"token": token, "claim": claim, "resource": STOCK});
    let by_link = server.post("/links/magic").json(&body).send_checked().await.is(201).tokens();
    assert_eq!(claims(&by_link.access)["aud"], STOCK);

    // Ending the session ends the tokens of all audiences.
    server.delete("/sessions").bearer_auth(&own.access).send_checked().await.is(200);
    for token in [&tokens.access, &stock.access, &own.access, &payments.access, &legacy.access, &by_link.access] {
        assert_eq!(server.rejection_reason(token).await, "revoked");
    }
}

async fn unknown_resource_is_refused_before_anything_is_used_up(server: &TestServer) {
    let user = server.create_user(&["--verified"]);
    let tokens = server.sign_in(&user).await;
    let (_, codes) = totp::enable_totp(server, &tokens.access, PASSWORD).await;
    // Names are compared exactly.
    for unknown in ["unknown", "Orders", "https://stock.example.com/api/", "signet "] {
        refresh(server, &tokens.refresh, unknown).await.is_oauth_error(400, "invalid_target");
    }
    let twice = [("grant_type", "refresh_token"), ("refresh_token", &*tokens.refresh), ("resource", "orders")];
    let twice = [&twice[..], &[("resource", STOCK)]].concat();
    server.form("/oauth/token", &twice).await.is_oauth_error(400, "invalid_target");
    refresh(server, &tokens.refresh, "orders").await.is(200);
    let (key, _) = server.api_key(&user, &["read"]);
    let form = [("grant_type", "client_credentials"), ("client_secret", key.as_str()), ("resource", "unknown")];
    server.form("/oauth/token", &form).await.is_oauth_error(400, "invalid_target");
    sign_in(server, &user, "unknown").await.is_problem(400, "invalid_target");
    let (token, claim) = magic_link(server, &user.email, 1).await;
    let redeem = async |resource: &str| {
        let body = json!({"token": token, "claim": claim, "totp_code": codes[0], "resource": resource});
        server.post("/links/magic").json(&body).send_checked().await
    };
    redeem("unknown").await.is_problem(400, "invalid_target");
    redeem("orders").await.is(201);
}

async fn token_contains_the_claims_of_its_audience(server: &TestServer) {
    let user = server.create_user(&["--full-name", "Zoe \"Z\" Ng", "--superuser"]);
    let names = |token: &str| {
        let claims = claims(token);
        let names: Vec<String> = claims.as_object().unwrap().keys().cloned().collect();
        let always = ["iss", "aud", "sub", "sid", "auth_time", "iat", "exp", "jti", "client_id"];
        names.into_iter().filter(|name| !always.contains(&name.as_str())).collect::<Vec<_>>()
    };
    let orders = sign_in(server, &user, "orders").await.is(201).tokens();
    assert_eq!(names(&orders.access), ["email", "name"]);
    let found = claims(&orders.access);
    assert_eq!((&found["email"], &found["name"]), (&user.email.as_str().into(), &"Zoe \"Z\" Ng".into()));
    let stock = refresh(server, &orders.refresh, STOCK).await.is(200).tokens();
    assert!(names(&stock.access).is_empty(), "{:?}", names(&stock.access));
    let own = server.refresh(&stock.refresh).await.is(200).tokens();
    assert_eq!(names(&own.access), ["email", "email_verified", "preferred_username", "superuser"]);
    let payments = refresh(server, &own.refresh, "payments").await.is(200).tokens();
    assert_eq!(names(&payments.access), names(&own.access), "without the setting: as for tokens.audience");
    // A changed name is in the next token.
    let update = server.post(&format!("/auth/users/{}", user.id)).bearer_auth(&own.access);
    update.json(&json!({"full_name": "Zoe Ng"})).send_checked().await.is(200);
    let changed = refresh(server, &payments.refresh, "orders").await.is(200).tokens();
    assert_eq!(claims(&changed.access)["name"], "Zoe Ng");
    // Proxies are told no address that the token does not contain.
    let response = server.get("/verify?aud=https://stock.example.com/api").bearer_auth(&stock.access);
    assert_eq!(response.send_checked().await.is(200).header("x-auth-email"), "");
}

async fn client_gets_the_scopes_of_its_audience(server: &TestServer) {
    let (key, _) = server.api_key(&server.create_user(&[]), &["orders:read", "orders:write", "stock:read"]);
    let issue = async |resource: &str, scope: &str| {
        let form = [("grant_type", "client_credentials"), ("client_secret", &key), ("resource", resource)];
        let scope = if scope.is_empty() { None } else { Some(("scope", scope)) };
        server.form("/oauth/token", &form.into_iter().chain(scope).collect::<Vec<_>>()).await
    };
    assert_eq!(issue("orders", "").await.is(200).json()["scope"], "orders:read orders:write");
    assert_eq!(issue("orders", "orders:read").await.is(200).json()["scope"], "orders:read");
    issue("orders", "stock:read").await.is_oauth_error(400, "invalid_scope");
    issue("orders", "orders:read stock:read").await.is_oauth_error(400, "invalid_scope");
    assert_eq!(issue(STOCK, "").await.is(200).json()["scope"], "orders:read orders:write stock:read");
    let (other, _) = server.api_key(&server.create_user(&[]), &["stock:read"]);
    let form = [("grant_type", "client_credentials"), ("client_secret", other.as_str()), ("resource", "orders")];
    assert_eq!(server.form("/oauth/token", &form).await.is(200).json()["scope"], "");
}

/// Otherwise a service could change the accounts of its users.
async fn account_calls_accept_no_token_of_another_audience(server: &TestServer) {
    let user = server.create_user(&["--superuser"]);
    let tokens = sign_in(server, &user, "orders").await.is(201).tokens();
    let (key, _) = server.api_key(&user, &["admin", "introspect"]);
    let form = [("grant_type", "client_credentials"), ("client_secret", key.as_str()), ("resource", STOCK)];
    let client = server.form("/oauth/token", &form).await.is(200).json()["access_token"].as_str().unwrap().to_owned();
    for token in [&tokens.access, &client] {
        for path in ["/sessions", "/projects", "/auth/users/me", "/api/v1/authorized/me", "/auth/users"] {
            let response = server.get(path).bearer_auth(token).send_checked().await;
            assert_eq!(response.status, 401, "{path}: {response:?}");
        }
        for path in ["/totp", "/admin/sign-out-everyone", "/api/v1/logout"] {
            server.post(path).bearer_auth(token).json(&json!({"password": PASSWORD})).send_checked().await.is(401);
        }
        let introspect = server.post("/oauth/introspect").bearer_auth(token).form(&[("token", token)]);
        introspect.send_checked().await.is_oauth_error(401, "invalid_client");
        server.verify(token).await.is(200);
        // The published call has no field for an audience, and its response does not name that of the token.
        server.post("/api/v1/verify").json(&json!({"token": token})).send_checked().await.is(401);
    }
    let own = server.refresh(&tokens.refresh).await.is(200).tokens();
    server.get("/sessions").bearer_auth(&own.access).send_checked().await.is(200);
    server.post("/api/v1/verify").json(&json!({"token": own.access})).send_checked().await.is(200);
}

async fn services_check_their_own_audience(server: &TestServer) {
    let user = server.create_user(&["--superuser"]);
    let orders = sign_in(server, &user, "orders").await.is(201).tokens();
    let own = server.refresh(&orders.refresh).await.is(200).tokens();
    let (key, _) = server.api_key(&user, &["introspect"]);
    for (token, audience, other) in [(&orders.access, "orders", "signet"), (&own.access, "signet", "orders")] {
        let verify =
            async |aud: &str| server.post("/verify").json(&json!({"token": token, "aud": aud})).send_checked().await;
        verify(audience).await.is(200);
        assert_eq!(verify(other).await.is(401).json()["reason"], "wrong_audience");
        let batch = async |aud: &str| {
            let body = json!({"tokens": [token], "aud": aud});
            server.post("/verify/batch").json(&body).send_checked().await.is(200).json()["results"][0].clone()
        };
        assert_eq!(
            (&batch(audience).await["active"], &batch(other).await["reason"]),
            (&true.into(), &"wrong_audience".into())
        );
        let proxy =
            async |aud: &str| server.get(&format!("/verify?aud={aud}")).bearer_auth(token).send_checked().await.status;
        assert_eq!((proxy(audience).await, proxy(other).await), (200, 401));
        server.get("/verify").bearer_auth(token).send_checked().await.is(200);
        let introspect = async |aud: Option<&str>| {
            let mut form = vec![("client_secret", key.as_str()), ("token", token)];
            form.extend(aud.map(|aud| ("aud", aud)));
            server.form("/oauth/introspect", &form).await.is(200).json()
        };
        assert_eq!(introspect(None).await["aud"], audience);
        assert_eq!(introspect(Some(audience)).await["active"], true);
        assert_eq!(introspect(Some(other)).await, json!({"active": false}));
    }
}

async fn metadata_lists_what_is_supported(server: &TestServer) {
    let metadata = server.get("/.well-known/oauth-authorization-server").send_checked().await.is(200).json();
    assert_eq!(metadata["protected_resources"], json!([STOCK]));
    assert_eq!(metadata["id_token_signing_alg_values_supported"], json!(["EdDSA", "ES256"]));
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    assert!(metadata["grant_types_supported"].as_array().unwrap().contains(&exchange.into()));
}
