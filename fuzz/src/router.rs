//! Paths: each leads to the route that a plain reading of the table leads to, with the same parameters, or nowhere.
//!
//! The bytes are a request line up to its version, so that what hyper makes of them is tried too.

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
        let mut under = routes.group("", |(), rejection| Response::text(StatusCode::NOT_FOUND, rejection.to_string()));
        for (method, path) in &listing {
            let (route, names) = (format!("{method} {path}"), names(path));
            under = under.on(method.clone(), path, "a route", move |(), request: Request| {
                let params: Vec<&str> = names.iter().map(|name| request.param(name)).collect();
                std::future::ready(Response::text(StatusCode::OK, said(&route, &params)))
            });
        }
        drop(under);
        (routes.build().unwrap(), listing)
    };
}

pub fn run(bytes: &[u8]) {
    let request = [bytes, b" HTTP/1.1\r\nhost: x\r\n\r\n"].concat();
    TABLE.with(|(router, table)| {
        let all = wire::ask(router, &request);
        let plain = bytes.strip_prefix(b"GET /").is_some_and(|path| path.iter().all(u8::is_ascii_alphanumeric));
        assert!(!plain || all.len() == 1, "a plain request is asked");
        for asked in all {
            let expected = expected(table, &asked.method, &asked.path);
            let response = asked.exchange.response;
            if response.status() == StatusCode::BAD_REQUEST {
                // Of the bytes, a head of their own was made that names no host.
                assert!(!plain && asked.exchange.last, "{} {}", asked.method, asked.path);
                continue;
            }
            match expected {
                _ if asked.method == Method::HEAD => {
                    assert_eq!(response.status() == StatusCode::OK, expected.is_some())
                }
                Some(said) => assert_eq!(response.content(), said.as_bytes(), "{} {}", asked.method, asked.path),
                None => assert_ne!(response.status(), StatusCode::OK, "{} {}", asked.method, asked.path),
            }
        }
    });
}

fn said(route: &str, params: &[&str]) -> String {
    format!("{route} {params:?}")
}

fn names(path: &str) -> Vec<String> {
    let inner = |segment: &str| Some(segment.strip_prefix('{')?.strip_suffix('}')?.to_owned());
    path.split('/').filter_map(inner).collect()
}

/// What a plain reading of the table says: of those that fit, the route that is literal for longest.
fn expected(table: &Table, method: &Method, path: &str) -> Option<String> {
    let sent = path;
    let path = if sent.len() > 1 { sent.strip_suffix('/').unwrap_or(sent) } else { sent };
    let given: Vec<&str> = path.split('/').collect();
    let fits = |route: &&(Method, String)| {
        let known: Vec<&str> = route.1.split('/').collect();
        let fit = |(known, given): (&&str, &&str)| known == given || (known.starts_with('{') && !given.is_empty());
        known.len() == given.len() && known.iter().zip(&given).all(fit)
    };
    let literal = |route: &&(Method, String)| route.1.split('/').map(|part| !part.starts_with('{')).collect::<Vec<_>>();
    let best = table.iter().filter(fits).max_by_key(literal)?.1.clone();
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
    if path.len() < sent.len() && table.iter().any(has_parameter) {
        return None;
    }
    let parts = best.split('/').zip(given).filter(|(known, _)| known.starts_with('{'));
    let decoded = parts.map(|(_, given)| percent_decode_str(given).decode_utf8().ok());
    let params = decoded.collect::<Option<Vec<_>>>()?;
    Some(said(&format!("{method} {best}"), &params.iter().map(AsRef::as_ref).collect::<Vec<_>>()))
}
