//! Routing, and properties that all responses share.

use super::*;
use signet::config::Network;

#[tokio::test]
async fn paths_match_exactly_their_routes() {
    let server = serve(settings());
    for (path, status, body) in [
        ("/hello", 200, "\"hello\""),
        ("/hello/", 200, "\"hello\""),
        ("/hello//", 404, "root: path not found"),
        ("//hello", 404, "root: path not found"),
        ("/", 404, "root: path not found"),
        ("/items/a%20b", 200, "a b"),
        ("/items/a%2fb", 200, "a/b"),
        ("/items/a%2Fb/", 200, "a/b"),
        ("/items/zo%C3%AB", 200, "zoë"),
        ("/items/%ff", 404, "root: path not found"),
        ("/items/%zz", 200, "%zz"),
        ("/items/..%2f..%2fhello", 200, "../../hello"),
        ("/items/", 404, "root: path not found"),
        ("/items//", 404, "root: path not found"),
        ("/items/a/b", 404, "root: path not found"),
        ("/items%2fa", 404, "root: path not found"),
        ("/deep", 200, "deep"),
        ("/deep/", 200, "deep"),
        ("/deep/er", 404, "deep: path not found"),
        ("/deeper", 404, "root: path not found"),
        ("/deep%2f", 404, "root: path not found"),
        ("/query?q=a+b%26c&q2=x", 200, "a b&c"),
        ("/query", 200, "none"),
        ("/query?q=%ff", 422, "handler: invalid fields: query is not UTF-8;"),
    ] {
        // Sent as bytes: a client library would normalize these paths.
        let response = server.exchange(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {response}");
        assert_eq!(response.split_once("\r\n\r\n").unwrap().1, body, "{path}");
    }
}

#[tokio::test]
async fn wrong_method_gets_405_with_allow() {
    let server = serve(settings());
    let client = client_builder().build().unwrap();
    let response = client.post(server.url("/items/1")).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["allow"]),
        (405, &"DELETE, GET, HEAD, OPTIONS".parse().unwrap())
    );
    assert_eq!(response.text().await.unwrap(), "root: method not allowed");
    let response = client.request(http::Method::OPTIONS, server.url("/echo")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (204, &"OPTIONS, POST".parse().unwrap()));
    assert!(response.headers().contains_key("x-request-id"));
    assert!(!response.headers().contains_key("access-control-allow-origin"));
    let head = client.head(server.url("/echo")).send().await.unwrap();
    assert_eq!(head.status(), 405);
    let deleted = client.delete(server.url("/items/1")).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
}

#[tokio::test]
async fn every_response_has_a_request_id() {
    let server = serve(settings());
    let client = client_builder().build().unwrap();
    let mut seen = std::collections::HashSet::new();
    for path in ["/hello", "/nobody", "/panic", "/echo"] {
        let response = client.get(server.url(path)).send().await.unwrap();
        assert!(seen.insert(response.headers()["x-request-id"].clone()), "{path}");
        let response = client.get(server.url(path)).header("x-request-id", "from-outside").send().await.unwrap();
        assert_eq!(response.headers()["x-request-id"], "from-outside", "{path}");
    }
}

#[tokio::test]
async fn panic_gets_500_and_keeps_the_connection() {
    let server = serve(settings());
    let client = client_builder().build().unwrap();
    for (path, expected) in [("/panic", "root: the handler panicked"), ("/deep/panic", "deep: the handler panicked")] {
        let response = client.get(server.url(path)).send().await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.text().await.unwrap(), expected);
        assert_eq!(client.get(server.url("/hello")).send().await.unwrap().status(), 200);
    }
    // All requests used the same connection.
    assert_eq!(server.log.opened.load(Ordering::SeqCst), 1);
    let completed = server.log.completed.lock().unwrap();
    assert_eq!(completed[0], ("panic", StatusCode::INTERNAL_SERVER_ERROR, Some("the handler panicked".into())));
    assert_eq!(completed[1], ("hello", StatusCode::OK, None));
}

#[tokio::test]
async fn bodies_are_parsed_by_their_media_type() {
    let server = serve(settings());
    let client = client_builder().build().unwrap();
    let form = "username=zo%C3%AB&password=a+b";
    let multipart = "--XX\r\ncontent-disposition: form-data; name=\"username\"\r\n\r\nzoë\r\n--XX--";
    for (path, media_type, body, status, expected) in [
        ("/json", Some("application/json"), "{\"a\":1,\"b\":2}", 200, "[[\"a\",1],[\"b\",2]]"),
        ("/json", Some("application/x+json; charset=utf-8"), "{}", 200, "[]"),
        ("/json", None, "{}", 415, "handler: unsupported media type"),
        ("/json", Some("text/plain"), "{}", 415, "handler: unsupported media type"),
        ("/json", None, "", 422, "handler: invalid fields: body is missing;"),
        (
            "/json",
            Some("application/json"),
            "{\"a\":",
            400,
            "handler: malformed body: EOF while parsing a value (at byte 4)",
        ),
        (
            "/json",
            Some("application/json"),
            "{\"a\":\"x\"}",
            422,
            "handler: invalid fields: body.a must be a whole number;",
        ),
        (
            "/form",
            Some("application/x-www-form-urlencoded"),
            form,
            200,
            "[[\"username\",\"zoë\"],[\"password\",\"a b\"]]",
        ),
        ("/form", Some("multipart/form-data; boundary=XX"), multipart, 200, "[[\"username\",\"zoë\"]]"),
        ("/form", Some("multipart/form-data"), multipart, 415, "handler: unsupported media type"),
        ("/form", Some("application/json"), "{}", 415, "handler: unsupported media type"),
    ] {
        let request = client.post(server.url(path)).body(body);
        let request =
            media_type.into_iter().fold(request, |request, media_type| request.header("content-type", media_type));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{media_type:?} {body}");
        assert_eq!(response.text().await.unwrap(), expected, "{media_type:?} {body}");
    }
}

#[tokio::test]
async fn bearer_scheme_is_case_insensitive_and_single() {
    let server = serve(settings());
    for (lines, expected) in [
        ("", "none"),
        ("authorization: Bearer a.b.c\r\n", "a.b.c"),
        ("Authorization: bEARER   a.b.c\r\n", "a.b.c"),
        ("authorization: Bearer\r\n", "none"),
        ("authorization: Bearer \r\n", "none"),
        ("authorization: Basic a.b.c\r\n", "none"),
        ("authorization: Bearer a\r\nauthorization: Bearer b\r\n", "none"),
    ] {
        let response =
            server.exchange(format!("GET /bearer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}\r\n")).await;
        assert_eq!(response.split_once("\r\n\r\n").unwrap().1, expected, "{lines}");
    }
}

#[tokio::test]
async fn forwarded_address_counts_only_from_a_trusted_proxy() {
    let forwarded =
        "GET /client HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-forwarded-for: 1.1.1.1, 198.51.100.1\r\n\r\n";
    assert!(serve(settings()).exchange(forwarded).await.ends_with("\r\n127.0.0.1"));
    let network = Network { address: "127.0.0.0".parse().unwrap(), bits: 8 };
    let trusting = serve(config::Server { trusted_proxies: vec![network], ..settings() });
    assert!(trusting.exchange(forwarded).await.ends_with("\r\n198.51.100.1"));
}

#[tokio::test]
async fn cors_allows_only_configured_origins() {
    let server = serve(config::Server { cors_origins: vec!["https://app.example".into()], ..settings() });
    let client = client_builder().build().unwrap();
    let preflight = |origin: &'static str| {
        let request = client.request(http::Method::OPTIONS, server.url("/items/1")).header("origin", origin);
        let request = request.header("access-control-request-method", "DELETE");
        request.header("access-control-request-headers", "authorization,content-type").send()
    };
    let allowed = preflight("https://app.example").await.unwrap();
    assert_eq!(allowed.status(), 204);
    assert_eq!(allowed.headers()["access-control-allow-origin"], "https://app.example");
    assert_eq!(allowed.headers()["access-control-allow-methods"], "DELETE, GET, HEAD, OPTIONS");
    assert_eq!(allowed.headers()["access-control-allow-headers"], "authorization,content-type");
    let refused = preflight("https://evil.example").await.unwrap();
    assert!(refused.headers().keys().all(|name| !name.as_str().starts_with("access-control")), "{refused:?}");
    for path in ["/hello", "/nobody", "/panic"] {
        let response = client.get(server.url(path)).header("origin", "https://app.example").send().await.unwrap();
        assert_eq!(response.headers()["access-control-allow-origin"], "https://app.example", "{path}");
        assert_eq!(response.headers()["vary"], "origin");
        for request in
            [client.get(server.url(path)).header("origin", "https://app.example.evil"), client.get(server.url(path))]
        {
            let response = request.send().await.unwrap();
            assert!(!response.headers().contains_key("access-control-allow-origin"), "{path}");
            assert_eq!(response.headers()["vary"], "origin");
        }
    }
}
