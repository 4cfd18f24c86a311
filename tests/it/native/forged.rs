//! Almost valid tokens: wrong claims signed by the right key, and right claims signed by a wrong key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use serde_json::json;

use crate::support::forge::{decode, sign, signing_key, with};
use crate::support::server::{SendRequest, TestServer, over_both_stores, tamper_signature};

over_both_stores!(|plan| plan;
    claims_are_checked, headers_are_checked, signatures_are_checked, tokens_of_a_revoked_key_are_refused);

async fn claims_are_checked(server: &TestServer) {
    let (key, _) = signing_key(server);
    let (header, claims) = decode(&server.sign_in(&server.create_user(&[])).await.access);
    let now = claims["iat"].as_i64().unwrap();
    for (changes, reason) in [
        (json!({}), ""),
        (json!({"exp": now - 60}), "expired"),
        (json!({"nbf": now + 600}), "not_yet_valid"),
        (json!({"nbf": now}), ""),
        (json!({"iss": "http://127.0.0.1:0/"}), "wrong_issuer"),
        (json!({"aud": "other"}), "wrong_audience"),
        (json!({"aud": ["other", "signet"]}), ""),
        (json!({"aud": []}), "wrong_audience"),
        (json!({"exp": null}), "malformed"),
        (json!({"exp": "9999999999"}), "malformed"),
        (json!({"exp": 9_999_999_999.5}), "malformed"),
        (json!({"sub": null}), "malformed"),
        (json!({"iss": null}), "malformed"),
        (json!({"aud": null}), "malformed"),
    ] {
        let token = sign(&key, &header, &with(claims.clone(), &changes));
        // Twice: the second time from the cache.
        assert_eq!(server.rejection_reason(&token).await, reason, "{changes}");
        assert_eq!(server.rejection_reason(&token).await, reason, "{changes}");
        if !reason.is_empty() {
            server.get("/sessions").bearer_auth(&token).send_checked().await.is_problem(401, "invalid_token");
        }
    }
}

async fn headers_are_checked(server: &TestServer) {
    let (key, _) = signing_key(server);
    let (header, claims) = decode(&server.sign_in(&server.create_user(&[])).await.access);
    for (changes, reason) in [
        (json!({"alg": "Ed25519"}), ""),
        (json!({"typ": "application/at+JWT"}), ""),
        (json!({"typ": "JWT"}), "wrong_type"),
        (json!({"typ": null}), "wrong_type"),
        (json!({"alg": "none"}), "wrong_type"),
        (json!({"alg": "HS256"}), "wrong_type"),
        (json!({"kid": "another"}), "unknown_key"),
        (json!({"kid": null}), "unknown_key"),
        (json!({"crit": ["exp"]}), "malformed"),
        (json!({"jku": "http://127.0.0.1/"}), "malformed"),
        (json!({"jwk": {"kty": "OKP"}}), "malformed"),
        (json!({"x5u": "http://127.0.0.1/"}), "malformed"),
        (json!({"b64": false}), "malformed"),
    ] {
        let token = sign(&key, &with(header.clone(), &changes), &claims);
        assert_eq!(server.rejection_reason(&token).await, reason, "{changes}");
    }
}

async fn signatures_are_checked(server: &TestServer) {
    let token = server.sign_in(&server.create_user(&[])).await.access;
    let (header, claims) = decode(&token);
    let other = SigningKey::from_bytes(&[7; 32]);
    let parts = token.split('.').collect::<Vec<_>>();
    let changed_claims = URL_SAFE_NO_PAD.encode(with(claims.clone(), &json!({"superuser": true})).to_string());
    for (forged, reason) in [
        (sign(&other, &header, &claims), "bad_signature"),
        (tamper_signature(&token), "bad_signature"),
        (format!("{}.{changed_claims}.{}", parts[0], parts[2]), "bad_signature"),
        (format!("{}.{}.", parts[0], parts[1]), "malformed"),
        (format!("{}.{}", parts[0], parts[1]), "malformed"),
        (format!("{token}="), "malformed"),
        (format!("{token}."), "malformed"),
        (format!(" {token}"), "malformed"),
        (format!("{}.{}.{}", parts[0], parts[1], &parts[2][..85]), "malformed"),
    ] {
        assert_eq!(server.rejection_reason(&forged).await, reason, "{forged}");
        assert_eq!(server.rejection_reason(&forged).await, reason, "{forged}");
    }
    server.verify(&token).await.is(200);
}

async fn tokens_of_a_revoked_key_are_refused(server: &TestServer) {
    let user = server.create_user(&[]);
    let tokens = server.sign_in(&user).await;
    server.verify(&tokens.access).await.is(200);
    let (_, kid) = signing_key(server);
    server.plan().json(&["keys", "revoke", &kid], "");
    crate::support::until("tokens of the revoked key are refused", async || {
        server.rejection_reason(&tokens.access).await == "revoked_key"
    })
    .await;
    let jwks = server.get("/.well-known/jwks.json").send_checked().await.is(200).json();
    assert!(jwks["keys"].as_array().unwrap().iter().all(|key| key["kid"] != kid));
    // Sessions do not depend on the key.
    let next = server.refresh(&tokens.refresh).await.is(200).tokens();
    server.verify(&next.access).await.is(200);
    assert_ne!(decode(&next.access).0["kid"], kid);
}
