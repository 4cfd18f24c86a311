//! An authenticator app: what it shows for a key.

use reqwest::Method;
use serde_json::json;
use signet::clock::Clock;
use totp_rs::Totp;

use super::server::{SendRequest, TestServer};

/// What an app with this key shows at a moment, in seconds since 1970.
pub(crate) fn code_at(key: &str, secs: i64) -> String {
    let ctx = Totp::from_url(format!("otpauth://totp/a?secret={key}")).expect("it is a key");
    ctx.generate(secs.try_into().expect("after 1970")).to_string()
}

/// What it shows so many steps from now. A server takes one step more or less, so `0` and then `1` can be told apart from
/// any others however long the test takes between them.
pub(crate) fn code(key: &str, steps: i64) -> String {
    code_at(key, Clock::machine().now().secs() + 30 * steps)
}

/// A code that it does not show, nor did or will in the minutes around.
pub(crate) fn wrong_code(key: &str) -> String {
    wrong_code_at(key, Clock::machine().now().secs())
}

/// The same, around a moment.
pub(crate) fn wrong_code_at(key: &str, secs: i64) -> String {
    let shown = (-10..=10).map(|steps| code_at(key, secs + 30 * steps)).collect::<Vec<_>>();
    (0..).map(|number| format!("{number:06}")).find(|code| !shown.contains(code)).expect("there are more")
}

/// Turns the second factor on for who has this access token and this password: the key and the recovery codes. The app's present
/// code is used up by it.
pub(crate) async fn turn_on(server: &TestServer, access: &str, password: &str) -> (String, Vec<String>) {
    let pending = server.post("/totp").bearer_auth(access).send_checked().await.is(201).json();
    let key = pending["key"].as_str().expect("it has a key").to_owned();
    let body = json!({"code": code(&key, 0), "password": password});
    let on = server.request(Method::PUT, "/totp").bearer_auth(access).json(&body).send_checked().await.is(200).json();
    let codes = on["recovery_codes"].as_array().expect("it has recovery codes").iter();
    (key, codes.map(|code| code.as_str().expect("it is text").to_owned()).collect())
}
