//! Refresh tokens: what is read is what was handed out, and has one spelling.
//!
//! 41 bytes are the inside of a token, to which the right MAC is put; anything else is a text.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use signet::config::Secret;
use signet::token::refresh::Refresh;
use signet::token::secret::Secrets;
use zeroize::Zeroizing;

static SECRETS: LazyLock<Secrets> = LazyLock::new(|| Secrets::new(&[Secret(Zeroizing::new([1; 32]))]).unwrap());

/// Bytes before the MAC: version, user, session, counter.
const BODY: usize = 1 + 16 + 16 + 8;

pub fn run(bytes: &[u8]) {
    if bytes.len() == BODY {
        let whole = [bytes, &SECRETS.mac(bytes)].concat();
        let token = URL_SAFE_NO_PAD.encode(whole);
        let read = Refresh::read(&token, &SECRETS);
        assert_eq!(read.is_some(), bytes[0] == 1, "every token of the version that is handed out, and of no other");
        assert!(read.is_none_or(|read| read.mint(&SECRETS) == token));
    } else if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(read) = Refresh::read(text, &SECRETS)
    {
        assert_eq!(read.mint(&SECRETS), text, "a token has one spelling");
    }
}
