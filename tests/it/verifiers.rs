//! Tokens verified by common libraries, PyJWT and jose, with the JWKS of a running server.
//!
//! `./test` installs both beside the tests' own temporary folder.

mod es256;
mod every_token;
mod readme;
mod revocation_feed;

use std::process::Command;

use serde_json::{Value, json};

use crate::support::forge::decode;
use crate::support::server::{TestServer, TokenPair, tamper_signature};
use crate::support::tool;

/// Prints one line per token: its claims or the error.
const PYJWT: &str = r#"
import json, sys, jwt
request = json.load(sys.stdin)
keys = jwt.PyJWKClient(request["jwks"])
for token in request["tokens"]:
    try:
        key = keys.get_signing_key_from_jwt(token).key
        claims = jwt.decode(token, key, algorithms=["EdDSA"], audience=request["aud"], issuer=request["iss"],
                            options={"require": ["exp", "iat", "sub", "jti"]})
        print(json.dumps({"claims": claims}))
    except jwt.PyJWTError as error:
        print(json.dumps({"error": type(error).__name__}))
"#;

const JOSE: &str = r#"
import { createRemoteJWKSet, jwtVerify } from 'jose';
let text = '';
for await (const chunk of process.stdin) text += chunk;
const request = JSON.parse(text);
const keys = createRemoteJWKSet(new URL(request.jwks));
for (const token of request.tokens) {
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer: request.iss, audience: request.aud, typ: 'at+jwt', requiredClaims: ['exp', 'iat', 'sub', 'jti'],
    });
    console.log(JSON.stringify({ claims: payload }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.code ?? String(error) }));
  }
}
"#;

fn pyjwt() -> Command {
    python(PYJWT)
}

fn jose() -> Command {
    node(JOSE)
}

fn python(script: &str) -> Command {
    let mut command = Command::new(tool("venv/bin/python"));
    command.args(["-c", script]);
    command
}

fn node(script: &str) -> Command {
    let mut command = Command::new(tool("bin/node"));
    // A script on the command line resolves modules from the working directory.
    let home = tool("node_modules/jose").join("../..");
    command.current_dir(home).args(["--input-type=module", "--eval", script]);
    command
}

/// The output of a verifier for these tokens.
async fn run_verifier(verifier: Command, request: Value) -> Vec<Value> {
    let output = tokio::task::spawn_blocking(move || crate::support::run_with_stdin(verifier, &request.to_string()));
    let output = output.await.expect("the verifier ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let lines = String::from_utf8(output.stdout).expect("the output is text");
    lines.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

struct SignedTokens {
    server: TestServer,
    tokens: TokenPair,
    claims: Value,
}

impl SignedTokens {
    async fn issue(algorithm: &str) -> Self {
        let server = TestServer::embedded(|plan| {
            let plan = plan.set("SIGNET_KEYS__ANNOUNCE", "1s").set("SIGNET_KEYS__JWKS_MAX_AGE", "0s");
            plan.set("SIGNET_TOKENS__ALGORITHM", algorithm)
        });
        let tokens = server.sign_in(&server.create_user(&["--role", "editor"])).await;
        let claims = server.verify(&tokens.access).await.is(200).json()["claims"].clone();
        Self { server, tokens, claims }
    }

    fn request(&self, aud: &str, iss: &str, tokens: &[&str]) -> Value {
        json!({"jwks": self.server.signet.url_of("/.well-known/jwks.json"), "aud": aud, "iss": iss, "tokens": tokens})
    }

    /// Asserts that valid tokens are accepted and that invalid ones are rejected for the right reason. `errors` are the
    /// verifier's names of a bad signature, audience and issuer.
    async fn assert_verifies(&self, verifier: fn() -> Command, errors: [&str; 3]) {
        let (iss, valid) = ("http://127.0.0.1:0", self.tokens.access.as_str());
        let tampered = tamper_signature(valid);
        let answers = run_verifier(verifier(), self.request("signet", iss, &[valid, &tampered, valid])).await;
        assert_eq!(answers, [json!({"claims": self.claims}), json!({"error": errors[0]}), answers[0].clone()]);
        let answers = run_verifier(verifier(), self.request("other", iss, &[valid])).await;
        assert_eq!(answers, [json!({"error": errors[1]})]);
        let answers = run_verifier(verifier(), self.request("signet", "http://127.0.0.1:1", &[valid])).await;
        assert_eq!(answers, [json!({"error": errors[2]})]);
    }

    /// Asserts that verifiers accept the tokens of the next key and those of the previous one.
    async fn assert_verifies_after_rotation(&self, verifier: fn() -> Command) {
        let rotated = self.server.plan().json(&["keys", "rotate"], "");
        let mut next = self.tokens.clone();
        crate::support::until("the next key signs", async || {
            next = self.server.refresh(&next.refresh).await.is(200).tokens();
            decode(&next.access).0["kid"] == rotated["kid"]
        })
        .await;
        let request = self.request("signet", "http://127.0.0.1:0", &[&self.tokens.access, &next.access]);
        let answers = run_verifier(verifier(), request).await;
        let subjects = answers.iter().map(|answer| &answer["claims"]["sub"]).collect::<Vec<_>>();
        assert_eq!(subjects, [&self.claims["sub"]; 2], "{answers:?}");
    }
}

#[tokio::test]
async fn pyjwt_verifies_our_tokens() {
    let signed = SignedTokens::issue("EdDSA").await;
    signed.assert_verifies(pyjwt, ["InvalidSignatureError", "InvalidAudienceError", "InvalidIssuerError"]).await;
    signed.assert_verifies_after_rotation(pyjwt).await;
}

#[tokio::test]
async fn jose_verifies_our_tokens() {
    let errors = ["ERR_JWS_SIGNATURE_VERIFICATION_FAILED", "ERR_JWT_CLAIM_VALIDATION_FAILED"];
    for algorithm in ["EdDSA", "Ed25519"] {
        let signed = SignedTokens::issue(algorithm).await;
        signed.assert_verifies(jose, [errors[0], errors[1], errors[1]]).await;
        signed.assert_verifies_after_rotation(jose).await;
    }
}
