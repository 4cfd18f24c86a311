//! The effects that a stranger can cause with accounts of their own, of which anyone can have many: mails to an address
//! whose owner has nothing to do with the account, and rows and events that are kept.

use super::*;
use crate::support::outbox;
use crate::support::server::over_both_stores;
use crate::support::signet::Plan;

const HOME: &str = "198.51.100.7";
const ELSEWHERE: &str = "203.0.113.1";
/// More than the notices that an address which is not verified gets in a day.
const KEYS: usize = 25;

/// The limits of one account are as by default, and those of a network allow a few objects more than one account.
fn plan(plan: Plan) -> Plan {
    plan.limits(&["CREATE_ADDRESS"], "30 per 1d")
        .limits(&["MAIL_ADDRESS"], "24 per 1d")
        .limits(&["REVOKE_ADDRESS"], "6 per 1d")
        .set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1")
}

over_both_stores!(plan; notices_to_an_unverified_address_are_limited, one_network_causes_a_limited_number_of_notices,
    verified_address_gets_every_notice, one_network_creates_a_limited_number_of_objects,
    one_network_revokes_a_limited_number_of_tokens, event_about_a_key_has_few_scopes,
    exports_of_one_account_are_limited);

/// The access token of a user who has signed up with this address.
async fn sign_up(server: &TestServer, email: &str) -> String {
    let body = json!({"email": email, "password": PASSWORD});
    send_from(HOME, server.post("/users").json(&body)).await.is(201);
    send_from(HOME, server.sign_in_request(email, PASSWORD)).await.is(201).tokens().access
}

async fn create_key(server: &TestServer, network: &str, access: &str) -> HttpResponse {
    let request = server.post("/projects/personal/api-keys").bearer_auth(access);
    send_from(network, request.json(&json!({"name": "key", "scopes": ["read"]}))).await
}

async fn mails_to(server: &TestServer, email: &str) -> usize {
    outbox::wait_until_queue_is_empty(server).await;
    outbox::mails(server, email).len()
}

async fn notices_to_an_unverified_address_are_limited(server: &TestServer) {
    let victim = "victim@example.org";
    let access = sign_up(server, victim).await;
    let before = mails_to(server, victim).await;
    for number in 0..KEYS {
        create_key(server, HOME, &access).await.is(201);
        let expected = before + (number + 1).min(20);
        assert_eq!(mails_to(server, victim).await, expected, "key {number}");
    }
    // Another account with the same address has the same counter.
    send_from(HOME, server.request(Method::DELETE, "/auth/users/me").bearer_auth(&access)).await.is(200);
    let expected = before + 21;
    let access = sign_up(server, victim).await;
    create_key(server, HOME, &access).await.is(201);
    assert_eq!(mails_to(server, victim).await, expected, "the second sign-up is confirmed, and no notice sent");
}

async fn one_network_causes_a_limited_number_of_notices(server: &TestServer) {
    let (one, other) = ("one@example.org", "other@example.org");
    let accesses = [sign_up(server, one).await, sign_up(server, other).await];
    let before = [mails_to(server, one).await, mails_to(server, other).await];
    for access in &accesses {
        for _ in 0..13 {
            create_key(server, HOME, access).await.is(201);
        }
    }
    let notices = async || [mails_to(server, one).await - before[0], mails_to(server, other).await - before[1]];
    assert_eq!(notices().await, [13, 11]);
    create_key(server, ELSEWHERE, &accesses[1]).await.is(201);
    assert_eq!(notices().await, [13, 12], "another network has a budget of its own");
    let owner = server.create_user(&["--verified"]);
    let access = send_from(HOME, server.sign_in_request(&owner.email, PASSWORD)).await.is(201).tokens().access;
    create_key(server, HOME, &access).await.is(201);
    assert_eq!(mails_to(server, &owner.email).await, 1, "the owner of a verified address gets every notice");
}

async fn verified_address_gets_every_notice(server: &TestServer) {
    let user = server.create_user(&["--verified"]);
    let access = send_from(HOME, server.sign_in_request(&user.email, PASSWORD)).await.is(201).tokens().access;
    for _ in 0..KEYS {
        create_key(server, HOME, &access).await.is(201);
    }
    assert_eq!(mails_to(server, &user.email).await, KEYS);
}

async fn one_network_creates_a_limited_number_of_objects(server: &TestServer) {
    let (one, other) = (sign_up(server, "one@example.org").await, sign_up(server, "other@example.org").await);
    let create_project = async |network: &str, access: &str| {
        let request = server.post("/projects").bearer_auth(access);
        send_from(network, request.json(&json!({"name": "project"}))).await
    };
    for access in [&one, &other] {
        for _ in 0..8 {
            create_key(server, HOME, access).await.is(201);
        }
        for _ in 0..7 {
            create_project(HOME, access).await.is(201);
        }
    }
    for access in [&one, &other] {
        Dialect::Native.assert_rate_limited(&create_key(server, HOME, access).await);
        Dialect::Native.assert_rate_limited(&create_project(HOME, access).await);
    }
    create_key(server, ELSEWHERE, &one).await.is(201);
    create_project(ELSEWHERE, &one).await.is(201);
}

async fn one_network_revokes_a_limited_number_of_tokens(server: &TestServer) {
    let (one, other) = (server.create_user(&[]), server.create_user(&[]));
    let keys = [server.api_key(&one, &["revoke"]).0, server.api_key(&other, &["revoke"]).0];
    let revoke = async |network: &str, key: &str, token: &str| {
        let request = server.post("/oauth/revoke").form(&[("client_secret", key), ("token", token)]);
        send_from(network, request).await
    };
    for _ in 0..3 {
        for key in &keys {
            revoke(HOME, key, &server.client_token(key).await).await.is(200);
        }
    }
    for key in &keys {
        let token = server.client_token(key).await;
        revoke(HOME, key, &token).await.is_oauth_error(429, "temporarily_unavailable");
        let logout = server.post("/api/v1/logout").bearer_auth(&token);
        Dialect::V1.assert_rate_limited(&send_from(HOME, logout).await);
        server.verify(&token).await.is(200);
        revoke(ELSEWHERE, key, &token).await.is(200);
        assert_eq!(server.rejection_reason(&token).await, "revoked");
    }
    // A service of the operator revokes the tokens of all users from one network.
    let (operators, _) = server.api_key(&server.create_user(&["--superuser"]), &["revoke"]);
    for key in &keys {
        revoke(HOME, &operators, &server.client_token(key).await).await.is(200);
    }
}

async fn event_about_a_key_has_few_scopes(server: &TestServer) {
    let access = sign_up(server, "scopes@example.org").await;
    let scopes: Vec<_> = (0..50).map(|number| format!("{number:0>100}")).collect();
    let request = server.post("/projects/personal/api-keys").bearer_auth(&access);
    send_from(HOME, request.json(&json!({"name": "key", "scopes": scopes}))).await.is(201);
    let is_stored = async || {
        let activity = server.get("/me/activity").bearer_auth(&access).send_checked().await.is(200).json();
        let events = activity["events"].as_array().expect("a list").clone();
        events.into_iter().find(|event| event["type"] == "api_key.created")
    };
    crate::support::until("the event is stored", async || is_stored().await.is_some()).await;
    let event = is_stored().await.expect("it was stored");
    assert_eq!(event["details"]["scopes"], json!(scopes[..4]), "{event}");
    assert_eq!(event["details"]["scopes_left_out"], 46, "{event}");
}

/// An export has up to a thousand API keys, each with five kilobytes of scopes.
async fn exports_of_one_account_are_limited(server: &TestServer) {
    let (one, other) = (sign_up(server, "exporter@example.org").await, sign_up(server, "exports@example.org").await);
    let export = async |access: &str| send_from(HOME, server.get("/me/export").bearer_auth(access)).await;
    for _ in 0..20 {
        export(&one).await.is(200);
    }
    Dialect::Native.assert_rate_limited(&export(&one).await);
    export(&other).await.is(200);
}
