//! Attacks, as somebody would make them who means harm: over HTTP, against the program, on either kind of stores.

mod guessing;
mod held;
mod jwt;
mod jwt_forms;
mod jwt_places;
mod parsers;
mod parsers_mutated;
mod races;
mod secrets;
mod smuggling;
mod smuggling_h2;
mod tricks;

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::support::outbox;
use crate::support::server::{HttpResponse, PASSWORD, TestUser, SendRequest, TestServer, TokenPair};

const OTHER_PASSWORD: &str = "another harbour at dawn";

/// A door by which something can be had, and what is asked there.
type Door = Box<dyn Fn(&TestServer) -> RequestBuilder>;

fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_else(|| panic!("no {field}: {body}")).to_owned()
}

/// Both tokens of an answer, with or without an envelope.
#[track_caller]
fn pair(answer: &HttpResponse) -> (String, String) {
    let body = answer.json();
    let body = if body["data"].is_object() { &body["data"] } else { &body };
    (text(body, "access_token"), text(body, "refresh_token"))
}

/// A post of JSON.
fn posting(path: &str, bearer: &str, body: Value) -> Door {
    let (path, bearer) = (path.to_owned(), bearer.to_owned());
    Box::new(move |server| {
        let request = server.post(&path).json(&body);
        if bearer.is_empty() { request } else { request.bearer_auth(&bearer) }
    })
}

/// Every way in by password, `myauth`'s apart from its second step, with this second factor if it is asked for.
fn by_password(person: &TestUser, code: &str) -> Vec<Door> {
    let TestUser { email, username, .. } = person;
    let body = json!({"email": email, "password": PASSWORD, "totp_code": code, "otp_code": code});
    let form = [("username", username.clone()), ("password", PASSWORD.to_owned()), ("totp_code", code.to_owned())];
    vec![
        posting("/sessions", "", body.clone()),
        posting("/auth/signin/otp", "", body.clone()),
        posting("/api/v1/login", "", body),
        Box::new(move |server| server.post("/api/auth/login").form(&form)),
    ]
}

/// The dialects that exchange refresh tokens, those first that replace them.
const REFRESHING: [&str; 6] = ["native", "myauth", "unturned", "ucontact", "codes", "v1"];

/// Exchanges a refresh token, in the words of a dialect.
fn refreshing(dialect: &str, person: &TestUser, refresh: &str) -> Door {
    let body = json!({"refresh_token": refresh, "user_uuid": person.id});
    match dialect {
        "native" => {
            let form = [("grant_type", "refresh_token".to_owned()), ("refresh_token", refresh.to_owned())];
            Box::new(move |server| server.post("/oauth/token").form(&form))
        }
        "myauth" => posting("/auth/login/refresh", refresh, json!({})),
        "unturned" => posting("/auth/verification/refresh-token", "", body),
        "ucontact" => posting("/api/auth/refresh-token", "", body),
        "codes" => posting("/auth/refresh", "", body),
        _ => posting("/api/v1/refresh", "", body),
    }
}

/// How many mails somebody has, none being on its way: a notice of what was changed before is not to be taken for the next link.
async fn mails_so_far(server: &TestServer, email: &str) -> usize {
    outbox::wait_until_queue_is_empty(server).await;
    outbox::mails(server, email).len()
}

/// Has a sign-in code mailed.
async fn mailed_code(server: &TestServer, email: &str) -> String {
    let before = mails_so_far(server, email).await;
    server.post("/auth/verification/send-code").json(&json!({"email": email})).send_checked().await.is(202);
    outbox::wait_for_mail(server, email, before).await.code()
}

/// Has a code mailed that confirms an address.
async fn confirming_code(server: &TestServer, person: &TestUser) -> String {
    let before = mails_so_far(server, &person.email).await;
    server.post("/auth/mail/verify/send").json(&json!({"user_id": person.id})).send_checked().await.is(200);
    outbox::wait_for_mail(server, &person.email, before).await.code()
}

/// Has a link mailed, by `magic` or `recover`: its token, and the device's half.
async fn link(server: &TestServer, what: &str, email: &str) -> (String, String) {
    let before = mails_so_far(server, email).await;
    let answer = server.post(&format!("/auth/login/{what}/{email}")).send_checked().await;
    let claim = text(&answer.is(200).json(), "claim");
    (outbox::wait_for_mail(server, email, before).await.token(), claim)
}

/// Has a link to a new password mailed that is whole without a device's half.
async fn whole_link(server: &TestServer, person: &TestUser) -> String {
    let before = mails_so_far(server, &person.email).await;
    let body = json!({"email": person.email, "username": person.username});
    server.post("/api/v1/password-reset").json(&body).send_checked().await.is(200);
    outbox::wait_for_mail(server, &person.email, before).await.token()
}

/// Signs in as far as `myauth`'s first of two steps goes: the token for the second.
async fn first_step(server: &TestServer, person: &TestUser) -> String {
    let form = [("username", person.email.as_str()), ("password", PASSWORD)];
    let answer = server.form("/auth/login/oauth", &form).await.is(200).json();
    assert!(answer["refresh_token"].is_null(), "a second factor is due: {answer}");
    text(&answer, "access_token")
}
