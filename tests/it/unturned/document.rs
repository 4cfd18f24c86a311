//! What is sent and answered, judged by the published document itself: each call's own OpenAPI, as its users have it.

use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use super::{KEYS, NOBODY, REFRESH, REVOKE, SEND, VERIFY, code_for, member, text};
use crate::support::server::{SendRequest, TestServer, over_both_stores};
use crate::support::{run_with_stdin, tool};

/// The document as it was published.
const PUBLISHED: &str = include_str!("published.md");

/// Every exchange must be of an operation in the document; what is sent must be what the operation takes where it succeeds, and
/// what is answered what its status has. What the document leaves without a schema is judged by its envelope.
const JUDGE: &str = r##"
import json, re, sys
from jsonschema import Draft202012Validator
given = json.load(sys.stdin)
blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)\n```", given["document"], re.S)]
faults, judged, seen = [], 0, set()

def judge(document, schema, value, where):
    global judged
    judged += 1
    checker = Draft202012Validator.FORMAT_CHECKER
    validator = Draft202012Validator({**document, "allOf": [schema]}, format_checker=checker)
    faults.extend(f"{where}: {list(error.path)}: {error.message}" for error in validator.iter_errors(value))

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
        faults.append(f"{where}: not in the document")
        continue
    if exchange["status"] < 400:
        seen.add(operation["operationId"])
        for parameter in operation["parameters"]:
            name, place = parameter["name"], {"query": "query", "header": "headers"}.get(parameter["in"])
            value = exchange[place].get(name) if place else None
            if value is None and parameter["required"] and place:
                faults.append(f"{where}: {name} is required")
            elif value is not None:
                judge(document, parameter["schema"], typed(parameter["schema"], value), f"{where}: {name}")
        if "requestBody" in operation and exchange["sent"] is not None:
            content = operation["requestBody"]["content"]["application/json"]
            judge(document, content["schema"], exchange["sent"], f"{where}: sent")
    response = operation["responses"].get(str(exchange["status"]))
    if response is None:
        faults.append(f"{where}: no such status in the document")
        continue
    judge(document, response["content"]["application/json"]["schema"], exchange["answer"], where)

for schema in given["also"]:
    judge({}, schema["schema"], schema["value"], schema["name"])
operations = [op["operationId"] for d in blocks for item in d["paths"].values() for op in item.values()]
print(json.dumps({"faults": faults, "judged": judged, "unseen": sorted(set(operations) - seen)}))
"##;

over_both_stores!(|plan| plan; what_is_said_is_what_the_document_says);

/// What was sent, and what came back.
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
        let answer = request.send_checked().await;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query: Value =
            query.split('&').filter_map(|pair| pair.split_once('=')).map(|(a, b)| (a.to_owned(), json!(b))).collect();
        let headers: Value = headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let body = answer.json();
        self.all
            .push(json!({"method": method.as_str(), "path": path, "query": query, "headers": headers, "sent": sent,
            "status": answer.status, "answer": body}));
        body
    }

    async fn post(&mut self, path: &str, sent: Value) -> Value {
        self.with(Method::POST, path, &[], Some(sent)).await
    }
}

async fn what_is_said_is_what_the_document_says(server: &TestServer) {
    let someone = member(server, "documented").await;
    let mut heard = Exchanges { server, all: Vec::new() };
    heard.post(SEND, json!({"email": "somebody@example.org"})).await;
    heard.post(SEND, json!({"email": "nobody"})).await;
    heard.post(SEND, json!({})).await;
    let code = code_for(server, "documented@example.org").await;
    let tokens = heard.post(VERIFY, json!({"email": "documented@example.org", "code": code})).await;
    heard.post(VERIFY, json!({"email": 1})).await;
    let (access, refresh) = (text(&tokens["data"], "access_token"), text(&tokens["data"], "refresh_token"));
    let tokens = heard.post(REFRESH, json!({"refresh_token": refresh, "user_uuid": someone.id})).await;
    heard.post(REFRESH, json!({"refresh_token": refresh})).await;
    heard.post(REVOKE, json!({"refresh_token": tokens["data"]["refresh_token"]})).await;
    heard.post(REVOKE, json!({})).await;

    // Another session, since that one is over; its tokens are not.
    let code = code_for(server, "documented@example.org").await;
    let tokens = heard.post(VERIFY, json!({"email": "documented@example.org", "code": code})).await;
    assert_ne!(access, text(&tokens["data"], "access_token"));
    let bearer = format!("Bearer {}", text(&tokens["data"], "access_token"));
    let (of_person, of_nobody) = (("authorization", bearer.as_str()), ("x-project-id", "x"));
    let in_project = [of_person, ("x-project-id", someone.project.as_str())];
    let make = json!({"name": "a key", "expires_in_days": 30, "scopes": ["read"]});
    let made = heard.with(Method::POST, KEYS, &in_project, Some(make)).await["data"].clone();
    heard.with(Method::POST, KEYS, &in_project, Some(json!({"name": "another"}))).await;
    heard.with(Method::POST, KEYS, &[of_person, of_nobody], Some(json!({}))).await;
    let whole = text(&made, "full_key");
    heard.with(Method::GET, KEYS, &in_project, None).await;
    heard.with(Method::GET, &format!("{KEYS}?page=2&limit=1"), &in_project, None).await;
    let by_key = [("x-api-key", whole.as_str()), in_project[1]];
    heard.with(Method::GET, KEYS, &by_key, None).await;
    heard.with(Method::GET, &format!("{KEYS}?page=0"), &[of_person], None).await;
    let me = heard.with(Method::GET, "/auth/users/me", &[of_person], None).await;
    heard.with(Method::GET, "/auth/users/me", &by_key[..1], None).await;
    heard.with(Method::DELETE, &format!("{KEYS}{}", text(&made, "id")), &in_project, None).await;
    heard.with(Method::DELETE, &format!("{KEYS}{NOBODY}"), &[of_person], None).await;

    let mut judge = Command::new(tool("venv/bin/python"));
    judge.args(["-c", JUDGE]);
    let also = json!([{"name": "UserRead", "schema": user_read(), "value": me}]);
    let given = json!({"document": PUBLISHED, "exchanges": heard.all, "also": also});
    let output = run_with_stdin(judge, &given.to_string());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said["faults"], &said["unseen"]), (&json!([]), &json!([])));
    assert!(said["judged"].as_u64().unwrap() > 35, "{said}");
}

/// Our own document has each operation under the published `operationId`, and each schema with all that the published one has.
#[test]
fn our_document_has_what_the_published_one_has() {
    let ours = signet::api::document(&signet::config::Config::default());
    let blocks = PUBLISHED.split("```json\n").skip(1).map(|rest| rest.split("\n```").next().unwrap());
    let (mut operations, mut schemas) = (0, 0);
    for block in blocks {
        let published: Value = serde_json::from_str(block).unwrap();
        for (path, item) in published["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                operations += 1;
                let own = &ours["paths"][path][method];
                assert_eq!(own["operationId"], operation["operationId"], "{method} {path}");
                assert!(own["tags"].as_array().unwrap().contains(&json!("unturned")), "{method} {path}");
            }
        }
        for (name, schema) in published["components"]["schemas"].as_object().unwrap() {
            schemas += 1;
            let (own, required) =
                members(&ours["components"]["schemas"], &ours["components"]["schemas"][format!("unturned.{name}")]);
            for property in schema["properties"].as_object().unwrap().keys() {
                assert!(own.contains(property), "{name} has no {property}");
            }
            for property in schema["required"].as_array().into_iter().flatten() {
                assert!(required.contains(&property.as_str().unwrap().to_owned()), "{name}: {property} may be missing");
            }
        }
    }
    assert_eq!((operations, schemas), (8, 29));
}

/// The properties of an object, and which are always there.
fn members(all: &Value, schema: &Value) -> (Vec<String>, Vec<String>) {
    let named = schema["$ref"].as_str().and_then(|name| all.get(name.rsplit('/').next().unwrap()));
    let schema = named.unwrap_or(schema);
    let mut properties: Vec<String> =
        schema["properties"].as_object().into_iter().flat_map(|all| all.keys().cloned()).collect();
    let required = schema["required"].as_array().into_iter().flatten();
    let mut required: Vec<String> = required.map(|name| name.as_str().unwrap().to_owned()).collect();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let (more, more_required) = members(all, part);
        properties.extend(more);
        required.extend(more_required);
    }
    (properties, required)
}

/// `UserRead` of FastAPI MyAuth 1.3, as pydantic writes its schema, but for the fields with defaults: those are demanded too.
fn user_read() -> Value {
    let (text, boolean) = (json!({"type": "string"}), json!({"type": "boolean"}));
    let moment = json!({"type": "string", "format": "date-time", "pattern": "^[0-9-]{10}T[0-9:]{8}([.][0-9]+)?Z$"});
    json!({
        "type": "object",
        "required": ["id", "email", "full_name", "role", "email_validated", "is_active", "is_superuser", "password", "totp",
            "created", "modified"],
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
            "created": moment,
            "modified": moment,
        },
    })
}
