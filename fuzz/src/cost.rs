//! The cost of parsing before anyone is authenticated: no text takes a parser more CPU time than its size justifies.
//!
//! An input is a recipe, because a quadratic parser is slow only on long texts, which mutations rarely produce: a letter
//! that names the parser, then a beginning, a unit and an end, separated by [`SEPARATOR`]. The unit is repeated up to
//! the size limit of the parser; in each repetition, [`NUMBER`] stands for its number.

use std::sync::LazyLock;
use std::time::Duration;

use http::{Method, StatusCode};
use signet::http::{Request, Response, Router, Routes};

use super::{cpu_time, email, form, json, refresh, router, token, wire};

/// Neither byte occurs in UTF-8.
pub const SEPARATOR: u8 = 0xf8;
/// See [`SEPARATOR`].
pub const NUMBER: u8 = 0xf9;

/// The size limit of a body, and the space for a path or header fields in the largest head.
const BODY: usize = 64 << 10;
const HEAD: usize = 14 << 10;

/// CPU time in a release build. A linear parser takes about a millisecond.
const MAX_TIME: Duration = Duration::from_millis(25);

/// A parser that reads what anyone can send.
struct Parser {
    letter: u8,
    size: usize,
    parse: fn(&[u8]),
}

const PARSERS: [Parser; COUNT] = [
    Parser { letter: b'f', size: BODY, parse: parse_form },
    Parser { letter: b'm', size: BODY, parse: parse_multipart },
    Parser { letter: b'j', size: BODY, parse: parse_json },
    Parser { letter: b'e', size: BODY, parse: email::run },
    Parser { letter: b't', size: BODY, parse: token::run },
    Parser { letter: b'r', size: BODY, parse: refresh::run },
    Parser { letter: b'p', size: HEAD, parse: router::run },
    Parser { letter: b'h', size: HEAD, parse: parse_head },
];
/// The number of parsers.
pub const COUNT: usize = 8;

static SLOWDOWN: LazyLock<f64> = LazyLock::new(cpu_time::slowdown);

/// The cost of a text.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The parser, from 0 to [`COUNT`] exclusive.
    pub parser: usize,
    /// CPU time, as it would be in a release build.
    pub time: Duration,
}

/// Parses the text that an input describes. Returns nothing if it names no parser.
pub fn measure(bytes: &[u8]) -> Option<Cost> {
    let (letter, recipe) = bytes.split_first()?;
    let number = PARSERS.iter().position(|parser| parser.letter == *letter)?;
    let parser = &PARSERS[number];
    let text = expand(recipe, parser.size);
    let mut time = cpu_time::of(|| (parser.parse)(&text));
    let max = MAX_TIME.mul_f64(*SLOWDOWN);
    // The minimum, because a page fault or an interrupt is counted too.
    for _ in 0..4 {
        if time <= max {
            break;
        }
        time = time.min(cpu_time::of(|| (parser.parse)(&text)));
    }
    Some(Cost { parser: number, time: time.div_f64(*SLOWDOWN) })
}

pub fn run(bytes: &[u8]) {
    if let Some(cost) = measure(bytes) {
        assert!(cost.time <= MAX_TIME, "{}: {:?}", char::from(PARSERS[cost.parser].letter), cost.time);
    }
}

/// The text of a recipe.
fn expand(recipe: &[u8], size: usize) -> Vec<u8> {
    let mut parts = recipe.splitn(3, |byte| *byte == SEPARATOR);
    let mut part = || parts.next().unwrap_or_default();
    let (begin, unit, end) = (part(), part(), part());
    let mut text = begin.to_vec();
    for number in 0_usize.. {
        let before = text.len();
        for byte in unit {
            match *byte {
                NUMBER => text.extend_from_slice(number.to_string().as_bytes()),
                byte => text.push(byte),
            }
        }
        if unit.is_empty() || text.len() + end.len() > size {
            text.truncate(before);
            break;
        }
    }
    text.extend_from_slice(end);
    text.truncate(size);
    text
}

fn parse_form(text: &[u8]) {
    form::parse(b"application/x-www-form-urlencoded", text);
}

fn parse_multipart(text: &[u8]) {
    form::parse(b"multipart/form-data; boundary=b", text);
}

fn parse_json(text: &[u8]) {
    let _ = signet::http::json::parse::<json::Body<'_>>(text);
}

thread_local! {
    /// Reads everything that any handler reads of a head.
    static HEADS: Router<()> = {
        let mut routes = Routes::new();
        let group = routes.group("", |(), _| Response::empty(StatusCode::NOT_FOUND));
        drop(group.on(Method::GET, "/", "a head", |(), request: Request| {
            let _ = (request.client_ip(), request.bearer(), request.user_agent(), request.matches_etag("\"a\""));
            let _ = request.query();
            std::future::ready(Response::empty(StatusCode::OK))
        }));
        routes.build().unwrap()
    };
}

/// The text is header fields.
fn parse_head(text: &[u8]) {
    let request = [b"GET /?a=b HTTP/1.1\r\nhost: x\r\n", text, b"\r\n\r\n"].concat();
    HEADS.with(|router| wire::send(router, &request));
}
