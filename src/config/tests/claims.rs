//! The lists of claims that tokens carry.

use super::*;

fn claims_of_tokens(list: &str) -> Vec<String> {
    load(&format!("[tokens]\nclaims = {list}"), &[], &[]).unwrap().tokens.claims
}

fn claims_of_audience(list: &str) -> Vec<String> {
    load(&format!("[audiences.a]\nclaims = {list}"), &[], &[]).unwrap().audiences.remove(0).claims.unwrap()
}

#[test]
fn claims_have_their_names_in_tokens() {
    assert_eq!(claims_of_tokens(r#"["plan", "full_name"]"#), ["plan", "name"]);
    assert_eq!(claims_of_tokens(r#"["name", "Sub"]"#), ["name", "Sub"]);
    assert_eq!(claims_of_audience(r#"["username", "full_name", "plan"]"#), ["preferred_username", "name", "plan"]);
    let profile = r#"["email", "email_verified", "preferred_username", "name", "roles", "superuser"]"#;
    assert_eq!(claims_of_audience(profile).len(), 6);
}

#[test]
fn claims_that_would_add_nothing_are_refused() {
    let refuse = |setting: &str, name: &str| {
        let toml = format!("[{setting}]\nclaims = [\"plan\", \"{name}\"]");
        let found = errors(&toml, &[], &[]);
        let start = format!("{setting}.claims (config.toml, line 2) is \"[plan, {name}]\"; allowed: ");
        assert!(found.len() == 1 && found[0].starts_with(&start), "{found:?}");
        let allowed = &found[0][start.len()..];
        let (shown, refused) = allowed.split_once("which cannot be ").unwrap();
        assert!(shown.contains("full_name, and names of custom claims") || shown.contains("superuser, and"), "{shown}");
        assert!(refused.split(", ").any(|reserved| reserved == name), "{name}: {refused}");
    };
    for name in RESERVED_CLAIMS.into_iter().flatten().copied() {
        if !["name", "full_name"].contains(&name) {
            refuse("tokens", name);
        }
        let of_user = ["email", "email_verified", "preferred_username", "username", "roles", "superuser"];
        if !of_user.contains(&name) && !["name", "full_name"].contains(&name) {
            refuse("audiences.a", name);
        }
    }
}

#[test]
fn reserved_claims_in_variables_are_refused() {
    let found = errors("", &[("SIGNET_TOKENS__CLAIMS", "plan, sub")], &[]);
    assert!(found[0].starts_with("tokens.claims (SIGNET_TOKENS__CLAIMS) is \"plan, sub\"; allowed: "), "{found:?}");
}
