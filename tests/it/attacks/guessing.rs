//! Guessing: what a guesser has used up stays used up, wherever the next guess comes from, and costs no hash.

use std::rc::Rc;

use super::*;
use crate::support::signet::Plan;
use crate::support::{metric, totp};

fn plan(plan: Plan) -> Plan {
    plan.set("SIGNET_MAILED__DAILY_TRIES", "10")
        .set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1")
        .set("SIGNET_API__CODES__BACKUP_CODES", "3")
}

#[tokio::test]
async fn after_ten_wrong_ones_the_right_one_fails_embedded() {
    after_ten_wrong_ones_the_right_one_fails(TestServer::embedded(plan)).await;
}

#[tokio::test]
async fn after_ten_wrong_ones_the_right_one_fails_on_redis_and_postgres() {
    after_ten_wrong_ones_the_right_one_fails(TestServer::redis_and_postgres(plan)).await;
}

/// Where a password is handed in beside the code.
const BY_PASSWORD: [&str; 4] = ["/sessions", "/auth/signin/otp", "/api/v1/login", "/api/auth/login"];

/// How many hashes were made; an answer comes before its hash is counted, so none may be under way.
async fn hashes(server: &TestServer) -> u64 {
    loop {
        let page = server.get_management("/metrics").await.text;
        if metric(&page, "signet_hash_queue_waiting") + metric(&page, "signet_hash_queue_running") == 0 {
            return metric(&page, "signet_hashes_total");
        }
    }
}

/// What is guessed at, with the right answer, and all doors at which that is one.
struct Target {
    what: &'static str,
    right: Vec<Door>,
    wrong: Vec<Door>,
}

async fn after_ten_wrong_ones_the_right_one_fails(mut server: TestServer) {
    let targets = targets(&server).await;
    for Target { what, wrong, .. } in &targets {
        for number in 0..10 {
            let request = wrong[number % wrong.len()](&server).header("x-forwarded-for", format!("192.0.2.{number}"));
            let answer = request.send_checked().await;
            assert!(matches!(answer.status, 400 | 401 | 429), "{what}: {answer:?}");
        }
    }
    for restarted in [false, true] {
        for Target { what, right, .. } in &targets {
            for (number, request_ctx) in right.iter().enumerate() {
                for address in ["192.0.2.200", "2001:db8::1"] {
                    let request = request_ctx(&server).header("x-forwarded-for", address);
                    // A password is hashed before its second factor is due; what is only a code costs none.
                    let path =
                        request.try_clone().and_then(|it| it.build().ok()).expect("a request").url().path().to_owned();
                    let hashes_nothing = !BY_PASSWORD.contains(&path.as_str());
                    let before = hashes(&server).await;
                    let answer = request.send_checked().await;
                    let hashed = hashes(&server).await - before;
                    assert!(hashed == 0 || !hashes_nothing, "{what}, door {number}: {hashed} were made, {answer:?}");
                    let refused = matches!(answer.status, 400 | 401 | 429) && !answer.text.contains("access_token");
                    assert!(refused, "{what}, door {number}, restarted: {restarted}: {answer:?}");
                }
            }
        }
        if !restarted {
            server.signet.kill();
            server.restart();
        }
    }
}

async fn targets(server: &TestServer) -> Vec<Target> {
    let people = [server.create_user(&["--verified"]), server.create_user(&["--verified"]), server.create_user(&["--verified"])];
    let [coded, unconfirmed, linked] = &people;
    let code = mailed_code(server, &coded.email).await;
    let guess =
        |email: &str, code: &str| posting("/auth/verification/verify-code", "", json!({"email": email, "code": code}));
    let upper = coded.email.to_uppercase();
    let mut targets = vec![Target {
        what: "a mailed code",
        right: vec![guess(&coded.email, &code), guess(&upper, &code)],
        wrong: vec![guess(&coded.email, not(&code)), guess(&upper, not(&code))],
    }];

    let code = confirming_code(server, unconfirmed).await;
    let guess = |code: &str| vec![posting("/auth/mail/verify", "", json!({"user_id": unconfirmed.id, "code": code}))];
    targets.push(Target { what: "a confirming code", right: guess(&code), wrong: guess(not(&code)) });

    for (what, paths) in
        [("magic", ["/auth/login/claim", "/links/magic"]), ("recover", ["/auth/login/reset", "/links/reset"])]
    {
        let (token, claim) = link(server, what, &linked.email).await;
        let guess = |claim: &str| {
            let body = json!({"token": token, "claim": claim, "new_password": OTHER_PASSWORD});
            paths.iter().map(|path| posting(path, &token, body.clone())).collect::<Vec<_>>()
        };
        let reversed = claim.chars().rev().collect::<String>();
        targets.push(Target { what, right: guess(&claim), wrong: guess(&reversed) });
    }

    // A step of an app, a recovery code, and a backup code of the `codes` dialect: at the doors of every dialect.
    for what in ["a step", "a recovery code", "a backup code"] {
        let person = server.create_user(&["--verified"]);
        let access = server.sign_in(&person).await.access;
        let (key, right) = if what == "a backup code" {
            let made = server.post("/auth/create/otp").bearer_auth(&access).send_checked().await.is(200).json();
            (text(&made, "otp_key"), Some(made["backup_codes"][0].as_str().expect("it is text").to_owned()))
        } else {
            let (key, codes) = totp::enable_totp(server, &access, PASSWORD).await;
            (key, (what != "a step").then(|| codes[0].clone()))
        };
        let wrong =
            if what == "a recovery code" { "AAAAA-BBBBB-CCCCC-DDDDD-EE".to_owned() } else { totp::wrong_code(&key) };
        // A step is over in half a minute: the right one is the one of when it is handed in.
        let right = move || right.clone().unwrap_or_else(|| totp::code(&key, 1));
        let (step, mailed) = (first_step(server, &person).await, mailed_code(server, &person.email).await);
        let (token, claim) = link(server, "magic", &person.email).await;
        let guess = move |code: &str| {
            let mut doors = by_password(&person, code);
            doors.push(posting("/auth/login/totp", &step, json!({"claim": code})));
            let body = json!({"email": person.email, "code": mailed, "totp_code": code});
            doors.push(posting("/auth/verification/verify-code", "", body));
            doors.push(posting("/links/magic", "", json!({"token": token, "claim": claim, "totp_code": code})));
            doors
        };
        let wrong = guess(&wrong);
        let guess = Rc::new(move || guess(&right()));
        let right = (0..wrong.len()).map(|number| -> Door {
            let guess = Rc::clone(&guess);
            Box::new(move |server| guess()[number](server))
        });
        targets.push(Target { what, right: right.collect(), wrong });
    }
    targets
}

/// A code that is not this one.
fn not(code: &str) -> &'static str {
    if code == "314159" { "271828" } else { "314159" }
}

mod limited {
    use super::*;
    use crate::support::server::over_both_stores;

    fn plan(plan: Plan) -> Plan {
        ["SIGN_IN_ACCOUNT", "SIGN_IN_ADDRESS", "SIGN_UP_ADDRESS", "CODE_ADDRESS", "CODE_ACCOUNT"]
            .iter()
            .fold(plan, |plan, limit| plan.set(&format!("SIGNET_LIMITS__{limit}"), "6 per 1h"))
            .set("SIGNET_LIMITS__ENABLED", "true")
            .set("SIGNET_API__CODES__BACKUP_CODES", "3")
            .set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1")
    }

    over_both_stores!(plan; who_is_limited_costs_no_hash);

    async fn who_is_limited_costs_no_hash(server: &TestServer) {
        let guessed = server.create_user(&["--verified"]);
        let from = async |request_ctx: &Door, address: &str| {
            request_ctx(server).header("x-forwarded-for", address).send_checked().await
        };
        let (token, claim) = link(server, "recover", &guessed.email).await;
        let whole = whole_link(server, &guessed).await;
        let new = json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD});
        let reset = json!({"token": token, "claim": claim, "new_password": OTHER_PASSWORD});

        // Each with what uses its limit up, and the address that it is then asked from.
        let signing_in = || {
            let mut doors = by_password(&guessed, "000000");
            let (email, body) = (guessed.email.clone(), json!({"email": guessed.email, "password": PASSWORD}));
            doors.push(posting("/auth/signin", "", body));
            doors.push(Box::new(move |server| {
                server.post("/auth/login/oauth").form(&[("username", email.as_str()), ("password", PASSWORD)])
            }));
            doors
        };
        let newcomer = |path: &str, number: usize| {
            let email = format!("late-{number}@example.org");
            let body = json!({"email": email, "password": PASSWORD, "username": format!("late-{number}"),
                "user_name": "late"});
            posting(path, "", body)
        };
        let sign_ups = ["/auth/login/signup", "/auth/signup", "/api/auth/register", "/api/v1/register"];
        let wrong: Door = posting("/sessions", "", json!({"email": guessed.email, "password": "no"}));
        let nobody = |number: usize| {
            posting("/sessions", "", json!({"email": format!("nobody-{number}@example.org"), "password": "no"}))
        };
        let bad =
            posting("/links/reset", "", json!({"token": "no.to.ken", "claim": "x", "new_password": OTHER_PASSWORD}));
        for number in 0..6 {
            from(&wrong, &format!("192.0.2.{number}")).await.is(401);
            from(&nobody(number), "198.51.100.1").await.is(401);
            from(&bad, "198.51.100.2").await.is(400);
            let email = json!({"email": guessed.email, "password": PASSWORD});
            from(&posting("/auth/login/signup", "", email), "198.51.100.3").await.is(400);
        }
        // Backup codes are six digits and so few that they are hashed like passwords.
        let guarded = server.create_user(&["--verified"]);
        let access = server.sign_in(&guarded).await.access;
        let made = server.post("/auth/create/otp").bearer_auth(&access).send_checked().await.is(200).json();
        let step = first_step(server, &guarded).await;
        let second = |code: &str| posting("/auth/login/totp", &step, json!({"claim": code}));
        let wrong = totp::wrong_code(&text(&made, "otp_key"));
        let (mut hashed, mut refused) = (hashes(server).await, 0);
        for number in 0..6 {
            let answer = from(&second(&wrong), &format!("192.0.2.{number}")).await;
            refused += usize::from(answer.status == 400);
            assert!(matches!(answer.status, 400 | 429), "{answer:?}");
        }
        hashed = hashes(server).await - hashed;
        assert!(refused >= 5 && hashed >= 3 * refused as u64, "each try costs three: {hashed} for {refused}");
        let before = hashes(server).await;
        let mut tried = 0;
        let mut limited = async |doors: Vec<Door>, address: &str| {
            for request_ctx in doors {
                from(&request_ctx, address).await.is(429);
                tried += 1;
            }
        };
        limited(signing_in(), "203.0.113.1").await;
        limited((10..14).map(nobody).collect(), "198.51.100.1").await;
        let path = format!("/api/v1/password-reset-confirm?token={whole}");
        let resets = [("/links/reset", &reset), ("/auth/login/reset", &reset), (path.as_str(), &new)];
        limited(resets.map(|(path, body)| posting(path, &token, body.clone())).into(), "198.51.100.2").await;
        limited(sign_ups.iter().enumerate().map(|(number, path)| newcomer(path, number)).collect(), "198.51.100.3")
            .await;
        let right = made["backup_codes"].as_array().expect("they are told").iter();
        let right = right.map(|code| second(code.as_str().expect("it is text")));
        limited(right.collect(), "203.0.113.2").await;
        assert_eq!(hashes(server).await, before, "{tried} were limited");
        assert_eq!(tried, 6 + 4 + 3 + 4 + 3);
    }
}
