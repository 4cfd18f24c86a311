//! The shapes: for each family a function that makes its requests for one operation.

pub(super) mod batches;
pub(super) mod credentials;
pub(super) mod forms;
pub(super) mod frames;
pub(super) mod heads;
pub(super) mod json;
pub(super) mod multipart;
pub(super) mod texts;

use super::wire::{Message, Protocol};

/// The bytes that a client sends over one connection.
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    pub(super) protocol: Protocol,
}

/// A shape of HTTP/1.1.
pub(super) fn shape(name: impl Into<String>, message: &Message) -> Shape {
    Shape { name: name.into(), bytes: message.to_bytes(), protocol: Protocol::Http1 }
}
