//! `--claims` of `users create` and `users update`, and `claims` of imports and exports.

use super::*;

#[tokio::test]
async fn operators_set_replace_and_move_claims() {
    let plan = Plan::embedded();
    let claims = r#"{"plan":"pro","seats":5}"#;
    plan.create_user("a@example.org", PASSWORD, &["--claims", claims]);
    plan.create_user("b@example.org", PASSWORD, &[]);
    let show = |name: &str| plan.json(&["users", "show", name], "")["claims"].clone();
    assert_eq!((show("a@example.org"), show("b@example.org")), (json!({"plan": "pro", "seats": 5}), json!({})));
    assert!(done(&plan, &["users", "show", "a@example.org"], "").contains(claims));

    let row = plan.json(&["users", "update", "b@example.org", "--claims", r#" {"plan": "free"} "#], "");
    assert_eq!(row["claims"], json!({"plan": "free"}));
    let exported = done(&plan, &["users", "export"], "");
    let other = Plan::embedded();
    assert_eq!(other.json(&["users", "import", "-"], &exported)["imported"], 2);
    assert_eq!(done(&other, &["users", "export"], ""), exported);

    plan.json(&["users", "update", "a@example.org", "--claims", "{}"], "");
    assert_eq!(show("a@example.org"), json!({}));
    for (claims, why) in [(r#"{"sub":"x"}"#, "reserved"), ("[]", "JSON object"), ("plan", "JSON object")] {
        let printed = refused(&plan, &["users", "update", "b@example.org", "--claims", claims], 2);
        assert!(printed.contains(why), "{claims}: {printed}");
        let line = format!(r#"{{"email":"c@example.org","claims":{claims}}}"#);
        assert_eq!(plan.run(&["users", "import", "-"], &line).status.code(), Some(1), "{claims}");
    }
    assert_eq!(show("b@example.org"), json!({"plan": "free"}));
    refused(&plan, &["users", "update", "nobody@example.org", "--claims", "{}"], 1);
    refused(&plan, &["users", "update", "b@example.org"], 2);
    refused(&plan, &["users", "show", "c@example.org"], 1);
}
