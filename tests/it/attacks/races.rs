//! Concurrent requests of which only one may succeed: redeeming, claiming and revoking, on two nodes of one fleet and
//! by every operation that does the same.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::*;

use crate::support::signet::Plan;
use crate::support::{outbox, totp, until};

fn plan(plan: Plan) -> Plan {
    plan.set("SIGNET_TOKENS__GRACE", "0s")
        .set("SIGNET_SERVER__WORKERS", "2")
        .set("SIGNET_MAILED__DAILY_TRIES", "1000")
        .set("SIGNET_API__CODES__BACKUP_CODES", "10")
}

/// Makes two tests of each case: on one embedded node, and on two nodes with Redis and Postgres.
macro_rules! on_one_node_and_on_two {
    ($($case:ident),+ $(,)?) => {
        mod embedded {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let nodes = [TestServer::embedded(plan)];
                    Box::pin(super::$case(&nodes)).await;
                }
            )+
        }

        mod two_nodes_on_redis_and_postgres {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let first = TestServer::redis_and_postgres(plan);
                    let second = TestServer::start(first.plan().another_node());
                    Box::pin(super::$case(&[first, second])).await;
                }
            )+
        }
    };
}

on_one_node_and_on_two!(
    one_of_fifty_refreshes_without_grace_succeeds,
    one_of_twenty_redemptions_of_a_sign_in_code_succeeds,
    one_of_twenty_redemptions_of_a_verification_code_succeeds,
    one_of_twenty_redemptions_of_a_magic_link_succeeds,
    one_of_twenty_redemptions_of_a_reset_succeeds,
    one_of_several_reset_links_of_a_user_succeeds,
    one_of_twenty_redemptions_of_a_confirmation_succeeds,
    one_of_twenty_uses_of_a_second_factor_succeeds,
    one_of_twenty_uses_of_a_backup_code_succeeds,
    one_of_twenty_claims_of_an_address_succeeds,
    one_of_twenty_claims_of_a_username_succeeds,
    sign_out_during_refreshes_ends_the_session
);

/// Sends `count` requests concurrently to all nodes, and by each operation in turn.
async fn send_concurrently(nodes: &[TestServer], count: usize, requests: &[BuildRequest]) -> Vec<HttpResponse> {
    let send =
        |number: usize| requests[number / nodes.len() % requests.len()](&nodes[number % nodes.len()]).send_checked();
    join_all((0..count).map(send)).await
}

/// The successful responses; all others must be refusals without a token.
#[track_caller]
fn successes(what: &str, responses: Vec<HttpResponse>) -> Vec<HttpResponse> {
    // A confirmation link reports whether this request or an earlier one confirmed the address.
    let success = |response: &HttpResponse| response.status < 300 && !response.text.contains("\"already");
    let (successes, failures) = responses.into_iter().partition::<Vec<_>, _>(success);
    for response in failures {
        assert!(response.status < 500 && !response.text.contains("access_token"), "{what}: {response:?}");
    }
    successes
}

/// The only success.
#[track_caller]
fn assert_one_success(what: &str, responses: Vec<HttpResponse>) -> HttpResponse {
    let mut successes = successes(what, responses);
    assert_eq!(successes.len(), 1, "{what}: {successes:?}");
    successes.swap_remove(0)
}

async fn one_of_fifty_refreshes_without_grace_succeeds(nodes: &[TestServer]) {
    let user = nodes[0].create_user(&["--verified"]);
    let rotating = ["native", "myauth", "unturned", "ucontact"];
    for dialects in rotating.iter().map(std::slice::from_ref).chain([&rotating[..]]) {
        let TokenPair { access, refresh, .. } = nodes[0].sign_in(&user).await;
        let requests: Vec<_> = dialects.iter().map(|dialect| refresh_request(dialect, &user, &refresh)).collect();
        let responses = send_concurrently(nodes, 50, &requests).await;
        let (new_access, successor) = token_pair(&assert_one_success(&format!("{dialects:?}"), responses));
        // The other requests presented a rotated token, which counts as stolen. So the session ends for all.
        for node in nodes {
            for token in [&new_access, &access] {
                until("the session is over", async || node.rejection_reason(token).await == "revoked").await;
            }
            for token in [&successor, &refresh] {
                node.refresh(token).await.is_oauth_error(400, "invalid_grant");
            }
        }
    }
    // Dialects that keep their refresh tokens accept all requests.
    for dialect in ["codes", "v1"] {
        let (access, refresh) = sign_in_for_refresh(&nodes[0], dialect, &user).await;
        let responses = send_concurrently(nodes, 50, &[refresh_request(dialect, &user, &refresh)]).await;
        assert!(responses.iter().all(|response| response.status == 200), "{responses:?}");
        nodes[0].verify(&access).await.is(200);
        nodes[0].refresh(&refresh).await.is(200);
    }
}

/// Sends twenty requests with the same secret, of which one must succeed.
async fn assert_one_redemption(nodes: &[TestServer], what: &str, requests: &[BuildRequest]) -> HttpResponse {
    assert_one_success(what, send_concurrently(nodes, 20, requests).await)
}

async fn one_of_twenty_redemptions_of_a_sign_in_code_succeeds(nodes: &[TestServer]) {
    let server = &nodes[0];
    for email in ["nobody-yet@example.org", &server.create_user(&[]).email] {
        let body = json!({"email": email, "code": mail_sign_in_code(server, email).await});
        assert_one_redemption(nodes, "a sign-in code", &[post_json("/auth/verification/verify-code", "", body)]).await;
    }
}

async fn one_of_twenty_redemptions_of_a_verification_code_succeeds(nodes: &[TestServer]) {
    let server = &nodes[0];
    let user = server.create_user(&[]);
    let body = json!({"user_id": user.id, "code": mail_verification_code(server, &user).await});
    assert_one_redemption(nodes, "a verification code", &[post_json("/auth/mail/verify", "", body)]).await;
}

async fn one_of_twenty_redemptions_of_a_magic_link_succeeds(nodes: &[TestServer]) {
    let server = &nodes[0];
    for email in ["nobody-knows@example.org", &server.create_user(&[]).email] {
        let (token, claim) = mail_link(server, "magic", email).await;
        let body = json!({"token": token, "claim": claim});
        let requests = [post_json("/auth/login/claim", &token, body.clone()), post_json("/links/magic", "", body)];
        assert_one_redemption(nodes, "a magic link", &requests).await;
    }
}

async fn one_of_twenty_redemptions_of_a_reset_succeeds(nodes: &[TestServer]) {
    let server = &nodes[0];
    let user = server.create_user(&[]);
    let (token, claim) = mail_link(server, "recover", &user.email).await;
    let body = json!({"token": token, "claim": claim, "new_password": OTHER_PASSWORD});
    let requests = [post_json("/auth/login/reset", &token, body.clone()), post_json("/links/reset", "", body)];
    assert_one_redemption(nodes, "a reset", &requests).await;

    let user = server.create_user(&[]);
    let token = mail_reset_link(server, &user).await;
    let path = format!("/api/v1/password-reset-confirm?token={token}");
    let new = json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD});
    let body = json!({"token": token, "new_password": OTHER_PASSWORD});
    assert_one_redemption(
        nodes,
        "a reset without device secret",
        &[post_json(&path, "", new), post_json("/links/reset", "", body)],
    )
    .await;
}

/// The password that one link sets voids the others, also those that are being redeemed.
async fn one_of_several_reset_links_of_a_user_succeeds(nodes: &[TestServer]) {
    let server = &nodes[0];
    for arguments in [Vec::new(), vec!["--verified"]] {
        let user = server.create_user(&arguments);
        let mut requests = Vec::new();
        for number in 0..4 {
            let (token, claim) = mail_link(server, "recover", &user.email).await;
            let body = json!({"token": token, "claim": claim, "new_password": format!("{OTHER_PASSWORD} {number}")});
            requests.push(post_json("/links/reset", "", body));
        }
        assert_one_redemption(nodes, "several resets", &requests).await;
    }
}

async fn one_of_twenty_redemptions_of_a_confirmation_succeeds(nodes: &[TestServer]) {
    let server = &nodes[0];
    let body = json!({"email": "unconfirmed@example.org", "username": "unconfirmed", "password": PASSWORD});
    server.post("/api/v1/register").json(&body).send_checked().await.is(201);
    let token = outbox::wait_for_mail(server, "unconfirmed@example.org", 0).await.token();
    assert_one_redemption(nodes, "a confirmation", &[post_json("/links/confirm", "", json!({"token": token}))]).await;
}

async fn one_of_twenty_uses_of_a_second_factor_succeeds(nodes: &[TestServer]) {
    let server = &nodes[0];
    let user = server.create_user(&["--verified"]);
    let access = server.sign_in(&user).await.access;
    let enrollment = server.post("/totp").bearer_auth(&access).send_checked().await.is(201).json();
    let key = text(&enrollment, "key");
    let code = totp::code(&key, 0);
    let enable_totp = move |path: &'static str, field: &'static str| -> BuildRequest {
        let (access, body) = (access.clone(), json!({field: code, "uri": "", "password": PASSWORD}));
        Box::new(move |server| server.request(Method::PUT, path).bearer_auth(&access).json(&body))
    };
    let on = assert_one_redemption(
        nodes,
        "enabling TOTP",
        &[enable_totp("/totp", "code"), enable_totp("/auth/login/totp", "claim")],
    )
    .await;
    let recovery = on.json()["recovery_codes"].clone();
    assert_one_redemption(nodes, "a time step", &password_sign_ins(&user, &totp::code(&key, 1))).await;
    assert_one_redemption(nodes, "a recovery code", &password_sign_ins(&user, recovery[0].as_str().unwrap())).await;
    let step = start_two_step_sign_in(server, &user).await;
    let body = json!({"claim": recovery[1]});
    assert_one_redemption(nodes, "a second step", &[post_json("/auth/login/totp", &step, body)]).await;
}

async fn one_of_twenty_uses_of_a_backup_code_succeeds(nodes: &[TestServer]) {
    let server = &nodes[0];
    let user = server.create_user(&["--verified"]);
    let access = server.sign_in(&user).await.access;
    let created = server.post("/auth/create/otp").bearer_auth(&access).send_checked().await.is(200).json();
    assert_one_redemption(
        nodes,
        "a backup code",
        &password_sign_ins(&user, created["backup_codes"][0].as_str().unwrap()),
    )
    .await;
}

/// By sign-up, by an administrator who creates a user, and by a user who changes the own address.
async fn one_of_twenty_claims_of_an_address_succeeds(nodes: &[TestServer]) {
    let (one, other) = (nodes[0].create_user(&[]), nodes[0].create_user(&[]));
    let admin = nodes[0].sign_in(&nodes[0].create_user(&["--superuser"])).await.access;
    let mover_tokens = [nodes[0].sign_in(&one).await.access, nodes[0].sign_in(&other).await.access];
    for round in 0..4 {
        let email = format!("wanted-{round}@example.org");
        let (upper, name) = (email.to_uppercase(), format!("wanted-{round}"));
        let mut requests = vec![
            post_json("/auth/login/signup", "", json!({"email": email, "password": PASSWORD})),
            post_json("/auth/signup", "", json!({"email": upper, "password": PASSWORD, "user_name": "somebody"})),
            post_json("/api/auth/register", "", json!({"email": email, "password": PASSWORD, "username": name})),
            post_json("/api/v1/register", "", json!({"email": upper, "password": PASSWORD, "username": name + "-too"})),
            post_json("/auth/users/create", &admin, json!({"email": email, "password": PASSWORD})),
        ];
        let changed = json!({"email": email, "original": PASSWORD});
        requests.extend(mover_tokens.clone().map(|access| -> BuildRequest {
            let changed = changed.clone();
            Box::new(move |server| server.request(Method::PUT, "/auth/users/me").bearer_auth(&access).json(&changed))
        }));
        // A user who repeats the change to the address that it already has gets 200 again.
        let responses = send_concurrently(nodes, 20, &requests).await;
        let owner = nodes[0].plan().json(&["users", "show", &email], "");
        let moved = [&one, &other].into_iter().any(|user| owner["id"] == user.id.as_str());
        if moved {
            let mover = |response: &&HttpResponse| response.status == 200;
            let successes: Vec<_> = responses.iter().filter(mover).collect();
            assert!(
                !successes.is_empty() && successes.iter().all(|response| response.json()["id"] == owner["id"]),
                "{responses:?}"
            );
            assert!(responses.iter().all(|response| matches!(response.status, 200 | 400 | 409 | 422)), "{responses:?}");
        } else {
            assert_one_success("an address", responses);
        }
    }
}

async fn one_of_twenty_claims_of_a_username_succeeds(nodes: &[TestServer]) {
    let sign_ups = (0..20).map(|number| -> BuildRequest {
        let name = ["Claimed", "claimed", "ＣＬＡＩＭＥＤ", " claimed "][number % 4];
        let body = json!({"email": format!("namesake-{number}@example.org"), "password": PASSWORD, "username": name});
        Box::new(move |server| server.post(["/api/v1/register", "/api/auth/register"][number % 2]).json(&body))
    });
    let sign_ups = sign_ups.collect::<Vec<_>>();
    let send = |number: usize| sign_ups[number](&nodes[number % nodes.len()]).send_checked();
    assert_one_success("a username", join_all((0..20).map(send)).await);
}

/// All tokens of a chain of refreshes are revoked, also those that were issued during the sign-out.
async fn sign_out_during_refreshes_ends_the_session(nodes: &[TestServer]) {
    let (first_node, last_node) = (&nodes[0], &nodes[nodes.len() - 1]);
    let user = first_node.create_user(&[]);
    let (service, _) = first_node.api_key(&first_node.create_user(&["--superuser"]), &["revoke"]);
    for round in 0..16 {
        let first = first_node.sign_in(&user).await;
        let mut issued = vec![first.access.clone()];
        let mut latest = first.refresh.clone();
        for _ in 0..round % 3 {
            let next = last_node.refresh(&latest).await.is(200).tokens();
            issued.push(next.access);
            latest = next.refresh;
        }
        let (access, refresh) = (issued.last().unwrap().clone(), latest.clone());
        let revoked = json!({"refresh_token": refresh});
        let sign_out = match round % 8 {
            0 => first_node.delete(&format!("/sessions/{}", first.session)).bearer_auth(&access),
            1 => first_node.delete("/sessions").bearer_auth(&access),
            2 => first_node.post("/oauth/revoke").header("x-api-key", &service).form(&[("token", &refresh)]),
            3 => first_node.post("/auth/verification/revoke-token").json(&revoked),
            4 => first_node.post("/auth/login/revoke").bearer_auth(&refresh),
            5 => first_node.post("/api/v1/logout").bearer_auth(&access),
            6 => first_node.post("/api/v1/authorized/logout").bearer_auth(&access),
            // All sessions of the user, from another session.
            _ => first_node.delete("/sessions").bearer_auth(first_node.sign_in(&user).await.access),
        };
        let chain = async {
            loop {
                let response = last_node.refresh(&latest).await;
                if response.status != 200 {
                    break response;
                }
                let next = response.tokens();
                issued.push(next.access);
                latest = next.refresh;
            }
        };
        let (sign_out, end) = tokio::join!(sign_out.send_checked(), chain);
        // The refresh token may have been rotated meanwhile; then presenting it ends the session as well.
        let replaced = matches!(round % 8, 3 | 4) && sign_out.status == 401;
        assert!(matches!(sign_out.status, 200 | 204) || replaced, "{round}: {sign_out:?}");
        end.is_oauth_error(400, "invalid_grant");
        for node in nodes {
            for token in &issued {
                until("the token is refused", async || node.rejection_reason(token).await == "revoked").await;
            }
            node.refresh(&latest).await.is_oauth_error(400, "invalid_grant");
        }
    }
}
