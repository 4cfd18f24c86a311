//! Statuses and header fields of the documents.

use std::io::Read;

use super::*;
use crate::support::server::{SendRequest, TestServer, over_both_stores};

over_both_stores!(|plan| plan; documents_say_how_they_can_be_cached, unknown_positions_are_gone,
    live_response_leads_to_segments);

async fn documents_say_how_they_can_be_cached(server: &TestServer) {
    let client = Client::new(&server.signet);
    let head = frames(&get(&client, FEED).await).remove(0);
    let live = format!("{FEED}/{}/after/{}", text(&head["epoch"]), text(&head["to"]));
    let snapshot = format!("{FEED}/snapshot");
    for (path, cache_control) in [(FEED, "public, max-age=1"), (&snapshot, "public, max-age=10"), (&live, "no-store")] {
        let response = server.get(path).header("origin", "https://any.example").send_checked().await;
        assert_eq!(response.is(200).header("cache-control"), cache_control);
        assert_eq!(response.header("access-control-allow-origin"), "*");
        let vary = if path == snapshot { "accept-encoding" } else { "" };
        assert_eq!((response.header("vary"), response.header("content-encoding")), (vary, ""));
    }
    for accepted in ["gzip", "br, GZIP;q=0.5", "*", "gzip, *;q=0"] {
        let response = client.get(&snapshot).header("accept-encoding", accepted).send().await.unwrap();
        assert_eq!(response.headers()["content-encoding"], "gzip", "{accepted}");
        let (bytes, mut plain) = (response.bytes().await.unwrap(), String::new());
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut plain).unwrap();
        assert_eq!(payloads(&plain)[0]["part"], 1);
    }
    for refused in ["identity", "gzip;q=0", "gzipped", "*, gzip;q=0"] {
        let response = server.get(&snapshot).header("accept-encoding", refused).send_checked().await;
        assert_eq!(response.is(200).header("content-encoding"), "", "{refused}");
    }
    let metadata = server.get("/.well-known/oauth-authorization-server").send_checked().await.json();
    assert!(text(&metadata["revocation_feed_uri"]).ends_with(FEED), "{metadata}");
    assert!(text(&metadata["verification_endpoint"]).ends_with("/verify"), "{metadata}");
}

async fn unknown_positions_are_gone(server: &TestServer) {
    let client = Client::new(&server.signet);
    let head = frames(&get(&client, FEED).await).remove(0);
    let (epoch, to) = (text(&head["epoch"]), text(&head["to"]));
    let (long, later) = ("9".repeat(4000), "18446744073709551615-18446744073709551615");
    let mut paths = vec![format!("{FEED}/other/after/{to}"), format!("{FEED}/{epoch}/after/{later}")];
    for position in ["x", "-", "1", "+1-0", "01-0", "%00", "%F0%9F%8D%8B", "..", "1-0-0", &long] {
        paths.push(format!("{FEED}/{epoch}/after/{position}"));
        paths.push(format!("{FEED}/{epoch}/segments/{to}/{position}"));
        paths.push(format!("{FEED}/{epoch}/segments/{position}/{to}"));
    }
    paths.push(format!("{FEED}/{epoch}/segments/{to}/{to}"));
    paths.push(format!("{FEED}/other/segments/{to}/{to}"));
    for path in paths {
        let response = server.get(&path).header("origin", "https://any.example").send_checked().await;
        // A client resolves `..` itself.
        if !path.contains("..") {
            assert_eq!(
                (response.is(410).header("cache-control"), &response.body["type"]),
                ("no-store", &"gone".into())
            );
            assert_eq!(response.header("access-control-allow-origin"), "*");
        }
    }
}

/// A follower that polls goes on with segments, which can be cached, after one response of the live feed.
async fn live_response_leads_to_segments(server: &TestServer) {
    let client = Client::new(&server.signet);
    let (key, _) = server.api_key(&server.create_user(&["--superuser"]), &["revoke"]);
    let revoke = async || {
        let token = server.sign_in(&server.create_user(&[])).await.access;
        server.form("/oauth/revoke", &[("client_secret", &key), ("token", &token)]).await.is(200);
    };
    revoke().await;
    let head = head_when(&client, |head| head["to"] != "0-0").await;
    let live = format!("{FEED}/{}/after/{}", text(&head["epoch"]), text(&head["to"]));
    // Until a second is over in which something was revoked.
    let mut frames_after = Vec::new();
    while frames_after.len() < 2 {
        revoke().await;
        frames_after = frames(&get(&client, &live).await);
    }
    let (reached, last) = (text(&frames_after[0]["to"]), frames_after.last().unwrap());
    let head = head_when(&client, |head| head["segments"].as_array().unwrap().iter().any(|end| *end == reached)).await;
    let ends = head["segments"].as_array().unwrap().iter().map(text).collect::<Vec<_>>();
    let from = ends.iter().position(|end| *end == reached).unwrap();
    assert!(from + 1 < ends.len(), "something was revoked after it");
    let mut found = HashSet::new();
    for pair in ends[from..].windows(2) {
        let path = format!("{FEED}/{}/segments/{}/{}", text(&head["epoch"]), pair[0], pair[1]);
        let segment = get(&client, &path).await;
        assert!(segment.header("cache-control").contains("immutable"));
        found.extend(revoked(&frames(&segment)[0]));
    }
    assert!(found.is_superset(&revoked(last)));
}

#[tokio::test]
async fn feed_that_is_turned_off_is_not_found() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_REVOCATION__FEED", "false"));
    for path in ["", "/snapshot", "/e/after/1-0", "/e/segments/1-0/2-0"] {
        server.get(&format!("{FEED}{path}")).send_checked().await.is(404);
    }
    let metadata = server.get("/.well-known/oauth-authorization-server").send_checked().await.json();
    assert_eq!(metadata.get("revocation_feed_uri"), None);
}
