//! The published documents: the JWKS and the authorization server metadata.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;

use crate::support::ports::free_port;
use crate::support::server::{SendRequest, TestServer, over_both_stores};
use crate::support::signet::Plan;

/// The metadata contains the service's own URL, so the port must be known before the start.
fn plan(plan: Plan) -> Plan {
    plan.set("SIGNET_SERVER__LISTEN", &format!("127.0.0.1:{}", free_port()))
}

over_both_stores!(plan;
    jwks_contains_only_public_keys, jwks_can_be_cached_and_revalidated, new_key_changes_the_jwks_etag,
    every_endpoint_in_the_metadata_exists);

async fn jwks_contains_only_public_keys(server: &TestServer) {
    let response = server.get("/.well-known/jwks.json").send_checked().await;
    assert_eq!(response.is(200).header("content-type"), "application/json");
    let body = response.json();
    let keys = body["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2, "the signing key and the standby");
    for key in keys {
        let members = key.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>();
        assert_eq!(members.len(), 6, "no private member: {members:?}");
        assert_eq!((&key["kty"], &key["crv"]), (&"OKP".into(), &"Ed25519".into()));
        assert_eq!((&key["use"], &key["alg"]), (&"sig".into(), &"EdDSA".into()));
        assert_eq!(URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap().len(), 32);
    }
    let user = server.create_user(&[]);
    let access = server.sign_in(&user).await.access;
    let header = URL_SAFE_NO_PAD.decode(access.split('.').next().unwrap()).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    assert_eq!((&header["alg"], &header["typ"]), (&"EdDSA".into(), &"at+jwt".into()));
    assert_eq!(keys[0]["kid"], header["kid"]);
}

async fn jwks_can_be_cached_and_revalidated(server: &TestServer) {
    let path = "/.well-known/jwks.json";
    let response = server.get(path).send_checked().await;
    let (etag, cache_control) = (response.header("etag"), response.header("cache-control"));
    assert_eq!(cache_control, "public, max-age=300, stale-if-error=3600");
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "{etag}");
    for if_none_match in [etag.to_owned(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        let again = server.get(path).header("if-none-match", if_none_match).send_checked().await;
        assert_eq!((again.is(304).text.as_str(), again.header("etag")), ("", etag));
        assert_eq!(again.header("cache-control"), cache_control);
    }
    server.get(path).header("if-none-match", "\"other\"").send_checked().await.is(200);
    let head = server.request(Method::HEAD, path).send_checked().await;
    assert_eq!((head.is(200).text.as_str(), head.header("etag")), ("", etag));
    assert_eq!(head.header("content-length"), response.text.len().to_string());
}

/// Browsers verify tokens too, and the documents are the same for everyone.
#[tokio::test]
async fn scripts_of_any_origin_read_the_documents() {
    let app = "https://app.example";
    for origins in ["", app] {
        let server = TestServer::embedded(|plan| plan.set("SIGNET_SERVER__CORS_ORIGINS", origins));
        for path in [
            "/.well-known/jwks.json",
            "/.well-known/oauth-authorization-server",
            "/.well-known/openid-configuration",
            "/.well-known/signet-revocations",
            "/openapi.json",
        ] {
            for origin in [app, "https://another.example"] {
                let response = server.get(path).header("origin", origin).send_checked().await;
                assert_eq!(response.is(200).header("access-control-allow-origin"), "*", "{path}");
                let preflight = server.request(Method::OPTIONS, path).header("origin", origin);
                let preflight = preflight.header("access-control-request-method", "GET");
                let preflight =
                    preflight.header("access-control-request-headers", "if-none-match").send_checked().await;
                assert_eq!(preflight.is(204).header("access-control-allow-origin"), "*", "{path}");
                assert_eq!(preflight.header("access-control-allow-methods"), "GET, HEAD, OPTIONS", "{path}");
                assert_eq!(preflight.header("access-control-allow-headers"), "if-none-match", "{path}");
            }
        }
        let path = "/.well-known/jwks.json";
        let etag = server.get(path).send_checked().await.header("etag").to_owned();
        let again = server.get(path).header("if-none-match", etag).header("origin", app).send_checked().await;
        assert_eq!(again.is(304).header("access-control-allow-origin"), "*");
        // Every other path is for the configured origins only.
        for (origin, allowed) in [(app, !origins.is_empty()), ("https://another.example", false)] {
            let other = server.post("/verify").header("origin", origin).send().await.unwrap();
            let expected = allowed.then_some(origin);
            let got = other.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap());
            assert_eq!(got, expected, "{origin}");
        }
    }
}

/// A client that revalidates must receive the announced key instead of 304.
async fn new_key_changes_the_jwks_etag(server: &TestServer) {
    let path = "/.well-known/jwks.json";
    let response = server.get(path).send_checked().await;
    let etag = response.is(200).header("etag");
    let keys = server.plan().json(&["keys", "list"], "");
    let (signer, standby) = (&keys[0]["kid"], keys[1]["kid"].as_str().unwrap());
    server.plan().json(&["keys", "revoke", standby], "");
    crate::support::until("another standby is in the JWKS", async || {
        let changed = server.get(path).header("if-none-match", etag).send_checked().await;
        changed.status == 200 && {
            let kids =
                changed.json()["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect::<Vec<_>>();
            kids.len() == 2 && kids[0] == *signer && kids[1] != standby
        }
    })
    .await;
}

async fn every_endpoint_in_the_metadata_exists(server: &TestServer) {
    let one = server.get("/.well-known/oauth-authorization-server").send_checked().await;
    let other = server.get("/.well-known/openid-configuration").send_checked().await;
    assert_eq!(one.is(200).json(), other.is(200).json());
    assert_eq!(one.header("cache-control"), "public, max-age=300, stale-if-error=3600");
    let metadata = one.json();
    let base = server.signet.url_of("");
    assert_eq!(metadata["issuer"], base);
    let mut endpoints = 0;
    for (name, value) in metadata.as_object().unwrap() {
        let Some(path) = value.as_str().filter(|_| name != "issuer").and_then(|url| url.strip_prefix(&base)) else {
            assert!(!name.ends_with("_endpoint") && name != "jwks_uri", "{name}: {value}");
            continue;
        };
        endpoints += 1;
        if ["jwks_uri", "revocation_feed_uri"].contains(&name.as_str()) {
            server.get(path).send_checked().await.is(200);
        } else if name == "verification_endpoint" {
            let batch = server.post(&format!("{path}/batch")).json(&serde_json::json!({"tokens": []}));
            batch.send_checked().await.is(200);
        } else {
            // The endpoint exists and reports a missing parameter or client.
            let response = server.form(path, &[("nothing", "at all")]).await;
            assert!(matches!(response.status, 400 | 401), "{name}: {response:?}");
            assert!(response.json()["error"].is_string());
        }
    }
    assert_eq!(endpoints, 6);
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    let grants = serde_json::json!(["refresh_token", "client_credentials", exchange]);
    assert_eq!(metadata["grant_types_supported"], grants);
}
