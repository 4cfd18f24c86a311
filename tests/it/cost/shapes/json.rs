//! JSON bodies: deep, wide, long, repeated, and wrong at the end.

use super::{Shape, shape};
use crate::cost::target::{JSON, Target, filled, numbered};

/// A body with this text as the value of an unknown member, or of a known one.
pub(in crate::cost) fn json_bodies(target: &Target<'_>) -> Vec<Shape> {
    let members = target.valid_members();
    let size = target.size.saturating_sub(members.len() + 64);
    let list = |item: &str| format!("[{}]", filled(&format!("{item},"), size).trim_end_matches(','));
    let nested = |open: &str, close: &str| {
        let depth = size / (open.len() + close.len() + 1);
        format!("{}0{}", open.repeat(depth), close.repeat(depth))
    };
    let different = numbered(size - 2, |number| format!("\"{number}\":0,"));
    let values: Vec<(&str, String)> = vec![
        ("nested lists", nested("[", "]")),
        ("nested objects", nested("{\"a\":", "}")),
        ("unclosed lists", filled("[", size)),
        ("lists of 100 lists", list(&format!("{}{}", "[".repeat(100), "]".repeat(100)))),
        ("empty objects", list("{}")),
        ("small objects", list("{\"a\":0}")),
        ("empty lists", list("[]")),
        ("digits", list("0")),
        ("floats", list("1e300")),
        ("empty texts", list("\"\"")),
        ("nulls", list("null")),
        ("an object of different names", format!("{{{}}}", different.trim_end_matches(','))),
        ("an object of one name", { format!("{{{}}}", filled("\"a\":0,", size - 2).trim_end_matches(',')) }),
        ("a long text", format!("\"{}\"", filled("a", size - 2))),
        ("escapes", format!("\"{}\"", filled("\\u0061", size - 2))),
        ("short escapes", format!("\"{}\"", filled("\\n", size - 2))),
        ("surrogate pairs", format!("\"{}\"", filled("\\ud83d\\ude00", size - 2))),
        ("half of a surrogate pair at the end", format!("\"{}\\ud83d\"", filled("\\n", size - 8))),
        ("a long number", filled("9", size)),
        ("a long fraction", format!("0.{}", filled("3", size - 2))),
        ("a long exponent", format!("1e-{}", filled("9", size - 3))),
        ("a list that is wrong at the end", {
            let valid = filled("\"a\",", size - 128);
            format!("[{valid}{}]", ["0"; 31].join(","))
        }),
        ("a list of objects that is wrong at the end", {
            let valid = filled("{\"a\":0},", size - 128);
            format!("[{valid}{}]", ["[]"; 31].join(","))
        }),
        ("a list without an end", format!("[{}", filled("0,", size - 1))),
        // As many as a bound on their number may allow, each as long as the size allows.
        ("1,000 long texts", {
            let item = format!("\"{}\",", "a".repeat(size / 1000 - 4));
            format!("[{}\"\"]", item.repeat(1000))
        }),
        ("1,000 texts of escapes", {
            let item = format!("\"{}\",", filled("\\n", size / 1000 - 4));
            format!("[{}\"\"]", item.repeat(1000))
        }),
        ("2,000 small objects", format!("[{}0]", "{\"a\":0},".repeat(size.min(16_000) / 8))),
        ("nested objects to 30 levels, again and again", {
            list(&format!("{}0{}", "{\"a\":".repeat(30), "}".repeat(30)))
        }),
        ("lines", format!("{}0 0", filled("\n", size - 3))),
    ];
    let mut shapes = Vec::new();
    for (number, (name, value)) in values.iter().enumerate() {
        shapes.push(body(target, &format!("{name} in an unknown member"), &format!("{{{members}\"zz\":{value}}}")));
        for field in target.attacked_fields(number) {
            let other = target.fields().iter().filter(|other| *other != field);
            let other: String =
                other.map(|name| format!(",\"{name}\":{}", crate::support::document::plausible_value(name))).collect();
            shapes.push(body(target, &format!("{name} as `{field}`"), &format!("{{\"{field}\":{value}{other}}}")));
        }
    }
    shapes.extend(whole_bodies(target, size, &members, &different));
    shapes
}

/// Bodies whose members themselves are too many. `different`: members of different names, each followed by a comma.
fn whole_bodies(target: &Target<'_>, size: usize, members: &str, different: &str) -> Vec<Shape> {
    let first = target.fields().first().map_or("a", String::as_str);
    let bodies = [
        ("members of different names", format!("{{{members}{different}\"zz\":0}}")),
        ("members of one known name", {
            format!("{{{members}{}\"zz\":0}}", filled(&format!("\"{first}\":\"a\","), size))
        }),
        ("members of one known name and of a wrong type", {
            format!("{{{members}{}\"zz\":0}}", filled(&format!("\"{first}\":{{}},"), size))
        }),
        ("members, then a comma", format!("{{{members}{different}}}")),
        ("white space", format!("{}{{}}", filled(" \n", size))),
        ("white space alone", filled("\n", size)),
        ("a list of everything", format!("[{}0]", filled("[],", size))),
        ("a long name", format!("{{{members}\"{}\":0}}", filled("a", size))),
    ];
    let mut shapes: Vec<Shape> = bodies.iter().map(|(name, text)| body(target, name, text)).collect();
    let not_utf8 = [format!("{{{members}\"zz\":\"{}", filled("é", size)).as_bytes(), b"\xff\"}"].concat();
    shapes.push(shape("JSON: no UTF-8 at the end", &target.message().body(JSON, not_utf8)));
    shapes
}

fn body(target: &Target<'_>, name: &str, text: &str) -> Shape {
    shape(format!("JSON: {name}"), &target.message().body(JSON, text))
}
