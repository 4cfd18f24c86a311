//! An authenticator app: what it shows for a key.

use signet::time::Clock;
use totp_rs::Totp;

/// What an app with this key shows at a moment, in seconds since 1970.
pub(crate) fn code_at(key: &str, secs: i64) -> String {
    let app = Totp::from_url(format!("otpauth://totp/a?secret={key}")).expect("it is a key");
    app.generate(secs.try_into().expect("after 1970")).to_string()
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
