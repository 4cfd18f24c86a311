//! Encodes a mail: headers, and the letter as text and as HTML (RFC 5322, RFC 2046). Knows nothing of transports.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{ContentTransferEncoding, ContentType, Date, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message, MultiPart, SinglePart};
use lettre::{Address, address::Envelope};

use super::templates::{RenderedLetter, Templates};
use super::{Letter, Mail};
use crate::clock::Timestamp;

/// The sender of all mails.
pub(super) struct Sender {
    pub(super) from: Mailbox,
    pub(super) service: String,
    /// The page where people manage their account.
    pub(super) account_url: String,
}

/// A mail ready to be sent.
pub(super) struct EncodedMail {
    pub(super) envelope: Envelope,
    pub(super) bytes: Vec<u8>,
}

/// The mail contains a control character, which could inject a header, or an invalid address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidMail;

/// Seed of the message id. It stays the same for all tries, so that a recipient who gets a mail twice can deduplicate
/// it.
pub(super) type MessageSeed = [u8; 16];

/// Maximum line length without the line break (RFC 5322, 2.1.1).
const MAX_LINE: usize = 998;

/// Encodes the mail that is sent at `now`.
pub(super) fn compose(
    mail: &Mail,
    sender: &Sender,
    templates: &Templates,
    seed: &MessageSeed,
    now: Timestamp,
) -> Result<EncodedMail, InvalidMail> {
    // Checked in all values, not only in headers: no legitimate value contains a line break.
    let own = mail.letter.values();
    if mail.to.contains(char::is_control) || own.iter().any(|(_, value)| value.contains(char::is_control)) {
        return Err(InvalidMail);
    }
    let to: Address = mail.to.parse().map_err(|_| InvalidMail)?;
    let left = mail.expires_at.since(now);
    let (minutes, until) = (left.as_secs().div_ceil(60).max(1).to_string(), format_minute(mail.expires_at));
    let masked = match &mail.letter {
        Letter::EmailChanged { new } | Letter::EmailChangeRequested { new } => Some(mask(new)),
        _ => None,
    };
    let mut values =
        vec![("service", sender.service.as_str()), ("email", &mail.to), ("minutes", &minutes), ("until", &until)];
    values.extend(own.into_iter().map(|(name, value)| (name, masked.as_deref().unwrap_or(value))));
    let (time, language) = (format_minute(mail.origin.at), templates.name_of(mail.language));
    let (device, ip) = (mail.origin.by.device(language), mail.origin.by.ip());
    if mail.letter.kind().is_notice {
        values.extend([("time", time.as_str()), ("device", &device), ("ip", &ip), ("account", &sender.account_url)]);
    }
    let RenderedLetter { subject, text, html } = templates.render(mail.letter.kind(), mail.language, &values);

    let id: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    let date = UNIX_EPOCH + Duration::from_millis(now.millis().max(0) as u64);
    // Keeps out-of-office responders from replying (RFC 3834, 5).
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
        .map_err(|_| InvalidMail)?;
    Ok(EncodedMail { envelope: message.envelope().clone(), bytes: message.formatted() })
}

/// Leaves ASCII text with short lines unencoded, so that a mail in the outbox is readable as a file. Otherwise
/// quoted-printable, in which codes stay readable.
fn body(text: String) -> Body {
    let lines = text.lines().map(|line| line.trim_end_matches('\r'));
    let wire = lines.collect::<Vec<_>>().join("\r\n");
    if wire.is_ascii() && wire.split("\r\n").all(|line| line.len() <= MAX_LINE) {
        return Body::dangerous_pre_encoded(wire.into_bytes(), ContentTransferEncoding::SevenBit);
    }
    // Quoted-printable encodes any text, so the fallback is never used.
    Body::new_with_encoding(wire, ContentTransferEncoding::QuotedPrintable).unwrap_or_else(Body::new)
}

/// Formats a moment to the minute: `2026-01-31 12:00 UTC`.
fn format_minute(at: Timestamp) -> String {
    let text = at.to_string();
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => text,
    }
}

/// Masks an address so that its owner recognizes it. A reader of the old mailbox may not be entitled to the new
/// address.
fn mask(address: &str) -> String {
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let first = local.chars().next().map(String::from).unwrap_or_default();
    format!("{first}***@{domain}")
}
