//! Every kind of token in every position that takes another kind. The positions are those of `/openapi.json`, the
//! tokens those of every dialect.
//!
//! A token in a wrong position gets exactly the response of an invalid token and is not used up: at the end each token
//! is still valid in its own position, where the response is another. The ids in the requests belong to a user, so that
//! an accepted token would show.

use reqwest::RequestBuilder;
use serde_json::json;

use super::sign_in_for_refresh;
use crate::support::document::{Body, Operation, operations, plausible_value};
use crate::support::every_token::{Owner, TokenKind, TokenSet};
use crate::support::server::{HttpResponse, SendRequest, TestServer, over_redis_and_postgres};

over_redis_and_postgres!(|plan| plan; tokens_are_refused_in_wrong_positions);

/// The position of a token in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenPosition {
    Bearer,
    ApiKey,
    Basic,
    Field(&'static str),
    /// An element of a list.
    Item(&'static str),
    Query,
    Path,
}

fn positions(operation: &Operation) -> Vec<TokenPosition> {
    let mut positions = Vec::new();
    if !operation.schemes.is_empty() {
        positions.extend([TokenPosition::Bearer, TokenPosition::ApiKey]);
    }
    let has_field = |name: &&'static str| operation.fields().iter().any(|field| field == name);
    // Client authentication, also where it is optional.
    if has_field(&"client_secret") && operation.path.starts_with("/oauth/") {
        positions.extend([TokenPosition::Basic, TokenPosition::Field("client_secret")]);
        positions.extend(operation.schemes.is_empty().then_some(TokenPosition::ApiKey));
    }
    // This call says of any token what it is.
    let inspects = operation.path == "/admin/inspect";
    positions.extend(
        ["token", "refresh_token"]
            .iter()
            .filter(|_| !inspects)
            .filter(|name| has_field(name))
            .map(|name| TokenPosition::Field(name)),
    );
    positions.extend(has_field(&"tokens").then_some(TokenPosition::Item("tokens")));
    if operation.query.iter().any(|name| name == "token") {
        positions.push(TokenPosition::Query);
    }
    if operation.path.contains("{token}") {
        positions.push(TokenPosition::Path);
    }
    positions
}

/// The kinds of token that are valid in a position.
fn accepted_kinds(operation: &Operation, position: TokenPosition) -> Vec<TokenKind> {
    let scheme = |name: &str| operation.schemes.iter().any(|scheme| scheme == name);
    let mut kinds = Vec::new();
    match (position, operation.path.as_str()) {
        (TokenPosition::Bearer, path) => {
            if scheme("access_token") {
                kinds.push(TokenKind::Access);
            }
            // A token of any kind may be revoked.
            kinds.extend(path.ends_with("/logout").then_some(TokenKind::Client));
            if scheme("api_key") {
                // A token issued for a key has the rights of the key and no others.
                kinds.extend([TokenKind::ApiKey, TokenKind::Client]);
            }
            if scheme("refresh_token") {
                kinds.push(TokenKind::Refresh);
            }
            if scheme("totp_token") {
                kinds.push(TokenKind::Step);
            }
            if scheme("mailed_token") {
                kinds.push(if path == "/auth/login/claim" { TokenKind::Magic } else { TokenKind::Reset });
            }
        }
        (TokenPosition::ApiKey, path) if scheme("api_key") || path == "/oauth/token" => kinds.push(TokenKind::ApiKey),
        (TokenPosition::ApiKey, _) => {}
        (TokenPosition::Basic | TokenPosition::Field("client_secret"), _) => kinds.push(TokenKind::ApiKey),
        (TokenPosition::Field("refresh_token"), _) => kinds.push(TokenKind::Refresh),
        (TokenPosition::Field(_), "/verify") | (TokenPosition::Item(_), "/verify/batch") => {
            kinds.extend([TokenKind::Access, TokenKind::Client, TokenKind::ApiKey])
        }
        (TokenPosition::Field(_), "/api/v1/verify" | "/api/v1/verify-token") => {
            kinds.extend([TokenKind::Access, TokenKind::Refresh]);
        }
        (TokenPosition::Field(_), "/oauth/introspect" | "/oauth/revoke") => {
            kinds.extend([TokenKind::Access, TokenKind::Client, TokenKind::Refresh, TokenKind::ApiKey]);
        }
        (TokenPosition::Field(_), "/links/confirm" | "/email-confirmations/redeem") => kinds.push(TokenKind::Confirm),
        (TokenPosition::Field(_), "/links/magic" | "/magic-links/redeem") => kinds.push(TokenKind::Magic),
        (TokenPosition::Field(_), "/links/reset" | "/password-resets/redeem") => {
            kinds.extend([TokenKind::Reset, TokenKind::WholeReset]);
        }
        (TokenPosition::Query, "/api/v1/verify") | (TokenPosition::Path, "/api/auth/confirmed_email/{token}") => {
            kinds.push(TokenKind::Confirm)
        }
        (TokenPosition::Query, "/api/v1/password-reset-confirm") => kinds.push(TokenKind::WholeReset),
        (position, path) => panic!("{path}: add the tokens that are valid in {position:?} to this match"),
    }
    kinds
}

/// A request that is valid except for the token in that position.
fn request(
    server: &TestServer,
    operation: &Operation,
    position: TokenPosition,
    token: &str,
    owner: &Owner,
) -> RequestBuilder {
    let is_client = matches!(
        position,
        TokenPosition::Bearer | TokenPosition::ApiKey | TokenPosition::Basic | TokenPosition::Field("client_secret")
    );
    let fill = |name: &str| match (name, operation.path.as_str()) {
        (name, _) if position == TokenPosition::Field(token_field(name)) => json!(token),
        (name, _) if position == TokenPosition::Item(token_field(name)) => json!([token]),
        ("token", _) if position == TokenPosition::Path => json!(token),
        ("token", "/oauth/introspect" | "/oauth/revoke") => json!(owner.access),
        ("grant_type", "/oauth/token") if is_client => json!("client_credentials"),
        ("user_uuid", _) => json!(owner.user.id),
        ("id", "/sessions/{id}") => json!(owner.session),
        ("id" | "user_id", _) => json!(owner.other_user.id),
        ("user_email", _) => json!(owner.other_user.email),
        ("email", "/auth/users/create") => json!(format!("made-by-{}", owner.user.email)),
        ("key_id", _) => json!(owner.key_id),
        ("client_secret", _) => json!(owner.key),
        (name, _) => plausible_value(name),
    };
    // The caller of a token endpoint authenticates only in the position under test.
    let mut operation = operation.clone();
    if let (Body::Form(fields), TokenPosition::Bearer | TokenPosition::ApiKey | TokenPosition::Basic) =
        (&mut operation.body, position)
    {
        fields.retain(|name| name != "client_secret");
    }
    if let Body::Form(fields) = &mut operation.body {
        // A made-up audience would be the reason for the refusal.
        fields.retain(|name| !matches!(name.as_str(), "resource" | "audience" | "aud"));
        if operation.path == "/oauth/token" {
            fields.retain(|name| name != "scope" && (name == "grant_type" || is_client != (name == "refresh_token")));
        }
    }
    if position == TokenPosition::Query {
        operation.path += &format!("?token={token}");
    }
    let request = operation.request(server, &fill).header("x-project-id", &owner.project);
    match position {
        TokenPosition::Bearer => request.bearer_auth(token),
        TokenPosition::ApiKey => request.header("x-api-key", token),
        TokenPosition::Basic => request.basic_auth("client", Some(token)),
        TokenPosition::Query | TokenPosition::Field(_) | TokenPosition::Item(_) | TokenPosition::Path => request,
    }
}

/// The same name if the field may contain a token, otherwise `none`.
fn token_field(name: &str) -> &'static str {
    ["token", "refresh_token", "client_secret", "tokens"].into_iter().find(|it| *it == name).unwrap_or("none")
}

/// The response to an invalid token, which must be a refusal.
async fn refusal_of_invalid_token(
    server: &TestServer,
    operation: &Operation,
    position: TokenPosition,
    owner: &Owner,
) -> (u16, String) {
    let response = request(server, operation, position, "no.to.ken", owner).send_checked().await;
    let expected = match (position, operation.path.as_str()) {
        (TokenPosition::Bearer, "/auth/login/claim" | "/auth/login/reset") => 400,
        // `codes` uses its own statuses for missing and invalid credentials.
        (TokenPosition::ApiKey, "/auth/create/otp" | "/auth/delete/otp") => 400,
        (TokenPosition::Field(_), "/auth/refresh") => 409,
        (
            TokenPosition::Field(_),
            "/links/confirm"
            | "/links/magic"
            | "/links/reset"
            | "/email-confirmations/redeem"
            | "/magic-links/redeem"
            | "/password-resets/redeem",
        ) => 400,
        (TokenPosition::Field(_), path) if path.ends_with("/redeem") => 400,
        (TokenPosition::Field("refresh_token"), "/oauth/token") => 400,
        (TokenPosition::Path, "/api/auth/confirmed_email/{token}") => 422,
        (TokenPosition::Query, "/api/v1/password-reset-confirm") => 400,
        // These return the same for every token (RFC 7009, 2.2; RFC 7662, 2.2), and a batch has a result for each.
        (TokenPosition::Field("refresh_token"), "/auth/verification/revoke-token") => 200,
        (TokenPosition::Field("token"), "/oauth/revoke" | "/oauth/introspect")
        | (TokenPosition::Item(_), "/verify/batch") => 200,
        _ => 401,
    };
    assert_eq!(response.status, expected, "{position:?} of {}: {response:?}", operation.name());
    (response.status, response.text)
}

/// The responses to a valid API key, or a token issued for one, where a user's token is required: 403.
const KEY_FORBIDDEN: [&str; 5] = [
    r#"{"type":"forbidden","title":"An API key, or a token of one, cannot do this. Sign in.","status":403}"#,
    concat!(
        r#"{"success":false,"data":{},"error":{"code":"forbidden","#,
        r#""message":"An API key, or a token of one, cannot do this. Sign in."}}"#,
    ),
    r#"{"type":"forbidden","title":"You do not have permission to do this.","status":403}"#,
    r#"{"success":false,"data":{},"error":{"code":"forbidden","message":"You may not do this."}}"#,
    r#"{"detail":"The user does not have the required permissions."}"#,
];

/// The responses to an API key in `x-api-key` where a session is required. They tell by its prefix that it is a key, and
/// not whether it is valid.
const KEY_NOT_ACCEPTED: [&str; 2] = [
    concat!(
        r#"{"type":"missing_credentials","#,
        r#""title":"An API key cannot do this. Sign in, and send Authorization: Bearer …","status":401}"#,
    ),
    concat!(
        r#"{"success":false,"data":{},"error":{"code":"not_authenticated","#,
        r#""message":"An API key cannot do this. Sign in, and send the access token."}}"#,
    ),
];

async fn tokens_are_refused_in_wrong_positions(server: &TestServer) {
    let token_set = TokenSet::make(server).await;
    let mut attempts = 0;
    let mut failures = Vec::new();
    for operation in operations(server).await {
        for position in positions(&operation) {
            let accepted_kinds = accepted_kinds(&operation, position);
            let refusal = refusal_of_invalid_token(server, &operation, position, &token_set.owner).await;
            for token in token_set.tokens.iter().filter(|token| !accepted_kinds.contains(&token.kind)) {
                let response =
                    request(server, &operation, position, &token.text, &token_set.owner).send_checked().await;
                attempts += 1;
                // Calls that verify a token report why it is invalid, and the reason may differ.
                let refused = (response.status, response.text.replace("wrong_type", "malformed")) == refusal;
                let from_api_key =
                    matches!(token.kind, TokenKind::ApiKey | TokenKind::Client) && position == TokenPosition::Bearer;
                let forbidden_for_keys =
                    response.status == 403 && from_api_key && KEY_FORBIDDEN.contains(&response.text.as_str());
                let is_key_in_its_field = token.kind == TokenKind::ApiKey && position == TokenPosition::ApiKey;
                let not_accepted =
                    response.status == 401 && is_key_in_its_field && KEY_NOT_ACCEPTED.contains(&response.text.as_str());
                if !refused && !forbidden_for_keys && !not_accepted {
                    let (kind, dialect, HttpResponse { status, text, .. }) = (token.kind, token.dialect, response);
                    failures.push(format!(
                        "{kind:?} of {dialect} in {position:?} of {}: {status} {text}",
                        operation.name()
                    ));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(attempts > 1000, "{attempts}");
    each_token_is_valid_in_its_own_position(server, &token_set).await;
    accepted_tokens_get_another_response(server, &token_set).await;
}

/// True if a call accepts refresh tokens of sessions whose dialect rotates them. The two dialects that do not rotate
/// accept only those of their own sessions.
fn rotates(operation: &Operation) -> bool {
    operation.path != "/auth/refresh" && !operation.path.starts_with("/api/v1/")
}

/// An accepted token gets another response than an invalid one, so the test would notice if one were accepted.
async fn accepted_tokens_get_another_response(server: &TestServer, token_set: &TokenSet) {
    let mut attempts = 0;
    let operations = operations(server).await;
    // Links work once and were used in their own positions.
    let kinds = |operation: &Operation, position: TokenPosition| {
        accepted_kinds(operation, position).into_iter().filter(|kind| !kind.is_action())
    };
    let each = operations.iter().flat_map(|operation| positions(operation).into_iter().map(move |at| (operation, at)));
    let count: usize = each.map(|(operation, position)| kinds(operation, position).count()).sum();
    Owner::prepare(server, count);
    for operation in operations {
        for position in positions(&operation) {
            let refusal = refusal_of_invalid_token(server, &operation, position, &token_set.owner).await;
            for kind in kinds(&operation, position) {
                // A call may revoke its own token, or all tokens.
                let owner = Owner::new(server).await;
                let token = match kind {
                    TokenKind::Access => owner.access.clone(),
                    TokenKind::Client => owner.client_token(server).await,
                    TokenKind::Refresh if !rotates(&operation) => {
                        sign_in_for_refresh(server, "v1", &owner.user).await.1
                    }
                    TokenKind::Refresh => owner.refresh.clone(),
                    TokenKind::ApiKey => owner.key.clone(),
                    _ => unreachable!("{kind:?} is a link"),
                };
                let response = request(server, &operation, position, &token, &owner).send_checked().await;
                let context = format!("{kind:?} in {position:?} of {}: {response:?}", operation.name());
                // Revocation returns 200 for every token (RFC 7009): check that the token is revoked.
                let revokes = refusal.0 == 200 && operation.path.contains("revoke");
                // RFC 7009, 2.2.1: API keys are not revoked by these calls.
                if revokes && kind != TokenKind::ApiKey {
                    assert_ne!(
                        server
                            .rejection_reason(&if kind == TokenKind::Refresh { owner.access.clone() } else { token })
                            .await,
                        "",
                        "{context}"
                    );
                } else {
                    assert_ne!((response.status, response.text), refusal, "{context}");
                    assert!(!KEY_FORBIDDEN.iter().any(|text| context.contains(text)), "{context}");
                }
                attempts += 1;
            }
        }
    }
    assert!(attempts > 50, "{attempts}");
}

async fn each_token_is_valid_in_its_own_position(server: &TestServer, token_set: &TokenSet) {
    for token in &token_set.tokens {
        let response = token_set.redeem(server, token.kind, &token.text).await;
        assert_eq!(response.status, 200, "{:?} of {}: {response:?}", token.kind, token.dialect);
    }
}
