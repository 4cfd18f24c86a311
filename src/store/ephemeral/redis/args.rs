//! Encodes the arguments of a command into one buffer, so that the number of allocations does not grow with the number
//! of arguments. Knows nothing of what they mean.

use bytes::{BufMut, BytesMut};
use fred::types::Value;

use crate::clock::Timestamp;
use crate::id::SessionId;
use crate::store::ephemeral::{OnMatch, OpenedIn};

/// The length of an argument, for the size of the buffer: between a number and a key.
const TYPICAL_LENGTH: usize = 32;

/// A value that can be an argument of a command.
pub(super) trait RedisArg: Sync {
    /// Appends the encoded argument.
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

/// `*`, or the names, each between two commas.
impl RedisArg for OpenedIn {
    fn write(&self, to: &mut BytesMut) {
        match self {
            Self::Any => to.put_u8(b'*'),
            Self::OneOf(names) => {
                to.put_u8(b',');
                for name in names.iter().flatten() {
                    name.write(to);
                    to.put_u8(b',');
                }
            }
        }
    }
}

/// `None` is an empty argument.
impl<A: RedisArg> RedisArg for Option<A> {
    fn write(&self, to: &mut BytesMut) {
        if let Some(arg) = self {
            arg.write(to);
        }
    }
}

impl RedisArg for OnMatch {
    fn write(&self, to: &mut BytesMut) {
        let name = match self {
            Self::Keep => "keep",
            Self::Hold => "hold",
        };
        name.write(to);
    }
}

impl RedisArg for String {
    fn write(&self, to: &mut BytesMut) {
        self.as_str().write(to);
    }
}

impl<A: RedisArg + ?Sized> RedisArg for &A {
    fn write(&self, to: &mut BytesMut) {
        (**self).write(to);
    }
}

/// Encodes arguments as the driver takes them.
pub(super) fn encode<'a>(args: impl Iterator<Item = &'a dyn RedisArg>) -> Vec<Value> {
    let (count, _) = args.size_hint();
    let mut buffer = BytesMut::with_capacity(count * TYPICAL_LENGTH);
    let mut values = Vec::with_capacity(count);
    for arg in args {
        arg.write(&mut buffer);
        values.push(Value::Bytes(buffer.split().freeze()));
    }
    values
}
