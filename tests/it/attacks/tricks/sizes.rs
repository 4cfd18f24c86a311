//! Oversized everything: each text of each body at one more than its bound, or at more than anybody needs; lists, heads and depths.

use super::*;
use crate::support::server::over_both_stores;

over_both_stores!(|plan| plan; what_is_too_large_is_refused_and_never_a_fault_of_ours);

/// More than any text may have, and less than a body may.
const MUCH: usize = 50_000;

async fn what_is_too_large_is_refused_and_never_a_fault_of_ours(server: &TestServer) {
    let root = server.sign_in(&server.create_user(&["--superuser"])).await.access;
    let (mut tried, mut taken) = (0, Vec::new());
    for call in Call::all(server).await {
        let wish = wish(server, &call, &root).await;
        let send = async |wish: &Wish| {
            let answer = wish.request(server).send_checked().await;
            assert!(answer.status < 500, "{}: {answer:?}", call.name());
            answer
        };
        for (name, schema) in &call.body {
            let (kinds, bound) = (schema["type"].to_string(), schema["maxLength"].as_u64());
            let larger = |letter: &str, many: usize| match schema["format"].as_str() {
                Some("email") => format!("{}@example.org", letter.repeat(many - "@example.org".len())),
                _ => letter.repeat(many),
            };
            let values: Vec<Value> = if kinds.contains("string") {
                let mut values =
                    vec![json!(larger("a", MUCH)), json!(larger("\u{1f98a}", MUCH / 4)), json!("\0".repeat(1000))];
                values.extend(bound.map(|bound| json!(larger("a", bound as usize + 1))));
                values
            } else if kinds.contains("array") {
                let bound = schema["maxItems"].as_u64().expect("a list has a bound");
                let items = |many: usize| json!((0..many).map(|number| number.to_string()).collect::<Vec<_>>());
                vec![items(bound as usize + 1), json!([larger("a", MUCH)])]
            } else if kinds.contains("integer") {
                vec![json!(i64::MAX), json!(u64::MAX), json!(i64::MIN), json!(1e300)]
            } else {
                vec![json!("a".repeat(MUCH))]
            };
            for value in values {
                let mut larger = wish.clone();
                let told = value.to_string().chars().take(40).collect::<String>();
                larger.body[name] = value;
                let answer = send(&larger).await;
                // A text without meaning to the call may be of any length; what is kept or compared may not.
                let refused = answer.status >= 400 || json_of(&answer)["active"] == false || indifferent(&call, name);
                if !refused {
                    taken.push(format!("{} took {name} = {told}…: {} {}", call.name(), answer.status, answer.text));
                }
                tried += 1;
            }
        }
        // In the head, and in the address.
        let long = "a".repeat(7000);
        let mut other = wish.clone();
        other.bearer.clone_from(&long);
        other.project.clone_from(&long);
        other.path = wish.path.replace(|it: char| !it.is_ascii(), "") + if wish.path.contains('?') { "&" } else { "?" };
        other.path.push_str(&format!("page={long}&token={long}&limit={long}&except={long}&format={long}&aud={long}"));
        // Where the whole head is too large it is refused before it has a name.
        let status = other.request(server).send().await.expect("it answers").status().as_u16();
        assert!(status < 500, "{}: {status}", call.name());
        if let Some(at) = call.path.find('{') {
            let path = format!("{}{long}", &call.path[..at]);
            let answer = send(&Wish { path, ..wish.clone() }).await;
            if answer.status < 400 && !indifferent(&call, "") {
                taken.push(format!("{} took a long path: {answer:?}", call.name()));
            }
        }
        // Deep, and beyond what a body may be.
        if !call.body.is_empty() && !call.form {
            for body in ["[".repeat(30_000), "{\"a\":".repeat(8000), format!("\"{}\"", "a".repeat(70_000))] {
                let request = wish.clone().request(server).header("content-type", "application/json").body(body);
                let status = request.send().await.expect("it answers").status().as_u16();
                assert!((400..500).contains(&status), "{}: {status}", call.name());
            }
        }
        tried += 1;
    }
    assert!(taken.is_empty(), "{taken:#?}");
    assert!(tried > 200, "{tried}");
    server.get_management("/healthz").await.is(200);
}

/// What may be of any length: it is read and not looked at, or looked for and not found.
fn indifferent(call: &Call, name: &str) -> bool {
    let name_of = call.name();
    matches!(
        (name_of.as_str(), name),
        // The key that is pending counts, and not what the client says of it.
        ("PUT /auth/login/totp", "uri")
        // Nobody is told whether there is such an address.
        | ("POST /api/v1/password-reset" | "POST /auth/login/recover/{email}", _)
        // The address goes first; what is asked of many tokens is answered for each.
        | ("POST /sessions", "username") | ("POST /verify/batch", _)
        // RFC 7009, 2.2: an invalid token is as revoked as can be.
        | ("POST /oauth/revoke", "token") | ("POST /auth/verification/revoke-token", "refresh_token")
        | ("POST /auth/login/oauth", "grant_type" | "scope" | "client_id" | "client_secret")
        | ("POST /oauth/token", "client_secret" | "scope")
        | ("POST /sessions", "totp_code") | ("POST /api/v1/login", "totp_code") | ("POST /api/auth/login", "totp_code")
        | ("POST /links/magic", "totp_code") | ("POST /auth/verification/verify-code", "totp_code")
        | ("PUT /auth/users/me" | "POST /auth/users/{user_id}", "original")
        | ("PATCH /admin/users/{id}/billing", "token_balance" | "tokens_used")
    )
}
