//! Compares with the responses of FastAPI 0.115 with pydantic 2 to the same bodies.

use super::*;
use crate::http::json::parse;

#[derive(Debug, Deserialize)]
struct Form {
    #[allow(dead_code, reason = "only invalid values are parsed")]
    email: EmailStr,
    #[allow(dead_code, reason = "only invalid values are parsed")]
    name: BoundedString<2, 3>,
    count: Option<LaxInteger<1, 5>>,
    flag: Option<LaxBool>,
    #[allow(dead_code, reason = "only invalid values are parsed")]
    list: Option<Vec<String>>,
}

fn error_entries(body: &str) -> Value {
    let response = render_rejection(parse::<Form>(body.as_bytes()).expect_err(body));
    assert_eq!(response.status(), 422);
    let body: Value = serde_json::from_slice(response.content()).unwrap();
    body["detail"].clone()
}

/// A valid body except for one field.
fn body_with(field: &str, value: &Value) -> String {
    let mut body = json!({"email": "a@b.example", "name": "abc"});
    body[field] = value.clone();
    body.to_string()
}

#[test]
fn all_invalid_fields_are_listed_as_pydantic_does() {
    let invalid = "value is not a valid email address: An email address must have an @-sign.";
    assert_eq!(
        error_entries(r#"{"email":"x","name":"a","count":0,"flag":"maybe","list":["a",1]}"#),
        json!([
            {"type": "greater_than_equal", "loc": ["body", "count"],
                "msg": "Input should be greater than or equal to 1", "ctx": {"ge": 1}},
            {"type": "value_error", "loc": ["body", "email"], "msg": invalid,
                "ctx": {"reason": "An email address must have an @-sign."}},
            {"type": "bool_parsing", "loc": ["body", "flag"],
                "msg": "Input should be a valid boolean, unable to interpret input"},
            {"type": "string_type", "loc": ["body", "list", 1], "msg": "Input should be a valid string"},
            {"type": "string_too_short", "loc": ["body", "name"],
                "msg": "String should have at least 2 characters", "ctx": {"min_length": 2}},
        ])
    );
}

#[test]
fn each_error_has_the_type_of_pydantic() {
    for (field, value, kind) in [
        ("email", json!(null), "string_type"),
        ("name", json!("abcd"), "string_too_long"),
        ("count", json!(6), "less_than_equal"),
        ("count", json!("six"), "int_parsing"),
        ("count", json!([]), "int_type"),
        ("count", json!(1.5), "int_from_float"),
        ("count", json!(1e30), "int_parsing_size"),
        ("flag", json!([]), "bool_type"),
        ("flag", json!(2), "bool_parsing"),
        ("list", json!("a"), "list_type"),
    ] {
        let entries = error_entries(&body_with(field, &value));
        assert_eq!(entries[0]["type"], kind, "{field}: {value}");
        assert_eq!(entries.as_array().map(Vec::len), Some(1), "{entries}");
    }
    assert_eq!(
        error_entries("[1]"),
        json!([{"type": "model_attributes_type", "loc": ["body"],
            "msg": "Input should be a valid dictionary or object to extract fields from"}])
    );
    assert_eq!(error_entries(""), json!([{"type": "missing", "loc": ["body"], "msg": "Field required"}]));
    let broken = error_entries("{\"email\":}");
    assert_eq!((&broken[0]["type"], &broken[0]["loc"][0]), (&json!("json_invalid"), &json!("body")));
    assert!(broken[0]["loc"][1].is_u64() && broken[0]["ctx"]["error"].is_string(), "{broken}");
}

#[test]
fn invalid_address_has_the_reason_of_pydantic() {
    for (text, reason) in [
        ("", "An email address must have an @-sign."),
        ("@a.example", "There must be something before the @-sign."),
        ("a@", "There must be something after the @-sign."),
        ("a@b@c.example", "The part after the @-sign contains invalid characters: '@'."),
        ("a@b", "The part after the @-sign is not valid. It should have a period."),
        ("a..b@c.example", "An email address cannot have two periods in a row."),
    ] {
        assert_eq!(error_entries(&body_with("email", &json!(text)))[0]["ctx"]["reason"], reason, "{text}");
    }
}

#[test]
fn numbers_and_booleans_are_parsed_as_laxly_as_pydantic_does() {
    let parse_with = |field: &str, value: Value| {
        parse::<Form>(body_with(field, &value).as_bytes()).expect("a lax value is accepted")
    };
    for (value, number) in [(json!("3 "), 3), (json!("3.0"), 3), (json!(3.0), 3), (json!(true), 1)] {
        assert_eq!(parse_with("count", value).count, Some(LaxInteger(number)));
    }
    for (value, flag) in [(json!("yes"), true), (json!("off"), false), (json!(1), true), (json!(0.0), false)] {
        assert_eq!(parse_with("flag", value).flag, Some(LaxBool(flag)));
    }
    assert_eq!(parse_with("count", json!(null)).count, None);
}

#[test]
fn errors_do_not_quote_values() {
    let body = r#"{"email":"s3cret","name":"s3cret","count":"s3cret","flag":"s3cret","list":"s3cret"}"#;
    assert!(!error_entries(body).to_string().contains("s3cret"));
}

#[test]
fn malformed_uuid_has_the_text_of_pydantic() {
    let prefix = "expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-], found";
    for (text, reason) in [
        ("zz", format!("invalid character: {prefix} `z` at 1")),
        ("foo", format!("invalid character: {prefix} `o` at 2")),
        ("1234", "invalid length: expected length 32 for simple format, found 4".to_owned()),
        ("", "invalid length: expected length 32 for simple format, found 0".to_owned()),
    ] {
        let Err(Rejection::InvalidFields(errors)) = uuid(ParamLocation::Path, "user_id", Some(text)) else {
            panic!("{text}")
        };
        let expected = FieldErrorKind::Invalid(format!("Input should be a valid UUID, {reason}"));
        assert_eq!(errors, [FieldError::new(ParamLocation::Path, "user_id", expected)], "{text}");
    }
}
