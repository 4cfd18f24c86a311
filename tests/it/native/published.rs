//! What is published: the JWKS, and the metadata that says where everything is.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;

use crate::support::server::{SendRequest, TestServer, over_both_stores};
use crate::support::signet::{Plan, free_port};

/// Metadata name the address by which clients know the service, so it must be known before.
fn plan(plan: Plan) -> Plan {
    plan.set("SIGNET_SERVER__LISTEN", &format!("127.0.0.1:{}", free_port()))
}

over_both_stores!(plan; the_jwks_holds_public_halves, the_jwks_can_be_kept, every_address_in_the_metadata_answers);

async fn the_jwks_holds_public_halves(server: &TestServer) {
    let answer = server.get("/.well-known/jwks.json").send_checked().await;
    assert_eq!(answer.is(200).header("content-type"), "application/json");
    let body = answer.json();
    let keys = body["keys"].as_array().unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        let members = key.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(members.len(), 6, "nothing private: {members:?}");
        assert_eq!((&key["kty"], &key["crv"]), (&"OKP".into(), &"Ed25519".into()));
        assert_eq!((&key["use"], &key["alg"]), (&"sig".into(), &"EdDSA".into()));
        assert_eq!(URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap().len(), 32);
    }
    let person = server.person(&[]);
    let access = server.sign_in(&person).await.access;
    let header = URL_SAFE_NO_PAD.decode(access.split('.').next().unwrap()).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    assert_eq!((&header["alg"], &header["typ"]), (&"EdDSA".into(), &"at+jwt".into()));
    assert!(keys.iter().any(|key| key["kid"] == header["kid"]));
}

async fn the_jwks_can_be_kept(server: &TestServer) {
    let path = "/.well-known/jwks.json";
    let answer = server.get(path).send_checked().await;
    let (etag, kept) = (answer.header("etag"), answer.header("cache-control"));
    assert_eq!(kept, "public, max-age=300, must-revalidate");
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "{etag}");
    for known in [etag.to_owned(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        let again = server.get(path).header("if-none-match", known).send_checked().await;
        assert_eq!((again.is(304).text.as_str(), again.header("etag")), ("", etag));
        assert_eq!(again.header("cache-control"), kept);
    }
    server.get(path).header("if-none-match", "\"other\"").send_checked().await.is(200);
    let head = server.request(Method::HEAD, path).send_checked().await;
    assert_eq!((head.is(200).text.as_str(), head.header("etag")), ("", etag));
    assert_eq!(head.header("content-length"), answer.text.len().to_string());

    // The next key is announced, so who asks again must not be told that nothing has changed.
    server.plan().json(&["keys", "rotate"], "");
    crate::support::until("the next key is in the JWKS", async || {
        let changed = server.get(path).header("if-none-match", etag).send_checked().await;
        changed.status == 200 && changed.json()["keys"].as_array().unwrap().len() == 2
    })
    .await;
}

async fn every_address_in_the_metadata_answers(server: &TestServer) {
    let one = server.get("/.well-known/oauth-authorization-server").send_checked().await;
    let other = server.get("/.well-known/openid-configuration").send_checked().await;
    assert_eq!(one.is(200).json(), other.is(200).json());
    assert_eq!(one.header("cache-control"), "public, max-age=300");
    let metadata = one.json();
    let base = server.signet.at("");
    assert_eq!(metadata["issuer"], base);
    let mut places = 0;
    for (name, place) in metadata.as_object().unwrap() {
        let Some(path) = place.as_str().filter(|_| name != "issuer").and_then(|place| place.strip_prefix(&base)) else {
            assert!(!name.ends_with("_endpoint") && name != "jwks_uri", "{name}: {place}");
            continue;
        };
        places += 1;
        if name == "jwks_uri" {
            server.get(path).send_checked().await.is(200);
        } else {
            // It is there, and is told too little.
            let answer = server.form(path, &[("nothing", "at all")]).await;
            assert!(matches!(answer.status, 400 | 401), "{name}: {answer:?}");
            assert!(answer.json()["error"].is_string());
        }
    }
    assert_eq!(places, 4);
    assert_eq!(metadata["grant_types_supported"], serde_json::json!(["refresh_token", "client_credentials"]));
}
