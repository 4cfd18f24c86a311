//! The sealed keyring: a hash with its version (`v`) and its bytes (`b`).

use fred::types::Value;

use super::args::RedisArg;
use super::reply::ReplyReader;
use super::{Redis, reply, scripts};
use crate::clock::Timestamp;
use crate::store::ephemeral::{SealedKeyring, SwapResult};
use crate::store::{Operation, Result};

impl Redis {
    pub(super) async fn read_keyring(&self) -> Result<Option<SealedKeyring>> {
        let key = self.keys.keyring();
        let read = |reply| {
            let mut record = ReplyReader::of(reply)?;
            match record.value()? {
                Value::Null => Ok(None),
                version => {
                    let version = reply::number(&version)?.unsigned_abs();
                    Ok(Some(SealedKeyring { version, bytes: record.bytes()? }))
                }
            }
        };
        self.runner.measure(Operation::Keyring, async { read(self.fields(&key, &["v", "b"]).await?) }).await
    }

    pub(super) async fn replace_keyring(&self, expected: u64, bytes: &[u8], now: Timestamp) -> Result<SwapResult> {
        let [stream, epoch] = self.keys.revocations();
        let keyring = self.keys.keyring();
        let read = |reply| Ok(if reply::number(&reply)? == 1 { SwapResult::Swapped } else { SwapResult::Conflict });
        let keys: [&dyn RedisArg; 3] = [&keyring, &stream, &epoch];
        self.runner.run(&scripts::SWAP_KEYRING, &keys, now, &[&expected, &bytes], read).await
    }
}
