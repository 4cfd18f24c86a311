//! The JSON Parsing Test Suite (Nicolas Seriot): what must parse does, what must not is a client's fault, and nothing is more.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use signet::http::{Rejection, json};

use super::{bytes_of, place};
use crate::support::document::{Body, Operation, operations, plausible};
use crate::support::outbox::next;
use crate::support::server::{PASSWORD, Person, SendRequest, TestServer};
use crate::support::totp::turn_on;

/// Each text, by its file's name, which begins with what must come of it.
fn texts() -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(place("json/test_parsing")).unwrap().map(|file| file.unwrap().file_name());
    let names = files.map(|name| name.into_string().unwrap());
    names.map(|name| (name.clone(), bytes_of(&format!("json/test_parsing/{name}")))).collect()
}

/// An object with the text in it: bodies are objects, and few of the texts are.
fn inside(field: &str, text: &[u8]) -> Vec<u8> {
    [format!("{{\"{field}\":").as_bytes(), text, b"}"].concat()
}

#[test]
fn corpora_json_bodies_are_read_or_not_as_they_must() {
    let texts = texts();
    assert_eq!(texts.len(), 318);
    for (name, text) in &texts {
        let read = json::read::<BTreeMap<String, IgnoredAny>>(&inside("x", text));
        match name.as_bytes()[0] {
            b'y' => assert!(read.is_ok(), "{name}"),
            b'n' => assert!(matches!(read, Err(Rejection::Unreadable { .. })), "{name}"),
            _ => {}
        }
    }
}

/// With the rights of a superuser, whose row is new for each call: some end its session or ask for a second factor. Where another token
/// is due there is a good one of it, so that nothing is refused before it is read.
#[tokio::test]
async fn corpora_json_to_every_call() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_MAILED__DAILY_TRIES", "1000"));
    let texts = texts();
    let (mut tried, mut forms) = (0, 0);
    let calls =
        operations(&server).await.into_iter().filter(|call| ["POST", "PUT", "PATCH"].contains(&call.method.as_str()));
    for call in calls {
        let person = server.person(&["--superuser"]);
        let credential = credential(&server, &call, &person).await;
        let path = call.path_with(&plausible);
        let field = call.fields().first().map_or("x", String::as_str);
        let send = async |body: Vec<u8>| {
            let request = server.request(call.method.clone(), &path).bearer_auth(&credential).body(body);
            request.header("content-type", "application/json").send_checked().await
        };
        // It is read, and nobody is turned away before.
        if matches!(call.body, Body::Json(_)) {
            let answer = send(b"[".to_vec()).await;
            assert!(matches!(answer.status, 400 | 422), "{}: {answer:?}", call.name());
        }
        for (name, text) in &texts {
            for body in [text.clone(), inside("unknown", text), inside(field, text)] {
                let answer = send(body).await;
                assert!(answer.status < 500, "{name} to {}: {answer:?}", call.name());
                match &call.body {
                    Body::Json(_) if name.starts_with("n_") => {
                        assert!(answer.status >= 400, "{name} to {}: {answer:?}", call.name());
                    }
                    // A form is not read as what it is not.
                    Body::Form(_) => {
                        assert_eq!(answer.status, 415, "{name} to {}: {answer:?}", call.name());
                        forms += 1;
                    }
                    Body::Json(_) | Body::None => {}
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 318 * 3 * 40, "{tried}");
    assert!(forms >= 318 * 3 * 5, "{forms}");
}

/// What is due at a call, good.
async fn credential(server: &TestServer, call: &Operation, person: &Person) -> String {
    let tokens = server.sign_in(person).await;
    let due = |name: &str| call.schemes.iter().any(|scheme| scheme == name);
    if due("refresh_token") {
        tokens.refresh
    } else if due("totp_token") {
        turn_on(server, &tokens.access, PASSWORD).await;
        let form = [("username", person.email.as_str()), ("password", PASSWORD)];
        let answer = server.form("/auth/login/oauth", &form).await.is(200).json();
        answer["access_token"].as_str().unwrap().to_owned()
    } else if due("mailed_token") {
        let what = if call.path == "/auth/login/claim" { "magic" } else { "recover" };
        server.post(&format!("/auth/login/{what}/{}", person.email)).send_checked().await.is(200);
        // Turning something on or off is told by mail as well: nothing was, for this person.
        next(server, &person.email, 0).await.token()
    } else {
        tokens.access
    }
}
