//! One operation of the document under attack: how to reach it with a valid credential, and with all fields filled in.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::wire::Message;
use crate::support::document::{Body, Operation, plausible_value};

pub(super) const URLENCODED: &str = "application/x-www-form-urlencoded";
pub(super) const JSON: &str = "application/json";

/// An operation, and what every request to it needs.
pub(super) struct Target<'a> {
    pub(super) operation: &'a Operation,
    /// The header field with the credential of a superuser, unless the operation is public.
    pub(super) credential: Option<(&'static str, String)>,
    /// A valid access token and a valid API key with many scopes.
    pub(super) access: &'a str,
    pub(super) api_key: &'a str,
    /// The size of the request that is to be made.
    pub(super) size: usize,
}

impl Target<'_> {
    /// The fields of the body.
    pub(super) fn fields(&self) -> &[String] {
        self.operation.fields()
    }

    /// The fields that the shape of this number attacks: all in the long form, one in the short form.
    pub(super) fn attacked_fields(&self, number: usize) -> &[String] {
        let fields = self.fields();
        match fields.len() {
            0 => fields,
            _ if super::long() => fields,
            count => &fields[number % count..=number % count],
        }
    }

    pub(super) fn takes_form(&self) -> bool {
        matches!(self.operation.body, Body::Form(_))
    }

    /// A request without a body.
    pub(super) fn message(&self) -> Message {
        self.message_to(&self.operation.path_with(&|name| plausible_value(name)))
    }

    /// The same with another path.
    pub(super) fn message_to(&self, target: &str) -> Message {
        let message =
            Message { method: self.operation.method.to_string(), target: target.to_owned(), ..Message::default() };
        match &self.credential {
            Some((name, value)) => message.field(name, value),
            None => message,
        }
    }

    /// A request that is valid except for this field of the body.
    pub(super) fn with_field(&self, field: &str, value: &Value) -> Message {
        let value_of = |name: &str| if name == field { value.clone() } else { plausible_value(name) };
        if self.takes_form() {
            self.message().body(URLENCODED, self.form(value_of))
        } else {
            let object: Map<String, Value> = self.fields().iter().map(|name| (name.clone(), value_of(name))).collect();
            self.message().body(JSON, Value::Object(object).to_string())
        }
    }

    /// A valid form, without a separator at its end.
    pub(super) fn valid_form(&self) -> String {
        self.form(plausible_value)
    }

    fn form(&self, value_of: impl Fn(&str) -> Value) -> String {
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let pairs = self.fields().iter().map(|name| format!("{name}={}", percent_encoded(&text(value_of(name)))));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// The members of a valid JSON object, each followed by a comma.
    pub(super) fn valid_members(&self) -> String {
        self.fields().iter().map(|name| format!("\"{name}\":{},", plausible_value(name))).collect()
    }
}

pub(super) fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// `piece` repeated up to this size.
pub(super) fn filled(piece: &str, size: usize) -> String {
    piece.repeat(size / piece.len())
}

/// Different pieces up to this size, each made from its number.
pub(super) fn numbered(size: usize, piece: impl Fn(&str) -> String) -> String {
    let mut text = String::with_capacity(size);
    for number in 0_usize.. {
        let next = piece(&short(number));
        if text.len() + next.len() > size {
            break;
        }
        text.push_str(&next);
    }
    text
}

/// A number in as few letters as possible.
pub(super) fn short(mut number: usize) -> String {
    const DIGITS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::new();
    loop {
        text.push(char::from(DIGITS[number % 36]));
        number /= 36;
        if number == 0 {
            return text;
        }
    }
}
