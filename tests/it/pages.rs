//! The pages: served by the binary alone, with a strict Content-Security-Policy, and safe to open.

use std::collections::BTreeSet;
use std::process::Command;

use reqwest::Method;
use serde_json::Value;

use crate::support::server::{HttpResponse, SendRequest, TestServer};
use crate::support::{run_with_stdin, tool};

const PAGES: [&str; 4] = ["/docs", "/links/magic", "/links/reset", "/links/confirm"];

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

fn assert_security_headers(answer: &HttpResponse) {
    assert_eq!(answer.is(200).header("content-security-policy"), POLICY);
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

#[tokio::test]
async fn pages_load_only_files_of_this_server() {
    for prefix in ["", "/id/v2"] {
        let server = TestServer::embedded(|plan| plan.set("SIGNET_API__NATIVE__PREFIX", &format!("{prefix}/")));
        let mut files = BTreeSet::new();
        for page in PAGES {
            let answer = server.get(&format!("{prefix}{page}")).send_checked().await;
            assert_security_headers(&answer);
            assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
            assert_eq!(answer.header("cache-control"), "no-store");
            for path in
                quoted_after(&answer.text, &["src=\"", "href=\""]).into_iter().filter(|path| !path.starts_with('#'))
            {
                assert!(path.starts_with(&format!("{prefix}/")), "{page} refers to {path}");
                files.insert(path.to_owned());
            }
            assert!(!answer.text.contains("<style") && !answer.text.contains("style="), "{page} has inline styles");
        }
        let mut checked = BTreeSet::new();
        while let Some(file) = files.pop_first() {
            let answer = server.get(&file).send_checked().await;
            if file.ends_with("/openapi.json") {
                continue;
            }
            assert_security_headers(&answer);
            let kind = if file.ends_with(".css") { "text/css" } else { "text/javascript" };
            assert_eq!(answer.header("content-type"), format!("{kind}; charset=utf-8"), "{file}");
            assert!(!answer.text.contains("://") && !answer.text.contains("url("), "{file} refers to another host");
            let again = server.get(&file).header("if-none-match", answer.header("etag")).send_checked().await;
            assert_eq!((again.is(304).text.as_str(), again.header("content-security-policy")), ("", POLICY));
            for import in quoted_after(&answer.text, &["from './"]) {
                let path = format!("{prefix}/pages/{import}");
                if !checked.contains(&path) {
                    files.insert(path);
                }
            }
            checked.insert(file);
        }
        assert_eq!(checked.len(), 7, "{checked:?}");
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

/// The parts of a browser that the page of a link uses. Records what is done to the address, the history and the
/// network, then presses the only button.
const BROWSER: &str = r"
import { readFileSync } from 'node:fs';
const { here, page } = JSON.parse(readFileSync(0, 'utf8'));
const events = [], forms = [];
class Element {
  constructor(name) { this.name = name; this.value = 'a quiet harbour'; if (name === 'form') forms.push(this); }
  setAttribute() {}
  append() {}
  replaceChildren() {}
  focus() {}
  addEventListener(type, listener) { this['on' + type] = listener; }
}
const url = new URL(here);
const record = (event) => events.push({ ...event, url: url.href });
const bound = (url, name) => (typeof url[name] === 'function' ? url[name].bind(url) : url[name]);
const define = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true });
define('location', new Proxy(url, { get: bound }));
define('document', {
  body: { dataset: { page, base: '' } }, documentElement: {}, referrer: '',
  createElement: (name) => new Element(name), getElementById: () => new Element('main'),
});
define('history', {
  replaceState: (_, __, to) => { url.href = new URL(to, url).href; record({ event: 'replaced' }); },
  pushState: () => record({ event: 'pushed' }),
});
define('navigator', { languages: ['en'] });
define('localStorage', { getItem: () => 'half', removeItem: () => {}, setItem: () => record({ event: 'stored' }) });
define('fetch', async (to, options) => {
  record({ event: 'fetched', to, ...options });
  return { ok: true, status: 200, json: async () => ({}) };
});
await import('./link.js');
record({ event: 'loaded' });
for (const form of forms) await form.onsubmit({ preventDefault() {} });
console.log(JSON.stringify(events));
";

/// Opens every form of link. Before anything else the token is removed from the address bar and the history; it is sent
/// in a body, once, when the button is pressed.
#[tokio::test]
async fn link_page_removes_the_token_from_the_address_bar() {
    let server = TestServer::embedded(|plan| plan);
    let folder = tempfile::tempdir().unwrap();
    for file in ["link.js", "element.js"] {
        let text = server.get(&format!("/pages/{file}")).send_checked().await.is(200).text.clone();
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    std::fs::write(folder.path().join("package.json"), r#"{"type":"module"}"#).unwrap();
    std::fs::write(folder.path().join("browser.js"), BROWSER).unwrap();
    let token = "eyJhbGciOiJFZERTQSJ9.c2F5cw.c2lnbmF0dXJl";
    for page in ["magic", "reset", "confirm"] {
        for rest in [format!("?token={token}"), format!("/{token}"), format!("?token={token}#claim=half")] {
            let here = format!("https://id.example.org/links/{page}{rest}");
            let mut node = Command::new(tool("bin/node"));
            node.current_dir(folder.path()).arg("browser.js");
            let input = serde_json::json!({"here": here, "page": page}).to_string();
            let output = tokio::task::spawn_blocking(move || run_with_stdin(node, &input)).await.unwrap();
            assert!(output.status.success(), "{here}: {}", String::from_utf8_lossy(&output.stderr));
            let events: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
            let names = events.iter().map(|event| event["event"].as_str().unwrap()).collect::<Vec<_>>();
            assert_eq!(names, ["replaced", "loaded", "fetched"], "{here}: {events:?}");
            let clean = format!("https://id.example.org/links/{page}");
            assert!(events.iter().all(|event| event["url"] == clean.as_str()), "{here}: {events:?}");
            let fetched = &events[2];
            assert_eq!((&fetched["to"], &fetched["method"]), (&format!("/links/{page}").into(), &"POST".into()));
            assert_eq!(fetched["referrerPolicy"], "no-referrer", "{here}");
            let sent: Value = serde_json::from_str(fetched["body"].as_str().unwrap()).unwrap();
            assert_eq!(sent["token"], token, "{here}");
        }
    }
}

#[tokio::test]
async fn disabled_native_dialect_serves_no_pages() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_API__NATIVE__ENABLED", "false"));
    for page in PAGES {
        assert_eq!(server.get(page).send_checked().await.status, 404, "{page}");
    }
}
