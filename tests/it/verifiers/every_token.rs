//! Every kind of token that Signet makes, shown to verifiers that check nothing but the signature: only access tokens
//! verify. Such verifiers are common: few libraries check `typ`, and many services leave out `iss` and `aud`.

use std::collections::BTreeSet;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::pkcs8::EncodePublicKey;
use serde_json::{Value, json};
use signet::token::action::ActionKind;

use super::{node, python, run_verifier};
use crate::support::every_token::{TokenKind, TokenSet};
use crate::support::forge::{decode, sign, signing_key, unsigned, with};
use crate::support::server::TestServer;

/// Prints one line per token: the ways in which it verifies. With the key that its header names, with any key of the
/// JWKS whatever the header says, and with a public text as the secret of an HMAC.
const PYJWT: &str = r#"
import base64, json, sys, jwt
request = json.load(sys.stdin)
client = jwt.PyJWKClient(request["jwks"])
secrets = [base64.b64decode(secret) for secret in request["secrets"]]
everything = ["EdDSA", "HS256", "HS384", "HS512"]
unchecked = {"verify_aud": False, "verify_iss": False, "verify_sub": False}
def verifies(token, find_key, algorithms):
    try:
        jwt.decode(token, find_key(), algorithms=algorithms, options=unchecked)
        return True
    except (jwt.PyJWTError, TypeError, ValueError):
        return False
for token in request["tokens"]:
    ways = []
    if verifies(token, lambda: client.get_signing_key_from_jwt(token), everything):
        ways.append("by kid")
    if any(verifies(token, lambda: key.key, algorithms) for key in client.get_signing_keys()
           for algorithms in (["EdDSA"], everything)):
        ways.append("by any key")
    if any(verifies(token, lambda: secret, everything) for secret in secrets):
        ways.append("by a public text")
    print(json.dumps(ways))
"#;

const JOSE: &str = r#"
import { createRemoteJWKSet, importJWK, jwtVerify } from 'jose';
let text = '';
for await (const chunk of process.stdin) text += chunk;
const request = JSON.parse(text);
const remote = createRemoteJWKSet(new URL(request.jwks));
const jwks = await (await fetch(request.jwks)).json();
const keys = await Promise.all(jwks.keys.map((jwk) => importJWK(jwk)));
const secrets = request.secrets.map((secret) => new Uint8Array(Buffer.from(secret, 'base64')));
const verifies = (token, key) => jwtVerify(token, key).then(() => true, () => false);
const someVerifies = async (token, keys) =>
  (await Promise.all(keys.map((key) => verifies(token, key)))).includes(true);
for (const token of request.tokens) {
  const ways = [];
  if (await verifies(token, remote)) ways.push('by kid');
  if (await someVerifies(token, keys)) ways.push('by any key');
  if (await someVerifies(token, secrets)) ways.push('by a public text');
  console.log(JSON.stringify(ways));
}
"#;

/// The public key in the forms that an attacker could use as a secret, in base64.
fn public_texts(server: &TestServer, jwks: &str) -> Vec<String> {
    let public = signing_key(server).0.verifying_key();
    let jwk = serde_json::from_str::<Value>(jwks).unwrap()["keys"][0].clone();
    let texts = [
        public.to_bytes().to_vec(),
        public.to_public_key_der().unwrap().into_vec(),
        jwk["x"].as_str().unwrap().into(),
        jwk.to_string().into(),
        jwks.into(),
    ];
    texts.iter().map(|text| STANDARD.encode(text)).collect()
}

#[tokio::test]
async fn only_access_tokens_verify_with_the_published_keys() {
    let server = TestServer::embedded(|plan| plan);
    let set = TokenSet::make(&server).await;
    let jwks = server.get("/.well-known/jwks.json").send().await.unwrap().text().await.unwrap();
    let texts = set.tokens.iter().map(|token| token.text.as_str()).collect::<Vec<_>>();
    let request = json!({
        "jwks": server.signet.url_of("/.well-known/jwks.json"),
        "secrets": public_texts(&server, &jwks),
        "tokens": texts,
    });
    for verifier in [python(PYJWT), node(JOSE)] {
        let results = run_verifier(verifier, request.clone()).await;
        assert_eq!(results.len(), set.tokens.len());
        for (token, ways) in set.tokens.iter().zip(results) {
            let expected = if token.kind.is_access() { json!(["by kid", "by any key"]) } else { json!([]) };
            assert_eq!(ways, expected, "{:?} of {}", token.kind, token.dialect);
        }
    }
    // The tokens above include every kind that is signed, and access tokens of every dialect.
    let is_signed = |token: &&&str| token.split('.').count() == 3;
    let types = texts.iter().filter(is_signed).map(|token| decode(token).0["typ"].to_string());
    assert_eq!(types.collect::<BTreeSet<_>>().len(), 1 + ActionKind::ALL.len());
    let dialects = set.tokens.iter().filter(|token| token.kind.is_access()).map(|token| token.dialect);
    assert_eq!(dialects.collect::<BTreeSet<_>>().len(), 6);
}

#[tokio::test]
async fn action_tokens_have_an_issuer_and_audience_of_their_own() {
    let server = TestServer::embedded(|plan| plan);
    let set = TokenSet::make(&server).await;
    let access = decode(&set.owner.access).1;
    for token in set.tokens.iter().filter(|token| token.kind.is_action()) {
        let (header, claims) = decode(&token.text);
        assert_eq!((&header["alg"], &header["kid"]), (&"HS256".into(), &Value::Null));
        for name in ["iss", "aud"] {
            let expected = format!("signet-action:{}", access[name].as_str().unwrap());
            assert_eq!(claims[name], expected, "{:?} of {}", token.kind, token.dialect);
        }
        assert_eq!((&claims["sub"], &claims["sid"]), (&Value::Null, &Value::Null));
        // Clients of `myauth` read this claim.
        let is_step = claims["totp"] == true;
        assert_eq!(is_step, token.kind == TokenKind::Step);
    }
}

/// Tokens as earlier versions made them, and tokens with the public key as a secret, are refused where the genuine ones
/// are accepted.
#[tokio::test]
async fn published_keys_sign_no_action_token() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_LIMITS__ENABLED", "false"));
    let set = TokenSet::make(&server).await;
    let (key, kid) = signing_key(&server);
    let access = decode(&set.owner.access).1;
    let tokens = || set.tokens.iter().filter(|token| token.kind.is_action());
    for token in tokens() {
        let (header, claims) = decode(&token.text);
        let mut forged = Vec::new();
        for changes in [json!({}), json!({"iss": access["iss"], "aud": access["aud"], "says": claims["action"]})] {
            let claims = with(claims.clone(), &changes);
            for alg in ["EdDSA", "Ed25519", "HS256", "none"] {
                let header = with(header.clone(), &json!({"alg": alg, "kid": kid}));
                forged.push(sign(&key, &header, &claims));
                let message = unsigned(&header.to_string(), &claims.to_string());
                for secret in [&key.verifying_key().to_bytes()[..], b""] {
                    let hmac_key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                    let mac = hmac::sign(&hmac_key, message.as_bytes());
                    forged.push(format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac)));
                }
                forged.push(format!("{message}."));
            }
        }
        for text in forged {
            let response = set.redeem(&server, token.kind, &text).await;
            assert_ne!(response.status, 200, "{:?} of {}: {text}", token.kind, token.dialect);
            assert_ne!(server.verify(&text).await.status, 200, "{text}");
        }
    }
    for token in tokens() {
        set.redeem(&server, token.kind, &token.text).await.is(200);
    }
}
