//! The verifiers in README, executed as they stand there, except for the address of the server.

use std::process::Command;

use serde_json::{Value, json};

use super::{node, python, run_verifier};
use crate::support::every_token::{TokenKind, TokenSet};
use crate::support::forge::{decode, sign, signing_key, with};
use crate::support::server::{SendRequest, TestServer};

/// The code block of README in this language that verifies tokens.
fn snippet(language: &str, server: &TestServer) -> String {
    let readme = include_str!("../../../README.md");
    let fence = format!("```{language}\n");
    let blocks = readme.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap());
    let found = blocks.filter(|block| block.contains("jwks.json")).collect::<Vec<_>>();
    assert_eq!(found.len(), 1, "README has one verifier in {language}");
    let jwks = server.signet.url_of("/.well-known/jwks.json");
    let here = found[0].replace("http://127.0.0.1:8000/.well-known/jwks.json", &jwks);
    // The issuer of test servers.
    here.replace("http://127.0.0.1:8000", "http://127.0.0.1:0")
}

fn in_python(server: &TestServer) -> Command {
    let driver = r#"
import json, sys
def accepts(verify, token):
    try:
        return verify(token)["sub"]
    except jwt.PyJWTError:
        return None
for token in json.load(sys.stdin)["tokens"]:
    print(json.dumps([accepts(verify, token), accepts(verify_user, token)]))
"#;
    python(&format!("{}{driver}", snippet("python", server)))
}

fn in_javascript(server: &TestServer) -> Command {
    let driver = r"
let text = '';
for await (const chunk of process.stdin) text += chunk;
const accepts = (verify, token) => verify(token).then((claims) => claims.sub, () => null);
for (const token of JSON.parse(text).tokens) {
  console.log(JSON.stringify([await accepts(verify, token), await accepts(verifyUser, token)]));
}
";
    node(&format!("{}{driver}", snippet("js", server)))
}

/// The subjects of the tokens, as found by `verify` and by `verify_user`; null where the token is refused.
async fn verify_all(server: &TestServer, tokens: &[&str]) -> Vec<Value> {
    let request = json!({"tokens": tokens});
    let python = run_verifier(in_python(server), request.clone()).await;
    assert_eq!(python, run_verifier(in_javascript(server), request).await, "both verifiers agree");
    assert_eq!(python.len(), tokens.len());
    python
}

#[tokio::test]
async fn verifiers_in_readme_accept_only_access_tokens() {
    let server = TestServer::embedded(|plan| plan);
    let set = TokenSet::make(&server).await;
    // The same keys sign the frames of the revocation feed.
    let feed = server.get("/.well-known/signet-revocations").send_checked().await.text;
    let frame = feed.lines().next().unwrap();
    assert_eq!(frame.split('.').count(), 3, "{frame}");
    let texts = set.tokens.iter().map(|token| token.text.as_str()).chain([frame]).collect::<Vec<_>>();
    let results = verify_all(&server, &texts).await;
    assert_eq!(results.last(), Some(&json!([null, null])), "a frame");
    server.verify(frame).await.is(401);
    for (token, result) in set.tokens.iter().zip(results) {
        let expected = match token.kind {
            TokenKind::Access => [decode(&token.text).1["sub"].clone(), decode(&token.text).1["sub"].clone()],
            TokenKind::Client => [decode(&token.text).1["sub"].clone(), Value::Null],
            _ => [Value::Null, Value::Null],
        };
        assert_eq!(result, json!(expected), "{:?} of {}", token.kind, token.dialect);
    }
}

/// The library alone would accept these: the signature, issuer and audience are right.
#[tokio::test]
async fn verifiers_in_readme_check_typ_and_sub() {
    let server = TestServer::embedded(|plan| plan);
    let tokens = server.sign_in(&server.create_user(&[])).await;
    let ((key, _), (header, claims)) = (signing_key(&server), decode(&tokens.access));
    let typ = |typ: Value| sign(&key, &with(header.clone(), &json!({"typ": typ})), &claims);
    let signed = [
        typ(json!("at+jwt")),
        typ(json!("JWT")),
        typ(json!("signet-second-factor+jwt")),
        typ(Value::Null),
        sign(&key, &header, &with(claims.clone(), &json!({"sub": null}))),
        sign(&key, &header, &with(claims.clone(), &json!({"exp": null}))),
        sign(&key, &header, &with(claims.clone(), &json!({"aud": "other"}))),
        sign(&key, &header, &with(claims.clone(), &json!({"iss": "http://127.0.0.1:1"}))),
        sign(&key, &header, &with(claims.clone(), &json!({"sid": null}))),
    ];
    let results = verify_all(&server, &signed.each_ref().map(String::as_str)).await;
    let (sub, refused) = (&claims["sub"], json!([null, null]));
    assert_eq!(results[0], json!([sub, sub]));
    assert_eq!(results[1..8], vec![refused; 7]);
    assert_eq!(results[8], json!([sub, null]));
}
