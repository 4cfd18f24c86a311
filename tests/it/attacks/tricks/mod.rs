//! What people try who have no right to it, after what has worked elsewhere. The calls are those of the document that is served: a
//! new one is tried as soon as it is there, and the tests say if they do not know how.

mod assigned;
mod banned;
mod browsers;
mod foreign;
mod halves;
mod interim;
mod names;
mod poison;
mod sizes;

use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};

use super::*;
use crate::support::totp;

/// A call of the document.
#[derive(Clone, Debug)]
struct Call {
    method: Method,
    path: String,
    /// The names of what lets in, if anything is asked for.
    lets_in: Vec<String>,
    /// The members of its body, with their schemas.
    body: Map<String, Value>,
    form: bool,
    /// Whether it is made within a project.
    project: bool,
}

impl Call {
    /// All that are served, in the document's order.
    async fn all(server: &TestServer) -> Vec<Self> {
        let document = server.get("/openapi.json").send_checked().await.is(200).json();
        let mut calls = Vec::new();
        for (path, methods) in document["paths"].as_object().expect("it has paths") {
            for (method, said) in methods.as_object().expect("a path has methods") {
                let bodies = said["requestBody"]["content"].as_object().cloned().unwrap_or_default();
                let (kind, schema) =
                    bodies.iter().next().map_or(("", &Value::Null), |(kind, it)| (kind, &it["schema"]));
                let name = schema["$ref"].as_str().or(schema["oneOf"][0]["$ref"].as_str()).unwrap_or_default();
                let body = document.pointer(name.trim_start_matches('#')).map_or(&Value::Null, |it| &it["properties"]);
                assert_eq!(kind.is_empty(), !body.is_object() || name.is_empty(), "{method} {path}: {schema}");
                let ways = said["security"].as_array().into_iter().flatten().filter_map(Value::as_object);
                let headers = said["parameters"].as_array().into_iter().flatten();
                calls.push(Self {
                    method: method.to_uppercase().parse().expect("it is a method"),
                    path: path.clone(),
                    lets_in: ways.map(|way| way.keys().next().cloned().unwrap_or_default()).collect(),
                    body: if name.is_empty() { Map::new() } else { body.as_object().cloned().unwrap_or_default() },
                    form: kind.contains("form"),
                    project: headers.into_iter().any(|it| it["name"] == "x-project-id"),
                });
            }
        }
        assert!(calls.len() > 70, "the document was not understood: {calls:?}");
        calls
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// Somebody new, and what they hold.
struct Somebody {
    person: TestUser,
    access: String,
    refresh: String,
    session: String,
    project: String,
}

impl Somebody {
    async fn new(server: &TestServer, more: &[&str]) -> Self {
        let person = server.create_user(more);
        let TokenPair { access, refresh, session } = server.sign_in(&person).await;
        let projects = server.get("/projects").bearer_auth(&access).send_checked().await.is(200).json();
        Self { person, access, refresh, session, project: text(&projects["projects"][0], "id") }
    }
}

/// Its body, where it has one.
fn json_of(answer: &HttpResponse) -> Value {
    serde_json::from_str(&answer.text).unwrap_or_default()
}

/// The row, without what differs between any two people and any two moments.
fn standing(server: &TestServer, email: &str) -> Value {
    let mut row = server.plan().json(&["users", "show", email], "");
    for own in ["id", "number", "email", "username", "created_at", "updated_at"] {
        row.as_object_mut().expect("a row is an object").remove(own);
    }
    row
}

/// A call as it is taken.
#[derive(Clone)]
struct Wish {
    call: Call,
    path: String,
    bearer: String,
    project: String,
    body: Value,
    /// Whose row it is about.
    about: String,
}

impl Wish {
    fn request(&self, server: &TestServer) -> RequestBuilder {
        let mut request = server.request(self.call.method.clone(), &self.path);
        if !self.bearer.is_empty() {
            request = request.bearer_auth(&self.bearer);
        }
        if self.call.project {
            request = request.header("x-project-id", &self.project);
        }
        match &self.body {
            Value::Null => request,
            body if self.call.form => request.form(&fields(body)),
            body => request.json(body),
        }
    }
}

/// As a form has them.
fn fields(body: &Value) -> Vec<(String, String)> {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    body.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), plain(value))).collect()
}

/// A wish that is granted, by somebody new.
async fn wish(server: &TestServer, call: &Call, root: &str) -> Wish {
    let name = call.name();
    let more: &[&str] = if name == "POST /api/auth/login" { &["--verified"] } else { &[] };
    let who = Somebody::new(server, more).await;
    let Somebody { access, refresh, session, .. } = &who;
    let TestUser { id, email, username } = &who.person;
    let new = email.replace("person", "newcomer");
    let newcomer = username.replace("person", "newcomer");
    let mut path = call.path.replace("{id}", id).replace("{user_id}", id);
    let mut about = email.clone();
    let mut bearer = if call.lets_in.iter().any(|way| way == "access_token") { access.clone() } else { String::new() };
    let by = |bearer: &mut String, token: String| *bearer = token;
    let with_a_factor = async || Box::pin(totp::enable_totp(server, access, PASSWORD)).await.1.swap_remove(0);
    let body = match name.as_str() {
        "PATCH /admin/users/{id}/billing" => json!({"tokens_used": 0}),
        "POST /api/auth/login" | "POST /auth/login/oauth" => json!({"username": email, "password": PASSWORD}),
        "POST /api/auth/refresh-token"
        | "POST /auth/refresh"
        | "POST /api/v1/refresh"
        | "POST /auth/verification/revoke-token" => json!({"refresh_token": refresh}),
        "POST /auth/verification/refresh-token" => json!({"refresh_token": refresh, "user_uuid": id}),
        "POST /api/auth/register" | "POST /api/v1/register" => {
            json!({"email": new, "username": newcomer, "password": PASSWORD})
        }
        "POST /auth/login/signup" | "POST /auth/users/create" => json!({"email": new, "password": PASSWORD}),
        "POST /auth/signup" => json!({"email": new, "password": PASSWORD, "user_name": "somebody"}),
        "POST /api/v1/login" | "POST /auth/signin" | "POST /sessions" => json!({"email": email, "password": PASSWORD}),
        "POST /auth/signin/otp" => {
            json!({"email": email, "password": PASSWORD, "otp_code": with_a_factor().await})
        }
        "POST /api/v1/password-reset" => json!({"email": email, "username": username}),
        "POST /api/v1/password-reset-confirm" => {
            path = format!("{path}?token={}", whole_link(server, &who.person).await);
            json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD})
        }
        "POST /api/v1/verify" | "POST /api/v1/verify-token" | "POST /verify" => json!({"token": access}),
        "POST /verify/batch" => json!({"tokens": [access]}),
        "POST /auth/api-keys/" => json!({"name": "a key"}),
        "POST /projects" => json!({"name": "Weather"}),
        "POST /auth/login/claim" | "POST /links/magic" => {
            let (token, claim) = link(server, "magic", email).await;
            by(&mut bearer, if call.body.contains_key("token") { String::new() } else { token.clone() });
            json!({"token": token, "claim": claim})
        }
        "POST /auth/login/reset" | "POST /links/reset" => {
            let (token, claim) = link(server, "recover", email).await;
            by(&mut bearer, if call.body.contains_key("token") { String::new() } else { token.clone() });
            json!({"token": token, "claim": claim, "new_password": OTHER_PASSWORD})
        }
        "POST /links/confirm" => {
            let body = json!({"email": new, "username": newcomer, "password": PASSWORD});
            server.post("/api/v1/register").json(&body).send_checked().await.is(201);
            json!({"token": outbox::wait_for_mail(server, &new, 0).await.token()})
        }
        "DELETE /auth/login/totp" | "DELETE /totp" => {
            with_a_factor().await;
            json!({"original": PASSWORD, "password": PASSWORD})
        }
        "POST /auth/login/totp" => {
            let code = with_a_factor().await;
            by(&mut bearer, first_step(server, &who.person).await);
            json!({"claim": code})
        }
        "PUT /auth/login/totp" | "PUT /totp" => {
            let begun = server.post("/totp").bearer_auth(access).send_checked().await.is(201).json();
            let code = totp::code(&text(&begun, "key"), 0);
            json!({"claim": code, "code": code, "uri": "", "password": PASSWORD})
        }
        "POST /auth/mail/verify/send" => json!({"user_id": id}),
        "POST /auth/mail/verify" => json!({"user_id": id, "code": confirming_code(server, &who.person).await}),
        "PUT /auth/users/me" => json!({"full_name": "Somebody"}),
        "POST /auth/users/{user_id}" => json!({"full_name": "Somebody"}),
        "POST /auth/users/toggle-state" => json!({"user_email": email}),
        "POST /auth/verification/send-code" => json!({"email": email}),
        "POST /auth/verification/verify-code" => json!({"email": email, "code": mailed_code(server, email).await}),
        "POST /oauth/introspect" | "POST /oauth/revoke" => {
            let (key, _) = server.api_key(&who.person, &["introspect", "revoke"]);
            by(&mut bearer, String::new());
            json!({"token": access, "client_secret": key})
        }
        "POST /oauth/token" => json!({"grant_type": "refresh_token", "refresh_token": refresh}),
        other => {
            assert!(call.body.is_empty(), "{other} has a body: say which is granted");
            Value::Null
        }
    };
    if name.contains("/admin/") || name.contains("/auth/users/{") || name.ends_with("create") || name.ends_with("state")
    {
        bearer = root.to_owned();
    }
    if body["email"] == new.as_str() || name == "POST /links/confirm" {
        about = new;
    }
    if name == "DELETE /sessions/{id}" {
        path = format!("/sessions/{session}");
    }
    // What the document does not have there was to be shared between two dialects.
    let mut body = body;
    if let Some(members) = body.as_object_mut() {
        members.retain(|member, _| call.body.contains_key(member));
    }
    Wish { call: call.clone(), path, bearer, project: who.project.clone(), body, about }
}
