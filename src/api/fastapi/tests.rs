//! The wording against what FastAPI 0.115 with pydantic 2 answered to the same bodies.

use super::*;
use crate::http::json::read;

#[derive(Debug, Deserialize)]
struct Form {
    #[allow(dead_code, reason = "it is read to be refused")]
    email: EmailStr,
    #[allow(dead_code, reason = "it is read to be refused")]
    name: Text<2, 3>,
    count: Option<Whole<1, 5>>,
    flag: Option<Flag>,
    #[allow(dead_code, reason = "it is read to be refused")]
    list: Option<Vec<String>>,
}

fn refused(body: &str) -> Value {
    let response = rejected(read::<Form>(body.as_bytes()).expect_err(body));
    assert_eq!(response.status(), 422);
    let body: Value = serde_json::from_slice(response.content()).unwrap();
    body["detail"].clone()
}

/// A body that is good but for one field.
fn with(field: &str, value: &Value) -> String {
    let mut body = json!({"email": "a@b.example", "name": "abc"});
    body[field] = value.clone();
    body.to_string()
}

#[test]
fn all_faults_are_named_at_once_as_pydantic_names_them() {
    let invalid = "value is not a valid email address: An email address must have an @-sign.";
    assert_eq!(
        refused(r#"{"email":"x","name":"a","count":0,"flag":"maybe","list":["a",1]}"#),
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
fn each_fault_has_pydantics_name() {
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
        let entries = refused(&with(field, &value));
        assert_eq!(entries[0]["type"], kind, "{field}: {value}");
        assert_eq!(entries.as_array().map(Vec::len), Some(1), "{entries}");
    }
    assert_eq!(
        refused("[1]"),
        json!([{"type": "model_attributes_type", "loc": ["body"],
            "msg": "Input should be a valid dictionary or object to extract fields from"}])
    );
    assert_eq!(refused(""), json!([{"type": "missing", "loc": ["body"], "msg": "Field required"}]));
    let broken = refused("{\"email\":}");
    assert_eq!((&broken[0]["type"], &broken[0]["loc"][0]), (&json!("json_invalid"), &json!("body")));
    assert!(broken[0]["loc"][1].is_u64() && broken[0]["ctx"]["error"].is_string(), "{broken}");
}

#[test]
fn an_address_is_refused_for_the_reason_that_pydantic_gives() {
    for (text, reason) in [
        ("", "An email address must have an @-sign."),
        ("@a.example", "There must be something before the @-sign."),
        ("a@", "There must be something after the @-sign."),
        ("a@b@c.example", "The part after the @-sign contains invalid characters: '@'."),
        ("a@b", "The part after the @-sign is not valid. It should have a period."),
        ("a..b@c.example", "An email address cannot have two periods in a row."),
    ] {
        assert_eq!(refused(&with("email", &json!(text)))[0]["ctx"]["reason"], reason, "{text}");
    }
}

#[test]
fn what_pydantic_takes_for_a_number_or_a_boolean_is_taken() {
    let read = |field: &str, value: Value| read::<Form>(with(field, &value).as_bytes()).expect("it is taken");
    for (value, number) in [(json!("3 "), 3), (json!("3.0"), 3), (json!(3.0), 3), (json!(true), 1)] {
        assert_eq!(read("count", value).count, Some(Whole(number)));
    }
    for (value, flag) in [(json!("yes"), true), (json!("off"), false), (json!(1), true), (json!(0.0), false)] {
        assert_eq!(read("flag", value).flag, Some(Flag(flag)));
    }
    assert_eq!(read("count", json!(null)).count, None);
}

#[test]
fn nothing_that_was_sent_is_said_again() {
    let body = r#"{"email":"s3cret","name":"s3cret","count":"s3cret","flag":"s3cret","list":"s3cret"}"#;
    assert!(!refused(body).to_string().contains("s3cret"));
}

#[test]
fn what_is_no_id_is_said_as_pydantic_says_it() {
    let prefix = "expected an optional prefix of `urn:uuid:` followed by [0-9a-fA-F-], found";
    for (text, said) in [
        ("zz", format!("invalid character: {prefix} `z` at 1")),
        ("foo", format!("invalid character: {prefix} `o` at 2")),
        ("1234", "invalid length: expected length 32 for simple format, found 4".to_owned()),
        ("", "invalid length: expected length 32 for simple format, found 0".to_owned()),
    ] {
        let Err(Rejection::Fields(faults)) = uuid(ParamLocation::Path, "user_id", Some(text)) else { panic!("{text}") };
        let expected = FieldErrorKind::Invalid(format!("Input should be a valid UUID, {said}"));
        assert_eq!(faults, [FieldError::new(ParamLocation::Path, "user_id", expected)], "{text}");
    }
}
