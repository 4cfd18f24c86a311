//! With the limits as they are by default: a person never meets them, a guesser does.

use super::*;
use crate::support::outbox;
use crate::support::server::over_both_stores;
use crate::support::signet::Plan;

const WRONG: &str = "a quiet harbour at dawn";
const HOME: &str = "198.51.100.7";

fn by_default(plan: Plan) -> Plan {
    plan.set("SIGNET_LIMITS__ENABLED", "true").set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1")
}

over_both_stores!(by_default; a_family_behind_one_address_never_meets_them,
    who_guesses_a_password_does, who_guesses_a_code_does, who_tries_names_does, who_has_mails_sent_does);

/// Each of them mistypes the password three times, here and there, asks for a code twice and mistypes that too, forgets the
/// password, turns a second factor on and mistypes that as well, all of it within a minute.
async fn a_family_behind_one_address_never_meets_them(server: &TestServer) {
    for name in ["ada", "bob", "cleo", "dan", "eve"] {
        let email = format!("{name}@family.example");
        let body = json!({"email": email, "username": name, "password": WRONG});
        from(HOME, server.post("/api/auth/register").json(&body)).await.is(201);

        let form = [("username", name), ("password", "mistyped")];
        from(HOME, server.post("/api/auth/login").form(&form)).await.is(401);
        from(HOME, server.signing_in(&email, "mistyped again")).await.is(401);
        let body = json!({"email": email, "password": "and again"});
        from(HOME, server.post("/api/v1/login").json(&body)).await.is(401);

        // Forgotten, then. The first code does not come, or so it seems.
        let confirmed = outbox::mails(server, &email).len().max(1);
        for _ in 0..2 {
            let body = json!({"email": email});
            from(HOME, server.post("/auth/verification/send-code").json(&body)).await.is(202);
        }
        let code = outbox::next(server, &email, confirmed + 1).await.code();
        let enter =
            |code: &str| server.post("/auth/verification/verify-code").json(&json!({"email": email, "code": code}));
        let mistyped = if code == "314159" { "314158" } else { "314159" };
        for _ in 0..3 {
            from(HOME, enter(mistyped)).await.is(401);
        }
        from(HOME, enter(&code)).await.is(200);

        let claim = from(HOME, server.post(&format!("/auth/login/recover/{email}"))).await.is(200).json();
        let token = outbox::next(server, &email, confirmed + 2).await.token();
        let body = json!({"token": token, "claim": claim["claim"], "new_password": PASSWORD});
        from(HOME, server.post("/links/reset").json(&body)).await.is(204);
        let access = from(HOME, server.signing_in(&email, PASSWORD)).await.is(201).tokens().access;

        let begun = from(HOME, server.post("/totp").bearer_auth(&access)).await.is(201).json();
        let key = text(&begun, "key");
        let on = |code: &str| {
            let body = json!({"code": code, "password": PASSWORD});
            server.request(Method::PUT, "/totp").bearer_auth(&access).json(&body)
        };
        from(HOME, on(&totp::wrong_code(&key))).await.is(400);
        from(HOME, on(&totp::code(&key, 0))).await.is(200);
        let sign_in = |code: &str| {
            server.post("/sessions").json(&json!({"email": email, "password": PASSWORD, "totp_code": code}))
        };
        from(HOME, sign_in(&totp::wrong_code(&key))).await.is(401);
        from(HOME, sign_in(&totp::code(&key, 1))).await.is(201);
    }
}

/// From as many addresses as he likes, in whatever dialect.
async fn who_guesses_a_password_does(server: &TestServer) {
    let person = server.person(&["--verified"]);
    let body = json!({"email": person.email, "password": WRONG});
    let form = [("username", person.username.as_str()), ("password", WRONG)];
    let asks: [&dyn Fn() -> RequestBuilder; 5] = [
        &|| server.post("/sessions").json(&body),
        &|| server.post("/auth/login/oauth").form(&form),
        &|| server.post("/auth/signin").json(&body),
        &|| server.post("/api/auth/login").form(&form),
        &|| server.post("/api/v1/login").json(&body),
    ];
    for number in 0..10 {
        let answer = from(&format!("192.0.2.{number}"), asks[number % 5]()).await;
        assert!(matches!(answer.status, 400 | 401), "{number}: {answer:?}");
    }
    for ask in asks {
        from("203.0.113.1", ask()).await.is(429);
    }
}

/// Five tries at each code, and twenty in a day.
async fn who_guesses_a_code_does(server: &TestServer) {
    let person = server.person(&[]);
    for number in 0..4 {
        let before = outbox::mails(server, &person.email).len();
        let body = json!({"email": person.email});
        let address = format!("192.0.2.{number}");
        from(&address, server.post("/auth/verification/send-code").json(&body)).await.is(202);
        let code = outbox::next(server, &person.email, before).await.code();
        let wrong = if code == "314159" { "314158" } else { "314159" };
        let guess = |code: &str| {
            server.post("/auth/verification/verify-code").json(&json!({"email": person.email, "code": code}))
        };
        for _ in 0..5 {
            from(&address, guess(wrong)).await.is(401);
        }
        let right = from(&address, guess(&code)).await;
        if number < 3 {
            right.is(401);
        } else {
            Dialect::Unturned.tells_of_too_many(&right);
            assert!(right.header("retry-after").parse::<u64>().unwrap() > 3600, "{right:?}");
        }
    }
}

async fn who_tries_names_does(server: &TestServer) {
    let ask = |number: usize| from("2001:db8:7::1", server.signing_in(&format!("name-{number}@example.org"), WRONG));
    for number in 0..100 {
        ask(number).await.is(401);
    }
    Dialect::Native.tells_of_too_many(&ask(100).await);
}

async fn who_has_mails_sent_does(server: &TestServer) {
    let person = server.person(&[]);
    let ask = async |number: usize| {
        let path = ["magic", "recover"][number % 2];
        from(&format!("192.0.2.{number}"), server.post(&format!("/auth/login/{path}/{}", person.email))).await
    };
    for number in 0..5 {
        ask(number).await.is(200);
    }
    Dialect::Myauth.tells_of_too_many(&ask(5).await);
    Dialect::Myauth.tells_of_too_many(&ask(6).await);
    outbox::next(server, &person.email, 4).await;
    assert_eq!(outbox::mails(server, &person.email).len(), 5);
}
