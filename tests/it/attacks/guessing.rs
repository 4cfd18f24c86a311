//! Guessing: exhausted attempts stay exhausted, whichever address and operation the next guess uses, and cost no hash.

use std::rc::Rc;

use futures_util::future::join_all;

use super::*;
use crate::support::signet::Plan;
use crate::support::{metric, totp};

fn plan(plan: Plan) -> Plan {
    plan.set("SIGNET_MAILED__DAILY_TRIES", "10")
        .set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1")
        .set("SIGNET_API__CODES__BACKUP_CODES", "3")
}

#[tokio::test]
async fn right_code_fails_after_ten_wrong_ones_embedded() {
    right_code_fails_after_ten_wrong_ones(TestServer::embedded(plan)).await;
}

#[tokio::test]
async fn right_code_fails_after_ten_wrong_ones_on_redis_and_postgres() {
    right_code_fails_after_ten_wrong_ones(TestServer::redis_and_postgres(plan)).await;
}

/// The operations that take a password together with the code.
const PASSWORD_CALLS: [&str; 4] = ["/sessions", "/auth/signin/otp", "/api/v1/login", "/api/auth/login"];

fn takes_password(request: &RequestBuilder) -> bool {
    let request = request.try_clone().and_then(|it| it.build().ok()).expect("a request");
    PASSWORD_CALLS.contains(&request.url().path())
}

/// The number of hashes so far. A response may precede the counting of its hash, so this waits until none is running.
async fn hashes(server: &TestServer) -> u64 {
    loop {
        let page = server.get_management("/metrics").await.text;
        if metric(&page, "signet_hash_queue_waiting") + metric(&page, "signet_hash_queue_running") == 0 {
            return metric(&page, "signet_hashes_total");
        }
    }
}

/// A secret to guess: the requests with the right value and with a wrong one, for every operation that accepts it.
struct Target {
    what: &'static str,
    right: Vec<BuildRequest>,
    wrong: Vec<BuildRequest>,
}

async fn right_code_fails_after_ten_wrong_ones(mut server: TestServer) {
    let targets = targets(&server).await;
    for Target { what, wrong, .. } in &targets {
        for number in 0..10 {
            let request = wrong[number % wrong.len()](&server).header("x-forwarded-for", format!("192.0.2.{number}"));
            let response = request.send_checked().await;
            assert!(matches!(response.status, 400 | 401 | 429), "{what}: {response:?}");
        }
    }
    for restarted in [false, true] {
        for Target { what, right, .. } in &targets {
            let addresses = ["192.0.2.200", "2001:db8::1"];
            let requests = right.iter().enumerate().flat_map(|(number, build_request)| {
                addresses.map(|address| (number, build_request(&server).header("x-forwarded-for", address)))
            });
            // The password is hashed before the second factor is checked; a code alone costs no hash.
            let (with_password, without): (Vec<_>, Vec<_>) = requests.partition(|(_, request)| takes_password(request));
            // At the same time, because the responses are delayed.
            let send = async |(number, request): (usize, RequestBuilder)| {
                let response = request.send_checked().await;
                let refused = matches!(response.status, 400 | 401 | 429) && !response.text.contains("access_token");
                assert!(refused, "{what}, request {number}, restarted: {restarted}: {response:?}");
            };
            let before = hashes(&server).await;
            join_all(without.into_iter().map(send)).await;
            assert_eq!(hashes(&server).await, before, "{what}, restarted: {restarted}");
            join_all(with_password.into_iter().map(send)).await;
        }
        if !restarted {
            server.signet.kill();
            server.restart();
        }
    }
}

async fn targets(server: &TestServer) -> Vec<Target> {
    let users =
        [server.create_user(&["--verified"]), server.create_user(&["--verified"]), server.create_user(&["--verified"])];
    let [code_user, unverified_user, link_user] = &users;
    let code = mail_sign_in_code(server, &code_user.email).await;
    let guess = |email: &str, code: &str| {
        post_json("/auth/verification/verify-code", "", json!({"email": email, "code": code}))
    };
    let uppercase = code_user.email.to_uppercase();
    let mut targets = vec![Target {
        what: "a sign-in code",
        right: vec![guess(&code_user.email, &code), guess(&uppercase, &code)],
        wrong: vec![guess(&code_user.email, other_code(&code)), guess(&uppercase, other_code(&code))],
    }];

    let code = mail_verification_code(server, unverified_user).await;
    let guess =
        |code: &str| vec![post_json("/auth/mail/verify", "", json!({"user_id": unverified_user.id, "code": code}))];
    targets.push(Target { what: "a verification code", right: guess(&code), wrong: guess(other_code(&code)) });

    for (what, paths) in
        [("magic", ["/auth/login/claim", "/links/magic"]), ("recover", ["/auth/login/reset", "/links/reset"])]
    {
        let (token, claim) = mail_link(server, what, &link_user.email).await;
        let guess = |claim: &str| {
            let body = json!({"token": token, "claim": claim, "new_password": OTHER_PASSWORD});
            paths.iter().map(|path| post_json(path, &token, body.clone())).collect::<Vec<_>>()
        };
        let reversed = claim.chars().rev().collect::<String>();
        targets.push(Target { what, right: guess(&claim), wrong: guess(&reversed) });
    }

    // A time step, a recovery code, and a backup code of the `codes` dialect: by the operations of every dialect.
    for what in ["a step", "a recovery code", "a backup code"] {
        let user = server.create_user(&["--verified"]);
        let access = server.sign_in(&user).await.access;
        let (key, right) = if what == "a backup code" {
            let created = server.post("/auth/create/otp").bearer_auth(&access).send_checked().await.is(200).json();
            (text(&created, "otp_key"), Some(created["backup_codes"][0].as_str().expect("it is text").to_owned()))
        } else {
            let (key, codes) = totp::enable_totp(server, &access, PASSWORD).await;
            (key, (what != "a step").then(|| codes[0].clone()))
        };
        let wrong =
            if what == "a recovery code" { "AAAAA-BBBBB-CCCCC-DDDDD-EE".to_owned() } else { totp::wrong_code(&key) };
        // A time step expires after half a minute, so the right code is computed when it is sent.
        let right = move || right.clone().unwrap_or_else(|| totp::code(&key, 1));
        let (step, mailed) =
            (start_two_step_sign_in(server, &user).await, mail_sign_in_code(server, &user.email).await);
        let (token, claim) = mail_link(server, "magic", &user.email).await;
        let guess = move |code: &str| {
            let mut requests = password_sign_ins(&user, code);
            requests.push(post_json("/auth/login/totp", &step, json!({"claim": code})));
            let body = json!({"email": user.email, "code": mailed, "totp_code": code});
            requests.push(post_json("/auth/verification/verify-code", "", body));
            requests.push(post_json("/links/magic", "", json!({"token": token, "claim": claim, "totp_code": code})));
            requests
        };
        let wrong = guess(&wrong);
        let guess = Rc::new(move || guess(&right()));
        let right = (0..wrong.len()).map(|number| -> BuildRequest {
            let guess = Rc::clone(&guess);
            Box::new(move |server| guess()[number](server))
        });
        targets.push(Target { what, right: right.collect(), wrong });
    }
    targets
}

/// A code other than this one.
fn other_code(code: &str) -> &'static str {
    if code == "314159" { "271828" } else { "314159" }
}

mod limited {
    use super::*;
    use crate::support::server::over_both_stores;

    fn plan(plan: Plan) -> Plan {
        let limits = ["SIGN_IN_ACCOUNT", "SIGN_IN_ADDRESS", "SIGN_UP_ADDRESS", "CODE_ADDRESS", "CODE_ACCOUNT"];
        plan.limits(&limits, "6 per 1h")
            .set("SIGNET_API__CODES__BACKUP_CODES", "3")
            .set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1")
    }

    over_both_stores!(plan; rate_limited_requests_cost_no_hash);

    async fn rate_limited_requests_cost_no_hash(server: &TestServer) {
        let limited_user = server.create_user(&["--verified"]);
        let send_from = async |build_request: &BuildRequest, address: &str| {
            build_request(server).header("x-forwarded-for", address).send_checked().await
        };
        let (token, claim) = mail_link(server, "recover", &limited_user.email).await;
        let whole = mail_reset_link(server, &limited_user).await;
        let new = json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD});
        let reset = json!({"token": token, "claim": claim, "new_password": OTHER_PASSWORD});

        // First the requests that exhaust each limit, then requests that must be limited.
        let sign_ins = || {
            let mut requests = password_sign_ins(&limited_user, "000000");
            let (email, body) =
                (limited_user.email.clone(), json!({"email": limited_user.email, "password": PASSWORD}));
            requests.push(post_json("/auth/signin", "", body));
            requests.push(Box::new(move |server| {
                server.post("/auth/login/oauth").form(&[("username", email.as_str()), ("password", PASSWORD)])
            }));
            requests
        };
        let newcomer = |path: &str, number: usize| {
            let email = format!("late-{number}@example.org");
            let body = json!({"email": email, "password": PASSWORD, "username": format!("late-{number}"),
                "user_name": "late"});
            post_json(path, "", body)
        };
        let sign_ups = ["/auth/login/signup", "/auth/signup", "/api/auth/register", "/api/v1/register"];
        let wrong: BuildRequest = post_json("/sessions", "", json!({"email": limited_user.email, "password": "no"}));
        let unknown_user = |number: usize| {
            post_json("/sessions", "", json!({"email": format!("nobody-{number}@example.org"), "password": "no"}))
        };
        let invalid_reset =
            post_json("/links/reset", "", json!({"token": "no.to.ken", "claim": "x", "new_password": OTHER_PASSWORD}));
        for number in 0..6 {
            send_from(&wrong, &format!("192.0.2.{number}")).await.is(401);
            send_from(&unknown_user(number), "198.51.100.1").await.is(401);
            send_from(&invalid_reset, "198.51.100.2").await.is(400);
            let email = json!({"email": limited_user.email, "password": PASSWORD});
            send_from(&post_json("/auth/login/signup", "", email), "198.51.100.3").await.is(400);
        }
        // Backup codes have only six digits and are therefore hashed like passwords.
        let mfa_user = server.create_user(&["--verified"]);
        let access = server.sign_in(&mfa_user).await.access;
        let created = server.post("/auth/create/otp").bearer_auth(&access).send_checked().await.is(200).json();
        let step = start_two_step_sign_in(server, &mfa_user).await;
        let second_step = |code: &str| post_json("/auth/login/totp", &step, json!({"claim": code}));
        let wrong = totp::wrong_code(&text(&created, "otp_key"));
        let (mut hashed, mut refused) = (hashes(server).await, 0);
        for number in 0..6 {
            let response = send_from(&second_step(&wrong), &format!("192.0.2.{number}")).await;
            refused += usize::from(response.status == 400);
            assert!(matches!(response.status, 400 | 429), "{response:?}");
        }
        hashed = hashes(server).await - hashed;
        assert!(refused >= 5 && hashed >= 3 * refused as u64, "each try costs three: {hashed} for {refused}");
        let before = hashes(server).await;
        let mut attempts = 0;
        let mut limited = async |requests: Vec<BuildRequest>, address: &str| {
            for build_request in requests {
                send_from(&build_request, address).await.is(429);
                attempts += 1;
            }
        };
        limited(sign_ins(), "203.0.113.1").await;
        limited((10..14).map(unknown_user).collect(), "198.51.100.1").await;
        let path = format!("/api/v1/password-reset-confirm?token={whole}");
        let resets = [("/links/reset", &reset), ("/auth/login/reset", &reset), (path.as_str(), &new)];
        limited(resets.map(|(path, body)| post_json(path, &token, body.clone())).into(), "198.51.100.2").await;
        limited(sign_ups.iter().enumerate().map(|(number, path)| newcomer(path, number)).collect(), "198.51.100.3")
            .await;
        let right = created["backup_codes"].as_array().expect("they are in the response").iter();
        let right = right.map(|code| second_step(code.as_str().expect("it is text")));
        limited(right.collect(), "203.0.113.2").await;
        assert_eq!(hashes(server).await, before, "{attempts} were limited");
        assert_eq!(attempts, 6 + 4 + 3 + 4 + 3);
    }
}
