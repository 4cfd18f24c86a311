//! Oversized input: each text of each body one character over its bound, or far larger than needed; lists, heads and
//! nesting.

use super::*;
use crate::support::server::over_both_stores;

over_both_stores!(|plan| plan; oversized_input_is_refused_without_server_error);

/// More than any text may have, and less than the maximum of a body.
const LARGE: usize = 50_000;

async fn oversized_input_is_refused_without_server_error(server: &TestServer) {
    let admin = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let (mut attempts, mut accepted) = (0, Vec::new());
    let calls = ApiCall::all(server).await;
    server.prepare_users(calls.len(), &[]);
    for call in calls {
        let request = valid_request(server, &call, &admin).await;
        let send = async |request: &ValidRequest| {
            let response = request.build(server).send_checked().await;
            assert!(response.status < 500, "{}: {response:?}", call.name());
            response
        };
        for (name, schema) in &call.body {
            let (types, bound) = (schema["type"].to_string(), schema["maxLength"].as_u64());
            let large = |character: &str, length: usize| match schema["format"].as_str() {
                Some("email") => format!("{}@example.org", character.repeat(length - "@example.org".len())),
                _ => character.repeat(length),
            };
            let values: Vec<Value> = if types.contains("string") {
                let mut values =
                    vec![json!(large("a", LARGE)), json!(large("\u{1f98a}", LARGE / 4)), json!("\0".repeat(1000))];
                values.extend(bound.map(|bound| json!(large("a", bound as usize + 1))));
                values
            } else if types.contains("array") {
                let bound = schema["maxItems"].as_u64().expect("a list has a bound");
                let items = |length: usize| json!((0..length).map(|number| number.to_string()).collect::<Vec<_>>());
                vec![items(bound as usize + 1), json!([large("a", LARGE)])]
            } else if types.contains("integer") {
                vec![json!(i64::MAX), json!(u64::MAX), json!(i64::MIN), json!(1e300)]
            } else {
                vec![json!("a".repeat(LARGE))]
            };
            for value in values {
                let mut large = request.clone();
                let excerpt = value.to_string().chars().take(40).collect::<String>();
                large.body[name] = value;
                let response = send(&large).await;
                // A text that the call ignores may have any length; a text that is stored or compared may not.
                let refused = response.status >= 400
                    || json_body(&response)["active"] == false
                    || any_length_allowed(&call, name);
                if !refused {
                    accepted.push(format!(
                        "{} accepted {name} = {excerpt}…: {} {}",
                        call.name(),
                        response.status,
                        response.text
                    ));
                }
                attempts += 1;
            }
        }
        // In headers and in the query.
        let long = "a".repeat(7000);
        let mut other = request.clone();
        other.bearer.clone_from(&long);
        other.project.clone_from(&long);
        other.path =
            request.path.replace(|it: char| !it.is_ascii(), "") + if request.path.contains('?') { "&" } else { "?" };
        other.path.push_str(&format!("page={long}&token={long}&limit={long}&except={long}&format={long}&aud={long}"));
        // Without `send_checked`: a head that is too large as a whole is refused before it has a request id.
        let status = other.build(server).send().await.expect("the server responds").status().as_u16();
        assert!(status < 500, "{}: {status}", call.name());
        if let Some(at) = call.path.find('{') {
            let path = format!("{}{long}", &call.path[..at]);
            let response = send(&ValidRequest { path, ..request.clone() }).await;
            if response.status < 400 && !any_length_allowed(&call, "") {
                accepted.push(format!("{} accepted a long path: {response:?}", call.name()));
            }
        }
        // Deep nesting, and more than the maximum of a body.
        if !call.body.is_empty() && !call.form {
            for body in ["[".repeat(30_000), "{\"a\":".repeat(8000), format!("\"{}\"", "a".repeat(70_000))] {
                let request = request.clone().build(server).header("content-type", "application/json").body(body);
                let status = request.send().await.expect("the server responds").status().as_u16();
                assert!((400..500).contains(&status), "{}: {status}", call.name());
            }
        }
        attempts += 1;
    }
    assert!(accepted.is_empty(), "{accepted:#?}");
    assert!(attempts > 200, "{attempts}");
    server.get_management("/healthz").await.is(200);
}

/// True for fields that may have any length, because they are ignored, or only looked up.
fn any_length_allowed(call: &ApiCall, name: &str) -> bool {
    let operation = call.name();
    matches!(
        (operation.as_str(), name),
        // The pending enrollment counts, not the client's copy of its URI.
        ("PUT /auth/login/totp", "uri")
        // The response must not reveal whether the address exists.
        | ("POST /api/v1/password-reset" | "POST /auth/login/recover/{email}", _)
        // A text that is no token of Signet is reported as such.
        | ("POST /admin/inspect", "token")
        // The address takes precedence; a batch has a result for each token.
        | ("POST /sessions", "username") | ("POST /verify/batch", _)
        // RFC 7009, 2.2: revoking an invalid token succeeds.
        | ("POST /oauth/revoke", "token") | ("POST /auth/verification/revoke-token", "refresh_token")
        | ("POST /auth/login/oauth", "scope" | "client_id" | "client_secret")
        // Fields of other grants are ignored.
        | (
            "POST /oauth/token",
            "client_secret" | "scope" | "audience" | "subject_token" | "subject_token_type" | "requested_token_type",
        )
        // The password takes precedence over a mailed code.
        | ("POST /sessions", "code" | "mfa_code")
        | ("POST /api/v1/login", "totp_code") | ("POST /api/auth/login", "totp_code")
        | ("POST /links/magic" | "POST /magic-links/redeem", "mfa_code")
        | ("POST /auth/verification/verify-code", "totp_code")
        | ("PUT /auth/users/me" | "POST /auth/users/{user_id}", "original")
        // The password is compared only if the sign-in is not recent.
        | ("POST /auth/api-keys/" | "POST /projects/{id}/api-keys", "password")
        // RFC 7662, 2.1: an unknown hint is ignored.
        | ("POST /oauth/introspect", "token_type_hint")
        | ("PATCH /admin/users/{id}/billing", "token_balance" | "tokens_used")
    )
}
