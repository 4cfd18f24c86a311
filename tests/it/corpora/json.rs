//! The JSON Parsing Test Suite (Nicolas Seriot): what must parse does, what must not is a client's fault, and nothing is more.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use signet::web::{Rejection, json};

use super::{bytes_of, place};
use crate::support::desk::{Ask, Desk};
use crate::support::document::{Body, operations, plausible};

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

/// With the rights of a superuser, whose row is new for each call: some end its session or ask for a second factor.
#[tokio::test]
async fn corpora_json_to_every_call() {
    let desk = Desk::embedded(|plan| plan);
    let texts = texts();
    let mut tried = 0;
    let calls =
        operations(&desk).await.into_iter().filter(|call| ["POST", "PUT", "PATCH"].contains(&call.method.as_str()));
    for call in calls {
        let access = desk.sign_in(&desk.person(&["--superuser"])).await.access;
        let path = call.path_with(&plausible);
        let field = call.fields().first().map_or("x", String::as_str);
        for (name, text) in &texts {
            for body in [text.clone(), inside("unknown", text), inside(field, text)] {
                let request = desk.request(call.method.clone(), &path).bearer_auth(&access).body(body);
                let answer = request.header("content-type", "application/json").ask().await;
                assert!(answer.status < 500, "{name} to {}: {answer:?}", call.name());
                if name.starts_with("n_") && matches!(call.body, Body::Json(_)) {
                    assert!(answer.status >= 400, "{name} to {}: {answer:?}", call.name());
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 318 * 3 * 40, "{tried}");
}
