//! Nobody can lock an owner out: a network from which the owner signed in has budgets of its own. Its answers are those
//! that other networks get, so they reveal neither the account nor the network, and guesses from it are limited too.

use futures_util::future::join_all;

use super::attempts::wrong_code;
use super::calls::{Call, REAUTHENTICATIONS, SIGN_INS};
use super::*;
use crate::support::outbox;
use crate::support::server::over_both_stores;
use crate::support::signet::{CLIENT_LIMITS, NEVER_REACHED, Plan};

/// The network from which owners sign in.
const HOME: &str = "198.51.100.7";
/// A network from which nobody has signed in.
const ELSEWHERE: &str = "203.0.113.1";
const NEW_PASSWORD: &str = "another harbour at dawn";

/// The default limits, refilled so slowly that nothing is refilled during a test.
fn plan(plan: Plan) -> Plan {
    plan.limits(&["SIGN_IN_ACCOUNT", "REAUTHENTICATION_ACCOUNT", "CODE_ACCOUNT"], "10 per 1d")
        .limits(&["MAIL_ACCOUNT"], "5 per 1d")
        .limits(&CLIENT_LIMITS, NEVER_REACHED)
        .set("SIGNET_SERVER__TRUSTED_PROXIES", "127.0.0.1")
}

over_both_stores!(plan;
    wrong_passwords_of_strangers_lock_nobody_out, guesser_in_a_known_network_is_stopped_too,
    known_network_is_answered_like_any_other, spellings_of_a_name_share_a_counter,
    stranger_cannot_keep_mails_from_the_owner,
    total_keeps_the_code_that_the_owner_was_mailed, wrong_codes_of_strangers_lock_nobody_out,
    wrong_totp_codes_lock_nobody_out_at_home, strangers_do_not_keep_a_user_from_changing_the_password,
    new_password_forgets_networks_and_knows_the_owners, administrators_own_new_password_knows_the_network,
    enrollments_are_limited);

/// A client in the network of this number, no two of which are the same.
fn stranger(number: usize) -> String {
    format!("192.0.2.{number}")
}

/// A user who has signed in at home.
async fn owner(server: &TestServer) -> TestUser {
    let user = server.create_user(&["--verified"]);
    send_from(HOME, server.sign_in_request(&user.email, PASSWORD)).await.is(201);
    user
}

fn target(user: &TestUser) -> Target {
    let TestUser { email, username, .. } = user;
    Target { email: email.clone(), username: username.clone(), ..Target::unknown("nobody") }
}

/// Requests that sign in with the right password, of every dialect that has passwords.
fn right_sign_ins(server: &TestServer, user: &TestUser) -> Vec<(Dialect, RequestBuilder)> {
    let body = json!({"email": user.email, "password": PASSWORD});
    let by_email = [("username", user.email.as_str()), ("password", PASSWORD)];
    let by_username = [("username", user.username.as_str()), ("password", PASSWORD)];
    vec![
        (Dialect::Native, server.post("/sessions").json(&body)),
        (Dialect::Native, server.post("/sessions").json(&json!({"username": user.username, "password": PASSWORD}))),
        (Dialect::Myauth, server.post("/auth/login/oauth").form(&by_email)),
        (Dialect::Codes, server.post("/auth/signin").json(&body)),
        (Dialect::Ucontact, server.post("/api/auth/login").form(&by_username)),
        (Dialect::V1, server.post("/api/v1/login").json(&body)),
    ]
}

/// The calls that name an account by its address. A username that no account has is counted by itself.
fn sign_ins_by_email() -> Vec<&'static Call> {
    SIGN_INS.iter().filter(|call| call.name != "by username").collect()
}

/// Forty wrong passwords, from forty networks and through each of the calls.
async fn exhaust_sign_ins(server: &TestServer, calls: &[&Call], target: &Target) {
    let send = async |number: usize| {
        let call = calls[number % calls.len()];
        let response = send_from(&stranger(number), (call.request)(server, target)).await;
        match number {
            0..9 => assert!(matches!(response.status, 400 | 401), "{}: {response:?}", call.name),
            // The sign-in of the owner may have been the first of the ten.
            9 => assert!(matches!(response.status, 400 | 401 | 429), "{}: {response:?}", call.name),
            _ => call.dialect.assert_rate_limited(&response),
        }
    };
    for number in 0..10 {
        send(number).await;
    }
    // At the same time, because the responses are delayed.
    join_all((10..40).map(send)).await;
}

async fn wrong_passwords_of_strangers_lock_nobody_out(server: &TestServer) {
    let user = owner(server).await;
    exhaust_sign_ins(server, &SIGN_INS.iter().collect::<Vec<_>>(), &target(&user)).await;
    for (dialect, request) in right_sign_ins(server, &user) {
        dialect.assert_rate_limited(&send_from(ELSEWHERE, request).await);
    }
    for (dialect, request) in right_sign_ins(server, &user) {
        let response = send_from(HOME, request).await;
        assert!(matches!(response.status, 200 | 201), "{dialect:?}: {response:?}");
    }
}

async fn guesser_in_a_known_network_is_stopped_too(server: &TestServer) {
    let user = owner(server).await;
    let target = target(&user);
    exhaust_sign_ins(server, &SIGN_INS.iter().collect::<Vec<_>>(), &target).await;
    // The network's own budget is not larger than that of all others together.
    for number in 0..10 {
        let call = &SIGN_INS[number % SIGN_INS.len()];
        call.dialect.assert_rate_limited(&send_from(HOME, (call.request)(server, &target)).await);
    }
    for (dialect, request) in right_sign_ins(server, &user) {
        dialect.assert_rate_limited(&send_from(HOME, request).await);
    }
}

/// Otherwise a second spelling would tell whether an account has the name.
async fn spellings_of_a_name_share_a_counter(server: &TestServer) {
    server.plan().create_user("nikos@example.org", PASSWORD, &["--verified", "--username", "Νίκος"]);
    for [first, second] in [["Νίκος", "ΝΊΚΟΣ"], ["Πέτρος", "ΠΈΤΡΟΣ"]] {
        let send = async |name: &str| {
            let body = json!({"username": name, "password": NEW_PASSWORD});
            send_from(ELSEWHERE, server.post("/sessions").json(&body)).await
        };
        for _ in 0..10 {
            send(first).await.is(401);
        }
        Dialect::Native.assert_rate_limited(&send(second).await);
    }
}

/// A guesser in the network of an owner sees the same as with an account that does not exist.
async fn known_network_is_answered_like_any_other(server: &TestServer) {
    let known = target(&owner(server).await);
    let unknown = Target::unknown("nobody");
    let calls = sign_ins_by_email();
    for target in [&known, &unknown] {
        exhaust_sign_ins(server, &calls, target).await;
    }
    let guess = async |number: usize| {
        let call = calls[number % calls.len()];
        let address = if number.is_multiple_of(2) { HOME } else { ELSEWHERE };
        let mut forms = Vec::new();
        for target in [&known, &unknown] {
            let response = send_from(address, (call.request)(server, target)).await.without_per_response_headers();
            call.dialect.assert_rate_limited(&response);
            let names = response.headers.keys().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
            forms.push((response.status, names, response.text));
        }
        assert_eq!(forms[0], forms[1], "{}", call.name);
    };
    join_all((0..25).map(guess)).await;
    // The same for mails, when their total is exceeded.
    for kind in MailRequest::ALL {
        for email in [&known.email, &unknown.email] {
            let requests = (0..21).map(async |number| kind.send(server, &stranger(number), email).await.status);
            assert_eq!(join_all(requests).await, [kind.success(); 21]);
        }
        for address in [HOME, ELSEWHERE] {
            for email in [&known.email, &unknown.email] {
                for _ in 0..5 {
                    assert_eq!(kind.send(server, address, email).await.status, kind.success());
                }
                assert_eq!(kind.send(server, address, email).await.status, 429, "{kind:?}");
            }
        }
    }
}

/// A mail that anyone can request for any address.
#[derive(Clone, Copy, Debug)]
enum MailRequest {
    Code,
    MagicLink,
    Reset,
}

impl MailRequest {
    const ALL: [Self; 3] = [Self::Code, Self::MagicLink, Self::Reset];

    async fn send(self, server: &TestServer, address: &str, email: &str) -> HttpResponse {
        let request = match self {
            Self::Code => server.post("/auth/verification/send-code").json(&json!({"email": email})),
            Self::MagicLink => server.post(&format!("/auth/login/magic/{email}")),
            Self::Reset => server.post(&format!("/auth/login/recover/{email}")),
        };
        send_from(address, request).await
    }

    fn success(self) -> u16 {
        if matches!(self, Self::Code) { 202 } else { 200 }
    }
}

/// Mails to one person of each kind: at most the total, whoever requests them, and then only from a known network.
async fn stranger_cannot_keep_mails_from_the_owner(server: &TestServer) {
    let user = owner(server).await;
    let mut expected = 0;
    for kind in MailRequest::ALL {
        let requests = (0..40).map(async |number| kind.send(server, &stranger(number), &user.email).await.status);
        assert_eq!(join_all(requests).await, [kind.success(); 40]);
        expected += 20;
        outbox::wait_until_queue_is_empty(server).await;
        assert_eq!(outbox::mails(server, &user.email).len(), expected, "{kind:?}");
        // One stranger has a smaller share, and shows that it is exhausted.
        for number in 0..40 {
            let status = kind.send(server, ELSEWHERE, &user.email).await.status;
            assert_eq!(status, if number < 5 { kind.success() } else { 429 }, "{kind:?}, {number}");
        }
        kind.send(server, HOME, &user.email).await.is(kind.success());
        expected += 1;
        outbox::wait_until_queue_is_empty(server).await;
        assert_eq!(outbox::mails(server, &user.email).len(), expected, "{kind:?}");
    }
}

async fn total_keeps_the_code_that_the_owner_was_mailed(server: &TestServer) {
    let user = owner(server).await;
    for number in 0..20 {
        MailRequest::Code.send(server, &stranger(number), &user.email).await.is(202);
    }
    outbox::wait_until_queue_is_empty(server).await;
    MailRequest::Code.send(server, HOME, &user.email).await.is(202);
    let code = outbox::wait_for_mail(server, &user.email, 20).await.code();
    // Further requests of strangers mail nothing, so they must not replace the code.
    for number in 20..40 {
        MailRequest::Code.send(server, &stranger(number), &user.email).await.is(202);
    }
    let body = json!({"email": user.email, "code": code});
    send_from(ELSEWHERE, server.post("/auth/verification/verify-code").json(&body)).await.is(200);
}

/// Requests a code at home, and returns it.
async fn code_at_home(server: &TestServer, email: &str) -> String {
    let before = outbox::mails(server, email).len();
    MailRequest::Code.send(server, HOME, email).await.is(202);
    outbox::wait_for_mail(server, email, before).await.code()
}

async fn wrong_codes_of_strangers_lock_nobody_out(server: &TestServer) {
    let user = owner(server).await;
    let redeem = async |address: &str, code: &str| {
        let body = json!({"email": user.email, "code": code});
        send_from(address, server.post("/auth/verification/verify-code").json(&body)).await
    };
    let mut code = String::new();
    for number in 0..40 {
        if number % 5 == 0 && number < 20 {
            let address = stranger(number);
            let before = outbox::mails(server, &user.email).len();
            MailRequest::Code.send(server, &address, &user.email).await.is(202);
            code = outbox::wait_for_mail(server, &user.email, before).await.code();
        }
        let response = redeem(&stranger(number), wrong_code(&code)).await;
        match number {
            0..20 => drop(response.is(401)),
            _ => Dialect::Unturned.assert_rate_limited(&response),
        }
    }
    let code = code_at_home(server, &user.email).await;
    Dialect::Unturned.assert_rate_limited(&redeem(ELSEWHERE, &code).await);
    redeem(HOME, &code).await.is(200);
    // Guesses at home show nothing and are limited: five for each code, and twenty in all. One was used for the right
    // code.
    for _ in 0..3 {
        let code = code_at_home(server, &user.email).await;
        for _ in 0..5 {
            Dialect::Unturned.assert_rate_limited(&redeem(HOME, wrong_code(&code)).await);
        }
        Dialect::Unturned.assert_rate_limited(&redeem(HOME, &code).await);
    }
    let code = code_at_home(server, &user.email).await;
    Dialect::Unturned.assert_rate_limited(&redeem(HOME, wrong_code(&code)).await);
    Dialect::Unturned.assert_rate_limited(&redeem(HOME, &code).await);
}

/// A stranger who knows the password.
async fn wrong_totp_codes_lock_nobody_out_at_home(server: &TestServer) {
    let user = server.create_user(&["--verified"]);
    let access = send_from(HOME, server.sign_in_request(&user.email, PASSWORD)).await.is(201).tokens().access;
    let (key, recovery_codes) = totp::enable_totp(server, &access, PASSWORD).await;
    let wrong = totp::wrong_code(&key);
    let sign_in = async |address: &str, code: &str| {
        let body = json!({"email": user.email, "password": PASSWORD, "totp_code": code});
        send_from(address, server.post("/sessions").json(&body)).await
    };
    // Enabling it was the first attempt of ten.
    for number in 0..9 {
        sign_in(&stranger(number), &wrong).await.is(401);
    }
    let step = server.post("/auth/login/oauth").form(&[("username", user.email.as_str()), ("password", PASSWORD)]);
    let step = text(&send_from(HOME, step).await.is(200).json(), "access_token");
    let second_step = async |address: &str, code: &str| {
        let request = server.post("/auth/login/totp").bearer_auth(&step).json(&json!({"claim": code}));
        send_from(address, request).await
    };
    join_all((10..40).map(async |number| {
        Dialect::Myauth.assert_rate_limited(&second_step(&stranger(number), &wrong).await);
    }))
    .await;
    Dialect::Myauth.assert_rate_limited(&second_step(ELSEWHERE, &recovery_codes[0]).await);
    second_step(HOME, &recovery_codes[0]).await.is(200);
    // Guesses at home show nothing, and are limited too.
    for _ in 0..10 {
        Dialect::Myauth.assert_rate_limited(&second_step(HOME, &wrong).await);
    }
    Dialect::Myauth.assert_rate_limited(&second_step(HOME, &recovery_codes[1]).await);
}

/// Also in a network from which the user has not signed in, such as that of a telephone.
async fn strangers_do_not_keep_a_user_from_changing_the_password(server: &TestServer) {
    let user = server.create_user(&["--verified"]);
    let access = send_from(HOME, server.sign_in_request(&user.email, PASSWORD)).await.is(201).tokens().access;
    let target = Target { access: access.clone(), ..target(&user) };
    exhaust_sign_ins(server, &SIGN_INS.iter().collect::<Vec<_>>(), &target).await;
    // A thief of the token has ten tries, from any network; the owner has others at home.
    for number in 0..12 {
        let call = &REAUTHENTICATIONS[0];
        let response = send_from(&stranger(number), (call.request)(server, &target)).await;
        match number {
            0..10 => drop(response.is(400)),
            _ => call.dialect.assert_rate_limited(&response),
        }
    }
    let change = async |address: &str| {
        let body = json!({"password": NEW_PASSWORD, "original": PASSWORD});
        let request = server.request(Method::PUT, "/auth/users/me").bearer_auth(&access).json(&body);
        send_from(address, request).await
    };
    Dialect::Myauth.assert_rate_limited(&change(ELSEWHERE).await);
    change(HOME).await.is(200);
    // The change ended the sessions, and the owner can sign in again.
    send_from(HOME, server.sign_in_request(&user.email, NEW_PASSWORD)).await.is(201);
}

async fn new_password_forgets_networks_and_knows_the_owners(server: &TestServer) {
    let user = owner(server).await;
    // The sign-in at home may have been that of a thief. The owner resets the password elsewhere.
    let claim = MailRequest::Reset.send(server, ELSEWHERE, &user.email).await.is(200).json();
    let token = outbox::wait_for_mail(server, &user.email, 0).await.token();
    let body = json!({"token": token, "claim": claim["claim"], "new_password": NEW_PASSWORD});
    send_from(ELSEWHERE, server.post("/links/reset").json(&body)).await.is(204);
    for number in 0..20 {
        send_from(&stranger(number), server.sign_in_request(&user.email, "not the password")).await;
    }
    Dialect::Native.assert_rate_limited(&send_from(HOME, server.sign_in_request(&user.email, NEW_PASSWORD)).await);
    send_from(ELSEWHERE, server.sign_in_request(&user.email, NEW_PASSWORD)).await.is(201);
}

/// The call for all users, with the administrator's own id, does the same as the one for the caller.
async fn administrators_own_new_password_knows_the_network(server: &TestServer) {
    let admin = server.create_user(&["--verified", "--role", "admin"]);
    let access = send_from(HOME, server.sign_in_request(&admin.email, PASSWORD)).await.is(201).tokens().access;
    let body = json!({"password": NEW_PASSWORD, "original": PASSWORD});
    let change = server.post(&format!("/auth/users/{}", admin.id)).bearer_auth(&access).json(&body);
    send_from(HOME, change).await.is(200);
    for number in 0..20 {
        send_from(&stranger(number), server.sign_in_request(&admin.email, "not the password")).await;
    }
    Dialect::Native
        .assert_rate_limited(&send_from(ELSEWHERE, server.sign_in_request(&admin.email, NEW_PASSWORD)).await);
    send_from(HOME, server.sign_in_request(&admin.email, NEW_PASSWORD)).await.is(201);
}

/// Somebody who signs up with the address of another person and deletes the account again.
mod repeated_sign_ups {
    use super::*;

    over_both_stores!(|base| plan(base).set("SIGNET_LIMITS__MAIL_TOTAL", "3 per 1d"); mails_are_limited);

    async fn mails_are_limited(server: &TestServer) {
        let email = "victim@example.org";
        for number in 0..6 {
            let body = json!({"email": email, "username": "victim", "password": PASSWORD});
            let path = ["/api/auth/register", "/api/v1/register"][number % 2];
            send_from(&stranger(number), server.post(path).json(&body)).await.is(201);
            assert!(server.plan().json(&["users", "delete", email, "--yes"], "").is_object());
        }
        outbox::wait_until_queue_is_empty(server).await;
        assert_eq!(outbox::mails(server, email).len(), 3);
    }
}

async fn enrollments_are_limited(server: &TestServer) {
    let user = server.create_user(&["--verified"]);
    let access = server.sign_in(&user).await.access;
    for number in 0..20 {
        let (path, status) = [("/totp", 201), ("/auth/login/new-totp", 200)][number % 2];
        send_from(&stranger(number), server.post(path).bearer_auth(&access)).await.is(status);
    }
    let native = server.post("/totp").bearer_auth(&access);
    Dialect::Native.assert_rate_limited(&send_from(&stranger(20), native).await);
    let myauth = server.post("/auth/login/new-totp").bearer_auth(&access);
    Dialect::Myauth.assert_rate_limited(&send_from(&stranger(21), myauth).await);
    // Other users are not affected.
    let other = server.create_user(&["--verified"]);
    let access = server.sign_in(&other).await.access;
    server.post("/totp").bearer_auth(&access).send_checked().await.is(201);
}
