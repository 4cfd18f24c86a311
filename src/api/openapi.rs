//! The OpenAPI document: one `ApiSpec` per dialect, assembled once from the dialects that are enabled. Knows none of
//! them.
//!
//! Parameters and bodies come from the wire types. Error responses come from the dialect's own error renderer, which is
//! called with each possible error: status, header fields and example are those that a client gets.

mod reference;

use std::collections::BTreeSet;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

pub(crate) use self::reference::ReferenceParts;
use super::ApiError;
use super::endpoint::EndpointGroup;
use crate::auth::Error;
use crate::auth::tokens::verify::{TokenError, VerifyError};
use crate::config::Config;
use crate::http::{FieldError, FieldErrorKind, ParamLocation, Rejection, Response};

/// The part of the document that describes one dialect. Paths are relative to its prefix.
pub(crate) struct ApiSpec {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
    description: String,
}

impl ApiSpec {
    /// The description of all endpoints. The one tag of `base` describes the dialect; its schemas are those that no
    /// endpoint refers to by itself.
    pub(crate) fn new(base: &OpenApi, groups: &[EndpointGroup], config: &Config) -> Self {
        let mut base = serde_json::to_value(base).unwrap_or_default();
        let description = base.pointer("/tags/0/description").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut spec = Self { paths: Map::new(), schemas: take_map(&mut base, "/components/schemas"), description };
        for group in groups {
            let render = |error| (group.renderer)(error, config);
            for endpoint in group.endpoints {
                let mut docs = serde_json::to_value((endpoint.docs)()).unwrap_or_default();
                let (mut paths, mut schemas) =
                    (take_map(&mut docs, "/paths"), take_map(&mut docs, "/components/schemas"));
                for operation in operations(&mut paths) {
                    allow_unknown_form_fields(&operation["requestBody"], &mut schemas);
                    let general = general_errors(operation, &schemas, &render);
                    add_error_responses(operation, general, (endpoint.errors)(), &render, group.error_schema);
                }
                for (path, item) in paths {
                    merge(&mut spec.paths, path, item);
                }
                spec.schemas.extend(schemas);
            }
        }
        spec
    }

    /// The operations, for a dialect that changes more of them than utoipa can express.
    pub(crate) fn operations_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        operations(&mut self.paths)
    }
}

fn take_map(value: &mut Value, pointer: &str) -> Map<String, Value> {
    match value.pointer_mut(pointer).map(Value::take) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// The document under construction.
pub(crate) struct Document(Value);

impl Document {
    /// A document without any dialect.
    pub(crate) fn new(public_url: &str) -> Self {
        Self(json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Signet",
                "version": env!("CARGO_PKG_VERSION"),
                "summary": "Sign-in, and tokens that any service can verify.",
                "description": "Five published APIs and one of its own, served side by side over the same accounts: \
                    sign up with one, sign in with another. Each accepts the access tokens of all others. All accept \
                    every refresh token, except the APIs that do not rotate them: these accept only those of sessions \
                    that were opened in one of these.",
                "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
            },
            "servers": [{"url": public_url}],
            "tags": [],
            "paths": {},
            "components": {"schemas": {}, "securitySchemes": {
                "access_token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "An access token of any dialect."},
                "api_key": {"type": "apiKey", "in": "header", "name": "x-api-key",
                    "description": "An API key (`sk_…`)."},
                "client": {"type": "http", "scheme": "basic",
                    "description": "An API key as the password; any user name."},
                "refresh_token": {"type": "http", "scheme": "bearer",
                    "description": "A refresh token instead of an access token."},
                "mailed_token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "The token from a mailed link."},
                "totp_token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "The token of a sign-in that still needs its second factor."},
            }},
        }))
    }

    /// Adds a dialect under its tag. Schema names get the dialect as their prefix, because two dialects may use one
    /// name for different types. An operation that two dialects share is described by the first and has both tags.
    pub(crate) fn add(&mut self, name: &str, prefix: &str, spec: ApiSpec) {
        if let Some(tags) = self.0["tags"].as_array_mut() {
            tags.push(json!({"name": name, "description": spec.description}));
        }
        let mut paths = spec.paths;
        for operation in operations(&mut paths) {
            operation["tags"] = json!([name]);
        }
        let mut schemas = Value::Object(spec.schemas);
        let mut paths = Value::Object(paths);
        qualify_references(&mut schemas, name);
        qualify_references(&mut paths, name);
        if let (Some(into), Value::Object(schemas)) = (self.0["components"]["schemas"].as_object_mut(), schemas) {
            into.extend(schemas.into_iter().map(|(schema, value)| (format!("{name}.{schema}"), value)));
        }
        if let (Some(into), Value::Object(paths)) = (self.0["paths"].as_object_mut(), paths) {
            for (path, item) in paths {
                merge(into, format!("{prefix}{path}"), item);
            }
        }
    }

    /// The finished document.
    pub(crate) fn into_value(self) -> Value {
        self.0
    }
}

/// The 4xx statuses that a request may get although it conforms to its schema. Fuzzers such as Schemathesis cannot
/// derive them from the document.
const REFUSED: &str = "x-refused-with";

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

fn operations(paths: &mut Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    let items = paths.values_mut().filter_map(Value::as_object_mut);
    items.flat_map(|item| item.iter_mut().filter(|(name, _)| METHODS.contains(&name.as_str())).map(|(_, value)| value))
}

fn merge(paths: &mut Map<String, Value>, path: String, item: Value) {
    let (known, Value::Object(item)) = (paths.entry(path).or_insert_with(|| json!({})), item) else { return };
    for (method, operation) in item {
        match known.get_mut(&method).and_then(|known| known["tags"].as_array_mut()) {
            Some(tags) => tags.extend(operation["tags"].as_array().cloned().unwrap_or_default()),
            None => known[method] = operation,
        }
    }
}

/// Changes references to the names that schemas have in the whole document.
fn qualify_references(value: &mut Value, dialect: &str) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match value.as_str().and_then(|text| text.strip_prefix("#/components/schemas/")) {
                    Some(schema) if key == "$ref" => *value = format!("#/components/schemas/{dialect}.{schema}").into(),
                    _ => qualify_references(value, dialect),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| qualify_references(item, dialect)),
        _ => {}
    }
}

/// Declares that unknown form fields are strings as well.
fn allow_unknown_form_fields(body: &Value, schemas: &mut Map<String, Value>) {
    const FORMS: [&str; 2] = ["application/x-www-form-urlencoded", "multipart/form-data"];
    for reference in FORMS.iter().filter_map(|form| body["content"][form]["schema"]["$ref"].as_str()) {
        let schema = reference.rsplit('/').next().and_then(|name| schemas.get_mut(name)?.as_object_mut());
        if let Some(schema) = schema {
            schema.entry("additionalProperties").or_insert_with(|| json!({"type": "string"}));
        }
    }
}

/// The errors that any operation with such parameters, body and credentials may have.
fn general_errors(
    operation: &Value,
    schemas: &Map<String, Value>,
    render: &dyn Fn(ApiError) -> Response,
) -> Vec<ApiError> {
    let mut errors = Vec::new();
    let mut rejected = |rejection: Rejection| errors.push(ApiError::Rejection(rejection));
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(body) = operation.get("requestBody") {
        rejected(Rejection::MalformedBody { detail: "expected value".to_owned(), at: 0 });
        if let Some(field) = first_required(body, schemas) {
            rejected(Rejection::field(FieldError::missing(ParamLocation::Body, field)));
        }
        rejected(Rejection::BodyTimeout);
        rejected(Rejection::Overloaded);
        rejected(Rejection::BodyTooLarge { limit: 65_536 });
        rejected(Rejection::UnsupportedMediaType);
    }
    let name = |parameter: &Value| parameter["name"].as_str().unwrap_or_default().to_owned();
    if let Some(parameter) = parameters.iter().find(|parameter| parameter["in"] == "query") {
        let kind = FieldErrorKind::Invalid("is not UTF-8".to_owned());
        rejected(Rejection::field(FieldError::new(ParamLocation::Query, name(parameter), kind)));
    }
    // A required header field can be malformed. A malformed path parameter is 404 in dialects that answer invalid fields
    // with 400. The other dialects answer it like an invalid field.
    let invalid_field = render(Rejection::field(FieldError::missing(ParamLocation::Path, "id")).into());
    let checks_paths = invalid_field.status() != http::StatusCode::BAD_REQUEST;
    let is_checked = |parameter: &&Value| match parameter["in"].as_str() {
        Some("header") => parameter["required"] == true,
        Some("path") => checks_paths && parameter["schema"].get("format").is_some(),
        _ => false,
    };
    if let Some(parameter) = parameters.iter().find(is_checked) {
        let location = if parameter["in"] == "header" { ParamLocation::Header } else { ParamLocation::Path };
        let kind = FieldErrorKind::Invalid("is malformed".to_owned());
        rejected(Rejection::field(FieldError::new(location, name(parameter), kind)));
    }
    rejected(Rejection::Timeout { after: std::time::Duration::from_secs(30) });
    let schemes = operation["security"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !schemes.is_empty() && schemes.iter().all(|scheme| scheme.as_object().is_some_and(|names| !names.is_empty())) {
        errors.push(Error::MissingCredentials.into());
        errors.push(Error::InvalidToken(VerifyError::Token(TokenError::Expired)).into());
    }
    errors
}

/// The field that the example of a missing field names.
fn first_required(body: &Value, schemas: &Map<String, Value>) -> Option<String> {
    let schema = &body["content"].as_object()?.values().next()?["schema"];
    let name = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    let schema = name.map_or(Some(schema), |name| schemas.get(name))?;
    schema["required"][0].as_str().map(str::to_owned)
}

/// Adds the error responses, by status. Responses that the handler documents itself stay as they are.
fn add_error_responses(
    operation: &mut Value,
    general: Vec<ApiError>,
    specific: Vec<ApiError>,
    render: &dyn Fn(ApiError) -> Response,
    schema: fn(u16) -> &'static str,
) {
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    let documented: Vec<String> = responses.keys().cloned().collect();
    let mut refused: BTreeSet<String> = documented.iter().filter(|status| status.starts_with('4')).cloned().collect();
    // Of the general errors only wrong credentials can happen to a request that conforms to its schema.
    let general = general.into_iter().map(|error| (matches!(error, ApiError::Failure(_)), error));
    for (conforms, error) in general.chain(specific.into_iter().map(|error| (true, error))) {
        let summary = match &error {
            ApiError::Rejection(rejection) => rejection.to_string(),
            ApiError::Failure(error) => error.to_string(),
        };
        let response = render(error);
        let status = response.status().as_str().to_owned();
        if conforms && status.starts_with('4') {
            refused.insert(status.clone());
        }
        if documented.contains(&status) {
            continue;
        }
        let entry = responses.entry(status).or_insert_with(|| response_docs(&response, schema));
        let (Ok(example), Some(content)) = (serde_json::from_slice::<Value>(response.content()), content_of(entry))
        else {
            continue;
        };
        if let Some(examples) = content["examples"].as_object_mut()
            && !examples.values().any(|known| known["value"] == example)
        {
            examples.insert(slug(&summary), json!({"summary": summary, "value": example}));
        }
    }
    if !refused.is_empty() {
        operation[REFUSED] = json!(refused);
    }
}

fn content_of(response: &mut Value) -> Option<&mut Value> {
    response["content"].as_object_mut()?.values_mut().next()
}

fn response_docs(response: &Response, schema: fn(u16) -> &'static str) -> Value {
    let is_specific = |name: &&http::HeaderName| **name != CONTENT_TYPE && **name != CACHE_CONTROL;
    let headers: Map<String, Value> = response.headers().keys().filter(is_specific).map(header_docs).collect();
    let mut entry = json!({"description": response.status().canonical_reason().unwrap_or("Failed")});
    if !headers.is_empty() {
        entry["headers"] = headers.into();
    }
    if let Some(media_type) = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) {
        let schema = format!("#/components/schemas/{}", schema(response.status().as_u16()));
        entry["content"] = json!({media_type: {"schema": {"$ref": schema}, "examples": {}}});
    }
    entry
}

fn header_docs(name: &http::HeaderName) -> (String, Value) {
    let docs = match name.as_str() {
        "retry-after" => json!({"description": "Seconds to wait before trying again.",
            "schema": {"type": "integer", "minimum": 1}}),
        _ => json!({"schema": {"type": "string"}}),
    };
    (name.to_string(), docs)
}

fn slug(text: &str) -> String {
    let dashed = text.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '-' });
    let slug = dashed.collect::<String>().to_ascii_lowercase();
    slug.split('-').filter(|word| !word.is_empty()).take(8).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_operation_has_both_tags() {
        let item = |tag: &str| json!({"get": {"tags": [tag], "operationId": tag}});
        let mut paths = Map::new();
        merge(&mut paths, "/me".to_owned(), item("one"));
        merge(&mut paths, "/me".to_owned(), item("other"));
        assert_eq!(paths["/me"]["get"], json!({"tags": ["one", "other"], "operationId": "one"}));
    }

    #[test]
    fn references_are_qualified_with_the_dialect() {
        let mut value = json!({"a": [{"$ref": "#/components/schemas/Tokens"}], "b": "#/components/schemas/Tokens"});
        qualify_references(&mut value, "v1");
        let qualified = json!({"a": [{"$ref": "#/components/schemas/v1.Tokens"}], "b": "#/components/schemas/Tokens"});
        assert_eq!(value, qualified);
    }
}
