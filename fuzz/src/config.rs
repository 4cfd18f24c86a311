//! The file of settings: it is taken or refused in words, and no fault repeats a secret that stands in it.

use signet::config::Config;

/// What a seed puts where a secret belongs.
const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I";

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Config::from_toml(text) {
        Ok(config) => {
            assert!(config.server.workers > 0);
            assert!(!format!("{config:?}").contains(SECRET), "the settings show a secret");
        }
        Err(faults) => {
            let told: Vec<String> = faults.0.iter().map(ToString::to_string).collect();
            assert!(!told.is_empty() && told.iter().all(|fault| !fault.is_empty()));
        }
    }
}
