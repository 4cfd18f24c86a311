//! Project Wycheproof's JSON web signatures, encryptions and keys: none is signed by us, so all are refused, and none is more
//! than a client's fault.

use serde_json::json;

use super::collection;
use crate::support::server::{SendRequest, TestServer};

#[tokio::test]
async fn corpora_wycheproof_tokens_are_all_refused() {
    let server = TestServer::embedded(|plan| plan);
    let mut tried = 0;
    for file in ["signature", "crypto", "key", "encryption"] {
        let collection = collection(&format!("wycheproof/json_web_{file}_test.json"));
        let before = tried;
        let groups = collection["testGroups"].as_array().unwrap();
        for case in groups.iter().flat_map(|group| group["tests"].as_array().unwrap()) {
            let what = || format!("{file} {}: {}", case["tcId"], case["comment"]);
            let token = case.get("jws").or(case.get("jwe")).unwrap();
            let answer = server.post("/verify").json(&json!({"token": token})).send_checked().await;
            if token.is_string() {
                assert_eq!((answer.status, &answer.json()["active"]), (401, &json!(false)), "{}", what());
            } else {
                // The JSON serialisation.
                assert!((400..500).contains(&answer.status), "{}: {answer:?}", what());
            }
            // Once more as its bearer, where it fits into a header field, and where a refresh token is due.
            let text = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
            if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
                let answer =
                    server.get("/sessions").header("authorization", format!("Bearer {text}")).send_checked().await;
                assert!((400..500).contains(&answer.status), "{}: {answer:?}", what());
            }
            server.refresh(&text).await.is(400);
            tried += 1;
        }
        assert_eq!(tried - before, collection["numberOfTests"].as_u64().unwrap(), "{file}");
    }
    assert_eq!(tried, 401 + 83 + 26 + 139);
}
