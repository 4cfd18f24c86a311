//! The OpenAPI document: valid, true to the routes, and each example true to its schema.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use signet::config::Config;

use crate::support::server::{SendRequest, TestServer, over_both_stores};
use crate::support::{fed, tool};

/// What is served without being an operation of the document: the page that shows it, and what the pages are made of.
const PAGES: &[&str] = &["/docs", "/pages/"];

/// The document is a valid one of OpenAPI 3.1; each example is what its schema says.
const JUDGE: &str = r##"
import json, sys
from openapi_spec_validator import OpenAPIV31SpecValidator
from jsonschema import Draft202012Validator
document = json.load(sys.stdin)
faults = [f"{list(error.path)}: {error.message}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
judged = 0

def judge(schema, examples, where):
    global judged
    # References are looked up in the document, so the schema is judged as part of it.
    validator = Draft202012Validator({**document, "allOf": [schema]}, format_checker=Draft202012Validator.FORMAT_CHECKER)
    for example in examples:
        judged += 1
        faults.extend(f"{where}: {error.message}" for error in validator.iter_errors(example))

def walk(value, where):
    if isinstance(value, list):
        for at, item in enumerate(value):
            walk(item, f"{where}/{at}")
    elif isinstance(value, dict):
        examples = value.get("examples")
        if isinstance(value.get("schema"), dict):
            given = [example["value"] for example in (examples or {}).values()]
            judge(value["schema"], given + ([value["example"]] if "example" in value else []), where)
        elif isinstance(examples, list):
            judge(value, examples, where)
        for name, item in value.items():
            if name not in ("examples", "example"):
                walk(item, f"{where}/{name}")

walk(document["paths"], "paths")
walk(document["components"], "components")
print(json.dumps({"faults": faults, "judged": judged}))
"##;

fn config() -> Config {
    Config::default()
}

/// Each operation, after its method and path.
pub(crate) fn operations(document: &Value) -> Vec<(String, &Value)> {
    let items = document["paths"].as_object().unwrap();
    let each = items.iter().flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, operation)| {
            let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
            (format!("{} {path}", method.to_uppercase()), operation)
        })
    });
    each.collect()
}

#[test]
fn what_is_served_is_documented_and_the_other_way_round() {
    let router = signet::api::router(&config()).unwrap();
    let served: BTreeSet<String> = router.listing().iter().map(|(method, path)| format!("{method} {path}")).collect();
    let document = signet::api::document(&config());
    let documented: BTreeSet<String> = operations(&document).into_iter().map(|(route, _)| route).collect();
    let page = |route: &str| PAGES.iter().any(|page| route.starts_with(&format!("GET {page}")));
    let missing = served.difference(&documented).filter(|route| !page(route)).collect::<Vec<_>>();
    assert!(missing.is_empty(), "served and not documented: {missing:#?}");
    let too_many = documented.difference(&served).collect::<Vec<_>>();
    assert!(too_many.is_empty(), "documented and not served: {too_many:#?}");
}

#[test]
fn each_operation_says_what_a_reader_must_know() {
    let document = signet::api::document(&config());
    let tags: Vec<&Value> = document["tags"].as_array().unwrap().iter().collect();
    assert!(tags.iter().all(|tag| !tag["description"].as_str().unwrap().is_empty()), "{tags:?}");
    let mut ids = BTreeSet::new();
    for (route, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} is there twice");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{route} has no summary");
        let known = |tag: &Value| tags.iter().any(|known| known["name"] == *tag);
        assert!(operation["tags"].as_array().unwrap().iter().all(known), "{route}: {}", operation["tags"]);
        let statuses = operation["responses"].as_object().unwrap();
        assert!(statuses.keys().any(|status| status.starts_with('2') || status.starts_with('3')), "{route}");
        assert!(!statuses.contains_key("default"), "{route}: each status has a meaning");
        if operation.get("requestBody").is_some() {
            assert!(["413", "415"].iter().all(|status| statuses.contains_key(*status)), "{route}");
        }
        for requirement in operation["security"].as_array().into_iter().flatten() {
            for scheme in requirement.as_object().unwrap().keys() {
                assert!(document["components"]["securitySchemes"].get(scheme).is_some(), "{route}: {scheme}");
            }
        }
    }
}

#[test]
fn the_document_is_valid_and_its_examples_are_true() {
    let mut judge = Command::new(tool("venv/bin/python"));
    judge.args(["-c", JUDGE]);
    let output = fed(judge, &signet::api::document(&config()).to_string());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["faults"], serde_json::json!([]));
    assert!(said["judged"].as_u64().unwrap() > 50, "{said}");
}

#[test]
fn a_dialect_that_is_switched_off_is_not_in_it() {
    let mut config = config();
    "/id".clone_into(&mut config.api.native.prefix);
    let document = signet::api::document(&config);
    assert!(document["paths"].get("/id/verify").is_some());
    config.api.native.enabled = false;
    let document = signet::api::document(&config);
    assert!(!document["tags"].as_array().unwrap().iter().any(|tag| tag["name"] == "native"), "{document}");
}

over_both_stores!(|plan| plan; it_is_served_and_can_be_kept);

async fn it_is_served_and_can_be_kept(server: &TestServer) {
    let answer = server.get("/openapi.json").send_checked().await;
    assert_eq!(answer.is(200).header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "public, no-cache");
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    let etag = answer.header("etag");
    let again = server.get("/openapi.json").header("if-none-match", etag).send_checked().await;
    assert_eq!((again.is(304).text.as_str(), again.header("etag")), ("", etag));
}
