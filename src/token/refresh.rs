//! The refresh token: `base64url(version | user | session | counter | MAC)`, which authenticates itself.
//!
//! So garbage costs no round trip, and the store holds a counter and never a token: a dump of the store contains no
//! credential. The token of a counter is always the same, which makes a repeated refresh harmless. Knows nothing of the
//! session's state.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::secret::{MAC, Secrets};
use crate::id::{SessionId, UserId};

const VERSION: u8 = 1;
const BODY: usize = 1 + 16 + 16 + 8;
const BYTES: usize = BODY + MAC;

/// Characters of a refresh token: 57 bytes, which fill base64 without spare bits.
pub const LENGTH: usize = BYTES / 3 * 4;

/// The contents of a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The user.
    pub user: UserId,
    /// The session.
    pub session: SessionId,
    /// The number of the token within its session.
    pub counter: u64,
}

impl RefreshToken {
    /// The token as text.
    pub fn mint(&self, secrets: &Secrets) -> String {
        let mut bytes = [0; BYTES];
        bytes[0] = VERSION;
        bytes[1..17].copy_from_slice(self.user.as_bytes());
        bytes[17..33].copy_from_slice(self.session.as_bytes());
        bytes[33..BODY].copy_from_slice(&self.counter.to_be_bytes());
        let mac = secrets.mac(&bytes[..BODY]);
        bytes[BODY..].copy_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Parses and authenticates `token`; `None` if Signet did not issue it.
    pub fn parse(token: &str, secrets: &Secrets) -> Option<Self> {
        if token.len() != LENGTH {
            return None;
        }
        let mut bytes = [0; BYTES];
        let read = URL_SAFE_NO_PAD.decode_slice(token, &mut bytes).ok()?;
        if read != BYTES || bytes[0] != VERSION {
            return None;
        }
        let mut mac = [0; MAC];
        mac.copy_from_slice(&bytes[BODY..]);
        if !secrets.verify_mac(&bytes[..BODY], &mac) {
            return None;
        }
        let mut counter = [0; 8];
        counter.copy_from_slice(&bytes[33..BODY]);
        Some(Self {
            user: UserId(uuid::Uuid::from_slice(&bytes[1..17]).ok()?),
            session: SessionId(uuid::Uuid::from_slice(&bytes[17..33]).ok()?),
            counter: u64::from_be_bytes(counter),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn secrets(byte: u8) -> Secrets {
        Secrets::new(&[Secret(zeroize::Zeroizing::new([byte; 32]))]).unwrap()
    }

    fn token() -> RefreshToken {
        RefreshToken {
            user: UserId::parse("01930000-0000-7000-8000-000000000001").unwrap(),
            session: SessionId::parse("01930000-0000-7000-8000-000000000002").unwrap(),
            counter: 7,
        }
    }

    #[test]
    fn token_round_trips_and_is_deterministic() {
        let text = token().mint(&secrets(1));
        assert_eq!(text.len(), LENGTH);
        assert_eq!(RefreshToken::parse(&text, &secrets(1)), Some(token()));
        assert_eq!(token().mint(&secrets(1)), text);
    }

    #[test]
    fn only_the_exact_token_is_accepted() {
        let text = token().mint(&secrets(1));
        assert_eq!(RefreshToken::parse(&text, &secrets(2)), None);
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(RefreshToken::parse(&String::from_utf8(changed).unwrap(), &secrets(1)), None, "character {at}");
            assert_eq!(RefreshToken::parse(&text[..at], &secrets(1)), None, "cut at {at}");
        }
        for more in ["=", "A", " ", "\n"] {
            assert_eq!(RefreshToken::parse(&format!("{text}{more}"), &secrets(1)), None);
        }
    }
}
