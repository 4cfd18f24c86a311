//! Dominic Sayers' e-mail addresses: which of them an account can have here, and that none is more than a client's fault.
//!
//! The collection says what RFC 5321 and 5322 allow. We take the dot-strings of domain names alone (`auth::identity` says why),
//! so of what it calls valid we refuse all that is quoted, folded, commented, a literal or a top-level domain.

use serde_json::json;
use signet::auth::accounts::identity::Email;

use super::bytes_of;
use crate::support::server::{PASSWORD, SendRequest, TestServer};

/// Of those that it does not call an error, so many have no account here.
const REFUSED_THOUGH_VALID: usize = 75;

struct Case {
    id: u32,
    address: String,
    category: String,
    diagnosis: String,
}

impl Case {
    /// Why it has no account here though it may be valid.
    fn is_none_of_ours(&self) -> bool {
        let marks = |c: char| "\"([".contains(c) || c.is_control() || c.is_whitespace();
        let bounds = self.diagnosis.ends_with("TOOLONG");
        let (_, domain) = self.address.rsplit_once('@').unwrap_or_default();
        let top_level = !domain.contains('.') || domain.ends_with(|c: char| c.is_ascii_digit()) || domain.contains('/');
        self.address.contains(marks) || bounds || top_level
    }
}

fn cases() -> Vec<Case> {
    let text = String::from_utf8(bytes_of("email/tests.xml")).unwrap();
    let inner = |test: &str, name: &str| {
        let from = test.split_once(&format!("<{name}>"))?.1;
        Some(plain(from.split_once(&format!("</{name}>"))?.0))
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

/// The text that XML writes so. Control characters are written as the pictures of them, as the collection says.
fn plain(xml: &str) -> String {
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
async fn corpora_isemail_addresses() {
    let server = TestServer::embedded(|plan| plan);
    let cases = cases();
    assert_eq!(cases.len(), 164);
    let (mut refused, mut taken) = (0, Vec::new());
    for case in &cases {
        let Case { id, address, category, .. } = case;
        let read = Email::parse(address);
        match (category.as_str(), &read) {
            ("ISEMAIL_ERR", Ok(_)) => taken.push(*id),
            ("ISEMAIL_ERR", Err(_)) | (_, Ok(_)) => {}
            (_, Err(_)) => {
                assert!(case.is_none_of_ours(), "{id}: {address:?}");
                refused += 1;
            }
        }
        // The server agrees, and so do the dialects.
        let body = json!({"email": address, "password": PASSWORD});
        let signed_up = server.post("/auth/login/signup").json(&body).send_checked().await;
        let may = if read.is_ok() { [200, 400] } else { [422, 422] };
        assert!(may.contains(&signed_up.status), "{id} {address:?}: {signed_up:?}");
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
    assert_eq!(refused, REFUSED_THOUGH_VALID);
    assert!(taken.is_empty(), "errors that were taken for addresses: {taken:?}");
}
