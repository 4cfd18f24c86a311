//! HTTP/2: header blocks that refer to earlier fields, and frames without content. One request each.

use super::Shape;
use crate::cost::target::{Target, filled};
use crate::cost::wire::Protocol;
use crate::support::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, LAST_PING, PING, PREFACE, PRIORITY, SETTINGS, WINDOW, frame,
};

/// The largest frame that the server accepts.
const FRAME: usize = 16 << 10;
/// An integer in HPACK follows these prefixes if it does not fit: RFC 7541, 5.1.
const LITERAL_INDEXED: u8 = 0x40;
const LITERAL: u8 = 0x00;

pub(in crate::cost) fn http2(target: &Target<'_>) -> Vec<Shape> {
    let size = target.size - 1024;
    let head = head(target);
    let has_body = target.operation.method != reqwest::Method::GET;
    let whole = |block: &[u8]| blocks(block, &[]);
    let big = field(LITERAL_INDEXED, "a", &"a".repeat(3900));
    let mut shapes = vec![
        // A field in the dynamic table, to which each further byte refers.
        ("references to a large field", whole(&[&head[..], &big, &vec![0xbe; size]].concat())),
        ("references to a small field", {
            whole(&[&head[..], &field(LITERAL_INDEXED, "a", ""), &vec![0xbe; size]].concat())
        }),
        ("references to a static field", whole(&[&head[..], &vec![0x90; size]].concat())),
        ("references to a missing field", whole(&[&head[..], &[0xff, 0x80, 0x01].repeat(size / 3)].concat())),
        ("fields that replace each other", {
            whole(&[&head[..], &field(LITERAL_INDEXED, "a", "").repeat(size / 4)].concat())
        }),
        ("large fields that replace each other", whole(&[&head[..], &big.repeat(size / big.len())].concat())),
        ("small fields", whole(&[&head[..], &field(LITERAL, "a", "").repeat(size / 4)].concat())),
        ("cookies", whole(&[&head[..], &field(LITERAL, "cookie", "a=b").repeat(size / 12)].concat())),
        ("a Huffman-coded field", {
            // Five bits for each `a`.
            let coded = [0b0001_1000, 0b1100_0110, 0b0011_0001, 0b1000_1100, 0b0110_0011].repeat(size / 5);
            whole(&[&head[..], &[LITERAL, 1, b'a'], &integer(0x80, 7, coded.len()), &coded].concat())
        }),
        ("changes of the table's size", whole(&[&vec![0x20; size][..], &head].concat())),
        ("a field of great length", whole(&[&head[..], &field(LITERAL, "a", &"a".repeat(size))].concat())),
        ("continuations of one byte", {
            let block = [&head[..], &field(LITERAL, "a", &"a".repeat(size / 10))].concat();
            blocks(&block, &vec![1; size / 10])
        }),
        ("empty continuations", {
            let first = frame(HEADERS, if has_body { 0 } else { END_STREAM }, 1, &head);
            [first, frame(CONTINUATION, 0, 1, &[]).repeat(size / 9), frame(CONTINUATION, END_HEADERS, 1, &[])].concat()
        }),
        ("pings", [frame(PING, 0, 0, &[0; 8]).repeat(size / 17), whole(&head)].concat()),
        ("settings", [frame(SETTINGS, 0, 0, &[]).repeat(size / 9), whole(&head)].concat()),
        (
            "long settings",
            [frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 16, 0].repeat(2700)).repeat(size / FRAME), whole(&head)].concat(),
        ),
        ("priorities", [frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]).repeat(size / 14), whole(&head)].concat()),
        ("windows", [frame(WINDOW, 0, 0, &[0, 0, 0, 1]).repeat(size / 13), whole(&head)].concat()),
        ("unknown frames", [frame(0xbe, 0, 1, &[]).repeat(size / 9), whole(&head)].concat()),
    ];
    let opened = || frame(HEADERS, END_HEADERS, 1, &head);
    let end = frame(DATA, END_STREAM, 1, &[]);
    let text = format!("{{{}\"zz\":\"{}\"}}", target.valid_members(), filled("a", size / 10));
    let bytes: Vec<u8> = text.bytes().flat_map(|byte| frame(DATA, 0, 1, &[byte])).collect();
    shapes.push(("data of one byte", [opened(), bytes, end.clone()].concat()));
    shapes.push(("empty data", [opened(), frame(DATA, 0, 1, &[]).repeat(size / 9), end.clone()].concat()));
    let padded = frame(DATA, 0x8, 1, &[vec![254], vec![0; 255]].concat());
    shapes.push(("data of padding", [opened(), padded.repeat(size / padded.len()), end].concat()));
    // Windows as large as possible: this client reads whatever it gets.
    let (window, most) = (0x7fff_ffff_u32, 0x7fff_0000_u32);
    let settings = frame(SETTINGS, 0, 0, &[&[0, 4][..], &window.to_be_bytes()].concat());
    let settings = [settings, frame(WINDOW, 0, 0, &most.to_be_bytes())].concat();
    let last = frame(PING, 0, 0, LAST_PING);
    shapes
        .into_iter()
        .map(|(name, frames)| Shape {
            name: format!("HTTP/2: {name}"),
            bytes: [PREFACE, &settings, &frames, &last].concat(),
            protocol: Protocol::Http2,
        })
        .collect()
}

/// The pseudo fields of the target, and its credential.
fn head(target: &Target<'_>) -> Vec<u8> {
    let message = target.message();
    let mut block = [field(LITERAL, ":method", &message.method), field(LITERAL, ":path", &message.target)].concat();
    block.extend([field(LITERAL, ":scheme", "http"), field(LITERAL, ":authority", "x")].concat());
    for (name, value) in &message.fields {
        block.extend(field(LITERAL, name, value));
    }
    block.extend(field(LITERAL, "content-type", "application/json"));
    block
}

/// A field that refers to none.
fn field(kind: u8, name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [integer(0, 7, text.len()), text.as_bytes().to_vec()].concat();
    [vec![kind], text(name), text(value)].concat()
}

/// An integer behind a prefix of so many bits.
fn integer(first: u8, bits: u32, value: usize) -> Vec<u8> {
    let largest = (1 << bits) - 1;
    if value < largest {
        return vec![first | value as u8];
    }
    let (mut bytes, mut rest) = (vec![first | largest as u8], value - largest);
    while rest >= 128 {
        bytes.push(rest as u8 | 128);
        rest /= 128;
    }
    bytes.push(rest as u8);
    bytes
}

/// A header block in frames: first of these sizes, then as large as possible.
fn blocks(block: &[u8], sizes: &[usize]) -> Vec<u8> {
    let (mut rest, mut frames, mut sizes, mut kind) = (block, Vec::new(), sizes.iter(), HEADERS);
    loop {
        let size = sizes.next().copied().unwrap_or(FRAME).min(rest.len());
        let (piece, after) = rest.split_at(size);
        let is_last = after.is_empty();
        let flags = if is_last { END_HEADERS } else { 0 } | if kind == HEADERS { END_STREAM } else { 0 };
        frames.extend(frame(kind, flags, 1, piece));
        (rest, kind) = (after, CONTINUATION);
        if is_last {
            return frames;
        }
    }
}
