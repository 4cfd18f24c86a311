//! Tokens verified by what other people verify tokens with: PyJWT and jose, each from the JWKS of a running server.
//!
//! `./test` installs both beside the tests' own temporary folder.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::server::{SendRequest, TestServer, Tokens, tampered};
use crate::support::tool;

/// A line a token: its claims, or by which error it was refused.
const PYJWT: &str = r#"
import json, sys, jwt
asked = json.load(sys.stdin)
keys = jwt.PyJWKClient(asked["jwks"])
for token in asked["tokens"]:
    try:
        key = keys.get_signing_key_from_jwt(token).key
        claims = jwt.decode(token, key, algorithms=["EdDSA"], audience=asked["aud"], issuer=asked["iss"],
                            options={"require": ["exp", "iat", "sub", "jti"]})
        print(json.dumps({"claims": claims}))
    except jwt.PyJWTError as error:
        print(json.dumps({"error": type(error).__name__}))
"#;

const JOSE: &str = r#"
import { createRemoteJWKSet, jwtVerify } from 'jose';
let text = '';
for await (const piece of process.stdin) text += piece;
const asked = JSON.parse(text);
const keys = createRemoteJWKSet(new URL(asked.jwks));
for (const token of asked.tokens) {
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer: asked.iss, audience: asked.aud, typ: 'at+jwt', requiredClaims: ['exp', 'iat', 'sub', 'jti'],
    });
    console.log(JSON.stringify({ claims: payload }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.code ?? String(error) }));
  }
}
"#;

fn pyjwt() -> Command {
    let mut command = Command::new(tool("venv/bin/python"));
    command.args(["-c", PYJWT]);
    command
}

fn jose() -> Command {
    let mut command = Command::new(tool("bin/node"));
    // Modules are looked for from the folder that a script on the command line is taken to be in.
    let home = tool("node_modules/jose").join("../..");
    command.current_dir(home).args(["--input-type=module", "--eval", JOSE]);
    command
}

/// What a verifier makes of the tokens.
async fn verified(verifier: Command, asked: Value) -> Vec<Value> {
    let output = tokio::task::spawn_blocking(move || crate::support::fed(verifier, &asked.to_string()));
    let output = output.await.expect("it ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let lines = String::from_utf8(output.stdout).expect("it writes text");
    lines.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

struct Signed {
    server: TestServer,
    tokens: Tokens,
    claims: Value,
}

impl Signed {
    async fn in_with(algorithm: &str) -> Self {
        let server = TestServer::embedded(|plan| plan.set("SIGNET_TOKENS__ALGORITHM", algorithm));
        let tokens = server.sign_in(&server.person(&["--role", "editor"])).await;
        let claims = server.verify(&tokens.access).await.is(200).json()["claims"].clone();
        Self { server, tokens, claims }
    }

    fn asked(&self, aud: &str, iss: &str, tokens: &[&str]) -> Value {
        json!({"jwks": self.server.signet.at("/.well-known/jwks.json"), "aud": aud, "iss": iss, "tokens": tokens})
    }

    /// Refused for what is wrong with each, and for nothing else; `wrong` is what the verifier calls a bad signature, audience and issuer.
    async fn hold(&self, verifier: fn() -> Command, wrong: [&str; 3]) {
        let (iss, good) = ("http://127.0.0.1:0", self.tokens.access.as_str());
        let bad = tampered(good);
        let answers = verified(verifier(), self.asked("signet", iss, &[good, &bad, good])).await;
        assert_eq!(answers, [json!({"claims": self.claims}), json!({"error": wrong[0]}), answers[0].clone()]);
        let answers = verified(verifier(), self.asked("other", iss, &[good])).await;
        assert_eq!(answers, [json!({"error": wrong[1]})]);
        let answers = verified(verifier(), self.asked("signet", "http://127.0.0.1:1", &[good])).await;
        assert_eq!(answers, [json!({"error": wrong[2]})]);
    }

    /// The next key is found before it signs anything.
    async fn hold_after_rotation(&self, verifier: fn() -> Command) {
        self.server.plan().json(&["keys", "rotate"], "");
        crate::support::until("the next key is in the JWKS", async || {
            let jwks = self.server.get("/.well-known/jwks.json").send_checked().await.json();
            jwks["keys"].as_array().is_some_and(|keys| keys.len() == 2)
        })
        .await;
        let next = self.server.refresh(&self.tokens.refresh).await.is(200).tokens();
        let asked = self.asked("signet", "http://127.0.0.1:0", &[&self.tokens.access, &next.access]);
        let answers = verified(verifier(), asked).await;
        assert!(answers.iter().all(|answer| answer["claims"]["sub"] == self.claims["sub"]), "{answers:?}");
    }
}

#[tokio::test]
async fn pyjwt_verifies_what_we_sign() {
    let signed = Signed::in_with("EdDSA").await;
    signed.hold(pyjwt, ["InvalidSignatureError", "InvalidAudienceError", "InvalidIssuerError"]).await;
    signed.hold_after_rotation(pyjwt).await;
}

#[tokio::test]
async fn jose_verifies_what_we_sign() {
    let wrong = ["ERR_JWS_SIGNATURE_VERIFICATION_FAILED", "ERR_JWT_CLAIM_VALIDATION_FAILED"];
    for algorithm in ["EdDSA", "Ed25519"] {
        let signed = Signed::in_with(algorithm).await;
        signed.hold(jose, [wrong[0], wrong[1], wrong[1]]).await;
        signed.hold_after_rotation(jose).await;
    }
}
