//! From a request to its route, and what all answers have in common.

use super::*;
use signet::config::Network;

#[tokio::test]
async fn paths_lead_to_routes_and_never_past_them() {
    let served = serve(settings());
    for (path, status, body) in [
        ("/hello", 200, "\"hello\""),
        ("/hello/", 200, "\"hello\""),
        ("/hello//", 404, "root: no such path"),
        ("//hello", 404, "root: no such path"),
        ("/", 404, "root: no such path"),
        ("/items/a%20b", 200, "a b"),
        ("/items/a%2fb", 200, "a/b"),
        ("/items/a%2Fb/", 200, "a/b"),
        ("/items/zo%C3%AB", 200, "zoë"),
        ("/items/%ff", 404, "root: no such path"),
        ("/items/%zz", 200, "%zz"),
        ("/items/..%2f..%2fhello", 200, "../../hello"),
        ("/items/", 404, "root: no such path"),
        ("/items//", 404, "root: no such path"),
        ("/items/a/b", 404, "root: no such path"),
        ("/items%2fa", 404, "root: no such path"),
        ("/deep", 200, "deep"),
        ("/deep/", 200, "deep"),
        ("/deep/er", 404, "deep: no such path"),
        ("/deeper", 404, "root: no such path"),
        ("/deep%2f", 404, "root: no such path"),
        ("/query?q=a+b%26c&q2=x", 200, "a b&c"),
        ("/query", 200, "none"),
        ("/query?q=%ff", 422, "handler: faulty fields: query is not UTF-8;"),
    ] {
        // Byte for byte: a client library would tidy these up.
        let said = served.say(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {said}");
        assert_eq!(said.split_once("\r\n\r\n").unwrap().1, body, "{path}");
    }
}

#[tokio::test]
async fn other_methods_are_told_which_would_do() {
    let served = serve(settings());
    let client = reqwest::Client::new();
    let answer = client.post(served.url("/items/1")).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["allow"]),
        (405, &"DELETE, GET, HEAD, OPTIONS".parse().unwrap())
    );
    assert_eq!(answer.text().await.unwrap(), "root: no such method here");
    let answer = client.request(http::Method::OPTIONS, served.url("/echo")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["allow"]), (204, &"OPTIONS, POST".parse().unwrap()));
    assert!(answer.headers().contains_key("x-request-id"));
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
    let head = client.head(served.url("/echo")).send().await.unwrap();
    assert_eq!(head.status(), 405);
    let gone = client.delete(served.url("/items/1")).send().await.unwrap();
    assert_eq!(gone.status(), 204);
}

#[tokio::test]
async fn every_answer_has_an_id() {
    let served = serve(settings());
    let client = reqwest::Client::new();
    let mut seen = std::collections::HashSet::new();
    for path in ["/hello", "/nobody", "/panic", "/echo"] {
        let answer = client.get(served.url(path)).send().await.unwrap();
        assert!(seen.insert(answer.headers()["x-request-id"].clone()), "{path}");
        let answer = client.get(served.url(path)).header("x-request-id", "from-outside").send().await.unwrap();
        assert_eq!(answer.headers()["x-request-id"], "from-outside", "{path}");
    }
}

#[tokio::test]
async fn a_panic_is_answered_and_costs_nothing_else() {
    let served = serve(settings());
    let client = reqwest::Client::new();
    for (path, said) in [("/panic", "root: the handler panicked"), ("/deep/panic", "deep: the handler panicked")] {
        let answer = client.get(served.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 500);
        assert_eq!(answer.text().await.unwrap(), said);
        assert_eq!(client.get(served.url("/hello")).send().await.unwrap().status(), 200);
    }
    // All over the same connection.
    assert_eq!(served.log.opened.load(Ordering::SeqCst), 1);
    let answered = served.log.answered.lock().unwrap();
    assert_eq!(answered[0], ("panic", StatusCode::INTERNAL_SERVER_ERROR, Some("the handler panicked".into())));
    assert_eq!(answered[1], ("hello", StatusCode::OK, None));
}

#[tokio::test]
async fn bodies_are_read_by_what_they_say_they_are() {
    let served = serve(settings());
    let client = reqwest::Client::new();
    let form = "username=zo%C3%AB&password=a+b";
    let multipart = "--XX\r\ncontent-disposition: form-data; name=\"username\"\r\n\r\nzoë\r\n--XX--";
    for (path, media_type, body, status, said) in [
        ("/json", Some("application/json"), "{\"a\":1,\"b\":2}", 200, "[[\"a\",1],[\"b\",2]]"),
        ("/json", Some("application/x+json; charset=utf-8"), "{}", 200, "[]"),
        ("/json", None, "{}", 415, "handler: the body's media type is not read here"),
        ("/json", Some("text/plain"), "{}", 415, "handler: the body's media type is not read here"),
        ("/json", None, "", 422, "handler: faulty fields: body is missing;"),
        (
            "/json",
            Some("application/json"),
            "{\"a\":",
            400,
            "handler: unreadable body: EOF while parsing a value (at byte 4)",
        ),
        (
            "/json",
            Some("application/json"),
            "{\"a\":\"x\"}",
            422,
            "handler: faulty fields: body.a must be a whole number;",
        ),
        (
            "/form",
            Some("application/x-www-form-urlencoded"),
            form,
            200,
            "[[\"username\",\"zoë\"],[\"password\",\"a b\"]]",
        ),
        ("/form", Some("multipart/form-data; boundary=XX"), multipart, 200, "[[\"username\",\"zoë\"]]"),
        ("/form", Some("multipart/form-data"), multipart, 415, "handler: the body's media type is not read here"),
        ("/form", Some("application/json"), "{}", 415, "handler: the body's media type is not read here"),
    ] {
        let request = client.post(served.url(path)).body(body);
        let request =
            media_type.into_iter().fold(request, |request, media_type| request.header("content-type", media_type));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{media_type:?} {body}");
        assert_eq!(answer.text().await.unwrap(), said, "{media_type:?} {body}");
    }
}

#[tokio::test]
async fn a_bearer_token_is_read_once_and_in_any_case() {
    let served = serve(settings());
    for (lines, expected) in [
        ("", "none"),
        ("authorization: Bearer a.b.c\r\n", "a.b.c"),
        ("Authorization: bEARER   a.b.c\r\n", "a.b.c"),
        ("authorization: Bearer\r\n", "none"),
        ("authorization: Bearer \r\n", "none"),
        ("authorization: Basic a.b.c\r\n", "none"),
        ("authorization: Bearer a\r\nauthorization: Bearer b\r\n", "none"),
    ] {
        let said = served.say(format!("GET /bearer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}\r\n")).await;
        assert_eq!(said.split_once("\r\n\r\n").unwrap().1, expected, "{lines}");
    }
}

#[tokio::test]
async fn only_a_trusted_proxy_speaks_for_others() {
    let forwarded =
        "GET /client HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-forwarded-for: 1.1.1.1, 198.51.100.1\r\n\r\n";
    assert!(serve(settings()).say(forwarded).await.ends_with("\r\n127.0.0.1"));
    let network = Network { address: "127.0.0.0".parse().unwrap(), bits: 8 };
    let trusting = serve(config::Server { trusted_proxies: vec![network], ..settings() });
    assert!(trusting.say(forwarded).await.ends_with("\r\n198.51.100.1"));
}

#[tokio::test]
async fn scripts_of_configured_origins_may_call_and_no_others() {
    let served = serve(config::Server { cors_origins: vec!["https://app.example".into()], ..settings() });
    let client = reqwest::Client::new();
    let preflight = |origin: &'static str| {
        let request = client.request(http::Method::OPTIONS, served.url("/items/1")).header("origin", origin);
        let request = request.header("access-control-request-method", "DELETE");
        request.header("access-control-request-headers", "authorization,content-type").send()
    };
    let granted = preflight("https://app.example").await.unwrap();
    assert_eq!(granted.status(), 204);
    assert_eq!(granted.headers()["access-control-allow-origin"], "https://app.example");
    assert_eq!(granted.headers()["access-control-allow-methods"], "DELETE, GET, HEAD, OPTIONS");
    assert_eq!(granted.headers()["access-control-allow-headers"], "authorization,content-type");
    let refused = preflight("https://evil.example").await.unwrap();
    assert!(refused.headers().keys().all(|name| !name.as_str().starts_with("access-control")), "{refused:?}");
    for path in ["/hello", "/nobody", "/panic"] {
        let answer = client.get(served.url(path)).header("origin", "https://app.example").send().await.unwrap();
        assert_eq!(answer.headers()["access-control-allow-origin"], "https://app.example", "{path}");
        assert_eq!(answer.headers()["vary"], "origin");
        for request in
            [client.get(served.url(path)).header("origin", "https://app.example.evil"), client.get(served.url(path))]
        {
            let answer = request.send().await.unwrap();
            assert!(!answer.headers().contains_key("access-control-allow-origin"), "{path}");
            assert_eq!(answer.headers()["vary"], "origin");
        }
    }
}
