//! Frames of the revocation feed, verified by common JOSE libraries as the JWS that they are.

use serde_json::json;

use super::{node, python, run_verifier};
use crate::support::server::{SendRequest, TestServer, tamper_signature};

const PYJWT: &str = r#"
import json, sys, jwt
request = json.load(sys.stdin)
keys = jwt.PyJWKClient(request["jwks"])
for frame in request["frames"]:
    try:
        key = keys.get_signing_key_from_jwt(frame).key
        decoded = jwt.PyJWS().decode_complete(frame, key, algorithms=["EdDSA"])
        print(json.dumps({"typ": decoded["header"]["typ"], "payload": json.loads(decoded["payload"])}))
    except jwt.PyJWTError as error:
        print(json.dumps({"error": type(error).__name__}))
"#;

const JOSE: &str = r#"
import { compactVerify, createRemoteJWKSet } from 'jose';
let text = '';
for await (const chunk of process.stdin) text += chunk;
const request = JSON.parse(text);
const keys = createRemoteJWKSet(new URL(request.jwks));
for (const frame of request.frames) {
  try {
    const { payload, protectedHeader } = await compactVerify(frame, keys, { algorithms: ['EdDSA'] });
    const json = JSON.parse(new TextDecoder().decode(payload));
    console.log(JSON.stringify({ typ: protectedHeader.typ, payload: json }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.code ?? String(error) }));
  }
}
"#;

#[tokio::test]
async fn pyjwt_and_jose_verify_frames() {
    let server = TestServer::embedded(|plan| plan);
    let pair = server.sign_in(&server.create_user(&[])).await;
    server.delete(&format!("/sessions/{}", pair.session)).bearer_auth(&pair.access).send_checked().await.is(204);
    let mut frames = Vec::new();
    for path in ["", "/snapshot"] {
        let response = server.get(&format!("/.well-known/signet-revocations{path}")).send_checked().await;
        frames.extend(response.is(200).text.lines().map(str::to_owned));
    }
    frames.push(tamper_signature(&frames[0]));
    let request = json!({"jwks": server.signet.url_of("/.well-known/jwks.json"), "frames": frames});
    let errors = ["InvalidSignatureError", "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"];
    for (verifier, error) in [python(PYJWT), node(JOSE)].into_iter().zip(errors) {
        let answers = run_verifier(verifier, request.clone()).await;
        assert_eq!(answers.len(), frames.len());
        let (bad, good) = answers.split_last().unwrap();
        assert_eq!(bad, &json!({"error": error}));
        assert!(good.iter().all(|answer| answer["typ"] == "signet-revocations+jws"), "{answers:?}");
        assert!(good.iter().all(|answer| answer["payload"]["iss"] == "http://127.0.0.1:0"), "{answers:?}");
        // So none passes for the token of a user where only the signature is checked.
        for claim in ["sub", "sid", "aud", "exp"] {
            assert!(good.iter().all(|answer| answer["payload"].get(claim).is_none()), "{claim}: {answers:?}");
        }
    }
}
