//! Long texts in every field of a body, and in every parameter of a path.

use serde_json::json;

use super::{Shape, shape};
use crate::cost::target::{Target, filled, numbered, percent_encoded};

/// The space of a path in the largest head that the server reads.
const PATH: usize = 12 << 10;

/// Each text in each field.
pub(in crate::cost) fn texts_of_bodies(target: &Target<'_>) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (number, (name, text)) in texts(target.size - 512).into_iter().enumerate() {
        for field in target.attacked_fields(number) {
            let message = target.with_field(field, &json!(text));
            // Escaping can make the text longer than a body may be.
            if message.body.len() <= target.size {
                shapes.push(shape(format!("text: {name} as `{field}`"), &message));
            }
        }
    }
    shapes
}

/// Each text in each parameter, and paths of no operation.
pub(in crate::cost) fn paths(target: &Target<'_>) -> Vec<Shape> {
    let path = &target.operation.path;
    let mut shapes = Vec::new();
    if path.contains('{') {
        for (name, text) in texts(PATH / 3) {
            let whole = target.operation.path_with(&|_| json!(percent_encoded(&text)));
            if whole.len() <= PATH {
                shapes.push(shape(format!("path: {name}"), &target.message_to(&whole)));
            }
        }
    }
    let plain = target.message().target;
    for (name, tail) in [
        ("slashes", filled("/", PATH)),
        ("segments", filled("/a", PATH)),
        ("different segments", numbered(PATH, |number| format!("/{number}"))),
        ("dots", filled("/..", PATH)),
        ("encoded slashes", filled("%2f", PATH)),
        ("encoded dots", filled("/%2e%2e", PATH)),
        ("semicolons", filled(";a", PATH)),
        ("no UTF-8", filled("%ff", PATH)),
        ("percent signs", filled("%", PATH)),
        ("its own segments again", filled(&plain, PATH)),
        ("braces", filled("/{id}", PATH)),
    ] {
        shapes.push(shape(format!("path: {name}"), &target.message_to(&format!("{plain}{tail}"))));
    }
    shapes
}

/// Texts of about this size that are long by themselves, or in a form that is derived from them.
fn texts(size: usize) -> Vec<(&'static str, String)> {
    let labels = |label: &str| format!("a@{}com", filled(label, size - 8));
    // Of these marks each comes, in canonical order, before the one before it.
    let falling = "\u{345}\u{35c}\u{315}\u{301}\u{316}\u{327}\u{5b0}\u{334}";
    // A header whose value is nested, and base64 that is long by itself.
    let nested = "W1tbW1tbW1tb";
    vec![
        ("letters", filled("a", size)),
        ("capitals", filled("İ", size)),
        ("combining marks", format!("a{}", filled("\u{301}", size - 1))),
        ("combining marks in the wrong order", format!("a{}", filled(falling, size - 1))),
        ("letters with marks", filled("a\u{301}\u{327}", size)),
        ("ligatures of 18 letters", filled("\u{fdfa}", size)),
        ("syllables", filled("\u{1100}\u{1161}\u{11a8}", size)),
        ("composed syllables", filled("\u{ac01}", size)),
        ("invisible characters", filled("\u{200b}", size)),
        ("characters beyond the first plane", filled("\u{1d160}", size)),
        ("NUL", filled("\0", size / 6)),
        ("backslashes", filled("\\\"", size / 2)),
        ("spaces", filled(" ", size)),
        ("words", filled("a ", size)),
        ("different words", numbered(size, |number| format!("{number} "))),
        ("labels", labels("a.")),
        ("labels of punycode", labels("xn--a.")),
        ("one label of punycode", format!("a@xn--{}", filled("a", size - 16))),
        ("international labels", labels("ü.")),
        ("a long domain", format!("a@{}.com", filled("ü", size - 8))),
        ("a long local part", format!("{}@example.org", filled("é", size - 16))),
        ("at signs", filled("@", size)),
        ("dots", filled(".", size)),
        ("segments of a token", filled("e30.", size)),
        ("a token with a nested header", format!("{}.e30.{}", filled(nested, size - 128), "A".repeat(86))),
        (
            "a token with a long payload",
            format!("eyJhbGciOiJFZERTQSJ9.{}.{}", filled(nested, size - 128), "A".repeat(86)),
        ),
        ("a token with a long signature", format!("eyJhbGciOiJFZERTQSJ9.e30.{}", filled("A", size - 64))),
        ("an API key", format!("sk_{}", filled("a", size - 3))),
        ("underscores", format!("sk{}", filled("_", size - 2))),
        ("digits", filled("7", size)),
        ("signs", filled("-", size)),
    ]
}
