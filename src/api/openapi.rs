//! The OpenAPI document: one chapter a dialect, assembled once from what is switched on. Knows none of the dialects.
//!
//! What a call takes and gives is read off its wire types. What may go wrong with it is not written down a second time: the
//! dialect's own failure function is asked, so status, header fields and example are what a client gets.

use std::collections::{BTreeMap, BTreeSet};

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use super::ApiError;
use crate::auth::Error;
use crate::auth::tokens::verify::{TokenError as TokenFault, VerifyError};
use crate::http::{FieldError, ParamLocation, Rejection, Response};

/// A dialect's part of the document, its paths relative to its prefix.
pub(crate) struct ApiSpec {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
    description: String,
}

/// How a dialect, or a part of one, words what goes wrong.
pub(crate) struct ErrorSpec<'a> {
    /// Its failure function.
    pub(crate) word: &'a dyn Fn(ApiError) -> Response,
    /// The name of the schema that bodies of this status have.
    pub(crate) schema: &'a dyn Fn(u16) -> &'static str,
    /// By `operationId`: what else may go wrong there than may anywhere.
    pub(crate) failures: Vec<(&'static str, Vec<Error>)>,
}

impl ApiSpec {
    /// A chapter from what utoipa gathered; its one tag, if it has one, describes the dialect.
    pub(crate) fn new(gathered: &OpenApi, wording: ErrorSpec<'_>) -> Self {
        Self::with_rejections(gathered, wording, Vec::new())
    }

    /// The same for a dialect that has more to say of some requests' fields than that they are wrong: by `operationId`, what.
    pub(crate) fn with_rejections(
        gathered: &OpenApi,
        wording: ErrorSpec<'_>,
        rejections: Vec<(&'static str, Vec<Rejection>)>,
    ) -> Self {
        let mut gathered = serde_json::to_value(gathered).unwrap_or_default();
        let mut taken = |pointer: &str| match gathered.pointer_mut(pointer).map(Value::take) {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        };
        let (mut paths, mut schemas) = (taken("/paths"), taken("/components/schemas"));
        let description =
            gathered.pointer("/tags/0/description").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut failures: BTreeMap<_, _> = wording.failures.iter().cloned().collect();
        let mut rejections: BTreeMap<_, _> = rejections.into_iter().collect();
        let fault = Rejection::field(FieldError::missing(ParamLocation::Path, "id"));
        let faulty = (wording.word)(ApiError::Rejection(fault)).status().as_u16();
        for operation in operations(&mut paths) {
            as_texts(&operation["requestBody"], &mut schemas);
            let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
            let troubles = anywhere(operation, &schemas, faulty);
            let rejected = rejections.remove(id.as_str()).unwrap_or_default().into_iter().map(ApiError::Rejection);
            let failed = failures.remove(id.as_str()).unwrap_or_default().into_iter().map(ApiError::Failure);
            add_failures(operation, troubles, rejected.chain(failed).collect(), &wording);
        }
        debug_assert!(failures.is_empty(), "failures of operations that are not there: {:?}", failures.keys());
        Self { paths, schemas, description }
    }

    /// This chapter and what another part of the same dialect has, which words its failures in another way.
    pub(crate) fn and(mut self, other: Self) -> Self {
        for (path, item) in other.paths {
            merge(&mut self.paths, path, item);
        }
        self.schemas.extend(other.schemas);
        self
    }
}

/// The document while it is put together.
pub(crate) struct Document(Value);

impl Document {
    /// No chapter yet.
    pub(crate) fn new(public_url: &str) -> Self {
        Self(json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Signet",
                "version": env!("CARGO_PKG_VERSION"),
                "summary": "Signs people in, hands out tokens that anyone can verify.",
                "description": "Five published APIs and one of its own, served side by side over the same accounts: \
                    sign up in one, sign in in another. An access token or a refresh token of one is accepted by every other.",
                "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
            },
            "servers": [{"url": public_url}],
            "tags": [],
            "paths": {},
            "components": {"schemas": {}, "securitySchemes": {
                "access_token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "An access token, of whichever dialect."},
                "api_key": {"type": "apiKey", "in": "header", "name": "x-api-key",
                    "description": "An API key: sk_…"},
                "client": {"type": "http", "scheme": "basic",
                    "description": "An API key as the password; the name does not matter."},
                "refresh_token": {"type": "http", "scheme": "bearer",
                    "description": "A refresh token in place of an access token."},
                "mailed_token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "The token of a link that was mailed."},
                "totp_token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "The token of a sign-in that waits for its second factor."},
            }},
        }))
    }

    /// Adds a dialect's chapter under its tag. Schemas keep their names within the dialect, since two may mean different
    /// things by one. A call that two dialects share is the first one's, and stands under both tags.
    pub(crate) fn add(&mut self, name: &str, prefix: &str, chapter: ApiSpec) {
        if let Some(tags) = self.0["tags"].as_array_mut() {
            tags.push(json!({"name": name, "description": chapter.description}));
        }
        let mut paths = chapter.paths;
        for operation in operations(&mut paths) {
            operation["tags"] = json!([name]);
        }
        let mut schemas = Value::Object(chapter.schemas);
        let mut paths = Value::Object(paths);
        rename(&mut schemas, name);
        rename(&mut paths, name);
        if let (Some(into), Value::Object(schemas)) = (self.0["components"]["schemas"].as_object_mut(), schemas) {
            into.extend(schemas.into_iter().map(|(schema, value)| (format!("{name}.{schema}"), value)));
        }
        if let (Some(into), Value::Object(paths)) = (self.0["paths"].as_object_mut(), paths) {
            for (path, item) in paths {
                merge(into, format!("{prefix}{path}"), item);
            }
        }
    }

    /// The document as it is.
    pub(crate) fn done(self) -> Value {
        self.0
    }
}

/// With which statuses a request may be refused that is in order as far as its schema can tell: whoever tries calls at random cannot
/// know it otherwise.
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

/// Points references at the names that schemas have in the whole document.
fn rename(value: &mut Value, dialect: &str) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match value.as_str().and_then(|text| text.strip_prefix("#/components/schemas/")) {
                    Some(schema) if key == "$ref" => *value = format!("#/components/schemas/{dialect}.{schema}").into(),
                    _ => rename(value, dialect),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, dialect)),
        _ => {}
    }
}

/// The fields of a form are texts, those too that nobody asked for.
fn as_texts(body: &Value, schemas: &mut Map<String, Value>) {
    const FORMS: [&str; 2] = ["application/x-www-form-urlencoded", "multipart/form-data"];
    for reference in FORMS.iter().filter_map(|form| body["content"][form]["schema"]["$ref"].as_str()) {
        let schema = reference.rsplit('/').next().and_then(|name| schemas.get_mut(name)?.as_object_mut());
        if let Some(schema) = schema {
            schema.entry("additionalProperties").or_insert_with(|| json!({"type": "string"}));
        }
    }
}

/// What may go wrong with any call that takes what this one takes.
fn anywhere(operation: &Value, schemas: &Map<String, Value>, faulty: u16) -> Vec<ApiError> {
    let mut troubles = Vec::new();
    let mut rejected = |rejection: Rejection| troubles.push(ApiError::Rejection(rejection));
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(body) = operation.get("requestBody") {
        rejected(Rejection::Unreadable { detail: "expected value".to_owned(), at: 0 });
        if let Some(field) = first_required(body, schemas) {
            rejected(Rejection::field(FieldError::missing(ParamLocation::Body, field)));
        }
        rejected(Rejection::BodyTimeout);
        rejected(Rejection::Crowded);
        rejected(Rejection::TooLarge { limit: 65_536 });
        rejected(Rejection::UnsupportedMediaType);
    }
    let name = |parameter: &Value| parameter["name"].as_str().unwrap_or_default().to_owned();
    if let Some(parameter) = parameters.iter().find(|parameter| parameter["in"] == "query") {
        let trouble = crate::http::FieldErrorKind::Invalid("is not UTF-8".to_owned());
        rejected(Rejection::field(FieldError::new(ParamLocation::Query, name(parameter), trouble)));
    }
    // A field that must be there, or must be written in some way. In a path such a thing is not there, unless the dialect has a
    // word for it: one that words what fields are with a status of its own looks at the path's as well.
    let looks_at_paths = faulty != 400;
    let bound = |parameter: &&Value| match parameter["in"].as_str() {
        Some("header") => parameter["required"] == true,
        Some("path") => looks_at_paths && parameter["schema"].get("format").is_some(),
        _ => false,
    };
    if let Some(parameter) = parameters.iter().find(bound) {
        let place = if parameter["in"] == "header" { ParamLocation::Header } else { ParamLocation::Path };
        let trouble = crate::http::FieldErrorKind::Invalid("is malformed".to_owned());
        rejected(Rejection::field(FieldError::new(place, name(parameter), trouble)));
    }
    rejected(Rejection::Timeout { after: std::time::Duration::from_secs(30) });
    let schemes = operation["security"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !schemes.is_empty() && schemes.iter().all(|scheme| scheme.as_object().is_some_and(|names| !names.is_empty())) {
        troubles.push(ApiError::Failure(Error::NoCredentials));
        troubles.push(ApiError::Failure(Error::BadCredentials(VerifyError::Token(TokenFault::Expired))));
    }
    troubles
}

/// The field whose absence is the example of a field's absence.
fn first_required(body: &Value, schemas: &Map<String, Value>) -> Option<String> {
    let schema = &body["content"].as_object()?.values().next()?["schema"];
    let name = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    let schema = name.map_or(Some(schema), |name| schemas.get(name))?;
    schema["required"][0].as_str().map(str::to_owned)
}

/// Adds the answers to what may go wrong, by status. Those that were documented by hand are left as they are.
fn add_failures(operation: &mut Value, anywhere: Vec<ApiError>, here: Vec<ApiError>, wording: &ErrorSpec<'_>) {
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    let by_hand: Vec<String> = responses.keys().cloned().collect();
    let mut refused: BTreeSet<String> = by_hand.iter().filter(|status| status.starts_with('4')).cloned().collect();
    let credentials = |trouble: &ApiError| matches!(trouble, ApiError::Failure(_));
    let anywhere = anywhere.into_iter().map(|trouble| (credentials(&trouble), trouble));
    for (in_order, trouble) in anywhere.chain(here.into_iter().map(|trouble| (true, trouble))) {
        let said = match &trouble {
            ApiError::Rejection(rejection) => rejection.to_string(),
            ApiError::Failure(failure) => failure.to_string(),
        };
        let response = (wording.word)(trouble);
        let status = response.status().as_str().to_owned();
        if in_order && status.starts_with('4') {
            refused.insert(status.clone());
        }
        if by_hand.contains(&status) {
            continue;
        }
        let entry = responses.entry(status).or_insert_with(|| documented(&response, wording.schema));
        let (Ok(example), Some(content)) = (serde_json::from_slice::<Value>(response.content()), content_of(entry))
        else {
            continue;
        };
        if let Some(examples) = content["examples"].as_object_mut()
            && !examples.values().any(|known| known["value"] == example)
        {
            examples.insert(slug(&said), json!({"summary": said, "value": example}));
        }
    }
    if !refused.is_empty() {
        operation[REFUSED] = json!(refused);
    }
}

fn content_of(response: &mut Value) -> Option<&mut Value> {
    response["content"].as_object_mut()?.values_mut().next()
}

fn documented(response: &Response, schema: &dyn Fn(u16) -> &'static str) -> Value {
    let own = |name: &&http::HeaderName| **name != CONTENT_TYPE && **name != CACHE_CONTROL;
    let headers: Map<String, Value> = response.headers().keys().filter(own).map(documented_field).collect();
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

fn documented_field(name: &http::HeaderName) -> (String, Value) {
    let known = match name.as_str() {
        "retry-after" => json!({"description": "After how many seconds to come again.",
            "schema": {"type": "integer", "minimum": 1}}),
        _ => json!({"schema": {"type": "string"}}),
    };
    (name.to_string(), known)
}

fn slug(text: &str) -> String {
    let kept = text.chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '-' });
    let slug = kept.collect::<String>().to_ascii_lowercase();
    slug.split('-').filter(|word| !word.is_empty()).take(8).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_two_dialects_share_stands_under_both_tags() {
        let item = |tag: &str| json!({"get": {"tags": [tag], "operationId": tag}});
        let mut paths = Map::new();
        merge(&mut paths, "/me".to_owned(), item("one"));
        merge(&mut paths, "/me".to_owned(), item("other"));
        assert_eq!(paths["/me"]["get"], json!({"tags": ["one", "other"], "operationId": "one"}));
    }

    #[test]
    fn a_schema_keeps_its_name_within_its_dialect() {
        let mut value = json!({"a": [{"$ref": "#/components/schemas/Tokens"}], "b": "#/components/schemas/Tokens"});
        rename(&mut value, "v1");
        let renamed = json!({"a": [{"$ref": "#/components/schemas/v1.Tokens"}], "b": "#/components/schemas/Tokens"});
        assert_eq!(value, renamed);
    }
}
