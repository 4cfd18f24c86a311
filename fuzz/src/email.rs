//! Addresses and usernames: the one form is its own form, and no character in it can end a header field or show as nothing.

use signet::auth::accounts::identity::{Email, Login, Username};

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = Login::read(text);
    if let Ok(email) = Email::read(text) {
        let form = email.as_str();
        assert_eq!(Email::read(form).as_ref(), Ok(&email), "{form:?}");
        assert!(form.len() <= 254 && form.matches('@').count() == 1, "{form:?}");
        assert!(
            !form.contains(|c: char| c.is_control() || c.is_whitespace() || "<>,;:\"\\()[]".contains(c)),
            "{form:?}"
        );
        let (_, domain) = form.split_once('@').unwrap();
        assert!(domain.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte)));
        assert!(matches!(Login::read(form), Some(Login::Email(same)) if same == email));
    }
    if let Ok(name) = Username::read(text) {
        assert_eq!(Username::read(name.shown()).as_ref(), Ok(&name), "{name:?}");
        let bad = |c: char| c.is_control() || c == '@';
        assert!(!name.shown().contains(bad) && !name.key().contains(bad), "{name:?}");
        assert!(matches!(Login::read(text), Some(Login::Username(same)) if same == name));
    }
}
