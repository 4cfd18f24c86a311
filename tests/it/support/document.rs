//! The operations in `/openapi.json`, so that no attack forgets a route, and requests to each that are valid except for
//! what a test changes.

use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};

use super::server::{PASSWORD, SendRequest, TestServer};

/// One operation.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// The names of the security schemes, of which a request needs one. Empty if the operation is public.
    pub(crate) schemes: Vec<String>,
    pub(crate) body: Body,
    /// Query parameters.
    pub(crate) query: Vec<String>,
}

/// The format of a body and the names of its fields.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    None,
    Json(Vec<String>),
    Form(Vec<String>),
}

/// All documented operations of the server.
pub(crate) async fn operations(server: &TestServer) -> Vec<Operation> {
    let document = server.get("/openapi.json").send_checked().await.is(200).json();
    let paths = document["paths"].as_object().unwrap();
    let each = paths.iter().flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |it| (path, it)));
    each.map(|(path, (method, item))| operation(&document, path, method, item)).collect()
}

fn operation(document: &Value, path: &str, method: &str, item: &Value) -> Operation {
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let security: Vec<_> = items(&item["security"]).iter().map(|one| one.as_object().unwrap().clone()).collect();
    let is_required = security.iter().all(|one| !one.is_empty());
    let schemes = security.iter().filter(|_| is_required).flat_map(|one| one.keys().cloned()).collect();
    let query = items(&item["parameters"]).into_iter().filter(|parameter| parameter["in"] == "query");
    let content = &item["requestBody"]["content"];
    let fields = |media_type: &str| content.get(media_type).map(|content| fields(document, &content["schema"]));
    let body = match (fields("application/json"), fields("application/x-www-form-urlencoded")) {
        (Some(fields), _) => Body::Json(fields),
        (None, Some(fields)) => Body::Form(fields),
        (None, None) => Body::None,
    };
    Operation {
        method: method.to_uppercase().parse().unwrap(),
        path: path.to_owned(),
        schemes,
        body,
        query: query.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect(),
    }
}

fn fields(document: &Value, schema: &Value) -> Vec<String> {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    };
    let alternatives = ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|of| schema[of].as_array()).flatten();
    let mut all: Vec<String> = alternatives.flat_map(|schema| fields(document, schema)).collect();
    all.extend(schema["properties"].as_object().into_iter().flat_map(Map::keys).cloned());
    all
}

impl Operation {
    /// Method and path, for messages.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The names of the body's fields.
    pub(crate) fn fields(&self) -> &[String] {
        match &self.body {
            Body::None => &[],
            Body::Json(fields) | Body::Form(fields) => fields,
        }
    }

    /// The path with its parameters filled in.
    pub(crate) fn path_with(&self, fill: &dyn Fn(&str) -> Value) -> String {
        let segment = |part: &str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) => text(&fill(name)),
            None => part.to_owned(),
        };
        self.path.split('/').map(segment).collect::<Vec<_>>().join("/")
    }

    /// A request with every field filled in.
    pub(crate) fn request(&self, server: &TestServer, fill: &dyn Fn(&str) -> Value) -> RequestBuilder {
        let request = server.request(self.method.clone(), &self.path_with(fill));
        match &self.body {
            Body::None => request,
            Body::Json(fields) => {
                let body: Map<String, Value> = fields.iter().map(|name| (name.clone(), fill(name))).collect();
                request.json(&body)
            }
            Body::Form(fields) => {
                let body: Vec<(&String, String)> = fields.iter().map(|name| (name, text(&fill(name)))).collect();
                request.form(&body)
            }
        }
    }
}

/// A value as it is written in paths, queries and forms.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A value of the right format for a field of this name, which refers to no existing object.
pub(crate) fn plausible_value(name: &str) -> Value {
    match name {
        "email" | "user_email" => json!("nobody@example.org"),
        "username" | "user_name" => json!("nobody"),
        "password" | "original" | "current_password" => json!(PASSWORD),
        "new_password" | "new_password_confirm" => json!("another quiet harbour"),
        "id" | "user_id" | "user_uuid" | "key_id" | "key" => json!("01930000-0000-7000-8000-00000000000a"),
        "code" | "totp_code" | "otp_code" | "mfa_code" => json!("000000"),
        "name" | "full_name" => json!("A Name"),
        "role" => json!("user"),
        "roles" | "scopes" | "tokens" => json!([]),
        "is_active" => json!(true),
        "is_superuser" | "email_validated" => json!(false),
        "expires_in_days" => json!(30),
        "token_balance" | "tokens_used" => json!(0),
        "subscription_tier" => json!("free"),
        "grant_type" | "token_type_hint" => json!("refresh_token"),
        // No requirement: any would refuse either the credentials of users or those of clients.
        "subject" => Value::Null,
        "uri" => json!("otpauth://totp/x"),
        _ => json!("x"),
    }
}
