//! The OpenAPI document is valid and complete, and each example matches its schema.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;
use signet::config::Config;

use crate::support::server::{SendRequest, TestServer, over_both_stores};
use crate::support::{run_with_stdin, tool};

/// Routes that are served but are no operations of the document: the pages, their files, and their session.
const PAGES: &[&str] = &["GET /docs", "GET /pages/", "GET /account"];
const SESSION_OF_PAGES: &str = "/account/session";

/// Validates the document against OpenAPI 3.1 and each example against its schema.
const VALIDATE: &str = r##"
import json, sys
from openapi_spec_validator import OpenAPIV31SpecValidator
from jsonschema import Draft202012Validator
document = json.load(sys.stdin)
errors = [f"{list(error.path)}: {error.message}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
checked = 0

def check(schema, examples, where):
    global checked
    # References are resolved in the document, so the schema is validated as part of it.
    validator = Draft202012Validator({**document, "allOf": [schema]}, format_checker=Draft202012Validator.FORMAT_CHECKER)
    for example in examples:
        checked += 1
        errors.extend(f"{where}: {error.message}" for error in validator.iter_errors(example))

def walk(value, where):
    if isinstance(value, list):
        for at, item in enumerate(value):
            walk(item, f"{where}/{at}")
    elif isinstance(value, dict):
        examples = value.get("examples")
        if isinstance(value.get("schema"), dict):
            given = [example["value"] for example in (examples or {}).values()]
            check(value["schema"], given + ([value["example"]] if "example" in value else []), where)
        elif isinstance(examples, list):
            check(value, examples, where)
        for name, item in value.items():
            if name not in ("examples", "example"):
                walk(item, f"{where}/{name}")

walk(document["paths"], "paths")
walk(document["components"], "components")
print(json.dumps({"errors": errors, "checked": checked}))
"##;

fn config() -> Config {
    Config::default()
}

/// All operations, each with its method and path.
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
fn routes_and_documented_operations_are_the_same() {
    let router = signet::api::router(&config()).unwrap();
    let served: BTreeSet<String> = router.listing().iter().map(|(method, path)| format!("{method} {path}")).collect();
    let document = signet::api::document(&config());
    let documented: BTreeSet<String> = operations(&document).into_iter().map(|(route, _)| route).collect();
    let page = |route: &str| {
        route == "GET /" || route.contains(SESSION_OF_PAGES) || PAGES.iter().any(|page| route.starts_with(page))
    };
    let missing = served.difference(&documented).filter(|route| !page(route)).collect::<Vec<_>>();
    assert!(missing.is_empty(), "served and not documented: {missing:#?}");
    let not_served = documented.difference(&served).collect::<Vec<_>>();
    assert!(not_served.is_empty(), "documented and not served: {not_served:#?}");
}

#[test]
fn operations_have_id_summary_tags_and_statuses() {
    let document = signet::api::document(&config());
    let tags: Vec<&Value> = document["tags"].as_array().unwrap().iter().collect();
    assert!(tags.iter().all(|tag| !tag["description"].as_str().unwrap().is_empty()), "{tags:?}");
    let mut ids = BTreeSet::new();
    for (route, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} occurs twice");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{route} has no summary");
        let known = |tag: &Value| tags.iter().any(|known| known["name"] == *tag);
        assert!(operation["tags"].as_array().unwrap().iter().all(known), "{route}: {}", operation["tags"]);
        let statuses = operation["responses"].as_object().unwrap();
        assert!(statuses.keys().any(|status| status.starts_with('2') || status.starts_with('3')), "{route}");
        assert!(!statuses.contains_key("default"), "{route}: every status must be documented by itself");
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
fn document_and_examples_are_valid() {
    let mut validator = Command::new(tool("venv/bin/python"));
    validator.args(["-c", VALIDATE]);
    let output = run_with_stdin(validator, &signet::api::document(&config()).to_string());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["errors"], serde_json::json!([]));
    assert!(result["checked"].as_u64().unwrap() > 50, "{result}");
}

#[test]
fn disabled_dialect_is_not_documented() {
    let mut config = config();
    "/id".clone_into(&mut config.api.native.prefix);
    let document = signet::api::document(&config);
    assert!(document["paths"].get("/id/verify").is_some());
    config.api.native.enabled = false;
    let document = signet::api::document(&config);
    assert!(!document["tags"].as_array().unwrap().iter().any(|tag| tag["name"] == "native"), "{document}");
}

over_both_stores!(|plan| plan; document_is_served_with_an_etag);

async fn document_is_served_with_an_etag(server: &TestServer) {
    let answer = server.get("/openapi.json").send_checked().await;
    assert_eq!(answer.is(200).header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "public, no-cache");
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    let etag = answer.header("etag");
    let again = server.get("/openapi.json").header("if-none-match", etag).send_checked().await;
    assert_eq!((again.is(304).text.as_str(), again.header("etag")), ("", etag));
}
