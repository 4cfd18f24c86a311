//! The pages: from the binary alone, under a strict policy, and harmless to be opened.

use std::collections::BTreeSet;
use std::process::Command;

use reqwest::Method;
use serde_json::Value;

use crate::support::server::{HttpResponse, SendRequest, TestServer};
use crate::support::{run_with_stdin, tool};

const PAGES: [&str; 4] = ["/docs", "/links/magic", "/links/reset", "/links/confirm"];

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

fn is_guarded(answer: &HttpResponse) {
    assert_eq!(answer.is(200).header("content-security-policy"), POLICY);
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
}

/// What a page or a script names in quotes after one of these words.
fn named<'a>(text: &'a str, words: &[&str]) -> Vec<&'a str> {
    let after = |word: &&str| text.match_indices(*word).map(|(at, word)| &text[at + word.len()..]).collect::<Vec<_>>();
    let quoted = |rest: &'a str| rest.split(['"', '\'']).next().unwrap_or_default();
    words.iter().flat_map(after).map(quoted).collect()
}

#[tokio::test]
async fn a_page_and_all_it_is_made_of_come_from_here() {
    for prefix in ["", "/id/v2"] {
        let server = TestServer::embedded(|plan| plan.set("SIGNET_API__NATIVE__PREFIX", &format!("{prefix}/")));
        let mut files = BTreeSet::new();
        for page in PAGES {
            let answer = server.get(&format!("{prefix}{page}")).send_checked().await;
            is_guarded(&answer);
            assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
            assert_eq!(answer.header("cache-control"), "no-store");
            for place in named(&answer.text, &["src=\"", "href=\""]).into_iter().filter(|place| !place.starts_with('#'))
            {
                assert!(place.starts_with(&format!("{prefix}/")), "{page} names {place}");
                files.insert(place.to_owned());
            }
            assert!(
                !answer.text.contains("<style") && !answer.text.contains("style="),
                "{page}: nothing stands inline"
            );
        }
        let mut seen = BTreeSet::new();
        while let Some(file) = files.pop_first() {
            let answer = server.get(&file).send_checked().await;
            if file.ends_with("/openapi.json") {
                continue;
            }
            is_guarded(&answer);
            let kind = if file.ends_with(".css") { "text/css" } else { "text/javascript" };
            assert_eq!(answer.header("content-type"), format!("{kind}; charset=utf-8"), "{file}");
            assert!(!answer.text.contains("://") && !answer.text.contains("url("), "{file} names another place");
            let again = server.get(&file).header("if-none-match", answer.header("etag")).send_checked().await;
            assert_eq!((again.is(304).text.as_str(), again.header("content-security-policy")), ("", POLICY));
            for import in named(&answer.text, &["from './"]) {
                let place = format!("{prefix}/pages/{import}");
                if !seen.contains(&place) {
                    files.insert(place);
                }
            }
            seen.insert(file);
        }
        assert_eq!(seen.len(), 7, "{seen:?}");
    }
}

#[tokio::test]
async fn a_link_that_is_opened_leaves_no_trace_of_its_token() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_LOG__FILTER", "trace"));
    let token = "eyJhbGciOiJFZERTQSJ9.c2F5cw.c2lnbmF0dXJl";
    for page in ["/links/magic", "/links/reset", "/links/confirm"] {
        for method in [Method::GET, Method::HEAD] {
            let answer = server.request(method, &format!("{page}?token={token}")).send_checked().await;
            is_guarded(&answer);
            assert!(!answer.text.contains(token), "the page takes it from the address: {answer:?}");
        }
    }
    server.signet.terminate();
    server.signet.wait_for_exit();
    let log = server.signet.log();
    assert!(log.contains("stopped") && !log.contains(token), "{log}");
}

/// As much of a browser as the page of a link has use for. It writes down what is done to the address, to the history and to the
/// network; then the one button is pressed.
const BROWSER: &str = r"
import { readFileSync } from 'node:fs';
const { here, page } = JSON.parse(readFileSync(0, 'utf8'));
const did = [], forms = [];
class Element {
  constructor(name) { this.name = name; this.value = 'a quiet harbour'; if (name === 'form') forms.push(this); }
  setAttribute() {}
  append() {}
  replaceChildren() {}
  focus() {}
  addEventListener(what, then) { this['on' + what] = then; }
}
const at = new URL(here);
const told = (what) => did.push({ ...what, at: at.href });
const place = new Proxy(at, { get: (at, name) => (typeof at[name] === 'function' ? at[name].bind(at) : at[name]) });
const define = (name, value) => Object.defineProperty(globalThis, name, { value, configurable: true });
define('location', place);
define('document', {
  body: { dataset: { page, base: '' } }, documentElement: {}, referrer: '',
  createElement: (name) => new Element(name), getElementById: () => new Element('main'),
});
define('history', {
  replaceState: (_, __, to) => { at.href = new URL(to, at).href; told({ what: 'replaced' }); },
  pushState: () => told({ what: 'pushed' }),
});
define('navigator', { languages: ['en'] });
define('localStorage', { getItem: () => 'half', removeItem: () => {}, setItem: () => told({ what: 'kept' }) });
define('fetch', async (to, how) => {
  told({ what: 'fetched', to, ...how });
  return { ok: true, status: 200, json: async () => ({}) };
});
await import('./link.js');
told({ what: 'loaded' });
for (const form of forms) await form.onsubmit({ preventDefault() {} });
console.log(JSON.stringify(did));
";

/// Opened by whichever form of link there is: before anything else the token is out of the address bar and of the history; it goes out
/// in a body, once, when the button is pressed.
#[tokio::test]
async fn a_token_leaves_the_address_bar_at_once() {
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
            let asked = serde_json::json!({"here": here, "page": page}).to_string();
            let output = tokio::task::spawn_blocking(move || run_with_stdin(node, &asked)).await.unwrap();
            assert!(output.status.success(), "{here}: {}", String::from_utf8_lossy(&output.stderr));
            let did: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
            let whats = did.iter().map(|it| it["what"].as_str().unwrap()).collect::<Vec<_>>();
            assert_eq!(whats, ["replaced", "loaded", "fetched"], "{here}: {did:?}");
            let clean = format!("https://id.example.org/links/{page}");
            assert!(did.iter().all(|it| it["at"] == clean.as_str()), "{here}: {did:?}");
            let fetched = &did[2];
            assert_eq!((&fetched["to"], &fetched["method"]), (&format!("/links/{page}").into(), &"POST".into()));
            assert_eq!(fetched["referrerPolicy"], "no-referrer", "{here}");
            let sent: Value = serde_json::from_str(fetched["body"].as_str().unwrap()).unwrap();
            assert_eq!(sent["token"], token, "{here}");
        }
    }
}

#[tokio::test]
async fn pages_go_with_the_dialect_whose_calls_they_make() {
    let server = TestServer::embedded(|plan| plan.set("SIGNET_API__NATIVE__ENABLED", "false"));
    for page in PAGES {
        assert_eq!(server.get(page).send_checked().await.status, 404, "{page}");
    }
}
