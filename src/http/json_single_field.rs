//! JSON objects that consist of one string field, as nearly every client sends them to `/verify`. They are recognized
//! without a JSON parser. Knows nothing of what the field means.

/// The value of the field `name`, if the body is an object that consists of it and its value is a string of printable
/// ASCII characters without escapes. A parser would return the same. Other bodies, valid or not, give `None`.
///
/// Accepts no white space but a space after the colon, which many JSON libraries write.
pub fn single_string_field<'b>(body: &'b [u8], name: &str) -> Option<&'b str> {
    let value = body.strip_prefix(b"{\"")?.strip_prefix(name.as_bytes())?.strip_prefix(b"\":")?;
    let text = value.strip_prefix(b" ").unwrap_or(value).strip_prefix(b"\"")?.strip_suffix(b"\"}")?;
    // Without an early exit, the compiler checks many bytes at once.
    let is_plain = text
        .iter()
        .fold(true, |is_plain, byte| is_plain & matches!(byte, b' '..=b'~') & (*byte != b'"') & (*byte != b'\\'));
    if is_plain { std::str::from_utf8(text).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::single_string_field;

    #[test]
    fn one_string_field_is_recognized() {
        for (body, value) in [
            (r#"{"token":"a.b-c_d"}"#, "a.b-c_d"),
            (r#"{"token": "~ a"}"#, "~ a"),
            (r#"{"token":""}"#, ""),
            (r#"{"token":"}{,:"}"#, "}{,:"),
        ] {
            assert_eq!(single_string_field(body.as_bytes(), "token"), Some(value), "{body}");
            let parsed: HashMap<&str, &str> = serde_json::from_str(body).unwrap();
            assert_eq!(parsed, HashMap::from([("token", value)]), "a parser returns the same");
        }
    }

    #[test]
    fn other_bodies_are_left_to_the_parser() {
        for body in [
            "",
            "{}",
            r#"{"token":"a""#,
            r#"{"token":""#,
            r#"{"token":}"#,
            r#"{"token":1}"#,
            r#"{"token":"a","aud":"b"}"#,
            r#"{"token":"a","token":"b"}"#,
            r#"{"other":"a"}"#,
            r#"{"tokens":"a"}"#,
            r#"{"token":"a\"}"#,
            r#"{"token":"\u0061"}"#,
            "{\"token\":\"a\nb\"}",
            "{\"token\":\"a\u{7f}b\"}",
            r#"{"token":"é"}"#,
            r#" {"token":"a"}"#,
            r#"{"token":"a"} "#,
            r#"{"token":  "a"}"#,
        ] {
            assert_eq!(single_string_field(body.as_bytes(), "token"), None, "{body}");
        }
        assert_eq!(single_string_field(b"{\"token\":\"\xff\"}", "token"), None);
    }

    /// All bodies of a few pieces in which the two could differ.
    #[test]
    fn a_parser_returns_what_is_recognized() {
        const PIECES: [&[u8]; 13] =
            [b"\"", b"\\", b"{", b"}", b":", b",", b" ", b"\n", b"a", b"\x7f", b"\xc3\xa9", b"\xff", b"\"token\""];
        let mut recognized = 0;
        for (begin, end) in [("{\"token\":", "}"), ("{\"token\":\"", "\"}"), ("{\"token\": \"", "\"}"), ("", "")] {
            for number in 0..PIECES.len().pow(4) {
                let pieces = (0..4).map(|place| PIECES[number / PIECES.len().pow(place) % PIECES.len()]);
                let parts = std::iter::once(begin.as_bytes()).chain(pieces).chain([end.as_bytes()]);
                let body: Vec<u8> = parts.flatten().copied().collect();
                if let Some(value) = single_string_field(&body, "token") {
                    let parsed: HashMap<&str, &str> = serde_json::from_slice(&body).unwrap();
                    assert_eq!(parsed, HashMap::from([("token", value)]));
                    recognized += 1;
                }
            }
        }
        assert!(recognized > 1000, "{recognized}");
    }
}
