//! Signatures as the verifier of tokens checks them: Project Wycheproof, and the cases of "Taming the many EdDSAs"
//! (Chalkias, Garillot, Nikolaenko, 2020).

use serde_json::{Value, json};
use signet_verify::ed25519::Verifier;
use signet_verify::{KeySet, UnverifiedToken};

use super::read_json_corpus;

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Verifies a signature with the verifier that is used for tokens.
fn verifies(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = key.try_into().ok().and_then(|key| Verifier::new(&key));
    let signature = signature.try_into().ok();
    key.zip(signature).is_some_and(|(key, signature)| key.verify(message, &signature))
}

#[test]
fn corpora_wycheproof_ed25519_results_match() {
    let collection = read_json_corpus("wycheproof/ed25519_test.json");
    let (mut valid, mut invalid) = (0, 0);
    for group in collection["testGroups"].as_array().unwrap() {
        let key = bytes(&group["publicKey"]["pk"]);
        for case in group["tests"].as_array().unwrap() {
            let expected = match case["result"].as_str().unwrap() {
                "valid" => true,
                "invalid" => false,
                other => panic!("case {}: unknown result {other}", case["tcId"]),
            };
            let actual = verifies(&key, &bytes(&case["msg"]), &bytes(&case["sig"]));
            assert_eq!(actual, expected, "case {}: {}", case["tcId"], case["comment"]);
            *if actual { &mut valid } else { &mut invalid } += 1;
        }
    }
    assert_eq!(valid + invalid, 151);
    assert_eq!(valid + invalid, collection["numberOfTests"].as_u64().unwrap());
    assert!(valid > 0 && invalid > 0);
}

/// The JSON web signatures with ES256. Only form and signature are compared: their headers are not those of access
/// tokens, and [`tokens`](super::tokens) shows that Signet refuses them all.
#[test]
fn corpora_wycheproof_es256_results_match() {
    let collection = read_json_corpus("wycheproof/json_web_signature_test.json");
    let (mut valid, mut invalid) = (0, 0);
    for group in collection["testGroups"].as_array().unwrap() {
        let public = &group["public"];
        if public["alg"] != "ES256" {
            continue;
        }
        let set = KeySet::parse(json!({"keys": [public]}).to_string().as_bytes()).unwrap();
        let key = set.find(public["kid"].as_str().unwrap()).unwrap();
        for case in group["tests"].as_array().unwrap() {
            let verified = UnverifiedToken::parse(case["jws"].as_str().unwrap()).and_then(|token| token.verify(key));
            assert_eq!(verified.is_ok(), case["result"] == "valid", "case {}: {}", case["tcId"], case["comment"]);
            *if verified.is_ok() { &mut valid } else { &mut invalid } += 1;
        }
    }
    assert_eq!((valid, invalid), (2, 37));
}

/// The results of a strict verifier for the twelve cases: table 5 of the paper, where `ed25519-dalek strict` accepts
/// the fewest. Cases 0 to 2 have a key or a commitment of small order, and 6 to 11 are not canonical. 4 and 5 are
/// valid only if multiplied by the cofactor, which RFC 8032, 5.1.7 allows but does not require. Case 3 mixes orders
/// and is valid without.
#[test]
fn corpora_speccheck_ed25519_is_strict() {
    let collection = read_json_corpus("ed25519-speccheck/cases.json");
    let cases = collection.as_array().unwrap();
    let accepted = cases
        .iter()
        .map(|case| verifies(&bytes(&case["pub_key"]), &bytes(&case["message"]), &bytes(&case["signature"])));
    let expected: Vec<bool> = (0..12).map(|number| number == 3).collect();
    assert_eq!(accepted.collect::<Vec<_>>(), expected);
}
