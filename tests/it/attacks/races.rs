//! Many at once, where one may have it: what is redeemed, claimed or ended, at two nodes of one fleet and by whatever door.

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

/// Runs each case against one embedded node, and against two on Redis and Postgres.
macro_rules! cases {
    ($($case:ident),+ $(,)?) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn embedded() {
            let nodes = [TestServer::embedded(plan)];
            $(Box::pin($case(&nodes)).await;)+
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn two_nodes_on_redis_and_postgres() {
            let first = TestServer::redis_and_postgres(plan);
            let second = TestServer::start(first.plan().another_node());
            let nodes = [first, second];
            $(Box::pin($case(&nodes)).await;)+
        }
    };
}

cases!(
    of_fifty_refreshes_without_grace_one_succeeds,
    of_twenty_redemptions_one_succeeds,
    of_twenty_claims_of_an_address_one_succeeds,
    of_twenty_claims_of_a_name_one_succeeds,
    who_signs_out_while_refreshing_is_out
);

/// Asks at all nodes at once, by turns at each of the doors.
async fn at_once(nodes: &[TestServer], many: usize, doors: &[Door]) -> Vec<HttpResponse> {
    let ask = |number: usize| doors[number / nodes.len() % doors.len()](&nodes[number % nodes.len()]).send_checked();
    join_all((0..many).map(ask)).await
}

/// The answers that are a success; all others must be refusals, without a token.
#[track_caller]
fn won(what: &str, answers: Vec<HttpResponse>) -> Vec<HttpResponse> {
    // Who comes with a link that confirms an address is told whether it was by this.
    let success = |answer: &HttpResponse| answer.status < 300 && !answer.text.contains("\"already");
    let (won, lost) = answers.into_iter().partition::<Vec<_>, _>(success);
    for answer in lost {
        assert!(answer.status < 500 && !answer.text.contains("access_token"), "{what}: {answer:?}");
    }
    won
}

/// The one that is.
#[track_caller]
fn one_of(what: &str, answers: Vec<HttpResponse>) -> HttpResponse {
    let mut won = won(what, answers);
    assert_eq!(won.len(), 1, "{what}: {won:?}");
    won.swap_remove(0)
}

async fn of_fifty_refreshes_without_grace_one_succeeds(nodes: &[TestServer]) {
    let person = nodes[0].create_user(&["--verified"]);
    let rotating = ["native", "myauth", "unturned", "ucontact"];
    for doors in rotating.iter().map(std::slice::from_ref).chain([&rotating[..]]) {
        let TokenPair { access, refresh, .. } = nodes[0].sign_in(&person).await;
        let asked: Vec<_> = doors.iter().map(|request_ctx| refreshing(request_ctx, &person, &refresh)).collect();
        let (fresh, successor) = pair(&one_of(&format!("{doors:?}"), at_once(nodes, 50, &asked).await));
        // The others came with a token that was replaced: for all that the server knows, a thief's. So it is over for whoever won.
        for node in nodes {
            for token in [&fresh, &access] {
                until("the session is over", async || node.rejection_reason(token).await == "revoked").await;
            }
            for token in [&successor, &refresh] {
                node.refresh(token).await.is_oauth_error(400, "invalid_grant");
            }
        }
    }
    // Where tokens stay as they are, all of them are good.
    for dialect in ["codes", "v1"] {
        let TokenPair { access, refresh, .. } = nodes[0].sign_in(&person).await;
        let answers = at_once(nodes, 50, &[refreshing(dialect, &person, &refresh)]).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
        nodes[0].verify(&access).await.is(200);
        nodes[0].refresh(&refresh).await.is(200);
    }
}

async fn of_twenty_redemptions_one_succeeds(nodes: &[TestServer]) {
    let server = &nodes[0];
    let race = async |what: &str, doors: &[Door]| one_of(what, at_once(nodes, 20, doors).await);

    for email in ["nobody-yet@example.org", &server.create_user(&[]).email] {
        let body = json!({"email": email, "code": mailed_code(server, email).await});
        race("a mailed code", &[posting("/auth/verification/verify-code", "", body)]).await;
    }

    let person = server.create_user(&[]);
    let body = json!({"user_id": person.id, "code": confirming_code(server, &person).await});
    race("a confirming code", &[posting("/auth/mail/verify", "", body)]).await;

    for email in ["nobody-knows@example.org", &server.create_user(&[]).email] {
        let (token, claim) = link(server, "magic", email).await;
        let body = json!({"token": token, "claim": claim});
        let doors = [posting("/auth/login/claim", &token, body.clone()), posting("/links/magic", "", body)];
        race("a magic link", &doors).await;
    }

    let person = server.create_user(&[]);
    let (token, claim) = link(server, "recover", &person.email).await;
    let body = json!({"token": token, "claim": claim, "new_password": OTHER_PASSWORD});
    let doors = [posting("/auth/login/reset", &token, body.clone()), posting("/links/reset", "", body)];
    race("a reset", &doors).await;

    let person = server.create_user(&[]);
    let token = whole_link(server, &person).await;
    let path = format!("/api/v1/password-reset-confirm?token={token}");
    let new = json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD});
    let body = json!({"token": token, "new_password": OTHER_PASSWORD});
    race("a whole link", &[posting(&path, "", new), posting("/links/reset", "", body)]).await;

    let body = json!({"email": "unconfirmed@example.org", "username": "unconfirmed", "password": PASSWORD});
    server.post("/api/v1/register").json(&body).send_checked().await.is(201);
    let token = outbox::wait_for_mail(server, "unconfirmed@example.org", 0).await.token();
    race("a confirmation", &[posting("/links/confirm", "", json!({"token": token}))]).await;

    let person = server.create_user(&["--verified"]);
    let access = server.sign_in(&person).await.access;
    let begun = server.post("/totp").bearer_auth(&access).send_checked().await.is(201).json();
    let key = text(&begun, "key");
    let code = totp::code(&key, 0);
    let turning_on = move |path: &'static str, field: &'static str| -> Door {
        let (access, body) = (access.clone(), json!({field: code, "uri": "", "password": PASSWORD}));
        Box::new(move |server| server.request(Method::PUT, path).bearer_auth(&access).json(&body))
    };
    let on = race("what turns it on", &[turning_on("/totp", "code"), turning_on("/auth/login/totp", "claim")]).await;
    let recovery = on.json()["recovery_codes"].clone();
    race("a step of an app", &by_password(&person, &totp::code(&key, 1))).await;
    race("a recovery code", &by_password(&person, recovery[0].as_str().unwrap())).await;
    let step = first_step(server, &person).await;
    let body = json!({"claim": recovery[1]});
    race("a second step", &[posting("/auth/login/totp", &step, body)]).await;

    let person = server.create_user(&["--verified"]);
    let access = server.sign_in(&person).await.access;
    let made = server.post("/auth/create/otp").bearer_auth(&access).send_checked().await.is(200).json();
    race("a backup code", &by_password(&person, made["backup_codes"][0].as_str().unwrap())).await;
}

/// By signing up, by being made, and by changing one's own address to it.
async fn of_twenty_claims_of_an_address_one_succeeds(nodes: &[TestServer]) {
    let (one, other) = (nodes[0].create_user(&[]), nodes[0].create_user(&[]));
    let root = nodes[0].sign_in(&nodes[0].create_user(&["--superuser"])).await.access;
    let movers = [nodes[0].sign_in(&one).await.access, nodes[0].sign_in(&other).await.access];
    for round in 0..4 {
        let email = format!("wanted-{round}@example.org");
        let (upper, name) = (email.to_uppercase(), format!("wanted-{round}"));
        let mut doors = vec![
            posting("/auth/login/signup", "", json!({"email": email, "password": PASSWORD})),
            posting("/auth/signup", "", json!({"email": upper, "password": PASSWORD, "user_name": "somebody"})),
            posting("/api/auth/register", "", json!({"email": email, "password": PASSWORD, "username": name})),
            posting("/api/v1/register", "", json!({"email": upper, "password": PASSWORD, "username": name + "-too"})),
            posting("/auth/users/create", &root, json!({"email": email, "password": PASSWORD})),
        ];
        let changed = json!({"email": email, "original": PASSWORD});
        doors.extend(movers.clone().map(|access| -> Door {
            let changed = changed.clone();
            Box::new(move |server| server.request(Method::PUT, "/auth/users/me").bearer_auth(&access).json(&changed))
        }));
        // Whoever asks for what he has already been given is told that he has it.
        let answers = at_once(nodes, 20, &doors).await;
        let holder = nodes[0].plan().json(&["users", "show", &email], "");
        let moved = [&one, &other].into_iter().any(|person| holder["id"] == person.id.as_str());
        if moved {
            let mover = |answer: &&HttpResponse| answer.status == 200;
            let won: Vec<_> = answers.iter().filter(mover).collect();
            assert!(!won.is_empty() && won.iter().all(|answer| answer.json()["id"] == holder["id"]), "{answers:?}");
            assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 400 | 409 | 422)), "{answers:?}");
        } else {
            one_of("an address", answers);
        }
    }
}

async fn of_twenty_claims_of_a_name_one_succeeds(nodes: &[TestServer]) {
    let sign_ups = (0..20).map(|number| -> Door {
        let name = ["Claimed", "claimed", "ＣＬＡＩＭＥＤ", " claimed "][number % 4];
        let body = json!({"email": format!("namesake-{number}@example.org"), "password": PASSWORD, "username": name});
        Box::new(move |server| server.post(["/api/v1/register", "/api/auth/register"][number % 2]).json(&body))
    });
    let sign_ups = sign_ups.collect::<Vec<_>>();
    let ask = |number: usize| sign_ups[number](&nodes[number % nodes.len()]).send_checked();
    one_of("a name", join_all((0..20).map(ask)).await);
}

/// Whatever a chain of refreshes had been given by then, and whatever it was just being given, is worth nothing.
async fn who_signs_out_while_refreshing_is_out(nodes: &[TestServer]) {
    let (here, there) = (&nodes[0], &nodes[nodes.len() - 1]);
    let person = here.create_user(&[]);
    let (service, _) = here.api_key(&here.create_user(&[]), &["revoke"]);
    for round in 0..16 {
        let first = here.sign_in(&person).await;
        let mut seen = vec![first.access.clone()];
        let mut latest = first.refresh.clone();
        for _ in 0..round % 3 {
            let next = there.refresh(&latest).await.is(200).tokens();
            seen.push(next.access);
            latest = next.refresh;
        }
        let (access, refresh) = (seen.last().unwrap().clone(), latest.clone());
        let revoked = json!({"refresh_token": refresh});
        let out = match round % 8 {
            0 => here.delete(&format!("/sessions/{}", first.session)).bearer_auth(&access),
            1 => here.delete("/sessions").bearer_auth(&access),
            2 => here.post("/oauth/revoke").header("x-api-key", &service).form(&[("token", &refresh)]),
            3 => here.post("/auth/verification/revoke-token").json(&revoked),
            4 => here.post("/auth/login/revoke").bearer_auth(&refresh),
            5 => here.post("/api/v1/logout").bearer_auth(&access),
            6 => here.post("/api/v1/authorized/logout").bearer_auth(&access),
            // Elsewhere: whoever is signed out everywhere.
            _ => here.delete("/sessions").bearer_auth(here.sign_in(&person).await.access),
        };
        let chain = async {
            loop {
                let answer = there.refresh(&latest).await;
                if answer.status != 200 {
                    break answer;
                }
                let next = answer.tokens();
                seen.push(next.access);
                latest = next.refresh;
            }
        };
        let (out, end) = tokio::join!(out.send_checked(), chain);
        // A refresh token may have been replaced on its way here, and then it is over because it came.
        let replaced = matches!(round % 8, 3 | 4) && out.status == 401;
        assert!(matches!(out.status, 200 | 204) || replaced, "{round}: {out:?}");
        end.is_oauth_error(400, "invalid_grant");
        for node in nodes {
            for token in &seen {
                until("the token is refused", async || node.rejection_reason(token).await == "revoked").await;
            }
            node.refresh(&latest).await.is_oauth_error(400, "invalid_grant");
        }
    }
}
