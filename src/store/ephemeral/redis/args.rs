//! The words of a command, written one behind the other into one piece of memory, so that it costs as many allocations whether it has
//! three words or fifteen. Knows nothing of what they mean.

use bytes::{BufMut, BytesMut};
use fred::types::Value;

use crate::clock::Timestamp;
use crate::id::SessionId;

/// What can stand in a command.
pub(super) trait RedisArg: Sync {
    /// Writes itself, as Redis is to read it.
    fn write(&self, to: &mut BytesMut);
}

impl RedisArg for str {
    fn write(&self, to: &mut BytesMut) {
        to.extend_from_slice(self.as_bytes());
    }
}

impl RedisArg for [u8] {
    fn write(&self, to: &mut BytesMut) {
        to.extend_from_slice(self);
    }
}

impl RedisArg for i64 {
    fn write(&self, to: &mut BytesMut) {
        to.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
    }
}

impl RedisArg for u64 {
    fn write(&self, to: &mut BytesMut) {
        to.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
    }
}

impl RedisArg for u32 {
    fn write(&self, to: &mut BytesMut) {
        u64::from(*self).write(to);
    }
}

impl RedisArg for bool {
    fn write(&self, to: &mut BytesMut) {
        to.put_u8(b'0' + u8::from(*self));
    }
}

impl RedisArg for Timestamp {
    fn write(&self, to: &mut BytesMut) {
        self.millis().write(to);
    }
}

impl RedisArg for std::time::Duration {
    fn write(&self, to: &mut BytesMut) {
        i64::try_from(self.as_millis()).unwrap_or(i64::MAX).write(to);
    }
}

impl RedisArg for SessionId {
    fn write(&self, to: &mut BytesMut) {
        let mut text = uuid::Uuid::encode_buffer();
        to.extend_from_slice(self.0.as_hyphenated().encode_lower(&mut text).as_bytes());
    }
}

/// Nothing is an empty word.
impl<W: RedisArg> RedisArg for Option<W> {
    fn write(&self, to: &mut BytesMut) {
        if let Some(word) = self {
            word.write(to);
        }
    }
}

impl RedisArg for String {
    fn write(&self, to: &mut BytesMut) {
        self.as_str().write(to);
    }
}

impl<W: RedisArg + ?Sized> RedisArg for &W {
    fn write(&self, to: &mut BytesMut) {
        (**self).write(to);
    }
}

/// Writes words, as the driver takes them.
pub(super) fn written<'a>(words: impl Iterator<Item = &'a dyn RedisArg>) -> Vec<Value> {
    let mut text = BytesMut::with_capacity(512);
    let mut values = Vec::with_capacity(16);
    for word in words {
        word.write(&mut text);
        values.push(Value::Bytes(text.split().freeze()));
    }
    values
}
