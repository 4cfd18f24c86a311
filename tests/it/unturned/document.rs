//! Requests and responses are validated against the published document, which contains an OpenAPI document per call.

use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use super::{KEYS, REFRESH, REVOKE, SEND, UNKNOWN_ID, VERIFY, code_for, member, text};
use crate::support::server::{SendRequest, TestServer, over_both_stores};
use crate::support::{run_with_stdin, tool};

/// The document as it was published.
const PUBLISHED: &str = include_str!("published.md");

/// Checks that each exchange is of a documented operation, that the request of a success conforms to the operation, and
/// that the response conforms to the schema of its status. Where the document has no schema, the envelope is checked.
const JUDGE: &str = r##"
import json, re, sys
from jsonschema import Draft202012Validator
given = json.load(sys.stdin)
blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)\n```", given["document"], re.S)]
errors, judged, seen = [], 0, set()

def judge(document, schema, value, where):
    global judged
    judged += 1
    checker = Draft202012Validator.FORMAT_CHECKER
    validator = Draft202012Validator({**document, "allOf": [schema]}, format_checker=checker)
    errors.extend(f"{where}: {list(error.path)}: {error.message}" for error in validator.iter_errors(value))

def find(method, path):
    for document in blocks:
        for template, item in document["paths"].items():
            pattern = re.sub(r"\{[^}]*\}", "[^/]+", template)
            if method.lower() in item and re.fullmatch(pattern, path):
                return document, item[method.lower()]
    return None, None

def typed(schema, text):
    return int(text) if schema.get("type") == "integer" and text.isdigit() else text

for exchange in given["exchanges"]:
    where = f"{exchange['method']} {exchange['path']} {exchange['status']}"
    document, operation = find(exchange["method"], exchange["path"])
    if operation is None:
        errors.append(f"{where}: not in the document")
        continue
    if exchange["status"] < 400:
        seen.add(operation["operationId"])
        for parameter in operation["parameters"]:
            name, place = parameter["name"], {"query": "query", "header": "headers"}.get(parameter["in"])
            value = exchange[place].get(name) if place else None
            if value is None and parameter["required"] and place:
                errors.append(f"{where}: {name} is required")
            elif value is not None:
                judge(document, parameter["schema"], typed(parameter["schema"], value), f"{where}: {name}")
        if "requestBody" in operation and exchange["sent"] is not None:
            content = operation["requestBody"]["content"]["application/json"]
            judge(document, content["schema"], exchange["sent"], f"{where}: sent")
    response = operation["responses"].get(str(exchange["status"]))
    if response is None:
        errors.append(f"{where}: no such status in the document")
        continue
    judge(document, response["content"]["application/json"]["schema"], exchange["response"], where)

for schema in given["also"]:
    judge({}, schema["schema"], schema["value"], schema["name"])
operations = [op["operationId"] for d in blocks for item in d["paths"].values() for op in item.values()]
print(json.dumps({"errors": errors, "judged": judged, "unseen": sorted(set(operations) - seen)}))
"##;

over_both_stores!(|plan| plan; exchanges_conform_to_the_published_document);

/// The requests sent and their responses.
struct Exchanges<'a> {
    server: &'a TestServer,
    all: Vec<Value>,
}

impl Exchanges<'_> {
    async fn with(&mut self, method: Method, path: &str, headers: &[(&str, &str)], sent: Option<Value>) -> Value {
        let mut request = self.server.request(method.clone(), path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(sent) = &sent {
            request = request.json(sent);
        }
        let response = request.send_checked().await;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query: Value =
            query.split('&').filter_map(|pair| pair.split_once('=')).map(|(a, b)| (a.to_owned(), json!(b))).collect();
        let headers: Value = headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let body = response.json();
        self.all
            .push(json!({"method": method.as_str(), "path": path, "query": query, "headers": headers, "sent": sent,
            "status": response.status, "response": body}));
        body
    }

    async fn post(&mut self, path: &str, sent: Value) -> Value {
        self.with(Method::POST, path, &[], Some(sent)).await
    }
}

async fn exchanges_conform_to_the_published_document(server: &TestServer) {
    let member = member(server, "documented").await;
    let mut exchanges = Exchanges { server, all: Vec::new() };
    exchanges.post(SEND, json!({"email": "somebody@example.org"})).await;
    exchanges.post(SEND, json!({"email": "nobody"})).await;
    exchanges.post(SEND, json!({})).await;
    let code = code_for(server, "documented@example.org").await;
    let tokens = exchanges.post(VERIFY, json!({"email": "documented@example.org", "code": code})).await;
    exchanges.post(VERIFY, json!({"email": 1})).await;
    let (access, refresh) = (text(&tokens["data"], "access_token"), text(&tokens["data"], "refresh_token"));
    let tokens = exchanges.post(REFRESH, json!({"refresh_token": refresh, "user_uuid": member.id})).await;
    exchanges.post(REFRESH, json!({"refresh_token": refresh})).await;
    exchanges.post(REVOKE, json!({"refresh_token": tokens["data"]["refresh_token"]})).await;
    exchanges.post(REVOKE, json!({})).await;

    // A new session, because the last one is revoked.
    let code = code_for(server, "documented@example.org").await;
    let tokens = exchanges.post(VERIFY, json!({"email": "documented@example.org", "code": code})).await;
    assert_ne!(access, text(&tokens["data"], "access_token"));
    let bearer = format!("Bearer {}", text(&tokens["data"], "access_token"));
    let (as_user, invalid_project) = (("authorization", bearer.as_str()), ("x-project-id", "x"));
    let in_project = [as_user, ("x-project-id", member.project.as_str())];
    let new_key = json!({"name": "a key", "expires_in_days": 30, "scopes": ["read"]});
    let created = exchanges.with(Method::POST, KEYS, &in_project, Some(new_key)).await["data"].clone();
    exchanges.with(Method::POST, KEYS, &in_project, Some(json!({"name": "another"}))).await;
    exchanges.with(Method::POST, KEYS, &[as_user, invalid_project], Some(json!({}))).await;
    let full_key = text(&created, "full_key");
    exchanges.with(Method::GET, KEYS, &in_project, None).await;
    exchanges.with(Method::GET, &format!("{KEYS}?page=2&limit=1"), &in_project, None).await;
    let by_key = [("x-api-key", full_key.as_str()), in_project[1]];
    exchanges.with(Method::GET, KEYS, &by_key, None).await;
    exchanges.with(Method::GET, &format!("{KEYS}?page=0"), &[as_user], None).await;
    let me = exchanges.with(Method::GET, "/auth/users/me", &[as_user], None).await;
    exchanges.with(Method::GET, "/auth/users/me", &by_key[..1], None).await;
    exchanges.with(Method::DELETE, &format!("{KEYS}{}", text(&created, "id")), &in_project, None).await;
    exchanges.with(Method::DELETE, &format!("{KEYS}{UNKNOWN_ID}"), &[as_user], None).await;

    let mut judge = Command::new(tool("venv/bin/python"));
    judge.args(["-c", JUDGE]);
    let also = json!([{"name": "UserRead", "schema": user_read(), "value": me}]);
    let given = json!({"document": PUBLISHED, "exchanges": exchanges.all, "also": also});
    let output = run_with_stdin(judge, &given.to_string());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&result["errors"], &result["unseen"]), (&json!([]), &json!([])));
    assert!(result["judged"].as_u64().unwrap() > 35, "{result}");
}

/// Our document has each operation under its published `operationId`, and each schema with all published properties.
#[test]
fn our_document_contains_the_published_one() {
    let ours = signet::api::document(&signet::config::Config::default());
    let blocks = PUBLISHED.split("```json\n").skip(1).map(|rest| rest.split("\n```").next().unwrap());
    let (mut operations, mut schemas) = (0, 0);
    for block in blocks {
        let published: Value = serde_json::from_str(block).unwrap();
        for (path, item) in published["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                operations += 1;
                let ours_operation = &ours["paths"][path][method];
                assert_eq!(ours_operation["operationId"], operation["operationId"], "{method} {path}");
                assert!(ours_operation["tags"].as_array().unwrap().contains(&json!("unturned")), "{method} {path}");
            }
        }
        for (name, schema) in published["components"]["schemas"].as_object().unwrap() {
            schemas += 1;
            let (properties, required) = properties_of(
                &ours["components"]["schemas"],
                &ours["components"]["schemas"][format!("unturned.{name}")],
            );
            for property in schema["properties"].as_object().unwrap().keys() {
                assert!(properties.contains(property), "{name} has no {property}");
            }
            for property in schema["required"].as_array().into_iter().flatten() {
                assert!(required.contains(&property.as_str().unwrap().to_owned()), "{name}: {property} may be missing");
            }
        }
    }
    assert_eq!((operations, schemas), (8, 29));
}

/// The properties of an object schema, and the required ones.
fn properties_of(all: &Value, schema: &Value) -> (Vec<String>, Vec<String>) {
    let named = schema["$ref"].as_str().and_then(|name| all.get(name.rsplit('/').next().unwrap()));
    let schema = named.unwrap_or(schema);
    let mut properties: Vec<String> =
        schema["properties"].as_object().into_iter().flat_map(|all| all.keys().cloned()).collect();
    let required = schema["required"].as_array().into_iter().flatten();
    let mut required: Vec<String> = required.map(|name| name.as_str().unwrap().to_owned()).collect();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let (more, more_required) = properties_of(all, part);
        properties.extend(more);
        required.extend(more_required);
    }
    (properties, required)
}

/// `UserRead` of FastAPI MyAuth 1.3 in pydantic's JSON Schema, except that fields with defaults are required too.
fn user_read() -> Value {
    let (text, boolean) = (json!({"type": "string"}), json!({"type": "boolean"}));
    let timestamp = json!({"type": "string", "format": "date-time", "pattern": "^[0-9-]{10}T[0-9:]{8}([.][0-9]+)?Z$"});
    json!({
        "type": "object",
        "required": ["id", "email", "full_name", "role", "email_validated", "is_active", "is_superuser", "password",
            "totp", "created", "modified"],
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "email": {"type": "string", "format": "email", "maxLength": 255},
            "full_name": {"anyOf": [text, {"type": "null"}]},
            "role": {"anyOf": [text, {"type": "null"}]},
            "email_validated": boolean,
            "is_active": boolean,
            "is_superuser": boolean,
            "password": boolean,
            "totp": boolean,
            "created": timestamp,
            "modified": timestamp,
        },
    })
}
