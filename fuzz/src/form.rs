//! Forms: what is read and written again is read the same.

use std::cell::RefCell;

use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::Deserialize;
use signet::http::{FormFields, IntoResponse, Rejection, Request, Response, Router, Routes};

use super::wire;

/// The fields of a form, or why there are none.
pub(super) type Read = Result<Vec<(String, String)>, Rejection>;

/// Fields as the dialects have them.
#[derive(Deserialize)]
#[allow(dead_code, reason = "it is only read into")]
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
            READ.set(Some(form.map(|pairs| written(&pairs))));
            Done
        });
        routes.build().unwrap()
    };
    static READ: RefCell<Option<Read>> = const { RefCell::new(None) };
}

struct Done;

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        Response::empty(StatusCode::OK)
    }
}

fn written(pairs: &FormFields) -> Vec<(String, String)> {
    let _ = pairs.deserialize::<Fields>();
    if let Some(name) = pairs.repeated_name() {
        assert!(pairs.iter().filter(|(known, _)| *known == name).count() > 1);
    }
    pairs.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What a handler reads from a body of this type; `None` if the request did not get so far.
pub(super) fn read(content_type: &[u8], body: &[u8]) -> Option<Read> {
    let head = [b"POST / HTTP/1.1\r\nhost: x\r\ncontent-type: ", content_type].concat();
    let request = [&head, format!("\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat();
    READ.set(None);
    ROUTER.with(|router| wire::ask(router, &request));
    READ.take()
}

pub fn run(bytes: &[u8]) {
    const URLENCODED: &[u8] = b"application/x-www-form-urlencoded";
    let Ok(pairs) = read(URLENCODED, bytes).expect("a body in bounds gets to its handler") else { return };
    let encode = |text: &str| percent_encode(text.as_bytes(), NON_ALPHANUMERIC).to_string();
    let again: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    assert_eq!(read(URLENCODED, again.join("&").as_bytes()), Some(Ok(pairs)));
}
