//! The configuration file: it is accepted or rejected with messages, and no output repeats a secret.

use signet::config::Config;

/// The secret in the seeds, without its padding.
pub const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I";

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Config::from_toml(text) {
        Ok(config) => {
            assert!(config.server.workers > 0);
            assert!(!format!("{config:?}").contains(SECRET), "the Debug output contains the secret");
        }
        Err(errors) => {
            let messages: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
            assert!(!messages.is_empty() && messages.iter().all(|message| !message.is_empty()));
        }
    }
}
