//! The pages: served by the binary alone, with a strict Content-Security-Policy, and safe to open.

use std::collections::BTreeSet;

use reqwest::{Method, Url};

use crate::support::client::client_builder;
use crate::support::server::{HttpResponse, SendRequest, TestServer};

const PAGES: [&str; 5] = ["/docs", "/account", "/links/magic", "/links/reset", "/links/confirm"];

/// The directives that the policy of every page has.
const POLICY: [&str; 6] = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "form-action 'none'",
    "frame-ancestors 'none'",
];

fn assert_security_headers(answer: &HttpResponse) {
    let policy = answer.is(200).header("content-security-policy").split("; ").collect::<Vec<_>>();
    assert!(POLICY.iter().all(|directive| policy.contains(directive)), "{policy:?}");
    assert!(!policy.concat().contains("unsafe") && !policy.concat().contains('*'), "{policy:?}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
}

/// The quoted texts after any of these prefixes in a page or a script.
fn quoted_after<'a>(text: &'a str, prefixes: &[&str]) -> Vec<&'a str> {
    let rests =
        |prefix: &&str| text.match_indices(*prefix).map(|(at, prefix)| &text[at + prefix.len()..]).collect::<Vec<_>>();
    let quoted = |rest: &'a str| rest.split(['"', '\'']).next().unwrap_or_default();
    prefixes.iter().flat_map(rests).map(quoted).collect()
}

/// The paths that a page refers to or a script imports, resolved against its own path.
fn referred(path: &str, text: &str) -> Vec<String> {
    let here = Url::parse("http://signet.invalid").unwrap().join(path).unwrap();
    let names = if text.starts_with("<!doctype") {
        quoted_after(text, &["src=\"", "href=\""])
    } else {
        quoted_after(text, &["from '", "from\"", "import('"])
    };
    let names = names.into_iter().filter(|name| !name.starts_with('#') && !name.starts_with("data:"));
    names.map(|name| here.join(name).unwrap().path().to_owned()).collect()
}

#[tokio::test]
async fn pages_load_only_files_of_this_server() {
    for prefix in ["", "/id/v2"] {
        let server = TestServer::embedded(|plan| plan.set("SIGNET_API__NATIVE__PREFIX", &format!("{prefix}/")));
        let mut files = BTreeSet::new();
        for page in PAGES {
            let answer = server.get(&format!("{prefix}{page}")).send_checked().await;
            assert_security_headers(&answer);
            let policy = answer.header("content-security-policy");
            assert!(policy.contains("require-trusted-types-for 'script'; trusted-types 'none'"), "{page}: {policy}");
            assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
            assert_eq!(answer.header("cache-control"), "no-store");
            assert!(!answer.text.contains("<style") && !answer.text.contains("style="), "{page} has inline styles");
            files.extend(referred(page, &answer.text));
        }
        let mut checked = BTreeSet::new();
        while let Some(file) = files.pop_first() {
            assert!(file.starts_with(&format!("{prefix}/")), "a page refers to {file}");
            if file.ends_with("/openapi.json") || !checked.insert(file.clone()) {
                continue;
            }
            let answer = server.get(&file).send_checked().await;
            assert_security_headers(&answer);
            let kind = if file.ends_with(".css") { "text/css" } else { "text/javascript" };
            assert_eq!(answer.header("content-type"), format!("{kind}; charset=utf-8"), "{file}");
            // The names of namespaces are not loaded.
            let text = answer.text.replace("http://www.w3.org/", "");
            let loads = kind == "text/css" && text.contains("url(");
            assert!(!text.contains("://") && !loads, "{file} refers to another host");
            // The URL has a hash of all files, so a file is never asked for again.
            assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable", "{file}");
            let again = server.get(&file).header("if-none-match", answer.header("etag")).send_checked().await;
            assert_eq!(again.is(304).text, "");
            files.extend(referred(&file, &answer.text));
        }
        assert!(checked.len() > 30, "{checked:?}");
    }
}

/// The parts of the OpenAPI document that the API reference loads. Without scripts, the page links to the document.
#[tokio::test]
async fn reference_loads_parts_of_the_document() {
    for prefix in ["", "/id"] {
        let server = TestServer::embedded(|plan| plan.set("SIGNET_API__NATIVE__PREFIX", &format!("{prefix}/")));
        let page = server.get(&format!("{prefix}/docs")).send_checked().await;
        assert!(page.is(200).text.contains(&format!("<a href=\"{prefix}/openapi.json\">")), "{}", page.text);
        for part in ["index.json", "operations/native_sign_in"] {
            let path = format!("{prefix}/docs/{part}");
            let answer = server.get(&path).send_checked().await;
            assert_security_headers(&answer);
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(answer.header("cache-control"), "public, no-cache");
            let again = server.get(&path).header("if-none-match", answer.header("etag")).send_checked().await;
            assert_eq!(again.is(304).text, "");
        }
        let index = server.get(&format!("{prefix}/docs/index.json")).send_checked().await.json();
        let listed = index["operations"].as_array().unwrap();
        let sign_in = listed.iter().find(|row| row[2] == "native_sign_in").expect("it is listed");
        assert_eq!((&sign_in[0], &sign_in[1]), (&"post".into(), &format!("{prefix}/sessions").into()));
        let details = server.get(&format!("{prefix}/docs/operations/native_sign_in")).send_checked().await.json();
        assert!(details["operation"]["requestBody"].is_object(), "{details}");
        server.get(&format!("{prefix}/docs/operations/unknown")).send_checked().await.is(404);
    }
}

/// During an upgrade a browser may ask this node for the files of another version.
#[tokio::test]
async fn file_of_another_version_is_not_kept() {
    let server = TestServer::embedded(|plan| plan);
    let answer = server.get("/pages/another/base/view.js").send_checked().await;
    assert_eq!(answer.is(200).header("cache-control"), "no-store");
    assert_eq!(server.get("/pages/another/base/unknown.js").send_checked().await.status, 404);
}

/// The account page and the pages of links: no other window, no other origin, and the name of the service is text.
#[tokio::test]
async fn account_page_is_isolated() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_MAIL__SERVICE_NAME", "A & \"B\" <script>"));
    for page in ["/account", "/links/magic", "/links/reset", "/links/confirm"] {
        let answer = server.get(page).send_checked().await;
        assert_eq!(answer.is(200).header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
        assert!(answer.text.contains("<title>A &amp; &quot;B&quot; &lt;script&gt;</title>"), "{}", answer.text);
        assert_eq!(answer.text.matches("<script").count(), 1, "{}", answer.text);
    }
}

#[tokio::test]
async fn opening_a_link_leaves_no_trace_of_its_token() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_LOG__FILTER", "trace"));
    let token = "eyJhbGciOiJFZERTQSJ9.c2F5cw.c2lnbmF0dXJl";
    for page in ["/links/magic", "/links/reset", "/links/confirm"] {
        for method in [Method::GET, Method::HEAD] {
            let answer = server.request(method, &format!("{page}?token={token}")).send_checked().await;
            assert_security_headers(&answer);
            assert!(!answer.text.contains(token), "the page contains the token: {answer:?}");
        }
    }
    server.signet.terminate();
    server.signet.wait_for_exit();
    let log = server.signet.log();
    assert!(log.contains("stopped") && !log.contains(token), "{log}");
}

/// No path and no query makes the server send a browser elsewhere.
#[tokio::test]
async fn no_page_redirects() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_CONSOLE__LISTENER", "public"));
    let client = client_builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let elsewhere = ["//evil.example", "/%2f%2fevil.example", "/%5cevil.example", "/..//evil.example/"];
    let queries =
        ["next", "redirect_uri", "return_to", "url"].map(|name| format!("?{name}=https%3A%2F%2Fevil.example"));
    let pages = PAGES.iter().chain(&["/", "/console"]);
    let with_queries = pages.clone().flat_map(|page| queries.iter().map(move |query| format!("{page}{query}")));
    let with_paths = pages.flat_map(|page| elsewhere.map(|path| format!("{page}{path}")));
    for path in with_queries.chain(with_paths).chain(elsewhere.map(str::to_owned)) {
        let url = format!("{}{path}", server.signet.url_of(""));
        let answer = client.get(&url).send().await.unwrap();
        assert!(!answer.status().is_redirection(), "{path}: {}", answer.status());
        assert!(!answer.headers().contains_key("location") && !answer.headers().contains_key("refresh"), "{path}");
    }
}

#[tokio::test]
async fn disabled_native_dialect_serves_no_pages() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_API__NATIVE__ENABLED", "false"));
    for page in PAGES {
        assert_eq!(server.get(page).send_checked().await.status, 404, "{page}");
    }
}
