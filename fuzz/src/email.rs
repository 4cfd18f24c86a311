//! Addresses and usernames: the canonical form is stable, and no character in it can end a header field or is invisible.

use signet::auth::identity::{Email, Login, Username};

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = Login::parse(text);
    if let Ok(email) = Email::parse(text) {
        let form = email.as_str();
        assert_eq!(Email::parse(form).as_ref(), Ok(&email), "{form:?}");
        assert!(form.len() <= 254 && form.matches('@').count() == 1, "{form:?}");
        assert!(
            !form.contains(|c: char| c.is_control() || c.is_whitespace() || "<>,;:\"\\()[]".contains(c)),
            "{form:?}"
        );
        let (_, domain) = form.split_once('@').unwrap();
        assert!(domain.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte)));
        assert!(matches!(Login::parse(form), Some(Login::Email(same)) if same == email));
    }
    if let Ok(name) = Username::parse(text) {
        assert_eq!(Username::parse(name.as_str()).as_ref(), Ok(&name), "{name:?}");
        let bad = |c: char| c.is_control() || c == '@';
        assert!(!name.as_str().contains(bad) && !name.key().contains(bad), "{name:?}");
        assert!(matches!(Login::parse(text), Some(Login::Username(same)) if same == name));
    }
}
