//! A mail as it goes out: headers, and the letter as text and as HTML (RFC 5322, RFC 2046). Knows nothing of how it is sent.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{ContentTransferEncoding, ContentType, Date, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message, MultiPart, SinglePart};
use lettre::{Address, address::Envelope};

use super::templates::{KINDS, Kind, Templates, Written};
use super::{Letter, Mail};
use crate::clock::Timestamp;

/// What mails say of who sends them.
pub(super) struct Sender {
    pub(super) from: Mailbox,
    pub(super) service: String,
}

/// A mail that can be sent.
pub(super) struct Composed {
    pub(super) envelope: Envelope,
    pub(super) bytes: Vec<u8>,
}

/// Something in it may not stand in a mail: a line break where a header would begin, or an address that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unsendable;

/// What stays the same however often a mail is tried, so that who gets it twice can tell.
pub(super) type Marks = [u8; 16];

/// RFC 5322, 2.1.1: the longest line, its end not counted.
const LONGEST_LINE: usize = 998;

/// Makes the mail that goes out at `now`.
pub(super) fn compose(
    mail: &Mail,
    sender: &Sender,
    templates: &Templates,
    marks: &Marks,
    now: Timestamp,
) -> Result<Composed, Unsendable> {
    // Not only what goes into a header: nothing that is said here has a line break in it, so one is a trick.
    let own = mail.letter.own();
    if mail.to.contains(char::is_control) || own.is_some_and(|(_, value)| value.contains(char::is_control)) {
        return Err(Unsendable);
    }
    let to: Address = mail.to.parse().map_err(|_| Unsendable)?;
    let left = mail.until.since(now);
    let (minutes, until) = (left.as_secs().div_ceil(60).max(1).to_string(), moment(mail.until));
    let shown = match &mail.letter {
        Letter::EmailChanged { new } => masked(new),
        _ => own.map(|(_, value)| value.to_owned()).unwrap_or_default(),
    };
    let mut values =
        vec![("service", sender.service.as_str()), ("email", &mail.to), ("minutes", &minutes), ("until", &until)];
    values.extend(own.map(|(name, _)| (name, shown.as_str())));
    let Written { subject, text, html } = templates.write(mail.letter.kind(), mail.language, &values);

    let id: String = marks.iter().map(|byte| format!("{byte:02x}")).collect();
    let date = UNIX_EPOCH + Duration::from_millis(now.millis().max(0) as u64);
    // RFC 3834, 5: so that nobody's out-of-office answers it.
    let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
    let message = Message::builder()
        .from(sender.from.clone())
        .to(to.into())
        .subject(subject)
        .header(Date::new(date))
        .message_id(Some(format!("<{id}@{}>", sender.from.email.domain())))
        .raw_header(automatic)
        .multipart(
            MultiPart::alternative()
                .boundary(format!("={id}"))
                .singlepart(SinglePart::builder().header(ContentType::TEXT_PLAIN).body(body(text)))
                .singlepart(SinglePart::builder().header(ContentType::TEXT_HTML).body(body(html))),
        )
        .map_err(|_| Unsendable)?;
    Ok(Composed { envelope: message.envelope().clone(), bytes: message.formatted() })
}

/// As it is where that can be read by everything in between, so that a mail in the outbox can be read as it lies there;
/// otherwise quoted-printable, in which a code and the letters around a link still can.
fn body(text: String) -> Body {
    let lines = text.lines().map(|line| line.trim_end_matches('\r'));
    let wire = lines.collect::<Vec<_>>().join("\r\n");
    if wire.is_ascii() && wire.split("\r\n").all(|line| line.len() <= LONGEST_LINE) {
        return Body::dangerous_pre_encoded(wire.into_bytes(), ContentTransferEncoding::SevenBit);
    }
    // It takes any text, so this is never the second.
    Body::new_with_encoding(wire, ContentTransferEncoding::QuotedPrintable).unwrap_or_else(Body::new)
}

/// A moment as everybody reads it, to the minute.
fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => text,
    }
}

/// Enough of an address for its owner to know it again: who reads the old mailbox is perhaps not meant to learn the new one.
fn masked(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let first = local.chars().next().map(String::from).unwrap_or_default();
    format!("{first}***@{domain}")
}

impl Letter {
    /// Which templates it is written from.
    pub(super) fn kind(&self) -> Kind {
        let name = match self {
            Self::SignInCode { .. } => "sign-in-code",
            Self::ConfirmCode { .. } => "confirm-code",
            Self::MagicLink { .. } => "magic-link",
            Self::ResetPassword { .. } => "reset-password",
            Self::ConfirmEmail { .. } => "confirm-email",
            Self::EmailChanged { .. } => "email-changed",
            Self::PasswordChanged => "password-changed",
            Self::SecondFactorOn => "second-factor-on",
            Self::SecondFactorOff => "second-factor-off",
        };
        KINDS.into_iter().find(|kind| kind.name == name).unwrap_or(KINDS[0])
    }

    /// What only it says, and by which name.
    fn own(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::SignInCode { code } | Self::ConfirmCode { code } => Some(("code", code)),
            Self::MagicLink { link } | Self::ResetPassword { link } | Self::ConfirmEmail { link } => {
                Some(("link", link))
            }
            Self::EmailChanged { new } => Some(("new", new)),
            Self::PasswordChanged | Self::SecondFactorOn | Self::SecondFactorOff => None,
        }
    }
}
