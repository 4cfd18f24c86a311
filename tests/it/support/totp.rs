//! An authenticator app: the codes that it shows for a key.

use reqwest::Method;
use serde_json::json;
use signet::clock::Clock;
use totp_rs::Totp;

use super::server::{SendRequest, TestServer};

/// The code of a key at a time in seconds since 1970.
pub(crate) fn code_at(key: &str, secs: i64) -> String {
    let totp = Totp::from_url(format!("otpauth://totp/a?secret={key}")).expect("the key is valid");
    totp.generate(secs.try_into().expect("the time is after 1970")).to_string()
}

/// The code a number of steps from now. A server accepts one step of difference, so a test can use `0` and then `1`
/// however much time passes between them.
pub(crate) fn code(key: &str, steps: i64) -> String {
    code_at(key, Clock::system().now().secs() + 30 * steps)
}

/// A code that is wrong now and in the five minutes before and after.
pub(crate) fn wrong_code(key: &str) -> String {
    wrong_code_at(key, Clock::system().now().secs())
}

/// The same for another time.
pub(crate) fn wrong_code_at(key: &str, secs: i64) -> String {
    let right = (-10..=10).map(|steps| code_at(key, secs + 30 * steps)).collect::<Vec<_>>();
    (0..).map(|number| format!("{number:06}")).find(|code| !right.contains(code)).expect("there are more than 21 codes")
}

/// Enables TOTP for the user with this access token and password; returns the key and the recovery codes. This uses up
/// the current code.
pub(crate) async fn enable_totp(server: &TestServer, access: &str, password: &str) -> (String, Vec<String>) {
    let enrollment = server.post("/totp").bearer_auth(access).send_checked().await.is(201).json();
    let key = enrollment["key"].as_str().expect("the response has a key").to_owned();
    let body = json!({"code": code(&key, 0), "password": password});
    let enabled =
        server.request(Method::PUT, "/totp").bearer_auth(access).json(&body).send_checked().await.is(200).json();
    let codes = enabled["recovery_codes"].as_array().expect("the response has recovery codes").iter();
    (key, codes.map(|code| code.as_str().expect("a code is text").to_owned()).collect())
}
