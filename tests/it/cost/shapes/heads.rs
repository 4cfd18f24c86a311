//! Heads at their limit of 16 KiB and 100 fields, and bodies in many chunks.

use super::{Shape, shape};
use crate::cost::target::{JSON, Target, filled, numbered, short};
use crate::cost::wire::Framing;

/// The space that the longest field has beside the others, and the number of further fields.
const FIELD: usize = 13 << 10;
const FIELDS: usize = 90;

pub(in crate::cost) fn header_lists(target: &Target<'_>) -> Vec<Shape> {
    let list = |item: &str| filled(item, FIELD);
    let numbers = |item: fn(&str) -> String| numbered(FIELD, item);
    let long = [
        ("accept", "many types", list("*/*,")),
        ("accept", "many parameters", format!("text/html{}", numbers(|number| format!(";{number}=a")))),
        ("accept-language", "many ranges", list("a,")),
        ("accept-language", "many weights", numbers(|number| format!("{number};q=0.5,"))),
        ("accept-language", "many subtags", list("a-")),
        ("accept-encoding", "many codings", list("gzip,")),
        ("content-type", "many parameters", format!("{JSON}{}", numbers(|number| format!(";{number}=a")))),
        ("content-type", "semicolons", format!("{JSON}{}", list(";"))),
        ("content-type", "escapes", format!("multipart/form-data;boundary=\"{}\"", list("\\\""))),
        ("content-type", "quotes", format!("multipart/form-data;a={}", list("\""))),
        ("cookie", "many pairs", numbers(|number| format!("{number}=a; "))),
        ("cookie", "semicolons", list(";")),
        ("if-none-match", "many tags", list("\"a\",")),
        ("if-none-match", "many weak tags", list("W/\"a\",")),
        ("origin", "a long name", format!("https://{}example.org", list("a."))),
        ("access-control-request-headers", "many names", numbers(|number| format!("{number},"))),
        ("x-forwarded-for", "many addresses", list("10.0.0.1,")),
        ("x-forwarded-for", "many IPv6 addresses", list("::ffff:10.0.0.1,")),
        ("x-forwarded-for", "commas", list(",")),
        ("forwarded", "many hops", list("for=a;by=b,")),
        ("host", "many labels", list("a.")),
        ("host", "digits", list("1")),
        ("host", "colons", list(":")),
        ("user-agent", "a long name", list("a")),
        ("user-agent", "beyond ASCII", list("é")),
        ("x-request-id", "a long id", list("a")),
        ("range", "many ranges", format!("bytes={}", list("0-0,"))),
        ("te", "many codings", list("trailers,")),
        ("expect", "many expectations", list("100-continue,")),
        ("traceparent", "a long id", list("0-")),
        ("x-a", "a long value", list("a")),
    ];
    let mut shapes: Vec<Shape> = long
        .into_iter()
        .map(|(name, what, value)| shape(format!("head: `{name}` of {what}"), &target.message().field(name, value)))
        .collect();
    let piece = "a".repeat(FIELD / FIELDS - 20);
    let many = |name: &dyn Fn(usize) -> String, value: &str| {
        (0..FIELDS).fold(target.message(), |message, number| message.field(&name(number), value))
    };
    shapes.push(shape("head: fields of different names", &many(&|number| format!("x-{}", short(number)), &piece)));
    for name in ["x-a", "accept", "accept-language", "cookie", "x-forwarded-for", "if-none-match", "host", "origin"] {
        shapes.push(shape(format!("head: `{name}` again and again"), &many(&|_| name.to_owned(), &piece)));
    }
    shapes.push(shape(
        "head: too many fields",
        &(0..FIELDS * 20).fold(target.message(), |message, number| message.field(&short(number), "")),
    ));
    shapes.extend(chunks(target));
    shapes
}

/// A body in chunks of one byte, and in chunks with much beside their bytes.
fn chunks(target: &Target<'_>) -> Vec<Shape> {
    let members = target.valid_members();
    let framed = |name: &str, size: usize, extension: &str, trailers: &str, length: usize| {
        let text = format!("{{{members}\"zz\":\"{}\"}}", filled("a", length));
        let mut message = target.message().body(JSON, text);
        message.framing = Framing::Chunks { size, extension: extension.to_owned(), trailers: trailers.to_owned() };
        shape(format!("chunks: {name}"), &message)
    };
    let beside = target.size - members.len() - 64;
    vec![
        framed("of one byte", 1, "", "", beside / 6),
        framed("of one byte, up to the limit of the body", 1, "", "", beside),
        framed("of 64 bytes", 64, "", "", beside),
        framed("with extensions", 1, ";a=b", "", beside / 10),
        framed("with a long extension", 1024, &format!(";a={}", filled("a", 8 << 10)), "", 7 << 10),
        framed("with trailers", 4096, "", &numbered(8 << 10, |number| format!("x-{number}: a\r\n")), 1024),
    ]
}
