//! Routing: each path leads to the same route and parameters as in a naive implementation of the routing table.
//!
//! The input is a request line without its version, so that hyper's parsing is tested too.

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use signet::config::Config;
use signet::http::{Request, Response, Router, Routes};

use super::wire;

type Table = Vec<(Method, String)>;

thread_local! {
    static TABLE: (Router<()>, Table) = {
        let listing = signet::api::router(&Config::default()).unwrap().listing().to_vec();
        let mut routes = Routes::new();
        let mut group = routes.group("", |(), rejection| Response::text(StatusCode::NOT_FOUND, rejection.to_string()));
        for (method, path) in &listing {
            let (route, names) = (format!("{method} {path}"), names(path));
            group = group.on(method.clone(), path, "a route", move |(), request: Request| {
                let params: Vec<&str> = names.iter().map(|name| request.param(name)).collect();
                std::future::ready(Response::text(StatusCode::OK, describe(&route, &params)))
            });
        }
        drop(group);
        (routes.build().unwrap(), listing)
    };
}

pub fn run(bytes: &[u8]) {
    let request = [bytes, b" HTTP/1.1\r\nhost: x\r\n\r\n"].concat();
    TABLE.with(|(router, table)| {
        let exchanges = wire::send(router, &request);
        let is_plain = bytes.strip_prefix(b"GET /").is_some_and(|path| path.iter().all(u8::is_ascii_alphanumeric));
        assert!(!is_plain || exchanges.len() == 1, "a plain request is parsed");
        for sent in exchanges {
            let expected = expected(table, &sent.method, &sent.path);
            let response = sent.exchange.response;
            if response.status() == StatusCode::BAD_REQUEST {
                // The input contained a complete request head without a host.
                assert!(!is_plain && sent.exchange.last, "{} {}", sent.method, sent.path);
                continue;
            }
            match expected {
                _ if sent.method == Method::HEAD => {
                    assert_eq!(response.status() == StatusCode::OK, expected.is_some())
                }
                Some(text) => assert_eq!(response.content(), text.as_bytes(), "{} {}", sent.method, sent.path),
                None => assert_ne!(response.status(), StatusCode::OK, "{} {}", sent.method, sent.path),
            }
        }
    });
}

fn describe(route: &str, params: &[&str]) -> String {
    format!("{route} {params:?}")
}

fn names(path: &str) -> Vec<String> {
    let inner = |segment: &str| Some(segment.strip_prefix('{')?.strip_suffix('}')?.to_owned());
    path.split('/').filter_map(inner).collect()
}

/// The response by a naive reading of the table: of the matching routes, the one with the most leading literal
/// segments.
fn expected(table: &Table, method: &Method, path: &str) -> Option<String> {
    let original = path;
    let path = if original.len() > 1 { original.strip_suffix('/').unwrap_or(original) } else { original };
    let segments: Vec<&str> = path.split('/').collect();
    let matches = |route: &&(Method, String)| {
        let pattern: Vec<&str> = route.1.split('/').collect();
        let segment_matches =
            |(known, segment): (&&str, &&str)| known == segment || (known.starts_with('{') && !segment.is_empty());
        pattern.len() == segments.len() && pattern.iter().zip(&segments).all(segment_matches)
    };
    let literal = |route: &&(Method, String)| route.1.split('/').map(|part| !part.starts_with('{')).collect::<Vec<_>>();
    let best = table.iter().filter(matches).max_by_key(literal)?.1.clone();
    let methods: Vec<&Method> = table.iter().filter(|(_, path)| *path == best).map(|(method, _)| method).collect();
    let as_get = *method == Method::HEAD && !methods.contains(&method);
    let method = if as_get { &Method::GET } else { method };
    if !methods.contains(&method) {
        return None;
    }
    // With a trailing slash, a route of the same method with a parameter at the end gets an empty one: 404.
    let has_parameter = |(other, path): &(Method, String)| {
        other == method && path.rsplit_once('/').is_some_and(|(parent, last)| parent == best && last.starts_with('{'))
    };
    if path.len() < original.len() && table.iter().any(has_parameter) {
        return None;
    }
    let parts = best.split('/').zip(segments).filter(|(known, _)| known.starts_with('{'));
    let decoded = parts.map(|(_, segment)| percent_decode_str(segment).decode_utf8().ok());
    let params = decoded.collect::<Option<Vec<_>>>()?;
    Some(describe(&format!("{method} {best}"), &params.iter().map(AsRef::as_ref).collect::<Vec<_>>()))
}
