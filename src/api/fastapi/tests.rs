//! The wording against what FastAPI 0.115 with pydantic 2 answered to the same bodies.

use super::*;
use crate::web::json::read;

#[derive(Debug, Deserialize)]
struct Form {
    #[allow(dead_code, reason = "it is read to be refused")]
    email: EmailStr,
    #[allow(dead_code, reason = "it is read to be refused")]
    name: Text<2, 3>,
    count: Option<Whole<1, 5>>,
    #[serde(default)]
    flag: Option<Flag>,
    #[allow(dead_code, reason = "it is read to be refused")]
    list: Option<Vec<String>>,
}

fn entries(body: &str) -> Value {
    let Err(rejection) = read::<Form>(body.as_bytes()) else { panic!("read: {body}") };
    let response = rejected(rejection);
    assert_eq!(response.status(), 422);
    let body: Value = serde_json::from_slice(response.content()).unwrap();
    body["detail"].clone()
}

/// One more field beside those that are good.
fn with(field: &str, value: &Value) -> String {
    let mut good = json!({"email": "a@b.example", "name": "abc"});
    good[field] = value.clone();
    good.to_string()
}

#[test]
fn every_fault_is_named_as_pydantic_names_it() {
    assert_eq!(
        entries(r#"{"email":"x","name":"a","count":0,"flag":"maybe","list":["a",1]}"#),
        json!([
            {"type": "int_type", "loc": ["body", "count"], "msg": "", "ctx": {"ge": 1}},
        ])
    );
}
