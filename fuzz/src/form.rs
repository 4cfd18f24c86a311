//! Forms: parsing, encoding and parsing again gives the same fields.

use std::cell::RefCell;

use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::Deserialize;
use signet::http::{FormFields, IntoResponse, Rejection, Request, Response, Router, Routes};

use super::wire;

/// The fields of a form, or the rejection.
pub(super) type ParsedForm = Result<Vec<(String, String)>, Rejection>;

/// Fields of the kinds that the dialects have.
#[derive(Deserialize)]
#[allow(dead_code, reason = "it is only a target of deserialization")]
struct Fields {
    username: String,
    password: Option<String>,
    page: Option<u32>,
    keep: Option<bool>,
}

thread_local! {
    static ROUTER: Router<()> = {
        let mut routes = Routes::new();
        routes.group("", |(), _| Response::empty(StatusCode::NOT_FOUND)).post("/", "form", async |(), mut request: Request| {
            let form = request.form().await;
            PARSED.set(Some(form.map(|fields| to_pairs(&fields))));
            Ok200
        });
        routes.build().unwrap()
    };
    static PARSED: RefCell<Option<ParsedForm>> = const { RefCell::new(None) };
}

/// An empty 200 response.
struct Ok200;

impl IntoResponse for Ok200 {
    fn into_response(self) -> Response {
        Response::empty(StatusCode::OK)
    }
}

fn to_pairs(pairs: &FormFields) -> Vec<(String, String)> {
    let _ = pairs.deserialize::<Fields>();
    if let Some(name) = pairs.repeated_name() {
        assert!(pairs.iter().filter(|(known, _)| *known == name).count() > 1);
    }
    pairs.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Sends a body of this media type through the router; returns what the handler parsed, or `None` if it did not run.
pub(super) fn parse(content_type: &[u8], body: &[u8]) -> Option<ParsedForm> {
    let head = [b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: ", content_type].concat();
    let request = [&head, format!("\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat();
    PARSED.set(None);
    ROUTER.with(|router| wire::send(router, &request));
    PARSED.take()
}

pub fn run(bytes: &[u8]) {
    const URLENCODED: &[u8] = b"application/x-www-form-urlencoded";
    let Ok(pairs) = parse(URLENCODED, bytes).expect("a body within the limits reaches the handler") else { return };
    let encode = |text: &str| percent_encode(text.as_bytes(), NON_ALPHANUMERIC).to_string();
    let encoded: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    assert_eq!(parse(URLENCODED, encoded.join("&").as_bytes()), Some(Ok(pairs)));
}
