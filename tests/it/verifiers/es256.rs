//! ES256, for an audience that has it: tokens, keys and their PEM form, with PyJWT, `cryptography`, jose and Node.

use serde_json::{Value, json};

use super::{node, python, run_verifier};
use crate::support::forge::{decode, sign, signing_key};
use crate::support::server::{SendRequest, TestServer, over_both_stores, tamper_signature};
use crate::support::signet::Plan;
use crate::support::until;

const ISSUER: &str = "http://127.0.0.1:0";

/// Prints one line per token: its subject or the error.
const PYJWT: &str = r#"
import json, sys, jwt
request = json.load(sys.stdin)
keys = jwt.PyJWKClient(request["jwks"])
for token in request["tokens"]:
    try:
        key = keys.get_signing_key_from_jwt(token).key
        claims = jwt.decode(token, key, algorithms=request["algorithms"], audience=request["aud"],
                            issuer=request["iss"])
        print(json.dumps({"sub": claims["sub"]}))
    except (jwt.PyJWTError, TypeError) as error:
        print(json.dumps({"error": type(error).__name__}))
"#;

const JOSE: &str = r#"
import { createRemoteJWKSet, jwtVerify } from 'jose';
let text = '';
for await (const chunk of process.stdin) text += chunk;
const { jwks, algorithms, iss, aud, tokens } = JSON.parse(text);
const keys = createRemoteJWKSet(new URL(jwks));
for (const token of tokens) {
  try {
    const { payload } = await jwtVerify(token, keys, { issuer: iss, audience: aud, algorithms, typ: 'at+jwt' });
    console.log(JSON.stringify({ sub: payload.sub }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.code ?? String(error) }));
  }
}
"#;

/// Signs the claims with each key, and prints the token and another key of the same kind in PEM.
const PYTHON_KEYS: &str = r#"
import json, sys, jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding, NoEncryption, PrivateFormat, load_pem_private_key)
request = json.load(sys.stdin)
for given in request["keys"]:
    key = load_pem_private_key(given["pem"].encode(), None)
    headers = {"kid": given["kid"], "typ": "at+jwt"}
    token = jwt.encode(request["claims"], key, algorithm=given["algorithm"], headers=headers)
    is_p256 = given["algorithm"] == "ES256"
    other = ec.generate_private_key(ec.SECP256R1()) if is_p256 else ed25519.Ed25519PrivateKey.generate()
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    print(json.dumps({"token": token, "pem": pem}))
"#;

const NODE_KEYS: &str = r#"
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { SignJWT } from 'jose';
let text = '';
for await (const chunk of process.stdin) text += chunk;
const { keys, claims } = JSON.parse(text);
for (const { pem, kid, algorithm } of keys) {
  const header = { alg: algorithm, kid, typ: 'at+jwt' };
  const token = await new SignJWT(claims).setProtectedHeader(header).sign(createPrivateKey(pem));
  const kind = algorithm === 'ES256' ? ['ec', { namedCurve: 'P-256' }] : ['ed25519'];
  const exported = generateKeyPairSync(...kind).privateKey.export({ type: 'pkcs8', format: 'pem' });
  console.log(JSON.stringify({ token, pem: exported }));
}
"#;

fn plan(plan: Plan) -> Plan {
    plan.set("SIGNET_AUDIENCES__ORDERS__ALGORITHM", "ES256")
}

/// A token for the audience with ES256 and one for the other, of the same session.
async fn issue(server: &TestServer) -> [String; 2] {
    let pair = server.sign_in(&server.create_user(&[])).await;
    let grant = [("grant_type", "refresh_token"), ("refresh_token", &pair.refresh), ("resource", "orders")];
    let es256 = server.form("/oauth/token", &grant).await.is(200).tokens().access;
    assert_eq!((&decode(&es256).0["alg"], &decode(&es256).1["aud"]), (&"ES256".into(), &"orders".into()));
    assert_eq!(decode(&pair.access).0["alg"], "EdDSA");
    [es256, pair.access]
}

fn request(server: &TestServer, audience: &str, algorithm: &str, tokens: &[&str]) -> Value {
    let jwks = server.signet.url_of("/.well-known/jwks.json");
    json!({"jwks": jwks, "iss": ISSUER, "aud": audience, "algorithms": [algorithm], "tokens": tokens})
}

#[tokio::test]
async fn pyjwt_and_jose_verify_es256() {
    let server = TestServer::embedded(plan);
    let [es256, eddsa] = issue(&server).await;
    let sub = decode(&es256).1["sub"].clone();
    let tampered = tamper_signature(&es256);
    let relabelled = {
        let (mut header, claims) = decode(&eddsa);
        header["alg"] = "ES256".into();
        sign(&signing_key(&server).0, &header, &claims)
    };
    for token in [&tampered, &relabelled] {
        assert_ne!(server.verify(token).await.status, 200);
    }
    for (verifier, errors) in [
        (python(PYJWT), ["InvalidSignatureError", "InvalidAlgorithmError"]),
        (node(JOSE), ["ERR_JWS_SIGNATURE_VERIFICATION_FAILED", "ERR_JOSE_ALG_NOT_ALLOWED"]),
    ] {
        let tokens = [es256.as_str(), &tampered, &eddsa];
        let answers = run_verifier(verifier, request(&server, "orders", "ES256", &tokens)).await;
        assert_eq!(answers, [json!({"sub": sub}), json!({"error": errors[0]}), json!({"error": errors[1]})]);
    }
    for verifier in [python(PYJWT), node(JOSE)] {
        let answers = run_verifier(verifier, request(&server, "orders", "ES256", &[&relabelled])).await;
        assert!(answers[0]["error"].is_string(), "{answers:?}");
    }
    for verifier in [python(PYJWT), node(JOSE)] {
        let answers = run_verifier(verifier, request(&server, "signet", "EdDSA", &[&eddsa, &es256])).await;
        assert_eq!((&answers[0], answers[1]["error"].is_string()), (&json!({"sub": sub}), true));
    }
}

/// One `alg` that a library does not know must not shut out the tokens of other algorithms.
#[tokio::test]
async fn ed25519_as_name_shuts_out_no_other_token() {
    let server = TestServer::embedded(|to| plan(to).set("SIGNET_TOKENS__ALGORITHM", "Ed25519"));
    let pair = server.sign_in(&server.create_user(&[])).await;
    let grant = [("grant_type", "refresh_token"), ("refresh_token", &pair.refresh), ("resource", "orders")];
    let es256 = server.form("/oauth/token", &grant).await.is(200).tokens().access;
    let (mut header, claims) = decode(&pair.access);
    assert_eq!(header["alg"], "Ed25519");
    // As it was signed before the name was changed.
    header["alg"] = "EdDSA".into();
    let eddsa = sign(&signing_key(&server).0, &header, &claims);
    let sub = json!({"sub": claims["sub"]});
    for verifier in [python(PYJWT), node(JOSE)] {
        let answers = run_verifier(verifier, request(&server, "signet", "EdDSA", &[&eddsa])).await;
        assert_eq!(answers, std::slice::from_ref(&sub));
    }
    for verifier in [python(PYJWT), node(JOSE)] {
        let answers = run_verifier(verifier, request(&server, "orders", "ES256", &[&es256])).await;
        assert_eq!(answers, std::slice::from_ref(&sub));
    }
    let answers = run_verifier(node(JOSE), request(&server, "signet", "Ed25519", &[&pair.access])).await;
    assert_eq!(answers, [sub]);
}

#[tokio::test]
async fn python_and_node_read_exported_keys() {
    let server = TestServer::embedded(plan);
    let [es256, _] = issue(&server).await;
    let listed = server.plan().json(&["keys", "list"], "");
    let signing = listed.as_array().unwrap().iter().filter(|key| key["state"] == "signing");
    let keys = signing.map(|key| {
        let exported = server.plan().json(&["keys", "export", key["kid"].as_str().unwrap()], "");
        json!({"kid": key["kid"], "algorithm": key["algorithm"], "pem": exported["pem"]})
    });
    let request = json!({"claims": decode(&es256).1, "keys": keys.collect::<Vec<_>>()});
    assert_eq!(request["keys"].as_array().unwrap().len(), 2);
    for reader in [python(PYTHON_KEYS), node(NODE_KEYS)] {
        let answers = run_verifier(reader, request.clone()).await;
        for (answer, algorithm) in answers.iter().zip(["EdDSA", "ES256"]) {
            server.verify(answer["token"].as_str().unwrap()).await.is(200);
            let imported = server.plan().json(&["keys", "import", "-"], answer["pem"].as_str().unwrap());
            assert_eq!((&imported["state"], &imported["algorithm"]), (&"announced".into(), &algorithm.into()));
        }
        assert_eq!(answers.len(), 2);
    }
}

over_both_stores!(plan; es256_keys_are_published_and_revoked);

async fn es256_keys_are_published_and_revoked(server: &TestServer) {
    let [es256, eddsa] = issue(server).await;
    let published = async || {
        let jwks = server.get("/.well-known/jwks.json").send_checked().await.is(200).json();
        let keys = jwks["keys"].as_array().unwrap().iter().filter(|key| key["alg"] == "ES256").cloned();
        keys.collect::<Vec<_>>()
    };
    let keys = published().await;
    assert_eq!(keys.len(), 2, "the signing key and the standby");
    for key in &keys {
        let mut members = key.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>();
        members.sort_unstable();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
        assert_eq!((&key["kty"], &key["crv"], &key["use"]), (&"EC".into(), &"P-256".into(), &"sig".into()));
    }
    assert_eq!(keys[0]["kid"], decode(&es256).0["kid"]);
    let metadata = server.get("/.well-known/oauth-authorization-server").send_checked().await.is(200).json();
    assert_eq!(metadata["id_token_signing_alg_values_supported"], json!(["EdDSA", "ES256"]));

    let rotated = server.plan().json(&["keys", "rotate", "--algorithm", "es256"], "");
    assert_eq!((&rotated["kid"], &rotated["state"]), (&keys[1]["kid"], &"announced".into()));
    server.plan().json(&["keys", "revoke", keys[0]["kid"].as_str().unwrap()], "");
    until("tokens of the revoked key are refused", async || server.rejection_reason(&es256).await == "revoked_key")
        .await;
    server.verify(&eddsa).await.is(200);
    let [next, eddsa_next] = issue(server).await;
    assert_eq!(decode(&next).0["kid"], keys[1]["kid"], "verifiers have the key already");
    assert_eq!(decode(&eddsa_next).0["kid"], decode(&eddsa).0["kid"]);
    server.verify(&next).await.is(200);
    let after = published().await;
    assert_eq!((after.len(), &after[0]), (2, &keys[1]));
    assert_ne!(after[1]["kid"], keys[0]["kid"]);
}

#[test]
fn p256_keys_need_an_audience_with_es256() {
    let pem = {
        let plan = plan(Plan::embedded());
        plan.json(&["migrate"], "");
        let keys = plan.json(&["keys", "list"], "");
        let key = keys.as_array().unwrap().iter().find(|key| key["algorithm"] == "ES256").unwrap();
        plan.json(&["keys", "export", key["kid"].as_str().unwrap()], "")["pem"].as_str().unwrap().to_owned()
    };
    let plan = Plan::embedded();
    plan.json(&["migrate"], "");
    for (words, input) in [(&["keys", "rotate", "--algorithm", "ES256"][..], ""), (&["keys", "import", "-"], &pem)] {
        let output = plan.run(words, input);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("no audience has the algorithm ES256"));
    }
    assert_eq!(plan.json(&["keys", "list"], "").as_array().unwrap().len(), 2);
}
