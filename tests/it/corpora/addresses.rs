//! Dominic Sayers' e-mail addresses: which of them an account can have, and that none causes a server error.
//!
//! The collection follows RFC 5321 and 5322. Signet accepts only dot-strings at domain names (`auth::identity` gives
//! the reason), so it refuses valid addresses with quotes, folding, comments, address literals or top-level domains.

use serde_json::json;
use signet::auth::identity::Email;

use super::read_corpus;
use crate::support::server::{PASSWORD, SendRequest, TestServer};

/// The number of addresses that the collection does not call an error and that Signet refuses.
const VALID_BUT_REFUSED: usize = 75;

struct Case {
    id: u32,
    address: String,
    category: String,
    diagnosis: String,
}

impl Case {
    /// True if Signet refuses the address although it may be valid.
    fn is_unsupported(&self) -> bool {
        let is_unsupported_char = |c: char| "\"([".contains(c) || c.is_control() || c.is_whitespace();
        let too_long = self.diagnosis.ends_with("TOOLONG");
        let (_, domain) = self.address.rsplit_once('@').unwrap_or_default();
        let top_level = !domain.contains('.') || domain.ends_with(|c: char| c.is_ascii_digit()) || domain.contains('/');
        self.address.contains(is_unsupported_char) || too_long || top_level
    }
}

fn cases() -> Vec<Case> {
    let text = String::from_utf8(read_corpus("email/tests.xml")).unwrap();
    let inner = |test: &str, name: &str| {
        let from = test.split_once(&format!("<{name}>"))?.1;
        Some(decode(from.split_once(&format!("</{name}>"))?.0))
    };
    let tests = text.split("<test id=\"").skip(1);
    tests
        .map(|test| Case {
            id: test.split('"').next().unwrap().parse().unwrap(),
            address: inner(test, "address").unwrap_or_default(),
            category: inner(test, "category").unwrap(),
            diagnosis: inner(test, "diagnosis").unwrap(),
        })
        .collect()
}

/// Decodes XML entities. The collection writes control characters as the Unicode symbols for them.
fn decode(xml: &str) -> String {
    let mut text = String::new();
    let mut rest = xml;
    while let Some((before, after)) = rest.split_once('&') {
        let (entity, behind) = after.split_once(';').unwrap();
        text += before;
        text.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            number => {
                let number = number.strip_prefix("#x").map(|hex| u32::from_str_radix(hex, 16));
                let number = number.unwrap_or_else(|| entity[1..].parse()).unwrap();
                char::from_u32(if (0x2400..0x2421).contains(&number) { number - 0x2400 } else { number }).unwrap()
            }
        });
        rest = behind;
    }
    text + rest
}

#[tokio::test]
async fn corpora_isemail_addresses_are_classified() {
    let server = TestServer::embedded(|plan| plan);
    let cases = cases();
    assert_eq!(cases.len(), 164);
    let (mut refused, mut accepted) = (0, Vec::new());
    for case in &cases {
        let Case { id, address, category, .. } = case;
        let parsed = Email::parse(address);
        match (category.as_str(), &parsed) {
            ("ISEMAIL_ERR", Ok(_)) => accepted.push(*id),
            ("ISEMAIL_ERR", Err(_)) | (_, Ok(_)) => {}
            (_, Err(_)) => {
                assert!(case.is_unsupported(), "{id}: {address:?}");
                refused += 1;
            }
        }
        // The server agrees, and no dialect fails.
        let body = json!({"email": address, "password": PASSWORD});
        let signed_up = server.post("/auth/login/signup").json(&body).send_checked().await;
        let expected = if parsed.is_ok() { [200, 400] } else { [422, 422] };
        assert!(expected.contains(&signed_up.status), "{id} {address:?}: {signed_up:?}");
        for (path, body) in [
            ("/sessions", body.clone()),
            ("/auth/verification/send-code", json!({"email": address})),
            ("/auth/signin", body.clone()),
            ("/api/v1/login", body.clone()),
            ("/api/v1/password-reset", json!({"email": address, "username": address})),
            ("/api/auth/register", json!({"email": address, "password": PASSWORD, "username": format!("n{id}")})),
        ] {
            let status = server.post(path).json(&body).send_checked().await.status;
            assert!(status < 500, "{path} {id} {address:?}: {status}");
        }
        let form = [("username", address.as_str()), ("password", PASSWORD)];
        assert!(server.form("/auth/login/oauth", &form).await.status < 500, "{id} {address:?}");
    }
    assert_eq!(refused, VALID_BUT_REFUSED);
    assert!(accepted.is_empty(), "accepted although invalid: {accepted:?}");
}
