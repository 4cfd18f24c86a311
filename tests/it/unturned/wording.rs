//! Field errors in the form of FastAPI, and all other errors in the envelope.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use super::{
    KEYS, REFRESH, REVOKE, SEND, UNKNOWN_ID, UnturnedResponse, VERIFY, call, create_key, keys_request, member,
};
use crate::support::server::{SendRequest, TestServer, over_both_stores};

over_both_stores!(
    |plan| plan;
    invalid_fields_of_a_body_are_reported_together,
    invalid_fields_of_all_locations_are_reported_together,
    invalid_key_request_creates_no_key,
    error_entries_have_the_text_of_fastapi,
    json_errors_have_a_position,
    other_errors_are_in_the_envelope,
    any_text_is_a_valid_key_name,
);

async fn invalid_fields_of_a_body_are_reported_together(server: &TestServer) {
    for path in [SEND, VERIFY, REFRESH, REVOKE] {
        server.post(path).send_checked().await.has_field_errors(&[(&["body"], "missing")]);
        call(server, path, &json!([1])).await.has_field_errors(&[(&["body"], "model_attributes_type")]);
    }
    call(server, SEND, &json!({})).await.has_field_errors(&[(&["body", "email"], "missing")]);
    for bad in
        ["", "a", "a@", "@b.example", "a@b", "a b@c.example", "a@b.example\r\nbcc: x@y.example", "a\u{ff20}b.example"]
    {
        call(server, SEND, &json!({"email": bad})).await.has_field_errors(&[(&["body", "email"], "value_error")]);
    }
    let expected = [(&["body", "email"][..], "value_error"), (&["body", "code"], "missing")];
    call(server, VERIFY, &json!({"email": "a"})).await.has_field_errors(&expected);
    let expected = [
        (&["body", "code"][..], "string_type"),
        (&["body", "email"], "string_type"),
        (&["body", "totp_code"], "string_type"),
    ];
    call(server, VERIFY, &json!({"email": null, "code": 123456, "totp_code": 1})).await.has_field_errors(&expected);
    let expected = [(&["body", "refresh_token"][..], "string_type"), (&["body", "user_uuid"], "missing")];
    call(server, REFRESH, &json!({"refresh_token": 1})).await.has_field_errors(&expected);
    call(server, REVOKE, &json!({"token": "x"})).await.has_field_errors(&[(&["body", "refresh_token"], "missing")]);
}

async fn invalid_fields_of_all_locations_are_reported_together(server: &TestServer) {
    let member = member(server, "all-parts").await;
    let request = |method: Method, path: &str| server.request(method, path).bearer_auth(&member.access);
    let header: &[&str] = &["header", "x-project-id"];
    request(Method::GET, KEYS).send_checked().await.has_field_errors(&[(header, "missing")]);
    for bad in ["", "x", "0", "sk_0123456789ab", &format!("{UNKNOWN_ID}0")] {
        let response =
            request(Method::GET, &format!("{KEYS}?page=0&limit=101")).header("x-project-id", bad).send_checked().await;
        response.has_field_errors(&[
            (&["query", "limit"], "less_than_equal"),
            (&["query", "page"], "greater_than_equal"),
            (header, "uuid_parsing"),
        ]);
    }
    let response = request(Method::GET, &format!("{KEYS}?page=one&limit=0.5")).send_checked().await;
    response.has_field_errors(&[
        (&["query", "limit"], "int_parsing"),
        (&["query", "page"], "int_parsing"),
        (header, "missing"),
    ]);
    let response = request(Method::DELETE, &format!("{KEYS}x")).send_checked().await;
    response.has_field_errors(&[(&["path", "key_id"], "uuid_parsing"), (header, "missing")]);
    let response = request(Method::POST, KEYS).json(&json!({"name": ""})).send_checked().await;
    response.has_field_errors(&[(header, "missing"), (&["body", "name"], "string_too_short")]);
}

async fn invalid_key_request_creates_no_key(server: &TestServer) {
    let member = member(server, "invalid-key").await;
    let name: &[&str] = &["body", "name"];
    let (days, scopes): (&[&str], &[&str]) = (&["body", "expires_in_days"], &["body", "scopes"]);
    let many: Vec<String> = (0..51).map(|number| format!("scope-{number}")).collect();
    for (body, expected) in [
        (json!({}), vec![(name, "missing")]),
        (json!({"name": "x".repeat(101)}), vec![(name, "string_too_long")]),
        (json!({"name": "a\u{0}b"}), vec![(name, "value_error")]),
        (json!({"name": "k", "expires_in_days": 0}), vec![(days, "greater_than_equal")]),
        (json!({"name": "k", "expires_in_days": 36_501}), vec![(days, "less_than_equal")]),
        (json!({"name": "k", "expires_in_days": 1.5}), vec![(days, "int_from_float")]),
        (json!({"name": "k", "expires_in_days": "soon"}), vec![(days, "int_parsing")]),
        (json!({"name": "k", "expires_in_days": []}), vec![(days, "int_type")]),
        (json!({"name": "k", "scopes": "read"}), vec![(scopes, "list_type")]),
        (json!({"name": "k", "scopes": many}), vec![(scopes, "too_long")]),
        (
            json!({"expires_in_days": -1, "scopes": 3}),
            vec![(days, "greater_than_equal"), (scopes, "list_type"), (name, "missing")],
        ),
    ] {
        let request = keys_request(server, Method::POST, KEYS, &member.project).bearer_auth(&member.access).json(&body);
        request.send_checked().await.has_field_errors(&expected);
    }
    // A scope must not contain a space, because scopes are joined by spaces.
    let body = json!({"name": "k", "scopes": ["read", "x billing:write", "", "\u{fc}"]});
    let response = keys_request(server, Method::POST, KEYS, &member.project)
        .bearer_auth(&member.access)
        .json(&body)
        .send_checked()
        .await;
    let detail = response.is(422).json()["detail"].clone();
    let found: Vec<_> = detail.as_array().unwrap().iter().map(|entry| (&entry["loc"], &entry["type"])).collect();
    let loc = |item: usize| json!(["body", "scopes", item]);
    let (pattern, short) = (json!("string_pattern_mismatch"), json!("string_too_short"));
    assert_eq!(found, [(&loc(1), &pattern), (&loc(2), &short), (&loc(3), &pattern)]);
    let listed =
        keys_request(server, Method::GET, KEYS, &member.project).bearer_auth(&member.access).send_checked().await;
    assert_eq!(listed.data()["pagination"]["total"], 0);
}

async fn error_entries_have_the_text_of_fastapi(server: &TestServer) {
    let body = call(server, SEND, &json!({"email": "zoe"})).await.is(422).json();
    let reason = "An email address must have an @-sign.";
    let msg = format!("value is not a valid email address: {reason}");
    let entry = json!({"type": "value_error", "loc": ["body", "email"], "msg": msg, "ctx": {"reason": reason}});
    assert_eq!(body, json!({"detail": [entry]}));
}

async fn json_errors_have_a_position(server: &TestServer) {
    for (body, at) in [("{", 0), (r#"{"email":}"#, 9), ("nonsense", 1)] {
        let response = server.post(SEND).header(CONTENT_TYPE, "application/json").body(body).send_checked().await;
        let entry = response.is(422).json()["detail"][0].clone();
        assert_eq!((&entry["type"], &entry["msg"]), (&json!("json_invalid"), &json!("JSON decode error")));
        assert_eq!(entry["loc"], json!(["body", at]), "{body}");
        assert!(entry["ctx"]["error"].is_string(), "{entry}");
    }
}

async fn other_errors_are_in_the_envelope(server: &TestServer) {
    for path in ["/auth/verification", "/auth/verification/x", "/auth/api-keys/x/y"] {
        server.get(path).send_checked().await.is_error(404, "not_found");
    }
    let response = server.get(SEND).send_checked().await;
    assert_eq!(response.is_error(405, "method_not_allowed").header("allow"), "OPTIONS, POST");
    let response = server.request(Method::PUT, KEYS).send_checked().await;
    assert_eq!(response.is_error(405, "method_not_allowed").header("allow"), "GET, HEAD, OPTIONS, POST");
    let large = server.post(SEND).json(&json!({"email": "x".repeat(70_000)})).send_checked().await;
    large.is_error(413, "payload_too_large");
    let form = server.post(SEND).form(&[("email", "a@b.example")]).send_checked().await;
    form.is_error(415, "unsupported_media_type");
    let options = server.request(Method::OPTIONS, SEND).send_checked().await;
    assert_eq!(options.is(204).header("allow"), "OPTIONS, POST");
}

async fn any_text_is_a_valid_key_name(server: &TestServer) {
    let member = member(server, "any-name").await;
    for name in ["x", " ", "'; DROP TABLE users; --", "\u{1f511} \u{202e}", &"\u{e9}".repeat(100)] {
        assert_eq!(create_key(server, &member, &json!({"name": name, "unknown": [1]})).await["name"], name);
    }
}

#[tokio::test]
async fn prefix_is_a_setting() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_API__UNTURNED__PREFIX", "/elsewhere"));
    server.post("/elsewhere/verification/send-code").send_checked().await.has_field_errors(&[(&["body"], "missing")]);
    server.get("/elsewhere/api-keys").send_checked().await.is_error(401, "not_authenticated");
    server.get("/elsewhere/users/me").send_checked().await.is_error(401, "not_authenticated");
    server.post(SEND).send_checked().await.is(404);
}
