//! What the verifier makes of signatures, apart from tokens: Project Wycheproof, and the cases of "Taming the many EdDSAs"
//! (Chalkias, Garillot, Nikolaenko, 2020).

use serde_json::Value;
use signet::token::signature::Verifier;

use super::collection;

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Whether a signature is good, as those of tokens are asked.
fn verifies(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = key.try_into().ok().and_then(|key| Verifier::new(&key));
    let signature = signature.try_into().ok();
    key.zip(signature).is_some_and(|(key, signature)| key.verify(message, &signature))
}

#[test]
fn corpora_wycheproof_ed25519() {
    let collection = collection("wycheproof/ed25519_test.json");
    let (mut good, mut bad) = (0, 0);
    for group in collection["testGroups"].as_array().unwrap() {
        let key = bytes(&group["publicKey"]["pk"]);
        for case in group["tests"].as_array().unwrap() {
            let expected = match case["result"].as_str().unwrap() {
                "valid" => true,
                "invalid" => false,
                other => panic!("case {}: no such result as {other}", case["tcId"]),
            };
            let found = verifies(&key, &bytes(&case["msg"]), &bytes(&case["sig"]));
            assert_eq!(found, expected, "case {}: {}", case["tcId"], case["comment"]);
            *if found { &mut good } else { &mut bad } += 1;
        }
    }
    assert_eq!(good + bad, 151);
    assert_eq!(good + bad, collection["numberOfTests"].as_u64().unwrap());
    assert!(good > 0 && bad > 0);
}

/// What a strict verifier makes of the twelve: table 5 of the paper, where those of `ed25519-dalek strict` are the fewest.
/// Cases 0 to 2 have a key or a commitment of small order, 6 to 11 are not canonical; 4 and 5 only hold when multiplied by the cofactor, which
/// RFC 8032, 5.1.7 allows and does not ask for. Case 3 mixes orders and holds without it.
#[test]
fn corpora_speccheck_ed25519() {
    let collection = collection("ed25519-speccheck/cases.json");
    let cases = collection.as_array().unwrap();
    let accepted = cases
        .iter()
        .map(|case| verifies(&bytes(&case["pub_key"]), &bytes(&case["message"]), &bytes(&case["signature"])));
    let expected: Vec<bool> = (0..12).map(|number| number == 3).collect();
    assert_eq!(accepted.collect::<Vec<_>>(), expected);
}
