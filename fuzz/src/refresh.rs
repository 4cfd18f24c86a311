//! Refresh tokens: a token that is accepted was issued in exactly this spelling.
//!
//! An input of 41 bytes is the body of a token, to which the right MAC is appended; any other input is the text of a
//! token.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use signet::config::Secret;
use signet::token::refresh::RefreshToken;
use signet::token::secret::Secrets;
use zeroize::Zeroizing;

static SECRETS: LazyLock<Secrets> = LazyLock::new(|| Secrets::new(&[Secret(Zeroizing::new([1; 32]))]).unwrap());

/// Bytes before the MAC: version, user, session, counter.
const BODY: usize = 1 + 16 + 16 + 8;

pub fn run(bytes: &[u8]) {
    if bytes.len() == BODY {
        let bytes_with_mac = [bytes, &SECRETS.mac(bytes)].concat();
        let token = URL_SAFE_NO_PAD.encode(bytes_with_mac);
        let parsed = RefreshToken::parse(&token, &SECRETS);
        assert_eq!(parsed.is_some(), bytes[0] == 1, "a token is accepted exactly if its version is the current one");
        assert!(parsed.is_none_or(|parsed| parsed.mint(&SECRETS) == token));
    } else if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(parsed) = RefreshToken::parse(text, &SECRETS)
    {
        assert_eq!(parsed.mint(&SECRETS), text, "a token has one spelling");
    }
}
