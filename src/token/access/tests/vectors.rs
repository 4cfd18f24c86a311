//! Runs the server's own check of tokens on the cases of `clients/vectors`, which every verifier must pass.

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::*;
use crate::token::keyring::key::KeyPair;
use crate::token::scopes::RequiredScopes;

fn parse(name: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients/vectors").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn vector_keyring() -> Keyring {
    let file = parse("private_keys.json");
    let key = |jwk: &Value| {
        let algorithm = if jwk["kty"] == "EC" { SigningAlgorithm::Es256 } else { SigningAlgorithm::EdDsa };
        let mut private = Zeroizing::new([0; 32]);
        private.copy_from_slice(&URL_SAFE_NO_PAD.decode(jwk["d"].as_str().unwrap()).unwrap());
        let mut key = Key::new(KeyPair::from_private(algorithm, private).unwrap(), NOW, NOW);
        key.kid = jwk["kid"].as_str().unwrap().to_owned();
        key
    };
    let ring = Ring { version: 1, keys: file["keys"].as_array().unwrap().iter().map(key).collect() };
    Keyring::new(&ring, config::Algorithm::EdDsa).unwrap()
}

#[test]
fn vectors_have_the_expected_results() {
    let (file, keyring) = (parse("tokens.json"), vector_keyring());
    let mut failed = Vec::new();
    for case in file["tokens"].as_array().unwrap() {
        let mut options = file["defaults"].clone();
        for (name, value) in case["options"].as_object().into_iter().flatten() {
            options[name] = value.clone();
        }
        let issuer = Issuer::new(&config::Tokens {
            issuer: options["issuer"].as_str().unwrap().to_owned(),
            audience: options["audience"].as_str().unwrap().to_owned(),
            leeway: Duration::from_secs(options["leeway"].as_u64().unwrap()),
            ..settings()
        });
        let now = Timestamp::from_secs(options["now"].as_i64().unwrap());
        let scopes: Vec<&str> = options["scopes"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
        let (text, expected) = (case["token"].as_str().unwrap(), &case["expect"]);
        let result = match issuer.check(text, &keyring.keys(), now) {
            Err(error) => json!({"error": error.code()}),
            Ok(token) => {
                let claims: Value = serde_json::from_str(&token.claims).unwrap();
                // The calls decide if a user is required, not this check.
                let is_user = claims["sid"].is_string();
                let is_other = options["subject"].as_str().is_some_and(|subject| (subject == "user") != is_user);
                if is_other {
                    json!({"error": "wrong_subject"})
                } else if !token.scopes.contains_all(&RequiredScopes::parse(&scopes.join(" ")).unwrap()) {
                    json!({"error": "insufficient_scope"})
                } else {
                    let all = json!({
                        "sub": &*token.subject,
                        "sid": claims["sid"],
                        "jti": claims["jti"],
                        "client_id": claims["client_id"],
                        "scopes": token.scopes.iter().collect::<Vec<_>>(),
                        "audience": token.audience.iter().map(|one| &**one).collect::<Vec<_>>(),
                        "email": token.verified_email(),
                        "email_verified": token.email_verified,
                        "issued_at": claims["iat"],
                        "expires_at": token.expires_at.secs(),
                        "auth_time": claims["auth_time"],
                        "is_user": is_user,
                    });
                    let names = expected["claims"].as_object().into_iter().flatten().map(|(name, _)| name);
                    let claims: serde_json::Map<String, Value> =
                        names.map(|name| (name.clone(), all[name].clone())).collect();
                    json!({"claims": claims})
                }
            }
        };
        if result != *expected {
            failed.push(format!("{}: {result}", case["name"]));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
