//! Project Wycheproof's JSON web signatures, encryptions and keys: none is signed by this server, so all are refused,
//! and none causes a server error.

use serde_json::json;

use super::read_json_corpus;
use crate::support::server::{SendRequest, TestServer};

#[tokio::test]
async fn corpora_wycheproof_tokens_are_all_refused() {
    let server = TestServer::embedded(|plan| plan);
    let mut count = 0;
    for file in ["signature", "crypto", "key", "encryption"] {
        let collection = read_json_corpus(&format!("wycheproof/json_web_{file}_test.json"));
        let before = count;
        let groups = collection["testGroups"].as_array().unwrap();
        for case in groups.iter().flat_map(|group| group["tests"].as_array().unwrap()) {
            let case_name = || format!("{file} {}: {}", case["tcId"], case["comment"]);
            let token = case.get("jws").or(case.get("jwe")).unwrap();
            let response = server.post("/verify").json(&json!({"token": token})).send_checked().await;
            if token.is_string() {
                assert_eq!((response.status, &response.json()["active"]), (401, &json!(false)), "{}", case_name());
            } else {
                // The JSON serialization.
                assert!((400..500).contains(&response.status), "{}: {response:?}", case_name());
            }
            // Also as a bearer token, if it fits into a header field, and as a refresh token.
            let text = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
            if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
                let response =
                    server.get("/sessions").header("authorization", format!("Bearer {text}")).send_checked().await;
                assert!((400..500).contains(&response.status), "{}: {response:?}", case_name());
            }
            server.refresh(&text).await.is(400);
            count += 1;
        }
        assert_eq!(count - before, collection["numberOfTests"].as_u64().unwrap(), "{file}");
    }
    assert_eq!(count, 401 + 83 + 26 + 139);
}
