//! Well-known attacks by clients without rights. The calls come from the OpenAPI document that the server returns: a
//! new call is attacked automatically, and the tests fail if they have no valid request for it.

mod assigned;
mod banned;
mod browsers;
mod device_secrets;
mod foreign;
mod interim;
mod names;
mod poison;
mod sizes;

use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};

use super::*;
use crate::support::totp;

/// An operation of the OpenAPI document.
#[derive(Clone, Debug)]
struct ApiCall {
    method: Method,
    path: String,
    /// The names of its security schemes; empty if it needs no authentication, an empty name if authentication is
    /// optional.
    security_schemes: Vec<String>,
    /// The fields of its body, with their schemas.
    body: Map<String, Value>,
    form: bool,
    /// True if it takes the `x-project-id` header.
    in_project: bool,
}

impl ApiCall {
    /// All operations, in the order of the document.
    async fn all(server: &TestServer) -> Vec<Self> {
        let document = server.get("/openapi.json").send_checked().await.is(200).json();
        let mut calls = Vec::new();
        for (path, methods) in document["paths"].as_object().expect("it has paths") {
            for (method, operation) in methods.as_object().expect("a path has methods") {
                let bodies = operation["requestBody"]["content"].as_object().cloned().unwrap_or_default();
                let (media_type, schema) =
                    bodies.iter().next().map_or(("", &Value::Null), |(media_type, it)| (media_type, &it["schema"]));
                let name = schema["$ref"].as_str().or(schema["oneOf"][0]["$ref"].as_str()).unwrap_or_default();
                let body = document.pointer(name.trim_start_matches('#')).map_or(&Value::Null, |it| &it["properties"]);
                assert_eq!(media_type.is_empty(), !body.is_object() || name.is_empty(), "{method} {path}: {schema}");
                let ways = operation["security"].as_array().into_iter().flatten().filter_map(Value::as_object);
                let headers = operation["parameters"].as_array().into_iter().flatten();
                calls.push(Self {
                    method: method.to_uppercase().parse().expect("it is a method"),
                    path: path.clone(),
                    security_schemes: ways.map(|way| way.keys().next().cloned().unwrap_or_default()).collect(),
                    body: if name.is_empty() { Map::new() } else { body.as_object().cloned().unwrap_or_default() },
                    form: media_type.contains("form"),
                    in_project: headers.into_iter().any(|it| it["name"] == "x-project-id"),
                });
            }
        }
        assert!(calls.len() > 70, "too few operations: {calls:?}");
        calls
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// A new user, and the tokens and ids of its session.
struct SignedInUser {
    user: TestUser,
    access: String,
    refresh: String,
    session: String,
    project: String,
}

impl SignedInUser {
    async fn new(server: &TestServer, arguments: &[&str]) -> Self {
        let user = server.create_user(arguments);
        let TokenPair { access, refresh, session } = server.sign_in(&user).await;
        let projects = server.get("/projects").bearer_auth(&access).send_checked().await.is(200).json();
        Self { user, access, refresh, session, project: text(&projects["projects"][0], "id") }
    }
}

/// The body of a response; null if it is not JSON.
fn json_body(response: &HttpResponse) -> Value {
    serde_json::from_str(&response.text).unwrap_or_default()
}

/// The row of a user, without the fields that differ between any two users or moments.
fn comparable_row(row: &Value) -> Value {
    let mut row = row.clone();
    for field in ["id", "number", "email", "username", "created_at", "updated_at"] {
        row.as_object_mut().expect("a row is an object").remove(field);
    }
    row
}

/// A request that its operation accepts.
#[derive(Clone)]
struct ValidRequest {
    call: ApiCall,
    path: String,
    bearer: String,
    project: String,
    body: Value,
    /// The address of the user whose row it concerns.
    email_of_row: String,
}

impl ValidRequest {
    fn build(&self, server: &TestServer) -> RequestBuilder {
        let mut request = server.request(self.call.method.clone(), &self.path);
        if !self.bearer.is_empty() {
            request = request.bearer_auth(&self.bearer);
        }
        if self.call.in_project {
            request = request.header("x-project-id", &self.project);
        }
        match &self.body {
            Value::Null => request,
            body if self.call.form => request.form(&fields(body)),
            body => request.json(body),
        }
    }
}

/// The fields of a form body.
fn fields(body: &Value) -> Vec<(String, String)> {
    let as_text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    body.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), as_text(value))).collect()
}

/// Makes a request that the operation accepts, by a new user.
async fn valid_request(server: &TestServer, call: &ApiCall, admin: &str) -> ValidRequest {
    let name = call.name();
    let arguments: &[&str] = if name.starts_with("POST /api/auth/") { &["--verified"] } else { &[] };
    let user = SignedInUser::new(server, arguments).await;
    let SignedInUser { access, refresh, session, .. } = &user;
    let TestUser { id, email, username } = &user.user;
    let new_email = email.replace("person", "newcomer");
    let new_username = username.replace("person", "newcomer");
    let mut path = call.path.replace("/projects/{id}", "/projects/personal");
    path = path.replace("{id}", id).replace("{user_id}", id).replace("{session}", session);
    let mut email_of_row = email.clone();
    let mut bearer =
        if call.security_schemes.iter().any(|way| way == "access_token") { access.clone() } else { String::new() };
    let set_bearer = |bearer: &mut String, token: String| *bearer = token;
    let enable_mfa = async || Box::pin(totp::enable_totp(server, access, PASSWORD)).await.1.swap_remove(0);
    let body = match name.as_str() {
        "POST /.well-known/signet-revocations/followers" => {
            json!({"name": username, "epoch": "e", "position": "1-0", "time": 0, "jwks": "j"})
        }
        "POST /users" => json!({"email": new_email, "username": new_username, "password": PASSWORD}),
        "POST /codes" | "POST /magic-links" | "POST /password-resets" => json!({"email": email}),
        "PATCH /me" => json!({"full_name": "Somebody"}),
        "DELETE /me" => json!({"password": PASSWORD}),
        "PUT /me/password" => json!({"current_password": PASSWORD, "new_password": OTHER_PASSWORD}),
        "POST /me/email" => {
            json!({"email": email.replace("person", "elsewhere"), "current_password": PASSWORD})
        }
        "POST /totp/recovery-codes" => {
            enable_mfa().await;
            json!({"password": PASSWORD})
        }
        "POST /admin/users" => json!({"email": new_email, "username": new_username, "password": PASSWORD}),
        "POST /admin/inspect" => json!({"token": access}),
        "POST /admin/mail/test" => json!({"to": new_email}),
        "PATCH /admin/users/{id}" => json!({"claims": {"plan": "pro"}}),
        "PATCH /admin/users/{id}/billing" => json!({"tokens_used": 0}),
        "POST /api/auth/login" | "POST /auth/login/oauth" => json!({"username": email, "password": PASSWORD}),
        "POST /api/auth/refresh-token" | "POST /auth/verification/revoke-token" => json!({"refresh_token": refresh}),
        // These calls do not rotate, so they accept only sessions of dialects that do not.
        "POST /auth/refresh" | "POST /api/v1/refresh" => {
            json!({"refresh_token": sign_in_for_refresh(server, "v1", &user.user).await.1})
        }
        "POST /auth/verification/refresh-token" => json!({"refresh_token": refresh, "user_uuid": id}),
        "POST /api/auth/register" | "POST /api/v1/register" => {
            json!({"email": new_email, "username": new_username, "password": PASSWORD})
        }
        "POST /auth/login/signup" | "POST /auth/users/create" => json!({"email": new_email, "password": PASSWORD}),
        "POST /auth/signup" => json!({"email": new_email, "password": PASSWORD, "user_name": "somebody"}),
        "POST /api/v1/login" | "POST /auth/signin" | "POST /sessions" => json!({"email": email, "password": PASSWORD}),
        "POST /auth/signin/otp" => {
            json!({"email": email, "password": PASSWORD, "otp_code": enable_mfa().await})
        }
        "POST /api/v1/password-reset" => json!({"email": email, "username": username}),
        "POST /api/v1/password-reset-confirm" => {
            path = format!("{path}?token={}", mail_reset_link(server, &user.user).await);
            json!({"new_password": OTHER_PASSWORD, "new_password_confirm": OTHER_PASSWORD})
        }
        "POST /api/v1/verify" | "POST /api/v1/verify-token" | "POST /verify" => json!({"token": access}),
        "POST /verify/batch" => json!({"tokens": [access]}),
        "POST /auth/api-keys/" | "POST /projects/{id}/api-keys" => json!({"name": "a key"}),
        "POST /projects" => json!({"name": "Weather"}),
        "POST /auth/login/claim" | "POST /links/magic" | "POST /magic-links/redeem" => {
            let (token, claim) = mail_link(server, "magic", email).await;
            set_bearer(&mut bearer, if call.body.contains_key("token") { String::new() } else { token.clone() });
            json!({"token": token, "claim": claim, "device_secret": claim})
        }
        "POST /auth/login/reset" | "POST /links/reset" | "POST /password-resets/redeem" => {
            let (token, claim) = mail_link(server, "recover", email).await;
            set_bearer(&mut bearer, if call.body.contains_key("token") { String::new() } else { token.clone() });
            json!({"token": token, "claim": claim, "device_secret": claim, "new_password": OTHER_PASSWORD})
        }
        "POST /links/confirm" | "POST /email-confirmations/redeem" => {
            let body = json!({"email": new_email, "username": new_username, "password": PASSWORD});
            server.post("/api/v1/register").json(&body).send_checked().await.is(201);
            json!({"token": outbox::wait_for_mail(server, &new_email, 0).await.token()})
        }
        "DELETE /auth/login/totp" | "DELETE /totp" => {
            enable_mfa().await;
            json!({"original": PASSWORD, "password": PASSWORD})
        }
        "POST /auth/login/totp" => {
            let code = enable_mfa().await;
            set_bearer(&mut bearer, start_two_step_sign_in(server, &user.user).await);
            json!({"claim": code})
        }
        "PUT /auth/login/totp" | "PUT /totp" => {
            let enrollment = server.post("/totp").bearer_auth(access).send_checked().await.is(201).json();
            let code = totp::code(&text(&enrollment, "key"), 0);
            json!({"claim": code, "code": code, "uri": "", "password": PASSWORD})
        }
        "POST /auth/mail/verify/send" => json!({"user_id": id}),
        "POST /auth/mail/verify" => json!({"user_id": id, "code": mail_verification_code(server, &user.user).await}),
        "PUT /auth/users/me" => json!({"full_name": "Somebody"}),
        "POST /auth/users/{user_id}" => json!({"full_name": "Somebody"}),
        "POST /auth/users/toggle-state" => json!({"user_email": email}),
        "POST /auth/verification/send-code" => json!({"email": email}),
        "POST /auth/verification/verify-code" => {
            json!({"email": email, "code": mail_sign_in_code(server, email).await})
        }
        "POST /oauth/introspect" | "POST /oauth/revoke" => {
            let (key, _) = server.api_key(&user.user, &["introspect", "revoke"]);
            set_bearer(&mut bearer, String::new());
            json!({"token": access, "client_secret": key})
        }
        "POST /oauth/token" => json!({"grant_type": "refresh_token", "refresh_token": refresh}),
        other => {
            assert!(call.body.is_empty(), "{other} has a body: add a valid one to this match");
            Value::Null
        }
    };
    if name.contains("/admin/")
        || name.ends_with("/followers")
        || name.contains("/auth/users/{")
        || name.ends_with("create")
        || name.ends_with("state")
    {
        bearer = admin.to_owned();
    }
    if body["email"] == new_email.as_str()
        || name == "POST /links/confirm"
        || name == "POST /email-confirmations/redeem"
    {
        email_of_row = new_email;
    }
    if name == "DELETE /sessions/{id}" {
        path = format!("/sessions/{session}");
    }
    // Some bodies above have fields of several dialects: keep those of this operation.
    let mut body = body;
    if let Some(members) = body.as_object_mut() {
        members.retain(|member, _| call.body.contains_key(member));
    }
    ValidRequest { call: call.clone(), path, bearer, project: user.project.clone(), body, email_of_row }
}
