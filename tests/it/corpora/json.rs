//! The JSON Parsing Test Suite (Nicolas Seriot): valid texts are parsed, invalid ones are client errors, and none is a
//! server error.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use signet::http::{Rejection, json};

use super::{corpus_path, read_corpus};
use crate::support::document::{Body, Operation, operations, plausible_value};
use crate::support::outbox::wait_for_mail;
use crate::support::server::{PASSWORD, SendRequest, TestServer, TestUser};
use crate::support::totp::enable_totp;

/// Each text by its file name. Names of valid texts begin with `y`, of invalid ones with `n`.
fn texts() -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(corpus_path("json/test_parsing")).unwrap().map(|file| file.unwrap().file_name());
    let names = files.map(|name| name.into_string().unwrap());
    names.map(|name| (name.clone(), read_corpus(&format!("json/test_parsing/{name}")))).collect()
}

/// An object with the text as a value, because bodies are objects and few of the texts are.
fn object_with(field: &str, text: &[u8]) -> Vec<u8> {
    [format!("{{\"{field}\":").as_bytes(), text, b"}"].concat()
}

#[test]
fn corpora_json_bodies_are_parsed_or_rejected() {
    let texts = texts();
    assert_eq!(texts.len(), 318);
    for (name, text) in &texts {
        let parsed = json::parse::<BTreeMap<String, IgnoredAny>>(&object_with("x", text));
        match name.as_bytes()[0] {
            b'y' => assert!(parsed.is_ok(), "{name}"),
            b'n' => assert!(matches!(parsed, Err(Rejection::MalformedBody { .. })), "{name}"),
            _ => {}
        }
    }
}

/// Sends each text to each call with a body. Each call gets a new superuser, because some calls end its session or
/// enable a second factor, and a valid token of the right kind, so that no request is refused before its body is
/// parsed.
#[tokio::test]
async fn corpora_json_causes_no_server_error() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_MAILED__DAILY_TRIES", "1000"));
    let texts = texts();
    let (mut requests, mut form_requests) = (0, 0);
    let calls =
        operations(&server).await.into_iter().filter(|call| ["POST", "PUT", "PATCH"].contains(&call.method.as_str()));
    for call in calls {
        let user = server.create_user(&["--superuser"]);
        let credential = credential(&server, &call, &user).await;
        let path = call.path_with(&plausible_value);
        let field = call.fields().first().map_or("x", String::as_str);
        let send = async |body: Vec<u8>| {
            let request = server.request(call.method.clone(), &path).bearer_auth(&credential).body(body);
            request.header("content-type", "application/json").send_checked().await
        };
        // The body is parsed, and the request is not refused before.
        if matches!(call.body, Body::Json(_)) {
            let response = send(b"[".to_vec()).await;
            assert!(matches!(response.status, 400 | 422), "{}: {response:?}", call.name());
        }
        for (name, text) in &texts {
            for body in [text.clone(), object_with("unknown", text), object_with(field, text)] {
                let response = send(body).await;
                assert!(response.status < 500, "{name} to {}: {response:?}", call.name());
                match &call.body {
                    Body::Json(_) if name.starts_with("n_") => {
                        assert!(response.status >= 400, "{name} to {}: {response:?}", call.name());
                    }
                    // JSON is not accepted where a form is expected.
                    Body::Form(_) => {
                        assert_eq!(response.status, 415, "{name} to {}: {response:?}", call.name());
                        form_requests += 1;
                    }
                    Body::Json(_) | Body::None => {}
                }
                requests += 1;
            }
        }
    }
    assert!(requests > 318 * 3 * 40, "{requests}");
    assert!(form_requests >= 318 * 3 * 5, "{form_requests}");
}

/// A valid token of the kind that a call needs.
async fn credential(server: &TestServer, call: &Operation, user: &TestUser) -> String {
    let tokens = server.sign_in(user).await;
    let needs = |name: &str| call.schemes.iter().any(|scheme| scheme == name);
    if needs("refresh_token") {
        tokens.refresh
    } else if needs("totp_token") {
        enable_totp(server, &tokens.access, PASSWORD).await;
        let form = [("username", user.email.as_str()), ("password", PASSWORD)];
        let response = server.form("/auth/login/oauth", &form).await.is(200).json();
        response["access_token"].as_str().unwrap().to_owned()
    } else if needs("mailed_token") {
        let kind = if call.path == "/auth/login/claim" { "magic" } else { "recover" };
        server.post(&format!("/auth/login/{kind}/{}", user.email)).send_checked().await.is(200);
        // This user has no other mail: nothing was enabled or disabled.
        wait_for_mail(server, &user.email, 0).await.token()
    } else {
        tokens.access
    }
}
