//! The pages: served by the binary alone, with a strict Content-Security-Policy, and safe to open.

use std::collections::BTreeSet;
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::outbox::wait_for_mail;
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
define('localStorage', { getItem: () => 'a claim', removeItem: () => {}, setItem: () => record({ event: 'stored' }) });
define('fetch', async (to, options) => {
  record({ event: 'fetched', to, ...options });
  return { ok: true, status: 200, json: async () => ({}) };
});
await import('./link.js');
record({ event: 'loaded' });
for (const form of forms) await form.onsubmit({ preventDefault() {} });
console.log(JSON.stringify(events));
";

/// The scripts of the page of a link, in a folder of their own, and a browser that opens it.
struct LinkPage {
    folder: tempfile::TempDir,
}

impl LinkPage {
    async fn load(server: &TestServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for file in ["link.js", "element.js"] {
            let text = server.get(&format!("/pages/{file}")).send_checked().await.is(200).text.clone();
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        std::fs::write(folder.path().join("package.json"), r#"{"type":"module"}"#).unwrap();
        std::fs::write(folder.path().join("browser.js"), BROWSER).unwrap();
        Self { folder }
    }

    /// Opens the page at the URL `here`, presses its button, and returns the recorded events.
    async fn open(&self, page: &str, here: &str) -> Vec<Value> {
        let mut node = Command::new(tool("bin/node"));
        node.current_dir(self.folder.path()).arg("browser.js");
        let input = json!({"here": here, "page": page}).to_string();
        let output = tokio::task::spawn_blocking(move || run_with_stdin(node, &input)).await.unwrap();
        assert!(output.status.success(), "{here}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// The body that the page sent.
fn sent_body(events: &[Value]) -> Value {
    let fetched = events.iter().find(|event| event["event"] == "fetched");
    let fetched = fetched.unwrap_or_else(|| panic!("nothing was sent: {events:?}"));
    serde_json::from_str(fetched["body"].as_str().unwrap()).unwrap()
}

/// Opens every form of link. Before anything else the token is removed from the address bar and the history; it is sent
/// in a body, once, when the button is pressed.
#[tokio::test]
async fn link_page_removes_the_token_from_the_address_bar() {
    let server = TestServer::embedded(|plan| plan);
    let link_page = LinkPage::load(&server).await;
    let token = "eyJhbGciOiJFZERTQSJ9.c2F5cw.c2lnbmF0dXJl";
    for page in ["magic", "reset", "confirm"] {
        for rest in [format!("?token={token}"), format!("/{token}"), format!("?token={token}#claim=secret")] {
            let here = format!("https://id.example.org/links/{page}{rest}");
            let events = link_page.open(page, &here).await;
            let names = events.iter().map(|event| event["event"].as_str().unwrap()).collect::<Vec<_>>();
            assert_eq!(names, ["replaced", "loaded", "fetched"], "{here}: {events:?}");
            let clean = format!("https://id.example.org/links/{page}");
            assert!(events.iter().all(|event| event["url"] == clean.as_str()), "{here}: {events:?}");
            let fetched = &events[2];
            assert_eq!((&fetched["to"], &fetched["method"]), (&format!("/links/{page}").into(), &"POST".into()));
            assert_eq!(fetched["referrerPolicy"], "no-referrer", "{here}");
            assert_eq!(sent_body(&events)["token"], token, "{here}");
        }
    }
}

/// The page reads in the mailed token whether the device secret, its `claim`, is needed, and asks for it only then.
#[tokio::test]
async fn reset_page_asks_for_the_device_secret_that_the_token_needs() {
    let server = TestServer::embedded(|plan| plan);
    let link_page = LinkPage::load(&server).await;
    let open = async |token: &str| {
        sent_body(&link_page.open("reset", &format!("https://id.example.org/links/reset?token={token}")).await)
    };

    let user = server.create_user(&["--verified"]);
    let requested = server.post(&format!("/auth/login/recover/{}", user.email)).send_checked().await.is(200).json();
    let token = wait_for_mail(&server, &user.email, 0).await.token();
    let mut sent = open(&token).await;
    assert_eq!((&sent["token"], &sent["claim"]), (&token.as_str().into(), &"a quiet harbour".into()));
    server.post("/links/reset").json(&sent).send_checked().await.is(400);
    sent["claim"] = requested["claim"].clone();
    server.post("/links/reset").json(&sent).send_checked().await.is(204);

    let user = server.create_user(&["--verified"]);
    let request = json!({"email": user.email, "username": user.username});
    server.post("/api/v1/password-reset").json(&request).send_checked().await.is(200);
    let token = wait_for_mail(&server, &user.email, 0).await.token();
    let sent = open(&token).await;
    assert_eq!((&sent["token"], sent.get("claim")), (&token.as_str().into(), None));
    server.post("/links/reset").json(&sent).send_checked().await.is(204);
}

#[tokio::test]
async fn disabled_native_dialect_serves_no_pages() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_API__NATIVE__ENABLED", "false"));
    for page in PAGES {
        assert_eq!(server.get(page).send_checked().await.status, 404, "{page}");
    }
}
