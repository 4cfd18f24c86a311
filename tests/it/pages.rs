//! The pages: from the binary alone, under a strict policy, and harmless to be opened.

use std::collections::BTreeSet;

use reqwest::Method;

use crate::support::desk::{Answer, Ask, Desk};

const PAGES: [&str; 4] = ["/docs", "/links/magic", "/links/reset", "/links/confirm"];

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

fn is_guarded(answer: &Answer) {
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
        let desk = Desk::embedded(|plan| plan.set("SIGNET_API__NATIVE__PREFIX", &format!("{prefix}/")));
        let mut files = BTreeSet::new();
        for page in PAGES {
            let answer = desk.get(&format!("{prefix}{page}")).ask().await;
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
            let answer = desk.get(&file).ask().await;
            if file.ends_with("/openapi.json") {
                continue;
            }
            is_guarded(&answer);
            let kind = if file.ends_with(".css") { "text/css" } else { "text/javascript" };
            assert_eq!(answer.header("content-type"), format!("{kind}; charset=utf-8"), "{file}");
            assert!(!answer.text.contains("://") && !answer.text.contains("url("), "{file} names another place");
            let again = desk.get(&file).header("if-none-match", answer.header("etag")).ask().await;
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
    let desk = Desk::embedded(|plan| plan.set("SIGNET_LOG__FILTER", "trace"));
    let token = "eyJhbGciOiJFZERTQSJ9.c2F5cw.c2lnbmF0dXJl";
    for page in ["/links/magic", "/links/reset", "/links/confirm"] {
        for method in [Method::GET, Method::HEAD] {
            let answer = desk.request(method, &format!("{page}?token={token}")).ask().await;
            is_guarded(&answer);
            assert!(!answer.text.contains(token), "the page takes it from the address: {answer:?}");
        }
    }
    desk.signet.terminate();
    desk.signet.ended();
    let log = desk.signet.log();
    assert!(log.contains("stopped") && !log.contains(token), "{log}");
}

#[tokio::test]
async fn pages_go_with_the_dialect_whose_calls_they_make() {
    let desk = Desk::embedded(|plan| plan.set("SIGNET_API__NATIVE__ENABLED", "false"));
    for page in PAGES {
        assert_eq!(desk.get(page).ask().await.status, 404, "{page}");
    }
}
