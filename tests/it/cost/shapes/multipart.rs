//! Multipart forms: parts, header fields of parts, and texts that are nearly a boundary.

use super::{Shape, shape};
use crate::cost::target::{Target, filled, numbered};

/// As long as a boundary can be.
const BOUNDARY: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

pub(in crate::cost) fn multipart_forms(target: &Target<'_>) -> Vec<Shape> {
    let size = target.size - 1024;
    let first = target.fields().first().map_or("a", String::as_str);
    let part = |boundary: &str, head: &str, content: &str| format!("--{boundary}\r\n{head}\r\n\r\n{content}\r\n");
    let named = |boundary: &str, name: &str, content: &str| {
        part(boundary, &format!("content-disposition:form-data;name={name}"), content)
    };
    let disposition = |parameters: &str| {
        format!("{}--{BOUNDARY}--", part(BOUNDARY, &format!("content-disposition: form-data{parameters}"), "x"))
    };
    let nearly = &BOUNDARY[1..];
    let bodies: Vec<(&str, &str, String)> = vec![
        ("different names", "b", format!("{}--b--", numbered(size, |number| named("b", number, "")))),
        ("one known name", "b", format!("{}--b--", filled(&named("b", first, ""), size))),
        ("parts without header fields", "b", format!("{}--b--", filled("--b\r\n\r\n\r\n", size))),
        ("boundaries", "b", filled("--b\r\n", size)),
        ("a part of nearly boundaries", BOUNDARY, {
            named(BOUNDARY, first, &filled(&format!("\r\n--{nearly}"), size)) + &format!("--{BOUNDARY}--")
        }),
        ("a part of line breaks", BOUNDARY, {
            named(BOUNDARY, first, &filled("\r\n--", size)) + &format!("--{BOUNDARY}--")
        }),
        ("a preamble of nearly boundaries", BOUNDARY, filled(&format!("\r\n--{nearly}"), size)),
        ("letters of the boundary", BOUNDARY, filled("a", size)),
        ("many header fields", BOUNDARY, {
            let fields = numbered(size, |number| format!("{number}:\r\n"));
            format!("{}--{BOUNDARY}--", part(BOUNDARY, fields.trim_end(), "x"))
        }),
        ("a head without an end", "b", format!("--b\r\n{}", filled("a:b\r\n", size))),
        ("many parameters", BOUNDARY, disposition(&numbered(size, |number| format!(";{number}=a")))),
        ("many quoted parameters", BOUNDARY, disposition(&numbered(size, |number| format!(";{number}=\"\\\"\"")))),
        ("a name of escapes", BOUNDARY, disposition(&format!(";name=\"{}\"", filled("\\\"", size)))),
        ("a name of encoded quotes", BOUNDARY, disposition(&format!(";name=\"{}\"", filled("%22", size)))),
        ("a quoted name without an end", BOUNDARY, disposition(&format!(";name=\"{}", filled(";\\", size)))),
        ("quotes", BOUNDARY, disposition(&format!(";name={}", filled("\"", size)))),
        ("semicolons", BOUNDARY, disposition(&filled(";", size))),
        ("blanks after a boundary", "b", format!("--b{}", filled(" \t", size))),
    ];
    bodies
        .into_iter()
        .map(|(name, boundary, body)| {
            let message = target.message().body(&format!("multipart/form-data; boundary={boundary}"), body);
            shape(format!("multipart: {name}"), &message)
        })
        .collect()
}
