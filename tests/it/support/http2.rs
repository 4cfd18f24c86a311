//! Frames of HTTP/2 (RFC 9113) as bytes, for floods that no client library sends.

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// The payload of the last ping of a connection, which no flood contains: its response shows that the server has
/// processed everything.
pub(crate) const LAST_PING: &[u8; 8] = b"the last";

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The header block of a GET of `path`, by HPACK's static table; the literals are not indexed.
pub(crate) fn get(path: &str) -> Vec<u8> {
    block(0x82, path)
}

/// The header block of a POST to `path`.
pub(crate) fn post(path: &str) -> Vec<u8> {
    block(0x83, path)
}

fn block(method: u8, path: &str) -> Vec<u8> {
    [&[method, 0x86, 0x04, path.len() as u8], path.as_bytes(), &[0x01, 0x01, b'x']].concat()
}
