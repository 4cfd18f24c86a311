//! E-mail addresses and usernames: the canonical form is stable, and contains no invisible character and none that
//! can end a header field.

use signet::auth::identity::{Email, LoginName, Username};

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = LoginName::parse(text);
    if let Ok(email) = Email::parse(text) {
        let canonical = email.as_str();
        assert_eq!(Email::parse(canonical).as_ref(), Ok(&email), "{canonical:?}");
        assert!(canonical.len() <= 254 && canonical.matches('@').count() == 1, "{canonical:?}");
        assert!(
            !canonical.contains(|c: char| c.is_control() || c.is_whitespace() || "<>,;:\"\\()[]".contains(c)),
            "{canonical:?}"
        );
        let (_, domain) = canonical.split_once('@').unwrap();
        assert!(domain.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte)));
        assert!(matches!(LoginName::parse(canonical), Some(LoginName::Email(same)) if same == email));
    }
    if let Ok(name) = Username::parse(text) {
        assert_eq!(Username::parse(name.as_str()).as_ref(), Ok(&name), "{name:?}");
        let is_forbidden = |c: char| c.is_control() || c == '@';
        assert!(!name.as_str().contains(is_forbidden) && !name.key().contains(is_forbidden), "{name:?}");
        assert!(matches!(LoginName::parse(text), Some(LoginName::Username(same)) if same == name));
    }
}
