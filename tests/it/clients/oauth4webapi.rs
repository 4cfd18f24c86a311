//! oauth4webapi, a client library that demands what the RFCs say, against a running server.
//!
//! `./test` installs it beside the tests' own temporary folder.

use serde_json::{Value, json};

use super::start_at_its_url;
use crate::support::forge::decode;
use crate::support::run_with_stdin;
use crate::support::tool;

#[tokio::test]
async fn oauth4webapi_gets_validates_and_revokes_tokens() {
    let (server, url) = start_at_its_url();
    let administrator = server.create_user(&["--superuser"]);
    let (key, _) = server.api_key(&administrator, &["read", "introspect", "revoke"]);
    assert!(key.contains('_'), "the library encodes this character: {key}");
    let user = server.create_user(&["--verified"]);
    let pair = server.sign_in(&user).await;

    let mut command = std::process::Command::new(tool("bin/node"));
    // A script on the command line finds modules from the working folder.
    command.current_dir(tool("node_modules/oauth4webapi").join("../.."));
    command.args(["--input-type=module", "--eval", include_str!("oauth4webapi.mjs")]);
    let request = json!({"issuer": url, "key": key, "refreshToken": pair.refresh}).to_string();
    let output = tokio::task::spawn_blocking(move || run_with_stdin(command, &request)).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();

    let granted = &told["granted"];
    assert_eq!((&granted["scope"], &granted["token_type"]), (&json!("read"), &json!("bearer")));
    let token = granted["access_token"].as_str().unwrap();
    assert_eq!(told["client"], decode(token).1);
    assert_eq!(told["client"]["sub"], json!(administrator.id));
    let claims = &told["user"];
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(user.id), &json!("signet")));
    assert_eq!(told["wrongAudience"], json!({"error": "OAUTH_JWT_CLAIM_COMPARISON_FAILED"}));
    let before = &told["before"];
    assert_eq!((&before["active"], &before["jti"]), (&json!(true), &claims["jti"]));
    assert_eq!(told["after"], json!([{"active": false}, {"active": false}]));
    assert_eq!(told["refused"], json!("invalid_grant"));
}
